// The file, a ModelProto of ONNX in protocol buffers, as far as it is needed. Fields by their numbers:
//
//	ModelProto       1 ir_version   2 producer_name   7 graph   8 opset_import   14 metadata_props
//	GraphProto       1 node   2 name   5 initializer   11 input   12 output
//	NodeProto        1 input   2 output   3 name   4 op_type   5 attribute
//	AttributeProto   1 name   2 f   3 i   4 s   8 ints   20 type (1 FLOAT, 2 INT, 3 STRING, 7 INTS)
//	TensorProto      1 dims   2 data_type   8 name   9 raw_data
//	ValueInfoProto   1 name   2 type; TypeProto: 1 tensor_type {1 elem_type   2 shape {1 dim {1 dim_value   2 dim_param}}}
//
// The graph is the largest part, so its length is added up before, and its weights go from the network's file to the new
// one a tensor at a time.

package onnx

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"math"

	"sigmaz/internal/protobuf"
)

// Opset is the version of ONNX's operators that is written, and irVersion that of the format that came with it.
const Opset, irVersion = 13, 7

// mostBytes is the largest file that protocol buffers allow.
const mostBytes = math.MaxInt32

// element is a type of values, by ONNX's number.
type element uint64

const (
	float32s element = 1
	int64s   element = 7
	doubles  element = 11
)

// attribute is a setting of an operator.
type attribute struct {
	name  string
	value any // int, []int, float32 or string
}

// node is an operator with one output.
type node struct {
	op, name string // the name is also the output's
	in       []string
	settings []attribute
}

// initializer is a tensor whose values are in the file.
type initializer struct {
	name  string
	of    element
	shape []int
	raw   []byte // nil for a parameter, whose float32 values are written as they are read
}

func (t initializer) count() int {
	n := 1
	for _, d := range t.shape {
		n *= d
	}
	return n
}

// port is an input or an output of the file; N stands before its shape.
type port struct {
	name  string
	of    element
	shape []int
}

// file is all that is written.
type file struct {
	nodes           []node
	inputs, outputs []port
	constants       []initializer
	parameters      []initializer
	about           [][2]string // names and values
}

func (a attribute) message() (m protobuf.Message) {
	m.Text(1, a.name)
	switch v := a.value.(type) {
	case float32:
		m.Float32(2, v)
		m.Integer(20, 1)
	case int:
		m.Integer(3, uint64(v))
		m.Integer(20, 2)
	case string:
		m.Text(4, v)
		m.Integer(20, 3)
	case []int:
		for _, i := range v {
			m.Integer(8, uint64(i))
		}
		m.Integer(20, 7)
	default:
		panic(fmt.Sprintf("onnx: attribute %s is a %T", a.name, v))
	}
	return m
}

func (n node) message() (m protobuf.Message) {
	for _, in := range n.in {
		m.Text(1, in)
	}
	m.Text(2, n.name)
	m.Text(3, n.name)
	m.Text(4, n.op)
	for _, a := range n.settings {
		m.Bytes(5, a.message())
	}
	return m
}

func (p port) message() protobuf.Message {
	var shape, dim, tensor, kind, m protobuf.Message
	dim.Text(2, "N")
	shape.Bytes(1, dim)
	for _, d := range p.shape {
		dim = nil
		dim.Integer(1, uint64(d))
		shape.Bytes(1, dim)
	}
	tensor.Integer(1, uint64(p.of))
	tensor.Bytes(2, shape)
	kind.Bytes(1, tensor)
	m.Text(1, p.name)
	m.Bytes(2, kind)
	return m
}

// head is a tensor without its last field's content, of so many bytes.
func (t initializer) head() (m protobuf.Message, content int) {
	for _, d := range t.shape {
		m.Integer(1, uint64(d))
	}
	m.Integer(2, uint64(t.of))
	m.Text(8, t.name)
	content = len(t.raw)
	if t.raw == nil {
		content = 4 * t.count()
	}
	m.Counted(9, content)
	return m, content
}

// counted is what stands before the content of an initializer in a graph.
func (t initializer) counted() (m protobuf.Message, content int) {
	head, content := t.head()
	m.Counted(5, len(head)+content)
	return append(m, head...), content
}

// write writes the file; read gives each parameter in order to put, as float32 values in the order of its shape.
func (f *file) write(w io.Writer, read func(put func(values []float32) error) error) error {
	var graph, model, opset protobuf.Message
	for _, n := range f.nodes {
		graph.Bytes(1, n.message())
	}
	graph.Text(2, "score")
	for _, p := range f.inputs {
		graph.Bytes(11, p.message())
	}
	for _, p := range f.outputs {
		graph.Bytes(12, p.message())
	}
	for _, t := range f.constants {
		head, _ := t.counted()
		graph = append(append(graph, head...), t.raw...)
	}
	length := len(graph)
	for _, t := range f.parameters {
		head, content := t.counted()
		length += len(head) + content
	}
	model.Integer(1, irVersion)
	model.Text(2, "sigmaz")
	opset.Text(1, "")
	opset.Integer(2, Opset)
	model.Bytes(8, opset)
	for _, a := range f.about {
		var entry protobuf.Message
		entry.Text(1, a[0])
		entry.Text(2, a[1])
		model.Bytes(14, entry)
	}
	model.Counted(7, length)
	if len(model)+length > mostBytes {
		return fmt.Errorf("the network takes %d MiB, and an ONNX file holds at most 2048: choose another format", length>>20)
	}
	to := bufio.NewWriterSize(w, 1<<20)
	to.Write(model)
	to.Write(graph)
	next := 0
	err := read(func(values []float32) error {
		t := f.parameters[next]
		next++
		if len(values) != t.count() {
			return fmt.Errorf("%s has %d values, expected %d", t.name, len(values), t.count())
		}
		head, _ := t.counted()
		to.Write(head)
		var word [4]byte
		for _, v := range values {
			binary.LittleEndian.PutUint32(word[:], math.Float32bits(v))
			to.Write(word[:])
		}
		return nil
	})
	if err != nil {
		return err
	}
	return to.Flush()
}
