// Tables: text files of numbers, a row a line. The delimiter (comma, semicolon, tab, or spaces), a header line, a byte
// order mark, CRLF and quoted fields (RFC 4180) are recognised; blank lines are passed over.
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

// table is the chosen columns of text files.
type table struct {
	names  []string  // of the chosen columns; nil without a header
	number []int     // of the chosen columns in the file, from 1
	x      []float64 // (N, D)
}

// column is what an error calls column k: its number in the file and its name.
func (t *table) column(k int) string {
	if t.names == nil {
		return fmt.Sprintf("column %d", t.number[k])
	}
	return fmt.Sprintf("column %d (%s)", t.number[k], t.names[k])
}

// isTable reports whether head looks like a text file of fields.
func isTable(head []byte) bool {
	head = bytes.TrimPrefix(head, []byte("\ufeff"))
	if len(bytes.TrimSpace(head)) == 0 || bytes.HasPrefix(bytes.TrimSpace(head), []byte("<")) {
		return false
	}
	for len(head) > 0 {
		r, n := utf8.DecodeRune(head)
		if r == utf8.RuneError && n == 1 {
			return len(head) < utf8.UTFMax // cut within a rune
		}
		if r < ' ' && r != '\t' && r != '\r' && r != '\n' {
			return false
		}
		head = head[n:]
	}
	return true
}

// read adds the rows of a file. The first file says which columns there are.
func (t *table) read(path string, r *bufio.Reader, set Settings) error {
	if bom, _ := r.Peek(3); bytes.Equal(bom, []byte("\ufeff")) {
		r.Discard(3)
	}
	head, _ := r.Peek(r.Size())
	records := newRecords(r, head)
	first, err := records.next()
	if err == io.EOF {
		return fmt.Errorf("%s: expected a table of numbers, found blank lines only; choose another file", path)
	}
	if err != nil {
		return csvError(path, err)
	}
	first = slices.Clone(first)
	width := len(first)
	header := set.Header == "yes" || set.Header == "" && slices.ContainsFunc(first, func(f string) bool { return !isNumber(f) })
	var names []string
	if header {
		for i, f := range first {
			f = strings.TrimSpace(f)
			if i == 0 {
				f = strings.TrimSpace(strings.TrimPrefix(f, "#")) // as numpy.savetxt writes it
			}
			names = append(names, f)
		}
	}
	number, err := chooseColumns(set.Columns, names, width)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
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
		return fmt.Errorf("%s: expected the %d columns of the first file (%s), found %d (%s); name only tables with the same columns",
			path, len(t.number), strings.Join(t.names, ", "), len(number), strings.Join(chosen, ", "))
	}

	for row, fresh := first, !header; ; {
		if fresh {
			if len(row) != width {
				return fmt.Errorf("%s: line %d: expected %d fields as in the first line, found %d; mend the line", path, records.line(), width, len(row))
			}
			for k, c := range number {
				v, err := number64(row[c-1])
				if err != nil {
					return fmt.Errorf("%s: line %d, %s: expected a number, found %w", path, records.line(), t.column(k), err)
				}
				t.x = append(t.x, v)
			}
		}
		fresh = true
		if row, err = records.next(); err == io.EOF {
			return nil
		}
		if err != nil {
			return csvError(path, err)
		}
	}
}

func csvError(path string, err error) error {
	var parse *csv.ParseError
	if errors.As(err, &parse) {
		return fmt.Errorf("%s: line %d: expected fields in quotes as RFC 4180 has them, found an error: %w; mend the line", path, parse.Line, parse.Err)
	}
	return unreadable(path, err)
}

func isNumber(f string) bool {
	_, err := strconv.ParseFloat(strings.TrimSpace(f), 64)
	return err == nil || errors.Is(err, strconv.ErrRange)
}

// number64 reads a field. The error is what was found instead of a finite number and what to do.
func number64(field string) (float64, error) {
	f := strings.TrimSpace(field)
	v, err := strconv.ParseFloat(f, 64)
	switch {
	case f == "":
		return 0, errors.New("an empty field; fill it in, or remove the row or the column (-columns)")
	case err == nil && math.IsNaN(v), slices.Contains([]string{"na", "n/a", "null", "none", "?", "-"}, strings.ToLower(f)):
		return 0, fmt.Errorf("%q, a missing value; fill it in, or remove the row or the column (-columns)", f)
	case errors.Is(err, strconv.ErrRange) || math.IsInf(v, 0):
		return 0, fmt.Errorf("%q, which is not finite; mend it, or remove the row or the column (-columns)", f)
	case err != nil && isNumber(strings.Replace(f, ",", ".", 1)):
		return 0, fmt.Errorf("%q with a decimal comma; write it with a point", f)
	case err != nil:
		return 0, fmt.Errorf("%q; name the columns of numbers with -columns", clip(f))
	}
	return v, nil
}

// clip keeps a message to one line of sane length.
func clip(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > 40 {
		s = string(r[:37]) + "..."
	}
	return s
}

// records reads the fields of a table, line by line.
type records struct {
	csv  *csv.Reader
	text *bufio.Scanner // for fields between spaces
	at   int
}

// newRecords chooses the delimiter by the start of the text: the one that is on the most of its first lines, and comes
// first in ", ; tab |"; spaces where there is none of these.
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

// unquoted is a line without its quoted fields.
func unquoted(l string) string {
	var b strings.Builder
	for i, part := range strings.Split(l, `"`) {
		if i%2 == 0 {
			b.WriteString(part)
		}
	}
	return b.String()
}

// next is the fields of the next line that is not blank; they hold until the next call.
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
			if f[0] == "#" { // the sign of a comment before a header
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

// line is the number of the line that next returned.
func (r *records) line() int {
	if r.csv != nil {
		line, _ := r.csv.FieldPos(0)
		return line
	}
	return r.at
}

// chooseColumns reads a list of columns: names, numbers from 1, and ranges of numbers. A name goes before a number.
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
		return nil, setting.Errorf("columns", "is %q: expected names, numbers and ranges with commas between, such as 1,3-5", list)
	}
	take := func(i int, item string) error {
		switch {
		case i < 1 || i > width:
			return setting.Errorf("columns", "names column %s, but the table has columns 1 to %d%s", item, width, inBrackets(names))
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
				return nil, setting.Errorf("columns", "names column %q, of which the table has two: give its number", item)
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
			return nil, setting.Errorf("columns", "names column %q, which is neither a number nor a range such as 3-5, and %s", clip(item), known)
		}
		if b-a > width {
			b = a + width // the next line finds it too large
		}
		for i := a; i <= b; i++ {
			if err := take(i, strconv.Itoa(i)); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// inBrackets is some names, for an error.
func inBrackets(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return " (" + baseNames(names) + ")"
}
