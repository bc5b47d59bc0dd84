// Messages, in protocol buffers' wire format, of which four kinds of field are needed:
//
//	Event    1 double wall_time   2 int64 step   3 string file_version   5 Summary   7 SessionLog
//	Summary  1 repeated Value          SessionLog  1 enum status (1: START)
//	Value    1 string tag   2 float simple_value   4 Image
//	Image    1 int32 height   2 int32 width   3 int32 colorspace (4: RGBA)   4 bytes encoded_image_string
//
// A field is the varint number << 3 | type and its value; type 0 is a varint, 1 are 8 bytes, 5 are 4, and 2 is a
// varint length with as many bytes. A field that is zero is left out.

package tensorboard

import (
	"encoding/binary"
	"math"
	"time"
)

// message is a message as it grows.
type message []byte

const (
	typeVarint  = 0
	type8Bytes  = 1
	typeCounted = 2
	type4Bytes  = 5
)

func (m *message) key(field, wireType uint64) { *m = binary.AppendUvarint(*m, field<<3|wireType) }

func (m *message) integer(field, v uint64) {
	if v != 0 {
		m.key(field, typeVarint)
		*m = binary.AppendUvarint(*m, v)
	}
}

func (m *message) float64(field uint64, v float64) {
	m.key(field, type8Bytes)
	*m = binary.LittleEndian.AppendUint64(*m, math.Float64bits(v))
}

func (m *message) float32(field uint64, v float32) {
	m.key(field, type4Bytes)
	*m = binary.LittleEndian.AppendUint32(*m, math.Float32bits(v))
}

func (m *message) bytes(field uint64, v []byte) {
	m.key(field, typeCounted)
	*m = binary.AppendUvarint(*m, uint64(len(v)))
	*m = append(*m, v...)
}

// The numbers of the fields of Event that hold what an event is about.
const (
	fieldFileVersion = 3
	fieldSummary     = 5
	fieldSessionLog  = 7
)

// event is an Event about one thing.
func event(at time.Time, step uint64, field uint64, content []byte) []byte {
	var m message
	m.float64(1, float64(at.UnixMicro())/1e6)
	m.integer(2, step)
	m.bytes(field, content)
	return m
}

// sessionStart is a SessionLog that says that a process begins.
func sessionStart() []byte {
	var m message
	m.integer(1, 1)
	return m
}

// scalarValue is a Value of a number.
func scalarValue(tag string, v float64) []byte {
	var m message
	m.bytes(1, []byte(tag))
	m.float32(2, float32(v))
	return m
}

// imageValue is a Value of a picture.
func imageValue(tag string, width, height int, png []byte) []byte {
	var i message
	i.integer(1, uint64(height))
	i.integer(2, uint64(width))
	i.integer(3, 4)
	i.bytes(4, png)
	var m message
	m.bytes(1, []byte(tag))
	m.bytes(4, i)
	return m
}

// summary is a Summary of values.
func summary(values ...[]byte) []byte {
	var m message
	for _, v := range values {
		m.bytes(1, v)
	}
	return m
}
