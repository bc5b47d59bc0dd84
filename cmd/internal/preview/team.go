// Samplers on several devices, which share batches. A sample's bits do not depend on its batch (its noise is a function of
// seed, sample and step, its score of the sample alone), so sample k is sample k on any number of devices.

package preview

import (
	"context"
	"fmt"
	"math"
	"sync"

	"sigmaz/cmd/internal/share"
	"sigmaz/kernels"
	"sigmaz/model"
	"sigmaz/sample"
)

// Team is samplers of one plan, each on a device of its own, by the numbers of the devices.
type Team []*Sampler

// NewTeam makes samplers as [NewSampler] does, on those of the devices that n samples give work to. LoadFrom gives them
// weights. Batches hold the given number of rows, or fewer where devices would go without.
func NewTeam(devices []kernels.Backend, cfg model.Config, precision kernels.Precision, sigmas model.Ladder,
	plan *sample.Plan, seed uint64, n, batch int) (Team, error) {
	devices = share.Working(devices, n)
	batch = share.Size(batch, n, len(devices))
	return share.OnEach(devices, func(b kernels.Backend) (*Sampler, error) {
		return NewSampler(b, cfg, precision, sigmas, plan, seed, batch)
	})
}

// LoadFrom takes the weights of a set of tensors, which may lie in a file.
func (t Team) LoadFrom(set model.TensorSet, prefix string) error {
	for i, s := range t {
		if err := s.LoadFrom(set, prefix); err != nil {
			return share.OnDevice(i, len(t), err)
		}
	}
	return nil
}

// Batch is the rows of a batch.
func (t Team) Batch() int { return t[0].score.N }

// Batches counts the batches of n samples.
func (t Team) Batches(n int) int { return (n + t.Batch() - 1) / t.Batch() }

// Draw draws samples 0 to n-1, (n, D), images in [0, 1] but for NetworkUnits. Sample k is the same for any n, any batch
// size and any number of devices. each, which may be nil, is called after every step of every batch, one call at a time.
// When ctx ends, each fails or a device does, Draw returns the samples before the first that is missing, with the error.
func (t Team) Draw(ctx context.Context, n int, each func(Batch) error) ([]float32, error) {
	d := t[0].score.D
	out, room := make([]float32, n*d), make([][]float32, len(t))
	for i, s := range t {
		room[i] = make([]float32, s.Values())
	}
	var mu sync.Mutex // of each
	rows, err := share.Work{Do: func(ctx context.Context, b share.Batch) error {
		s, x := t[b.Device], room[b.Device]
		var told error // what a callback said, which is no fault of the device
		err := s.draw(x, b.First, func(st sample.Step) error {
			mu.Lock()
			defer mu.Unlock()
			if told = context.Cause(ctx); told == nil && each != nil {
				told = each(Batch{First: b.First, Rows: b.Rows, Step: st, sampler: s})
			}
			return told
		})
		if err == nil {
			err = s.finite(x[:b.Rows*d], b.First)
		} else if told == nil {
			err = share.OnDevice(b.Device, len(t), err)
		}
		if err == nil {
			s.unscale(x)
			copy(out[b.First*d:], x[:b.Rows*d])
		}
		return err
	}}.Share(ctx, len(t), n, t.Batch())
	return out[:rows*d], err
}

// draw draws the samples from first on that fill x, a batch, in the network's units.
func (s *Sampler) draw(x []float32, first int, each func(sample.Step) error) error {
	image := uint32(first)
	err := s.Plan.Begin(s.score, s.Sigmas, s.Seed, image, s.Plan.Start(s.Config))
	if s.Guide != nil {
		err = sample.StartAt(s.score, s.Guide, s.Plan.Sigmas[0], s.Seed, image)
	}
	if err == nil {
		err = s.setClasses(first)
	}
	if err == nil {
		err = s.chain.Run(image, each)
	}
	if err == nil {
		err = s.score.Arena.Read(x, s.score.X)
	}
	return err
}

// finite finds a sample that is not, of those from first on.
func (s *Sampler) finite(x []float32, first int) error {
	for i, v := range x {
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return fmt.Errorf("sample %d became %g: the chain ran away, or the weights are not finite; "+
				"try %s", first+i/s.score.D, v, s.Plan.Tamer())
		}
	}
	return nil
}

// Tally is a number of each batch, such as the steps that are done, and their sum.
type Tally struct {
	Of  []int
	Sum int
}

// NewTally makes one of zeros.
func NewTally(batches int) *Tally { return &Tally{Of: make([]int, batches)} }

// Set sets a batch's number and returns the sum.
func (t *Tally) Set(batch, n int) int {
	t.Sum += n - t.Of[batch]
	t.Of[batch] = n
	return t.Sum
}
