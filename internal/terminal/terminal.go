// Package terminal tells what the output of a command is shown on.
package terminal

import (
	"io"
	"os"
	"strconv"

	"golang.org/x/term"
)

// fallback is the width where nothing says how wide the output is.
const fallback = 80

// Width is the number of columns that out has: those of the terminal that it is, or what the environment variable
// COLUMNS says, or 80. It is never less than 20.
func Width(out io.Writer) int {
	cols := 0
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		cols, _, _ = term.GetSize(int(f.Fd()))
	}
	if cols <= 0 {
		cols, _ = strconv.Atoi(os.Getenv("COLUMNS"))
	}
	if cols <= 0 {
		cols = fallback
	}
	return max(cols, 20)
}

// Redraws tells whether out is a terminal on which a line can be written over: one that is not TERM=dumb.
func Redraws(out io.Writer) bool {
	f, ok := out.(*os.File)
	return ok && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(f.Fd()))
}
