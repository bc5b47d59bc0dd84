package main

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"sigmaz/internal/extras"
)

func TestPythonVersion(t *testing.T) {
	for version, want := range map[string]string{
		"v1.2.0": "1.2.0", "0.0.1": "0.0.1", "v1.2.0-rc.1": "1.2.0rc1", "1.2.0-beta2": "1.2.0b2", "1.2.0-alpha.3": "1.2.0a3",
		"1.2.0-SNAPSHOT-70e63da": "1.2.0.dev0+snapshot.70e63da", "1.2.0+linux": "1.2.0",
	} {
		if got, err := pythonVersion(version); err != nil || got != want {
			t.Errorf("%s: %q, %v; expected %q", version, got, err, want)
		}
	}
	for _, version := range []string{"", "1.2", "latest", "v1.2.0 ", "1.2.0-"} {
		if got, err := pythonVersion(version); err == nil {
			t.Errorf("%q is taken for %q", version, got)
		}
	}
}

func TestPlatforms(t *testing.T) {
	if tags, err := platformTags("plan9/386"); err == nil {
		t.Errorf("plan9/386 has the tags %v", tags)
	}
}

// TestWheel reads the archive back: RECORD names every file with its size and sum, and the program may be executed.
func TestWheel(t *testing.T) {
	w := wheel{version: "1.2.0", tags: []string{"win_amd64"}, program: []byte("MZ program"), module: []byte("class Model: pass\n"), licence: []byte("licence"),
		readme: []byte("# sigmaz\n"), windows: true}
	var a, b bytes.Buffer
	if err := w.write(&a); err != nil {
		t.Fatal(err)
	}
	if err := w.write(&b); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Error("two wheels of one program differ")
	}
	if want := "sigmaz-1.2.0-py3-none-win_amd64.whl"; w.file() != want {
		t.Errorf("the name is %s, expected %s", w.file(), want)
	}
	archive, err := zip.NewReader(bytes.NewReader(a.Bytes()), int64(a.Len()))
	if err != nil {
		t.Fatal(err)
	}
	content := map[string][]byte{}
	for _, f := range archive.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		if content[f.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
		if executable := f.Mode()&0o111 != 0; executable != strings.HasSuffix(f.Name, ".exe") {
			t.Errorf("%s has the mode %v", f.Name, f.Mode())
		}
	}
	const info = "sigmaz-1.2.0.dist-info/"
	rows, err := csv.NewReader(bytes.NewReader(content[info+"RECORD"])).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != len(content) {
		t.Errorf("RECORD has %d rows, the wheel %d files", len(rows), len(content))
	}
	for _, row := range rows {
		sum := sha256.Sum256(content[row[0]])
		want := []string{"sha256=" + base64.RawURLEncoding.EncodeToString(sum[:]), fmt.Sprint(len(content[row[0]]))}
		if row[0] == info+"RECORD" {
			want = []string{"", ""}
		}
		if row[1] != want[0] || row[2] != want[1] {
			t.Errorf("RECORD has %v, expected %v", row, want)
		}
	}
	if got := string(content["sigmaz-1.2.0.data/scripts/sigmaz.exe"]); got != "MZ program" {
		t.Errorf("the program is %q", got)
	}
	if !strings.Contains(string(content[info+"WHEEL"]), "\nTag: py3-none-win_amd64\n") {
		t.Errorf("WHEEL is\n%s", content[info+"WHEEL"])
	}
	if !strings.HasSuffix(string(content[info+"METADATA"]), "\n\n# sigmaz\n") {
		t.Errorf("METADATA is\n%s", content[info+"METADATA"])
	}
}

// TestExtrasWheel installs the wheel of the program, as it is here, into an environment of its own and runs it.
func TestExtrasWheel(t *testing.T) {
	python := extras.Python(t, "venv", "ensurepip", "numpy")
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	run := func(name string, args ...string) string {
		t.Helper()
		c := exec.Command(name, args...)
		c.Dir = root
		c.Env = append(os.Environ(), "CGO_ENABLED=0")
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", c, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	program := filepath.Join(folder, "program")
	run("go", "build", "-tags", "nocuda", "-ldflags", "-X main.version=1.2.0-rc.1", "-o", program, "./cmd/sigmaz")
	file := run("go", "run", "./cmd/internal/wheel", "-program", program, "-version", "1.2.0-rc.1",
		"-platform", runtime.GOOS+"/"+runtime.GOARCH, "-out", folder)
	venv := filepath.Join(folder, "venv")
	run(python, "-m", "venv", "--system-site-packages", venv)
	bin := filepath.Join(venv, "bin")
	run(filepath.Join(bin, "python"), "-m", "pip", "install", "--no-index", "--no-deps", "--disable-pip-version-check", file)
	if said := run(filepath.Join(bin, "sigmaz"), "version"); !strings.HasPrefix(said, "sigmaz 1.2.0-rc.1\n") {
		t.Errorf("the installed program says\n%s", said)
	}
	if shown := run(filepath.Join(bin, "python"), "-m", "pip", "show", "sigmaz"); !strings.Contains(shown, "Version: 1.2.0rc1\n") {
		t.Errorf("pip says\n%s", shown)
	}
	// The module finds the program beside the interpreter, which is not on the path.
	ask := "import sigmaz; m = sigmaz.Model('digits'); print(m.sample(2).shape); m.close()"
	if said := run(filepath.Join(bin, "python"), "-c", ask); said != "(2, 1, 28, 28)" {
		t.Errorf("the module says\n%s", said)
	}
}
