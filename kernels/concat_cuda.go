//go:build cgo && !nocuda

// Launches of concatenation and split, see concat.cu.

package kernels

func (o Concat) launch(l *launcher) {
	v := o.channels(o.Y, o.A, o.B)
	grid, block := o.grid(l, v)
	l.concat(grid, block, concatArgs{y: o.Y, a: o.A, b: o.B, v: v, images: o.N, p: o.P, ca: o.CA, cb: o.CB})
}

func (o Split) launch(l *launcher) {
	v := o.channels(o.Y, o.A, o.B)
	grid, block := o.grid(l, v)
	l.split(grid, block, splitArgs{a: o.A, b: o.B, y: o.Y, v: v, images: o.N, p: o.P, ca: o.CA, cb: o.CB})
}

// channels returns those that a thread takes, all of one side.
func (s ConcatShape) channels(bufs ...Buf) int {
	if s.CA%4 != 0 {
		return 1
	}
	return wide(s.CB, bufs...)
}

func (s ConcatShape) grid(l *launcher, v int) (gridDim, blockDim) {
	l.small(s.P * (s.CA + s.CB))
	return byPixel(s.N, s.P*(s.CA+s.CB), v)
}
