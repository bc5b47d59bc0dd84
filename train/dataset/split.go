// Splitting: which rows are held out from training.

package dataset

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"slices"

	"sigmaz/kernels"
)

// Split divides s into rows for training and n held-out rows. Both parts keep the order of s, and no data is copied:
// they are lists of rows of s. n is cut to the range [0, (N-1)/2].
//
// Each row has a number, and the n rows with the smallest numbers are held out:
//
//	number = Philox4x32-10 with the key seed, of (PurposeSplit, hash, 0)
//	hash   = CRC-32C and CRC-32 of the values, as the file has them: before they are standardised
//
// So which part a row is in depends on its content and on seed. Rows that are added to a data set move no others
// between the parts, but for the few that they push out of the n smallest. Equal rows are in the same part, but for
// those with the largest number held out.
func (s *Set) Split(seed uint64, n int) (train, heldOut *Set) {
	n = max(0, min(n, (s.N-1)/2))
	part := func(rows []uint32, what string) *Set {
		p := *s
		p.N, p.Rows, p.hashes = len(rows), rows, nil
		p.Name = fmt.Sprintf("%s, %d %s", s.Name, len(rows), what)
		return &p
	}
	if n == 0 {
		held := part(nil, "held out")
		held.U8, held.F32 = nil, nil
		train := *s
		train.Name = fmt.Sprintf("%s, %d for training", s.Name, s.N)
		return &train, held
	}
	type numbered struct {
		number uint64
		row    int
	}
	order := make([]numbered, s.N)
	err := inParallel(context.Background(), runtime.GOMAXPROCS(0), func(w int) error {
		for i := w; i < s.N; i += runtime.GOMAXPROCS(0) {
			h := s.hash(i)
			b := kernels.Philox([2]uint32{uint32(seed), uint32(seed >> 32)},
				[4]uint32{uint32(kernels.PurposeSplit), uint32(h), uint32(h >> 32), 0})
			order[i] = numbered{uint64(b[0])<<32 | uint64(b[1]), i}
		}
		return nil
	})
	if err != nil {
		panic(err) // a fault in a mapped file, see mapped.Guard
	}
	slices.SortFunc(order, func(a, b numbered) int {
		return cmp.Or(cmp.Compare(a.number, b.number), cmp.Compare(a.row, b.row))
	})
	out := make([]bool, s.N)
	for _, o := range order[:n] {
		out[o.row] = true
	}
	rest, taken := make([]uint32, 0, s.N-n), make([]uint32, 0, n)
	for i, o := range out {
		if o {
			taken = append(taken, uint32(s.Row(i)))
		} else {
			rest = append(rest, uint32(s.Row(i)))
		}
	}
	return part(rest, "for training"), part(taken, "held out")
}
