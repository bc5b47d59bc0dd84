package float16

import (
	"math"
	"testing"
)

// Every binary16 comes back, and what lies between two of them goes to the nearer one, half-way to the even one.
func TestFromFloat32(t *testing.T) {
	for h := range 1 << 16 {
		v := ToFloat32(uint16(h))
		got := FromFloat32(v)
		if v != v {
			if back := ToFloat32(got); back == back {
				t.Errorf("NaN %#04x becomes %#04x", h, got)
			}
			continue
		}
		if got != uint16(h) {
			t.Errorf("%#04x is %g, which becomes %#04x", h, v, got)
		}
		next := ToFloat32(uint16(h + 1))
		if h&0x7fff >= 0x7bff || next != next { // the largest finite one and beyond
			continue
		}
		middle := (float64(v) + float64(next)) / 2
		even := uint16(h + h&1)
		for _, c := range []struct {
			v    float64
			want uint16
		}{{middle, even}, {middle + (float64(next)-middle)/4, uint16(h + 1)}, {middle - (float64(next)-middle)/4, uint16(h)}} {
			if got := FromFloat32(float32(c.v)); got != c.want {
				t.Fatalf("%g between %g and %g becomes %#04x, expected %#04x", c.v, v, next, got, c.want)
			}
		}
	}
	for v, want := range map[float32]uint16{65519.99: 0x7bff, 65520: 0x7c00, -1e30: 0xfc00, 1e-9: 0, float32(math.Inf(1)): 0x7c00} {
		if got := FromFloat32(v); got != want {
			t.Errorf("%g becomes %#04x, expected %#04x", v, got, want)
		}
	}
}
