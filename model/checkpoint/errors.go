// What can be wrong with a safetensors file.

package checkpoint

import (
	"bytes"
	"errors"
	"path/filepath"
)

// The kinds of faults. Every error of [ReadCheckpoint] and [ReadSafetensors] about a file's content is a [FileError]
// with one of them, so errors.Is tells them apart.
var (
	ErrTruncated      = errors.New("truncated")                  // the file ends before its header says
	ErrNotSafetensors = errors.New("not a safetensors file")     // the start is no safetensors header
	ErrNotCheckpoint  = errors.New("not a checkpoint of sigmaz") // safetensors without our metadata
	ErrVersion        = errors.New("unsupported format version") // written by another version of sigmaz
	ErrDamaged        = errors.New("damaged")                    // bytes have changed since it was written
	ErrUnsupported    = errors.New("unsupported tensor")         // a dtype or shape that sigmaz does not hold
)

// FileError says what is wrong with a file, in one sentence that ends in what to do.
type FileError struct {
	Path string
	Kind error  // one of the Err values above
	Text string // what was found and expected, and what to do
}

func (e *FileError) Error() string { return e.Path + " " + e.Text }
func (e *FileError) Unwrap() error { return e.Kind }

// again is what to do about a file that is broken: beside a checkpoint of a run there are earlier ones, beside a file of
// another program there are none.
func (h *header) again() string {
	path, err := filepath.Abs(h.path)
	ours := err == nil && filepath.Base(filepath.Dir(path)) == "checkpoints"
	if ours || bytes.Contains(h.raw, []byte(`"`+formatKey+`":"`+formatPrefix)) {
		return "use an earlier checkpoint in the same folder"
	}
	return "copy or download it again"
}
