package npy

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
)

// file is an array file with this header and these values.
func file(major byte, header string, values ...byte) []byte {
	b := append([]byte("\x93NUMPY"), major, 0)
	if major == 1 {
		b = binary.LittleEndian.AppendUint16(b, uint16(len(header)))
	} else {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(header)))
	}
	return append(append(b, header...), values...)
}

func read[V Value](t *testing.T, b []byte) (*Reader, []V, error) {
	t.Helper()
	a, err := NewReader("a.npy", bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil, nil, err
	}
	v, err := ReadAll[V](a)
	return a, v, err
}

// What was written is read, bit for bit, and starts as numpy.lib.format has it.
func TestWriteAndRead(t *testing.T) {
	data := []float32{1, -2.5, 3e-40, float32(math.Inf(1)), 5, float32(math.Copysign(0, -1))}
	for _, c := range []struct {
		shape []int
		text  string
	}{{[]int{6}, "'shape': (6,), }"}, {[]int{1, 2, 3}, "'shape': (1, 2, 3), }"}} {
		var buf bytes.Buffer
		if err := Write(&buf, c.shape, data); err != nil {
			t.Fatal(err)
		}
		b := buf.Bytes()
		n := 10 + int(b[8]) + int(b[9])<<8
		if !bytes.HasPrefix(b, []byte("\x93NUMPY\x01\x00")) || n%64 != 0 || b[n-1] != '\n' ||
			!strings.Contains(string(b[:n]), c.text) {
			t.Errorf("header is %q", b[:n])
		}
		if len(b) != n+24 || !bytes.Equal(b[n:n+8], []byte{0, 0, 0x80, 0x3f, 0, 0, 0x20, 0xc0}) {
			t.Errorf("values are % x", b[n:])
		}
		a, got, err := read[float32](t, b)
		if err != nil || !reflect.DeepEqual(got, data) || !reflect.DeepEqual(a.Shape, c.shape) || a.Type() != "float32" ||
			a.Offset != int64(n) {
			t.Errorf("read %v of %v at %d, %v", got, a.Header, n, err)
		}
	}
	wide := make([]float64, 100_000) // more than a chunk
	for i := range wide {
		wide[i] = 1 / float64(i+1)
	}
	var buf bytes.Buffer
	if err := Write(&buf, []int{len(wide)}, wide); err != nil {
		t.Fatal(err)
	}
	if _, got, err := read[float64](t, buf.Bytes()); err != nil || !reflect.DeepEqual(got, wide) {
		t.Errorf("float64: %v", err)
	}
	// A single value, and an array of none.
	for _, shape := range [][]int{{}, {0, 3}} {
		var buf bytes.Buffer
		n := (&Header{Shape: shape}).Count()
		if err := Write(&buf, shape, make([]float64, n)); err != nil {
			t.Fatal(err)
		}
		if a, got, err := read[float64](t, buf.Bytes()); err != nil || len(got) != n || len(a.Shape) != len(shape) {
			t.Errorf("shape %v: %v, %v", shape, got, err)
		}
	}
}

