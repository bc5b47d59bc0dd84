// The unpickler. A pickle is a program for a stack machine (Python's pickletools documents its instructions), and it
// may call any function of Python. This unpickler knows the few classes that a checkpoint is made of and does their work
// itself. An object of any other class stays [Opaque]: nothing is called for it.
//
// It goes through the bytes once, without recursion. One instruction makes at most a small value, a copy of bytes
// that follow it, or a container of values that are on the stack already. So memory is at most a constant times the
// pickle's length, and both the length and the number of values are bounded.

package pytorch

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// Tuple, List and Dict are Python's types of these names. Other values are nil, bool, int64, float64, string (for
// bytes too), [*Tensor] and [*Opaque]; storage, global, long and mark occur only inside the unpickler.
type (
	Tuple []any
	List  struct{ Items []any }
	// Dict is a dict, OrderedDict or defaultdict, with its keys in the order in which they were set. Keys are string or
	// int64; what stands under other keys is left out.
	Dict struct {
		Keys   []any
		Values []any
		index  map[any]int
	}
)

// Get returns the value of a key.
func (d *Dict) Get(key any) (value any, ok bool) {
	i, ok := d.index[key]
	if !ok {
		return nil, false
	}
	return d.Values[i], true
}

func (d *Dict) set(key, value any) {
	switch key.(type) {
	case string, int64:
	default:
		return
	}
	if i, ok := d.index[key]; ok {
		d.Values[i] = value
		return
	}
	if d.index == nil {
		d.index = map[any]int{}
	}
	d.index[key] = len(d.Keys)
	d.Keys, d.Values = append(d.Keys, key), append(d.Values, value)
}

// global is a class or function that a pickle names, such as "torch._utils._rebuild_tensor_v2".
type global string

// long is a whole number of more than 64 bits: its bytes, little-endian, in two's complement.
type long string

// mark stands on the stack where a list of arguments begins.
type mark struct{}

// Kind returns in words what a value is.
func Kind(v any) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case bool:
		return "a boolean"
	case int64, long:
		return "a whole number"
	case float64:
		return "a number"
	case string:
		return "a text"
	case Tuple:
		return "a tuple"
	case *List:
		return "a list"
	case *Dict:
		return "a dict"
	case *Tensor:
		return "a tensor"
	case *storage:
		return "a storage"
	case global:
		return "the class " + brief100(string(v))
	case *Opaque:
		return "an object of " + brief100(v.Class)
	}
	return "no value"
}

// brief100 shortens a name that a file gives, which may be anything, for an error's text.
func brief100(name string) string { return strings.Trim(fmt.Sprintf("%.100q", name), `"`) }

// Bounds on a pickle: its bytes, and the values that it puts on the stack. A network of 150 tensors with Adam's state
// and a moving average takes 80 KB and 25,000 values, since the tensors' own values are not in the pickle.
const (
	maxPickle = 16 << 20
	maxValues = 2 << 20
)

// unpickler runs one pickle.
type unpickler struct {
	r      *bufio.Reader
	left   int64 // bytes that may still be read
	read   int64 // bytes read
	pushed int   // values put on the stack so far
	stack  []any
	memo   []any

	persistent func(id Tuple) (any, error)
	rebuild    func(st *storage, offset, size, stride any) (any, error)
}

// load runs the pickle and returns its result.
func (u *unpickler) load() (any, error) {
	for {
		op, err := u.byte()
		if err != nil {
			return nil, err
		}
		if op == '.' {
			v, err := u.pop()
			if err == nil && len(u.stack) > 0 {
				err = malformed("values are left at its end")
			}
			return v, err
		}
		if err := u.do(op); err != nil {
			return nil, err
		}
	}
}

func malformed(format string, a ...any) error {
	return fmt.Errorf("has a pickle that does not parse (%s): copy the file again, or save it again in PyTorch",
		fmt.Sprintf(format, a...))
}

