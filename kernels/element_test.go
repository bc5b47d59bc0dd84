package kernels_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"sigmaz/internal/float16"
	"sigmaz/kernels"
)

func TestBFloat16(t *testing.T) {
	inf := float32(math.Inf(1))
	for _, c := range []struct {
		value float32
		bits  uint16
	}{
		{0, 0}, {float32(math.Copysign(0, -1)), 0x8000}, {1, 0x3f80}, {-2.5, 0xc020},
		{math.Float32frombits(0x3f808000), 0x3f80}, // ties to even
		{math.Float32frombits(0x3f818000), 0x3f82},
		{math.Float32frombits(0x3f808001), 0x3f81},
		{math.Float32frombits(0xbf807fff), 0xbf80},
		{math.Float32frombits(0x3fffffff), 0x4000},
		{math.MaxFloat32, 0x7f80}, {inf, 0x7f80}, {-inf, 0xff80},
		{math.Float32frombits(1), 0}, {math.Float32frombits(0x00018000), 2},
		{float32(math.NaN()), 0x7fff}, {math.Float32frombits(0x7f800001), 0x7fff},
	} {
		if got := kernels.ToBFloat16(c.value); got != c.bits {
			t.Errorf("%x becomes %x, expected %x", math.Float32bits(c.value), got, c.bits)
		}
		back := float16.FromBFloat16(c.bits)
		if again := kernels.ToBFloat16(back); again != c.bits {
			t.Errorf("%x is %g, which becomes %x", c.bits, back, again)
		}
	}
}

// An operation on bfloat16 reads what is stored, and rounds what it stores once; it leaves the memory around alone.
func TestReferenceOfBFloat16(t *testing.T) {
	mem := make([]float32, 8)
	for i := range mem {
		mem[i] = math.Float32frombits(0x01010101)
	}
	a := kernels.Buf{Off: 1, N: 3, Element: kernels.BFloat16}
	b := kernels.Buf{Off: 3, N: 3}
	dst := kernels.Buf{Off: 6, N: 3, Element: kernels.BFloat16}
	if got := []int{a.Words(), b.Words(), dst.Words()}; fmt.Sprint(got) != "[2 3 2]" {
		t.Fatalf("windows of %v words, expected 2, 3 and 2", got)
	}
	mem[1], mem[2] = math.Float32frombits(0x40003f80), math.Float32frombits(0x01014040) // 1, 2, 3
	copy(b.Of(mem), []float32{1.0 / 256, 1.0 / 128, 0.01})
	kernels.Reference(kernels.Add{N: 3, Dst: dst, A: a, B: b}, mem)
	want := []uint32{0x01010101, 0x40003f80, 0x01014040, 0x3b800000, 0x3c000000, 0x3c23d70a, 0x40003f80, 0x01014041}
	for i, v := range mem {
		if math.Float32bits(v) != want[i] {
			t.Errorf("word %d is %08x, expected %08x", i, math.Float32bits(v), want[i])
		}
	}
	if got := a.Slice(2, 1); got != (kernels.Buf{Off: 2, N: 1, Element: kernels.BFloat16}) {
		t.Errorf("the last value of %+v is %+v", a, got)
	}
	for what, f := range map[string]func(){
		"is no window of words": func() { a.Of(mem) },
		"Slice outside its Buf": func() { a.Slice(1, 1) },
		"overlaps another one": func() {
			kernels.Reference(kernels.Add{N: 1, Dst: dst, A: dst, B: kernels.Buf{Off: 5, N: 3}}, mem)
		},
	} {
		func() {
			defer func() {
				if r := recover(); !strings.Contains(fmt.Sprint(r), what) {
					t.Errorf("panic %v, expected ... %s", r, what)
				}
			}()
			f()
		}()
	}
}
