// The network, in NHWC:
//
//	x (28,28,1) -> conv 3x3, 24 -> ReLU -> mean of 2x2 -> conv 3x3, 48 -> ReLU -> mean of 2x2 -> conv 3x3, 64 -> ReLU
//	  -> linear, 128 -> ReLU = features -> linear, 10 = logits
//
// x is in [0, 1].

package digits

import (
	_ "embed"
	"encoding/binary"
	"fmt"

	"sigmaz/internal/float16"
	"sigmaz/kernels"
	"sigmaz/sample/eval"
)

const (
	Side     = 28  // pixels of an image
	Features = 128 // values of its features
	Classes  = 10
	pixels   = Side * Side
)

// unit is the root mean square of the features of MNIST's training images: with it features are of size 1, and so is the
// kernel of KID.
const unit = 4.148

// layer is a convolution, or a linear layer where side and kernel are 1.
type layer struct {
	name            string
	side, in, out   int
	kernel          int
	activate, halve bool // ReLU behind it; the mean of 2x2 behind that
}

var layers = []layer{
	{"conv1", Side, 1, 24, 3, true, true},
	{"conv2", Side / 2, 24, 48, 3, true, true},
	{"conv3", Side / 4, 48, 64, 3, true, false},
	{"linear1", 1, Side / 4 * Side / 4 * 64, Features, 1, true, false},
	{"linear2", 1, Features, Classes, 1, false, false},
}

func (l layer) weights() int { return l.out * l.kernel * l.kernel * l.in }

func (l layer) shape(n int) kernels.ConvShape {
	return kernels.ConvShape{N: n, H: l.side, W: l.side, Cin: l.in, Cout: l.out, K: l.kernel, Dilation: 1}
}

// Parameters counts the values of weights and biases.
func Parameters() (n int) {
	for _, l := range layers {
		n += l.weights() + l.out
	}
	return n
}

// MACs counts the multiply-adds of an image.
func MACs() (n int64) {
	for _, l := range layers {
		n += l.shape(1).MACs()
	}
	return n
}

//go:embed weights.f16
var shipped []byte

// Weights returns the shipped weights, layer by layer: weight (out, height, width, in) and bias.
func Weights() []float32 { return Decode(shipped) }

// Decode reads what [Encode] writes.
func Decode(file []byte) []float32 {
	w := make([]float32, len(file)/2)
	for i := range w {
		w[i] = float16.ToFloat32(binary.LittleEndian.Uint16(file[2*i:]))
	}
	return w
}

// Encode writes weights as weights.f16 has them: in float16, little-endian.
func Encode(w []float32) []byte {
	out := make([]byte, 0, 2*len(w))
	for _, v := range w {
		out = binary.LittleEndian.AppendUint16(out, float16.FromFloat32(v))
	}
	return out
}

// buffers is memory that is handed out word by word.
type buffers struct{ words int }

func (b *buffers) take(n int) kernels.Buf {
	const line = 16 // words of a cache line
	buf := kernels.Buf{Off: b.words, N: n}
	b.words += (n + line - 1) / line * line
	return buf
}

// graph is the network for batches of n images.
type graph struct {
	buffers
	n        int
	x        kernels.Buf   // (n, 28, 28, 1)
	all      kernels.Buf   // weights and biases of all layers
	weight   []kernels.Buf // of each layer
	bias     []kernels.Buf
	in       []kernels.Buf // what each layer reads
	out      []kernels.Buf // what its convolution writes
	active   []kernels.Buf // that after ReLU
	ops      []kernels.Op
	features kernels.Buf
	logits   kernels.Buf
}

