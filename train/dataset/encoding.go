// Encodings: how a column of a table that is no plain number becomes coordinates that a network can learn,
//
//	category   K coordinates, 1 for the value that the row has and 0 for the others     back: the largest
//	bounded    y = ln((x - from)/(to - x)), from <= low <= x <= high <= to              back: from + (to - from)/(1 + e^-y)
//
// from and to are low and high where no value of the data lies there. Where some do, the interval is half a unit wider at
// that end, for its logarithm is not finite there: the unit is how far the nearest other value is from the end, or 1/N of
// high - low where that is more, and what comes back within half a unit of the end is the end.
//
// Both are standardised after that, as numbers are. The coordinates of a category have one deviation for all of them,
//
//	sd^2 = sum over k of p_k (1 - p_k)        p_k the share of value k
//
// by which the column has variance 1 in all, as a number has. sd is below 1, so two values are more than sqrt(2) apart.

package dataset

import (
	"cmp"
	"encoding/csv"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"sigmaz/internal/setting"
)

// Encoding is how one column is encoded that is no plain number.
type Encoding struct {
	Column     int      `yaml:"column"`                    // among those that are learned, from 1
	Categories []string `yaml:"categories,flow,omitempty"` // the values of a category, or
	Bounds     *Bounds  `yaml:"bounds,omitempty"`
}

// Bounds are the interval that the numbers of a column lie in.
type Bounds struct {
	Low  float64 `yaml:"low"`
	High float64 `yaml:"high"`
	From float64 `yaml:"from"` // at most Low
	To   float64 `yaml:"to"`   // at least High
}

// maxCategories bounds the values of a category, each of which is a coordinate.
const maxCategories = 100

// width is the number of coordinates.
func (e *Encoding) width() int {
	if e == nil || e.Bounds != nil {
		return 1
	}
	return len(e.Categories)
}

// encode returns the coordinate of x.
func (b *Bounds) encode(x float64) float64 { return math.Log((x - b.From) / (b.To - x)) }

// decode returns x of a coordinate. Where the column had values at an end, what comes within the room that was made there
// is that end; where it had none, x is the least that nine digits tell from the end.
func (b *Bounds) decode(y float64) float64 {
	x, least := b.From+(b.To-b.From)/(1+math.Exp(-y)), 1e-9*(b.High-b.Low)
	switch {
	case b.From < b.Low && x < b.Low+(b.Low-b.From):
		return b.Low
	case b.High < b.To && x > b.High-(b.To-b.High):
		return b.High
	}
	if b.From == b.Low {
		x = max(x, b.Low+least)
	}
	if b.To == b.High {
		x = min(x, b.High-least)
	}
	return x
}

// slope returns ln dx/dy at the coordinate y.
func (b *Bounds) slope(y float64) float64 {
	return math.Log(b.To-b.From) - math.Abs(y) - 2*math.Log1p(math.Exp(-math.Abs(y)))
}

// check fails for bounds that cannot be those of a column.
func (b *Bounds) check() error {
	if !(b.From <= b.Low && b.Low < b.High && b.High <= b.To) || b.To-b.From-(b.To-b.From) != 0 {
		return fmt.Errorf("scaler: expected bounds from <= low < high <= to, found %g, %g, %g and %g", b.From, b.Low, b.High, b.To)
	}
	return nil
}

// widen makes room for values at the ends, of all values x of the column. Missing ones are NaN.
func (b *Bounds) widen(x []float64) {
	n, atLow, atHigh := 0, false, false
	aboveLow, belowHigh := b.High-b.Low, b.High-b.Low
	for _, v := range x {
		if v != v {
			continue
		}
		n++
		if atLow = atLow || v == b.Low; v != b.Low {
			aboveLow = min(aboveLow, v-b.Low)
		}
		if atHigh = atHigh || v == b.High; v != b.High {
			belowHigh = min(belowHigh, b.High-v)
		}
	}
	least := (b.High - b.Low) / float64(max(n, 1))
	b.From, b.To = b.Low, b.High
	if atLow {
		b.From -= max(aboveLow, least) / 2
	}
	if atHigh {
		b.To += max(belowHigh, least) / 2
	}
}

// encoding returns how a column is encoded; nil: it is a plain number.
func (s *Scaler) encoding(column int) *Encoding {
	for i := range s.Encodings {
		if s.Encodings[i].Column == column+1 {
			return &s.Encodings[i]
		}
	}
	return nil
}

