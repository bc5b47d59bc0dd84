package ownfile

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := os.WriteFile(at("file"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(at("folder"), 0o777); err != nil {
		t.Fatal(err)
	}
	links := os.Symlink("file", at("link")) == nil && os.Symlink("nothing", at("dangling")) == nil
	pipe := exec.Command("mkfifo", at("pipe")).Run() == nil
	for _, test := range []struct {
		name      string
		own, read bool // whether Open and OpenPlain take it
		there     bool
	}{
		{"file", true, true, true}, {"folder", false, false, true}, {"link", false, true, links},
		{"dangling", false, false, links}, {"pipe", false, false, pipe}, {"new", true, false, true},
	} {
		if !test.there {
			continue
		}
		f, err := OpenPlain(at(test.name)) // before "new" is made
		if (err == nil) != test.read {
			t.Errorf("reading %s: %v", test.name, err)
		}
		f.Close()
		f, err = Open(at(test.name), os.O_RDWR|os.O_CREATE)
		if (err == nil) != test.own || err != nil && !strings.Contains(err.Error(), at(test.name)) {
			t.Errorf("opening %s: %v", test.name, err)
		}
		f.Close()
	}
	if b, _ := os.ReadFile(at("file")); string(b) != "mine" {
		t.Errorf("the file holds %q", b)
	}
	if _, err := os.Lstat(at("nothing")); err == nil {
		t.Error("a dangling link was followed")
	}
}

func TestMine(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("files have no owner of this kind")
	}
	path := filepath.Join(t.TempDir(), "a")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for mode, mine := range map[os.FileMode]bool{0o600: true, 0o644: true, 0o400: true, 0o620: false, 0o602: false, 0o666: false} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		info, err := os.Lstat(path)
		if err != nil || Mine(info) != mine {
			t.Errorf("mode %o: mine %v, error %v", mode, Mine(info), err)
		}
	}
	os.Chmod(path, 0o600)
	if os.Chown(path, 12345, 12345) == nil { // as root
		if info, err := os.Lstat(path); err != nil || Mine(info) {
			t.Errorf("another user's file is mine: %v", err)
		}
	}
}
