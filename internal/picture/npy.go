// NPY version 1.0: "\x93NUMPY" 1 0, header length (uint16), a Python dict padded with spaces to a multiple of 64 bytes
// and ended by a newline, then the values (numpy.lib.format).
package picture

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"strings"
)

// WriteNPY writes an array of little-endian float32 in C order, last index fastest, that numpy.load reads. Images are
// written as they are held, (N, H, W, C), and not clamped.
func WriteNPY(path string, shape []int, data []float32) error {
	n := 1
	var dims strings.Builder
	for _, d := range shape {
		n *= d
		fmt.Fprintf(&dims, "%d, ", d)
	}
	if n != len(data) {
		panic(fmt.Sprintf("picture: %d values for an array of shape %v", len(data), shape))
	}
	// "(3,)" is Python's tuple of one; a trailing comma is as good in longer ones
	header := fmt.Sprintf("{'descr': '<f4', 'fortran_order': False, 'shape': (%s), }", strings.TrimSuffix(dims.String(), " "))
	const before = 10 // bytes of magic, version and length
	header += strings.Repeat(" ", 63-(before+len(header))%64) + "\n"
	return WriteFile(path, func(w io.Writer) error {
		head := append([]byte("\x93NUMPY\x01\x00"), 0, 0)
		binary.LittleEndian.PutUint16(head[8:], uint16(len(header)))
		if _, err := w.Write(append(head, header...)); err != nil {
			return err
		}
		var b [4]byte
		for _, v := range data {
			binary.LittleEndian.PutUint32(b[:], math.Float32bits(v))
			if _, err := w.Write(b[:]); err != nil {
				return err
			}
		}
		return nil
	})
}
