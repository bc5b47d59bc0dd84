// Distances on a device: tiles of pairs are compared there ([kernels.PairExtremes]), and what they leave open here.
//
//	for each panel of rows that the device holds, its rows a
//	    for each panel up to that one, its rows b
//	        for each strip of the rows a
//	            extremes of |a-b|^2/2 in float32, tile by tile
//	            the tiles that could have the largest or the smallest distance, give or take E, as on the CPU
//
// The result is that of the CPU, to the pair.

package dataset

import (
	"cmp"
	"context"
	"math"
	"runtime"
	"slices"

	"sigmaz/internal/mapped"
	"sigmaz/kernels"
)

// stagedRows are brought to the device at once.
const stagedRows = 2048

// Tests make these smaller.
var (
	// stripTiles is the tiles of rows in a strip: so much is computed between two looks at the context, at most.
	stripTiles = 64
	// deviceFloats bounds the rows that a device holds, to 16 GiB; half of its free memory is another bound.
	deviceFloats = 4 << 30
)

// DistancesOn is [Set.Distances] with most of the work done on the device of b.
func (s *Set) DistancesOn(ctx context.Context, b kernels.Backend, progress func(done, total int64)) (_ Distances, err error) {
	defer mapped.Guard(&err)()
	return s.distances(progress, func(rows []int, e *extremes) error { return s.compareOn(ctx, b, rows, e) })
}

// devicePanel is rows from..to in the memory of a device.
type devicePanel struct {
	from, to  int
	x, halves kernels.Buf
	norms     []float64 // the largest |x| of each tile
}

// deviceSearch is the search on a device.
type deviceSearch struct {
	set    *Set
	centre centre
	rows   []int
	b      kernels.Backend
	arena  kernels.Arena
	stride int
	staged *panel
	panels [2]devicePanel
	out    kernels.Buf
	read   []float32 // of out

	workers []tileWorker
}

