// The transposed convolution with a filter, by its definition.

package graph_test

import (
	"testing"

	"gorgonia.org/gorgonia"

	"sigmaz/internal/approx"
	"sigmaz/kernels"
	"sigmaz/model/graph"
)

// A 3x3 convolution of the filtered image, as far as the filter reaches, and a crop, is a transposed convolution of stride 2
// whose result is filtered (upsample_conv_2d of score_sde):
//
//	u[r] = sum over v of w[v] z[r-2+v]     r = 0..2H, z the image with a 0 after each value but the last
//	y[i] = sum over j of k[3-j]/4 u[i-1+j]     k of sum 8, both along both axes, zeros outside
func TestFilteredUpConvolution(t *testing.T) {
	const h, w = 3, 2
	kernel := [4]float32{1, 2, 3, 2}
	random := func(n int, purpose uint64) []float32 {
		v := make([]float32, n)
		kernels.Stream{Seed: 1, N: purpose}.Normals(v)
		return v
	}
	x, taps, bias := random(h*w, 1), random(9, 2), []float32{0.5}

	at := func(v []float64, width, i, j int) float64 {
		if i < 0 || j < 0 || j >= width || i*width+j >= len(v) {
			return 0
		}
		return v[i*width+j]
	}
	const zh, zw, uh, uw = 2*h - 1, 2*w - 1, 2*h + 1, 2*w + 1
	z := make([]float64, zh*zw)
	for i := range h {
		for j := range w {
			z[2*i*zw+2*j] = float64(x[i*w+j])
		}
	}
	u := make([]float64, uh*uw)
	for i := range uh {
		for j := range uw {
			for a := range 3 {
				for b := range 3 {
					u[i*uw+j] += float64(taps[3*a+b]) * at(z, zw, i-2+a, j-2+b)
				}
			}
		}
	}
	want := make([]float32, 4*h*w)
	for i := range 2 * h {
		for j := range 2 * w {
			sum := float64(bias[0])
			for a := range 4 {
				for b := range 4 {
					sum += float64(kernel[3-a]) / 4 * float64(kernel[3-b]) / 4 * at(u, uw, i-1+a, j-1+b)
				}
			}
			want[i*2*w+j] = float32(sum)
		}
	}

	eachBackend(t, func(t *testing.T, backend kernels.Backend) {
		b := &layerGraph{T: t, g: gorgonia.NewGraph(), values: map[*gorgonia.Node][]float32{}}
		wide := b.apply(graph.FIR{Kind: graph.FIRUpWide, Kernel: kernel}, b.node("x", x, 1, h, w, 1))
		y := b.apply(graph.Crop{}, b.apply(graph.Conv{K: 3, Dilation: 1, Bias: true}, wide, b.node("w", taps, 1, 3, 3, 1),
			b.node("b", bias, 1)))
		if err := approx.Compare("y", b.run(backend, y, y)[0], want, approx.RelMax(1e-5)); err != nil {
			t.Error(err)
		}
	})
}
