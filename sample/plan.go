// Plans: a sampler as a list of steps that are known before it starts.
//
//	x <- a x + b s + c y + d z
//	y <- e x + f s + g y + h z        s = s(x, sigma), z ~ N(0, I)
//
// Every factor is computed once, in float64. y is a second x: it is half a step of Heun's, the start of a two-stage
// step, or the denoised images of the step before. A [Chain] runs a plan on a device, where the factors lie in a table
// (package kernels, sampler.go); the tests run the same plan in float64, and law.go follows through it how much noise a
// network that does not see sigma leaves.

package sample

import (
	"math"

	"sigmaz/kernels"
	"sigmaz/model"
)

// line is the factors of one sum.
type line struct{ x, s, y, z float64 }

// keep is the line of a y that stays as it is.
var keep = line{}

// row is one evaluation of the score with the update after it, or an update alone.
type row struct {
	sigma    float64 // what the network is told; 0: the score is not evaluated
	draw     int     // which draw of noise z is
	x, y     line
	gain     bool    // s counts g^2 times and z g times, g = sqrt(D)/|s| of each row of the batch
	langevin bool    // z^2 = 2 s: rounded, z follows s
	mid      bool    // the step goes on in the next row: x is no sample yet
	level    int     // index in the plan's sigmas
	ends     bool    // the level ends here
	left     float64 // the noise level that x has after it; 0 once it is denoised
}

// Plan is a sampler's steps.
type Plan struct {
	Settings Settings
	Sigmas   []float64 // the noise levels of the schedule, from sigma_1 down to sigma_L

	// Each row serves repeat steps, the last one those that follow too: steps in all.
	rows          []row
	repeat, steps int
	norms         normKind // of gains

	known  knowns // nil: nothing is known of the samples
	guided bool   // by the score, not by setting x

	// Of frames between two samples, rows of [kernels.SamplerUpdate.Blend] for the start and for the steps; nil: samples
	// have noise of their own.
	start, blend []float32
}

// Objective returns what a score needs to have for the plan: see [model.NewScoreFor].
func (p *Plan) Objective() model.Objective {
	if p.guided {
		return model.Jacobian
	}
	return model.ScoreOnly
}

// Given makes the plan draw samples of which measurements are known, of image k number k mod their number.
func (p *Plan) Given(m ...*Measurement) { p.known = m }

// Known returns how many coordinates of the samples are known, of the one of which least is, and most.
func (p *Plan) Known() (least, most int) {
	for i, m := range p.known {
		if least, most = min(least, m.Len()), max(most, m.Len()); i == 0 {
			least = most
		}
	}
	return least, most
}

// normKind is which norms a corrector compares with that of the score.
type normKind int

const (
	expectedNorm normKind = iota // sqrt(D) of noise, and the row's own score
	rowNorm                      // the row's own noise and score
	batchNorm                    // means over the batch, as score_sde has it: a sample depends on its neighbours
)

// at returns the row of step k and its draw of noise.
func (p *Plan) at(k int) (r *row, draw int) {
	i := min(k/p.repeat, len(p.rows)-1)
	r = &p.rows[i]
	return r, r.draw + k - i*p.repeat
}

// Adaptive tells whether the steps are chosen while the sampler runs.
func (p *Plan) Adaptive() bool { return p.rows == nil }

// NFE returns the number of score evaluations for one sample; for an adaptive sampler, 0.
func (p *Plan) NFE() int {
	nfe := 0
	for k := range p.steps {
		if r, _ := p.at(k); r.sigma > 0 {
			nfe++
		}
	}
	return nfe
}

// Ends lists the steps, as [Step] counts them, that end a noise level, and the last one.
func (p *Plan) Ends() (ends []int) {
	whole := 0
	for k := range p.steps {
		r, _ := p.at(k)
		if r.mid {
			continue
		}
		if k == p.steps-1 || r.ends && (k+1)%p.repeat == 0 {
			ends = append(ends, whole)
		}
		whole++
	}
	return ends
}

// any tells whether a row has a property.
func (p *Plan) any(has func(r *row) bool) bool {
	for i := range p.rows {
		if has(&p.rows[i]) {
			return true
		}
	}
	return false
}

func (p *Plan) usesY() bool { return p.any(func(r *row) bool { return r.y != keep || r.x.y != 0 }) }
func (p *Plan) gains() bool { return p.any(func(r *row) bool { return r.gain }) }
func (p *Plan) kicks() bool { return p.any(func(r *row) bool { return r.sigma == 0 }) }

// WorkWords returns how many words of [model.Score.Work] the plan needs for batches of n rows of d values.
func (p *Plan) WorkWords(n, d int) int {
	if p.Adaptive() {
		return newODELayout(n, d, noTrace).words
	}
	return p.layout(n, d).words
}

// layout is where a plan's memory lies within a score's Work.
type layout struct {
	state, table, y, gain, blend kernels.Buf
	known                        directionsLayout
	words                        int
}

func (p *Plan) layout(n, d int) (l layout) {
	take := func(words int) kernels.Buf {
		b := kernels.Buf{Off: l.words, N: words}
		l.words += (words + 3) / 4 * 4
		return b
	}
	l.state = take(kernels.StateWords)
	l.table = take(kernels.StepWords * len(p.rows))
	if p.usesY() {
		l.y = take(n * d)
	}
	if p.gains() {
		l.gain = take(n)
	}
	l.blend = take(len(p.blend))
	if p.known != nil {
		l.known = p.known.layout(n, take)
	}
	return l
}

// table returns the rows as the device has them. A network that is told levels gets the one nearest in ln sigma, and
// then its score is taken times that level's sigma over the row's: it is the predicted noise -sigma s that changes
// little between levels, not s.
func (p *Plan) table(ladder model.Ladder, byLevel bool) []float32 {
	words := make([]float32, kernels.StepWords*len(p.rows))
	whole := kernels.Buf{N: kernels.StepWords}
	for i := range p.rows {
		r, w := &p.rows[i], words[i*kernels.StepWords:(i+1)*kernels.StepWords]
		x, y := r.x, r.y
		level := 0
		if r.sigma > 0 {
			level = ladder.Nearest(r.sigma)
			if byLevel && float32(r.sigma) != ladder[level] {
				x.s *= float64(ladder[level]) / r.sigma
				y.s *= float64(ladder[level]) / r.sigma
			}
		}
		w[kernels.StepSigma] = float32(r.sigma)
		kernels.SetWord(w, whole, kernels.StepLevel, uint32(level))
		kernels.SetWord(w, whole, kernels.StepDraw, uint32(r.draw))
		if r.gain {
			kernels.SetWord(w, whole, kernels.StepGain, 1)
		}
		for j, f := range []float64{x.x, x.s, x.y, x.z, y.x, y.s, y.y, y.z} {
			w[kernels.StepX+j] = float32(f)
		}
		if r.langevin {
			w[kernels.StepX+3] = float32(math.Sqrt(float64(2 * w[kernels.StepX+1])))
		}
	}
	return words
}
