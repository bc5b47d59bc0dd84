// Checksums of a whole data set and hashes of its rows.

package dataset

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"

	"sigmaz/kernels"
)

// castagnoli and ieee are the polynomials of CRC-32C and CRC-32. Both of the same bytes are 64 bits together.
var castagnoli, ieee = crc32.MakeTable(crc32.Castagnoli), crc32.IEEETable

func hashBytes(b []byte) uint64 {
	return uint64(crc32.Checksum(b, castagnoli))<<32 | uint64(crc32.Checksum(b, ieee))
}

func hashFloats(x []float64) uint64 {
	b := make([]byte, 0, 8*len(x))
	for _, v := range x {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
	}
	return hashBytes(b)
}

// hash returns a number for the content of row i, which [Set.Split] needs.
func (s *Set) hash(i int) uint64 {
	switch {
	case s.hashes != nil:
		return s.hashes[i]
	case s.U8 != nil:
		return hashBytes(s.Bytes(i))
	}
	x := make([]float64, s.D())
	for k, v := range s.Floats(i) {
		x[k] = float64(v)
	}
	return hashFloats(x)
}

// checksum returns the CRC-32C of the shape and the values of data, and of which are missing, in hexadecimal: Set.Sum, by which a run that is
// resumed knows its data.
func checksum(d *kernels.Data) string {
	sum := crc32.Checksum(fmt.Appendf(nil, "%d %d %d %d", d.N, d.H, d.W, d.C), castagnoli)
	sum = crc32.Update(sum, castagnoli, d.U8)
	var block [4096]byte
	for i := 0; i < len(d.F32); i += len(block) / 4 {
		part := d.F32[i:min(i+len(block)/4, len(d.F32))]
		for j, v := range part {
			binary.LittleEndian.PutUint32(block[4*j:], math.Float32bits(v))
		}
		sum = crc32.Update(sum, castagnoli, block[:4*len(part)])
	}
	for i := range d.Mask { // of stored rows
		b := binary.LittleEndian.AppendUint32(nil, d.Mask[i])
		sum = crc32.Update(sum, castagnoli, b)
	}
	for _, v := range d.Masks {
		sum = crc32.Update(sum, castagnoli, []byte{byte(v)})
	}
	return fmt.Sprintf("%08x", sum)
}

// sum returns the sum of data and its labels; that of the data where there are none.
func (l labelling) sum(sum string) string {
	if l.Labels == nil {
		return sum
	}
	crc := crc32.Checksum(fmt.Appendf(nil, "%s %q", sum, l.Classes), castagnoli)
	b := make([]byte, 0, 4*len(l.Labels))
	for _, c := range l.Labels {
		b = binary.LittleEndian.AppendUint32(b, c)
	}
	return fmt.Sprintf("%08x", crc32.Update(crc, castagnoli, b))
}
