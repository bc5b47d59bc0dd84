//go:build cgo && !nocuda

// Moments: what a norm needs of its input, made by the convolution that has just computed it.
//
//	chunkSums        norm_sums adds up chunks about the first pixel: in float32 and TF32
//	segmentMoments   norm_moments makes moments of segments (moments.cuh)
//	madeMoments      the convolution before has made them: the norm's launches are one less, and so is what it reads
//
// A program that has a convolution on tensor cores in bf16 takes moments for all norms whose images are whole segments. Both ways
// to them have the same bits, so where memory is shared in such a way that a norm cannot have them of its convolution, no
// result shows it.

package kernels

import "slices"

// momentsIn says in which precisions programs take moments. The kernels of TF32 make them too, and are tested so; its
// programs keep the sums of float32, and the bits.
var momentsIn = map[Precision]bool{BF16: true}

// normSums is where a norm's sums come from.
type normSums int

const (
	chunkSums normSums = iota
	segmentMoments
	madeMoments
)

// cudaNorm is a norm.
type cudaNorm interface {
	cudaFinisher
	// normed returns the geometry and the input.
	normed() (NormShape, Buf)
}

// withMoments returns operations whose norms find moments, where they can. Those of a convolution lie in the working
// memory, which no operation before the norm may use.
func withMoments(list []operation) []operation {
	if !slices.ContainsFunc(list, func(o operation) bool { _, ok := momentConv(o); return ok }) {
		return list
	}
	for i, o := range list {
		if f := finisherOf(o); f.cudaFinisher != nil {
			if n, ok := f.cudaFinisher.(cudaNorm); ok {
				if s, _ := n.normed(); s.segments() > 0 {
					f.sums = segmentMoments
					list[i] = f
				}
			}
		}
	}
	for i := 0; i < len(list) && !testUnfused; i++ {
		if s, ok := momentConv(list[i]); ok {
			i = joinMoments(list, i, s)
		}
	}
	return list
}

// joinMoments has convolution i make the moments for the first norm of one of its results, if it can, and returns the
// norm's place, else i. Where something between them uses the working memory, it moves one of them next to the other.
func joinMoments(list []operation, i int, conv ConvShape) int {
	f := finisherOf(list[i])
	made := f.made() // what nobody writes over
	for j := i + 1; j < len(list); j++ {
		n, is := list[j].(fused)
		if is && n.sums == segmentMoments {
			s, x := n.cudaFinisher.(cudaNorm).normed()
			if after := slices.Index(made, x); after >= 0 && s == (NormShape{conv.N, conv.H * conv.W, conv.Cout}) {
				between := list[i+1 : j]
				switch {
				case !slices.ContainsFunc(between, worksInMemory):
				case movable(n, between):
					copy(list[i+2:j+1], between)
					j = i + 1
				case movable(f, between):
					copy(list[i:], between)
					i = j - 1
				default:
					return i
				}
				f.sums, f.after, n.sums = madeMoments, after, madeMoments
				list[i], list[j] = f, n
				return j
			}
		}
		_, writes := list[j].Operands()
		for k, m := range made {
			if anyOverlap(m, writes, false) {
				made[k] = Buf{}
			}
		}
	}
	return i
}

// worksInMemory says whether an operation uses the working memory.
func worksInMemory(o operation) bool {
	w, ok := o.(cudaWorkspacer)
	return ok && w.cudaWorkspace() > 0
}

// finisherOf returns an operation with its steps; without the finisher if it is none.
func finisherOf(o operation) fused {
	switch o := o.(type) {
	case fused:
		return o
	case cudaFinisher:
		return fused{o, cudaEpilogue{y: o.result()}}
	}
	return fused{}
}

// momentConv returns the geometry of a forward convolution that can make moments.
func momentConv(o operation) (s ConvShape, ok bool) {
	if f, is := o.(fused); is {
		o = f.cudaFinisher
	}
	switch o := o.(type) {
	case Conv:
		return o.ConvShape, o.OnTensorCores() && momentsIn[o.Precision]
	case rowConv:
		return momentConv(o.Conv)
	case tuned:
		return momentConv(o.Op)
	}
	return s, false
}
