// Records, the frame of an event file (TensorFlow's TFRecord):
//
//	8 bytes   length of the data, little endian
//	4 bytes   masked CRC-32C of those 8 bytes
//	n bytes   data: one message Event
//	4 bytes   masked CRC-32C of the data
//
// A CRC is masked since data that holds CRCs of its own makes bad sums: (c >> 15 | c << 17) + 0xa282ead8.

package tensorboard

import (
	"encoding/binary"
	"hash/crc32"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// maskedCRC returns the masked CRC-32C of b.
func maskedCRC(b []byte) uint32 {
	c := crc32.Checksum(b, castagnoli)
	return (c>>15 | c<<17) + 0xa282ead8
}

// record frames data.
func record(data []byte) []byte {
	b := binary.LittleEndian.AppendUint64(make([]byte, 0, len(data)+16), uint64(len(data)))
	b = binary.LittleEndian.AppendUint32(b, maskedCRC(b))
	b = append(b, data...)
	return binary.LittleEndian.AppendUint32(b, maskedCRC(data))
}
