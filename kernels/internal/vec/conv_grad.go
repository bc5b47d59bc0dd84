// The weight gradient of a convolution, cut into calls of the assembly. A tile is rows (input values) x panels*16
// lanes (output channels). A kernel keeps it in registers while it walks over the pixels of the image that the tap
// covers.

package vec

import "unsafe"

// gradArgs is the argument block of a gradient kernel, which computes
//
//	acc[r, lane] += sum over image rows i and groups g of x[i, g, r] * dy[i, g, lane]
//
// The assembly reads it by offsets: eight bytes a field (gradFields in gen/conv.go). Strides are in bytes.
type gradArgs struct {
	x, dy, acc           unsafe.Pointer
	rows                 int            // image rows, xRow and dyRow apart
	groups               int            // whole groups of pixels in an image row, xStep and dyStep apart
	tail                 uintptr        // 1: a cut group follows them
	xRow, dyRow          uintptr        //
	xStep, dyStep        uintptr        //
	accPanel             uintptr        // from the first panel's rows to the second's
	times                int            // how often to do this, x, dy and acc moving on by xTime, dyTime and accTime
	xTime, dyTime        uintptr        //
	accTime              uintptr        //
	mask, maskTail       uintptr        // lanes to read of dy: in the last panel; in the cut group
	maskWords, tailWords unsafe.Pointer // the same as 16 words of 0 or -1

	// Work space of the kernel.
	rowX, rowDy, leftRows, leftTimes uintptr
}

// run adds up the gradient of the whole image, in calls of at most maxFMA vector multiply-adds.
func (t gradArgs) run(rows, panels int) {
	perGroup := rows * panels * vectorsPerPanel()
	perRow := perGroup * (t.groups + int(t.tail))
	if perRow <= maxFMA {
		left, most := t.rows, maxFMA/perRow
		for {
			t.rows = min(left, most)
			convGrad(rows, panels, &t)
			if left -= t.rows; left == 0 {
				return
			}
			t.x = unsafe.Add(t.x, uintptr(t.rows)*t.xRow)
			t.dy = unsafe.Add(t.dy, uintptr(t.rows)*t.dyRow)
		}
	}
	for i := range uintptr(t.rows) {
		part := t
		part.rows = 1
		for done := 0; done < t.groups; done += part.groups {
			part.groups = min(t.groups-done, max(1, maxFMA/perGroup))
			part.tail = 0
			if done+part.groups == t.groups {
				part.tail = t.tail
			}
			part.x = unsafe.Add(t.x, i*t.xRow+uintptr(done)*t.xStep)
			part.dy = unsafe.Add(t.dy, i*t.dyRow+uintptr(done)*t.dyStep)
			convGrad(rows, panels, &part)
		}
	}
}

func (c Conv) weightGradTiles(acc, x, dy, scratch []float32) {
	if c.K == 1 { // pixels are all alike: one long row
		c.H, c.W = 1, c.H*c.W
	}
	group, panels := c.group(), c.panels()
	columns, rows := c.gradShape()
	image, width := x, c.W
	if c.K > 1 && columns == 1 {
		_, image = c.split(scratch)
		width = c.paddedWidth()
		c.padRows(image, x)
	}
	t := gradArgs{
		xRow: uintptr(4 * width * c.Cin), dyRow: uintptr(4 * c.W * c.Cout),
		xStep: uintptr(4 * group * c.Cin), dyStep: uintptr(4 * group * c.Cout),
		accPanel: uintptr(4 * rows * lanes), times: 1,
	}
	for kh := range c.K {
		h0, h1, dh := c.validRows(kh)
		if h0 >= h1 {
			continue
		}
		t.rows = h1 - h0
		for column := range columns {
			// With all taps in the rows, a row starts at the leftmost tap, which is where the padded row starts.
			w0, w1, dw := 0, c.W, 0
			if columns > 1 {
				if w0, w1, dw = c.validColumns(column); w0 >= w1 {
					continue
				}
			}
			t.groups = (w1 - w0) / group
			cut := (w1 - w0) % group
			t.tail = uintptr(min(cut, 1))
			for panel := 0; panel < panels; {
				n := min(maxPanels(), panels-panel)
				t.mask, t.maskWords = laneMask(min(group*c.Cout-(panel+n-1)*lanes, lanes))
				t.maskTail, t.tailWords = laneMask(cut * c.Cout)
				t.dy = unsafe.Pointer(&dy[(h0*c.W+w0)*c.Cout+panel*lanes])
				pieces, size, extra := even(rows, maxRows(n))
				for piece, r := 0, 0; piece < pieces; piece++ {
					high := size
					if piece < extra {
						high++
					}
					t.x = unsafe.Pointer(&image[((h0+dh)*width+w0+dw)*c.Cin+r])
					t.acc = unsafe.Pointer(&acc[(((kh*columns+column)*panels+panel)*rows+r)*lanes])
					t.run(high, n)
					r += high
				}
				panel += n
			}
		}
	}
}
