//go:build cgo && !nocuda

package kernels

// shape is the arguments that all convolution kernels end with.
func (s ConvShape) shape(args ...any) []any {
	return append(args, int64(s.N)*int64(s.H)*int64(s.W), s.H, s.W, s.Cin, s.Cout, s.K, s.Dilation)
}

func (s ConvShape) launchTile(l *launcher, kernel string, t cudaTile, channels int, args ...any) {
	// 16 words more than there are: the kernels look that far ahead
	l.small((s.H*s.W+t.rows)*(s.Cin+16), (s.H*s.W+t.rows)*(s.Cout+16), (s.Cout+t.cols)*(s.K*s.K*s.Cin+16), t.blocks(s.N*s.H*s.W, channels))
	l.kernel(kernel+"_"+t.name, [3]int{t.blocks(s.N*s.H*s.W, channels), 1, 1}, [3]int{t.threads, 1, 1}, s.shape(args...)...)
}

// testTile, where it is set, is the tile that tests ask for.
var testTile *cudaTile

func (o Conv) launch(l *launcher) {
	o.check(o.X, o.Y, o.Weight, o.Bias)
	t := cudaTileOf(o.N*o.H*o.W, o.Cout, o.Cin%4 == 0 && aligned(o.X))
	if testTile != nil {
		t = *testTile
	}
	o.launchTile(l, "conv", t, o.Cout, o.Y, o.X, o.Weight, o.Bias)
}

func (o ConvGradInput) launch(l *launcher) {
	o.check(o.DX, o.DY, o.Weight, Buf{})
	t := cudaTileOf(o.N*o.H*o.W, o.Cin, o.Cin%4 == 0 && o.Cout%4 == 0 && aligned(o.DY))
	if testTile != nil {
		t = *testTile
	}
	o.launchTile(l, "conv_grad_input", t, o.Cin, o.DX, o.DY, o.Weight)
}

func (o ConvGradWeight) launch(l *launcher) {
	o.check(o.X, o.DY, o.DWeight, o.DBias)
	s := o.cudaSplit()
	columns := o.K * o.K * o.Cin
	l.small((o.H*o.W+64)*o.Cin, (o.H*o.W+64)*o.Cout, (o.Cout+128)*(columns+128), s.part)
	if s.parts > maxGrid && l.err == nil {
		panic("kernels: conv_grad_weight: too many parts")
	}
	grid := [3]int{s.tile.blocks(o.Cout, columns), 1, s.parts}
	block := [3]int{s.tile.threads, 1, 1}
	kernel := "conv_grad_weight_" + s.tile.name
	if s.parts == 1 {
		l.kernel(kernel, grid, block, o.shape(o.DWeight, o.DBias, o.X, o.DY, uint64(s.part), uint64(0))...)
		return
	}
	dw, db := l.work(0), address(0)
	if o.DBias.N > 0 {
		db = l.work(o.DWeight.N)
	}
	l.kernel(kernel, grid, block, o.shape(dw, db, o.X, o.DY, uint64(s.part), uint64(s.words))...)
	grid, block = each(o.DWeight.N + o.DBias.N)
	l.kernel("conv_grad_weight_sum", grid, block, o.DWeight, o.DBias, dw, s.parts, uint64(s.words), uint64(o.DWeight.N), uint64(o.DBias.N))
}
