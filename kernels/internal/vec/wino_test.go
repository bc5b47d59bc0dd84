package vec

import (
	"math"
	"strings"
	"testing"
)

var winoCases = []Conv{
	{1, 1, 1, 1, 3, 1}, {1, 1, 3, 6, 3, 2}, {2, 3, 17, 31, 3, 1}, {4, 4, 16, 16, 3, 1}, {5, 7, 33, 17, 3, 1}, {8, 8, 96, 64, 3, 1},
	{14, 14, 32, 32, 3, 1}, {14, 14, 32, 32, 3, 2}, {14, 14, 31, 33, 3, 4}, {7, 3, 6, 33, 3, 2}, {3, 9, 17, 6, 3, 4},
	{33, 47, 3, 32, 3, 1}, {28, 28, 64, 33, 3, 1}, {16, 16, 96, 96, 3, 1}, {4, 5, 130, 97, 3, 1}, {13, 1, 1, 96, 3, 1},
	{33, 47, 17, 5, 3, 4}, {6, 6, 1600, 17, 3, 1},
}

// winoTolerance is relative to the largest result. In float32 Winograd's method loses a bit or two to direct
// convolution: its transforms have gains that cancel. Rounding errors add up like a walk, with the root of the number
// of terms.
func winoTolerance(terms int) float64 { return 4e-6 + 1e-7*math.Sqrt(float64(terms)) }

// Forward, input gradient and weight gradient against the definitions, with several images, in two pieces of tiles.
func TestWino(t *testing.T) {
	for _, c := range winoCases {
		images := 1
		if c.H*c.W < 300 {
			images = 3
		}
		sizeX, sizeY := c.H*c.W*c.Cin, c.H*c.W*c.Cout
		x, w := normals(1, images*sizeX), normals(2, c.Cout*c.K*c.K*c.Cin)
		bias, dy := normals(3, c.Cout), normals(4, images*sizeY)
		addend, activated := normals(5, len(dy)), normals(6, len(dy))
		var want, noBias, wantDx, wantEpilogue, wantELU []float64
		wantDw, wantDB := make([]float64, len(w)), make([]float64, c.Cout)
		for n := range images {
			want = append(want, convDefinition(c, x[n*sizeX:][:sizeX], w, bias)...)
			noBias = append(noBias, convDefinition(c, x[n*sizeX:][:sizeX], w, make([]float32, c.Cout))...)
			wantDx = append(wantDx, inputGradDefinition(c, w, dy[n*sizeY:][:sizeY])...)
			for i, v := range weightGradDefinition(c, x[n*sizeX:][:sizeX], dy[n*sizeY:][:sizeY]) {
				wantDw[i] += v
			}
		}
		for i, v := range dy {
			wantDB[i%c.Cout] += float64(v)
		}
		for i, v := range want {
			if activated[i] < 0 {
				v *= float64(activated[i]) + 1
			}
			wantEpilogue = append(wantEpilogue, v+float64(addend[i]))
			if want[i] < 0 {
				wantELU = append(wantELU, math.Expm1(want[i]))
			} else {
				wantELU = append(wantELU, want[i])
			}
		}
		t.Run(c.String(), func(t *testing.T) {
			eachISA(t, func(t *testing.T) {
				wino, tol := NewWino(c), winoTolerance(max(c.Cin, c.Cout))
				gradTol := winoTolerance(images * c.H * c.W)
				forward := func(wino *Wino, x, u, bias []float32, e Epilogue, out guarded) {
					tiles := images * wino.Tiles
					for _, part := range [][2]int{{tiles / 3, tiles}, {0, tiles / 3}} {
						scratch := garbage(wino.ScratchLen())
						wino.Forward(out.v, x, u, bias, e, part[0], part[1], scratch.v)
						scratch.check(t)
					}
					out.check(t)
				}
				filters := func(wino *Wino, f func(u, w []float32, panel int, scratch []float32)) guarded {
					u := garbage(wino.FilterLen())
					for p := range wino.FilterPanels() {
						scratch := garbage(wino.FilterScratchLen())
						f(u.v, w, p, scratch.v)
						scratch.check(t)
					}
					u.check(t)
					return u
				}
				u := filters(wino, wino.Filter)
				y := garbage(len(dy))
				forward(wino, x, u.v, bias, Epilogue{}, y)
				closeTo(t, "forward", y.v, want, tol)
				y = garbage(len(dy))
				forward(wino, x, u.v, nil, Epilogue{}, y)
				closeTo(t, "forward without bias", y.v, noBias, tol)
				y = guardCopy("addend and result", addend)
				forward(wino, x, u.v, bias, Epilogue{Activated: activated, Addend: y.v}, y)
				closeTo(t, "forward with derivative and addend", y.v, wantEpilogue, tol)
				y = garbage(len(dy))
				forward(wino, x, u.v, bias, Epilogue{ELU: y.v}, y)
				closeTo(t, "forward with ELU", y.v, wantELU, tol)
				y, elu := garbage(len(dy)), garbage(len(dy))
				forward(wino, x, u.v, bias, Epilogue{ELU: elu.v}, y)
				elu.check(t)
				closeTo(t, "forward before ELU", y.v, want, tol)
				closeTo(t, "forward with ELU apart", elu.v, wantELU, tol)

				back := wino.Transposed()
				u = filters(back, back.FilterTransposed)
				dx := garbage(len(x))
				forward(back, dy, u.v, nil, Epilogue{}, dx)
				closeTo(t, "input gradient", dx.v, wantDx, tol)

				dw, db := guard("dw", len(w), float32(math.NaN())), guard("db", c.Cout, float32(math.NaN()))
				for _, b := range wino.GradBlocks() {
					var accs [][]float32
					for n := 0; n < images; n += 2 { // two images and one
						m := min(images, n+2)
						acc, scratch := garbage(wino.WeightGradLen(b)), garbage(wino.GradScratchLen())
						wino.WeightGrad(acc.v, x[n*sizeX:m*sizeX], dy[n*sizeY:m*sizeY], b, scratch.v)
						acc.check(t)
						scratch.check(t)
						accs = append(accs, acc.v)
					}
					wino.StoreWeightGrad(dw.v, db.v, accs, b)
				}
				dw.check(t)
				db.check(t)
				closeTo(t, "weight gradient", dw.v, wantDw, gradTol)
				closeTo(t, "bias gradient", db.v, wantDB, gradTol)
			})
		})
	}
}

