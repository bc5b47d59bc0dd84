// Package graph turns a network, built as a Gorgonia graph, into kernel operations on one piece of memory, and runs
// them.
//
//	Apply       adds a layer to a graph                                          layer.go, conv.go, norm.go, ...
//	Gradients   adds the gradient of a loss, by gorgonia.Grad                    gradients.go
//	NewPlan     lowers what outputs need to kernel operations on one arena       plan.go
//	Machine     runs a plan on a backend, as a gorgonia.VM                       machine.go
//
// Begin with layer.go (what a layer is), then call.go (how a layer becomes nodes), then plan.go. Package model builds
// networks from the layers; package kernels says what each operation computes.
//
// # Convention
//
// A [gorgonia.Op] has one output, but a kernel often has several: the backward of a convolution gives dx, dw and db,
// and a norm leaves its statistics for its backward. A layer call is one such computation, forward or backward: a
// layer, its place in the network (the path) and its inputs.
//
//	forward    inputs                       ->  output                                     + hidden buffers
//	backward   inputs, output, d(output)    ->  d(input), for each input with a gradient   (reads the hidden buffers)
//
// The outputs of a call are sibling nodes of the graph: their operations name the call and the output's index. Hidden
// buffers are no nodes at all. The plan lowers a call once, whichever of its outputs are asked for. Because every layer
// follows this one rule, differentiation is written once, in outputOp.SymDiff.
//
// # Traps of Gorgonia
//
// Each was met, and checked in Gorgonia's source or by trial.
//
//   - A new node with the hash of an old one silently is the old node, if their operations' hashes, numbers of
//     children, types and shapes are equal too. Hashes have 32 bits, and the children themselves are never compared. So
//     an operation's hash holds the path and everything else that tells two calls apart, every node that comes back is
//     compared with the one asked for, and after Grad the sums are counted (see [Gradients]).
//   - An operation without derivatives that feeds one with derivatives makes Grad index a nil slice. So every operation
//     here is a [gorgonia.SDOp]; one that has no gradient says so in DiffWRT.
//   - Derivatives are stored on the nodes: one Grad a graph. A parameter that the loss does not depend on is an error.
//   - Grad leaves dead nodes, the gradient of the network's input among them. So a plan walks back from its outputs,
//     never over all nodes.
//   - A node's inputs are asked for by ExprGraph.From, which lists them in order. To lists each reader of a node once,
//     however often it reads the node.
//   - Building a graph changes globals of the package: see [Build].
package graph
