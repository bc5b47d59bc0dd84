// Random numbers with the bits of package philox: uniforms, normals, and the perturbation and the Langevin update,
// which use them on the spot.
//
// The assembly makes groups of 4 values in every lane. The rest of a row gets a group of its own. Rows of only a few
// values would waste most of a group; for them there are [Words] and [Normals4], which make one block of each of many
// counters.

package vec

import (
	"unsafe"

	"sigmaz/kernels/internal/philox"
)

// noiseGroup is the largest number of values in a group.
const noiseGroup = 4 * lanes

// groupLen returns the number of values in a group of the instruction set in use.
func groupLen() int {
	if isa == avx512 {
		return noiseGroup
	}
	return noiseGroup / 2
}

// noiseState is a stream as the assembly reads it: the keys of the rounds, then the counter of a block.
type noiseState [2*philox.Rounds + 4]uint32

func newNoiseState(s philox.Stream) (n noiseState) {
	for round := range uint32(philox.Rounds) {
		n[2*round], n[2*round+1] = s.Key[0]+round*philox.W0, s.Key[1]+round*philox.W1
	}
	copy(n[2*philox.Rounds:], s.Counter[:])
	return n
}

// at sets the counter to the block of element i, a multiple of 4, and returns the state's address.
func (n *noiseState) at(i int) *uint32 {
	n[len(n)-1] = uint32(i / 4)
	return &n[0]
}

// Uniforms fills dst with the uniforms in (0, 1] of elements 0, 1, ...
func Uniforms(dst []float32, s philox.Stream) {
	if isa == plainGo {
		uniformsGo(dst, s)
		return
	}
	state, group := newNoiseState(s), groupLen()
	whole := len(dst) / group * group
	pieces(whole, func(i, n int) { uniformsKernel(&dst[i], state.at(i), n/group) })
	if rest := dst[whole:]; len(rest) > 0 {
		var d [noiseGroup]float32
		uniformsKernel(&d[0], state.at(whole), 1)
		copy(rest, d[:])
	}
}

// Normals fills dst with the standard normals of elements 0, 1, ...
func Normals(dst []float32, s philox.Stream) {
	if isa == plainGo {
		normalsGo(dst, s)
		return
	}
	state, group := newNoiseState(s), groupLen()
	whole := len(dst) / group * group
	pieces(whole, func(i, n int) { normalsKernel(&dst[i], state.at(i), n/group) })
	if rest := dst[whole:]; len(rest) > 0 {
		var d [noiseGroup]float32
		normalsKernel(&d[0], state.at(whole), 1)
		copy(rest, d[:])
	}
}

// Perturb draws standard normals z and computes x = x + sigma z.
func Perturb(x, z []float32, sigma float32, s philox.Stream) {
	checkLen("Perturb: z", len(z), len(x))
	if isa == plainGo {
		perturbGo(x, z, sigma, s)
		return
	}
	state, group := newNoiseState(s), groupLen()
	whole := len(x) / group * group
	pieces(whole, func(i, n int) { perturbKernel(&x[i], &z[i], state.at(i), n/group, sigma) })
	if rest := x[whole:]; len(rest) > 0 {
		var d, e [noiseGroup]float32
		copy(d[:], rest)
		perturbKernel(&d[0], &e[0], state.at(whole), 1, sigma)
		copy(rest, d[:])
		copy(z[whole:], e[:])
	}
}

// Langevin computes x = (x + a score) + b z with standard normals z.
func Langevin(x, score []float32, a, b float32, s philox.Stream) {
	checkLen("Langevin: score", len(score), len(x))
	if isa == plainGo {
		langevinGo(x, score, a, b, s)
		return
	}
	state, group := newNoiseState(s), groupLen()
	whole := len(x) / group * group
	pieces(whole, func(i, n int) { langevinKernel(&x[i], &score[i], state.at(i), n/group, a, b) })
	if rest := x[whole:]; len(rest) > 0 {
		var d, e [noiseGroup]float32
		copy(d[:], rest)
		copy(e[:], score[whole:])
		langevinKernel(&d[0], &e[0], state.at(whole), 1, a, b)
		copy(rest, d[:])
	}
}

