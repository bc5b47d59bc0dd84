// Building graphs and differentiating them: what guards against Gorgonia's silent merging of nodes.
package graph

import (
	"fmt"
	"sync"

	"gorgonia.org/gorgonia"
)

// building guards Gorgonia's package globals while a graph is built.
var building sync.Mutex

// Build runs f, which builds a graph; one graph is built at a time, because Gorgonia keeps package globals.
func Build(f func() error) error {
	building.Lock()
	defer building.Unlock()
	return f()
}

// Gradients adds to the graph the gradient of the loss for each of the nodes wrt. It fails where Gorgonia merged nodes:
// then the gradient has fewer sums than it must have.
func Gradients(loss *gorgonia.Node, wrt gorgonia.Nodes) (gorgonia.Nodes, error) {
	want := sumsExpected(loss, wrt)
	grads, err := gorgonia.Grad(loss, wrt...)
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
	if sums != want {
		return nil, fmt.Errorf("the gradient has %d sums, expected %d: Gorgonia merged nodes", sums, want)
	}
	return grads, nil
}

// sumsExpected counts the additions that a correct gradient has: for every value between the parameters and the loss,
// one less than the number of places that use it. Gorgonia merges nodes whose hashes agree, so this is checked.
func sumsExpected(loss *gorgonia.Node, wrt gorgonia.Nodes) int {
	active := map[*gorgonia.Node]bool{}
	for _, n := range wrt {
		active[n] = true
	}
	nodes, _ := needed(gorgonia.Nodes{loss})
	terms := map[*gorgonia.Node]int{}
	for _, n := range nodes { // inputs first: a node is active if a differentiable input is
		if op, ok := n.Op().(siteOp); ok {
			for i, c := range childrenOf(n) {
				if op.grads()[i] && active[c] {
					active[n] = true
				}
			}
		}
	}
	for _, n := range nodes {
		if op, ok := n.Op().(siteOp); ok && active[n] {
			for i, c := range childrenOf(n) {
				if op.grads()[i] {
					terms[c]++
				}
			}
		}
	}
	sums := 0
	for n, t := range terms {
		if active[n] {
			sums += t - 1
		}
	}
	return sums
}
