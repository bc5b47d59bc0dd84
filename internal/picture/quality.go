// How near one image is to another, in [0, 1]:
//
//	PSNR   -10 log10 of the mean square difference, in dB
//	SSIM   the mean over windows of (2 m_a m_b + C1)(2 c_ab + C2) / ((m_a^2 + m_b^2 + C1)(v_a + v_b + C2))
//
// Values are clamped to [0, 1] first, as pictures are. SSIM is that of Wang et al. 2004: windows of 11 x 11 with Gaussian
// weights of deviation 1.5, C1 = 0.01^2, C2 = 0.03^2, over all windows that lie within the image, a channel at a time.
// Images with a shorter side have windows of that side.

package picture

import "math"

// PSNR returns the peak signal-to-noise ratio of the first image of each, +Inf where they are equal.
func PSNR(a, b Images) float64 {
	sum := 0.0
	n := a.H * a.W * a.C
	for i := range n {
		d := unit(a.Pix[i]) - unit(b.Pix[i])
		sum += d * d
	}
	return -10 * math.Log10(sum/float64(n))
}

// unit clamps a value to [0, 1].
func unit(v float32) float64 { return min(max(float64(v), 0), 1) }

// SSIM returns the structural similarity of the first image of each, 1 where they are equal.
func SSIM(a, b Images) float64 {
	side := min(11, a.H, a.W)
	weights := make([]float64, side)
	sum := 0.0
	for i := range weights {
		d := float64(i) - float64(side-1)/2
		weights[i] = math.Exp(-d * d / (2 * 1.5 * 1.5))
		sum += weights[i]
	}
	for i := range weights {
		weights[i] /= sum
	}
	const c1, c2 = 0.01 * 0.01, 0.03 * 0.03
	total, windows := 0.0, 0
	for y := range a.H - side + 1 {
		for x := range a.W - side + 1 {
			for c := range a.C {
				var ma, mb, aa, bb, ab float64
				for i, wy := range weights {
					for j, wx := range weights {
						at := ((y+i)*a.W+x+j)*a.C + c
						va, vb, w := unit(a.Pix[at]), unit(b.Pix[at]), wy*wx
						ma, mb = ma+w*va, mb+w*vb
						aa, bb, ab = aa+w*va*va, bb+w*vb*vb, ab+w*va*vb
					}
				}
				total += (2*ma*mb + c1) * (2*(ab-ma*mb) + c2) / ((ma*ma + mb*mb + c1) * (aa - ma*ma + bb - mb*mb + c2))
				windows++
			}
		}
	}
	return total / float64(windows)
}
