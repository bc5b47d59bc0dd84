package terminal

import (
	"io"
	"os"
	"strconv"

	"golang.org/x/term"
)

// Widths in columns: what is assumed where nothing says how wide the output is, and the least that is ever returned.
const (
	assumedWidth = 80
	leastWidth   = 20
)

// Width returns the number of columns of out: the terminal's, if it is one, or else the environment variable COLUMNS,
// or else 80. It never returns less than 20.
func Width(out io.Writer) int {
	cols := 0
	if f, ok := Raw(out).(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		cols, _, _ = term.GetSize(int(f.Fd()))
	}
	if cols <= 0 {
		cols, _ = strconv.Atoi(os.Getenv("COLUMNS"))
	}
	if cols <= 0 {
		cols = assumedWidth
	}
	return max(cols, leastWidth)
}

// Is reports whether out is a terminal.
func Is(out io.Writer) bool {
	f, ok := Raw(out).(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Redraws reports whether out is a terminal on which a line can be written over, which TERM=dumb is not.
func Redraws(out io.Writer) bool {
	return Is(out) && os.Getenv("TERM") != "dumb"
}