// do carries out one instruction. Names in comments are those of pickletools.
func (u *unpickler) do(op byte) error {
	switch op {
	case 0x80: // PROTO
		v, err := u.byte()
		if err == nil && v > 5 {
			err = fmt.Errorf("has a pickle of protocol %d: expected at most 5, save it again with pickle_protocol=2", v)
		}
		return err
	case 0x95: // FRAME: a length that is not needed here
		_, err := u.bytes(8)
		return err

	case 'N': // NONE
		return u.push(nil)
	case 0x88: // NEWTRUE
		return u.push(true)
	case 0x89: // NEWFALSE
		return u.push(false)
	case 'J', 'K', 'M': // BININT, BININT1, BININT2
		b, err := u.bytes(map[byte]int{'J': 4, 'K': 1, 'M': 2}[op])
		if err != nil {
			return err
		}
		switch op {
		case 'J':
			return u.push(int64(int32(binary.LittleEndian.Uint32([]byte(b)))))
		case 'K':
			return u.push(int64(b[0]))
		}
		return u.push(int64(b[0]) | int64(b[1])<<8)
	case 'I', 'L': // INT, LONG: decimal digits on a line
		s, err := u.line()
		if err != nil {
			return err
		}
		if op == 'I' && (s == "00" || s == "01") {
			return u.push(s == "01")
		}
		v, err := strconv.ParseInt(strings.TrimSuffix(s, "L"), 10, 64)
		if err != nil {
			return malformed("%.20q is no whole number", s)
		}
		return u.push(v)
	case 0x8a, 0x8b: // LONG1, LONG4
		b, err := u.counted(map[byte]int{0x8a: 1, 0x8b: 4}[op])
		if err != nil {
			return err
		}
		if len(b) > 8 {
			return u.push(long(b))
		}
		var v int64
		for i := range len(b) {
			v |= int64(b[i]) << (8 * i)
		}
		if n := len(b); n > 0 && n < 8 && b[n-1] >= 0x80 {
			v -= 1 << (8 * n)
		}
		return u.push(v)
	case 'G': // BINFLOAT
		b, err := u.bytes(8)
		if err != nil {
			return err
		}
		return u.push(math.Float64frombits(binary.BigEndian.Uint64([]byte(b))))
	case 'F': // FLOAT
		s, err := u.line()
		if err != nil {
			return err
		}
		v, err := strconv.ParseFloat(s, 64)
		if err != nil {
			return malformed("%.20q is no number", s)
		}
		return u.push(v)
	case 0x8c, 'U', 'C': // SHORT_BINUNICODE, SHORT_BINSTRING, SHORT_BINBYTES
		return u.text(1)
	case 'X', 'T', 'B': // BINUNICODE, BINSTRING, BINBYTES
		return u.text(4)
	case 0x8d, 0x8e: // BINUNICODE8, BINBYTES8
		return u.text(8)

	case '(': // MARK
		return u.push(mark{})
	case '0', '1', '2': // POP, POP_MARK, DUP
		if op == '1' {
			_, err := u.toMark()
			return err
		}
		v, err := u.pop()
		if err == nil && op == '2' {
			u.push(v)
			err = u.push(v)
		}
		return err
	case ')': // EMPTY_TUPLE
		return u.push(Tuple(nil))
	case 0x85, 0x86, 0x87: // TUPLE1, TUPLE2, TUPLE3
		t := make(Tuple, op-0x84)
		for i := len(t) - 1; i >= 0; i-- {
			var err error
			if t[i], err = u.pop(); err != nil {
				return err
			}
		}
		return u.push(t)
	case 't', 'l', 'd': // TUPLE, LIST, DICT
		items, err := u.toMark()
		if err != nil {
			return err
		}
		switch op {
		case 't':
			return u.push(Tuple(items))
		case 'l':
			return u.push(&List{items})
		}
		d := &Dict{}
		if err := setAll(d, items); err != nil {
			return err
		}
		return u.push(d)
	case ']': // EMPTY_LIST
		return u.push(&List{})
	case '}': // EMPTY_DICT
		return u.push(&Dict{})
	case 0x8f: // EMPTY_SET
		return u.push(opaque(global("builtins.set"), nil))
	case 0x91: // FROZENSET
		items, err := u.toMark()
		if err != nil {
			return err
		}
		return u.push(opaque(global("builtins.frozenset"), items))
	case 'a', 'e', 0x90: // APPEND, APPENDS, ADDITEMS
		return u.appendTo(op != 'a')
	case 's', 'u': // SETITEM, SETITEMS
		return u.setIn(op == 'u')

	case 'q', 'r', 'p', 0x94: // BINPUT, LONG_BINPUT, PUT, MEMOIZE
		at, err := uint32(len(u.memo)), error(nil)
		if op != 0x94 {
			at, err = u.place(map[byte]int{'q': 1, 'r': 4}[op])
		}
		switch {
		case err != nil:
			return err
		case len(u.stack) == 0:
			return malformed("its stack is empty")
		case int64(at) > u.read: // places are numbered one by one, and each takes a byte or more to fill
			return malformed("it stores a value at place %d of its memo", at)
		}
		for len(u.memo) <= int(at) {
			u.memo = append(u.memo, mark{})
		}
		u.memo[at] = u.stack[len(u.stack)-1]
		return nil
	case 'h', 'j', 'g': // BINGET, LONG_BINGET, GET
		at, err := u.place(map[byte]int{'h': 1, 'j': 4}[op])
		if err != nil {
			return err
		}
		if int64(at) < int64(len(u.memo)) && u.memo[at] != (mark{}) {
			return u.push(u.memo[at])
		}
		return malformed("it asks for a value that it did not store")

	case 'c': // GLOBAL
		class, err := u.class()
		if err != nil {
			return err
		}
		return u.push(class)
	case 0x93: // STACK_GLOBAL
		name, err := u.pop()
		if err != nil {
			return err
		}
		module, err := u.pop()
		if err != nil {
			return err
		}
		m, ok1 := module.(string)
		n, ok2 := name.(string)
		if !ok1 || !ok2 {
			return malformed("the name of a class is %s", Kind(name))
		}
		return u.push(global(m + "." + n))
	case 'R': // REDUCE
		return u.reduce()
	case 'b': // BUILD
		// The attributes of an object. Those of an OrderedDict (a state_dict's _metadata, the versions of its modules)
		// are not needed.
		state, err := u.pop()
		if err != nil {
			return err
		}
		v, err := u.pop()
		if err != nil {
			return err
		}
		switch v := v.(type) {
		case *Dict:
		case *Opaque:
			v.state = state
		default:
			return malformed("it sets attributes of %s", Kind(v))
		}
		return u.push(v)
	case 'Q': // BINPERSID
		v, err := u.pop()
		if err != nil {
			return err
		}
		id, ok := v.(Tuple)
		if !ok {
			return malformed("the name of a storage is %s", Kind(v))
		}
		if v, err = u.persistent(id); err != nil {
			return err
		}
		return u.push(v)
	case 'i': // INST: the class on two lines, its arguments above the mark
		class, err := u.class()
		if err != nil {
			return err
		}
		args, err := u.toMark()
		if err != nil {
			return err
		}
		return u.push(opaque(class, args))
	case 'o': // OBJ: the class and its arguments above the mark
		items, err := u.toMark()
		if err != nil {
			return err
		}
		if len(items) == 0 {
			return malformed("it makes an object of no class")
		}
		return u.push(opaque(items[0], items[1:]))
	case 0x81, 0x92: // NEWOBJ, NEWOBJ_EX, whose arguments have names too
		if op == 0x92 {
			if _, err := u.pop(); err != nil {
				return err
			}
		}
		return u.reduce()
	}
	return malformed("instruction %#02x", op)
}

