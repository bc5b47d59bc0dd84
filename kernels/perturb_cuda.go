//go:build cgo && !nocuda

package kernels

func (o Perturb) launch(l *launcher) {
	data, err := l.backend.resident(o.Data)
	if err != nil {
		l.err = err
		return
	}
	d := o.Data.D()
	l.small(d)
	u8, f32 := data, address(0)
	if o.Data.F32 != nil {
		u8, f32 = 0, data
	}
	// A block draws its rows' images and levels first: four quads a thread to make that worth while.
	grid, block := byRow(o.N, d, 4)
	l.kernel("perturb", grid, block, o.XTilde, o.Z, o.Sigma, o.Level, o.Ladder, o.State, u8, f32, o.Seed, uint64(o.Data.N),
		newFeistel(o.Data.N).half, o.N, d, o.Data.W, o.Data.C, o.Ladder.N, o.Flip, o.Dequantize, o.Rescale, o.LevelsPerStep, o.Stratified, o.Every)
}
