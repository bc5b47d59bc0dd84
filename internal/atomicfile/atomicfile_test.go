package atomicfile

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// put makes a write function.
func put(text string) func(*os.File) error {
	return func(f *os.File) error { _, err := f.WriteString(text); return err }
}

func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return strings.Join(list, " ")
}

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a")
	for _, text := range []string{"one", "two"} {
		if err := Write(path, put(text)); err != nil || read(t, path) != text {
			t.Errorf("wrote %q, error %v; expected %q", read(t, path), err, text)
		}
	}
	broken := errors.New("broken")
	if err := Write(path, func(f *os.File) error { f.WriteString("half"); return broken }); err != broken {
		t.Errorf("error %v, expected that of write", err)
	}
	if read(t, path) != "two" || names(t, dir) != "a" {
		t.Errorf("after an error %q in %s", read(t, path), names(t, dir))
	}
	for _, bad := range []string{filepath.Join(dir, "none", "a"), dir} {
		if err := Write(bad, put("x")); err == nil || !strings.Contains(err.Error(), " "+bad+": ") {
			t.Errorf("%s: error %v, expected it to name the path", bad, err)
		}
	}
	err := Write(path, func(f *os.File) error { f.Close(); _, err := f.WriteString("x"); return err })
	if err == nil || !strings.Contains(err.Error(), " "+path+": ") {
		t.Errorf("error %v, expected it to name the path", err)
	}
	long := filepath.Join(dir, strings.Repeat("x", 250))
	if err := Write(long, put("long")); err != nil || read(t, long) != "long" {
		t.Errorf("a long name: %v", err)
	}
}

// A link at the path is replaced, and files that have the names of temporary ones of today or of earlier versions stay
// what they are.
func TestOthersStay(t *testing.T) {
	dir := t.TempDir()
	victim := filepath.Join(dir, "victim")
	os.WriteFile(victim, []byte("mine"), 0o666)
	for _, link := range []string{"config.yaml", "config.yaml.tmp", "latest.tmp"} {
		if err := os.Symlink(victim, filepath.Join(dir, link)); err != nil {
			t.Skip(err)
		}
	}
	for _, name := range []string{"config.yaml", "latest"} {
		path := filepath.Join(dir, name)
		if err := Write(path, put("new")); err != nil || read(t, path) != "new" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if read(t, victim) != "mine" {
		t.Errorf("the file behind the links holds %q", read(t, victim))
	}
	if got := names(t, dir); got != "config.yaml config.yaml.tmp latest latest.tmp victim" {
		t.Errorf("left %s", got)
	}
}

func TestTempOf(t *testing.T) {
	f, err := Create(filepath.Join(t.TempDir(), "step-1.png"), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	for name, want := range map[string]string{
		filepath.Base(f.Name()):        "step-1.png",
		".latest.0badf00d.tmp":         "latest",
		".a.b.00000000.tmp":            "a.b",
		"latest.tmp":                   "",
		"latest.0badf00d.tmp":          "",
		".latest.0badf00.tmp":          "",
		".latest.0badf00g.tmp":         "",
		".latest.0badf00d":             "",
		".0badf00d.tmp":                "",
		"..0badf00d.tmp":               "",
		".thesis.tmp":                  "",
		".latest.0BADF00D.tmp":         "",
		".latest.0badf00d.0badf00.tmp": "",
	} {
		if got := TempOf(name); got != want {
			t.Errorf("%s is a temporary file of %q, expected %q", name, got, want)
		}
	}
}
