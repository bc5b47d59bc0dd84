//go:build cgo && !nocuda

// Launches of the activations, see activation.cu.

package kernels

// activationKernels has the kernels of each activation.
var activationKernels = map[Activation]struct {
	forward activateKernel
	grad    activateGradKernel // from y
}{
	ELU:      {activateElu, activateGradElu},
	ReLU:     {activateRelu, activateGradRelu},
	LReLU:    {activateLrelu, activateGradLrelu},
	Swish:    {forward: activateSwish}, // its gradient is from x
	Softplus: {activateSoftplus, activateGradSoftplus},
}

func (o Activate) launch(l *launcher) {
	grid, block := flat(o.Y.N)
	k := activationKernels[o.F].forward
	l.activate(k, grid, block, activateArgs{y: o.Y, x: o.X, n: uint64(o.Y.N)})
}

func (o ActivateGrad) launch(l *launcher) {
	grid, block := flat(o.DX.N)
	if o.F == Swish {
		l.swishGrad(grid, block, swishGradArgs{dx: o.DX, dy: o.DY, x: o.X, n: uint64(o.DX.N)})
		return
	}
	k := activationKernels[o.F].grad
	l.activateGrad(k, grid, block, activateGradArgs{dx: o.DX, dy: o.DY, y: o.Y, n: uint64(o.DX.N)})
}
