// Tables: text files of numbers, one row a line. The delimiter (comma, semicolon, tab, bar or spaces), a line of
// names, how numbers are written (numbers.go), and quoted fields (RFC 4180) are recognised. Blank lines and comments
// are passed over. What is no row is in text.go.

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
	"unicode"

	"sigmaz/internal/setting"
)

// Cells reads the fields of a table that is no data to learn, row by row, in every form that tables to learn may have:
// delimiter, text, quotes, comments. Numbers are written anew where they have another style than a decimal point. A file
// without rows has none.
func Cells(path string) (rows [][]string, err error) {
	f, err := openFile(path)
	if err != nil {
		return nil, err
	}
	defer f.close()
	if len(f.head) == 0 {
		return nil, nil
	}
	if !isTable(f) {
		return nil, fmt.Errorf("%s: expected a table, found no text; save it as CSV", path)
	}
	text, _, head := newTextReader(f)
	r := newRecords(text, head)
	for {
		row, err := r.next()
		if err == io.EOF {
			return rows, nil
		}
		if err != nil {
			return nil, r.error(f, err)
		}
		row = slices.Clone(row)
		for k, cell := range row {
			if v, err := r.style.parse(cell); err == nil && r.style.name != "" {
				row[k] = strconv.FormatFloat(v, 'g', -1, 64)
			}
		}
		rows = append(rows, row)
	}
}

// isTable recognises text.
func isTable(f *dataFile) bool {
	_, ok := textFormOf(f.head, f.whole)
	return ok
}

// readTable reads the rows of a file. The first file decides the columns.
func readTable(f *dataFile, set Settings, t *table) error {
	text, form, head := newTextReader(f)
	rows := newRecords(text, head)
	first, err := rows.next()
	if err == io.EOF {
		return fmt.Errorf("%s: expected a table of numbers, found blank lines and comments only; choose another file", f.path)
	}
	if err != nil {
		return rows.error(f, err)
	}
	first = slices.Clone(first)
	if set.Classes && set.Label == "" {
		return setting.Errorf("classes", "asks for labels, and %s is a table, which has them in a column (%s): name it with "+
			"`label` COLUMN", f.path, listNames(first))
	}
	values := withoutLabel(first, set.Label) // by which a header is told from a row
	var names []string                       // of all columns; nil: there is no header
	header := set.Header == "yes" || set.Header == "" && rows.looksLikeNames(values) && !rows.isRow(first)
	commented := rows.split(text.last)
	switch {
	case set.Header != "no" && rows.allNumbers(values) && len(commented) == len(first) && !rows.allNumbers(commented):
		names, header = commented, false // "# a b c", as numpy.savetxt writes it
		text.passed--
	case header:
		names = first
	}
	number, label, err := t.setColumns(f.path, names, len(first), set)
	if err != nil {
		return err
	}
	row := first
	if header {
		row, err = rows.next()
	}
	before := len(t.x)
	for ; err == nil; row, err = rows.next() {
		there := false // a value of the row
		if len(row) != len(first) {
			return fmt.Errorf("%s: line %d: expected %d fields as in the first line, found %d; mend the line", f.path,
				rows.line(), len(first), len(row))
		}
		for k, c := range number {
			v, err := t.columns[k].read(row[c-1], &rows.style, rows.line())
			if err != nil {
				return fmt.Errorf("%s: line %d, %s: %w", f.path, rows.line(), t.column(k), err)
			}
			t.x = append(t.x, v)
			there = there || v == v
		}
		if !there {
			return fmt.Errorf("%s: line %d: expected a value in one column or more of each row, found none; take the row out", f.path,
				rows.line())
		}
		if label > 0 {
			class := oneLine(row[label-1])
			if isMissing(class) {
				return fmt.Errorf("%s: line %d, column %d (`label`): expected the class of the row, found %q; name it, or take the "+
					"row out", f.path, rows.line(), label, class)
			}
			t.labels = append(t.labels, class)
		}
		if err := t.checkMemory(f.path); err != nil {
			return err
		}
	}
	if err != io.EOF {
		return rows.error(f, err)
	}
	t.tell(f, rows, form, first, names, header, t.x[before:], number)
	return nil
}

