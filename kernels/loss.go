// The denoising score matching loss (Vincent 2011; Song and Ermon 2019, equations 5 and 6), D values a row:
//
//	loss_n = 1/2 lambda(sigma_n) sum over values of (s + z / sigma_n)^2        loss = mean over rows of loss_n
//
// z / sigma is minus the score of the perturbation q(x~ | x) at x~ = x + sigma z. With lambda = sigma^2 the loss is
// 1/2 |sigma s + z|^2, about D/2 for a network that knows nothing. Its gradient, for a gradient g of the mean:
//
//	ds_n = g / N lambda(sigma_n) (s + z / sigma_n)
//
// With a mask the sum is over the values whose mask is not 0, and ds of the others is 0.

package kernels

import "math"

// Weight is lambda(sigma) = sigma^Power (1 + (sigma/SD)^2), without the second factor where SD is 0. With Power 2 and SD
// the deviation of the data it is the weight of Karras et al. 2022: (sigma^2 + SD^2) / SD^2 on |sigma s + z|^2. Scale
// multiplies it where it is not 0, and with Factors so do the factors that the loss is given. With Masked the loss is
// given a mask.
type Weight struct {
	Power, SD, Scale float64
	Factors          bool
	Masked           bool
}

// At returns lambda(sigma).
func (w Weight) At(sigma float64) float64 {
	lambda := math.Pow(sigma, w.Power)
	if w.SD != 0 {
		lambda *= 1 + (sigma/w.SD)*(sigma/w.SD)
	}
	if w.Scale != 0 {
		lambda *= w.Scale
	}
	return lambda
}

// Loss writes the loss of every row and their mean.
type Loss struct {
	N      int
	Mean   Buf // (1)
	PerRow Buf // (N)
	S, Z   Buf // (N, D)
	Sigma  Buf // (N)
	Factor Buf // (N) or absent: factors of lambda, a row's own
	Mask   Buf // (N, D) or absent: 0 where a value does not count
	Weight Weight
}

func (o Loss) Name() string { return "loss" }
func (o Loss) Operands() (reads, writes []Buf) {
	return withOptional([]Buf{o.S, o.Z, o.Sigma}, o.Factor, o.Mask), []Buf{o.Mean, o.PerRow}
}
func (o Loss) Ref(mem []float32) {
	o.rows(mem, 0, o.N, sumSquares)
	o.mean(mem)
}

// withOptional appends those windows that are there.
func withOptional(reads []Buf, optional ...Buf) []Buf {
	for _, b := range optional {
		if b.N > 0 {
			reads = append(reads, b)
		}
	}
	return reads
}

// lambda returns the weight of row n.
func (w Weight) lambda(mem []float32, sigma float32, factor Buf, n int) float64 {
	lambda := w.At(float64(sigma))
	if factor.N > 0 {
		lambda *= float64(factor.Of(mem)[n])
	}
	return lambda
}

// sumSquares returns the sum of (s + inv z)^2.
func sumSquares(s, z []float32, inv float32) float64 {
	var sum float64
	for i, v := range s {
		e := float64(v + float32(z[i]*inv))
		sum += e * e
	}
	return sum
}

// maskedSquares is sumSquares of the values whose mask is not 0.
func maskedSquares(s, z, mask []float32, inv float32) float64 {
	var sum float64
	for i, v := range s {
		if mask[i] != 0 {
			e := float64(v + float32(z[i]*inv))
			sum += e * e
		}
	}
	return sum
}

// rows writes the losses of rows lo to hi.
func (o Loss) rows(mem []float32, lo, hi int, sumSquares func(s, z []float32, inv float32) float64) {
	for n := lo; n < hi; n++ {
		sigma := o.Sigma.Of(mem)[n]
		var sum float64
		if s, z := row(mem, o.S, o.N, n), row(mem, o.Z, o.N, n); o.Mask.N > 0 {
			sum = maskedSquares(s, z, row(mem, o.Mask, o.N, n), 1/sigma)
		} else {
			sum = sumSquares(s, z, 1/sigma)
		}
		o.PerRow.Of(mem)[n] = float32(0.5 * o.Weight.lambda(mem, sigma, o.Factor, n) * sum)
	}
}

// mean sums the rows in their order.
func (o Loss) mean(mem []float32) {
	var sum float64
	for _, v := range o.PerRow.Of(mem) {
		sum += float64(v)
	}
	o.Mean.Of(mem)[0] = float32(sum / float64(o.N))
}

// LossGrad writes the gradient with respect to the score, given the gradient of the mean. DS may be S or Z.
type LossGrad struct {
	N      int
	DS     Buf // (N, D)
	S, Z   Buf // (N, D)
	Sigma  Buf // (N)
	DMean  Buf // (1)
	Factor Buf // (N) or absent, as in Loss
	Mask   Buf // (N, D) or absent, as in Loss
	Weight Weight
}

func (o LossGrad) Name() string { return "loss_grad" }
func (o LossGrad) Operands() (reads, writes []Buf) {
	return withOptional([]Buf{o.S, o.Z, o.Sigma, o.DMean}, o.Factor, o.Mask), []Buf{o.DS}
}
func (o LossGrad) InPlace() [][2]Buf { return [][2]Buf{{o.DS, o.S}, {o.DS, o.Z}} }
func (o LossGrad) Ref(mem []float32) { o.rows(mem, 0, o.N, scaledSum) }

// scaledSum writes ds = k (s + inv z).
func scaledSum(ds, s, z []float32, inv, k float32) {
	for i, v := range s {
		ds[i] = k * (v + float32(z[i]*inv))
	}
}

// rows writes rows lo to hi.
func (o LossGrad) rows(mem []float32, lo, hi int, scaledSum func(ds, s, z []float32, inv, k float32)) {
	g := float64(o.DMean.Of(mem)[0]) / float64(o.N)
	for n := lo; n < hi; n++ {
		sigma := o.Sigma.Of(mem)[n]
		k := float32(g * o.Weight.lambda(mem, sigma, o.Factor, n))
		ds := row(mem, o.DS, o.N, n)
		scaledSum(ds, row(mem, o.S, o.N, n), row(mem, o.Z, o.N, n), 1/sigma, k)
		if o.Mask.N > 0 {
			for i, counts := range row(mem, o.Mask, o.N, n) {
				if counts == 0 {
					ds[i] = 0
				}
			}
		}
	}
}

// Record keeps the losses and the levels of a step for the host, which then need not look at every step: slot
// step mod slots of the ring gets PerRow, then Level. It runs before Tick.
type Record struct {
	Ring   Buf // (slots, 2N)
	PerRow Buf // (N)
	Level  Buf // (N) uint32
	State  Buf
}

func (o Record) Name() string { return "record" }
func (o Record) Operands() (reads, writes []Buf) {
	return []Buf{o.PerRow, o.Level, o.State}, []Buf{o.Ring}
}
func (o Record) Ref(mem []float32) {
	n := o.PerRow.N
	slot := int(stepOf(mem, o.State) % uint64(o.Ring.N/(2*n)))
	copy(o.Ring.Slice(slot*2*n, n).Of(mem), o.PerRow.Of(mem))
	copy(o.Ring.Slice(slot*2*n+n, n).Of(mem), o.Level.Of(mem))
}
