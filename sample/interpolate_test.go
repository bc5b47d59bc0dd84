package sample

import (
	"math"
	"slices"
	"testing"

	"sigmaz/kernels"
	"sigmaz/model"
)

// drawn are images first to first+n-1 of a plan, with a Gaussian's score, from seed 7.
func drawn(t *testing.T, p *Plan, l model.Ladder, first, n, d int, kind StartKind, on device) []float32 {
	t.Helper()
	s, err := model.ScoreFunc(n, d, p.WorkWords(n, d), gaussianScore(0.5, 0.3))
	if err != nil {
		t.Fatal(err)
	}
	on.move(t, s)
	if err := p.Begin(s, l, 7, uint32(first), kind); err != nil {
		t.Fatal(err)
	}
	c, err := NewChain(s, p, l, 7)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Run(uint32(first), nil); err != nil {
		t.Fatal(err)
	}
	return readX(t, s)
}

// The first frame is sample A and the last sample B, to the bit, by every sampler, on every device and in any batch. With
// the noise of A in all steps the last is B by samplers without noise, and the first is A by all.
func TestBetween(t *testing.T) {
	const d, frames, a, b = 6, 5, 2, 9
	l := ladder(t, 3, 0.1, 8)
	for _, name := range SamplerNames() {
		for _, kind := range []StartKind{Gaussian, Uniform, Symmetric} {
			if kind != Gaussian && name != Langevin {
				continue
			}
			plan := func() *Plan {
				o := Defaults(name, true)
				o.T = 3
				p, err := NewPlan(o, l)
				if err != nil {
					t.Fatal(err)
				}
				return p
			}
			endA, endB := drawn(t, plan(), l, a, 1, d, kind, cpu), drawn(t, plan(), l, b, 1, d, kind, cpu)
			for _, same := range []bool{false, true} {
				p := plan()
				p.Between(Between{A: a, B: b, Frames: frames, SameNoise: same})
				noisy := p.any(func(r *row) bool { return r.x.z != 0 })
				all := drawn(t, p, l, 0, frames, d, kind, cpu)
				frame := func(k int) []float32 { return all[k*d : (k+1)*d] }
				if !slices.Equal(frame(0), endA) {
					t.Errorf("%s, same noise %t: the first frame is %v, sample A %v", name, same, frame(0), endA)
				}
				if slices.Equal(frame(frames-1), endB) != (!same || !noisy) {
					t.Errorf("%s, same noise %t: the last frame is %v, sample B %v", name, same, frame(frames-1), endB)
				}
				for k := range frames {
					if k > 0 && slices.Equal(frame(k), frame(k-1)) {
						t.Errorf("%s, same noise %t: frame %d is frame %d", name, same, k, k-1)
					}
					if alone := drawn(t, p, l, k, 1, d, kind, cpu); !slices.Equal(alone, frame(k)) {
						t.Errorf("%s, same noise %t: frame %d alone is %v, among others %v", name, same, k, alone, frame(k))
					}
				}
				for name, move := range devices { // the updates' bits are the CPU's, and the score is computed there
					if got := drawn(t, p, l, 0, frames, d, kind, device{name, move}); !slices.Equal(got, all) {
						t.Errorf("%s, same noise %t: on %s %v, on the CPU %v", p, same, name, got, all)
					}
				}
			}
		}
	}
}

// The flow of a Gaussian is linear about its mean: x(sigma) = m + sqrt((v + sigma^2)/(v + sigma_1^2)) (x_1 - m), and so
// are its frames.
func TestBetweenIsTurned(t *testing.T) {
	const d, frames, m, v = 6, 7, 0.5, 0.09
	l := ladder(t, 3, 0.02, 8)
	p := planOn("heun", karras(3, 0.02, 400, 7), nil)
	p.Between(Between{A: 4, B: 1, Frames: frames})
	got := drawn(t, p, l, 0, frames, d, Gaussian, cpu)
	noise := func(image uint32) []float32 {
		z := make([]float32, d)
		kernels.ImageStream(7, kernels.PurposeStart, image, 0).Normals(z)
		return z
	}
	zA, zB := noise(4), noise(1)
	for k := range frames {
		sin, cos := math.Sincos(math.Pi / 2 * float64(k) / (frames - 1))
		for i := range d {
			x1 := 3 * (cos*float64(zA[i]) + sin*float64(zB[i]))
			x := m + math.Sqrt((v+0.02*0.02)/(v+9))*(x1-m)
			want := x + 0.02*0.02*(m-x)/(v+0.02*0.02) // the last step is Tweedie's
			if e := math.Abs(float64(got[k*d+i]) - want); !(e <= 1e-4) {
				t.Errorf("frame %d, value %d: %g, expected %g", k, i, got[k*d+i], want)
			}
		}
	}
}
