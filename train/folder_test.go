package train

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigmaz/internal/setting"
	"sigmaz/kernels"
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
	// The pointer is for others: it is behind when a process is killed between the two.
	write(t, path(latestFile), "step-0001000.safetensors\n")
	check("step-10000000.safetensors")
	if err := os.Mkdir(path("step-90000000.safetensors"), 0o777); err != nil {
		t.Fatal(err)
	}
	check("step-10000000.safetensors") // a folder is no checkpoint
}

// Whatever a process leaves that is stopped before config.yaml is there, the folder is taken again; what anybody else
// left is not, and stays.
func TestDeadStart(t *testing.T) {
	runs := t.TempDir()
	for name, files := range map[string][]string{
		"folders":           {"samples/", "checkpoints/"},
		"earlier version":   {"samples/", "checkpoints/", "config.yaml.tmp", "lock"},
		"temporary":         {".config.yaml.0123abcd.tmp", "lock"},
		"lock alone":        {"lock"},
		"empty metrics":     {"metrics.jsonl"},
		"half a checkpoint": {"checkpoints/.step-0000010.safetensors.00000000.tmp", "samples/.step-0000010.png.00000000.tmp"},
	} {
		dir := filepath.Join(runs, name)
		for _, f := range files {
			if strings.HasSuffix(f, "/") {
				os.MkdirAll(filepath.Join(dir, f), 0o777)
			} else {
				write(t, filepath.Join(dir, f), "")
			}
		}
		if _, err := Load(dir, ""); err == nil || name != "empty metrics" && (!strings.Contains(err.Error(), "start it anew") ||
			!strings.Contains(err.Error(), "`name` "+name)) {
			t.Errorf("%s: going on: error %v", name, err)
		}
		got, lock, err := CreateFolder(runs, name, "")
		if err != nil || got != dir {
			t.Errorf("%s: begun again: %s, %v", name, got, err)
			continue
		}
		c, d := tiny("mlp")
		c.Steps, c.LogEvery = 3, 1
		trial(t, c, d, dir, false, 0, 1)
		if left, _ := filepath.Glob(filepath.Join(dir, "*", ".*tmp")); len(left) > 0 {
			t.Errorf("%s: left %v", name, left)
		}
		lock.Release()
		if s, err := Load(dir, ""); err != nil || s.Step() != 3 {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, files := range map[string][]string{
		"notes":              {"notes.txt"},
		"somebody's tmp":     {"thesis.tmp"},
		"a hidden tmp":       {".thesis.0123abcd.tmp"},
		"pictures":           {"samples/mine.png"},
		"a previous preview": {"samples/step-0000010.png"},
		"links":              {"config.yaml.tmp@"},
		"lock":               {"lock="},
	} {
		dir := filepath.Join(runs, "other "+name)
		victim := filepath.Join(runs, "victim")
		write(t, victim, "mine")
		for _, f := range files {
			switch {
			case strings.HasSuffix(f, "@"):
				os.MkdirAll(dir, 0o777)
				if os.Symlink(victim, filepath.Join(dir, strings.TrimSuffix(f, "@"))) != nil {
					t.Skip("no links here")
				}
			case strings.HasSuffix(f, "="):
				write(t, filepath.Join(dir, strings.TrimSuffix(f, "=")), "mine")
			default:
				write(t, filepath.Join(dir, f), "mine")
			}
		}
		if _, _, err := CreateFolder(runs, "other "+name, ""); err == nil || !strings.Contains(err.Error(), "other files") {
			t.Errorf("%s: error %v", name, err)
		}
		for _, f := range files {
			path := filepath.Join(dir, strings.Trim(f, "@="))
			if b, _ := os.ReadFile(path); string(b) != "mine" {
				t.Errorf("%s: %s holds %q", name, path, b)
			}
		}
	}
}

// Links and pipes in a run folder are neither written through nor waited for.
func TestOwnFilesOnly(t *testing.T) {
	c, d := tiny("mlp")
	c.Steps, c.PreviewN = 3, 0
	victim := filepath.Join(t.TempDir(), "victim")
	write(t, victim, "mine")
	for _, name := range []string{lockFile, metricsFile} {
		dir := t.TempDir()
		if err := os.Symlink(victim, filepath.Join(dir, name)); err != nil {
			t.Skip(err)
		}
		lock, err := LockFolder(dir)
		if name == metricsFile && err == nil {
			b := kernels.NewCPU(1)
			_, err = Run(t.Context(), c, d, Options{Backend: b, Folder: dir})
			b.Close()
		}
		lock.Release()
		if err == nil || !strings.Contains(err.Error(), "move it away") {
			t.Errorf("%s is a link: error %v", name, err)
		}
		if b, _ := os.ReadFile(victim); string(b) != "mine" {
			t.Errorf("%s is a link: what it named holds %q", name, b)
		}
	}
	dir := t.TempDir()
	os.Mkdir(filepath.Join(dir, checkpointsDir), 0o777)
	for _, name := range []string{configFile, filepath.Join(checkpointsDir, latestFile)} {
		if err := os.Symlink(victim, filepath.Join(dir, name)); err != nil {
			t.Skip(err)
		}
	}
	trial(t, c, d, dir, false, 0, 1)
	if b, _ := os.ReadFile(victim); string(b) != "mine" {
		t.Errorf("what links in the run folder named holds %q", b)
	}
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
