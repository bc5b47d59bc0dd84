package vec

import (
	"math"
	"testing"
)

var winoCases = []Conv{
	{1, 1, 1, 1, 3, 1}, {1, 1, 3, 6, 3, 2}, {2, 3, 17, 31, 3, 1}, {4, 4, 16, 16, 3, 1}, {5, 7, 33, 17, 3, 1}, {8, 8, 96, 64, 3, 1},
	{14, 14, 32, 32, 3, 1}, {14, 14, 32, 32, 3, 2}, {14, 14, 31, 33, 3, 4}, {7, 3, 6, 33, 3, 2}, {3, 9, 17, 6, 3, 4},
	{33, 47, 3, 32, 3, 1}, {28, 28, 64, 33, 3, 1}, {16, 16, 96, 96, 3, 1}, {4, 5, 130, 97, 3, 1}, {13, 1, 1, 96, 3, 1},
	{33, 47, 17, 5, 3, 4}, {6, 6, 1600, 17, 3, 1},
}

// winoTolerance is relative to the largest result. In float32 Winograd's method loses a bit or two to direct
// convolution: its transforms have gains that cancel. Rounding errors add up like a walk, with the root of the number of
// terms.
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
		wantDw, wantDb := make([]float64, len(w)), make([]float64, c.Cout)
		for n := range images {
			want = append(want, convDefinition(c, x[n*sizeX:][:sizeX], w, bias)...)
			noBias = append(noBias, convDefinition(c, x[n*sizeX:][:sizeX], w, make([]float32, c.Cout))...)
			wantDx = append(wantDx, inputGradDefinition(c, w, dy[n*sizeY:][:sizeY])...)
			for i, v := range weightGradDefinition(c, x[n*sizeX:][:sizeX], dy[n*sizeY:][:sizeY]) {
				wantDw[i] += v
			}
		}
		for i, v := range dy {
			wantDb[i%c.Cout] += float64(v)
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
				closeTo(t, "bias gradient", db.v, wantDb, gradTol)
			})
		})
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
				b.ReportMetric(flop/bestTime(b, func() { wino.Forward(y, x, u, bias, Epilogue{}, 0, images*wino.Tiles, scratch) })/1e9, "GFLOP/s")
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
