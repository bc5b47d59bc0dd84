// What a layer is: shapes, gradients, hidden buffers, and which kernels do the work.

package graph

import (
	"fmt"

	"gorgonia.org/tensor"

	"sigmaz/kernels"
)

// Layer is a function of nodes with a gradient: a thin face over kernels. Its String gives its kind and all its
// attributes.
type Layer interface {
	fmt.Stringer
	// output is the shape of the output, or why there is none for inputs of these shapes.
	output(in shapes) (tensor.Shape, error)
	// gradients says for each input how its gradient comes about.
	gradients() []gradient
	// hidden lists the buffers that the forward fills beside its output.
	hidden(in shapes) []hidden
	// forward is the forward in kernels.
	forward(in shapes, w windows) []kernels.Op
	// backward is the backward in kernels. It is called only where an input's gradient is computed.
	backward(in shapes, w windows) []kernels.Op
}

// gradient is how the gradient of one input of a layer comes about.
type gradient int

const (
	none     gradient = iota // there is none: nothing that is trained lies upstream
	computed                 // by the backward
	passed                   // it is the gradient of the output: no node, no copy
)

// hidden is a buffer that a layer's forward fills beside its output.
type hidden struct {
	words int
	// forBackward says that the backward alone reads it: without one it is absent, and the forward does not write it.
	forBackward bool
	// kept says that it keeps its memory for good, so that it can be read after a run: [Plan.Hidden].
	kept bool
}

// windows is the memory of one layer call, and what its plan says of all.
type windows struct {
	in     []kernels.Buf // of the inputs
	out    kernels.Buf   // of the output
	hidden []kernels.Buf // as the layer lists them; absent where they are for a backward that there is not

	precision kernels.Precision // of the plan: what convolutions compute in

	// Of a backward only.

	dout kernels.Buf   // gradient of the output
	din  []kernels.Buf // gradients of the inputs, absent where nobody asked for one
}

// shapes is those of a layer's inputs.
type shapes []tensor.Shape

// rows returns the number of rows (images) of the batch.
func (s shapes) rows() int { return s[0][0] }

// sameShape is embedded in layers whose output has the shape of their first input.
type sameShape struct{}

func (sameShape) output(in shapes) (tensor.Shape, error) { return in[0], nil }

// noHidden is embedded in layers without hidden buffers.
type noHidden struct{}

func (noHidden) hidden(shapes) []hidden { return nil }

// noBackward is embedded in layers that compute no gradient.
type noBackward struct{}

func (noBackward) backward(shapes, windows) []kernels.Op { return nil }
