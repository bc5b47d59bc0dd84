// Text: the lines of a table's file as UTF-8, whatever program wrote them.
//
//	encoding   UTF-8, UTF-16 of both byte orders, with or without a byte order mark; else Windows-1252, which has
//	           all printable characters of Latin-1
//	line ends  LF, CR LF or, in a file without LF, CR
//	end mark   0x1A at the end of a file, as DOS has it, is no part of the text
//	comments   lines that begin with #, unless they begin with one of a spreadsheet's errors, such as #N/A

package dataset

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	textencoding "golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
)

const (
	byteOrderMark = "\ufeff"
	endMark       = 0x1a
)

// maxRow bounds one row of a table. Longer ones are no tables, or made to harm.
const maxRow = 1 << 24

// freeText is how much text any packed file may hold; beyond that it may be at most deflateRatio times the file. Tests
// make it smaller.
var freeText int64 = 1 << 26

// textForm is how text is stored. A nil decoder stands for UTF-8.
type textForm struct {
	name    string
	decoder textencoding.Encoding
}

var (
	utf8Form  = textForm{name: "UTF-8"}
	utf16LE   = textForm{"UTF-16", unicode.UTF16(unicode.LittleEndian, unicode.UseBOM)}
	utf16BE   = textForm{"UTF-16", unicode.UTF16(unicode.BigEndian, unicode.UseBOM)}
	windows   = textForm{"Windows-1252", charmap.Windows1252}
	undefined = []byte{0x81, 0x8d, 0x8f, 0x90, 0x9d} // no characters of Windows-1252
)

// textFormOf recognises text by the start of a file, which is all of it if whole. ok is false for what is no text.
func textFormOf(head []byte, whole bool) (form textForm, ok bool) {
	switch {
	case bytes.HasPrefix(head, []byte("\xff\xfe")) && isText(decodeHead(utf16LE, head), whole):
		return utf16LE, true
	case bytes.HasPrefix(head, []byte("\xfe\xff")) && isText(decodeHead(utf16BE, head), whole):
		return utf16BE, true
	case isText(head, whole):
		return utf8Form, true
	case bytes.IndexByte(head, 0) >= 0: // half of the bytes of ASCII in UTF-16
		if whole && len(head)%2 != 0 {
			return form, false
		}
		for _, form := range []textForm{utf16LE, utf16BE} {
			if text := decodeHead(form, head); isText(text, whole) && mostlyASCII(text) {
				return form, true
			}
		}
		return form, false
	}
	if slices.ContainsFunc(head, func(b byte) bool { return slices.Contains(undefined, b) }) {
		return form, false
	}
	text := decodeHead(windows, head)
	return windows, isText(text, whole) && mostlyASCII(text) && bytes.ContainsAny(text, "0123456789")
}

// decodeHead returns the start of a file as UTF-8. A character that the start ends within is left out.
func decodeHead(form textForm, head []byte) []byte {
	if form.name == utf16LE.name {
		head = head[:len(head)&^1]
	}
	text, err := form.decoder.NewDecoder().Bytes(head)
	if err != nil {
		return nil
	}
	return text
}

// isText tells whether the start of some content is UTF-8 without control characters, and neither blank nor markup.
func isText(text []byte, whole bool) bool {
	text = bytes.TrimPrefix(text, []byte(byteOrderMark))
	if whole {
		text = bytes.TrimRight(text, string(rune(endMark)))
	}
	if blank := bytes.TrimSpace(text); len(blank) == 0 || bytes.HasPrefix(blank, []byte("<")) {
		return false
	}
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		if r == utf8.RuneError && n == 1 {
			return !whole && !utf8.FullRune(text) // the head ends within a character
		}
		if r < ' ' && r != '\t' && r != '\r' && r != '\n' {
			return false
		}
		text = text[n:]
	}
	return true
}

// mostlyASCII tells whether two of three characters are ASCII, as in any table of numbers.
func mostlyASCII(text []byte) bool {
	other := 0
	for _, r := range string(text) {
		if r >= utf8.RuneSelf {
			other++
		}
	}
	return 3*other < utf8.RuneCount(text)
}

// isJSON recognises JSON by its first two marks: no line of a table begins so.
func isJSON(f *dataFile) bool {
	text := bytes.TrimSpace(bytes.TrimPrefix(f.head, []byte(byteOrderMark)))
	if len(text) < 2 || !isText(f.head, f.whole) {
		return false
	}
	rest := bytes.TrimSpace(text[1:])
	if len(rest) == 0 {
		return false
	}
	switch text[0] {
	case '{':
		return rest[0] == '"' || rest[0] == '}'
	case '[':
		return bytes.IndexByte([]byte(`[{"-0123456789]`), rest[0]) >= 0
	}
	return false
}