// Every data type, byte order and version, in headers as numpy and others write them.
func TestRead(t *testing.T) {
	const dict = "{'descr': '%', 'fortran_order': False, 'shape': (2,), }\n"
	h := func(descr string) string { return strings.Replace(dict, "%", descr, 1) }
	for _, c := range []struct {
		name string
		file []byte
		want any
	}{
		{"float32", file(1, h("<f4"), 0, 0, 0x80, 0x3f, 0, 0, 0x20, 0xc0), []float32{1, -2.5}},
		{"float32, big-endian", file(2, h(">f4"), 0x3f, 0x80, 0, 0, 0xc0, 0x20, 0, 0), []float32{1, -2.5}},
		{"float64", file(3, h("<f8"), 0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 0x9a, 0x99, 0x99, 0x99, 0x99, 0x99, 0xb9, 0x3f), []float32{1, 0.1}},
		{"float64 as it is", file(1, h(">f8"), 0x3f, 0xb9, 0x99, 0x99, 0x99, 0x99, 0x99, 0x9a, 0, 0, 0, 0, 0, 0, 0, 0), []float64{0.1, 0}},
		{"float16", file(1, h("<f2"), 0x00, 0x3c, 0x01, 0x80), []float64{1, -math.Ldexp(1, -24)}},
		{"float16, largest and infinite", file(1, h("<f2"), 0xff, 0x7b, 0x00, 0xfc), []float64{65504, math.Inf(-1)}},
		{"uint8", file(1, h("|u1"), 3, 255), []byte{3, 255}},
		{"uint8 as float32", file(1, h("|u1"), 3, 255), []float32{3, 255}},
		{"bool", file(1, h("|b1"), 0, 1), []byte{0, 1}},
		{"int8", file(1, h("|i1"), 3, 255), []int{3, -1}},
		{"int16", file(1, h("<i2"), 3, 0, 0xfe, 0xff), []int{3, -2}},
		{"uint16", file(1, h(">u2"), 0, 3, 0xff, 0xfe), []int{3, 65534}},
		{"int32", file(1, h("<i4"), 3, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff), []int{3, -2}},
		{"uint32", file(1, h("<u4"), 3, 0, 0, 0, 0xfe, 0xff, 0xff, 0x7f), []int{3, 0x7ffffffe}},
		{"int64", file(1, h("=i8"), 3, 0, 0, 0, 0, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), []int{3, -2}},
		{"uint64", file(1, h("<u8"), 3, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0), []int{3, 4}},
		{"another order, quotes and no spaces", file(1, `{"shape":(2L,),"descr":"|u1","fortran_order":False}`, 3, 4), []byte{3, 4}},
		{"Fortran order", file(1, "{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3)}", 1, 4, 2, 5, 3, 6), []byte{1, 2, 3, 4, 5, 6}},
		{"Fortran order, 3 dimensions", file(1, "{'descr': '|u1', 'fortran_order': True, 'shape': (2, 1, 2)}", 1, 3, 2, 4), []int{1, 2, 3, 4}},
		{"values after the end", file(1, h("|u1"), 3, 4, 5, 6), []byte{3, 4}},
	} {
		var got any
		var err error
		switch c.want.(type) {
		case []float32:
			_, got, err = read[float32](t, c.file)
		case []float64:
			_, got, err = read[float64](t, c.file)
		case []byte:
			_, got, err = read[byte](t, c.file)
		case []int:
			_, got, err = read[int](t, c.file)
		}
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %v, %v, expected %v", c.name, got, err, c.want)
		}
	}
}

