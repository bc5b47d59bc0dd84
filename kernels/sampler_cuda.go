//go:build cgo && !nocuda

// Launches of what samplers run beside the network, see sampler.cu.

package kernels

func (o SamplerSigma) launch(l *launcher) {
	grid, block := each(o.Rows())
	l.samplerSigma(grid, block, samplerSigmaArgs{sigma: o.Sigma, level: o.Level, table: o.Table, state: o.State,
		steps: o.Table.N / StepWords, repeat: o.Repeat, rows: o.Rows()})
}

func (o SamplerGain) launch(l *launcher) {
	l.small(o.D)
	l.samplerGain(gridDim{min(maxGrid, o.Rows()), 1, 1}, blockDim{gainLanes, 1, 1}, samplerGainArgs{gain: o.Gain, s: o.S,
		table: o.Table, state: o.State, steps: o.Table.N / StepWords, repeat: o.Repeat, rows: o.Rows(), d: o.D})
}

func (o SamplerUpdate) launch(l *launcher) {
	l.small(o.D)
	grid, block := byRow(o.Rows(), o.D, 1)
	l.samplerUpdate(grid, block, samplerUpdateArgs{x: o.X, y: o.Y, s: o.S, gain: o.Gain, draws: o.Draws, table: o.Table,
		state: o.State, seed: o.Seed, steps: o.Table.N / StepWords, repeat: o.Repeat, rows: o.Rows(), d: o.D})
}

func (o SamplerMisfit) launch(l *launcher) {
	l.small(max(o.D, 2*o.Len()))
	grid, block := byRow(o.Rows(), o.Len(), 1)
	v := o.ByDirection
	l.samplerMisfit(grid, block, samplerMisfitArgs{misfit: o.Misfit, x: o.X, s: o.S, target: o.Target, noise: o.Noise,
		start: v.Start, index: v.Index, weight: v.Weight, draws: o.Draws, table: o.Table, state: o.State, seed: o.Seed,
		prior: o.Prior, exact: flag(o.Exact), steps: o.Table.N / StepWords, repeat: o.Repeat, rows: o.Rows(), d: o.D, r: o.Len()})
}

func (o SamplerFit) launch(l *launcher) {
	l.small(max(o.D, 2*o.Len()))
	grid, block := byRow(o.Rows(), o.D, 1)
	v := o.ByValue
	l.samplerFit(grid, block, samplerFitArgs{x: o.X, misfit: o.Misfit, start: v.Start, index: v.Index, weight: v.Weight,
		alone: flag(o.Alone), rows: o.Rows(), d: o.D, r: o.Len()})
}

func (o SamplerGuide) launch(l *launcher) {
	l.small(o.D)
	grid, block := byRow(o.Rows(), o.D, 1)
	l.samplerGuide(grid, block, samplerGuideArgs{s: o.S, v: o.V, vj: o.VJ, table: o.Table, state: o.State,
		steps: o.Table.N / StepWords, repeat: o.Repeat, rows: o.Rows(), d: o.D})
}