func newGraph(n int) *graph {
	g := &graph{n: n}
	g.x = g.take(n * pixels)
	g.all = g.take(Parameters())
	at := 0
	next := func(n int) kernels.Buf {
		at += n
		return g.all.Slice(at-n, n)
	}
	x := g.x
	for _, l := range layers {
		w, b := next(l.weights()), next(l.out)
		y := g.take(n * l.side * l.side * l.out)
		g.weight, g.bias = append(g.weight, w), append(g.bias, b)
		g.in, g.out = append(g.in, x), append(g.out, y)
		g.ops = append(g.ops, kernels.Conv{ConvShape: l.shape(n), Y: y, X: x, Weight: w, Bias: b})
		x = y
		if l.activate {
			x = g.take(y.N)
			g.ops = append(g.ops, kernels.Activate{F: kernels.ReLU, N: n, Y: x, X: y})
		}
		g.active = append(g.active, x)
		if l.out == Features {
			g.features = x
		}
		if l.halve {
			half := g.take(x.N / 4)
			g.ops = append(g.ops, kernels.MeanPool2{PoolShape: kernels.PoolShape{N: n, H: l.side, W: l.side, C: l.out}, Y: half, X: x})
			x = half
		}
	}
	g.logits = x
	return g
}

// Network is the classifier at work.
type Network struct {
	g       *graph
	arena   kernels.Arena
	program kernels.Program
}

// New builds the network with the given weights, those of [Weights] or others, for batches of n images.
func New(b kernels.Backend, n int, weights []float32) (*Network, error) {
	if len(weights) != Parameters() {
		return nil, fmt.Errorf("digits: expected %d weights, found %d", Parameters(), len(weights))
	}
	net := &Network{g: newGraph(n)}
	var err error
	if net.arena, err = b.Alloc(net.g.words, net.g.ops); err != nil {
		return nil, err
	}
	if net.program, err = b.Compile(net.arena, net.g.ops); err != nil {
		return nil, err
	}
	return net, net.arena.Write(net.g.all, weights)
}

// Run computes features (m, 128) and logits (m, 10) of images (m, 28, 28), values from 0 to 255. Those of an image do not
// depend on the others.
func (net *Network) Run(images []byte) (features, logits []float32, err error) {
	if len(images)%pixels != 0 {
		return nil, nil, fmt.Errorf("digits: expected images of %d pixels, found %d values", pixels, len(images))
	}
	g := net.g
	x, f, l := make([]float32, g.x.N), make([]float32, g.features.N), make([]float32, g.logits.N)
	for ; len(images) > 0; images = images[min(g.x.N, len(images)):] {
		batch := images[:min(g.x.N, len(images))]
		scale(x, batch)
		if err := net.arena.Write(g.x, x); err != nil {
			return nil, nil, err
		}
		if err := net.program.Run(); err != nil {
			return nil, nil, err
		}
		if err := net.arena.Read(f, g.features); err != nil {
			return nil, nil, err
		}
		if err := net.arena.Read(l, g.logits); err != nil {
			return nil, nil, err
		}
		rows := len(batch) / pixels
		features, logits = append(features, f[:rows*Features]...), append(logits, l[:rows*Classes]...)
	}
	return features, logits, nil
}

// Of computes the features of images (n, 28, 28) on the CPU with the shipped weights, divided by their usual size.
func Of(w eval.Workers, images []byte) (eval.Rows, error) {
	const batch, part = 64, 1024 // images of a run, and between two looks at whether to stop
	b := kernels.NewCPU(w.N)
	defer b.Close()
	net, err := New(b, batch, Weights())
	if err != nil {
		return eval.Rows{}, err
	}
	r := eval.Rows{D: Features}
	for rest := images; len(rest) > 0 && w.Ctx.Err() == nil; {
		n := min(part*pixels, len(rest))
		features, _, err := net.Run(rest[:n])
		if err != nil {
			return eval.Rows{}, err
		}
		r.X, rest = append(r.X, features...), rest[n:]
	}
	for i := range r.X {
		r.X[i] /= unit
	}
	r.N = len(r.X) / r.D
	return r, w.Ctx.Err()
}

// scale brings bytes to [0, 1].
func scale(dst []float32, images []byte) {
	for i, b := range images {
		dst[i] = float32(b) / 255
	}
}

// Class returns the class with the largest of the logits.
func Class(logits []float32) int {
	best := 0
	for k, v := range logits {
		if v > logits[best] {
			best = k
		}
	}
	return best
}