// Plain tells whether all columns are plain numbers.
func (s *Scaler) Plain() bool { return len(s.Encodings) == 0 }

// Fields is the number of columns of the table, of which those that are categories have several coordinates.
func (s *Scaler) Fields() int {
	n := len(s.Mean)
	for i := range s.Encodings {
		n -= s.Encodings[i].width() - 1
	}
	return n
}

// Field is a column of a table as coordinates.
type Field struct {
	Name     string // as the file has it, or its number from 1
	At, N    int    // its coordinates
	Encoding *Encoding
}

// Table returns the columns in their order.
func (s *Scaler) Table() []Field {
	fields, at := make([]Field, s.Fields()), 0
	for c := range fields {
		f := Field{Name: strconv.Itoa(c + 1), At: at, Encoding: s.encoding(c)}
		if len(s.Columns) > 0 {
			f.Name = s.Columns[c]
		}
		f.N = f.Encoding.width()
		at += f.N
		fields[c] = f
	}
	return fields
}

// Category tells whether the column is one.
func (f *Field) Category() bool { return f.Encoding != nil && f.Encoding.Bounds == nil }

// CoordinateNames returns the names of the coordinates: of a column, and "column=value" of a category. It is nil where
// columns are plain numbers without names.
func (s *Scaler) CoordinateNames() []string {
	if s.Plain() {
		return s.Columns
	}
	var names []string
	for _, f := range s.Table() {
		if !f.Category() {
			names = append(names, f.Name)
			continue
		}
		for _, c := range f.Encoding.Categories {
			names = append(names, f.Name+"="+c)
		}
	}
	return names
}

// Decode returns vectors (n, D) of the network as rows of the table (n, Fields): numbers in their own units, and of a
// category the number of its value, from 0.
func (s *Scaler) Decode(x []float32) []float64 {
	y := s.Undo(x)
	if s.Plain() {
		return y
	}
	d, fields := len(s.Mean), s.Table()
	out := make([]float64, 0, len(y)/d*len(fields))
	for ; len(y) >= d; y = y[d:] {
		for _, f := range fields {
			v := y[f.At]
			if f.Category() {
				v = float64(slices.Index(y[f.At:f.At+f.N], 1))
			}
			out = append(out, v)
		}
	}
	return out
}

// undoEncodings makes of coordinates (n, D) that are not standardised any more what they stand for: numbers, and of a
// category 1 for the largest and 0 for the others. What is NaN stays.
func (s *Scaler) undoEncodings(x []float64) {
	if s.Plain() {
		return
	}
	d, fields := len(s.Mean), s.Table()
	for ; len(x) >= d; x = x[d:] {
		for _, f := range fields {
			v := x[f.At : f.At+f.N]
			switch {
			case f.Encoding == nil || v[0] != v[0]:
			case f.Category():
				largest := 0
				for k := range v {
					if v[k] > v[largest] {
						largest = k
					}
				}
				clear(v)
				v[largest] = 1
			default:
				v[0] = f.Encoding.Bounds.decode(v[0])
			}
		}
	}
}

// Encode returns the coordinates of a value of a column, not standardised: text of a category, else a number. The error
// says what was expected.
func (f *Field) Encode(text string) ([]float64, error) {
	if f.Category() {
		at := slices.Index(f.Encoding.Categories, oneLine(text))
		if at < 0 {
			return nil, fmt.Errorf("expected %s, found %q", orList(f.Encoding.Categories), shorten(text))
		}
		y := make([]float64, f.N)
		y[at] = 1
		return y, nil
	}
	v, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil || v-v != 0 {
		return nil, fmt.Errorf("expected a number, found %q", shorten(text))
	}
	if f.Encoding == nil {
		return []float64{v}, nil
	}
	b := f.Encoding.Bounds
	if err := b.judge(v); err != nil {
		return nil, err
	}
	return []float64{b.encode(v)}, nil
}

// judge fails for a number that has no coordinate.
func (b *Bounds) judge(v float64) error {
	if v < b.Low || v > b.High || v == b.From || v == b.To {
		return fmt.Errorf("expected a number %s, found %g", b.interval(), v)
	}
	return nil
}

// interval says which numbers the bounds hold.
func (b *Bounds) interval() string {
	low, high := fmt.Sprintf("from %g", b.Low), fmt.Sprintf("to %g", b.High)
	if b.From == b.Low {
		low = fmt.Sprintf("above %g", b.Low)
	}
	if b.To == b.High {
		high = fmt.Sprintf("below %g", b.High)
	}
	if b.From < b.Low && b.High < b.To {
		return low + " " + high
	}
	return low + " and " + high
}

