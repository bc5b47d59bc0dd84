// What a trainer does: steps, losses, the held-out loss, and steps on batches given by hand.

package train

import (
	"context"
	"fmt"
	"math"

	"sigmaz/kernels"
	"sigmaz/model/graph"
)

// Step does one optimiser step: perturb, forward, loss, backward, Adam, EMA. Nothing is read back.
func (t *Trainer) Step() error {
	if t.step == nil {
		return fmt.Errorf("trainer: no data set was given")
	}
	if t.steps-t.read >= uint64(max(1, t.c.Ring)) {
		return fmt.Errorf("trainer: the losses of %d steps were not read", t.steps-t.read)
	}
	run := t.step.RunAll
	if t.parted != nil {
		run = t.runParts
	}
	if err := run(); err != nil {
		return t.lost(err)
	}
	t.steps++
	return nil
}

// StepsDone returns the number of optimiser steps done.
func (t *Trainer) StepsDone() uint64 { return t.steps }

// LossRecord is the loss of one step: of each row, 1/2 lambda(sigma) |s + z/sigma|^2, with the row's level, or its sigma
// where that was drawn by a density.
type LossRecord struct {
	Step  uint64 // counted from 1: the number of steps done after it
	Loss  []float32
	Level []uint32  // nil with a density
	Sigma []float32 // nil without
}

// Mean returns the step's loss, summed in the order of the rows.
func (r LossRecord) Mean() float64 {
	var sum float64
	for _, v := range r.Loss {
		sum += float64(v)
	}
	return sum / float64(len(r.Loss))
}

// Losses appends the records of all steps since the last call.
func (t *Trainer) Losses(dst []LossRecord) ([]LossRecord, error) {
	if t.read == t.steps {
		return dst, nil
	}
	n, rows, parts := t.c.Batch, t.c.rows(), uint64(t.c.parts())
	ring := make([]float32, t.layout.ring.N) // one copy for all steps
	if err := t.fetch(ring, t.layout.ring); err != nil {
		return dst, err
	}
	for ; t.read < t.steps; t.read++ {
		r := LossRecord{Step: t.read + 1, Loss: make([]float32, 0, n)}
		for part := range parts {
			slot := int((t.read*parts + part) % (uint64(max(1, t.c.Ring)) * parts))
			words := ring[slot*2*rows : (slot+1)*2*rows]
			r.Loss = append(r.Loss, words[:rows]...)
			if t.c.Noise.Continuous() {
				r.Sigma = append(r.Sigma, words[rows:]...)
			} else {
				r.Level = append(r.Level, bitsOf(words[rows:])...)
			}
		}
		dst = append(dst, r)
	}
	return dst, nil
}

// passOverLosses does without the records up to here.
func (t *Trainer) passOverLosses() { t.read = t.steps }

// bitsOf reads words as uint32.
func bitsOf(words []float32) []uint32 {
	out := make([]uint32, len(words))
	for i, w := range words {
		out[i] = math.Float32bits(w)
	}
	return out
}

// HeldOutLoss computes the full objective on the held-out rows with the averaged weights (see Averaged) and fixed
// noise: the mean over all levels, 1/L sum over i, and the mean of each level.
func (t *Trainer) HeldOutLoss(ctx context.Context) (full float64, perLevel []float64, err error) {
	if t.heldOut == nil {
		return 0, nil, fmt.Errorf("trainer: no held-out data were given")
	}
	if err := t.arena.Write(t.layout.heldOutState, make([]float32, kernels.StateWords)); err != nil {
		return 0, nil, err
	}
	levels, total, n := len(t.c.Sigmas), t.c.HeldOut.N*len(t.c.Sigmas), t.c.rows()
	perLevel = make([]float64, levels)
	words := make([]float32, 2*n)
	for done := 0; done < total; done += n {
		if err := ctx.Err(); err != nil {
			return 0, nil, err
		}
		if err := t.heldOut.RunAll(); err != nil {
			return 0, nil, err
		}
		if err := t.arena.Read(words, t.layout.heldOutRing); err != nil {
			return 0, nil, err
		}
		for r := range min(n, total-done) {
			perLevel[math.Float32bits(words[n+r])] += float64(words[r])
		}
	}
	for i := range perLevel {
		perLevel[i] /= float64(t.c.HeldOut.N)
		full += perLevel[i] / float64(levels)
	}
	return full, perLevel, nil
}

// SetBatch gives a batch by hand: x~ and z of (N, H, W, C) values, and the noise level of each row, 0 being the largest
// sigma.
func (t *Trainer) SetBatch(xTilde, z []float32, level []int) error {
	sigma, words := make([]float32, len(level)), make([]float32, len(level))
	for row, l := range level {
		if l < 0 || l >= len(t.c.Sigmas) {
			return fmt.Errorf("trainer: row %d has level %d, expected 0 to %d", row, l, len(t.c.Sigmas)-1)
		}
		sigma[row], words[row] = t.c.Sigmas[l], math.Float32frombits(uint32(l))
	}
	for _, in := range []struct {
		name string
		b    kernels.Buf
		v    []float32
	}{
		{"x_tilde", t.plan.Buf(t.net.XTilde), xTilde}, {"z", t.plan.Buf(t.net.Z), z},
		{"sigma", t.plan.Buf(t.net.Sigma), sigma}, {"level", t.layout.level, words},
	} {
		if len(in.v) != in.b.N {
			return fmt.Errorf("trainer: %s has %d values, expected %d", in.name, len(in.v), in.b.N)
		}
		if err := t.arena.Write(in.b, in.v); err != nil {
			return err
		}
	}
	return nil
}

// SetClasses gives the class of each row of a batch by hand, for networks that are told classes.
func (t *Trainer) SetClasses(classes []uint32) error {
	if b := t.layout.class; len(classes) != b.N {
		return fmt.Errorf("trainer: %d classes are given, expected %d", len(classes), b.N)
	}
	words := make([]float32, len(classes))
	for row, c := range classes {
		if int(c) > t.c.Network.NoClass() {
			return fmt.Errorf("trainer: row %d has class %d, expected 0 to %d", row, c, t.c.Network.NoClass())
		}
		words[row] = math.Float32frombits(c)
	}
	return t.arena.Write(t.layout.class, words)
}

// Gradients runs forward and backward on the batch given by SetBatch and returns the loss.
func (t *Trainer) Gradients() (float64, error) { return t.runFixed(t.gradients) }

// StepFixed does an optimiser step on the batch given by SetBatch; it returns the loss before the step.
func (t *Trainer) StepFixed() (float64, error) {
	loss, err := t.runFixed(t.fixed)
	if err == nil {
		t.steps++
		t.read = t.steps
	}
	return loss, err
}

func (t *Trainer) runFixed(m *graph.Machine) (float64, error) {
	if m == nil {
		return 0, fmt.Errorf("trainer: a batch in %d parts cannot be given by hand", t.c.parts())
	}
	if err := m.RunAll(); err != nil {
		return 0, err
	}
	var loss [1]float32
	err := t.arena.Read(loss[:], t.plan.Buf(t.net.Loss))
	return float64(loss[0]), err
}

// Score returns s(x~, sigma) of the last pass, (N, H, W, C) values.
func (t *Trainer) Score() ([]float32, error) {
	s := make([]float32, t.plan.Buf(t.net.Score).N)
	return s, t.arena.Read(s, t.plan.Buf(t.net.Score))
}
