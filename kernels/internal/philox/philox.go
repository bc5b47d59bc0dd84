package philox

import "math"

// M0 and M1 are the multipliers of a round. W0 and W1 are added to the key from one round to the next.
const (
	M0, M1 = 0xD2511F53, 0xCD9E8D57
	W0, W1 = 0x9E3779B9, 0xBB67AE85
	Rounds = 10
)

// Words computes Philox4x32-10: four random words from a key and a counter.
func Words(key [2]uint32, ctr [4]uint32) [4]uint32 {
	for range Rounds {
		p0 := uint64(M0) * uint64(ctr[0])
		p1 := uint64(M1) * uint64(ctr[2])
		ctr = [4]uint32{uint32(p1>>32) ^ ctr[1] ^ key[0], uint32(p1), uint32(p0>>32) ^ ctr[3] ^ key[1], uint32(p0)}
		key[0] += W0
		key[1] += W1
	}
	return ctr
}

// Stream is the list of random words of one key and the first three words of the counter. The fourth word of the
// counter numbers its blocks of four.
type Stream struct {
	Key     [2]uint32
	Counter [3]uint32
}

// Block returns the words of elements 4b to 4b+3.
func (s Stream) Block(b uint32) [4]uint32 {
	return Words(s.Key, [4]uint32{s.Counter[0], s.Counter[1], s.Counter[2], b})
}

// Uniform turns a word into a float32 in (0, 1]: ((x >> 8) + 1) 2^-24. It is never 0, so that it has a logarithm.
func Uniform(x uint32) float32 { return float32(x>>8+1) * (1.0 / (1 << 24)) }

// Fraction turns a word into a float32 in [0, 1): (x >> 9) 2^-23.
func Fraction(x uint32) float32 { return float32(x>>9) * (1.0 / (1 << 23)) }

// Normals turns four words into four standard normals by Box-Muller, pair by pair:
//
//	r = sqrt(-2 ln u(x0)), z0 = r cos(2 pi u(x1)), z1 = r sin(2 pi u(x1)), and z2, z3 from x2, x3
//
// Every product is rounded before it is added, so that the bits are the same on every machine and device.
func Normals(x [4]uint32) [4]float32 {
	var z [4]float32
	for p := 0; p < 4; p += 2 {
		r := float32(math.Sqrt(float64(float32(-2 * logUniform(x[p])))))
		s, c := sinCosTurn(x[p+1])
		z[p], z[p+1] = float32(r*c), float32(r*s)
	}
	return z
}

// logUniform computes ln u of u = [Uniform](x). With u = m 2^e, m in (sqrt(1/2), sqrt(2)] and f = m-1,
//
//	ln u = e ln 2 + ln(1+f),   ln(1+f) = f - f^2/2 + f^3 P(f)
//
// where P is the polynomial of Cephes' logf (relative error below 2^-23 over the interval).
func logUniform(x uint32) float32 {
	bits := math.Float32bits(Uniform(x))
	e := int32(bits>>23) - 126
	m := math.Float32frombits(bits&0x007fffff | 0x3f000000) // in [1/2, 1)
	if m < 0.70710678 {
		m += m
		e--
	}
	f := m - 1
	p := float32(7.0376836292e-2)
	for _, c := range [...]float32{-1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1,
		-1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1} {
		p = float32(p*f) + c
	}
	f2 := float32(f * f)
	fe := float32(e)
	y := float32(float32(p*f) * f2)
	y += float32(fe * -2.12194440e-4)
	y -= float32(0.5 * f2)
	return float32(f+y) + float32(fe*0.693359375)
}

// sinCosTurn computes sin and cos of 2 pi u, u = [Uniform](x). It splits the turn into quarters, u = q/4 + t with t in
// [-1/8, 1/8], which float32 represents exactly, and runs the polynomials of Cephes' sinf and cosf on 2 pi t.
func sinCosTurn(x uint32) (sin, cos float32) {
	k := x>>8 + 1                                           // u = k 2^-24
	q := (k + 1<<21) >> 22                                  // nearest quarter
	t := float32(int32(k)-int32(q<<22)) * (1.0 / (1 << 24)) // exact
	a := float32(t * 6.28318530717958647692)
	b := float32(a * a)
	s := float32(-1.9515295891e-4)
	s = float32(s*b) + 8.3321608736e-3
	s = float32(s*b) + -1.6666654611e-1
	s = float32(float32(s*b)*a) + a
	c := float32(2.443315711809948e-5)
	c = float32(c*b) + -1.388731625493765e-3
	c = float32(c*b) + 4.166664568298827e-2
	c = float32(float32(c*b) * b)
	c -= float32(0.5 * b)
	c += 1
	switch q & 3 {
	case 0:
		return s, c
	case 1:
		return c, -s
	case 2:
		return -s, -c
	default:
		return -c, s
	}
}
