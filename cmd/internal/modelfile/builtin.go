// The model that is part of the program: digits.safetensors, a state_dict in float16 that export writes of a run. Here
// it is decided what its name means, for all commands that take a RUN.

package modelfile

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"sigmaz/model/checkpoint"
)

// Digits is the name of the model in the program, which draws handwritten digits.
const Digits = "digits"

//go:embed digits.safetensors
var digits []byte

// IsBuiltIn tells whether path means the model in the program: it is its name, and no file or folder has it.
func IsBuiltIn(path string) bool {
	if path != Digits {
		return false
	}
	_, err := os.Lstat(path)
	return errors.Is(err, fs.ErrNotExist)
}

// Means tells whether path can mean nothing but the model in the program: also as digits/, where no file or folder has the name,
// which [Find] puts right.
func Means(path string) bool { return IsBuiltIn(filepath.Clean(path)) }

// OpenWeights opens a file that [Find] found.
func OpenWeights(file string) (*checkpoint.Weights, error) {
	if IsBuiltIn(file) {
		return checkpoint.ReadWeights(file, bytes.NewReader(digits), int64(len(digits)))
	}
	return checkpoint.OpenWeights(file)
}

// hidden adds to an error about a file or folder that has the model's name that it hides the model.
func hidden(path string, err error) error {
	if err == nil || path != Digits || IsBuiltIn(path) {
		return err
	}
	return fmt.Errorf("%w; what has the name %s here hides the model in the program: call from another folder for that",
		err, Digits)
}