// errorsOfSpreadsheets are what Excel and its kin write for a value that could not be computed.
var errorsOfSpreadsheets = []string{"#N/A", "#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!", "#NULL!"}

// isComment tells whether a line is a comment.
func isComment(line []byte) bool {
	line = bytes.TrimLeft(line, " \t")
	if len(line) == 0 || line[0] != '#' {
		return false
	}
	return !slices.ContainsFunc(errorsOfSpreadsheets, func(e string) bool {
		return len(line) >= len(e) && strings.EqualFold(string(line[:len(e)]), e)
	})
}

// textReader reads the text of a file line by line. What is no row becomes an empty line, so that the lines keep their
// numbers.
type textReader struct {
	f        *dataFile
	r        *bufio.Reader
	end      byte // of a line
	comments bool // lines that begin with # are comments
	quotes   bool // a field in quotes may hold line ends

	line     int    // that was read last, from 1
	passed   int    // comments
	last     string // the comment before the first row, if it is directly before
	started  bool   // the first row was read
	quoted   bool   // the line ended within quotes
	row      int    // bytes of the row so far
	unpacked int64
	rest     []byte // of the line, not handed out yet
	err      error
}

// newTextReader begins to read the text of a file. head is the start of it as UTF-8.
func newTextReader(f *dataFile) (t *textReader, form textForm, head []byte) {
	form, _ = textFormOf(f.head, f.whole)
	r := f.r
	if form.decoder != nil {
		r = bufio.NewReaderSize(form.decoder.NewDecoder().Reader(r), 1<<16)
	}
	if mark, _ := r.Peek(len(byteOrderMark)); string(mark) == byteOrderMark {
		r.Discard(len(byteOrderMark))
	}
	head, _ = r.Peek(r.Size())
	t = &textReader{f: f, r: r, end: '\n'}
	if bytes.IndexByte(head, '\n') < 0 && bytes.IndexByte(head, '\r') >= 0 {
		t.end = '\r'
		head = bytes.ReplaceAll(head, []byte("\r"), []byte("\n"))
	}
	return t, form, bytes.TrimRight(head, string(rune(endMark)))
}

// Read hands out the lines.
func (t *textReader) Read(p []byte) (int, error) {
	for len(t.rest) == 0 {
		if t.err != nil {
			return 0, t.err
		}
		t.rest, t.err = t.next()
	}
	n := copy(p, t.rest)
	t.rest = t.rest[n:]
	return n, nil
}

// next reads a line, with its end as LF.
func (t *textReader) next() ([]byte, error) {
	var line []byte
	for {
		part, err := t.r.ReadSlice(t.end)
		line = append(line, part...)
		if t.unpacked += int64(len(part)); t.f.packed.name != "" && t.unpacked > max(freeText, t.f.size*deflateRatio) {
			return nil, fmt.Errorf("%s: expected a table, found more text in %s than %d times the %d bytes of the file: "+
				"it is damaged or made to harm; unpack it if it is not", t.f.path, t.f.packed.name, deflateRatio, t.f.size)
		}
		if t.row+len(line) > maxRow {
			return nil, fmt.Errorf("%s: line %d: expected rows of at most %d MiB, found a longer one; "+
				"choose another file, or end its lines", t.f.path, t.line+1, maxRow>>20)
		}
		if err == bufio.ErrBufferFull {
			continue
		}
		if err == io.EOF {
			line = bytes.TrimRight(line, string(rune(endMark)))
		} else if err != nil {
			return nil, t.f.damaged(err)
		} else {
			line[len(line)-1] = '\n'
		}
		return t.clean(line), err
	}
}

// clean returns a line that was read, or an empty one for a comment.
func (t *textReader) clean(line []byte) []byte {
	t.line++
	blank := len(bytes.TrimSpace(line)) == 0
	if t.comments && !t.quoted && isComment(line) {
		t.passed++
		if !t.started {
			t.last = strings.TrimSpace(strings.TrimLeft(string(line), " \t#"))
		}
		return []byte("\n")
	}
	if t.quotes && bytes.Count(line, []byte(`"`))%2 == 1 {
		t.quoted = !t.quoted
	}
	if t.row += len(line); !t.quoted {
		t.row = 0
	}
	if !blank {
		t.started = true
	} else if !t.started {
		t.last = ""
	}
	return line
}