// Every transform against its plain Go reference, on every tile of an image, inside sentinels: channels that fill no
// vector, parts of the channels, edges, dilated phases.
func TestWinoTransforms(t *testing.T) {
	for _, channels := range []int{1, 3, 6, 17, 31, 32, 33, 96} {
		for _, size := range [][3]int{{1, 1, 1}, {5, 6, 1}, {33, 47, 1}, {14, 14, 2}, {9, 13, 4}} {
			c := Conv{size[0], size[1], channels, channels, 3, size[2]}
			w := NewWino(c)
			n := min(w.Tiles, 37)
			c0 := channels / 3
			x, zeros := normals(1, c.H*c.W*channels), make([]float32, roundUp(channels, lanes))
			bias, addend, activated := normals(2, channels), normals(3, len(x)), normals(4, len(x))
			products := normals(5, matrixLen(n, channels))
			weights := normals(6, channels*winoTaps*channels)
			b := GradBlock{0, channels, 0, channels}
			sums := normals(7, w.WeightGradLen(b))
			var want [][]float32
			run := func() (results []guarded) {
				fill := func(name string, n int) guarded {
					g := guard(name, n, 5)
					results = append(results, g)
					return g
				}
				// The channels of a transformed matrix; those that fill a panel may be anything.
				matrixOf := func(name string, channels int, transform func(m matrix)) {
					all := fill("padding of "+name, matrixLen(n, channels))
					m, _ := newMatrix(all.v, n, channels)
					transform(m)
					only := guard(name, 0, 0)
					for row := range winoFreqs * n {
						only.v = append(only.v, m.data[row/n*m.freq+row%n*m.ld:][:channels]...)
					}
					only.all = nil
					results = append(results, only)
				}
				for _, from := range []int{0, c0} {
					matrixOf("V", channels-from, func(v matrix) {
						w.transformInput(v, 0, x, zeros, channels, from, channels,
							w.Tiles-n, n)
					})
					matrixOf("A dY A^T", channels-from, func(v matrix) {
						w.transformOutputGrad(v, 0, x, zeros, channels, from, channels, w.Tiles-n, n)
					})
				}
				m, _ := newMatrix(products, n, channels)
				for _, e := range []Epilogue{{}, {Addend: addend}, {Activated: activated}, {Activated: activated, Addend: addend}} {
					w.transformOutput(fill("Y", len(x)).v, m, 0, bias, fill("outside", len(zeros)).v, e, w.Tiles-n, n)
				}
				y := fill("Y before ELU", len(x))
				w.transformOutput(y.v, m, 0, bias, fill("outside", len(zeros)).v, Epilogue{Addend: addend,
					ELU: fill("ELU", len(x)).v}, w.Tiles-n, n)
				for p := range w.FilterPanels() {
					w.Filter(fill("filters", w.FilterLen()).v, weights, p, fill("scratch", w.FilterScratchLen()).v)
					w.FilterTransposed(fill("filters turned", w.FilterLen()).v, weights, p, fill("scratch", w.FilterScratchLen()).v)
				}
				w.StoreWeightGrad(fill("dW", len(weights)).v, fill("db", channels).v, [][]float32{sums, sums}, b)
				return results
			}
			t.Run(c.String(), func(t *testing.T) {
				eachISA(t, func(t *testing.T) {
					for i, g := range run() {
						g.check(t)
						if ISA() == "go" {
							want = append(want, g.v)
							continue
						}
						got, expected := g.v, want[i]
						switch {
						case g.name == "outside" || g.name == "scratch" || strings.HasPrefix(g.name, "padding"):
							continue
						case strings.HasPrefix(g.name, "filters"): // on cache lines
							got, expected = aligned(got)[:len(got)-lanes], aligned(expected)[:len(got)-lanes]
						}
						closeTo(t, g.name, got, float64s(expected), 1e-6)
					}
				})
			})
		}
	}
}

