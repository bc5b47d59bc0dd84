// Adam and the norm of gradients on the CPU, see adam.go: tasks take blocks of parameters.

package kernels

import "sigmaz/kernels/internal/vec"

func (o Adam) lower(mem []float32) stage {
	const block = 1 << 14
	return stage{before: []phase{{(o.Param.N + block - 1) / block, func(task int, _ *worker) {
		o.part(mem, task*block, min((task+1)*block, o.Param.N))
	}}}}
}

// part updates parameters lo to hi.
func (o Adam) part(mem []float32, lo, hi int) {
	f := o.factors(mem)
	var ema []float32
	if o.EMA.N > 0 {
		ema = o.EMA.Of(mem)[lo:hi]
	}
	vec.Adam(o.Param.Of(mem)[lo:hi], o.Grad.Of(mem)[lo:hi], o.M.Of(mem)[lo:hi], o.V.Of(mem)[lo:hi], ema, &f)
}

// The sums of the blocks take two words each.
func (o GradNorm) lower(mem []float32) stage {
	var sums []float64
	s := stage{workspace: 2 * o.blocks(), allocate: func() { sums = make([]float64, o.blocks()) }}
	s.before = []phase{
		{o.blocks(), func(task int, _ *worker) {
			g := o.block(mem, task)
			sums[task] = vec.SumSquares(g, g, 0)
		}},
		once(func() { o.finish(mem, sums) }),
	}
	return s
}
