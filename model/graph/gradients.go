// Differentiating a graph, guarded against Gorgonia's silent merging of nodes.

package graph

import (
	"fmt"
	"sync"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// building guards the globals of package gorgonia that change while a graph is built.
var building sync.Mutex

// Build runs f, which builds a graph, while no other graph is built.
func Build(f func() error) error {
	building.Lock()
	defer building.Unlock()
	return f()
}

// Gradients adds to the graph the gradient of the loss with respect to each of the nodes wrt.
//
// It fails where Gorgonia merged nodes: the gradient then has fewer sums than it must have.
func Gradients(loss *gorgonia.Node, wrt gorgonia.Nodes) (gorgonia.Nodes, error) {
	return checked(loss, wrt, func() (gorgonia.Nodes, error) { return gorgonia.Grad(loss, wrt...) })
}

// VectorJacobian adds to the graph the product v^T dy/dx, which has x's shape, for v of y's shape. It fails as
// [Gradients] does.
func VectorJacobian(y, v, x *gorgonia.Node) (*gorgonia.Node, error) {
	products, err := checked(y, gorgonia.Nodes{x}, func() (gorgonia.Nodes, error) {
		return gorgonia.Backpropagate(gorgonia.Nodes{y}, gorgonia.Nodes{v}, gorgonia.Nodes{x})
	})
	if err != nil {
		return nil, err
	}
	return products[0], nil
}

// checked differentiates y and fails where the result has not as many sums as it must have.
func checked(y *gorgonia.Node, wrt gorgonia.Nodes, differentiate func() (gorgonia.Nodes, error)) (gorgonia.Nodes, error) {
	expected, err := sumsExpected(y, wrt)
	if err != nil {
		return nil, err
	}
	grads, err := differentiate()
	if err != nil {
		return nil, err
	}
	nodes, err := needed(grads)
	if err != nil {
		return nil, err
	}
	sums := 0
	for _, n := range nodes {
		if isSum(n) {
			sums++
		}
	}
	if sums != expected {
		return nil, fmt.Errorf("the gradient has %d sums, expected %d: Gorgonia merged nodes", sums, expected)
	}
	return grads, nil
}

// sumsExpected counts the additions that a correct gradient has. A value between the parameters and the loss that u
// layers use has u gradients, which u-1 additions sum.
func sumsExpected(loss *gorgonia.Node, wrt gorgonia.Nodes) (int, error) {
	nodes, err := needed(gorgonia.Nodes{loss})
	if err != nil {
		return 0, err
	}
	trained := map[*gorgonia.Node]bool{} // wrt, and what depends on them
	for _, n := range wrt {
		trained[n] = true
	}
	uses := map[*gorgonia.Node]int{} // by layers whose own output has a gradient
	for _, n := range nodes {        // inputs first
		inputs := differentiable(n)
		for _, c := range inputs {
			if trained[c] {
				trained[n] = true
			}
		}
		if trained[n] {
			for _, c := range inputs {
				uses[c]++
			}
		}
	}
	sums := 0
	for n, u := range uses {
		if trained[n] {
			sums += u - 1
		}
	}
	return sums, nil
}

// differentiable lists the inputs of a layer's output for which the layer has a gradient.
func differentiable(n *gorgonia.Node) (inputs gorgonia.Nodes) {
	op, ok := n.Op().(outputOp)
	if !ok {
		return nil
	}
	children := childrenOf(n)
	for i, has := range op.DiffWRT(len(children)) {
		if has {
			inputs = append(inputs, children[i])
		}
	}
	return inputs
}

// isSum tells the element-wise + that gorgonia.Grad inserts where a value has several gradients.
func isSum(n *gorgonia.Node) bool {
	dims := n.Dims()
	return n.Op() != nil && dims > 0 && dims < len(sumOps) && n.Op() == sumOps[dims]
}

// sumOps are Gorgonia's operations of a + b for tensors of 1 to 4 dimensions, as Gorgonia itself makes them. Their type
// is not exported, but they are values that Go compares as a whole: equal are the type, the operator and the operands'
// types.
var sumOps = func() (ops [5]gorgonia.Op) {
	for dims := 1; dims < len(ops); dims++ {
		shape := tensor.Shape{1, 1, 1, 1}[:dims]
		g := gorgonia.NewGraph()
		a := gorgonia.NewTensor(g, gorgonia.Float32, dims, gorgonia.WithShape(shape...), gorgonia.WithName("a"))
		b := gorgonia.NewTensor(g, gorgonia.Float32, dims, gorgonia.WithShape(shape...), gorgonia.WithName("b"))
		ops[dims] = gorgonia.Must(gorgonia.Add(a, b)).Op()
	}
	return ops
}()
