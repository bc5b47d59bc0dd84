package vec

// Random numbers, the same bits as package philox gives: uniforms, normals, and what the perturbation and the Langevin
// update do with them on the spot.
//
// The assembly works on groups of 4 values in every lane. What is left of a row goes through one group of its own. Rows of
// a few values, which would leave most of a group unused, have [Words] and [Normals4] instead: one block each, any counters.

import (
	"unsafe"

	"sigmaz/kernels/internal/philox"
)

// noiseGroup is the most values that the assembly makes at once.
const noiseGroup = 4 * lanes

// noiseState is what the assembly needs of a stream: the keys of the rounds and the counter of a block.
type noiseState [2*philox.Rounds + 4]uint32

func newNoiseState(key [2]uint32) (n noiseState) {
	for round := range philox.Rounds {
		n[2*round], n[2*round+1] = key[0], key[1]
		key[0] += philox.W0
		key[1] += philox.W1
	}
	return n
}

// groupLen is the number of values of a group of the instruction set in use.
func groupLen() int {
	if isa == avx512 {
		return noiseGroup
	}
	return noiseGroup / 2
}

// noisePieces calls f for n values of a stream: for pieces of whole groups, then for the rest.
func noisePieces(s philox.Stream, n int, f func(from, n, groups int, state *uint32)) {
	state := newNoiseState(s.Key)
	copy(state[2*philox.Rounds:], s.Counter[:])
	group := groupLen()
	for from := 0; from < n; {
		groups := min(piece, n-from) / group
		m := groups * group
		if groups == 0 {
			groups, m = 1, n-from
		}
		state[len(state)-1] = uint32(from / 4)
		f(from, m, groups, &state[0])
		from += m
	}
}

// Uniforms fills dst with the uniforms in (0, 1] of elements 0, 1, ...
func Uniforms(dst []float32, s philox.Stream) {
	if isa == plainGo {
		uniformsGo(dst, s)
		return
	}
	noisePieces(s, len(dst), func(i, n, groups int, state *uint32) {
		if n < groupLen() {
			var d [noiseGroup]float32
			uniformsKernel(&d[0], state, groups)
			copy(dst[i:], d[:n])
			return
		}
		uniformsKernel(&dst[i], state, groups)
	})
}

// Normals fills dst with the standard normals of elements 0, 1, ...
func Normals(dst []float32, s philox.Stream) {
	if isa == plainGo {
		normalsGo(dst, s)
		return
	}
	noisePieces(s, len(dst), func(i, n, groups int, state *uint32) {
		if n < groupLen() {
			var d [noiseGroup]float32
			normalsKernel(&d[0], state, groups)
			copy(dst[i:], d[:n])
			return
		}
		normalsKernel(&dst[i], state, groups)
	})
}

// Perturb draws standard normals z and computes x = x + sigma z.
func Perturb(x, z []float32, sigma float32, s philox.Stream) {
	checkLen("Perturb: z", len(z), len(x))
	if isa == plainGo {
		perturbGo(x, z, sigma, s)
		return
	}
	noisePieces(s, len(x), func(i, n, groups int, state *uint32) {
		if n < groupLen() {
			var d, e [noiseGroup]float32
			copy(d[:n], x[i:])
			perturbKernel(&d[0], &e[0], state, groups, sigma)
			copy(x[i:], d[:n])
			copy(z[i:], e[:n])
			return
		}
		perturbKernel(&x[i], &z[i], state, groups, sigma)
	})
}

// Langevin computes x = (x + a score) + b z with standard normals z.
func Langevin(x, score []float32, a, b float32, s philox.Stream) {
	checkLen("Langevin: score", len(score), len(x))
	if isa == plainGo {
		langevinGo(x, score, a, b, s)
		return
	}
	noisePieces(s, len(x), func(i, n, groups int, state *uint32) {
		if n < groupLen() {
			var d, e [noiseGroup]float32
			copy(d[:n], x[i:])
			copy(e[:n], score[i:])
			langevinKernel(&d[0], &e[0], state, groups, a, b)
			copy(x[i:], d[:n])
			return
		}
		langevinKernel(&x[i], &score[i], state, groups, a, b)
	})
}

// Dequantize computes x = (bytes + u)/256 with u uniform in [0, 1).
func Dequantize(x []float32, bytes []byte, s philox.Stream) {
	checkLen("Dequantize: bytes", len(bytes), len(x))
	if isa == plainGo {
		dequantizeGo(x, bytes, s)
		return
	}
	noisePieces(s, len(x), func(i, n, groups int, state *uint32) {
		if n < groupLen() {
			var d [noiseGroup]float32
			var e [noiseGroup]byte
			copy(e[:n], bytes[i:])
			dequantizeKernel(&d[0], &e[0], state, groups)
			copy(x[i:], d[:n])
			return
		}
		dequantizeKernel(&x[i], &bytes[i], state, groups)
	})
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

// Words turns counters into the words of their blocks, in place.
func Words(blocks [][4]uint32, key [2]uint32) {
	if isa == plainGo {
		wordsGo(blocks, key)
		return
	}
	eachBlocks(blocks, key, func(b *[4]uint32, groups int, state *uint32) {
		philoxWordsKernel(&b[0], &b[0], state, groups)
	})
}

// Normals4 turns counters into the four standard normals of their blocks, in place: the words then hold the bits of
// float32.
func Normals4(blocks [][4]uint32, key [2]uint32) {
	if isa == plainGo {
		normals4Go(blocks, key)
		return
	}
	eachBlocks(blocks, key, func(b *[4]uint32, groups int, state *uint32) {
		philoxNormalsKernel((*float32)(unsafe.Pointer(b)), &b[0], state, groups)
	})
}

// eachBlocks calls f for whole groups of blocks, in pieces, then for what is left, in a group of its own.
func eachBlocks(blocks [][4]uint32, key [2]uint32, f func(b *[4]uint32, groups int, state *uint32)) {
	state := newNoiseState(key)
	group := groupLen() / 4
	for len(blocks) >= group {
		groups := min(piece/4, len(blocks)) / group
		f(&blocks[0], groups, &state[0])
		blocks = blocks[groups*group:]
	}
	if len(blocks) > 0 {
		var rest [noiseGroup / 4][4]uint32
		copy(rest[:], blocks)
		f(&rest[0], 1, &state[0])
		copy(blocks, rest[:])
	}
}

// Mirror copies an image of rows of w pixels of c bytes and mirrors it left to right. dst must not overlap src.
func Mirror(dst, src []byte, w, c int) {
	checkLen("Mirror: src", len(src), len(dst))
	if w < 1 || c < 1 || len(dst)%(w*c) != 0 {
		panic("vec: Mirror: not whole rows")
	}
	// A step of the assembly reverses the pixels in the last 16 bytes of those that are left of a row, as far as they are
	// whole, and writes 16 bytes: what is too much of them, the next step or the loop in Go writes again.
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
