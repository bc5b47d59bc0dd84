// Messages, in protocol buffers' wire format. A field is the varint number << 3 | type and its value; type 0 is a varint,
// 1 are 8 bytes, 5 are 4, and 2 is a varint length with as many bytes. Fields may stand in any order, and be repeated.

package protobuf

import (
	"encoding/binary"
	"math"
)

// Message is a message as it grows.
type Message []byte

const (
	typeVarint  = 0
	type8Bytes  = 1
	typeCounted = 2
	type4Bytes  = 5
)

func (m *Message) key(field, wireType uint64) { *m = binary.AppendUvarint(*m, field<<3|wireType) }

// Integer appends a whole number.
func (m *Message) Integer(field, v uint64) {
	m.key(field, typeVarint)
	*m = binary.AppendUvarint(*m, v)
}

// Float64 appends a double.
func (m *Message) Float64(field uint64, v float64) {
	m.key(field, type8Bytes)
	*m = binary.LittleEndian.AppendUint64(*m, math.Float64bits(v))
}

// Float32 appends a float.
func (m *Message) Float32(field uint64, v float32) {
	m.key(field, type4Bytes)
	*m = binary.LittleEndian.AppendUint32(*m, math.Float32bits(v))
}

// Bytes appends bytes, a string or a message.
func (m *Message) Bytes(field uint64, v []byte) {
	m.Counted(field, len(v))
	*m = append(*m, v...)
}

// Text appends a string.
func (m *Message) Text(field uint64, v string) { m.Bytes(field, []byte(v)) }

// Counted appends what comes before n bytes that the caller writes himself.
func (m *Message) Counted(field uint64, n int) {
	m.key(field, typeCounted)
	*m = binary.AppendUvarint(*m, uint64(n))
}
