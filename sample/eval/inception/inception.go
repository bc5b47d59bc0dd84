// The forward pass, in NHWC: seven layers, then eleven blocks, each of branches that read the same maps and whose outputs
// stand side by side; the features are the means over the pixels, the scores a product with them.
//
// The mean of a window and a 1x1 convolution are both linear, so their order does not matter: means are taken of what the
// convolution leaves, which has fewer channels.

package inception

import (
	"fmt"

	"sigmaz/kernels"
	"sigmaz/sample/eval"
	"sigmaz/sample/eval/layers"
)

const (
	Features = 2048 // values of an image's features
	Classes  = 1008
	Side     = 299 // pixels that images are scaled to
)

// batch is how many images a goroutine works on together: weights of the last blocks, of 64 pixels, are read once for all.
const batch = 4

// pooling is what a branch begins with.
type pooling int

const (
	none    pooling = iota
	halve           // the maximum of windows, with stride 2
	maximum         // of the window around each pixel
	average         // of it; behind the convolution
)

// branch is a part of a block: pooling, convolutions one behind the other, and some that all read the last of them.
type branch struct {
	pool  pooling
	chain []*layers.Conv
	ends  []*layers.Conv // none: the pooled maps are the output
}

// block is branches that read the same maps.
type block struct {
	name     string
	branches []branch
}

// Network is the network with its weights. Several goroutines may use it at the same time.
type Network struct {
	stem   []*layers.Conv // of which the third and the fifth are followed by a maximum with stride 2
	blocks []block
	last   kernels.Packed // (Classes, Features), without biases
}

// pooledAfter are the places in the stem behind which the maximum of windows is taken.
var pooledAfter = map[int]string{2: "pool1", 4: "pool2"}

// Run computes the features of images (n, h, w, c), values from 0 to 255, of 1 or 3 channels; grey is taken for all three.
func (n *Network) Run(w eval.Workers, images []byte, h, width, c int) (eval.Rows, error) {
	size := h * width * c
	if c != 1 && c != 3 || size == 0 || len(images)%size != 0 {
		return eval.Rows{}, fmt.Errorf("inception: expected images of 1 or 3 channels, found %d values of %dx%dx%d", len(images), h, width, c)
	}
	count := len(images) / size
	out := eval.Rows{N: count, D: Features, X: make([]float32, count*Features)}
	rows, columns := layers.Bilinear(h, Side), layers.Bilinear(width, Side)
	err := w.Run((count+batch-1)/batch, func(task int) {
		lo, hi := task*batch, min(count, (task+1)*batch)
		x := layers.NewMaps(hi-lo, Side, Side, 3)
		for i := lo; i < hi; i++ {
			layers.Resize(x.X[(i-lo)*Side*Side*3:], images[i*size:(i+1)*size], c, rows, columns, &values, scaled)
		}
		copy(out.X[lo*Features:hi*Features], n.forward(x, nil))
	})
	return out, err
}

// values are what bytes stand for; scaled brings them to where the network expects them.
var values = func() (v [256]float32) {
	for i := range v {
		v[i] = float32(i) / 255
	}
	return v
}()

func scaled(v float32) float32 { return 2*v - 1 }

// Scores returns the scores of classes (n, Classes) for features: logits without biases, as the inception score takes them.
func (n *Network) Scores(features eval.Rows) eval.Rows {
	out := eval.Rows{N: features.N, D: Classes, X: make([]float32, features.N*Classes)}
	n.last.MatMulT(out.X, Classes, features.X, Features, features.N)
	return out
}

// forward returns the features of images. see is shown what each block leaves, by name; nil: nobody looks.
func (n *Network) forward(x layers.Maps, see func(name string, y layers.Maps)) []float32 {
	show := func(name string) {
		if see != nil {
			see(name, x)
		}
	}
	for i, conv := range n.stem {
		x = conv.Apply(x)
		if name := pooledAfter[i]; name != "" {
			h, w := halved(x.H, x.W)
			y := layers.NewMaps(x.N, h, w, x.C)
			layers.MaxPool(y, 0, x, 2, layers.Valid)
			x = y
			show(name)
		}
	}
	for i := range n.blocks {
		x = n.blocks[i].apply(x)
		show(n.blocks[i].name)
	}
	return x.Means()
}

// halved returns the size that the maximum with stride 2 leaves.
func halved(h, w int) (int, int) { return (h-3)/2 + 1, (w-3)/2 + 1 }

// outSize returns the size and the channels that a block leaves.
func (b *block) outSize(h, w, c int) (oh, ow, oc int) {
	oh, ow = h, w
	for _, r := range b.branches {
		if r.pool == halve {
			oh, ow = halved(h, w)
		}
		if r.ends == nil {
			oc += c
		}
		for _, e := range r.ends {
			oc += e.Out
		}
	}
	return oh, ow, oc
}

func (b *block) apply(x layers.Maps) layers.Maps {
	h, w, c := b.outSize(x.H, x.W, x.C)
	y := layers.NewMaps(x.N, h, w, c)
	first := 0
	for _, r := range b.branches {
		z := x
		for _, conv := range r.chain {
			z = conv.Apply(z)
		}
		switch r.pool {
		case halve:
			layers.MaxPool(y, first, z, 2, layers.Valid)
			first += z.C
		case maximum:
			pooled := layers.NewMaps(z.N, z.H, z.W, z.C)
			layers.MaxPool(pooled, 0, z, 1, layers.Same)
			z = pooled
		case average:
			layers.MeanPool(y, first, r.ends[0].Apply(z), layers.ReLU)
			first += r.ends[0].Out
			continue
		}
		for _, e := range r.ends {
			e.Into(y, first, z)
			first += e.Out
		}
	}
	return y
}

// MACs counts the multiply-adds of an image.
func (n *Network) MACs() (total int64) {
	h, w, c := Side, Side, 3
	for i, conv := range n.stem {
		total += conv.MACs(h, w)
		h, w = conv.OutSize(h, w)
		c = conv.Out
		if pooledAfter[i] != "" {
			h, w = halved(h, w)
		}
	}
	for i := range n.blocks {
		b := &n.blocks[i]
		for _, r := range b.branches {
			rh, rw := h, w
			for _, conv := range r.chain {
				total += conv.MACs(rh, rw)
				rh, rw = conv.OutSize(rh, rw)
			}
			for _, e := range r.ends {
				total += e.MACs(rh, rw)
			}
		}
		h, w, c = b.outSize(h, w, c)
	}
	return total + int64(c)*Classes
}
