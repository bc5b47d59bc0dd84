// Objects of classes that a checkpoint does not need. People save them beside the weights: a NumPy number, an
// argparse.Namespace, a torch.device, a set. They stay what the file says of them, a name and arguments; nothing is
// called for them.

package pytorch

import (
	"encoding/binary"
	"math"
	"strings"
)

// Opaque is an object that was not made: the class or function that the file names, and what it would be called with.
type Opaque struct {
	Class string
	args  Tuple
	state any // what its attributes would be set to
}

// opaque returns the object that calling v with args would make.
func opaque(v any, args Tuple) *Opaque {
	o := &Opaque{Class: "an unnamed class", args: args}
	switch v := v.(type) {
	case global:
		o.Class = string(v)
	case *Opaque:
		o.Class = v.Class
	}
	// Objects of Python's own kind are made by a helper, whose first argument is the class.
	if module, name, _ := strings.Cut(o.Class, "."); name == "_reconstructor" &&
		(module == "copy_reg" || module == "copyreg") && len(args) > 0 {
		if class, ok := args[0].(global); ok {
			o.Class = string(class)
		}
	}
	return o
}

// Number returns the value of a NumPy scalar, which is
//
//	numpy.core.multiarray.scalar(numpy.dtype("f8", ...), bytes)
//
// in every version of NumPy but for the name of the module.
func (o *Opaque) Number() (float64, bool) {
	if !strings.HasPrefix(o.Class, "numpy.") || !strings.HasSuffix(o.Class, ".multiarray.scalar") || len(o.args) != 2 {
		return 0, false
	}
	t, _ := o.args[0].(*Opaque)
	b, ok := littleBytes(o.args[1])
	if t == nil || !ok || t.Class != "numpy.dtype" || len(t.args) == 0 {
		return 0, false
	}
	if state, ok := t.state.(Tuple); ok && len(state) > 1 && state[1] == ">" {
		for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
			b[i], b[j] = b[j], b[i]
		}
	}
	code, _ := t.args[0].(string)
	if len(code) != 2 || len(b) != int(code[1]-'0') || len(b) > 8 {
		return 0, false
	}
	whole := make([]byte, 8)
	copy(whole, b)
	bits := binary.LittleEndian.Uint64(whole)
	shift := 64 - 8*len(b)
	switch code[0] {
	case 'f':
		switch len(b) {
		case 8:
			return math.Float64frombits(bits), true
		case 4:
			return float64(math.Float32frombits(uint32(bits))), true
		}
		return 0, false
	case 'i':
		return float64(int64(bits<<shift) >> shift), true
	case 'u', 'b':
		return float64(bits), true
	}
	return 0, false
}

// littleBytes returns a few bytes: those of a text, or of _codecs.encode(text, "latin1"), by which protocol 2 says
// them.
func littleBytes(v any) (b []byte, ok bool) {
	if s, ok := v.(string); ok {
		return []byte(s), len(s) <= 8
	}
	o, ok := v.(*Opaque)
	if !ok || o.Class != "_codecs.encode" || len(o.args) != 2 || o.args[1] != "latin1" {
		return nil, false
	}
	s, ok := o.args[0].(string)
	if !ok || len(s) > 16 { // a byte takes at most two in UTF-8
		return nil, false
	}
	for _, r := range s {
		if r > 0xff {
			return nil, false
		}
		b = append(b, byte(r))
	}
	return b, len(b) <= 8
}
