//go:build unix

package vec

import (
	"fmt"
	"os"
	"runtime/debug"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"sigmaz/kernels/internal/philox"
)

// edges hands out memory beside pages that may not be touched: the pixels of a mapped file end at such a page.
type edges struct {
	t       *testing.T
	atStart bool // the page is before the memory, else behind it
}

func (e edges) bytes(n int) []byte {
	page := os.Getpagesize()
	size := roundUp(n, page) + 2*page
	m, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() { unix.Munmap(m) })
	for _, p := range [][]byte{m[:page], m[size-page:]} {
		if err := unix.Mprotect(p, unix.PROT_NONE); err != nil {
			e.t.Fatal(err)
		}
	}
	at := size - page - n
	if e.atStart {
		at = page
	}
	return m[at : at+n : at+n]
}

func (e edges) floats(n int) []float32 {
	f := unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(e.bytes(4*n)))), n)
	copy(f, normals(uint64(n), n))
	return f
}

func (e edges) words(n int) []uint32 {
	w := unsafe.Slice((*uint32)(unsafe.Pointer(unsafe.SliceData(e.bytes(4*n)))), n)
	clear(w)
	return w
}

// Nothing before or behind the operands is read or written.
func TestNothingBesideOperandsIsTouched(t *testing.T) {
	eachISA(t, func(t *testing.T) {
		for _, e := range []edges{{t, false}, {t, true}} {
			inside := func(what string, f func()) {
				defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
				defer func() {
					if p := recover(); p != nil {
						t.Fatalf("%s, page before %v: %v", what, e.atStart, p)
					}
				}()
				f()
			}
			for _, n := range []int{1, 7, 17, 33, 100} {
				y, a, b, c, d := e.floats(n), e.floats(n), e.floats(n), e.floats(n), e.floats(n)
				pixels, s := e.bytes(n), philox.Stream{Key: [2]uint32{1, 2}}
				inside(fmt.Sprintf("%d values", n), func() {
					for _, f := range []func(y, x []float32){ELU, ReLU, LReLU, Swish, Softplus} {
						f(y, a)
					}
					for _, f := range []func(dx, dy, y []float32){ELUBackward, ReLUBackward, LReLUBackward, SwishBackward,
						SoftplusBackward, Add} {
						f(y, a, b)
					}
					Divide(y, a, 3)
					Affine(y, a, 2, 1)
					AddScaled(y, a, b, 2)
					ScaledSum(y, a, b, 2, 3)
					SumSquares(a, b, 2)
					FirstOutside(a, b, -100, 100)
					Adam(y, a, b, c, d, &adamTest)
					Uniforms(y, s)
					Normals(y, s)
					Perturb(y, a, 1, s)
					Langevin(y, a, 1, 1, s)
					Dequantize(y, pixels, s)
					Bytes(y, pixels)
				})
			}
			for _, channels := range []int{1, 3, 6, 17, 31, 32, 33, 96} {
				const h, w = 6, 4
				n := h * w * channels
				y, x, dy, index, pixels, mirrored := e.floats(n), e.floats(n), e.floats(n), e.words(n), e.bytes(n), e.bytes(n)
				var k [5][]float32
				for i := range k {
					k[i] = e.floats(channels)
				}
				scratch, quarter, five := e.floats(MaxPool5BackwardScratch(w, channels)), e.floats(n/4), e.floats(5*w*channels)
				var p Packed
				inside(fmt.Sprintf("%d channels", channels), func() {
					Normalize(y, x, k[0], k[1], k[2])
					NormalizeELU(y, x, k[0], k[1], k[2])
					NormBackward(y, dy, x, k[0], k[1], k[2], k[3], k[4])
					ColumnSum(k[0], x)
					ColumnMoments(k[0], k[1], x, k[2])
					ColumnDots(k[0], k[1], x, dy, k[2])
					MaxPool5(y, nil, x, h, w, channels)
					MaxPool5(y, index, x, h, w, channels)
					MaxPool5Backward(y, dy, index, h, w, channels, scratch)
					MeanPool2(quarter, x, h, w, channels)
					MeanPool2Backward(y, quarter, h, w, channels)
					NewTaps(5, h, func(i int) []Tap { return []Tap{{i, 0.5}, {i + 1, 0.5}} }).Apply(five, x, w*channels)
					Mirror(mirrored, pixels, w, channels)
					p.Pack(x, channels, h*w, channels)
					p.MatMulT(e.floats(h*w*h*w), h*w, dy, channels, h*w)
				})
			}
			for _, c := range append([]Conv{{6, 4, 3, 33, 3, 1}, {6, 4, 33, 3, 3, 2}, {6, 4, 17, 31, 1, 1}}, winoCases[:12]...) {
				x, y, w, bias := e.floats(c.H*c.W*c.Cin), e.floats(c.H*c.W*c.Cout), e.floats(c.Cout*c.K*c.K*c.Cin), e.floats(c.Cout)
				packed, acc, scratch := e.floats(c.PackedLen()), e.floats(c.WeightGradLen()), e.floats(c.ScratchLen())
				inside("direct "+c.String(), func() {
					c.Pack(packed, w)
					c.Forward(y, x, packed, bias, scratch, false)
					c.WeightGrad(acc, x, y, scratch)
					c.UnpackWeightGrad(w, [][]float32{acc}, 0, c.Cout)
					turned, back := c.Transposed(), e.floats(c.Transposed().PackedLen())
					c.PackTransposed(back, w)
					turned.Forward(x, y, back, nil, e.floats(turned.ScratchLen()), false)
				})
				if c.K != 3 {
					continue
				}
				n := NewWino(c)
				back := n.Transposed()
				addend, activated, elu := e.floats(len(y)), e.floats(len(y)), e.floats(len(y))
				inside("Winograd "+c.String(), func() {
					u, v := e.floats(n.FilterLen()), e.floats(back.FilterLen())
					for p := range n.FilterPanels() {
						n.Filter(u, w, p, e.floats(n.FilterScratchLen()))
					}
					for p := range back.FilterPanels() {
						back.FilterTransposed(v, w, p, e.floats(back.FilterScratchLen()))
					}
					scratch := e.floats(n.ScratchLen())
					for _, after := range []Epilogue{{}, {ELU: elu}, {Addend: addend, ELU: elu}, {Activated: activated},
						{Activated: activated, Addend: addend}} {
						n.Forward(y, x, u, bias, after, 0, n.Tiles, scratch)
					}
					back.Forward(x, y, v, nil, Epilogue{}, 0, n.Tiles, e.floats(back.ScratchLen()))
					for _, b := range n.GradBlocks() {
						sums := e.floats(n.WeightGradLen(b))
						n.WeightGrad(sums, x, y, b, e.floats(n.GradScratchLen()))
						n.StoreWeightGrad(w, bias, [][]float32{sums, sums}, b)
					}
				})
			}
		}
	})
}
