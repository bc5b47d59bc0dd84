// Adam on the CPU, see adam.go: tasks take blocks of parameters.

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
