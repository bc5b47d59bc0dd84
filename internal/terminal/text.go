// Text that stays what it is on a terminal. A file's name may hold an escape that paints the screen or a line feed that
// makes two lines of one: neither reaches the output.

package terminal

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Line writes s on one line: characters that do not print, such as a line feed or an escape in a file's name, and bytes
// that are no UTF-8 are written as Go writes them between quotes.
func Line(s string) string { return plain(s, "") }

// plain is Line that leaves some characters alone.
func plain(s, keep string) string {
	var b strings.Builder
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case unicode.IsPrint(r) || strings.ContainsRune(keep, r):
			b.WriteString(s[:size])
		default:
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
		s = s[size:]
	}
	return b.String()
}

// text is a writer of [Text].
type text struct {
	to   io.Writer
	rest []byte // the beginning of a character whose other bytes are still to come
}

// Text returns a writer to w that writes everything as [Line] does, except that a line feed and a tab stay what they
// are.
func Text(w io.Writer) io.Writer { return &text{to: w} }

func (t *text) Write(p []byte) (int, error) {
	b := append(t.rest, p...)
	whole := len(b)
	for back := 1; back < utf8.UTFMax && back <= len(b); back++ {
		if at := len(b) - back; utf8.RuneStart(b[at]) {
			if !utf8.FullRune(b[at:]) {
				whole = at
			}
			break
		}
	}
	t.rest = append([]byte(nil), b[whole:]...)
	if _, err := io.WriteString(t.to, plain(string(b[:whole]), "\n\t")); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Raw returns the writer below that of [Text], for what is no text and for the codes that redraw a line; any other
// writer is returned as it is.
func Raw(w io.Writer) io.Writer {
	if t, ok := w.(*text); ok {
		return t.to
	}
	return w
}
