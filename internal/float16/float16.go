package float16

import "math"

// ToFloat32 converts an IEEE 754 binary16 exactly. Its bits, from the highest:
//
//	1 sign | 5 exponent e, bias 15 | 10 fraction m
func ToFloat32(h uint16) float32 {
	sign, e, m := uint32(h>>15)<<31, uint32(h>>10)&31, uint32(h)&1023
	switch {
	case e == 31: // infinity and NaN
		return math.Float32frombits(sign | 255<<23 | m<<13)
	case e == 0: // zero and subnormal numbers, which are m 2^-24
		return math.Float32frombits(sign | math.Float32bits(float32(m)*(1.0/(1<<24))))
	}
	return math.Float32frombits(sign | (e+127-15)<<23 | m<<13)
}

// FromBFloat16 converts a bfloat16, the upper half of a float32, exactly.
func FromBFloat16(v uint16) float32 { return math.Float32frombits(uint32(v) << 16) }

// FromFloat32 rounds to the nearest binary16, of two equally near ones to that with an even fraction. What is too large
// becomes infinity.
func FromFloat32(v float32) uint16 {
	bits := math.Float32bits(v)
	sign, a := uint16(bits>>16&0x8000), bits&0x7fffffff
	switch {
	case a > 0x7f800000:
		return sign | 0x7e00 // NaN
	case a >= 0x477ff000: // from 65520 on
		return sign | 0x7c00
	case a < 0x38800000: // below 2^-14: a multiple of 2^-24
		return sign | uint16(math.RoundToEven(float64(math.Float32frombits(a))*(1<<24)))
	}
	a += 0xfff + a>>13&1 // a tie goes to even
	return sign | uint16((a-(112<<23))>>13)
}
