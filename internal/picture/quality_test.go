package picture

import (
	"math"
	"testing"
)

// PSNR and SSIM of images whose values are known in closed form.
func TestQuality(t *testing.T) {
	flat := func(v float32) Images {
		m := Images{Pix: make([]float32, 16*16*3), N: 1, H: 16, W: 16, C: 3}
		for i := range m.Pix {
			m.Pix[i] = v
		}
		return m
	}
	if got := PSNR(flat(0.5), flat(0.6)); !(math.Abs(got-20) <= 1e-5) {
		t.Errorf("a difference of 0.1 has a PSNR of %g dB, expected 20", got)
	}
	if got := PSNR(flat(1), flat(7)); !math.IsInf(got, 1) {
		t.Errorf("values above 1 are not clamped: %g dB", got)
	}
	// without variance SSIM is that of the means
	if got, want := SSIM(flat(0.5), flat(0.6)), (2*0.5*0.6+1e-4)/(0.25+0.36+1e-4); !(math.Abs(got-want) <= 1e-5) {
		t.Errorf("SSIM %g, expected %g", got, want)
	}
	a, b := flat(0), flat(0)
	for i := range a.Pix {
		a.Pix[i] = 0.5 + 0.4*float32(math.Sin(float64(i)))
		b.Pix[i] = 1 - a.Pix[i]
	}
	if got := SSIM(a, a); !(math.Abs(got-1) <= 1e-12) {
		t.Errorf("SSIM of an image with itself is %g", got)
	}
	if got := SSIM(a, b); !(got < -0.9) { // the same means, the covariance is minus the variance
		t.Errorf("SSIM with the negative is %g", got)
	}
	small := Images{Pix: []float32{0.1, 0.9, 0.4, 0.5}, N: 1, H: 2, W: 2, C: 1}
	if got := SSIM(small, small); !(math.Abs(got-1) <= 1e-12) {
		t.Errorf("SSIM of a small image with itself is %g", got)
	}
}