// byte reads one byte.
func (u *unpickler) byte() (byte, error) {
	if u.left < 1 {
		return 0, u.end(io.EOF)
	}
	b, err := u.r.ReadByte()
	if err != nil {
		return 0, u.end(err)
	}
	u.left--
	u.read++
	return b, nil
}

// end returns the error for a pickle whose bytes ended too early, or were more than it may have.
func (u *unpickler) end(err error) error {
	switch {
	case err != io.EOF && err != io.ErrUnexpectedEOF:
		return err
	case u.read >= maxPickle:
		return fmt.Errorf("has a pickle of more than %d MiB: no checkpoint has, the values of its tensors lie beside it; "+
			"save tensors, dicts, lists and numbers alone", maxPickle>>20)
	}
	return malformed("it ends before its last instruction")
}

// bytes reads n bytes. It allocates nothing if fewer are left.
func (u *unpickler) bytes(n int) (string, error) {
	if int64(n) > u.left {
		return "", u.end(io.EOF)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(u.r, b); err != nil {
		return "", u.end(err)
	}
	u.left -= int64(n)
	u.read += int64(n)
	return string(b), nil
}

// counted reads a number n of the given width in bytes, and then n bytes.
func (u *unpickler) counted(field int) (string, error) {
	b, err := u.bytes(field)
	if err != nil {
		return "", err
	}
	n := uint64(0)
	for i := range field {
		n |= uint64(b[i]) << (8 * i)
	}
	if n > uint64(u.left) {
		return "", u.end(io.EOF)
	}
	return u.bytes(int(n))
}

// text pushes a string whose length stands before it in a number of the given width.
func (u *unpickler) text(field int) error {
	s, err := u.counted(field)
	if err != nil {
		return err
	}
	return u.push(s)
}

// line reads up to the next line feed, which is left out.
func (u *unpickler) line() (string, error) {
	var b strings.Builder
	for {
		c, err := u.byte()
		if err != nil || c == '\n' {
			return b.String(), err
		}
		b.WriteByte(c)
	}
}

// class reads the name of a class or function on two lines: its module, and its name there.
func (u *unpickler) class() (global, error) {
	module, err := u.line()
	if err != nil {
		return "", err
	}
	name, err := u.line()
	return global(module + "." + name), err
}

// place reads the number of a place in the memo: little-endian in the given width, or as digits on a line if the
// width is 0.
func (u *unpickler) place(field int) (uint32, error) {
	if field > 0 {
		b, err := u.bytes(field)
		if err != nil {
			return 0, err
		}
		var n [4]byte
		copy(n[:], b)
		return binary.LittleEndian.Uint32(n[:]), nil
	}
	s, err := u.line()
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return 0, malformed("%.20q is no place of its memo", s)
	}
	return uint32(n), nil
}