// orList lists a few values for an error.
func orList(values []string) string {
	if n := len(values); n > 10 {
		return fmt.Sprintf("one of the run's %d values, such as %s", n, listNames(values[:3]))
	}
	return "one of " + listNames(values)
}

// encode makes rows of a table (n, fields), in which a category is the number of its value, coordinates (n, D).
func (s *Scaler) encode(x []float64, fields int) []float64 {
	if s.Plain() {
		return x
	}
	table := s.Table()
	var out []float64
	for ; len(x) >= fields; x = x[fields:] {
		for c, f := range table {
			switch v := x[c]; {
			case f.Encoding == nil:
				out = append(out, v)
			case !f.Category():
				out = append(out, f.Encoding.Bounds.encode(v))
			default:
				for k := range f.N {
					switch {
					case v != v:
						out = append(out, v)
					case int(v) == k:
						out = append(out, 1)
					default:
						out = append(out, 0)
					}
				}
			}
		}
	}
	return out
}

// bound is an item of the setting bounded.
type bound struct {
	column    string
	low, high float64
}

// parseBounded reads the setting bounded: COLUMN=LOW:HIGH with commas between.
func parseBounded(key, list string) (bounds []bound, err error) {
	if list == "" {
		return nil, nil
	}
	r := csv.NewReader(strings.NewReader(list))
	r.TrimLeadingSpace = true
	items, err := r.Read()
	for _, item := range items {
		at := strings.LastIndex(item, "=")
		low, high, ok := strings.Cut(item[max(at, 0):], ":")
		if err != nil || at < 1 || !ok {
			return nil, setting.Errorf(key, "is %q: expected COLUMN=LOW:HIGH with commas between, such as share=0:1", shorten(list))
		}
		b := bound{column: strings.TrimSpace(item[:at])}
		var err1, err2 error
		b.low, err1 = strconv.ParseFloat(strings.TrimSpace(low[1:]), 64)
		b.high, err2 = strconv.ParseFloat(strings.TrimSpace(high), 64)
		if cmp.Or(err1, err2) != nil || !(b.low < b.high) || math.IsInf(b.high-b.low, 0) {
			return nil, setting.Errorf(key, "is %q: expected LOW:HIGH to be two numbers, the lower one first", shorten(item))
		}
		bounds = append(bounds, b)
	}
	if err != nil {
		return nil, setting.Errorf(key, "is %q: expected COLUMN=LOW:HIGH with commas between, such as share=0:1", shorten(list))
	}
	return bounds, nil
}

// words are the values of a column that is a category, in the order in which they are met.
type words struct {
	number map[string]int
	list   []string
	known  bool // all of them
}

// add returns the number of a value. The error says what is wrong with one more.
func (w *words) add(value string) (float64, error) {
	if n, ok := w.number[value]; ok {
		return float64(n), nil
	}
	switch {
	case w.known:
		return 0, fmt.Errorf("expected %s, found %q", orList(w.list), shorten(value))
	case len(w.list) == maxCategories:
		return 0, fmt.Errorf("expected a category of at most %d different values, found more, such as %s; leave a column of names "+
			"or numbers of rows out with `columns`, or join rare values", maxCategories, listNames(w.list[:3]))
	case len(value) > maxClassName:
		return 0, fmt.Errorf("expected values of a category of at most %d bytes, found %q with %d; leave a column of texts out "+
			"with `columns`", maxClassName, shorten(value), len(value))
	}
	if w.number == nil {
		w.number = map[string]int{}
	}
	w.number[value] = len(w.list)
	w.list = append(w.list, value)
	return float64(len(w.list) - 1), nil
}

// sorted returns the values in order, numbers by their value, and for each value by its old number the new one.
func (w *words) sorted() (list []string, to []float64) {
	list = slices.Sorted(maps.Keys(w.number))
	value := func(s string) (float64, bool) {
		v, err := strconv.ParseFloat(s, 64)
		return v, err == nil
	}
	slices.SortStableFunc(list, func(a, b string) int {
		x, okX := value(a)
		y, okY := value(b)
		if okX && okY {
			return cmp.Compare(x, y)
		}
		return 0
	})
	to = make([]float64, len(w.list))
	for i, v := range list {
		to[w.number[v]] = float64(i)
	}
	return list, to
}
