//go:build cgo && !nocuda

// Convolutions that are shared out in a given way, and the driver's copy, see tune.go.

package kernels

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// tuned is a convolution that is shared out in a given way.
type tuned struct {
	Op
	tile  cudaTile
	parts int
}

// launch lists the operation's own launches, with its choice in place of the rule's.
func (o tuned) launch(l *launcher) {
	tile, parts := l.tile, l.parts
	l.tile, l.parts = &o.tile, o.parts
	o.Op.(cudaOp).launch(l)
	l.tile, l.parts = tile, parts
}

func (o tuned) cudaWorkspace() int {
	if w, ok := o.Op.(ConvGradWeight); ok {
		return w.workspaceOf(w.cut(o.tile, o.parts))
	}
	return 0
}

// kernelNames returns the names of the three kernels of each tile, by their operations' names.
func kernelNames(t cudaTile) map[string]string {
	k := tileKernels[t]
	return map[string]string{Conv{}.Name(): k.conv.name, ConvGradInput{}.Name(): k.gradInput.name,
		ConvGradWeight{}.Name(): k.gradWeight.name}
}

// family returns what a tile's name ends in behind its size: "_tf32". Tiles of one family run the same convolutions.
func (t cudaTile) family() string {
	return strings.TrimPrefix(t.name, fmt.Sprintf("%dx%d", t.rows, t.cols))
}

// tilesOf lists the tiles of a family that have a kernel for the operation, the largest first.
func tilesOf(op Op, family string) (tiles []cudaTile) {
	for t := range tileKernels {
		if t.family() == family && kernelNames(t)[op.Name()] != "" {
			tiles = append(tiles, t)
		}
	}
	slices.SortFunc(tiles, func(s, t cudaTile) int {
		return cmp.Or(cmp.Compare(t.rows*t.cols, s.rows*s.cols), cmp.Compare(t.rows, s.rows))
	})
	return tiles
}

// ruleOf reads the rule's choice off the launches of the compiled operation.
func (b *cudaBackend) ruleOf(a Arena, op Op) (cudaTile, int, error) {
	p, err := b.Compile(a, []Op{op})
	if err != nil {
		return cudaTile{}, 0, err
	}
	for _, l := range p.(*cudaProgram).launches {
		for t := range tileKernels {
			if kernelNames(t)[op.Name()] == l.kernel {
				return t, l.grid[2], nil
			}
		}
	}
	return cudaTile{}, 0, fmt.Errorf("kernels: %s is not shared out by tiles", op.Name())
}

// Choices lists, for a weight gradient, as many parts as half a turn of the multiprocessors takes, one, two, four and
// eight turns, for each tile.
func (b *cudaBackend) Choices(a Arena, op Op) ([]Choice, error) {
	rule, parts, err := b.ruleOf(a, op)
	if err != nil {
		return nil, err
	}
	all := []Choice{{rule.name, parts}}
	add := func(c Choice) {
		if !slices.Contains(all, c) {
			all = append(all, c)
		}
	}
	for _, t := range tilesOf(op, rule.family()) {
		o, ok := op.(ConvGradWeight)
		if !ok {
			add(Choice{t.name, 1})
			continue
		}
		blocks := t.blocks(o.Cout, o.K*o.K*o.Cin)
		for _, halves := range []int{1, 2, 4, 8, 16} {
			n := halves * t.together * b.Multiprocessors() / (2 * blocks)
			add(Choice{t.name, o.cut(t, max(1, min(n, o.N*o.H*o.W/shortestPart, maxGrid))).parts})
		}
	}
	return all, nil
}

// CompileWith refuses a tile that has no kernel for the operation.
func (b *cudaBackend) CompileWith(a Arena, op Op, c Choice) (Program, error) {
	for t := range tileKernels {
		if t.name == c.Tile && kernelNames(t)[op.Name()] != "" && c.Parts > 0 {
			return b.Compile(a, []Op{tuned{op, t, c.Parts}})
		}
	}
	return nil, fmt.Errorf("kernels: %s has no tile %q in %d parts", op.Name(), c.Tile, c.Parts)
}

// Copy is in the order of the programs and does not wait.
func (a *cudaArena) Copy(to, from Buf) error {
	for _, w := range []Buf{to, from} {
		if err := a.check("Copy", to.N, w); err != nil {
			return err
		}
	}
	return a.backend.after(a.mem.CopyWithin(4*int64(to.Off), 4*int64(from.Off), 4*int64(to.N)))
}
