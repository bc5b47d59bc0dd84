// The table of distances between all rows of a data set.

package benchcmd

import (
	"context"
	"fmt"

	"sigmaz/internal/approx"
	"sigmaz/train/dataset"
)

// usualRows of a data set are compared with each other.
const usualRows = 10_000

// rows returns up to n rows of the data set that was given, or makes images, for the distances.
func (b *bench) rows(n int) *dataset.Set {
	if b.set == nil {
		return &dataset.Set{Data: *testImages(n, 32, 32, 3), Name: "made images"}
	}
	s := b.set
	s.N = min(s.N, n)
	if s.Rows != nil {
		s.Rows = s.Rows[:s.N]
	} else {
		s.U8, s.F32 = s.U8[:min(len(s.U8), s.N*s.D())], s.F32[:min(len(s.F32), s.N*s.D())]
	}
	return s
}

// checkDistances compares the largest and the smallest distance of some rows with those of all pairs one by one.
func (b *bench) checkDistances() error {
	s := &dataset.Set{Data: *testImages(300, 32, 32, 3), Name: "made images"}
	got, err := b.search(s)
	if err != nil {
		return err
	}
	var want [2]float32 // squared, in units of one byte
	for i := range s.N {
		for j := range i {
			var sum int64
			x, y := s.Bytes(i), s.Bytes(j)
			for k, v := range x {
				e := int64(v) - int64(y[k])
				sum += e * e
			}
			if d := float32(sum); want[1] == 0 {
				want = [2]float32{d, d}
			} else {
				want = [2]float32{max(want[0], d), min(want[1], d)}
			}
		}
	}
	squared := []float32{float32(255 * 255 * got.Max * got.Max), float32(255 * 255 * got.Min * got.Min)}
	return b.compared("distances of all pairs", squared, want[:], approx.Rel(1e-6))
}

// search compares all pairs of rows on the device.
func (b *bench) search(s *dataset.Set) (dataset.Distances, error) {
	if b.device.GPU {
		return s.DistancesOn(context.Background(), b.backend, nil)
	}
	return s.Distances(context.Background(), nil)
}

// measureDistances measures the comparison of all pairs of rows: two FLOP for each value of each pair. Reading the rows,
// the search for duplicates and the exact check of what is left open are part of it.
func (b *bench) measureDistances() (table, error) {
	t := table{title: "distances of all pairs"}
	n, watch := usualRows, b.watch
	switch {
	case b.mostRows > 0:
		n = b.mostRows
	case b.watch.dry:
		n = 300
	case b.quick:
		n /= 4
	}
	s := b.rows(n)
	if s.N > usualRows { // long enough for once to tell
		watch.reps = 1
	}
	took, err := watch.time(func() error {
		_, err := b.search(s)
		return err
	}, func() error { return nil })
	if err != nil {
		return t, err
	}
	pairs := float64(s.N) * float64(s.N-1) / 2
	t.rows = append(t.rows, Row{Name: fmt.Sprintf("%s, %d rows of %d", s.Name, s.N, s.D()), Values: []Value{
		{Unit: "seconds", Median: took.median}, b.flops(took, "", 2*pairs*float64(s.D()))}})
	return t, nil
}
