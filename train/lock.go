// The lock of a run folder: one process trains in it at a time. It is a lock of the operating system (flock,
// LockFileEx) on the file lock in the folder, so it ends with the process, however that ends, and a file that is left
// behind locks nothing. Reading a run takes no lock.

package train

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/gofrs/flock"
)

// lockFile holds, from its second byte on, who has the lock. Windows lets nobody else read the first, which is locked.
const lockFile = "lock"

// Lock is a run folder's lock while it is held.
type Lock struct {
	file *flock.Flock
	// Warning says why the folder could not be locked on a file system that has no locks; "" on others.
	Warning string
	made    []string // folders that CreateFolder made, the innermost first
}

// LockFolder takes the lock of a run folder. While another process has it, the error names that process.
func LockFolder(dir string) (*Lock, error) {
	path := filepath.Join(dir, lockFile)
	for {
		l := &Lock{file: flock.New(path, flock.SetFlag(os.O_CREATE|os.O_RDWR), flock.SetPermissions(0o666))}
		ok, err := l.file.TryLock()
		switch {
		case errors.Is(err, errors.ErrUnsupported) || errors.Is(err, syscall.ENOLCK):
			l.Warning = fmt.Sprintf("%s cannot be locked (%v): see to it that no other process trains in it", dir, err)
			return l, nil
		case err != nil:
			return nil, fmt.Errorf("cannot lock the run folder: %w; training writes there: copy the run to a "+
				"place that can be written", err)
		case !ok:
			return nil, fmt.Errorf("%s is being trained by %s: two would overwrite each other's checkpoints; "+
				"wait for it, stop it, or start another run", dir, holder(path))
		}
		// Whoever had the lock before may have removed the file after it was opened here.
		mine, err := l.file.Stat()
		named, err2 := os.Stat(path)
		if err == nil && err2 == nil && os.SameFile(mine, named) {
			l.sign(path)
			return l, nil
		}
		l.file.Close()
		if err = errors.Join(err, err2); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("cannot lock the run folder: %w", err)
		}
	}
}

// sign writes who has the lock. It is for people only: nothing depends on it.
func (l *Lock) sign(path string) {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return
	}
	defer f.Close()
	text := fmt.Sprintf("process %d", os.Getpid())
	if host, err := os.Hostname(); err == nil {
		text += " on " + host
	}
	text += time.Now().Format(" since 2006-01-02 15:04:05")
	f.Truncate(1)
	f.WriteAt([]byte(text+"\n"), 1)
}

// holder reads who has the lock.
func holder(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return "another process"
	}
	defer f.Close()
	var b [200]byte
	n, _ := f.ReadAt(b[:], 1)
	if text := strings.TrimSpace(string(b[:n])); text != "" {
		return text
	}
	return "another process"
}

// Release gives the lock up and removes its file.
func (l *Lock) Release() {
	if l == nil || !l.file.Locked() {
		return
	}
	// Unix removes the file while it is locked: whoever has it open by now looks again. Windows removes no file that
	// is open, neither here nor by anybody else.
	if runtime.GOOS != "windows" {
		os.Remove(l.file.Path())
	}
	l.file.Close()
	if runtime.GOOS == "windows" {
		os.Remove(l.file.Path())
	}
}

// Discard gives up the lock of a run that came to nothing, and removes the folders that were made for it as far as
// there is nothing in them.
func (l *Lock) Discard() {
	l.Release()
	for _, dir := range l.made {
		if os.Remove(dir) != nil {
			return
		}
	}
}
