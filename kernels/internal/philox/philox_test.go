package philox

import (
	"math"
	"testing"
)

// Known answers of Random123 (kat_vectors, philox4x32 10).
func TestKnownAnswers(t *testing.T) {
	for _, c := range []struct {
		key       [2]uint32
		ctr, want [4]uint32
	}{
		{[2]uint32{}, [4]uint32{}, [4]uint32{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
		{[2]uint32{0xffffffff, 0xffffffff}, [4]uint32{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
			[4]uint32{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
		{[2]uint32{0xa4093822, 0x299f31d0}, [4]uint32{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
			[4]uint32{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
	} {
		if got := Words(c.key, c.ctr); got != c.want {
			t.Errorf("key %x counter %x: %x, expected %x", c.key, c.ctr, got, c.want)
		}
	}
}

// Box-Muller's own logarithm, sine and cosine against float64 over a dense set of words.
func TestNormalFunctions(t *testing.T) {
	var worstLog, worstTurn float64
	check := func(x uint32) {
		u := float64(x>>8+1) / (1 << 24)
		ln := math.Log(u)
		if got := float64(logUniform(x)); ln != 0 {
			worstLog = math.Max(worstLog, math.Abs(got-ln)/math.Abs(ln))
		} else if got != 0 {
			t.Errorf("ln 1 = %g", got)
		}
		s, c := sinCosTurn(x)
		ws, wc := math.Sincos(2 * math.Pi * u)
		worstTurn = math.Max(worstTurn, math.Max(math.Abs(float64(s)-ws), math.Abs(float64(c)-wc)))
	}
	for x := uint64(0); x < 1<<32; x += 7919 * 256 / 64 {
		check(uint32(x))
	}
	for i := range uint32(4096) {
		check(i << 8)
		check(^uint32(0) - i<<8)
	}
	if worstLog > 2e-7 || worstTurn > 1.5e-7 {
		t.Errorf("worst relative error of ln %g, absolute of sin and cos %g", worstLog, worstTurn)
	}
	t.Logf("ln %.2g relative, sin and cos %.2g absolute", worstLog, worstTurn)
}
