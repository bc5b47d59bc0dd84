// The columns of a table: which hold numbers and which words, cell by cell, and what is missing.

package dataset

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"sigmaz/internal/setting"
)

// cellKind is what the cells of a column are. The words are those of errors.
type cellKind string

const (
	undecided cellKind = "" // no cell has been met that is not missing
	numbers   cellKind = "numbers"
	category  cellKind = "category"
)

// column is a column that is learned.
type column struct {
	kind    cellKind
	named   bool // the kind is not what was found in the cells
	line    int  // where the kind was found
	words   words
	bounds  *Bounds
	there   int // cells that are not missing
	missing int
	lacks   int // the line of the first of them
}

// setKinds settles what is known of the columns before their cells are: by the scaler, or by the settings.
func (t *table) setKinds(names []string, width int, set Settings) error {
	t.columns = make([]column, len(t.number))
	if t.scaler != nil {
		if err := t.scaler.suits(t.names, len(t.number)); err != nil {
			return err
		}
		for k, f := range t.scaler.Table() {
			c := &t.columns[k]
			c.kind, c.named = numbers, true
			if f.Category() {
				c.kind = category
				c.words = words{number: map[string]int{}, list: f.Encoding.Categories, known: true}
				for i, v := range f.Encoding.Categories {
					c.words.number[v] = i
				}
			} else if f.Encoding != nil {
				c.bounds = f.Encoding.Bounds
			}
		}
		return nil
	}
	for k := range t.columns {
		if len(t.x) > 0 { // of an array before the table
			t.columns[k].kind, t.columns[k].named = numbers, true
		}
	}
	learned := func(key, text string, number int) (*column, error) {
		k := slices.Index(t.number, number)
		if k < 0 {
			return nil, setting.Errorf(key, "names column %s, which is not learned: expected one of the columns that are", shorten(text))
		}
		t.columns[k].named = true
		return &t.columns[k], nil
	}
	if set.Categories != "" {
		chosen, err := chooseColumns("categories", set.Categories, names, width)
		if err != nil {
			return err
		}
		for _, number := range chosen {
			c, err := learned("categories", fmt.Sprint(number), number)
			if err != nil {
				return err
			}
			c.kind = category
		}
	}
	bounds, err := parseBounded("bounded", set.Bounded)
	if err != nil {
		return err
	}
	for _, b := range bounds {
		number, err := oneColumn("bounded", b.column, names, width)
		if err != nil {
			return err
		}
		c, err := learned("bounded", b.column, number)
		if err != nil {
			return err
		}
		switch {
		case c.kind == category:
			return setting.Errorf("bounded", "names column %s, which is among `categories`: leave it out of one of the two", shorten(b.column))
		case c.bounds != nil:
			return setting.Errorf("bounded", "names column %s twice: name each once", shorten(b.column))
		}
		c.kind, c.bounds = numbers, &Bounds{Low: b.low, High: b.high, From: math.Inf(-1), To: math.Inf(1)}
	}
	return nil
}

// read reads a cell: a number, or the number of a word of the column. A missing one is NaN.
func (c *column) read(cell string, style *numberStyle, line int) (float64, error) {
	if isMissing(cell) {
		if c.missing++; c.missing == 1 {
			c.lacks = line
		}
		return math.NaN(), nil
	}
	c.there++
	if c.kind == undecided {
		c.kind, c.line = numbers, line
		if isWord(cell, style) {
			c.kind = category
		}
	}
	if c.kind == category {
		if !c.named && !isWord(cell, style) {
			return 0, fmt.Errorf("expected a word, as line %d has one, found %q; mend one of the two, or name the column in `categories`",
				c.line, shorten(cell))
		}
		return c.words.add(oneLine(cell))
	}
	v, err := style.parse(cell)
	if err != nil {
		return 0, fmt.Errorf("expected a number, found %w", err)
	}
	if c.bounds != nil {
		if err := c.bounds.judge(v); err != nil {
			return 0, fmt.Errorf("%w; mend it, or give other bounds", err)
		}
	}
	return v, nil
}

// isWord tells whether a cell is no number in any style.
func isWord(cell string, style *numberStyle) bool {
	return !style.isNumber(cell) && !decimalComma.isNumber(cell) && !thousandComma.isNumber(cell)
}

