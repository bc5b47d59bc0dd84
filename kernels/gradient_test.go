package kernels_test

import (
	"fmt"
	"math"
	"testing"

	"sigmaz/kernels"
)

// differentiable is a forward operation, the input and result in question, and its backward operation with the gradients
// that it leaves.
type differentiable struct {
	name              string
	forward, backward kernels.Op
	y, dy             kernels.Buf
	wrt               []struct{ x, dx kernels.Buf }
}

// Gradients of the plain Go references against central differences of sum(dy y), for every element of every input.
func TestReferenceGradients(t *testing.T) {
	const n, p, c, levels = 3, 6, 3, 4
	var at int
	take := func(k int) kernels.Buf { b := kernels.Buf{Off: at, N: k}; at += k; return b }
	type pair = struct{ x, dx kernels.Buf }
	var all []differentiable
	stats := func() kernels.NormStats {
		return kernels.NormStats{Mean: take(n * c), Rstd: take(n * c), MuHat: take(n * c), Q: take(n)}
	}
	level := take(n)
	shape := kernels.NormShape{N: n, P: p, C: c}
	for _, width := range []int{0, 1, 2, 3} { // no parameters, vectors, tables of gamma and beta, and with alpha
		x, y, dy, dx := take(n*p*c), take(n*p*c), take(n*p*c), take(n*p*c)
		f := kernels.Norm{NormShape: shape, X: x, Y: y, NormStats: stats(), Eps: 0.1}
		b := kernels.NormGrad{NormShape: shape, X: x, DY: dy, DX: dx, NormStats: f.NormStats}
		wrt := []pair{{x, dx}}
		switch width {
		case 1:
			f.Gamma, f.Alpha, f.Beta = take(c), take(c), take(c)
			b.Gamma, b.Alpha, b.DGamma, b.DAlpha, b.DBeta = f.Gamma, f.Alpha, take(c), take(c), take(c)
			wrt = append(wrt, pair{f.Gamma, b.DGamma}, pair{f.Alpha, b.DAlpha}, pair{f.Beta, b.DBeta})
		case 2, 3:
			f.Embed, f.Level, f.Levels = take(levels*width*c), level, levels
			b.Embed, b.Level, b.Levels, b.DEmbed = f.Embed, level, levels, take(levels*width*c)
			wrt = append(wrt, pair{f.Embed, b.DEmbed})
		}
		all = append(all, differentiable{fmt.Sprintf("norm %d", width), f, b, y, dy, wrt})
	}
	x, y, dy, dx := take(2*5*7*2), take(2*5*7*2), take(2*5*7*2), take(2*5*7*2)
	pool := kernels.PoolShape{N: 2, H: 5, W: 7, C: 2}
	all = append(all, differentiable{"avgpool5", kernels.AvgPool5{PoolShape: pool, X: x, Y: y}, kernels.AvgPool5{PoolShape: pool, X: dy, Y: dx}, y, dy, []pair{{x, dx}}})
	for _, a := range []kernels.Activation{kernels.ELU, kernels.ReLU, kernels.LReLU, kernels.Swish, kernels.Softplus} {
		x, y, dy, dx := take(40), take(40), take(40), take(40)
		b := kernels.ActivateGrad{F: a, N: 4, DY: dy, DX: dx, Y: y}
		if a.FromInput() {
			b.X, b.Y = x, kernels.Buf{}
		}
		all = append(all, differentiable{string(a), kernels.Activate{F: a, N: 4, X: x, Y: y}, b, y, dy, []pair{{x, dx}}})
	}

	mem := make([]float32, at)
	kernels.Stream{Seed: 6, Purpose: kernels.PurposeData}.Normals(mem)
	for i, l := range []uint32{2, 0, 2} {
		kernels.SetWord(mem, level, i, l)
	}
	for _, d := range all {
		sum := func() (total float64) {
			d.forward.Ref(mem)
			dy := d.dy.Of(mem)
			for i, v := range d.y.Of(mem) {
				total += float64(v) * float64(dy[i])
			}
			return total
		}
		sum()
		d.backward.Ref(mem)
		for k, w := range d.wrt {
			dx := append([]float32(nil), w.dx.Of(mem)...)
			largest := 0.0
			for _, g := range dx {
				largest = math.Max(largest, math.Abs(float64(g)))
			}
			x := w.x.Of(mem)
			for i, old := range x {
				const h = 1.0 / 256
				if (d.name == "relu" || d.name == "lrelu") && math.Abs(float64(old)) <= h {
					continue // the kink
				}
				x[i] = old + h
				up := sum()
				x[i] = old - h
				down := sum()
				x[i] = old
				if want := (up - down) / (2 * h); math.Abs(float64(dx[i])-want) > 2e-3*math.Max(largest, 0.1) {
					t.Errorf("%s, input %d, element %d: gradient %g, central difference %g", d.name, k, i, dx[i], want)
				}
			}
		}
	}
}
