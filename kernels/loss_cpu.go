// The loss on the CPU, see loss.go. Short rows go through the plain Go loops: a call of a kernel would take longer.

package kernels

import "sigmaz/kernels/internal/vec"

func (o Loss) lower(mem []float32) stage {
	sum := vec.SumSquares
	if o.S.N/o.N <= shortRow {
		sum = sumSquares
	}
	s := byRows(o.N, nil, func(lo, hi int) { o.rows(mem, lo, hi, sum) })
	s.writtenAfter = []Buf{o.Mean}
	s.after = []phase{once(func() { o.mean(mem) })}
	return s
}

func (o LossGrad) lower(mem []float32) stage {
	sum := vec.ScaledSum
	if o.S.N/o.N <= shortRow {
		sum = scaledSum
	}
	return byRows(o.N, []Buf{o.DMean}, func(lo, hi int) { o.rows(mem, lo, hi, sum) })
}
