// The mean of windows by a tree on the CPU, see tree.go.

package kernels

import (
	"math/bits"

	"sigmaz/kernels/internal/vec"
)

// treeBlock is the values that go up the tree together: what waits for its right neighbour stays in the cache.
const treeBlock = 256

func (o TreeMean) lower(mem []float32) stage {
	o.check()
	heights := bits.Len(uint(o.Count)) // with the root
	blocks := (o.Dst.N + treeBlock - 1) / treeBlock
	up := func(block int, w *worker) {
		begin := block * treeBlock
		n := min(treeBlock, o.Dst.N-begin)
		dst := o.Dst.Of(mem)[begin : begin+n]
		left := func(height int) []float32 { return w.scratch[height*treeBlock:][:n] }
		for i := range o.Count {
			v := dst
			if i != o.Own {
				v = o.Windows.Of(mem)[i*o.Dst.N+begin:][:n]
			}
			top := bits.TrailingZeros(^uint(i))
			if top == 0 {
				copy(left(0), v)
			}
			for height := range top {
				to := left(height)
				if height+1 == top {
					to = left(top)
				}
				vec.ScaledSum(to, left(height), v, 1, 0.5)
				v = to
			}
		}
		copy(dst, left(heights-1))
	}
	return stage{before: []phase{{blocks, up}}, scratch: heights * treeBlock}
}
