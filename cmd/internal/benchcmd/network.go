// The tables of training and sampling.

package benchcmd

import (
	"fmt"
	"slices"
	"strings"

	"sigmaz/kernels"
	"sigmaz/model"
	"sigmaz/train"
)

// network is NCSNv2, or the network of a preset, at one size.
type network struct {
	preset                     string // "": NCSNv2
	ngf, size, channels, batch int
	precision                  kernels.Precision
}

func (n network) String() string {
	return strings.TrimSpace(fmt.Sprintf("%s ngf %d %dx%dx%d b%d", n.preset, n.ngf, n.size, n.size, n.channels, n.batch))
}

func (n network) config() model.Config {
	c := model.Config{Net: "ncsnv2"}
	if p, err := train.FindPreset(n.preset); err == nil {
		c = p.Config.Network
	}
	c.Height, c.Width, c.Channels, c.NGF = n.size, n.size, n.channels, n.ngf
	return c
}

const learningRate = 1e-4

// networks lists the sizes to measure: the default run's, the one that published MNIST models have, and for a GPU the
// published CIFAR-10 model at a small and at its own batch.
func (b *bench) networks() []network {
	p := b.device.Precision
	ncsnv2 := func(ngf, size, channels, batch int) network {
		return network{ngf: ngf, size: size, channels: channels, batch: batch, precision: p}
	}
	switch {
	case b.size != (network{}):
		n := b.size
		n.precision = p
		return []network{n}
	case b.watch.dry:
		return []network{ncsnv2(4, 12, 1, 2)}
	case b.quick:
		return []network{ncsnv2(8, 28, 1, 32)}
	case b.device.GPU:
		return []network{ncsnv2(8, 28, 1, 32), ncsnv2(64, 28, 1, 32), ncsnv2(128, 32, 3, 16), ncsnv2(128, 32, 3, 128)}
	}
	return []network{ncsnv2(8, 28, 1, 32), ncsnv2(64, 28, 1, 32)}
}

// trainer makes a trainer of the network on made images, with room for the losses of many steps.
func (n network) trainer(b kernels.Backend) (*train.Trainer, int, error) {
	sigmas, err := model.Geometric(10, 0.01, 40)
	if err != nil {
		return nil, 0, err
	}
	const ring = 64
	t, err := train.NewTrainer(b, train.TrainerConfig{Network: n.config(), Precision: n.precision,
		Multiprocessors: b.Multiprocessors(), Batch: n.batch, Sigmas: sigmas, AnnealPower: 2,
		Adam: train.Adam{LR: learningRate, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8}, EMARate: 0.999, Seed: 1,
		Data: testImages(max(64, 2*n.batch), n.size, n.size, n.channels), Flip: true, Ring: ring})
	return t, ring, err
}

// stepper makes a trainer, what runs one step of it, and what waits for all steps that were started.
func (n network) stepper(b kernels.Backend) (t *train.Trainer, one, wait func() error, err error) {
	t, ring, err := n.trainer(b)
	if err != nil {
		return nil, nil, nil, err
	}
	var records []train.LossRecord
	pending := 0
	wait = func() error {
		pending = 0
		records, err = t.Losses(records[:0])
		return err
	}
	one = func() error {
		if pending++; pending > ring {
			if err := wait(); err != nil {
				return err
			}
			pending = 1
		}
		return t.Step()
	}
	return t, one, wait, nil
}

// measureTraining measures training steps, and the kernels of one. It returns the weights for sample.
func (b *bench) measureTraining(n network) (Row, table, []model.Named, error) {
	info, err := model.Describe(n.config())
	if err != nil {
		return Row{}, table{}, nil, err
	}
	b.backend.reset()
	t, one, wait, err := n.stepper(b.backend)
	if err != nil {
		return Row{}, table{}, nil, err
	}
	s, err := b.watch.time(one, wait)
	if err != nil {
		return Row{}, table{}, nil, err
	}
	named, err := t.Named("param.")
	if err != nil {
		return Row{}, table{}, nil, err
	}
	memory := b.backend.bytes()
	var step table
	if b.wants("kernels") {
		step, err = b.kernelsOf(b.backend.arena, b.backend.longest)
	}
	images := float64(n.batch)
	return Row{Name: n.String(), Memory: memory, Values: []Value{
		s.value("", "images/s", images),
		b.flops(s, "", 6*float64(info.MACs)*images),
	}}, step, named, err
}

// measureSampling measures steps of annealed Langevin dynamics with the given weights, and lists the network's
// convolutions.
func (b *bench) measureSampling(n network, weights []model.Named) (Row, []kernels.Conv, error) {
	const levels = 8
	b.backend.reset()
	const stateAt, tableAt = 0, kernels.StateWords
	work := tableAt + levels*kernels.StepWords
	score, err := model.NewScore(b.backend, n.config(), n.precision, n.batch, work)
	if err != nil {
		return Row{}, nil, err
	}
	if err := score.Load(weights, "param."); err != nil {
		return Row{}, nil, err
	}
	step := kernels.SamplerStep{State: score.Work.Slice(stateAt, kernels.StateWords),
		Table: score.Work.Slice(tableAt, levels*kernels.StepWords), Repeat: 5}
	sigmas, err := model.Geometric(1, 0.1, levels)
	if err != nil {
		return Row{}, nil, err
	}
	if err := score.Arena.Write(step.Table, langevinSteps(sigmas, 1e-3)); err != nil {
		return Row{}, nil, err
	}
	if err := normals(score.Arena, score.X); err != nil {
		return Row{}, nil, err
	}
	setSigma := kernels.SamplerSigma{SamplerStep: step, Sigma: score.Sigma, Level: score.Level}
	langevin := kernels.SamplerUpdate{SamplerStep: step, X: score.X, S: score.S, D: score.D, Seed: 1}
	ops := slices.Concat([]kernels.Op{setSigma}, score.Ops, []kernels.Op{langevin, kernels.Tick{State: step.State}})
	p, err := b.backend.Compile(score.Arena, ops)
	if err != nil {
		return Row{}, nil, err
	}
	s, err := b.time(score.Arena, p)
	if err != nil {
		return Row{}, nil, err
	}
	var convs []kernels.Conv
	var macs int64
	for _, op := range score.Ops {
		if c, ok := op.(kernels.Conv); ok {
			convs = append(convs, c)
			macs += c.MACs()
		}
	}
	images := float64(n.batch)
	return Row{Name: n.String(), Memory: b.backend.bytes(), Values: []Value{
		s.value("", "scores/s", images),
		b.flops(s, "", 2*float64(macs)*images),
	}}, convs, nil
}
