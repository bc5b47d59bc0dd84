//go:build cgo && !nocuda

// Launches of what conditions samplers on a measurement, see sampler.cu.

package kernels

func (o SamplerMisfit) launch(l *launcher) {
	l.small(max(o.D, 2*o.Len()))
	grid, block := byRow(o.Rows(), o.Len(), 1)
	exact := 0
	if o.Exact {
		exact = 1
	}
	v := o.ByDirection
	l.samplerMisfit(grid, block, samplerMisfitArgs{misfit: o.Misfit, x: o.X, target: o.Target, noise: o.Noise,
		start: v.Start, index: v.Index, weight: v.Weight, draws: o.Draws, table: o.Table, state: o.State, seed: o.Seed,
		exact: exact, steps: o.Table.N / StepWords, repeat: o.Repeat, rows: o.Rows(), d: o.D, r: o.Len()})
}

func (o SamplerFit) launch(l *launcher) {
	l.small(max(o.D, 2*o.Len()))
	grid, block := byRow(o.Rows(), o.D, 1)
	v := o.ByValue
	l.samplerFit(grid, block, samplerFitArgs{x: o.X, misfit: o.Misfit, start: v.Start, index: v.Index, weight: v.Weight,
		rows: o.Rows(), d: o.D, r: o.Len()})
}
