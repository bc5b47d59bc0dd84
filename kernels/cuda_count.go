//go:build cgo && !nocuda

// What launches move and compute, counted from their arguments.
//
//	bytes  every operand once: of a window all words, of a batch of images its rows
//	FLOP   a multiply-add is 2, every other operation on a value 1: additions, comparisons, exponentials, roots
//
// A kernel that reads an operand several times is meant to find it in the caches from the second time on: the windows
// of a pooling overlap, and the tiles of a convolution share pixels and weights. What such reads ask of the caches is
// counted beside the bytes.

package kernels

import (
	"slices"
	"strings"
)

// LaunchCount is what one launch moves and computes.
type LaunchCount struct {
	Kernel        string
	Read, Written int // bytes
	// Beside is the bytes of both that have nothing to do with a convolution: all of them, but of a convolution only
	// what it moves beside its two factors and one result.
	Beside int
	// Asked is the bytes that the threads read, the same one as often as they do.
	Asked int
	FLOP  int
}

// CountLaunches counts the launches that a program of these operations makes on a device with so many multiprocessors.
// It needs no device.
func CountLaunches(ops []Op, multiprocessors int) ([]LaunchCount, error) {
	words := 0
	for _, op := range ops {
		reads, writes := op.Operands()
		for _, w := range append(reads, writes...) {
			words = max(words, w.Off+w.Words())
		}
	}
	l := &launcher{multiprocessors: multiprocessors,
		data: func(Perturb) (address, int, error) { return 0, 0, nil }}
	if err := l.all(ops, words); err != nil {
		return nil, err
	}
	var counts []LaunchCount
	for _, launch := range l.launches {
		counts = append(counts, launch.count())
	}
	return counts, nil
}

// traffic is the bytes of a launch's operands.
type traffic struct {
	read, written int
	values        int // of the largest operand
}

// traffic counts the operands of the launch at hand. What a kernel writes it reads too, if the operation says so and
// no other argument is for reading.
func (l *launcher) traffic() (t traffic) {
	var read []Buf
	for _, p := range l.pointers {
		t.values = max(t.values, p.values)
		if p.writes {
			t.written += p.bytes
		} else {
			t.read += p.bytes
			read = append(read, p.window)
		}
	}
	for _, p := range l.pointers {
		if p.writes && p.window.N > 0 && anyOverlap(p.window, l.reads, false) && !anyOverlap(p.window, read, false) {
			t.read += p.bytes
		}
	}
	return t
}

// flopOfValue is the operations of a kernel for each value of its largest operand. Kernels that are not listed are those
// of matrix products, and those that a test lists: they copy, or work on a few values of each channel or image.
var flopOfValue = map[string]int{
	"elu": 2, "relu": 1, "lrelu": 2, "swish": 4, "softplus": 6,
	"elu_grad": 3, "relu_grad": 1, "lrelu_grad": 2, "swish_grad": 8, "softplus_grad": 2,
	"add": 1, "scaled_sum": 3, "affine": 2, "div_sigma": 1,
	"group_norm_apply": 4, "group_norm_grad_sums": 4, "group_norm_grad_apply": 7,
	"norm_sums": 4, "norm_moments": 4, "norm_apply": 6, "norm_grad_sums": 4, "norm_grad_apply": 7,
	"softmax": 5, "softmax_grad": 4,
	"maxpool5": 25, "maxpool5_grad": 26, "avgpool5": 26, "meanpool2": 1, "meanpool2_grad": 1,
	"nearest2_grad": 1, "patches_grad": 1, "add_row": 1, "add_row_grad": 1,
	"lookup_grad": 1, "guide": 3,
	"dropout": 2, "embedding": 20, // without the random words, as everywhere
	"fir": 16, "resize": 7, "resize_grad": 8,
	"perturb": 2, "loss": 4, "loss_grad": 3,
	"sampler_update": 7, "sampler_gain": 2, "sampler_misfit": 2, "sampler_fit": 2, "sampler_guide": 3,
	"ode_point": 1, "ode_slope": 1, "ode_norm": 1, "row_mix": 3,
	"tree_mean":            2,
	"adam":                 20,
	"grad_norm":            2,
	"conv_grad_weight_sum": 1,
}

// stepless lists the kernels of fused operations that take no steps: those of statistics.
var stepless = []string{"norm_sums", "norm_moments", "norm_grad_sums", "norm_grad_params", "group_norm_grad_sums"}

// convolution is an operation that multiplies matrices.
type convolution interface {
	geometry() ConvShape
	results() []Buf
}

func (o Conv) geometry() ConvShape           { return o.ConvShape }
func (o ConvGradInput) geometry() ConvShape  { return o.ConvShape }
func (o ConvGradWeight) geometry() ConvShape { return o.ConvShape }
func (o Conv) results() []Buf                { return []Buf{o.Y} }
func (o ConvGradInput) results() []Buf       { return []Buf{o.DX} }
func (o ConvGradWeight) results() []Buf      { return present(o.DWeight, o.DBias) }

