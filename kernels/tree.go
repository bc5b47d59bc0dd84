// The mean of windows of equal length by a binary tree, from neighbours up, whose nodes are means of two:
//
//	tree_mean   dst = mean of its own window and the others', in the order of their numbers
//
//	window     0     1     2     3
//	            \   /       \   /
//	          (0+1)/2     (2+3)/2
//	               \       /
//	             (left + right)/2
//
// A half is exact and a + b is b + a, so the bits depend on the windows' order alone, not on who adds or how the windows were
// cut from larger ones.

package kernels

import "math/bits"

// TreeMean is Dst = the mean by the tree of Dst, which is window Own of Count, and of the others. Count is a power of two up to
// [MaxTreeWindows].
type TreeMean struct {
	Count, Own int
	Dst        Buf // (N)
	Windows    Buf // (Count, N), of which window Own is not read
}

// MaxTreeWindows is the largest number of windows that a [TreeMean] has.
const MaxTreeWindows = 1 << treeHeights

const treeHeights = 10

func (o TreeMean) Name() string                    { return "tree_mean" }
func (o TreeMean) Operands() (reads, writes []Buf) { return []Buf{o.Dst, o.Windows}, []Buf{o.Dst} }
func (o TreeMean) Ref(mem []float32) {
	o.check()
	dst := o.Dst.Of(mem)
	for i := range dst {
		var left [treeHeights + 1]float32 // what waits for its right neighbour
		var v float32
		for w := range o.Count {
			if v = dst[i]; w != o.Own {
				v = mem[o.Windows.Off+w*o.Dst.N+i]
			}
			for height := range bits.TrailingZeros(^uint(w)) { // as many nodes are complete
				v = 0.5 * (left[height] + v)
			}
			left[bits.TrailingZeros(^uint(w))] = v
		}
		dst[i] = v
	}
}

// check panics where the windows are not as the contract has them.
func (o TreeMean) check() {
	if o.Count < 2 || o.Count > MaxTreeWindows || o.Count&(o.Count-1) != 0 || o.Own < 0 || o.Own >= o.Count || o.Windows.N != o.Count*o.Dst.N {
		panic("kernels: TreeMean of windows that are no power of two, or of another length")
	}
}
