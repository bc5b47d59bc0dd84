// The table of perturb, the update of Langevin dynamics and copies, where memory is the limit.

package benchcmd

import (
	"errors"
	"math"

	"sigmaz/kernels"
)

// elementwise is an arena for perturb, the update of Langevin dynamics and a copy on n images:
//
//	state | levels | steps | sigma of each image | level of each image | x | z
type elementwise struct {
	words    int
	values   int // of x
	state    kernels.Buf
	ladder   kernels.Buf
	steps    kernels.Buf
	x        kernels.Buf
	perturb  kernels.Perturb
	langevin kernels.SamplerUpdate
	copy     kernels.Affine
}

func newElementwise(n, h, w, c int, data *kernels.Data) *elementwise {
	e := &elementwise{values: n * h * w * c}
	take := func(n int) kernels.Buf {
		b := kernels.Buf{Off: e.words, N: n}
		e.words += (n + 15) / 16 * 16
		return b
	}
	e.state, e.ladder, e.steps = take(kernels.StateWords), take(elementwiseLevels),
		take(elementwiseLevels*kernels.StepWords)
	sigma, level := take(n), take(n)
	x, z := take(e.values), take(e.values)
	e.x = x
	e.perturb = kernels.Perturb{N: n, XTilde: x, Z: z, Sigma: sigma, Level: level, Ladder: e.ladder, State: e.state,
		Data: data, Seed: 3, Flip: true}
	e.langevin = kernels.SamplerUpdate{SamplerStep: kernels.SamplerStep{Table: e.steps, State: e.state, Repeat: 5},
		X: x, S: z, D: h * w * c, Seed: 4}
	// A copy as a kernel: y = 1 x + 0.
	e.copy = kernels.Affine{N: n, Y: z, X: x, Scale: 1}
	return e
}

// elementwiseLevels is the number of noise levels of [elementwise].
const elementwiseLevels = 40

// constants returns the ladder, and the table of steps of Langevin dynamics on it.
func (e *elementwise) constants() (ladder, steps []float32) {
	for i := range elementwiseLevels {
		ladder = append(ladder, 1/float32(i+1))
	}
	return ladder, langevinSteps(ladder, 1)
}

// fill sets them in the arena's memory.
func (e *elementwise) fill(mem []float32) {
	ladder, steps := e.constants()
	copy(e.ladder.Of(mem), ladder)
	copy(e.steps.Of(mem), steps)
}

// langevinSteps is the table of steps of annealed Langevin dynamics for kernels.SamplerUpdate:
//
//	x <- x + a s + sqrt(2 a) z,   a = q sigma^2
func langevinSteps(ladder []float32, q float32) []float32 {
	words := make([]float32, len(ladder)*kernels.StepWords)
	for i, sigma := range ladder {
		row := words[i*kernels.StepWords:][:kernels.StepWords]
		a := q * sigma * sigma
		row[kernels.StepSigma] = sigma
		kernels.SetWord(row, kernels.Buf{N: kernels.StepWords}, kernels.StepLevel, uint32(i))
		copy(row[kernels.StepX:], []float32{1, a, 0, float32(math.Sqrt(float64(2 * a)))})
	}
	return words
}

// measureMemory measures how fast data moves. The images are so many that no cache holds them.
func (b *bench) measureMemory() (table, error) {
	images := 1 << 13
	switch {
	case b.watch.dry:
		images = 4
	case b.device.GPU && !b.quick:
		images = 1 << 16
	case b.quick:
		images = 1 << 11
	}
	t := table{title: "memory"}
	e := newElementwise(images, 32, 32, 3, testImages(min(images, 1<<12), 32, 32, 3))
	b.backend.reset()
	a, err := b.backend.Alloc(e.words)
	if err != nil {
		return t, err
	}
	ladder, steps := e.constants()
	if err := errors.Join(a.Write(e.ladder, ladder), a.Write(e.steps, steps)); err != nil {
		return t, err
	}
	for _, m := range []struct {
		name  string
		op    kernels.Op
		bytes float64 // of one value
	}{
		// perturb comes first and fills the memory with what the others then work on
		{"perturb", e.perturb, 1 + 4 + 4},      // reads a byte, writes x~ and z
		{"langevin", e.langevin, 4 + 4 + 4},    // reads x and s, writes x
		{"copy (affine, 1x+0)", e.copy, 4 + 4}, // reads x, writes y
	} {
		p, err := b.backend.Compile(a, []kernels.Op{m.op})
		if err != nil {
			return t, err
		}
		s, err := b.time(a, p)
		if err != nil {
			return t, err
		}
		t.rows = append(t.rows, Row{Name: m.name, Values: []Value{s.value("", "B/s", m.bytes*float64(e.values))}})
	}
	if c, ok := a.(kernels.Copier); ok {
		s, err := b.watch.time(func() error { return c.Copy(e.copy.Y, e.copy.X) }, waitFor(a))
		if err != nil {
			return t, err
		}
		t.rows = append(t.rows, Row{Name: "copy (driver)", Values: []Value{s.value("", "B/s", 8*float64(e.values))}})
	}
	if peak := &b.report.Peaks.Bytes; *peak == 0 { // the driver's copy, or else the kernel's
		*peak = t.rows[len(t.rows)-1].Values[0].Median
	}
	for _, r := range t.rows {
		r.Values[0] = r.Values[0].of(b.report.Peaks.Bytes)
	}
	return t, nil
}
