// Tables: text files of numbers, one row a line. The delimiter (comma, semicolon, tab, bar or spaces), a line of
// names, a byte order mark, CRLF and quoted fields (RFC 4180) are recognised. Blank lines are passed over.

package dataset

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"sigmaz/internal/setting"
)

const byteOrderMark = "\ufeff"

// isTable recognises text: UTF-8 without control characters.
func isTable(f *dataFile) bool {
	text := bytes.TrimPrefix(f.head, []byte(byteOrderMark))
	if blank := bytes.TrimSpace(text); len(blank) == 0 || bytes.HasPrefix(blank, []byte("<")) {
		return false
	}
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		if r == utf8.RuneError && n == 1 {
			return len(text) < utf8.UTFMax // the head ends within a character
		}
		if r < ' ' && r != '\t' && r != '\r' && r != '\n' {
			return false
		}
		text = text[n:]
	}
	return true
}

// readTable reads the rows of a file. The first file decides the columns.
func readTable(f *dataFile, set Settings, t *table) error {
	if mark, _ := f.r.Peek(len(byteOrderMark)); string(mark) == byteOrderMark {
		f.r.Discard(len(byteOrderMark))
	}
	head, _ := f.r.Peek(f.r.Size())
	lines := newRecords(f.r, head)
	first, err := lines.next()
	if err == io.EOF {
		return fmt.Errorf("%s: expected a table of numbers, found blank lines only; choose another file", f.path)
	}
	if err != nil {
		return csvError(f.path, err)
	}
	first = slices.Clone(first)
	header := set.Header == "yes" || set.Header == "" && slices.ContainsFunc(first,
		func(s string) bool { return !isNumber(s) })
	number, err := t.setColumns(f.path, first, header, set.Columns)
	if err != nil {
		return err
	}
	row := first
	if header {
		row, err = lines.next()
	}
	for ; err == nil; row, err = lines.next() {
		if len(row) != len(first) {
			return fmt.Errorf("%s: line %d: expected %d fields as in the first line, found %d; mend the line", f.path,
				lines.line(), len(first), len(row))
		}
		for k, c := range number {
			v, err := parseNumber(row[c-1])
			if err != nil {
				return fmt.Errorf("%s: line %d, %s: expected a number, found %w", f.path, lines.line(), t.column(k), err)
			}
			t.x = append(t.x, v)
		}
	}
	if err != io.EOF {
		return csvError(f.path, err)
	}
	return nil
}

// setColumns chooses the columns of a file by its first line and the setting columns, and returns their numbers in
// this file, from 1. Those of another file than the first must be as many as the first file has, and have the same
// names.
func (t *table) setColumns(path string, first []string, header bool, columns string) ([]int, error) {
	var names []string // of all columns
	if header {
		for i, s := range first {
			s = strings.TrimSpace(s)
			if i == 0 {
				s = strings.TrimSpace(strings.TrimPrefix(s, "#")) // as numpy.savetxt writes it
			}
			names = append(names, s)
		}
	}
	number, err := chooseColumns(columns, names, len(first))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var chosen []string
	if header {
		for _, c := range number {
			chosen = append(chosen, names[c-1])
		}
	}
	if t.number == nil {
		t.number, t.names = number, chosen
	} else if len(number) != len(t.number) || !slices.Equal(chosen, t.names) {
		return nil, fmt.Errorf("%s: expected the %d columns of the first file (%s), found %d (%s); "+
			"name only tables with the same columns",
			path, len(t.number), strings.Join(t.names, ", "), len(number), strings.Join(chosen, ", "))
	}
	return number, nil
}

func csvError(path string, err error) error {
	var parse *csv.ParseError
	if errors.As(err, &parse) {
		return fmt.Errorf("%s: line %d: expected fields in quotes as RFC 4180 has them, found an error: %w; mend the line",
			path, parse.Line, parse.Err)
	}
	return unreadable(path, err)
}

func isNumber(f string) bool {
	_, err := strconv.ParseFloat(strings.TrimSpace(f), 64)
	return err == nil || errors.Is(err, strconv.ErrRange)
}

// parseNumber reads a field. The error says what was found instead of a finite number, and what to do.
func parseNumber(field string) (float64, error) {
	f := strings.TrimSpace(field)
	v, err := strconv.ParseFloat(f, 64)
	switch {
	case f == "":
		return 0, errors.New("an empty field; fill it in, or remove the row or the column (`columns`)")
	case err == nil && math.IsNaN(v), slices.Contains([]string{"na", "n/a", "null", "none", "?", "-"}, strings.ToLower(f)):
		return 0, fmt.Errorf("%q, a missing value; fill it in, or remove the row or the column (`columns`)", f)
	case errors.Is(err, strconv.ErrRange) || math.IsInf(v, 0):
		return 0, fmt.Errorf("%q, which is not finite; mend it, or remove the row or the column (`columns`)", f)
	case err != nil && isNumber(strings.Replace(f, ",", ".", 1)):
		return 0, fmt.Errorf("%q with a decimal comma; write it with a point", f)
	case err != nil:
		return 0, fmt.Errorf("%q; name the columns of numbers with `columns`", shorten(f))
	}
	return v, nil
}