func (l launch) count() LaunchCount {
	t := l.traffic
	c := LaunchCount{Kernel: l.kernel, Read: t.read, Written: t.written, Beside: t.read + t.written, Asked: t.read,
		FLOP: flopOfValue[strings.TrimSuffix(l.kernel, "_bf16")] * t.values}
	of, operands := l.op, 0 // bytes of what the steps read
	if f, ok := of.(fused); ok {
		of = f.cudaFinisher
		for _, s := range f.steps {
			if slices.Contains(stepless, strings.TrimSuffix(l.kernel, "_bf16")) {
				continue
			}
			operands += s.with.N * s.with.Element.Size()
			if s.op != nil {
				for name := range strings.SplitSeq(s.op.Name(), ", ") {
					c.FLOP += flopOfValue[name] * f.result().N
				}
			}
		}
	}
	if f, ok := l.op.(fused); ok && f.sums == madeMoments {
		if _, conv := of.(convolution); conv {
			c.FLOP += flopOfValue["norm_moments"] * f.result().N
		}
	}
	if o, ok := of.(rowConv); ok {
		c.FLOP += flopOfValue[o.row.Name()] * o.row.Y.N
	}
	for _, name := range besideNorm(of, l.kernel) {
		c.FLOP += flopOfValue[name] * t.values
	}
	if s, terms, ok := attentionProduct(of); ok { // a tile reads its rows of both factors, for every term of its sums
		c.FLOP += 2 * s.N * int(s.MACs())
		factors, _ := of.Operands()
		c.Asked = s.N * l.grid[0] * l.grid[1] * terms * attentionTile * (factors[0].Element.Size() + factors[1].Element.Size())
	}
	if op, ok := of.(PairExtremes); ok {
		a, b := op.Tiles()
		for t := range a * b {
			c.FLOP += 2 * op.Counting(t/b, t%b) * op.K
		}
	}
	switch op, ok := of.(convolution); {
	case strings.HasPrefix(l.kernel, "maxpool5") || strings.HasPrefix(l.kernel, "avgpool5"):
		c.Asked = 25*(t.read-operands) + operands // less at the borders
	case !ok || l.kernel == "conv_grad_weight_sum":
	default:
		s := op.geometry()
		c.FLOP += 2 * s.N * int(s.MACs())
		// A tile reads its rows of the one factor and its columns of the other, for every term of its sums.
		tile, ends := l.tile()
		in, out := ends.in.Size(), ends.out.Size()
		weight := max(in, out) // bf16 between bf16 alone
		terms, rows, columns := s.K*s.K, 0, weight
		switch {
		case strings.HasPrefix(l.kernel, "conv_grad_weight"):
			terms, rows, columns = s.N*s.H*s.W, out, in
		case strings.HasPrefix(l.kernel, "conv_grad_input"):
			terms, rows = terms*s.Cout, out
		default:
			terms, rows = terms*s.Cin, in
		}
		c.Asked = operands + l.grid[0]*terms*(rows*tile.rows+columns*tile.cols)
		factors, _ := of.Operands()
		for _, b := range slices.Concat(factors, op.results()) {
			c.Beside -= b.Element.Size() * b.N
		}
	}
	return c
}

// attentionProduct returns the geometry of a product of attention, and the terms of its sums.
func attentionProduct(op cudaOp) (s AttentionShape, terms int, ok bool) {
	switch o := op.(type) {
	case AttentionScores:
		return o.AttentionShape, o.C, true
	case AttentionMix:
		return o.AttentionShape, o.P, true
	}
	return s, 0, false
}

// besideNorm names what a kernel of a group norm does beside the norm with each value: the swish, or its gradient of a norm
// that it computes again, and a dropout.
func besideNorm(op cudaOp, kernel string) (names []string) {
	kernel = strings.TrimSuffix(kernel, "_bf16")
	swish := ""
	switch kernel {
	case "group_norm_apply":
		swish = "swish"
	case "group_norm_grad_sums", "group_norm_grad_apply":
		swish = "swish_grad"
	default:
		return nil
	}
	swished, dropped := false, false
	switch o := op.(type) {
	case GroupNorm:
		swished = o.Swish
	case droppedNorm:
		swished, dropped = o.Swish, true
	case GroupNormGrad:
		swished = o.Swish
	case droppedNormGrad:
		swished, dropped = o.Swish, true
	}
	if swished {
		names = append(names, swish)
	}
	if dropped {
		names = append(names, "dropout")
	}
	return names
}

// tile returns the tile of a convolution's kernel, and what memory holds of the convolution's input and output.
func (l launch) tile() (cudaTile, convEnds) {
	op := l.op
	if f, ok := op.(fused); ok {
		op = f.cudaFinisher
	}
	if r, ok := op.(rowConv); ok {
		op = r.Conv
	}
	for t, ends := range convTiles() {
		if l.kernel == kernelOf(op, t) {
			return t, ends
		}
	}
	panic("kernels: " + l.kernel + " has no tile")
}
