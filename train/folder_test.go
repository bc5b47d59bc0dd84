package train

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigmaz/internal/setting"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
}

func TestCreateFolder(t *testing.T) {
	runs := filepath.Join(t.TempDir(), "a", "runs")
	for _, want := range []string{"glyphs-1", "glyphs-2"} {
		if dir, _, err := CreateFolder(runs, "", "glyphs"); err != nil || dir != filepath.Join(runs, want) {
			t.Errorf("folder %s, error %v, expected %s", dir, err, want)
		}
	}
	dir, lock, err := CreateFolder(runs, "mine", "glyphs")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := CreateFolder(runs, "mine", "glyphs"); err == nil ||
		!strings.Contains(err.Error(), fmt.Sprintf("%s is being trained by process %d on ", dir, os.Getpid())) {
		t.Errorf("a folder of another trainer: %v", err)
	}
	lock.Release()
	if _, lock, err = CreateFolder(runs, "mine", "glyphs"); err != nil {
		t.Errorf("an empty folder: %v", err)
	}
	lock.Release()
	write(t, filepath.Join(dir, lockFile), "\x00process 1 on nowhere\n") // a process that was killed leaves its file
	if _, lock, err = CreateFolder(runs, "mine", "glyphs"); err != nil {
		t.Errorf("a folder with a lock's file: %v", err)
	}
	lock.Release()
	write(t, filepath.Join(dir, "notes.txt"), "mine")
	if _, _, err := CreateFolder(runs, "mine", ""); err == nil || !strings.Contains(err.Error(), "other files") {
		t.Errorf("a folder with other files: error %v", err)
	}
	write(t, filepath.Join(dir, configFile), "")
	if _, _, err := CreateFolder(runs, "mine", ""); err == nil || !strings.Contains(err.Error(), "`resume` "+dir) {
		t.Errorf("a folder that holds a run: error %v, expected it to name resume", err)
	}
	for _, name := range []string{"a/b", "..", ".", "/"} {
		var bad *setting.Error
		if _, _, err := CreateFolder(runs, name, ""); !errors.As(err, &bad) {
			t.Errorf("name %q: error %v, expected an error about a setting", name, err)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, "")
	if _, _, err := CreateFolder(file, "", "glyphs"); err == nil || !strings.Contains(err.Error(), "`runs`") {
		t.Errorf("runs is a file: error %v, expected it to name runs", err)
	}
	if _, _, err := CreateFolder(filepath.Join(file, "runs"), "", "glyphs"); err == nil ||
		!strings.Contains(err.Error(), "`runs`") {
		t.Errorf("runs below a file: error %v, expected it to name runs", err)
	}
}

func TestLatest(t *testing.T) {
	dir := t.TempDir()
	if _, err := Latest(dir); !errors.Is(err, ErrNoCheckpoint) || !strings.Contains(err.Error(), "not a run folder") {
		t.Errorf("an empty folder: error %v", err)
	}
	write(t, filepath.Join(dir, configFile), "")
	if _, err := Latest(dir); !errors.Is(err, ErrNoCheckpoint) || !strings.Contains(err.Error(), "no checkpoint yet") {
		t.Errorf("a run without checkpoints: error %v", err)
	}
	path := func(name string) string { return filepath.Join(dir, checkpointsDir, name) }
	for _, name := range []string{"step-0000500.safetensors", "step-10000000.safetensors", "step-0001000.safetensors",
		"step-0002000.safetensors.tmp", "other.safetensors"} {
		write(t, path(name), "")
	}
	check := func(want string) {
		t.Helper()
		if got, err := Latest(dir); err != nil || got != path(want) {
			t.Errorf("latest is %s, error %v, expected %s", got, err, want)
		}
	}
	check("step-10000000.safetensors")
	write(t, path(latestFile), "step-0001000.safetensors\n")
	check("step-0001000.safetensors")
	write(t, path(latestFile), "step-0003000.safetensors\n") // names no file
	check("step-10000000.safetensors")
	write(t, path(latestFile), "../../x") // names no checkpoint
	check("step-10000000.safetensors")
}

func TestWriteFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	for _, text := range []string{"one", "two"} {
		if err := writeFile(path, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if got, _ := os.ReadFile(path); string(got) != text {
			t.Errorf("file holds %q, expected %q", got, text)
		}
	}
	if _, err := os.Stat(path + ".tmp"); err == nil {
		t.Error("the temporary file is left")
	}
}
