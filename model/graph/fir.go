// Resampling with a filter of four taps along each axis.

package graph

import (
	"fmt"

	"gorgonia.org/tensor"

	"sigmaz/kernels"
)

// FIR is one of the resamplings of package kernels: [kernels.FIRDown], [kernels.FIRUp], [kernels.FIRFilter] or
// [kernels.FIRUpWide].
type FIR struct {
	Kind   FIRKind
	Kernel [4]float32 // of any sum, as a convolution

	noHidden
}

// FIRKind says what a [FIR] does to height and width.
type FIRKind int

const (
	FIRDown   FIRKind = iota // halves them; both must be even
	FIRUp                    // doubles them
	FIRFilter                // adds one to both
	FIRUpWide                // doubles them, and adds what the filter leaves one pixel beyond each edge
)

func (k FIRKind) String() string { return [...]string{"down", "up", "filter", "up wide"}[k] }

func (l FIR) String() string      { return fmt.Sprintf("fir %v kernel=%v", l.Kind, l.Kernel) }
func (FIR) gradients() []gradient { return []gradient{computed} }

func (l FIR) shape(in shapes) kernels.FIRShape {
	x := in[0]
	f := [...]func(n, h, w, c int, kernel [4]float32) kernels.FIRShape{kernels.FIRDown, kernels.FIRUp, kernels.FIRFilter,
		kernels.FIRUpWide}[l.Kind]
	return f(x[0], x[1], x[2], x[3], l.Kernel)
}

func (l FIR) output(in shapes) (tensor.Shape, error) {
	x := in[0]
	if l.Kind == FIRDown && (x[1]%2 != 0 || x[2]%2 != 0) {
		return nil, fmt.Errorf("height %d and width %d must both be even here to be halved", x[1], x[2])
	}
	s := l.shape(in)
	return tensor.Shape{s.N, s.HOut, s.WOut, s.C}, nil
}

func (l FIR) forward(in shapes, w windows) []kernels.Op {
	return []kernels.Op{kernels.FIR{FIRShape: l.shape(in), Y: w.out, X: w.in[0]}}
}

func (l FIR) backward(in shapes, w windows) []kernels.Op {
	return []kernels.Op{l.shape(in).Grad(w.din[0], w.dout)}
}

// Crop takes a pixel off each edge of an image (N, H, W, C).
type Crop struct{ noHidden }

func (Crop) String() string        { return "crop" }
func (Crop) gradients() []gradient { return []gradient{computed} }

func (Crop) shape(in shapes) kernels.FIRShape {
	x := in[0]
	return kernels.Crop(x[0], x[1], x[2], x[3])
}

func (l Crop) output(in shapes) (tensor.Shape, error) {
	s := l.shape(in)
	if s.HOut < 1 || s.WOut < 1 {
		return nil, fmt.Errorf("height %d and width %d must both be at least 3 here to be cropped", s.H, s.W)
	}
	return tensor.Shape{s.N, s.HOut, s.WOut, s.C}, nil
}

func (l Crop) forward(in shapes, w windows) []kernels.Op {
	return []kernels.Op{kernels.FIR{FIRShape: l.shape(in), Y: w.out, X: w.in[0]}}
}

func (l Crop) backward(in shapes, w windows) []kernels.Op {
	return []kernels.Op{l.shape(in).Grad(w.din[0], w.dout)}
}
