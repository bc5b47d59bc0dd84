package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The committed PTX is that of the sources: by its first line, and where nvcc is at hand by compiling again.
func TestPTXIsFresh(t *testing.T) {
	t.Chdir("../..")
	sources, err := filepath.Glob("*.cu")
	if err != nil || len(sources) == 0 {
		t.Fatal("no sources", err)
	}
	names := map[string]bool{}
	for _, source := range sources {
		name := strings.TrimSuffix(source, ".cu") + ".ptx"
		names[name] = true
		text, err := os.ReadFile(filepath.Join("ptx", name))
		if err != nil {
			t.Errorf("%v: run go generate ./kernels", err)
			continue
		}
		sum, err := sourceSum(source)
		if err != nil {
			t.Fatal(err)
		}
		first, _, _ := bytes.Cut(text, []byte("\n"))
		if want := fmt.Sprintf("// sources sha256: %x", sum); string(first) != want {
			t.Errorf("ptx/%s is stale, run go generate ./kernels: its first line is %q, expected %q", name, first, want)
		}
	}
	files, err := filepath.Glob("ptx/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if !names[filepath.Base(file)] {
			t.Errorf("%s has no source", file)
		}
	}
	if t.Failed() {
		return
	}

	version, err := exec.Command("nvcc", "--version").Output()
	if err != nil || !strings.Contains(string(version), "release 11.8") {
		t.Log("no nvcc 11.8 here: the PTX was not compiled again")
		return
	}
	temp := t.TempDir()
	if err := generate(temp); err != nil {
		t.Fatal(err)
	}
	for name := range names {
		got, err := os.ReadFile(filepath.Join(temp, name))
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(filepath.Join("ptx", name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("ptx/%s is not what nvcc makes of its source: run go generate ./kernels", name)
		}
	}
}