// tell notes what was taken for what, and what was passed over. first is the fields of the first line that is neither
// blank nor a comment, and x the values of the file.
func (t *table) tell(f *dataFile, rows *records, form textForm, first, names []string, header bool, x []float64,
	number []int) {
	var says []string
	if form.decoder != nil {
		says = append(says, "text in "+form.name)
	}
	if rows.style.name != "" {
		says = append(says, rows.style.name)
	}
	switch {
	case header:
		says = append(says, "the first line is the header ("+listNames(names)+")")
	case names != nil:
		says = append(says, "the comment before the first row is the header ("+listNames(names)+")")
	case countsUp(first):
		says = append(says, "no header: the first line ("+listNames(first)+") is learned as a row; "+
			"if these are names, say `header` yes")
	default:
		says = append(says, "no header")
	}
	if n := rows.text.passed; n > 0 {
		says = append(says, fmt.Sprintf("%d other lines that begin with # passed over", n))
	}
	if d := len(number); d > 1 && number[0] == 1 && t.columns[0].kind == numbers && countsRows(x, d) {
		what := ""
		switch {
		case names == nil:
		case strings.TrimSpace(names[0]) == "":
			what = " (without a name)"
		default:
			what = fmt.Sprintf(" (%s)", shorten(names[0]))
		}
		others := "2"
		if len(first) > 2 {
			others = fmt.Sprintf("2-%d", len(first))
		}
		says = append(says, fmt.Sprintf("column 1%s counts the rows and is learned like the others; `columns` %s leaves it "+
			"out", what, others))
	}
	t.notes = append(t.notes, strings.Join(says, "; "))
}

// countsUp tells whether fields are whole numbers that count, such as years: they may be names.
func countsUp(fields []string) bool {
	for i, s := range fields {
		a, err := strconv.Atoi(strings.TrimSpace(s))
		if b, _ := strconv.Atoi(strings.TrimSpace(fields[0])); err != nil || a != b+i {
			return false
		}
	}
	return len(fields) > 1
}

// countsRows tells whether the first of d columns goes up by 1 from row to row.
func countsRows(x []float64, d int) bool {
	for i := 0; i < len(x); i += d {
		if x[i] != x[0]+float64(i/d) {
			return false
		}
	}
	return len(x) > 2*d && x[0] == math.Floor(x[0])
}

// setColumns chooses the columns of a file of some width by the names in it, nil if there are none, and the setting
// columns. It returns their numbers in this file, from 1, and that of the column of labels, 0 where there is none. The
// columns of another file than the first must be as many as the first file has, and have the same names.
func (t *table) setColumns(path string, names []string, width int, set Settings) (number []int, label int, err error) {
	names = slices.Clone(names)
	for i, s := range names {
		names[i] = strings.TrimSpace(s)
		if i == 0 { // where # is no mark of a comment, or in quotes
			names[i] = strings.TrimSpace(strings.TrimPrefix(names[i], "#"))
		}
	}
	if number, err = chooseColumns("columns", set.Columns, names, width); err == nil && set.Label != "" {
		label, err = labelColumn(set.Label, names, width)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("%s: %w", path, err)
	}
	if at := slices.Index(number, label); at >= 0 {
		if number = slices.Delete(number, at, at+1); set.Columns != "" || len(number) == 0 {
			return nil, 0, fmt.Errorf("%s: %w", path, setting.Errorf("label", "is column %s, which is among the columns to learn: "+
				"expected others in `columns`", set.Label))
		}
	}
	var chosen []string
	if names != nil {
		for _, c := range number {
			chosen = append(chosen, names[c-1])
		}
	}
	if t.number == nil {
		t.number, t.names = number, chosen
	} else if len(number) != len(t.number) || !slices.Equal(chosen, t.names) {
		return nil, 0, fmt.Errorf("%s: expected the %d columns of the first file (%s), found %d (%s); "+
			"name only tables with the same columns",
			path, len(t.number), listNames(t.names), len(number), listNames(chosen))
	}
	if t.columns == nil {
		if err := t.setKinds(names, width, set); err != nil {
			return nil, 0, fmt.Errorf("%s: %w", path, err)
		}
	}
	return number, label, nil
}

// withoutLabel leaves the column of labels out of the fields of a row, where label is its number.
func withoutLabel(fields []string, label string) []string {
	if c, err := strconv.Atoi(label); err == nil && c >= 1 && c <= len(fields) && !slices.Contains(fields, label) {
		return slices.Delete(slices.Clone(fields), c-1, c)
	}
	return fields
}

