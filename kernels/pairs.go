// The extremes of the distances between the rows of two matrices, tile by tile:
//
//	v_ij = |a_i|^2/2 + |b_j|^2/2 - a_i.b_j = |a_i - b_j|^2/2
//	out  = max v, min v over the pairs of a tile of PairTile x PairTile whose b comes before its a
//
// The products are summed in float32. Who needs exact extremes (package dataset) knows by how much v may be off, and looks
// again at the tiles that could have them: they are few.

package kernels

import "math"

// PairTile is the rows of a and of b that a tile of [PairExtremes] has.
const PairTile = 128

// PairExtremes finds the extremes of each tile. A and B may be the same memory. It is fastest where K is a multiple of 4. A
// tile without a pair that counts has zeros.
type PairExtremes struct {
	A, B         Buf // (M, K), (N, K)
	HalfA, HalfB Buf // (M), (N): |a|^2/2 and |b|^2/2
	Out          Buf // (tiles of A, tiles of B, 2)
	K            int
	// The places of the first rows among all rows: a pair counts where b's place is before a's.
	FirstA, FirstB int
}

func (o PairExtremes) Name() string { return "pair_extremes" }
func (o PairExtremes) Operands() (reads, writes []Buf) {
	return []Buf{o.A, o.B, o.HalfA, o.HalfB}, []Buf{o.Out}
}

// Tiles returns the number of tiles of A and of B.
func (o PairExtremes) Tiles() (a, b int) {
	return (o.HalfA.N + PairTile - 1) / PairTile, (o.HalfB.N + PairTile - 1) / PairTile
}

// Counting returns how many pairs of a tile count.
func (o PairExtremes) Counting(tileA, tileB int) (pairs int) {
	i0, i1 := tileA*PairTile, min(o.HalfA.N, (tileA+1)*PairTile)
	j0, j1 := tileB*PairTile, min(o.HalfB.N, (tileB+1)*PairTile)
	if before := o.FirstA - o.FirstB; j1 <= i0+before {
		return (i1 - i0) * (j1 - j0)
	} else if j0 >= i1-1+before {
		return 0
	}
	for i := i0; i < i1; i++ {
		pairs += max(0, min(j1, o.FirstA+i-o.FirstB)-j0)
	}
	return pairs
}

// Ref finds the extremes of the tiles, one after the other.
func (o PairExtremes) Ref(mem []float32) {
	halfA, halfB, out := o.HalfA.Of(mem), o.HalfB.Of(mem), o.Out.Of(mem)
	down, across := o.Tiles()
	for t := range down * across {
		i0, j0 := t/across*PairTile, t%across*PairTile
		most, least := float32(math.Inf(-1)), float32(math.Inf(1))
		for i := i0; i < min(o.HalfA.N, i0+PairTile); i++ {
			a := row(mem, o.A, o.HalfA.N, i)
			for j := j0; j < min(o.HalfB.N, j0+PairTile, o.FirstA+i-o.FirstB); j++ {
				dot := float32(0)
				for k, v := range row(mem, o.B, o.HalfB.N, j) {
					dot += float32(a[k] * v)
				}
				v := float32(halfA[i]+halfB[j]) - dot
				most, least = max(most, v), min(least, v)
			}
		}
		if most < least {
			most, least = 0, 0
		}
		out[2*t], out[2*t+1] = most, least
	}
}
