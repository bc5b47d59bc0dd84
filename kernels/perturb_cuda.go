//go:build cgo && !nocuda

// Launches of the perturbation, see perturb.cu.

package kernels

import "math"

func (o Perturb) launch(l *launcher) {
	data, slots, err := l.data(o)
	if err != nil {
		l.err = err
		return
	}
	d := o.Data.D()
	l.small(d)
	u8, f32 := data, address(0)
	rows := pointerArg{bytes: o.N * d}
	if o.Data.F32 != nil {
		u8, f32 = 0, data
		rows.bytes *= 4
	}
	l.pointers = append(l.pointers, rows)
	// A block draws its rows' images and levels first: four quads a thread to make that worth while.
	grid, block := byRow(o.N, d, 4)
	l.perturb(grid, block, perturbArgs{
		xTilde: o.XTilde, z: o.Z, sigma: o.Sigma, level: o.Level, ladder: o.Ladder, state: o.State,
		u8: u8, f32: f32, seed: o.Seed, dataRows: uint64(o.Data.N), half: newFeistel(o.Data.N).half, slots: slots,
		rows: o.N, batch: int(o.batch()), d: d, w: o.Data.W, c: o.Data.C, levels: o.Ladder.N,
		flip: flag(o.Flip), dequantize: flag(o.Dequantize), rescale: flag(o.Rescale),
		levelsPerStep: o.LevelsPerStep, stratified: flag(o.Stratified), every: flag(o.Every),
		density: flag(o.byDensity()), normal: flag(o.Density.Normal),
		shift: math.Float64bits(o.Density.Shift), scale: math.Float64bits(o.Density.Scale),
		betas: o.Density.Betas.kind(), betaMin: math.Float64bits(o.Density.Betas.Min), betaMax: math.Float64bits(o.Density.Betas.Max),
	})
}

func (o DrawClasses) launch(l *launcher) {
	grid, block := each(o.N)
	l.drawClasses(grid, block, drawClassesArgs{classes: o.Class, labels: o.Labels, state: o.State, seed: o.Seed,
		dataRows: uint64(o.Labels.N), threshold: o.threshold(), half: newFeistel(o.Labels.N).half, purpose: uint32(PurposeLabel),
		none: o.None, levels: o.Levels, rows: o.N})
}

// kind is what the kernels take: 0 for none, 1 for vp, 2 for subvp.
func (b Betas) kind() int {
	switch {
	case b == Betas{}:
		return 0
	case b.Sub:
		return 2
	}
	return 1
}

func (o Precondition) launch(l *launcher) {
	grid, block := each(o.N)
	l.precondition(grid, block, preconditionArgs{y: o.Y, sigma: o.Sigma, level: o.Level, table: o.Table, steps: o.Table.N,
		betas: o.Betas.kind(), betaMin: math.Float64bits(o.Betas.Min), betaMax: math.Float64bits(o.Betas.Max),
		sd: math.Float64bits(o.SD), root: flag(o.Root), weighted: flag(o.Weighted), rows: o.N})
}