func BenchmarkWino(b *testing.B) {
	for _, name := range Available() {
		for _, c := range benchConvs {
			if c.K != 3 || c.Cin < 8 || c.Cout < 8 {
				continue
			}
			restore := SetISA(name)
			images := (90 + NewWino(c).Tiles) / NewWino(c).Tiles
			x, w, dy := normals(1, images*c.H*c.W*c.Cin), normals(2, c.Cout*c.K*c.K*c.Cin), normals(3, images*c.H*c.W*c.Cout)
			wino := NewWino(c)
			u, scratch := make([]float32, wino.FilterLen()), make([]float32, wino.ScratchLen())
			y, bias, fs := make([]float32, len(dy)), normals(5, c.Cout), make([]float32, wino.FilterScratchLen())
			filters := func() {
				for p := range wino.FilterPanels() {
					wino.Filter(u, w, p, fs)
				}
			}
			filters()
			flop := 2 * float64(images*c.H*c.W*c.Cout*c.K*c.K*c.Cin)
			b.Run(name+"/forward/"+c.String(), func(b *testing.B) {
				b.ReportMetric(flop/bestTime(b,
					func() { wino.Forward(y, x, u, bias, Epilogue{}, 0, images*wino.Tiles, scratch) })/1e9, "GFLOP/s")
			})
			b.Run(name+"/filter/"+c.String(), func(b *testing.B) { b.ReportMetric(1e6*bestTime(b, filters), "us") })
			blocks := wino.GradBlocks()
			gs := make([]float32, wino.GradScratchLen())
			var accs [][]float32
			for _, k := range blocks {
				accs = append(accs, make([]float32, wino.WeightGradLen(k)))
			}
			b.Run(name+"/grad/"+c.String(), func(b *testing.B) {
				b.ReportMetric(flop/bestTime(b, func() {
					for i, k := range blocks {
						wino.WeightGrad(accs[i], x, dy, k, gs)
					}
				})/1e9, "GFLOP/s")
			})
			restore()
		}
	}
}

// Nanoseconds for 16 channels of a tile.
func BenchmarkWinoTransforms(b *testing.B) {
	for _, c := range []Conv{{28, 28, 64, 64, 3, 1}, {14, 14, 128, 128, 3, 1}} {
		w := NewWino(c)
		x, zeros := normals(1, c.H*c.W*c.Cin), make([]float32, 17*256)
		v, _ := newMatrix(aligned(make([]float32, 16+matrixLen(winoChunk, c.Cin))), winoChunk, c.Cin)
		n := min(24, w.Tiles)
		per := float64(n * c.Cin / 16)
		report := func(name string, f func()) {
			b.Run(c.String()+"/"+name, func(b *testing.B) { b.ReportMetric(bestTime(b, f)*1e9/per, "ns/tilevector") })
		}
		report("input", func() { w.transformInput(v, 0, x, zeros, c.Cin, 0, c.Cin, 0, n) })
		report("outputGrad", func() { w.transformOutputGrad(v, 0, x, zeros, c.Cin, 0, c.Cin, 0, n) })
		report("output", func() { w.transformOutput(x, v, 0, zeros[:c.Cout], zeros[:17*c.Cout], Epilogue{}, 0, n) })
		report("outputELU", func() { w.transformOutput(x, v, 0, zeros[:c.Cout], zeros[:17*c.Cout], Epilogue{ELU: x}, 0, n) })
		y := append([]float32(nil), x...)
		report("outputAdd", func() {
			w.transformOutput(x, v, 0, zeros[:c.Cout], zeros[:17*c.Cout],
				Epilogue{Addend: y}, 0, n)
		})
		clear(x)
	}
}
