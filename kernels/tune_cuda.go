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
	tile cudaTile
}

// launch lists the operation's own launches, with the given tile in place of the rule's.
func (o tuned) launch(l *launcher) {
	l.tile = &o.tile
	o.Op.(cudaOp).launch(l)
	l.tile = nil
}

func (o tuned) result() Buf {
	if f, ok := o.Op.(cudaFinisher); ok {
		return f.result()
	}
	return Buf{}
}

func (o tuned) launchWith(l *launcher, e cudaEpilogue) {
	l.tile = &o.tile
	o.Op.(cudaFinisher).launchWith(l, e)
	l.tile = nil
}

func (o tuned) cudaWorkspace() int {
	if w, ok := o.Op.(cudaWorkspacer); ok {
		return w.cudaWorkspace()
	}
	return 0
}

// family returns a tile's name without its size: "_tf32" or "bf16_". Tiles of one family run the same convolutions.
func (t cudaTile) family() string {
	return strings.Replace(t.name, fmt.Sprintf("%dx%d", t.rows, t.cols), "", 1)
}

// kernelOf returns the name of a tile's kernel for an operation, which is that of both.
func kernelOf(op interface{ Name() string }, t cudaTile) string { return op.Name() + "_" + t.name }

// allTiles lists the tiles that have a kernel for an operation, the largest first.
func allTiles(op Op) (tiles []cudaTile) {
	for t := range convTiles() {
		if slices.ContainsFunc(kernelList, func(k kernel) bool { return k.name == kernelOf(op, t) }) {
			tiles = append(tiles, t)
		}
	}
	slices.SortFunc(tiles, func(s, t cudaTile) int {
		return cmp.Or(cmp.Compare(t.rows*t.cols, s.rows*s.cols), cmp.Compare(s.name, t.name))
	})
	return tiles
}

// convTiles is all tiles, and what memory holds of the inputs and outputs of their convolutions.
func convTiles() map[cudaTile]convEnds {
	all := map[cudaTile]convEnds{}
	for t := range tileKernels {
		all[t] = convEnds{Words, Words}
	}
	for t := range bf16Kernels {
		all[t] = convEnds{BFloat16, BFloat16}
	}
	for t := range inKernels {
		all[t] = convEnds{BFloat16, Words}
	}
	for t := range outKernels {
		all[t] = convEnds{Words, BFloat16}
	}
	return all
}

// ruleOf reads the rule's choice off the launches of the compiled operation.
func (b *cudaBackend) ruleOf(a Arena, op Op) (cudaTile, int, error) {
	p, err := b.Compile(a, []Op{op})
	if err != nil {
		return cudaTile{}, 0, err
	}
	for _, l := range p.(*cudaProgram).launches {
		for _, t := range allTiles(op) {
			if l.kernel == kernelOf(op, t) {
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
	for _, t := range allTiles(op) {
		if t.family() != rule.family() {
			continue
		}
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
	if o, ok := op.(ConvGradWeight); ok {
		o.Parts = c.Parts
		op = o
	}
	for _, t := range allTiles(op) {
		if t.name == c.Tile && c.Parts > 0 {
			return b.Compile(a, []Op{tuned{op, t}})
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