// oneLine makes a piece of a file fit into a line: it has no line ends and no control characters.
func oneLine(s string) string {
	breaks := func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }
	return strings.Join(strings.FieldsFunc(s, breaks), " ")
}

// shorten makes a piece of a file fit into a message: one line, at most 40 characters.
func shorten(s string) string {
	s = oneLine(s)
	if r := []rune(s); len(r) > 40 {
		s = string(r[:37]) + "..."
	}
	return s
}

// records reads the fields of a table, row by row.
type records struct {
	text    *textReader
	style   numberStyle
	comma   rune        // between fields; 0: spaces
	csv     *csv.Reader // where there is a comma
	spaced  *bufio.Scanner
	begin   [][]string // rows in the start of the file
	at      int        // the number of the line that spaced is at
	passing int        // lines before the first that csv sees
}

// newRecords chooses the delimiter by the first 20 lines: the one of ", ; tab |" that is on the most of them, the
// earlier one of two alike; spaces where none is on any. A first line "sep=;" says what it is.
func newRecords(text *textReader, head []byte) *records {
	lines := strings.FieldsFunc(string(head), func(r rune) bool { return r == '\n' || r == '\r' })
	if len(lines) > 1 && !bytes.HasSuffix(head, []byte("\n")) {
		lines = lines[:len(lines)-1] // cut short
	}
	lines = slices.DeleteFunc(lines, func(l string) bool { return strings.TrimSpace(l) == "" })
	rows := slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return isComment([]byte(l)) })
	if text.comments = !hashesAreData(lines); !text.comments {
		rows = lines
	}
	r := &records{text: text}
	if len(rows) > 0 && len(rows[0]) == 5 && strings.HasPrefix(rows[0], "sep=") {
		r.comma = rune(rows[0][4])
		rows = rows[1:]
		text.next()
		r.passing = 1
	} else {
		r.comma = delimiter(rows[:min(len(rows), 20)])
	}
	if r.comma == ' ' {
		r.comma = 0
		text.started = false
		r.spaced = bufio.NewScanner(text)
		r.spaced.Buffer(nil, maxRow+1)
	} else {
		text.quotes, text.started = true, false
		r.csv = csv.NewReader(text)
		r.csv.FieldsPerRecord, r.csv.ReuseRecord, r.csv.TrimLeadingSpace = -1, true, r.comma != '\t'
		r.csv.Comma = r.comma
	}
	var fields []string
	for _, l := range rows {
		r.begin = append(r.begin, r.split(l))
		fields = append(fields, r.begin[len(r.begin)-1]...)
	}
	r.style = styleOf(fields)
	return r
}

// hashesAreData tells whether lines that begin with # are rows, whose first column is such as #ff0000: after the first
// row most lines do, and each has as many commas, semicolons and tabs.
func hashesAreData(lines []string) bool {
	first := slices.IndexFunc(lines, func(l string) bool { return !isComment([]byte(l)) })
	rest := lines[first+1:] // all where there is no other line
	marks := func(l string) int { return strings.Count(l, ",") + strings.Count(l, ";") + strings.Count(l, "\t") }
	hashes := 0
	for _, l := range rest {
		if !isComment([]byte(l)) {
			continue
		}
		if hashes++; marks(l) == 0 || marks(l) != marks(lines[max(first, 0)]) || strings.HasPrefix(l, "# ") {
			return false
		}
	}
	return 2*hashes > len(rest)
}

// delimiter chooses the delimiter of some lines. A table of one column gets the comma.
func delimiter(lines []string) rune {
	best, comma, spaced := 0, rune(0), 0
	for _, c := range ",;\t|" {
		on := 0
		for _, l := range lines {
			if strings.ContainsRune(unquoted(l), c) {
				on++
			}
		}
		// "1,5;2,5" and "1,5<tab>2,5" have both on every line: the comma is the decimal one then.
		if on > best || on == best && on > 0 && comma == ',' && (c == ';' || c == '\t' && decimalCommas(lines)) {
			best, comma = on, c
		}
	}
	for _, l := range lines {
		if len(strings.Fields(unquoted(l))) > 1 {
			spaced++
		}
	}
	switch {
	case comma == ',' && spaced == len(lines) && decimalCommas(lines):
		return ' '
	case comma != 0:
		return comma
	case spaced > 0:
		return ' '
	}
	return ','
}