// compareOn compares rows on the device of b.
func (s *Set) compareOn(ctx context.Context, b kernels.Backend, rows []int, e *extremes) (err error) {
	const tile = kernels.PairTile
	c := &deviceSearch{set: s, centre: s.findCentre(rows), rows: rows, b: b, stride: (s.D() + 3) / 4 * 4,
		workers: make([]tileWorker, runtime.GOMAXPROCS(0))}
	floats := deviceFloats
	if free, own := b.FreeMemory(); own {
		floats = min(floats, int(free/2/4))
	}
	hold, panels := len(rows), 1
	if most := min(floats/(c.stride+1), math.MaxInt32/2); hold > most {
		hold, panels = max(tile, most/2/tile*tile), 2
	}
	words := 0
	take := func(n int) kernels.Buf {
		w := kernels.Buf{Off: words, N: n}
		words += (n + 3) / 4 * 4
		return w
	}
	for i := range panels {
		c.panels[i].x, c.panels[i].halves = take(hold*c.stride), take(hold)
	}
	c.out = take(2 * stripTiles * ((hold + tile - 1) / tile))
	c.read = make([]float32, c.out.N)
	c.staged = newPanel(c.stride, min(stagedRows, hold))
	if c.arena, err = b.Alloc(words); err != nil {
		return err
	}
	for from := 0; from < len(rows); from += hold {
		if err := c.load(ctx, &c.panels[0], from, min(len(rows), from+hold)); err != nil {
			return err
		}
		for before := 0; before <= from; before += hold {
			with := &c.panels[0]
			if before < from {
				with = &c.panels[1]
				if err := c.load(ctx, with, before, before+hold); err != nil {
					return err
				}
			}
			for strip := from; strip < c.panels[0].to; strip += stripTiles * tile {
				if err := c.compare(ctx, strip, with, e); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// load brings rows from..to to the device.
func (c *deviceSearch) load(ctx context.Context, p *devicePanel, from, to int) error {
	p.from, p.to, p.norms = from, to, make([]float64, (to-from+kernels.PairTile-1)/kernels.PairTile)
	for lo := from; lo < to; lo += stagedRows {
		hi := min(to, lo+stagedRows)
		c.staged.from, c.staged.to = lo, hi
		tiles := (hi - lo + kernels.PairTile - 1) / kernels.PairTile
		err := runTasks(ctx, c.workers, tiles, func(_ *tileWorker, i int) {
			first := lo + i*kernels.PairTile
			part := c.staged.part(first, min(hi, first+kernels.PairTile))
			part.load(c.set, &c.centre, c.rows, part.from, part.to)
			p.norms[(first-from)/kernels.PairTile] = part.norm()
		})
		if err != nil {
			return err
		}
		if err := c.arena.Write(p.x.Slice((lo-from)*c.stride, (hi-lo)*c.stride), c.staged.x[:(hi-lo)*c.stride]); err != nil {
			return err
		}
		if err := c.arena.Write(p.halves.Slice(lo-from, hi-lo), c.staged.halves[:hi-lo]); err != nil {
			return err
		}
	}
	return nil
}

// openTile is a tile that may have an extreme: its squared distances, in units of the panels, lie within the bounds.
type openTile struct {
	i, j         int // of its first rows
	below, above float64
	done         bool
}

// compare compares the strip of rows from strip on with the rows of a panel that come before them.
func (c *deviceSearch) compare(ctx context.Context, strip int, with *devicePanel, e *extremes) error {
	const tile = kernels.PairTile
	p := &c.panels[0]
	n := min(p.to-strip, stripTiles*tile)
	across := min(with.to, strip+n) - with.from // later rows come after all of the strip
	op := kernels.PairExtremes{A: p.x.Slice((strip-p.from)*c.stride, n*c.stride), B: with.x.Slice(0, across*c.stride),
		HalfA: p.halves.Slice(strip-p.from, n), HalfB: with.halves.Slice(0, across), K: c.stride, FirstA: strip, FirstB: with.from}
	down, right := op.Tiles()
	op.Out = c.out.Slice(0, 2*down*right)
	program, err := c.b.Compile(c.arena, []kernels.Op{op})
	if err != nil {
		return err
	}
	if err := program.Run(); err != nil {
		return err
	}
	if err := c.arena.Read(c.read[:op.Out.N], op.Out); err != nil {
		return err
	}

	f, count := e.begin(), int64(0)
	unit := c.centre.scale * c.centre.scale
	var open []openTile
	for t := range down * right {
		pairs := op.Counting(t/right, t%right)
		if count += int64(pairs); pairs == 0 {
			continue
		}
		slack := gramError(c.set.D(), p.norms[(strip-p.from)/tile+t/right], with.norms[t%right], c.centre.whole)
		o := openTile{i: strip + t/right*tile, j: with.from + t%right*tile,
			above: 2*float64(c.read[2*t]) + slack, below: 2*float64(c.read[2*t+1]) - slack}
		if o.above >= f.far.d2*unit || o.below <= f.near.d2*unit {
			open = append(open, o)
		}
	}
	// The most promising tiles first: after a few of them the others are out of the question.
	inner := &extremes{far: f.far, near: f.near}
	look := func(promises func(o *openTile, f found) bool) error {
		return runTasks(ctx, c.workers, len(open), func(w *tileWorker, k int) {
			if o := &open[k]; !o.done && promises(o, inner.begin()) {
				o.done = true
				w.compare(ctx, c, o.i, min(strip+n, o.i+tile), o.j, min(with.to, o.j+tile), inner)
			}
		})
	}
	slices.SortFunc(open, func(a, b openTile) int { return cmp.Compare(b.above, a.above) })
	if err := look(func(o *openTile, f found) bool { return o.above >= f.far.d2*unit }); err != nil {
		return err
	}
	slices.SortFunc(open, func(a, b openTile) int { return cmp.Compare(a.below, b.below) })
	if err := look(func(o *openTile, f found) bool { return o.below <= f.near.d2*unit }); err != nil {
		return err
	}
	e.merge(inner.begin(), count)
	return nil
}

// tileWorker is the memory of one goroutine.
type tileWorker struct {
	gramWorker
	held *panel
}

// compare compares the pairs of a tile as the CPU does.
func (w *tileWorker) compare(ctx context.Context, c *deviceSearch, i0, i1, j0, j1 int, e *extremes) {
	if w.held == nil {
		w.held = newPanel(kernels.RowStride(c.set.D()), kernels.PairTile)
	}
	w.held.from, w.held.to = i0, i1
	w.held.load(c.set, &c.centre, c.rows, i0, i1)
	w.compareColumns(ctx, c.set, &c.centre, c.rows, w.held, j0, j1, e)
}
