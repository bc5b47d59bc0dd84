// Messages, in protocol buffers' wire format, of which four kinds of field are needed:
//
//	Event    1 double wall_time   2 int64 step   3 string file_version   5 Summary   7 SessionLog
//	Summary  1 repeated Value          SessionLog  1 enum status (1: START)
//	Value    1 string tag   2 float simple_value   4 Image
//	Image    1 int32 height   2 int32 width   3 int32 colorspace (4: RGBA)   4 bytes encoded_image_string
//
// A field that is zero is left out.

package tensorboard

import (
	"time"

	"sigmaz/internal/protobuf"
)

// integer appends a whole number that is not zero.
func integer(m *protobuf.Message, field, v uint64) {
	if v != 0 {
		m.Integer(field, v)
	}
}

// The numbers of the fields of Event that hold what an event is about.
const (
	fieldFileVersion = 3
	fieldSummary     = 5
	fieldSessionLog  = 7
)

// event is an Event about one thing.
func event(at time.Time, step uint64, field uint64, content []byte) []byte {
	var m protobuf.Message
	m.Float64(1, float64(at.UnixMicro())/1e6)
	integer(&m, 2, step)
	m.Bytes(field, content)
	return m
}

// sessionStart is a SessionLog that says that a process begins.
func sessionStart() []byte {
	var m protobuf.Message
	integer(&m, 1, 1)
	return m
}

// scalarValue is a Value of a number.
func scalarValue(tag string, v float64) []byte {
	var m protobuf.Message
	m.Text(1, tag)
	m.Float32(2, float32(v))
	return m
}

// imageValue is a Value of a picture.
func imageValue(tag string, width, height int, png []byte) []byte {
	var i protobuf.Message
	integer(&i, 1, uint64(height))
	integer(&i, 2, uint64(width))
	integer(&i, 3, 4)
	i.Bytes(4, png)
	var m protobuf.Message
	m.Text(1, tag)
	m.Bytes(4, i)
	return m
}

// summary is a Summary of values.
func summary(values ...[]byte) []byte {
	var m protobuf.Message
	for _, v := range values {
		m.Bytes(1, v)
	}
	return m
}
