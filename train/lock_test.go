package train

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

func TestLockFolder(t *testing.T) {
	dir := t.TempDir()
	lock, err := LockFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := LockFolder(dir); err == nil || !strings.Contains(err.Error(), dir+" is being trained by process ") {
		t.Errorf("a second lock: %v", err)
	}
	lock.Release()
	lock.Release() // once more does no harm
	if entries, _ := os.ReadDir(dir); len(entries) != 0 {
		t.Errorf("left %v", entries)
	}
	// What a killed process leaves behind locks nothing.
	write(t, filepath.Join(dir, lockFile), "\x00process 1 on nowhere\n")
	if lock, err = LockFolder(dir); err != nil {
		t.Fatal(err)
	}
	lock.Release()

	// Whoever removes the file of a lock that is held opens the folder to nobody.
	if runtime.GOOS != "windows" {
		if lock, err = LockFolder(dir); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			os.Remove(filepath.Join(dir, lockFile))
			if _, err := LockFolder(dir); err == nil || !strings.Contains(err.Error(), "is being trained by another process") {
				t.Errorf("the file was removed: %v", err)
			}
		}
		lock.Release()
		if lock, err = LockFolder(dir); err != nil {
			t.Fatal(err)
		}
		lock.Release()
	}
	for _, text := range []string{"mine", "\x00", "\x00pro", "process 1"} {
		path := filepath.Join(dir, lockFile)
		write(t, path, text)
		lock, err := LockFolder(dir)
		if ours := text == "\x00"; (err == nil) != ours {
			t.Errorf("a file with %q: %v", text, err)
		}
		if b, _ := os.ReadFile(path); err != nil && string(b) != text {
			t.Errorf("a file with %q holds %q now", text, b)
		}
		lock.Release()
		os.Remove(path)
	}

	if _, err := LockFolder(filepath.Join(dir, "none")); err == nil ||
		!strings.Contains(err.Error(), "cannot lock the run folder") {
		t.Errorf("a folder that is not there: %v", err)
	}
	if err := os.Mkdir(filepath.Join(dir, lockFile), 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := LockFolder(dir); err == nil || !strings.Contains(err.Error(), "cannot lock the run folder") {
		t.Errorf("a folder in the file's place: %v", err)
	}
}

// However locks are taken and given up, with the file removed each time, two never hold one.
func TestLockIsHeldOnce(t *testing.T) {
	dir := t.TempDir()
	var holders, taken atomic.Int32
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 200 {
				lock, err := LockFolder(dir)
				if err != nil {
					if !strings.Contains(err.Error(), "is being trained by") && runtime.GOOS != "windows" {
						t.Error(err)
					}
					continue
				}
				if n := holders.Add(1); n != 1 {
					t.Errorf("%d hold the lock", n)
				}
				taken.Add(1)
				runtime.Gosched()
				holders.Add(-1)
				lock.Release()
			}
		})
	}
	group.Wait()
	if taken.Load() < 8 {
		t.Errorf("the lock was taken %d times", taken.Load())
	}
}