// settleColumns makes a scaler of the columns when all cells are read, without mean and deviation, and puts the values of
// categories in order.
func (t *table) settleColumns(spec string) (*Scaler, error) {
	s := &Scaler{Columns: t.names}
	d := len(t.number)
	if t.scaler != nil {
		return s, nil
	}
	for k := range t.columns {
		c := &t.columns[k]
		e := Encoding{Column: k + 1}
		switch n := len(c.words.list); {
		case c.bounds != nil:
			var values []float64
			for i := k; i < len(t.x); i += d {
				values = append(values, t.x[i])
			}
			c.bounds.widen(values)
			e.Bounds = c.bounds
		case c.kind != category:
			continue
		case n < 2:
			return nil, fmt.Errorf("%s: %s: expected a category of two values or more, found %s; leave the column out with `columns`", spec,
				t.column(k), listNames(append(slices.Clone(c.words.list), "nothing")[:1]))
		case n > 2 && 2*n > c.there:
			return nil, fmt.Errorf("%s: %s: expected a category whose values repeat, found %d different ones in %d rows, such as %s; leave a "+
				"column of names out with `columns`", spec, t.column(k), n, c.there, listNames(c.words.list[:3]))
		default:
			list, to := c.words.sorted()
			for i := k; i < len(t.x); i += d {
				if v := t.x[i]; v == v {
					t.x[i] = to[int(v)]
				}
			}
			e.Categories = list
		}
		s.Encodings = append(s.Encodings, e)
	}
	s.Mean = make([]float64, d) // as many as there are coordinates
	for i := range s.Encodings {
		s.Mean = append(s.Mean, make([]float64, s.Encodings[i].width()-1)...)
	}
	return s, nil
}

// saysColumns says for people which columns are categories or bounded, and what is missing.
func (t *table) saysColumns() (notes []string) {
	missing, all, first := 0, 0, 0
	var where []string
	for k := range t.columns {
		c := &t.columns[k]
		if c.kind == category && !c.words.known {
			list, _ := c.words.sorted()
			notes = append(notes, fmt.Sprintf("%s is a category of %d values: %s", t.column(k), len(list), listNames(list)))
		}
		if c.bounds != nil && t.scaler == nil {
			notes = append(notes, fmt.Sprintf("%s is bounded, %s: samples lie within, and its logit is learned", t.column(k),
				c.bounds.interval()))
		}
		if all += c.there + c.missing; c.missing > 0 {
			if missing += c.missing; first == 0 || c.lacks < first {
				first = c.lacks
			}
			where = append(where, fmt.Sprintf("%s %d", t.column(k), c.missing))
		}
	}
	if missing > 0 {
		notes = append(notes, fmt.Sprintf("%d of %d cells are missing (%s), the first in line %d: the loss does not count them",
			missing, all, strings.Join(where[:min(len(where), 10)], ", "), first))
	}
	return notes
}

// columnOf returns the column of a coordinate.
func (s *Scaler) columnOf(coordinate int) int {
	if s.Plain() {
		return coordinate
	}
	return slices.IndexFunc(s.Table(), func(f Field) bool { return coordinate < f.At+f.N })
}

// fillMissing puts something in the place of what is missing in standardised coordinates x (N, D).
func (s *Set) fillMissing(x []float64, scaler *Scaler, seed uint64) error {
	d := s.C
	if err := fill(x, d, seed); err != nil {
		return err
	}
	for i := range s.N {
		row, mask := x[i*d:(i+1)*d], s.MaskOf(i)
		for _, f := range scaler.Table() {
			if !f.Category() || mask[f.At] != 0 {
				continue
			}
			v, largest := row[f.At:f.At+f.N], 0
			for k := range v { // in the units of the column, which has one deviation
				if v[k]*scaler.SD[f.At]+scaler.Mean[f.At+k] > v[largest]*scaler.SD[f.At]+scaler.Mean[f.At+largest] {
					largest = k
				}
			}
			for k := range v {
				v[k] = -scaler.Mean[f.At+k] / scaler.SD[f.At]
			}
			v[largest] += 1 / scaler.SD[f.At]
		}
	}
	return nil
}
