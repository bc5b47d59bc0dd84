// Training: cross entropy of the softmax of the logits z,
//
//	loss = mean over images of log sum exp z - z_label        d loss / d z = (softmax(z) - onehot) / n
//
// by Adam, with a moving average of the weights, which is what is kept. Batches go through a permutation of the images,
// another in each epoch, drawn from the seed.

package digits

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"sigmaz/kernels"
)

// Settings say how the network is trained. The shipped weights are those of [Default].
type Settings struct {
	Seed   uint64
	Batch  int
	Epochs int
	LR     float64
	EMA    float64 // rate of the moving average, which warms up
}

// Default is what the shipped weights were trained with.
func Default() Settings { return Settings{Seed: 1, Batch: 100, Epochs: 5, LR: 1e-3, EMA: 0.999} }

// Train trains the network on images (n, 28, 28) and their labels and returns the moving average of its weights. After each
// epoch it calls each, which may be nil, with the mean loss of the epoch; an error of each ends the training.
func Train(b kernels.Backend, s Settings, images []byte, labels []byte, each func(epoch int, loss float64) error) ([]float32, error) {
	n := len(labels)
	if len(images) != n*pixels || s.Batch < 1 || n < s.Batch {
		return nil, fmt.Errorf("digits: expected as many labels as images of %dx%d pixels, %d or more, found %d and %d values",
			Side, Side, s.Batch, n, len(images))
	}
	for i, l := range labels {
		if l >= Classes {
			return nil, fmt.Errorf("digits: expected labels from 0 to %d, found %d at %d", Classes-1, l, i)
		}
	}
	g := newGraph(s.Batch)
	t := g.training(s)
	arena, err := b.Alloc(g.words, t.ops)
	if err != nil {
		return nil, err
	}
	program, err := b.Compile(arena, t.ops)
	if err != nil {
		return nil, err
	}
	w := initial(s.Seed)
	if err := arena.Write(g.all, w); err != nil {
		return nil, err
	}
	if err := arena.Write(t.ema, w); err != nil {
		return nil, err
	}
	x, loss := make([]float32, g.x.N), make([]float32, 1)
	for epoch := range s.Epochs {
		sum, steps := 0.0, n/s.Batch
		rows := permutation(s.Seed, epoch, n)
		for step := range steps {
			for k, row := range rows[step*s.Batch : (step+1)*s.Batch] {
				scale(x[k*pixels:], images[row*pixels:(row+1)*pixels])
				t.labels[k] = labels[row]
			}
			if err := arena.Write(g.x, x); err != nil {
				return nil, err
			}
			if err := program.Run(); err != nil {
				return nil, err
			}
			if err := arena.Read(loss, t.loss); err != nil {
				return nil, err
			}
			sum += float64(loss[0])
		}
		if each != nil {
			if err := each(epoch+1, sum/float64(steps)); err != nil {
				return nil, err
			}
		}
	}
	return w, arena.Read(w, t.ema)
}

// training is what a step has beside the graph.
type training struct {
	ops       []kernels.Op
	labels    []byte // of the batch
	loss, ema kernels.Buf
}

// training lists the operations of a step: forward, loss, backward, Adam.
func (g *graph) training(s Settings) *training {
	t := &training{labels: make([]byte, g.n), loss: g.take(1), ema: g.take(g.all.N)}
	state, grad, m, v := g.take(kernels.StateWords), g.take(g.all.N), g.take(g.all.N), g.take(g.all.N)
	dz := g.take(g.logits.N)
	t.ops = append(t.ops, g.ops...)
	t.ops = append(t.ops, kernels.HostFunc{Label: "cross_entropy", Reads: []kernels.Buf{g.logits}, Writes: []kernels.Buf{dz, t.loss},
		F: func(mem []float32) { t.loss.Of(mem)[0] = crossEntropy(dz.Of(mem), g.logits.Of(mem), t.labels) }})
	dy := dz
	for i, l := range slices.Backward(layers) {
		pool := kernels.PoolShape{N: g.n, H: l.side, W: l.side, C: l.out}
		if l.halve {
			dx := g.take(g.active[i].N)
			t.ops = append(t.ops, kernels.MeanPool2Grad{PoolShape: pool, DX: dx, DY: dy})
			dy = dx
		}
		if l.activate {
			dx := g.take(g.out[i].N)
			t.ops = append(t.ops, kernels.ActivateGrad{F: kernels.ReLU, N: g.n, DX: dx, DY: dy, Y: g.active[i]})
			dy = dx
		}
		w, b := g.weight[i], g.bias[i]
		t.ops = append(t.ops, kernels.ConvGradWeight{ConvShape: l.shape(g.n), X: g.in[i], DY: dy,
			DWeight: grad.Slice(w.Off-g.all.Off, w.N), DBias: grad.Slice(b.Off-g.all.Off, b.N)})
		if i > 0 {
			dx := g.take(g.in[i].N)
			t.ops = append(t.ops, kernels.ConvGradInput{ConvShape: l.shape(g.n), DX: dx, DY: dy, Weight: w})
			dy = dx
		}
	}
	t.ops = append(t.ops,
		kernels.Adam{Param: g.all, Grad: grad, M: m, V: v, EMA: t.ema, State: state, LR: s.LR, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8,
			Rate: s.EMA, Warmup: true},
		kernels.Tick{State: state})
	return t
}

// crossEntropy returns the mean loss and writes its gradient for the logits.
func crossEntropy(dz, z []float32, labels []byte) float32 {
	sum := 0.0
	for i, label := range labels {
		row, d := z[i*Classes:(i+1)*Classes], dz[i*Classes:(i+1)*Classes]
		top, total := float64(slices.Max(row)), 0.0
		for _, v := range row {
			total += math.Exp(float64(v) - top)
		}
		for k, v := range row {
			p := math.Exp(float64(v)-top) / total
			if k == int(label) {
				sum += math.Log(total) - (float64(v) - top)
				p--
			}
			d[k] = float32(p / float64(len(labels)))
		}
	}
	return float32(sum / float64(len(labels)))
}

// initial draws weights as torch.nn.Conv2d does, evenly within 1/sqrt(values that an output is a sum of), and biases of 0.
func initial(seed uint64) []float32 {
	w := make([]float32, 0, Parameters())
	for i, l := range layers {
		u := make([]float32, l.weights())
		kernels.Stream{Seed: seed, Purpose: kernels.PurposeInit, N: uint64(i)}.Uniforms(u)
		bound := float32(1 / math.Sqrt(float64(l.kernel*l.kernel*l.in)))
		for k, v := range u {
			u[k] = bound * (2*v - 1)
		}
		w = append(append(w, u...), make([]float32, l.out)...)
	}
	return w
}

// permutation draws the order of the images in an epoch.
func permutation(seed uint64, epoch, n int) []int {
	key, rows := make([]float32, n), make([]int, n)
	kernels.Stream{Seed: seed, Purpose: kernels.PurposeBatch, N: uint64(epoch)}.Uniforms(key)
	for i := range rows {
		rows[i] = i
	}
	slices.SortStableFunc(rows, func(a, b int) int { return cmp.Compare(key[a], key[b]) })
	return rows
}
