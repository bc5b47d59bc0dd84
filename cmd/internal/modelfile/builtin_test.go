package modelfile

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigmaz/model/checkpoint"
)

// The model in the program is there, whole and small, and its page tells the hash of this very file.
func TestDigits(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "digits.md"))
	if err != nil {
		t.Fatal(err)
	}
	if hash := fmt.Sprintf("%x", sha256.Sum256(digits)); !strings.Contains(string(page), hash) {
		t.Errorf("docs/digits.md does not have the SHA-256 of digits.safetensors, %s", hash)
	}
	if len(digits) > 2<<20 {
		t.Errorf("digits.safetensors has %d bytes: expected at most 2 MiB", len(digits))
	}
	t.Chdir(t.TempDir())
	for _, args := range [][]string{nil, {"-ema"}} {
		f, err := open(Digits, args...)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		n := f.Config.Network
		if !f.BuiltIn || !f.Ours() || f.Folder != "" || n.Net != "ncsnpp" || n.D() != 784 || n.Classes != 10 ||
			len(f.Sigmas) != f.Config.Sigma.Levels || f.Which() != "EMA weights" || f.Prefix() != checkpoint.ParamPrefix {
			t.Errorf("%+v", f)
		}
		if len(f.Notes) != 1 || !strings.Contains(f.Notes[0], "the model in the program") {
			t.Errorf("notes %q", f.Notes)
		}
		if _, err := f.Tensors(checkpoint.ParamPrefix); err != nil {
			t.Error(err)
		}
	}
	for args, want := range map[string]string{"-raw": "leave -raw out", "-net ncsn": "leave the flag out"} {
		if _, err := open(Digits, strings.Fields(args)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", args, err)
		}
	}
}

// What has the model's name in the folder at hand is taken in its place, and that is said; what is no model, too.
func TestDigitsHidden(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.MkdirAll(filepath.Join(Digits, "checkpoints"), 0o777); err != nil {
		t.Fatal(err)
	}
	hides := "what has the name digits here hides the model in the program"
	if _, err := open(Digits); err == nil || !strings.Contains(err.Error(), hides) {
		t.Errorf("an empty folder: %v", err)
	}
	file := filepath.Join(Digits, "checkpoints", "step-0000007.safetensors")
	if err := os.WriteFile(file, digits, 0o666); err != nil {
		t.Fatal(err)
	}
	taken := func(what string) {
		t.Helper()
		f, err := open(Digits)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		defer f.Close()
		notes := strings.Join(f.Notes, "\n")
		if f.BuiltIn || f.Which() == "EMA weights" || !strings.Contains(notes, "taken in place of the model in the program") {
			t.Errorf("%s: %+v", what, f)
		}
	}
	taken("a run")
	if err := os.RemoveAll(Digits); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(Digits, digits, 0o666); err != nil {
		t.Fatal(err)
	}
	taken("a file")
	if err := os.WriteFile(Digits, []byte("digits"), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := open(Digits); err == nil || !strings.Contains(err.Error(), hides) {
		t.Errorf("another file: %v", err)
	}
	if f, err := open("./" + Digits); err == nil || strings.Contains(err.Error(), hides) {
		t.Errorf("a path: %+v, %v", f, err)
	}
}

// What is nearly the name of the model: a dangling link, which hides it, and digits/.
func TestDigitsNearby(t *testing.T) {
	t.Chdir(t.TempDir())
	if !Means(Digits) || !Means("digits/") || !Means("./digits") || Means("digit") || IsBuiltIn("digits/") {
		t.Error("other names than digits, digits/ and ./digits mean the model")
	}
	if err := os.Symlink("nowhere", Digits); err != nil {
		t.Skip(err)
	}
	if Means("digits/") || IsBuiltIn(Digits) {
		t.Error("a link of the name does not hide the model")
	}
	_, err := open(Digits)
	const want = "digits is a link to nowhere, which does not exist: mend the link, or name the run itself; what has the name digits here hides " +
		"the model in the program: call from another folder for that"
	if err == nil || err.Error() != want {
		t.Errorf("error %v, expected %s", err, want)
	}
}