// Errors name the file, what was found and what was expected.
func TestErrors(t *testing.T) {
	const good = "{'descr': '<i8', 'fortran_order': False, 'shape': (2,)}"
	with := func(old, new string) []byte { return file(1, strings.Replace(good, old, new, 1), make([]byte, 16)...) }
	for _, c := range []struct {
		name string
		file []byte
		want string
	}{
		{"empty", nil, "is empty"},
		{"another file", []byte("PK\x03\x04 and so on"), "is no NPY array"},
		{"cut in the magic", []byte("\x93NUM"), "ends within the header"},
		{"cut in the length", []byte("\x93NUMPY\x01\x00\x10"), "ends within the header"},
		{"cut in the header", file(1, good)[:40], "ends within the header"},
		{"version", file(4, good), "version 4.0: expected 1.0, 2.0 or 3.0"},
		{"length", []byte("\x93NUMPY\x02\x00\xff\xff\xff\xff"), "header of 4294967295 bytes"},
		{"cut in the values", file(1, good, make([]byte, 15)...), "is truncated"},
		{"claims too much", with("(2,)", "(20000000000,)"), "is truncated"},
		{"product", with("(2,)", "(4294967296, 4294967296, 4294967296)"), "no arrays so large"},
		{"product behind a zero", with("(2,)", "(0, 4294967296, 4294967296)"), "no arrays so large"},
		{"number", with("(2,)", "(99999999999999999999,)"), "does not parse"},
		{"negative", with("(2,)", "(-1,)"), "does not parse"},
		{"dimensions", with("(2,)", "("+strings.Repeat("1,", 65)+")"), "65 dimensions"},
		{"objects", with("<i8", "|O"), "never read"},
		{"complex", with("<i8", "<c8"), `data type "<c8"`},
		{"strings", with("<i8", "<U10"), `data type "<U10"`},
		{"no type", with("<i8", ""), `data type ""`},
		{"records", with("'<i8'", "[('a', '<i8')]"), "several fields"},
		{"key", with("shape", "size"), `the key "size"`},
		{"twice", with("shape", "descr"), "does not parse"},
		{"missing", file(1, "{'descr': '<i8', 'shape': (2,)}"), "has no fortran_order"},
		{"code", file(1, "__import__('os')"), "no Python dict"},
		{"rest", file(1, good+"}"), "does not parse"},
		{"kind", with("<i8", "<f8"), "holds float64: expected whole numbers"},
	} {
		if _, _, err := read[int](t, c.file); err == nil || !strings.Contains(err.Error(), c.want) ||
			!strings.Contains(err.Error(), "a.npy") {
			t.Errorf("%s: %v, expected %q", c.name, err, c.want)
		}
	}
	if _, _, err := read[byte](t, with("", "")); err == nil || !strings.Contains(err.Error(), "expected uint8") {
		t.Errorf("int64 as bytes: %v", err)
	}
	if _, _, err := read[int](t, file(1, strings.Replace(good, "<i8", "<u8", 1),
		bytes.Repeat([]byte{255}, 16)...)); err == nil || !strings.Contains(err.Error(), "value 0") {
		t.Errorf("out of range: %v", err)
	}

	// Where the size is not known, what is missing shows when it is reached, and nothing is allocated for it.
	a, err := NewReader("standard input", iotest.OneByteReader(bytes.NewReader(with("(2,)", "(1000000000000,)"))), -1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ReadAll[float32](a); err == nil || !strings.Contains(err.Error(), "standard input is truncated") {
		t.Errorf("claimed values: %v", err)
	}
	fails := errors.New("the disk fails")
	if _, err := NewReader("a.npy", iotest.ErrReader(fails), 100); !errors.Is(err, fails) {
		t.Errorf("a failing reader: %v", err)
	}
}

// Values come in pieces, and not more of them than there are.
func TestReadInPieces(t *testing.T) {
	b := file(1, "{'descr': '|u1', 'fortran_order': False, 'shape': (5,)}", 1, 2, 3, 4, 5)
	a, err := NewReader("a.npy", iotest.HalfReader(bytes.NewReader(b)), -1)
	if err != nil {
		t.Fatal(err)
	}
	dst := make([]float32, 3)
	if err := Read(a, dst); err != nil || !reflect.DeepEqual(dst, []float32{1, 2, 3}) {
		t.Errorf("%v, %v", dst, err)
	}
	if err := Read(a, dst); err == nil || !strings.Contains(err.Error(), "2 values are left") {
		t.Errorf("too many: %v", err)
	}
	if err := Read(a, dst[:2]); err != nil || dst[1] != 5 {
		t.Errorf("%v, %v", dst, err)
	}
}

// allocated is the bytes that f allocates in all.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// Whatever the bytes, there is an answer, and what is allocated on the way is bounded by their number: a value of one
// byte becomes one of eight, held twice in Fortran's order and up to three times as much in all while its slice
// grows.
func FuzzRead(f *testing.F) {
	for _, header := range []string{
		"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }\n",
		"{'descr': '|u1', 'fortran_order': True, 'shape': (2, 8), }\n",
		"{'descr': '>i8', 'fortran_order': False, 'shape': (), }\n",
		"{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999,), }\n",
	} {
		f.Add(file(1, header, make([]byte, 16)...), true)
		f.Add(file(3, header, make([]byte, 16)...), false)
	}
	f.Fuzz(func(t *testing.T, b []byte, sized bool) {
		size := int64(-1)
		if sized {
			size = int64(len(b))
		}
		used := allocated(func() {
			a, err := NewReader("a.npy", bytes.NewReader(b), size)
			if err != nil {
				return
			}
			v, err := ReadAll[float64](a)
			if err == nil && (len(v) != a.Count() || len(v) > len(b)) {
				t.Errorf("%d values of %d in %d bytes", len(v), a.Count(), len(b))
			}
			a, _ = NewReader("a.npy", bytes.NewReader(b), size)
			ReadAll[int](a)
			a, _ = NewReader("a.npy", bytes.NewReader(b), size)
			ReadAll[byte](a)
		})
		if bound := uint64(100*len(b) + 4<<20); used > bound {
			t.Errorf("%d bytes allocated for a file of %d, expected at most %d", used, len(b), bound)
		}
	})
}

// NumPy's own files: testdata/arrays.py wrote them.
func TestNumPyFiles(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.npy")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		a, err := NewReader(path, f, -1)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ReadAll[float64](a)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(a.Shape, []int{2, 3, 2}) {
			t.Errorf("%s has shape %v", path, a.Shape)
		}
		for i, v := range got { // arange(12) - 3 as signed numbers, arange(12) as the others
			want := float64(i)
			if k := a.Kind(); k == 'i' || k == 'f' {
				want -= 3
			}
			if k := a.Kind(); k == 'b' {
				want = float64(min(i, 1))
			}
			if v != want {
				t.Errorf("%s: value %d is %g, expected %g", path, i, v, want)
			}
		}
	}
}
