//go:build !amd64

// The names of the assembly for machines that have none. Nothing calls them: the instruction set is plain Go.

package vec

func convTile(rows, panels int, args *tileArgs) { panic("vec: no assembly") }
func convGrad(rows, panels int, args *gradArgs) { panic("vec: no assembly") }

func winoInputKernel(args *winoArgs)          { panic("vec: no assembly") }
func winoOutputKernel(args *winoArgs)         { panic("vec: no assembly") }
func winoOutputSumKernel(args *winoArgs)      { panic("vec: no assembly") }
func winoOutputSlopeKernel(args *winoArgs)    { panic("vec: no assembly") }
func winoOutputSlopeSumKernel(args *winoArgs) { panic("vec: no assembly") }
func winoOutputGradKernel(args *winoArgs)     { panic("vec: no assembly") }
func winoFilterKernel(args *winoArgs)         { panic("vec: no assembly") }
func winoFilterGradKernel(args *winoArgs)     { panic("vec: no assembly") }
