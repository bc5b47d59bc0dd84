// Vectors: the rows of tables and of arrays of two dimensions.

package dataset

import (
	"fmt"
	"math"

	"sigmaz/internal/memory"
	"sigmaz/internal/setting"
	"sigmaz/kernels"
)

// table is rows of numbers, from one file or several.
type table struct {
	number []int     // of each column in the first file, as its format counts; nil: nothing is read yet
	names  []string  // of the columns; nil: the file has no names
	x      []float64 // (N, D), D columns
	notes  []string  // what was taken for what in each file that has something to say
	judged int       // values for which there is memory
	labels []string  // the class of each row, where a column has it

	scaler  *Scaler  // by which the columns are encoded, nil: by the settings and what is found
	columns []column // beside number, of a text file
}

// checkMemory fails where the values that are read and what becomes of them will not fit in memory.
func (t *table) checkMemory(path string) error {
	if len(t.x) <= t.judged {
		return nil
	}
	t.judged = max(1<<20, 2*len(t.x))
	// Twice the values while they grow, and once more as float32 with their hashes.
	if have := memory.Host(); have > 0 && 20*float64(t.judged) > have {
		return fmt.Errorf("%s: expected a table that fits in memory, found more than %d values, and this machine has "+
			"%.1f GiB; choose fewer columns with `columns`, or fewer rows", path, len(t.x), have/(1<<30))
	}
	return nil
}

// column is what an error calls column k: its number in the file and its name.
func (t *table) column(k int) string {
	if t.names == nil {
		return fmt.Sprintf("column %d", t.number[k])
	}
	return fmt.Sprintf("column %d (%s)", t.number[k], oneLine(t.names[k]))
}

// readVectors reads files of vectors, one after the other, and standardises the columns.
func (o *opener) readVectors(in *inputs) (*Set, error) {
	t := &table{scaler: o.Scaler}
	what := ""
	for _, f := range in.files {
		what = f.format.name
		err := f.format.vectors(f, o.Settings, t)
		if err == nil {
			err = f.finish()
		}
		if err != nil {
			return nil, err
		}
	}
	d := len(t.number)
	n := len(t.x) / max(d, 1)
	if n < 2 {
		return nil, fmt.Errorf("%s: expected two rows of numbers or more, found %d; choose another file", o.Spec, n)
	}
	scaler, err := t.settleColumns(o.Spec)
	if err != nil {
		return nil, err
	}
	set := &Set{Data: kernels.Data{N: n, H: 1, W: 1}, hashes: make([]uint64, n)}
	for i, note := range t.notes {
		if i == 0 || note != t.notes[0] {
			set.Notes = append(set.Notes, note)
		}
	}
	for i := range n { // before standardising, so that no other row changes the part that this one is in
		set.hashes[i] = hashFloats(t.x[i*d : (i+1)*d])
	}
	set.Name = fmt.Sprintf("%s: %s, %d rows of %d values", in.title, what, n, d)
	set.Notes = append(set.Notes, t.saysColumns()...)
	if t.labels != nil {
		l, err := classify(o.Spec, t.labels)
		if err != nil {
			return nil, err
		}
		set.label(l)
	}
	if o.Scaler != nil {
		if err := o.Scaler.suits(t.names, d); err != nil {
			return nil, fmt.Errorf("%s: %w", o.Spec, err)
		}
		scaler = o.Scaler
	}
	x := scaler.encode(t.x, d)
	d = len(x) / n // coordinates
	set.C = d
	of := func(k int) string { return t.column(scaler.columnOf(k)) }
	set.mask(x, d)
	switch {
	case o.Scaler != nil:
		o.Scaler.apply(x)
		set.Scaler = o.Scaler
	case o.Standardize == "whiten" && (set.Masks != nil || scaler.HasCategories()):
		return nil, setting.Errorf("standardize", "is whiten, which takes all values of a row together, and the table has missing cells or "+
			"categories: use `standardize` columns")
	case o.Standardize != "none":
		if err := scaler.standardize(x, d, o.Standardize == "whiten", func(k int) string { return o.Spec + ": " + of(k) }); err != nil {
			return nil, err
		}
		set.Scaler = scaler
	case !scaler.Plain():
		scaler.Mean, scaler.SD = NoScaler(d).Mean, NoScaler(d).SD
		set.Scaler = scaler
	}
	if set.Masks != nil {
		if err := set.fillMissing(x, scaler, o.Seed); err != nil {
			return nil, fmt.Errorf("%s: %w", o.Spec, err)
		}
	}
	set.F32 = make([]float32, len(x))
	for i, v := range x {
		set.F32[i] = float32(v)
		if math.IsInf(float64(set.F32[i]), 0) {
			return nil, fmt.Errorf("%s: expected values that float32 holds, found %g in row %d, %s; "+
				"leave `standardize` none out", o.Spec, v, i/d+1, of(i%d))
		}
	}
	return set, nil
}
