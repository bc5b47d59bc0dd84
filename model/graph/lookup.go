// Rows of a table by index.

package graph

import (
	"fmt"

	"gorgonia.org/tensor"

	"sigmaz/kernels"
)

// Lookup takes a row of a table for each row of the batch; its inputs are the table (R, C) and the indices (N), uint32 by
// bit pattern.
type Lookup struct{ noHidden }

func (Lookup) String() string        { return "lookup" }
func (Lookup) gradients() []gradient { return []gradient{computed, none} }

func (Lookup) output(in shapes) (tensor.Shape, error) {
	if len(in[0]) != 2 || len(in[1]) != 1 {
		return nil, fmt.Errorf("a lookup needs a table and indices, got %v and %v", in[0], in[1])
	}
	return tensor.Shape{in[1][0], in[0][1]}, nil
}

func (Lookup) forward(in shapes, w windows) []kernels.Op {
	return []kernels.Op{kernels.Lookup{N: in[1][0], Y: w.out, Table: w.in[0], Index: w.in[1]}}
}

func (Lookup) backward(in shapes, w windows) []kernels.Op {
	return []kernels.Op{kernels.LookupGrad{N: in[1][0], DTable: w.din[0], DY: w.dout, Index: w.in[1]}}
}