// decimalCommas tells whether, split at spaces, all fields with a comma in the lines are numbers with a decimal one.
func decimalCommas(lines []string) bool {
	found := false
	for i, l := range lines {
		for _, f := range strings.Fields(l) {
			if strings.Contains(f, ",") {
				if !decimalComma.isNumber(f) || strings.HasSuffix(f, ",") || strings.HasPrefix(f, ",") {
					if i == 0 {
						continue // a header
					}
					return false
				}
				found = true
			}
		}
	}
	return found
}

// split returns the fields of one line, nil if it has none.
func (r *records) split(line string) []string {
	if r.comma == 0 {
		return strings.Fields(line)
	}
	c := csv.NewReader(strings.NewReader(line))
	c.Comma, c.TrimLeadingSpace, c.FieldsPerRecord, c.LazyQuotes = r.comma, r.comma != '\t', -1, true
	fields, _ := c.Read()
	return fields
}

// looksLikeNames tells whether the fields of the first line are the names of columns: one of them is neither a number
// nor a missing value. Names "", "0", "1", ... are those of pandas for columns that have none.
func (r *records) looksLikeNames(first []string) bool {
	for _, s := range first {
		if !r.style.isNumber(s) && !isMissing(s) {
			return true
		}
	}
	return len(first) > 1 && strings.TrimSpace(first[0]) == "" && strings.TrimSpace(first[1]) == "0" &&
		(len(first) == 2 || countsUp(first[1:]))
}

// isRow tells whether the first line, in which some field is a word, is a row for all that: others are numbers, and a word of
// it stands again below it.
func (r *records) isRow(first []string) bool {
	if !slices.ContainsFunc(first, r.style.isNumber) {
		return false
	}
	for k, s := range first {
		again := func(row []string) bool { return k < len(row) && oneLine(row[k]) == oneLine(s) }
		if !r.style.isNumber(s) && !isMissing(s) && len(r.begin) > 1 && slices.ContainsFunc(r.begin[1:], again) {
			return true
		}
	}
	return false
}

func (r *records) allNumbers(fields []string) bool {
	return !slices.ContainsFunc(fields, func(s string) bool { return !r.style.isNumber(s) })
}

// error is the error for a row that could not be read.
func (r *records) error(f *dataFile, err error) error {
	var parse *csv.ParseError
	if errors.As(err, &parse) {
		return fmt.Errorf("%s: line %d: expected fields in quotes as RFC 4180 has them, found an error: %w; mend the line",
			f.path, parse.Line+r.passing, parse.Err)
	}
	return err // of the text, which names the file
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

// next returns the fields of the next row. The next call overwrites them.
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
	for r.spaced.Scan() {
		r.at++
		f := strings.Fields(r.spaced.Text())
		if i := slices.IndexFunc(f, func(s string) bool { return isComment([]byte(s)) }); i >= 0 && r.text.comments {
			f = f[:i]
		}
		if len(f) > 0 {
			return f, nil
		}
	}
	if err := r.spaced.Err(); err != nil {
		return nil, err
	}
	return nil, io.EOF
}

// line is the number of the line that next returned, from 1.
func (r *records) line() int {
	if r.csv != nil {
		line, _ := r.csv.FieldPos(0)
		return line + r.passing
	}
	return r.at + r.passing
}

// chooseColumns reads a setting of columns: names, numbers from 1 and ranges of numbers, with commas between. An item
// that is a name as well as a number is the name. The result is numbers from 1.
func chooseColumns(key, list string, names []string, width int) ([]int, error) {
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
		return nil, setting.Errorf(key, "is %q: expected names, numbers and ranges with commas between, such as 1,3-5",
			list)
	}
	take := func(i int, item string) error {
		switch {
		case i < 1 || i > width:
			return setting.Errorf(key, "names column %s, but the table has columns 1 to %d%s", item, width,
				inBrackets(names))
		case slices.Contains(out, i):
			return setting.Errorf(key, "names column %s twice: name each once", item)
		}
		out = append(out, i)
		return nil
	}
	for _, item := range items {
		item = strings.TrimSpace(item)
		if i := slices.Index(names, item); i >= 0 && item != "" {
			if slices.Contains(names[i+1:], item) {
				return nil, setting.Errorf(key, "names column %q, and the table has two of that name: give the number", item)
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
			return nil, setting.Errorf(key, "names column %q, which is neither a number nor a range such as 3-5, and %s",
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
	return " (" + listNames(names) + ")"
}