// Dequantize computes x = (bytes + u)/256 with u uniform in [0, 1).
func Dequantize(x []float32, bytes []byte, s philox.Stream) {
	checkLen("Dequantize: bytes", len(bytes), len(x))
	if isa == plainGo {
		dequantizeGo(x, bytes, s)
		return
	}
	state, group := newNoiseState(s), groupLen()
	whole := len(x) / group * group
	pieces(whole, func(i, n int) { dequantizeKernel(&x[i], &bytes[i], state.at(i), n/group) })
	if rest := x[whole:]; len(rest) > 0 {
		var d [noiseGroup]float32
		var e [noiseGroup]byte
		copy(e[:], bytes[whole:])
		dequantizeKernel(&d[0], &e[0], state.at(whole), 1)
		copy(rest, d[:])
	}
}

// Bytes computes x = bytes/255.
func Bytes(x []float32, bytes []byte) {
	checkLen("Bytes: bytes", len(bytes), len(x))
	whole := 0
	if isa != plainGo {
		group := groupLen() / 4
		whole = len(x) / group * group
		pieces(whole, func(i, n int) { bytesKernel(&x[i], &bytes[i], n/group) })
	}
	bytesGo(x[whole:], bytes[whole:])
}

// Words replaces each counter by the random words of its block.
func Words(blocks [][4]uint32, key [2]uint32) {
	if isa == plainGo {
		wordsGo(blocks, key)
		return
	}
	state, group := newNoiseState(philox.Stream{Key: key}), groupLen()
	whole := 4 * len(blocks) / group * group
	pieces(whole, func(i, n int) {
		b := &blocks[i/4][0]
		philoxWordsKernel(b, b, state.at(0), n/group)
	})
	if rest := blocks[whole/4:]; len(rest) > 0 {
		var d [noiseGroup / 4][4]uint32
		copy(d[:], rest)
		philoxWordsKernel(&d[0][0], &d[0][0], state.at(0), 1)
		copy(rest, d[:])
	}
}

// Normals4 replaces each counter by the four standard normals of its block, as the bits of float32.
func Normals4(blocks [][4]uint32, key [2]uint32) {
	if isa == plainGo {
		normals4Go(blocks, key)
		return
	}
	state, group := newNoiseState(philox.Stream{Key: key}), groupLen()
	whole := 4 * len(blocks) / group * group
	pieces(whole, func(i, n int) {
		b := &blocks[i/4]
		philoxNormalsKernel((*float32)(unsafe.Pointer(b)), &b[0], state.at(0), n/group)
	})
	if rest := blocks[whole/4:]; len(rest) > 0 {
		var d [noiseGroup / 4][4]uint32
		copy(d[:], rest)
		philoxNormalsKernel((*float32)(unsafe.Pointer(&d)), &d[0][0], state.at(0), 1)
		copy(rest, d[:])
	}
}

// Mirror copies an image of rows of w pixels of c bytes and mirrors it left to right. dst must not overlap src.
func Mirror(dst, src []byte, w, c int) {
	checkLen("Mirror: src", len(src), len(dst))
	if w < 1 || c < 1 || len(dst)%(w*c) != 0 {
		panic("vec: Mirror: not whole rows")
	}
	// A step of the assembly takes the last 16 bytes that are left of a row, reverses the whole pixels among them, and
	// writes 16 bytes. The bytes after the last whole pixel are wrong; the next step, or the loop in Go, overwrites
	// them.
	var order [16]byte
	step := 16 / c * c
	steps := 0
	if isa != plainGo && step > 0 && w*c >= 16 {
		steps = (w*c-16)/step + 1
		for i := range step {
			order[i] = byte(16 - (i/c+1)*c + i%c)
		}
	}
	for ; len(dst) > 0; dst, src = dst[w*c:], src[w*c:] {
		if steps > 0 {
			mirrorKernel(&dst[0], &src[w*c-16], &order[0], steps, step)
		}
		for i := steps * step; i < w*c; i += c {
			copy(dst[i:i+c], src[w*c-i-c:])
		}
	}
}
