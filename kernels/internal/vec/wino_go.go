// Winograd's transforms in plain Go: the reference of the assembly, and the code of machines that have none.

package vec

import "math"

const (
	root     = math.Sqrt2
	halfRoot = math.Sqrt2 / 2
)

// inputLineGo returns B^T d.
func inputLineGo(d [6]float32) [6]float32 {
	t, u := d[4]-2*d[2], halfRoot*(d[3]-2*d[1])
	p, q := d[4]-d[2]/2, root*(d[3]-d[1]/2)
	return [6]float32{(d[0] + d[4]) - 2.5*d[2], t + u, t - u, p + q, p - q, (d[1] + d[5]) - 2.5*d[3]}
}

// outputLineGo returns A^T m.
func outputLineGo(m [6]float32) [4]float32 {
	s, d, t, e := m[1]+m[2], m[1]-m[2], m[3]+m[4], m[3]-m[4]
	return [4]float32{m[0] + s + t, halfRoot*d + root*e, s/2 + 2*t, m[5] + root/4*d + 2*root*e}
}

// outputGradLineGo returns A y.
func outputGradLineGo(y [4]float32) [6]float32 {
	t, u := y[0]+y[2]/2, halfRoot*(y[1]+y[3]/2)
	p, q := y[0]+2*y[2], root*(y[1]+2*y[3])
	return [6]float32{y[0], t + u, t - u, p + q, p - q, y[3]}
}

// filterLineGo returns G g.
func filterLineGo(g [3]float32) [6]float32 {
	t, u := -2.0/3*g[0]-1.0/3*g[2], -root/3*g[1]
	p, q := 1.0/6*g[0]+1.0/3*g[2], root/6*g[1]
	return [6]float32{g[0], t + u, t - u, p + q, p - q, g[2]}
}

// filterGradLineGo returns G^T x.
func filterGradLineGo(x [6]float32) [3]float32 {
	s, d, t, u := x[1]+x[2], x[1]-x[2], x[3]+x[4], x[3]-x[4]
	return [3]float32{x[0] - 2.0/3*s + 1.0/6*t, root/6*u - root/3*d, x[5] - 1.0/3*s + 1.0/3*t}
}

// winoInputGo transforms the tiles whose pixels index lists, to the rows of v from row at on. Pixels are `pixel`
// values apart; of each, the first channels values are transformed.
func winoInputGo(v matrix, at int, x []float32, pixel, channels int, index []int32) {
	for ; len(index) > 0; index = index[inputIndices:] {
		for c := range v.ld {
			var d, t [6][6]float32
			for i := range winoFreqs {
				if p := index[i]; p >= 0 && c < channels {
					d[i%6][i/6] = x[int(p)*pixel+c] // by columns
				}
			}
			for j := range d {
				for i, value := range inputLineGo(d[j]) {
					t[i][j] = value
				}
			}
			for i := range t {
				for j, value := range inputLineGo(t[i]) {
					v.data[(i*6+j)*v.freq+at*v.ld+c] = value
				}
			}
		}
		at++
	}
}

func winoOutputGradGo(v matrix, at int, dy []float32, pixel, channels int, index []int32) {
	for ; len(index) > 0; index = index[outputIndices:] {
		for c := range v.ld {
			var y [4][4]float32
			var t [6][4]float32
			for i := range outputIndices {
				if p := index[i]; p >= 0 && c < channels {
					y[i%4][i/4] = dy[int(p)*pixel+c]
				}
			}
			for j := range y {
				for i, value := range outputGradLineGo(y[j]) {
					t[i][j] = value
				}
			}
			for i := range t {
				for j, value := range outputGradLineGo(t[i]) {
					v.data[(i*6+j)*v.freq+at*v.ld+c] = value
				}
			}
		}
		at++
	}
}

func winoOutputGo(y []float32, m matrix, at int, bias []float32, e Epilogue, channels int, index []int32) {
	for ; len(index) > 0; index = index[outputIndices:] {
		for c := range channels {
			var d [6][6]float32
			var t [4][6]float32
			for i := range winoFreqs {
				d[i%6][i/6] = m.data[i*m.freq+at*m.ld+c]
			}
			for j := range d {
				for i, value := range outputLineGo(d[j]) {
					t[i][j] = value
				}
			}
			for i := range t {
				for j, value := range outputLineGo(t[i]) {
					p := index[i*4+j]
					if p < 0 {
						continue
					}
					to := int(p)*channels + c
					value += bias[c]
					if e.Activated != nil { // rounded before the sum, as it is where the two are apart
						value = float32(value * (min(e.Activated[to], 0) + 1))
					}
					if e.Addend != nil {
						value += e.Addend[to]
					}
					y[to] = value
					if e.ELU != nil {
						eluGo(e.ELU[to:to+1], y[to:to+1])
					}
				}
			}
		}
		at++
	}
}

// winoFilterGo transforms n vectors of 16 filters, from taps[start] on: tap values from tap to tap, step from vector
// to vector.
func winoFilterGo(u, taps []float32, freq, n, start, tap, step int) {
	for k := range n {
		for lane := range lanes {
			var g [3][3]float32
			var t [6][3]float32
			for i := range winoTaps {
				g[i%3][i/3] = taps[start+k*step+i*tap+lane]
			}
			for j := range g {
				for i, value := range filterLineGo(g[j]) {
					t[i][j] = value
				}
			}
			for i := range t {
				for j, value := range filterLineGo(t[i]) {
					u[(i*6+j)*freq+k*lanes+lane] = value
				}
			}
		}
	}
}

// winoFilterGradGo applies the adjoint transform to n vectors, and writes the first channels lanes of each to dw.
func winoFilterGradGo(dw, acc []float32, freq, n, tap, step, channels int, accumulate bool) {
	for k := range n {
		for lane := range channels {
			var x [6][6]float32
			var t [3][6]float32
			for i := range winoFreqs {
				x[i%6][i/6] = acc[i*freq+k*lanes+lane]
			}
			for j := range x {
				for i, value := range filterGradLineGo(x[j]) {
					t[i][j] = value
				}
			}
			for i := range t {
				for j, value := range filterGradLineGo(t[i]) {
					to := &dw[k*step+(i*3+j)*tap+lane]
					if accumulate {
						value += *to
					}
					*to = value
				}
			}
		}
	}
}

// multiplyGo computes m (n, panels*16) = v (n, k) u (panels, k, 16).
func multiplyGo(m []float32, ldm int, v []float32, ldv int, u []float32, n, k, panels int) {
	for i := range n {
		out, in := m[i*ldm:][:panels*lanes], v[i*ldv:][:k]
		clear(out)
		for p := range panels {
			addProducts(out[p*lanes:][:lanes], in, u[p*k*lanes:])
		}
	}
}