func (u *unpickler) push(v any) error {
	if u.pushed++; u.pushed > maxValues {
		return fmt.Errorf("has a pickle of more than %d values: no checkpoint has, the values of its tensors lie beside it; "+
			"save tensors, dicts, lists and numbers alone", maxValues)
	}
	u.stack = append(u.stack, v)
	return nil
}

func (u *unpickler) pop() (any, error) {
	if len(u.stack) == 0 {
		return nil, malformed("its stack is empty")
	}
	v := u.stack[len(u.stack)-1]
	if _, ok := v.(mark); ok {
		return nil, malformed("a value is missing")
	}
	u.stack = u.stack[:len(u.stack)-1]
	return v, nil
}

// toMark pops the values above the last mark, and the mark.
func (u *unpickler) toMark() ([]any, error) {
	for i := len(u.stack) - 1; i >= 0; i-- {
		if _, ok := u.stack[i].(mark); ok {
			items := append([]any(nil), u.stack[i+1:]...)
			u.stack = u.stack[:i]
			return items, nil
		}
	}
	return nil, malformed("a mark is missing")
}

// appendTo pops one value, or all above the mark, and appends to the list that is then on top.
func (u *unpickler) appendTo(many bool) error {
	items, v, err := u.itemsFor(many, 1)
	if err != nil {
		return err
	}
	switch v := v.(type) {
	case *List:
		v.Items = append(v.Items, items...)
	case *Opaque:
	default:
		return malformed("it appends to %s", Kind(v))
	}
	return nil
}

