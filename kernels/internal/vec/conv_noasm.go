//go:build !amd64

package vec

// Never called: the instruction set is plain Go.

func convTile(rows, panels int, args *tileArgs) { panic("vec: no assembly") }
func convGrad(rows, panels int, args *gradArgs) { panic("vec: no assembly") }
