// The lock of a run folder: one process trains in it at a time. It is a lock of the operating system (flock,
// LockFileEx) on the file lock in the folder, so it ends with the process, however that ends, and a file that is left
// behind locks nothing. Where the system can, the folder itself is locked too: that lock holds when somebody removes the
// file. Reading a run takes no lock.

package train

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"sigmaz/internal/ownfile"

	"github.com/gofrs/flock"
)

// lockFile holds, from its second byte on, who has the lock. Windows lets nobody else read the first, which is locked.
const lockFile = "lock"

// Lock is a run folder's lock while it is held.
type Lock struct {
	file   *flock.Flock
	folder *flock.Flock // nil where folders cannot be locked
	// Warning says why the folder could not be locked on a file system that has no locks; "" on others.
	Warning string
	made    []string // folders that CreateFolder made, the innermost first
}

// LockFolder takes the lock of a run folder. While another process has it, the error names that process.
func LockFolder(dir string) (*Lock, error) {
	path := filepath.Join(dir, lockFile)
	for {
		if !isLockFile(path) {
			return nil, fmt.Errorf("cannot lock the run folder: %s is not a file that training made: move it away", path)
		}
		l := &Lock{file: flock.New(path, flock.SetFlag(os.O_CREATE|os.O_RDWR|ownfile.NoFollow), flock.SetPermissions(0o666))}
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
			if !l.lockFolder(dir) {
				l.Release()
				return nil, fmt.Errorf("%s is being trained by another process, though somebody removed its file %s: two would "+
					"overwrite each other's checkpoints; wait for it, stop it, or start another run", dir, lockFile)
			}
			l.sign(path)
			return l, nil
		}
		l.file.Close()
		if err = errors.Join(err, err2); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("cannot lock the run folder: %w", err)
		}
	}
}

// lockFolder locks the folder itself, which nobody can remove while it holds a run. It returns false when another
// process has that lock, and true where folders cannot be locked: then the file's lock is all there is.
func (l *Lock) lockFolder(dir string) bool {
	if runtime.GOOS == "windows" {
		return true
	}
	f := flock.New(dir, flock.SetFlag(os.O_RDONLY))
	ok, err := f.TryLock()
	if ok {
		l.folder = f
	} else {
		f.Close()
	}
	return ok || err != nil
}

// lockSigned is how the content of a lock's file begins.
const lockSigned = "\x00process "

// isLockFile tells whether the file at path can be one that a lock made: empty, one byte, or signed. One that cannot be
// read, or is gone by now, may be; Windows lets nobody read the first byte.
func isLockFile(path string) bool {
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		return false
	}
	f, err := ownfile.Open(path, os.O_RDONLY)
	if err != nil {
		return true
	}
	defer f.Close()
	var b [len(lockSigned)]byte
	n, err := f.ReadAt(b[:], 0)
	return n <= 1 || string(b[:n]) == lockSigned || err != nil && err != io.EOF
}

// sign writes who has the lock. It is for people only: nothing depends on it.
func (l *Lock) sign(path string) {
	f, err := ownfile.Open(path, os.O_WRONLY)
	if err != nil {
		return
	}
	defer f.Close()
	text := fmt.Sprintf("%s%d", lockSigned[1:], os.Getpid())
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
	if l.folder != nil { // before the file: whoever has both has the lock
		l.folder.Close()
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
	if l == nil {
		return
	}
	if len(l.made) > 0 && unbegun(l.made[0]) {
		sweep(l.made[0])
		os.Remove(filepath.Join(l.made[0], samplesDir))
		os.Remove(filepath.Join(l.made[0], checkpointsDir))
	}
	l.Release()
	for _, dir := range l.made {
		if os.Remove(dir) != nil {
			return
		}
	}
}
