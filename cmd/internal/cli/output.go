// Outputs: files that are replaced as a whole, and standard output, which every output can be.

package cli

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"sigmaz/internal/atomicfile"
	"sigmaz/internal/terminal"
	"sigmaz/train"
)

// Stdout is the name that stands for standard output in place of a file's.
const Stdout = "-"

// Output is a place for what a command writes, as a flag names it.
type Output struct {
	Flag string // "-npy", for errors
	Path string // of a file, or Stdout
}

// Check finds now what would keep the output from being written later. inputs are files that the command reads, which
// no output may replace.
func (o Output) Check(s Streams, inputs ...string) error {
	if o.Path == Stdout {
		if terminal.Is(s.Data) {
			return Usagef("%s - writes data to the terminal: send it to a file or a program with > or |", o.Flag)
		}
		return nil
	}
	if err := train.CheckOutput(o.Path); err != nil {
		return fmt.Errorf("%s: %w", o.Flag, err)
	}
	if out, err := os.Stat(o.Path); err == nil {
		for _, input := range inputs {
			if in, err := os.Stat(input); err == nil && os.SameFile(in, out) {
				return Usagef("%s is %s, which is a file that is read: choose another", o.Flag, Line(o.Path))
			}
		}
	}
	return atomicfile.CheckWritable(o.Path)
}

// Write writes the output: a file as [atomicfile.WriteFile] does.
func (o Output) Write(s Streams, write func(io.Writer) error) error {
	if o.Path != Stdout {
		return atomicfile.WriteFile(o.Path, write)
	}
	w := bufio.NewWriterSize(s.Data, 1<<16)
	err := write(w)
	if flushed := w.Flush(); flushed != nil {
		return fmt.Errorf("cannot write to standard output: %w", flushed)
	}
	return err
}

// String returns the place as messages name it.
func (o Output) String() string {
	if o.Path == Stdout {
		return "standard output"
	}
	return o.Path
}

// CheckDistinct refuses outputs of which one would replace another.
func CheckDistinct(outputs []Output) error {
	flagOf := map[string]string{}
	for _, o := range outputs {
		path := o.Path
		if path != Stdout {
			var err error
			if path, err = filepath.Abs(path); err != nil {
				path = filepath.Clean(o.Path)
			}
		}
		if first, ok := flagOf[path]; ok {
			return Usagef("%s and %s are both %s: expected a file of its own for each, or one would replace the other",
				first, o.Flag, Line(o.Path))
		}
		flagOf[path] = o.Flag
	}
	return nil
}
