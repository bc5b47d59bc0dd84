//go:build cgo && !nocuda

// Launches of the resampling with a filter, see fir.cu.

package kernels

// firRows is the number of pixels, one below the other, of a thread.
const firRows = 4

func (o FIR) launch(l *launcher) {
	l.small(o.H*o.W*o.C, o.HOut*o.WOut*o.C)
	v := wide(o.C, o.X, o.Y)
	grid, block := byPixel(o.N, ceil(o.HOut, firRows)*o.WOut*o.C, v)
	w := o.Taps
	l.fir(grid, block, firArgs{
		y: o.Y, x: o.X, w0: w[0], w1: w[1], w2: w[2], w3: w[3], v: v, images: o.N,
		h: o.H, width: o.W, hout: o.HOut, wout: o.WOut, c: o.C, up: o.Up, down: o.Down, pad: o.Pad,
	})
}