// shorten makes a piece of a file fit into a message: one line, at most 40 characters.
func shorten(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > 40 {
		s = string(r[:37]) + "..."
	}
	return s
}

// records reads the fields of a table, line by line.
type records struct {
	csv  *csv.Reader    // for fields between delimiters
	text *bufio.Scanner // for fields between spaces
	at   int            // the number of the line that text is at
}

// newRecords chooses the delimiter by the first 20 lines: the one of ", ; tab |" that is on the most of them, the
// earlier one of two alike; spaces where none is on any.
func newRecords(r io.Reader, head []byte) *records {
	lines := strings.FieldsFunc(string(head), func(r rune) bool { return r == '\n' || r == '\r' })
	if len(lines) > 1 && !bytes.HasSuffix(head, []byte("\n")) {
		lines = lines[:len(lines)-1] // cut short
	}
	lines = slices.DeleteFunc(lines, func(l string) bool { return strings.TrimSpace(l) == "" })
	lines = lines[:min(len(lines), 20)]
	best, comma, spaced := 0, rune(0), 0
	for _, c := range ",;\t|" {
		on := 0
		for _, l := range lines {
			if strings.ContainsRune(unquoted(l), c) {
				on++
			}
		}
		// "1,5;2,5" has both on every line: the comma is the decimal one then.
		if on > best || on == best && on > 0 && comma == ',' && c == ';' {
			best, comma = on, c
		}
	}
	for _, l := range lines {
		if len(strings.Fields(l)) > 1 {
			spaced++
		}
	}
	if comma == 0 && spaced > 0 {
		s := bufio.NewScanner(r)
		s.Buffer(nil, 1<<24)
		return &records{text: s}
	}
	c := csv.NewReader(r)
	c.FieldsPerRecord, c.ReuseRecord, c.TrimLeadingSpace = -1, true, comma != '\t'
	if comma != 0 {
		c.Comma = comma
	}
	return &records{csv: c}
}

// unquoted returns a line without its quoted fields.
func unquoted(l string) string {
	var b strings.Builder
	for i, part := range strings.Split(l, `"`) {
		if i%2 == 0 {
			b.WriteString(part)
		}
	}
	return b.String()
}

// next returns the fields of the next line that is not blank. The next call overwrites them.
func (r *records) next() ([]string, error) {
	if r.csv != nil {
		for {
			f, err := r.csv.Read()
			if err == nil && len(f) == 1 && strings.TrimSpace(f[0]) == "" {
				continue
			}
			return f, err
		}
	}
	for r.text.Scan() {
		r.at++
		if f := strings.Fields(r.text.Text()); len(f) > 0 {
			if f[0] == "#" { // the mark of a comment before a line of names
				f = f[1:]
			}
			return f, nil
		}
	}
	if err := r.text.Err(); err != nil {
		return nil, err
	}
	return nil, io.EOF
}

// line is the number of the line that next returned, from 1.
func (r *records) line() int {
	if r.csv != nil {
		line, _ := r.csv.FieldPos(0)
		return line
	}
	return r.at
}

// chooseColumns reads the setting columns: names, numbers from 1 and ranges of numbers, with commas between. An item
// that is a name as well as a number is the name. The result is numbers from 1.
func chooseColumns(list string, names []string, width int) ([]int, error) {
	var out []int
	if list == "" {
		for c := range width {
			out = append(out, c+1)
		}
		return out, nil
	}
	c := csv.NewReader(strings.NewReader(list))
	c.TrimLeadingSpace = true
	items, err := c.Read()
	if err != nil {
		return nil, setting.Errorf("columns", "is %q: expected names, numbers and ranges with commas between, such as 1,3-5",
			list)
	}
	take := func(i int, item string) error {
		switch {
		case i < 1 || i > width:
			return setting.Errorf("columns", "names column %s, but the table has columns 1 to %d%s", item, width,
				inBrackets(names))
		case slices.Contains(out, i):
			return setting.Errorf("columns", "names column %s twice: name each once", item)
		}
		out = append(out, i)
		return nil
	}
	for _, item := range items {
		item = strings.TrimSpace(item)
		if i := slices.Index(names, item); i >= 0 && item != "" {
			if slices.Contains(names[i+1:], item) {
				return nil, setting.Errorf("columns", "names column %q, and the table has two of that name: give the number", item)
			}
			if err := take(i+1, item); err != nil {
				return nil, err
			}
			continue
		}
		from, to, isRange := strings.Cut(item, "-")
		if !isRange {
			to = from
		}
		a, err1 := strconv.Atoi(from)
		b, err2 := strconv.Atoi(to)
		if err1 != nil || err2 != nil || a > b {
			known := "its header has no such name" + inBrackets(names)
			if names == nil {
				known = "it has no header"
			}
			return nil, setting.Errorf("columns", "names column %q, which is neither a number nor a range such as 3-5, and %s",
				shorten(item), known)
		}
		if b-a > width {
			b = a + width // too large as well, and the loop below ends
		}
		for i := a; i <= b; i++ {
			if err := take(i, strconv.Itoa(i)); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// inBrackets lists names, for an error.
func inBrackets(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return " (" + baseNames(names) + ")"
}
