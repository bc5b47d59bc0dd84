// The formula.

package made

// Number returns u(t, i), which is for value i of tensor t.
func Number(t, i int) float32 {
	x := uint64(i) + uint64(t)<<32
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	x ^= x >> 31
	return float32(x>>40) / (1 << 24)
}