// setIn pops one key and value, or all pairs above the mark, and sets them in the dict that is then on top.
func (u *unpickler) setIn(many bool) error {
	items, v, err := u.itemsFor(many, 2)
	if err != nil {
		return err
	}
	switch v := v.(type) {
	case *Dict:
		return setAll(v, items)
	case *Opaque: // of a class that is a dict too
		return nil
	}
	return malformed("it sets keys of %s", Kind(v))
}

// itemsFor pops n values, or all above the mark. It also returns the container that is then on top, which stays
// there.
func (u *unpickler) itemsFor(many bool, n int) (items []any, container any, err error) {
	if many {
		items, err = u.toMark()
	} else if items = make([]any, n); true {
		for i := n - 1; i >= 0 && err == nil; i-- {
			items[i], err = u.pop()
		}
	}
	if err == nil {
		container, err = u.pop()
	}
	if err != nil {
		return nil, nil, err
	}
	return items, container, u.push(container)
}

func setAll(d *Dict, items []any) error {
	if len(items)%2 != 0 {
		return malformed("a key without a value")
	}
	for i := 0; i < len(items); i += 2 {
		d.set(items[i], items[i+1])
	}
	return nil
}

// reduce does the work of calling one of the known functions with a tuple of arguments. A call of any other is not
// made: it becomes an [Opaque].
func (u *unpickler) reduce() error {
	v, err := u.pop()
	if err != nil {
		return err
	}
	f, err := u.pop()
	if err != nil {
		return err
	}
	args, ok := v.(Tuple)
	g, isGlobal := f.(global)
	if _, made := f.(*Opaque); ok && made {
		return u.push(opaque(f, args))
	}
	if !ok || !isGlobal {
		return malformed("it calls %s with %s", Kind(f), Kind(v))
	}
	bad := malformed("%s with %d arguments of another kind than expected", brief100(string(g)), len(args))
	switch {
	case g == "collections.OrderedDict" && len(args) == 0, g == "collections.defaultdict":
		return u.push(&Dict{})
	case g == "collections.OrderedDict" && len(args) == 1: // Python 2: a list of pairs
		l, ok := args[0].(*List)
		if !ok {
			return bad
		}
		d := &Dict{}
		for _, item := range l.Items {
			var pair []any
			switch item := item.(type) {
			case Tuple:
				pair = item
			case *List:
				pair = item.Items
			}
			// Counted as if it were pushed: the same list may be turned into a dict again and again.
			if u.pushed++; len(pair) != 2 || u.pushed > maxValues {
				return bad
			}
			d.set(pair[0], pair[1])
		}
		return u.push(d)
	case g == "torch.Size" && len(args) == 1:
		return u.push(args[0])
	case g == "torch._utils._rebuild_tensor" && len(args) == 4,
		g == "torch._utils._rebuild_tensor_v2" && len(args) >= 6:
		st, ok := args[0].(*storage)
		if other, is := args[0].(*Opaque); is { // a storage of a type that is none of ours
			return u.push(other)
		}
		if !ok {
			return bad
		}
		t, err := u.rebuild(st, args[1], args[2], args[3])
		if err != nil {
			return err
		}
		return u.push(t)
	case (g == "torch._utils._rebuild_parameter" || g == "torch.nn.parameter.Parameter") && len(args) >= 1:
		switch args[0].(type) {
		case *Tensor, *Opaque:
			return u.push(args[0])
		}
	default:
		return u.push(opaque(g, args))
	}
	return bad
}
