// Between two samples: frame k of n is made of the noise
//
//	z = cos(phi) z_A + sin(phi) z_B,    phi = pi/2 k/(n-1)
//
// of the samples A and B, which is again N(0, I): a linear mean would be too short. The start is made so, and so is the
// noise of the steps (Song and Ermon 2020): the first frame is sample A and the last sample B, to the bit, by any sampler.
// Or all frames have the noise of A in their steps, and differ by the start alone; the last is sample B then where a
// sampler draws no noise. A sampler that draws much forgets its start, and such frames hardly differ.

package sample

import (
	"fmt"
	"math"

	"sigmaz/kernels"
	"sigmaz/model"
)

// Between is frames from one sample to another.
type Between struct {
	A, B      uint32 // indices of the samples
	Frames    int    // 2 or more
	SameNoise bool   // the noise of the steps is that of A in all frames
}

// Between makes the plan draw the frames in place of samples: image k is frame k.
func (p *Plan) Between(b Between) {
	p.start, p.blend = b.blends(true), b.blends(!b.SameNoise)
}

// blends are the frames' rows of [kernels.SamplerUpdate.Blend], turned from A to B or all of A.
func (b Between) blends(turned bool) []float32 {
	all := make([]float32, b.Frames*kernels.BlendWords)
	for k := range b.Frames {
		fa, fb := 1.0, 0.0
		switch {
		case turned && k == b.Frames-1:
			fa, fb = 0, 1 // exactly
		case turned:
			fb, fa = math.Sincos(math.Pi / 2 * float64(k) / float64(b.Frames-1))
		}
		row := all[k*kernels.BlendWords : (k+1)*kernels.BlendWords]
		whole := kernels.Buf{N: len(row)}
		kernels.SetWord(row, whole, kernels.BlendA, b.A)
		kernels.SetWord(row, whole, kernels.BlendB, b.B)
		row[kernels.BlendFA], row[kernels.BlendFB] = float32(fa), float32(fb)
	}
	return all
}

// startBetween writes x_0 of the frames firstImage, firstImage+1, and so on to s.X: see [Plan.Begin]. Uniform starts take
// the squares of cos and sin as weights, which keep them in their range.
func (p *Plan) startBetween(s *model.Score, sigmas model.Ladder, seed uint64, firstImage uint32, kind StartKind) error {
	x := make([]float32, s.N*s.D)
	other := make([]float32, s.D)
	for n := range s.N {
		row := x[n*s.D : (n+1)*s.D]
		at := min(int(firstImage)+n, len(p.start)/kernels.BlendWords-1) * kernels.BlendWords
		blend := p.start[at : at+kernels.BlendWords]
		if kind == Gaussian || kind == Sphere {
			kernels.BlendNormals(row, seed, kernels.PurposeStart, blend, 0)
			enlarge(row, sigmas[0], kind)
			continue
		}
		a, b := math.Float32bits(blend[kernels.BlendA]), math.Float32bits(blend[kernels.BlendB])
		fa, fb := blend[kernels.BlendFA]*blend[kernels.BlendFA], blend[kernels.BlendFB]*blend[kernels.BlendFB]
		uniform(row, seed, a, kind)
		uniform(other, seed, b, kind)
		for i, u := range other {
			row[i] = float32(fa*row[i]) + float32(fb*u)
		}
	}
	return s.Arena.Write(s.X, x)
}

// uniform writes a uniform start of an image.
func uniform(row []float32, seed uint64, image uint32, kind StartKind) {
	kernels.ImageStream(seed, kernels.PurposeStart, image, 0).Uniforms(row)
	switch kind {
	case Uniform:
	case Symmetric:
		for i, u := range row {
			row[i] = 2*u - 1
		}
	default:
		panic(fmt.Sprintf("sample: unknown start %d", kind))
	}
}
