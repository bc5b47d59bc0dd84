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
	l.samplerUpdate(grid, block, samplerUpdateArgs{x: o.X, y: o.Y, s: o.S, gain: o.Gain, draws: o.Draws, blend: o.Blend,
		table: o.Table, state: o.State, seed: o.Seed, images: o.Blend.N / BlendWords, steps: o.Table.N / StepWords,
		repeat: o.Repeat, rows: o.Rows(), d: o.D})
}

func (o SamplerMisfit) launch(l *launcher) {
	l.small(max(o.D, 2*o.Most))
	grid, block := byRow(o.Rows(), o.Most, 1)
	v := o.ByDirection
	l.samplerMisfit(grid, block, samplerMisfitArgs{misfit: o.Misfit, x: o.X, s: o.S, parts: o.Parts, target: o.Target, noise: o.Noise,
		start: v.Start, index: v.Index, weight: v.Weight, draws: o.Draws, table: o.Table, state: o.State, seed: o.Seed,
		prior: o.Prior, exact: flag(o.Exact), measurements: o.Parts.N / PartWords, steps: o.Table.N / StepWords,
		repeat: o.Repeat, rows: o.Rows(), d: o.D, most: o.Most})
}

func (o SamplerFit) launch(l *launcher) {
	l.small(max(o.D, 2*o.Most))
	grid, block := byRow(o.Rows(), o.D, 1)
	v := o.ByValue
	l.samplerFit(grid, block, samplerFitArgs{x: o.X, misfit: o.Misfit, parts: o.Parts, start: v.Start, index: v.Index,
		weight: v.Weight, state: o.State, alone: flag(o.Alone), measurements: o.Parts.N / PartWords, rows: o.Rows(), d: o.D, most: o.Most})
}

func (o SamplerGuide) launch(l *launcher) {
	l.small(o.D)
	grid, block := byRow(o.Rows(), o.D, 1)
	l.samplerGuide(grid, block, samplerGuideArgs{s: o.S, v: o.V, vj: o.VJ, table: o.Table, state: o.State,
		steps: o.Table.N / StepWords, repeat: o.Repeat, rows: o.Rows(), d: o.D})
}
