package kernels

import (
	"math"
	"testing"
)

// A direction is made to hold the noise that is left beside that of its measurement, or drawn to what was measured; what
// is across it stays.
func TestSamplerMisfit(t *testing.T) {
	const sigma, a, target, z = 3, 0.3, 0.5, 2
	for _, c := range []struct {
		tau   float64
		exact bool
		want  func(vx float64) float64 // along the direction
	}{
		{0, false, func(float64) float64 { return target + sigma*z }},
		{1.5, false, func(float64) float64 { return target + math.Sqrt(9-2.25)*z }},
		{3, false, func(float64) float64 { return target }}, // as from either side
		{4, false, func(vx float64) float64 { return vx + a/(a+16-9)*(target-vx) }},
		{0, true, func(float64) float64 { return target }},
		{4, true, func(vx float64) float64 { return vx }},
	} {
		var o operandsOfMeasure
		step := make([]float32, StepWords)
		step[StepSigma], step[StepX], step[StepX+1] = sigma, 1, a
		v := Directions{Parts: o.words(0, 1, 0, 0), Target: o.add(target), Noise: o.add(float32(c.tau)), D: 2, Most: 1,
			ByDirection: Sparse{o.words(0, 2), o.words(0, 1), o.add(0.6, 0.8)},
			ByValue:     Sparse{o.words(0, 1, 2), o.words(0, 0), o.add(0.6, 0.8)}}
		misfit := SamplerMisfit{SamplerStep: SamplerStep{Table: o.add(step...), State: o.words(0, 0, 0, 0), Repeat: 1}, Directions: v,
			X: o.add(1, 2), Misfit: o.add(0, 0), Draws: o.add(z), Exact: c.exact}
		misfit.Ref(o.mem)
		SamplerFit{Directions: v, State: misfit.State, X: misfit.X, Misfit: misfit.Misfit}.Ref(o.mem)
		x := misfit.X.Of(o.mem)
		along, across := 0.6*float64(x[0])+0.8*float64(x[1]), 0.8*float64(x[0])-0.6*float64(x[1])
		if want := c.want(0.6 + 1.6); !(math.Abs(along-want) <= 1e-6 && math.Abs(across-(0.8-1.2)) <= 1e-6) {
			t.Errorf("tau %g, exact %t: %.7f along and %.7f across, expected %.7f and %.7f", c.tau, c.exact, along, across, want, 0.8-1.2)
		}
	}
}

// operandsOfMeasure is memory with windows.
type operandsOfMeasure struct{ mem []float32 }

func (o *operandsOfMeasure) add(values ...float32) Buf {
	o.mem = append(o.mem, values...)
	return Buf{Off: len(o.mem) - len(values), N: len(values)}
}

func (o *operandsOfMeasure) words(values ...uint32) Buf {
	b := o.add(make([]float32, len(values))...)
	for i, v := range values {
		SetWord(o.mem, b, i, v)
	}
	return b
}
