package model

import (
	"math"
	"testing"

	"sigmaz/kernels"
)

// The three forms of the objective on data N(0, s^2 I), where everything is known: the perturbed density is
// q = N(0, (s^2 + sigma^2) I) with the score -x~/(s^2 + sigma^2), and for any score function f
//
//	explicit    E |grad log q(x~) - f|^2
//	denoising   E |grad log q(x~|x) - f|^2 = explicit + D/sigma^2 - D/(s^2 + sigma^2)
//	noise       E |f(x + sigma z) + z/sigma|^2 = denoising
//
// (Vincent 2011, appendix.) The third is what kernels.Loss computes, from z; the second is computed here from x and x~
// alone, as grad log q(x~|x) = (x - x~)/sigma^2. f is a linear score, right or wrong, or a network.
func TestThreeFormsOfTheLossAgree(t *testing.T) {
	const n, d, s = 20000, 2, 0.7
	const u = 1.0 / (1 << 24) // the largest relative error of a float32 rounding
	net, err := NewScore(kernels.NewCPU(0), Config{Net: "mlp", Height: 1, Width: 1, Channels: d, Hidden: 16,
		DataSD: s}, kernels.Float32, n, 0)
	if err != nil {
		t.Fatal(err)
	}
	params := make([]float32, net.weights.N)
	kernels.Stream{Seed: 3, Purpose: kernels.PurposeInit}.Normals(params)
	for i := range params {
		params[i] *= 0.3
	}
	if err := net.Arena.Write(net.weights, params); err != nil {
		t.Fatal(err)
	}
	program, err := net.Backend.Compile(net.Arena, net.Ops)
	if err != nil {
		t.Fatal(err)
	}
	data := &kernels.Data{N: n, H: 1, W: 1, C: d, F32: make([]float32, n*d)}
	kernels.Stream{Seed: 1, Purpose: kernels.PurposeData}.Normals(data.F32)
	for i := range data.F32 {
		data.F32[i] *= s
	}
	for _, sigma32 := range []float32{0.1, 0.5, 2} {
		sigma := float64(sigma32)
		for _, power := range []float64{0, 2} {
			mem := make([]float32, n*(3*d+4)+8)
			at := 0
			take := func(k int) kernels.Buf { b := kernels.Buf{Off: at, N: k}; at += k; return b }
			p := kernels.Perturb{N: n, XTilde: take(n * d), Z: take(n * d), Sigma: take(n), Level: take(n),
				Ladder: take(1), State: take(kernels.StateWords), Data: data, Seed: 2}
			p.Ladder.Of(mem)[0] = sigma32
			p.Ref(mem)
			loss := kernels.Loss{N: n, S: take(n * d), Z: p.Z, Sigma: p.Sigma, Mean: take(1), PerRow: take(n),
				Weight: kernels.Weight{Power: power}}
			x, score := p.XTilde.Of(mem), loss.S.Of(mem)
			c := 1 / (s*s + sigma*sigma)
			for name, f := range map[string]func(){
				"true score":  func() { linear(score, x, -c) },
				"wrong score": func() { linear(score, x, -0.5*c) },
				"zero":        func() { linear(score, x, 0) },
				"network": func() {
					if net.Arena.Write(net.X, x) != nil || net.Arena.Write(net.Sigma, p.Sigma.Of(mem)) != nil ||
						program.Run() != nil || net.Arena.Read(score, net.S) != nil {
						t.Fatal("the network does not run")
					}
				},
			} {
				f()
				loss.Ref(mem)
				noise := 2 * float64(loss.Mean.Of(mem)[0]) / math.Pow(sigma, power)
				// row by row the difference of the forms has the known mean; its spread gives the standard error
				var sum, sumSq, denoising, bound float64
				wrong := 0
				for r := range n {
					clean := data.F32[kernels.Permutation(p.Seed, n, uint64(r))*d:][:d]
					var e, dn, slack float64
					for k := range d {
						i := r*d + k
						a := -c*float64(x[i]) - float64(score[i])
						target := (float64(clean[k]) - float64(x[i])) / (sigma * sigma)
						b := target - float64(score[i])
						e += a * a
						dn += b * b
						// Float32 roundings between b and what the kernels square: of x~ and of sigma z; of 1/sigma, of
						// z/sigma and of its sum with the score. The 1% is for products of roundings.
						eps := 1.01 * u * (math.Abs(float64(x[i]))/(sigma*sigma) + 3*math.Abs(target) + math.Abs(b))
						slack += 2*math.Abs(b)*eps + eps*eps
					}
					slack += 1.01 * u * (dn + slack) // of the row's loss
					if got := 2 * float64(loss.PerRow.Of(mem)[r]) / math.Pow(sigma, power); math.Abs(got-dn) > slack {
						if wrong++; wrong == 1 {
							t.Errorf("sigma %g power %g %s row %d: kernels.Loss gives %g, the denoising form %g, "+
								"expected within %g", sigma, power, name, r, got, dn, slack)
						}
					}
					denoising += dn / n
					bound += slack / n
					sum += (dn - e) / n
					sumSq += (dn - e) * (dn - e) / n
				}
				bound += 1.01 * u * (denoising + bound) // of the mean
				if math.Abs(noise-denoising) > bound {
					t.Errorf("sigma %g power %g %s: kernels.Loss gives %g, the denoising form %g, expected within "+
						"%g", sigma, power, name, noise, denoising, bound)
				}
				if bound > 1e-5*denoising {
					t.Errorf("sigma %g power %g %s: the bound %g says little about %g", sigma, power, name, bound,
						denoising)
				}
				want := d/(sigma*sigma) - d*c
				if se := math.Sqrt((sumSq - sum*sum) / n); math.Abs(sum-want) > 4*se {
					t.Errorf("sigma %g %s: denoising - explicit is %g, expected %g within %g", sigma, name, sum,
						want, 4*se)
				}
			}
		}
	}
}

func linear(dst, x []float32, c float64) {
	for i, v := range x {
		dst[i] = float32(c * float64(v))
	}
}
