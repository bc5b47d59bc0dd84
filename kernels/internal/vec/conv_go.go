// The convolution in plain Go: the reference of the assembly, and the code of machines that have none. It reads the
// same packed weights and writes the same accumulators, but walks over pixels, not over groups of them, and never
// multiplies by the zeros of a group's panel.

package vec

func (c Conv) forwardGo(y, x, packed, bias []float32, accumulate bool) {
	group, taps := c.group(), c.taps()
	for first := 0; first < c.Cout; first += lanes {
		n := min(lanes, c.Cout-first) // channels of this panel
		panel := packed[first/lanes*c.K*taps*c.Cin*lanes:]
		for h := range c.H {
			for w := range c.W {
				g := w % group
				out := y[(h*c.W+w)*c.Cout+first:][:n]
				if !accumulate {
					clear(out)
				}
				if bias != nil {
					for o := range out {
						out[o] += bias[first+o]
					}
				}
				for kh := range c.K {
					hx := h + (kh-c.K/2)*c.Dilation
					if hx < 0 || hx >= c.H {
						continue
					}
					for kw := range c.K {
						wx := w + (kw-c.K/2)*c.Dilation
						if wx < 0 || wx >= c.W {
							continue
						}
						in := x[(hx*c.W+wx)*c.Cin:][:c.Cin]
						weights := panel[(kh*taps+kw+g)*c.Cin*lanes+g*c.Cout:]
						addProducts(out, in, weights)
					}
				}
			}
		}
	}
}

// addProducts computes out[o] += sum over i of in[i] * weights[i*lanes+o], a few outputs at a time, so that their sums
// stay in registers.
func addProducts(out, in, weights []float32) {
	o := 0
	for ; o+8 <= len(out); o += 8 {
		s := (*[8]float32)(out[o:])
		s0, s1, s2, s3, s4, s5, s6, s7 := s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7]
		for i, v := range in {
			w := (*[8]float32)(weights[i*lanes+o:])
			s0 += v * w[0]
			s1 += v * w[1]
			s2 += v * w[2]
			s3 += v * w[3]
			s4 += v * w[4]
			s5 += v * w[5]
			s6 += v * w[6]
			s7 += v * w[7]
		}
		*s = [8]float32{s0, s1, s2, s3, s4, s5, s6, s7}
	}
	for ; o < len(out); o++ {
		s := out[o]
		for i, v := range in {
			s += v * weights[i*lanes+o]
		}
		out[o] = s
	}
}

// weightGradGo adds up the weight gradient in the lanes of a group's first pixel; the other lanes stay zero.
func (c Conv) weightGradGo(acc, x, dy []float32) {
	columns, rows := c.gradShape()
	for kh := range c.K {
		h0, h1, dh := c.validRows(kh)
		for kw := range c.K {
			w0, w1, dw := c.validColumns(kw)
			column, tap := 0, kw
			if columns > 1 {
				column, tap = kw, 0
			}
			for first := 0; first < c.Cout; first += lanes {
				n := min(lanes, c.Cout-first)
				to := acc[(((kh*columns+column)*c.panels()+first/lanes)*rows+tap*c.Cin)*lanes:]
				for h := h0; h < h1; h++ {
					for w := w0; w < w1; w++ {
						in := x[((h+dh)*c.W+w+dw)*c.Cin:][:c.Cin]
						out := dy[(h*c.W+w)*c.Cout+first:][:n]
						for i, v := range in {
							row := to[i*lanes:][:len(out)]
							for o, d := range out {
								row[o] += v * d
							}
						}
					}
				}
			}
		}
	}
}
