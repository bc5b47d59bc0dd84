package pytorch

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
)

// testdata/files.py wrote these, the same tree in both containers.
var files = []string{"zip.pth", "stream.pth", "zip-protocol4.pth", "stream-protocol4.pth"}

func floats(t *testing.T, v any) []float32 {
	t.Helper()
	x, ok := v.(*Tensor)
	if !ok {
		t.Fatalf("%s, expected a tensor", Kind(v))
	}
	dst := make([]float32, x.Count())
	if err := Read(x, dst); err != nil {
		t.Fatal(err)
	}
	return dst
}

func TestFiles(t *testing.T) {
	for _, name := range files {
		t.Run(name, func(t *testing.T) {
			f, err := Open(filepath.Join("testdata", name))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			root, ok := f.Root.(*List)
			if !ok || len(root.Items) != 4 || root.Items[3] != int64(3) {
				t.Fatalf("root is %v", f.Root)
			}
			net := root.Items[0].(*Dict)
			if !reflect.DeepEqual(net.Keys, []any{"weight", "bias"}) {
				t.Errorf("keys of the state_dict are %v", net.Keys)
			}
			type want struct {
				dtype  string
				shape  []int
				values []float32
			}
			for key, w := range map[string]want{
				"parameter":     {"float32", []int{4}, []float32{0, 1, 2, 3}},
				"shared_a":      {"float32", []int{2, 4}, []float32{2, 3, 4, 5, 6, 7, 8, 9}},
				"shared_b":      {"float32", []int{24}, []float32{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23}},
				"transposed":    {"float32", []int{6, 4}, []float32{0, 6, 12, 18, 1, 7, 13, 19, 2, 8, 14, 20, 3, 9, 15, 21, 4, 10, 16, 22, 5, 11, 17, 23}},
				"strided":       {"float32", []int{8}, []float32{1, 4, 7, 10, 13, 16, 19, 22}},
				"channels_last": {"float32", []int{1, 2, 3, 4}, []float32{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23}},
				"expanded":      {"float32", []int{2, 3}, []float32{5, 5, 5, 5, 5, 5}},
				"scalar":        {"float32", []int{}, []float32{7.5}},
				"float64":       {"float64", []int{2}, []float32{0.1, float32(math.Inf(1))}},
				"float16":       {"float16", []int{2}, []float32{0.5, -65504}},
				"bfloat16":      {"bfloat16", []int{2}, []float32{1.5, -2}},
				"int64":         {"int64", []int{2}, []float32{1, -(1 << 62)}},
				"int32":         {"int32", []int{1}, []float32{-3}},
				"int16":         {"int16", []int{1}, []float32{-4}},
				"int8":          {"int8", []int{1}, []float32{-5}},
				"uint8":         {"uint8", []int{1}, []float32{250}},
				"bool":          {"bool", []int{2}, []float32{1, 0}},
				"empty":         {"float32", []int{0, 3}, []float32{}},
			} {
				v, _ := root.Items[1].(*Dict).Get(key)
				got := floats(t, v)
				if x := v.(*Tensor); x.DType.Name != w.dtype || !reflect.DeepEqual(x.Shape, w.shape) ||
					!reflect.DeepEqual(got, w.values) {
					t.Errorf("%s is %s %v %v, expected %v", key, x.DType.Name, x.Shape, got, w)
				}
			}
			weight, _ := net.Get("weight")
			if got := floats(t, weight); !reflect.DeepEqual(got, []float32{0, 1, 2, 3, 4, 5}) {
				t.Errorf("weight is %v", got)
			}
			wide, _ := root.Items[1].(*Dict).Get("float64")
			double := make([]float64, 2)
			if err := Read(wide.(*Tensor), double); err != nil || double[0] != 0.1 || double[1] != 1e300 {
				t.Errorf("float64 as it is: %v, %v", double, err)
			}
			whole, _ := root.Items[1].(*Dict).Get("int64")
			long := make([]int64, 2)
			if err := Read(whole.(*Tensor), long); err != nil || long[1] != -(1<<62) {
				t.Errorf("int64 as it is: %v, %v", long, err)
			}
			if err := Read(wide.(*Tensor), long); err == nil ||
				!strings.Contains(err.Error(), "float64: expected whole numbers") {
				t.Errorf("float64 as int64: %v", err)
			}
			size, _ := root.Items[1].(*Dict).Get("size")
			if !reflect.DeepEqual(size, Tuple{int64(4), int64(6)}) {
				t.Errorf("size is %v", size)
			}
			plain := root.Items[2].(*Dict)
			for key, want := range map[any]any{int64(0): int64(12), "text": "\u03c3", "none": nil, "yes": true, "float": 0.25,
				"big": int64(1 << 40), "negative": int64(-1), "tuple": Tuple{0.9, 0.999, int64(1), int64(2)}} {
				if got, ok := plain.Get(key); !ok || !reflect.DeepEqual(got, want) {
					t.Errorf("%v is %v, expected %v", key, got, want)
				}
			}
		})
	}
}

// A file that is cut anywhere, or in which a byte is another, gives an error or values: never a panic, and an error
// names the file. In the zip container every change of a value is found.
func TestDamage(t *testing.T) {
	for _, name := range files {
		whole, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		for n := 0; n < len(whole); n += 13 {
			if err := readAll(whole[:n]); err == nil || !strings.HasPrefix(err.Error(), "a.pth ") &&
				!strings.Contains(err.Error(), "of a.pth") {
				t.Fatalf("%s cut at %d: %v", name, n, err)
			}
			b := bytes.Clone(whole)
			b[n] ^= 0x41
			readAll(b)
		}
		if strings.HasPrefix(name, "zip") {
			at := bytes.Index(whole, binary.LittleEndian.AppendUint32(nil, math.Float32bits(7.5)))
			whole[at] ^= 1
			if err := readAll(whole); err == nil || !strings.Contains(err.Error(), "damaged (checksum") {
				t.Errorf("%s with another value: %v", name, err)
			}
		}
	}
}

// readAll opens a file and reads every tensor in it.
func readAll(b []byte) error {
	f, err := newFile("a.pth", bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return err
	}
	var stack []any
	seen := map[any]bool{}
	for stack = append(stack, f.Root); len(stack) > 0; {
		v := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		switch v := v.(type) {
		case Tuple:
			if len(seen) < 1000 { // not compared: tuples of tuples of the same tuple would take for ever
				seen[len(seen)] = true
				stack = append(stack, v...)
			}
		case *List:
			if !seen[v] {
				seen[v] = true
				stack = append(stack, v.Items...)
			}
		case *Dict:
			if !seen[v] {
				seen[v] = true
				stack = append(stack, v.Values...)
			}
		case *Tensor:
			if seen[v] {
				break
			}
			seen[v] = true
			if err := Read(v, make([]float32, v.Count())); err != nil {
				return err
			}
		}
	}
	return nil
}

// archive is a zip file of entries, each stored.
func archive(t testing.TB, entries ...string) []byte {
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	for i := 0; i < len(entries); i += 2 {
		e, err := w.CreateRaw(&zip.FileHeader{Name: entries[i], CRC32: crc32.ChecksumIEEE([]byte(entries[i+1])),
			CompressedSize64: uint64(len(entries[i+1])), UncompressedSize64: uint64(len(entries[i+1]))})
		if err != nil {
			t.Fatal(err)
		}
		e.Write([]byte(entries[i+1]))
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// pickled is the pickle of a tensor on storage 0 of four values. Instructions are letters: ( ... t is a tuple, R a
// call.
func pickled(offset, size, stride string) string {
	return "ctorch._utils\n_rebuild_tensor_v2\n" +
		"((X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuI4\ntQ" +
		"I" + offset + "\n" + tupleOf(size) + tupleOf(stride) + "\x89)tR."
}

func tupleOf(numbers string) string {
	s := "("
	for _, n := range strings.Fields(numbers) {
		s += "I" + n + "\n"
	}
	return s + "t"
}

// What a hostile file can say is answered by one sentence that names the file, and by nothing else.
func TestHostile(t *testing.T) {
	values := string(make([]byte, 16))
	file := func(pickle string) []byte { return archive(t, "a/data.pkl", pickle, "a/data/0", values) }
	stream := func(pickle string) []byte { return []byte(magic + "\x80\x02M\xe9\x03." + "}." + pickle) }
	for _, c := range []struct {
		name string
		file []byte
		want string // "" for a good one
	}{
		{"good", file(pickled("0", "2 2", "2 1")), ""},
		{"empty", nil, "is empty"},
		{"another file", []byte("\x89PNG\r\n"), "is no file of torch.save"},
		{"a pickle alone", []byte("\x80\x02}."), "is no file of torch.save"},
		{"half a zip", file("N.")[:40], "does not open"},
		{"zip without a tree", archive(t, "a/b", ""), "without data.pkl"},
		{"TorchScript", archive(t, "a/constants.pkl", "", "a/data.pkl", "N."), "TorchScript"},
		{"byte order", archive(t, "a/byteorder", "middle", "a/data.pkl", "N."), `byte order "middle"`},

		{"a call of a text", file("X\x01\x00\x00\x00a)R."), "calls a text"},
		{"a call with other arguments", file("ctorch._utils\n_rebuild_parameter\n)R."), ""},
		{"a parameter that is none", file("ctorch._utils\n_rebuild_parameter\n]\x85R."), "1 arguments"},
		{"an object of no class", file("(o."), "of no class"},
		{"a storage of an unknown type in the stream", stream(strings.Replace(pickled("0", "4", "1"), "FloatStorage", "ComplexFloatStorage", 1)), "the name of a storage"},
		{"attributes of a tensor", file(strings.TrimSuffix(pickled("0", "4", "1"), ".") + "}b."), "attributes of a tensor"},

		{"no end", file("N"), "ends before its last instruction"},
		{"nothing", file(""), "ends before its last instruction"},
		{"left over", file("NN."), "left at its end"},
		{"pop of nothing", file("0."), "stack is empty"},
		{"no mark", file("t."), "a mark is missing"},
		{"an odd dict", file("(Nd."), "a key without a value"},
		{"a key that is a list", file("(]Nd."), ""},
		{"a memo that is not there", file("h\x05."), "did not store"},
		{"a far place in the memo", file("Nr\xff\xff\xff\x7f."), "place 2147483647 of its memo"},
		{"a text longer than the file", file("X\xff\xff\xff\x7fa."), "ends before"},
		{"a text of 2^63", file("\x8d\xff\xff\xff\xff\xff\xff\xff\xffa."), "ends before"},
		{"a long integer", file("\x8b\xff\xff\xff\x7fa."), "ends before"},
		{"protocol", file("\x80\x06N."), "protocol 6"},
		{"instruction", file("\xff."), "0xff"},
		{"no number", file("Ix\n."), "no whole number"},

		{"a tensor behind the storage's end", file(pickled("1", "2 2", "2 1")), "a tensor of size [2 2] and stride [2 1] at 1"},
		{"a stride behind the end", file(pickled("0", "2 2", "3 1")), "a tensor of size"},
		{"a stride of 2^62", file(pickled("0", "2 2", "4611686018427387904 1")), "a tensor of size"},
		{"an offset of 2^62", file(pickled("4611686018427387904", "1", "1")), "at 4611686018427387904"},
		{"negative", file(pickled("-1", "1", "1")), "at -1"},
		{"a negative stride", file(pickled("3", "4", "-1")), "a tensor of size"},
		{"more strides than sizes", file(pickled("0", "2", "1 1")), "a tensor of size"},
		{"a size that overflows", file(pickled("0", "4294967296 4294967296 4294967296", "0 0 0")), "more values than a file of its size"},
		{"one value repeated", file(pickled("0", "1000 2000", "0 0")), "more values than a file of its size"},
		{"many dimensions", file(pickled("0", strings.Repeat("1 ", 65), strings.Repeat("1 ", 65))), "a tensor of size"},
		{"no such storage", archive(t, "a/data.pkl", pickled("0", "4", "1")), `without "a/data/0"`},
		{"a short storage", archive(t, "a/data.pkl", pickled("0", "4", "1"), "a/data/0", values[:15]), "4 values of float32 take 16"},
		{"a storage larger than the file", file(strings.Replace(pickled("0", "4", "1"), "I4\n", "I40000000000\n", 1)), "is truncated"},
		{"keys of no storage", stream("N.(X\x01\x00\x00\x000l."), "that no tensor uses"},
		{"keys that are none", stream("N.N."), "the keys of the storages are None"},
		{"values that are not there", stream(pickled("0", "4", "1") + "(X\x01\x00\x00\x000l."), "last storages are missing"},
		{"another number of values", stream(pickled("0", "4", "1") + "(X\x01\x00\x00\x000l." + "\x05\x00\x00\x00\x00\x00\x00\x00" + values), "has 5 values, its tensors take it for 4"},
		{"no keys", stream(pickled("0", "4", "1") + "]."), "has no values"},
		{"version", []byte(magic + "\x80\x02M\xea\x03."), "another version than 1001"},
	} {
		err := readAll(c.file)
		if c.want == "" {
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "a.pth ") {
			t.Errorf("%s: %v, expected %q", c.name, err, c.want)
		} else if len(err.Error()) > 400 || strings.ContainsAny(err.Error(), "\n\x00") {
			t.Errorf("%s: no short sentence: %v", c.name, err)
		}
	}

	// A compressed entry, which could be a thousand times as large as the file.
	var bomb bytes.Buffer
	w := zip.NewWriter(&bomb)
	e, err := w.Create("a/data.pkl")
	if err != nil {
		t.Fatal(err)
	}
	e.Write(bytes.Repeat([]byte("N0"), 1<<20))
	w.Close()
	if err := readAll(bomb.Bytes()); err == nil || !strings.Contains(err.Error(), `compressed entry ("a/data.pkl")`) {
		t.Errorf("a compressed entry: %v", err)
	}

	// Long pickles: of one value for each byte, and of one pair that is asked for again and again.
	if err := readAll(file(strings.Repeat("]", maxValues+1))); err == nil ||
		!strings.Contains(err.Error(), "values: no checkpoint has") {
		t.Errorf("many lists: %v", err)
	}
	if err := readAll(file(strings.Repeat("N0", maxPickle))); err == nil ||
		!strings.Contains(err.Error(), "values: no checkpoint has") {
		t.Errorf("a long pickle: %v", err)
	}
	pairs := "(" + strings.Repeat("(NNl", 1000) + "l\x85q\x00" // a tuple of a list of pairs
	err = readAll(file(strings.Replace(pairs, "(NNl", "(K\x01Nl", -1) +
		strings.Repeat("0ccollections\nOrderedDict\nh\x00R", 5000) + "."))
	if err == nil {
		t.Error("five million pairs from a few bytes were made")
	}
	// Nothing that nests or contains itself is walked through.
	if err := readAll(file("N" + strings.Repeat("\x85", 1<<20) + ".")); err != nil {
		t.Errorf("a deep nest: %v", err)
	}
	if err := readAll(file("]q\x00h\x00a.")); err != nil {
		t.Errorf("a list in itself: %v", err)
	}
}

// Objects of unknown classes stay names, in every way that a pickle makes them: nothing is called.
func TestOpaque(t *testing.T) {
	double := string(binary.LittleEndian.AppendUint64(nil, math.Float64bits(0.5)))
	scalar := func(module, code, order, bytes string) string {
		dtype := "cnumpy\ndtype\n(X\x02\x00\x00\x00" + code + "\x89\x88tR(K\x03X\x01\x00\x00\x00" + order + "NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
		return "c" + module + ".multiarray\nscalar\n" + dtype + bytes + "\x86R."
	}
	text := func(s string) string { return "C" + string(rune(len(s))) + s }
	latin1 := func(s string) string { // as protocol 2 has bytes
		utf8 := ""
		for _, b := range []byte(s) {
			utf8 += string(rune(b))
		}
		return "c_codecs\nencode\nX" + string(binary.LittleEndian.AppendUint32(nil, uint32(len(utf8)))) + utf8 +
			"X\x06\x00\x00\x00latin1\x86R"
	}
	none := math.Inf(1)
	for _, c := range []struct {
		name, pickle, kind string
		number             float64
	}{
		{"os.system", "cos\nsystem\n(X\x02\x00\x00\x00lstR.", "an object of os.system", none},
		{"builtins.eval, protocol 4, not called", "\x80\x04\x8c\x08builtins\x8c\x04eval\x93.", "the class builtins.eval", none},
		{"a long name", "cos\n" + strings.Repeat("x", 10000) + "\n)R.", "an object of os." + strings.Repeat("x", 97), none},
		{"a name with a line feed", "X\x03\x00\x00\x00a\nbX\x01\x00\x00\x00c\x93.", `the class a\nb.c`, none},
		{"NEWOBJ and BUILD: argparse.Namespace", "cargparse\nNamespace\n)\x81}X\x01\x00\x00\x00aK\x01sb.", "an object of argparse.Namespace", none},
		{"NEWOBJ_EX", "\x80\x04cpathlib\nPath\n)}\x92.", "an object of pathlib.Path", none},
		{"INST", "(ios\nsystem\n.", "an object of os.system", none},
		{"OBJ", "(cos\nsystem\nK\x01o.", "an object of os.system", none},
		{"copyreg", "ccopy_reg\n_reconstructor\n(cconfig\nConfig\nc__builtin__\nobject\nNtR}b.", "an object of config.Config", none},
		{"torch.device", "ctorch\ndevice\nX\x04\x00\x00\x00cuda\x85R.", "an object of torch.device", none},
		{"torch.float32", "ctorch\nfloat32\n.", "the class torch.float32", none},
		{"a set", "\x8f(K\x01K\x02\x90.", "an object of builtins.set", none},
		{"a frozenset", "(K\x01\x91.", "an object of builtins.frozenset", none},
		{"a dict of another class", "ceasydict\nEasyDict\n)\x81(X\x01\x00\x00\x00aK\x01u.", "an object of easydict.EasyDict", none},
		{"a call of an object", "cos\nsystem\n)R)R.", "an object of os.system", none},
		{"complex numbers", strings.Replace(pickled("0", "2", "1"), "FloatStorage", "ComplexFloatStorage", 1), "an object of torch.ComplexFloatStorage", none},
		{"defaultdict", "ccollections\ndefaultdict\nc__builtin__\ndict\n\x85R.", "a dict", none},
		{"float64 of NumPy 1", scalar("numpy.core", "f8", "<", latin1(double)), "an object of numpy.core.multiarray.scalar", 0.5},
		{"float64 of NumPy 2", scalar("numpy._core", "f8", "<", text(double)), "an object of numpy._core.multiarray.scalar", 0.5},
		{"big-endian int16", scalar("numpy._core", "i2", ">", text("\xff\xfe")), "an object of numpy._core.multiarray.scalar", -2},
		{"bool", scalar("numpy._core", "b1", "|", text("\x01")), "an object of numpy._core.multiarray.scalar", 1},
		{"bytes of another length", scalar("numpy._core", "f8", "<", text("\x01")), "an object of numpy._core.multiarray.scalar", none},
		{"a length of nine", scalar("numpy._core", "u9", "<", text("123456789")), "an object of numpy._core.multiarray.scalar", none},
	} {
		b := archive(t, "a/data.pkl", c.pickle, "a/data/0", string(make([]byte, 16)))
		f, err := newFile("a.pth", bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := Kind(f.Root); got != c.kind {
			t.Errorf("%s is %s, expected %s", c.name, got, c.kind)
		}
		o, _ := f.Root.(*Opaque)
		if o == nil {
			continue
		}
		if got, ok := o.Number(); ok != (c.number != none) || ok && got != c.number {
			t.Errorf("%s is the number %g, %t; expected %g", c.name, got, ok, c.number)
		}
	}
}

// A view of a storage as old streams have it, and values of a big-endian machine in the zip container.
func TestViewsAndByteOrder(t *testing.T) {
	view := strings.Replace(pickled("1", "2", "1"), "I4\ntQ", "I4\n(X\x01\x00\x00\x001I1\nI3\nttQ", 1)
	b := []byte(magic + "\x80\x02M\xe9\x03." + "}." + view + "(X\x01\x00\x00\x000l.")
	b = binary.LittleEndian.AppendUint64(b, 4)
	for i := range 4 {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(i)))
	}
	f, err := newFile("a.pth", bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	if got := floats(t, f.Root); !reflect.DeepEqual(got, []float32{2, 3}) { // from 1 + 1 on
		t.Errorf("the view is %v", got)
	}
	values := ""
	for i := range 4 {
		values += string(binary.BigEndian.AppendUint32(nil, math.Float32bits(float32(i))))
	}
	b = archive(t, "a/byteorder", "big", "a/data.pkl", pickled("1", "2", "2"), "a/data/0", values)
	if f, err = newFile("a.pth", bytes.NewReader(b), int64(len(b))); err != nil {
		t.Fatal(err)
	}
	if got := floats(t, f.Root); !reflect.DeepEqual(got, []float32{1, 3}) {
		t.Errorf("big-endian values are %v", got)
	}
}

// Reading takes little more memory than the values: no copy of the file, of a storage or of a tensor in the file's
// order of axes is kept.
func TestMemory(t *testing.T) {
	const n = 1 << 21
	values := string(make([]byte, 4*n))
	pickle := strings.ReplaceAll(pickled("0", fmt.Sprint(n), "1"), "I4\n", fmt.Sprintf("I%d\n", n))
	keys := "(X\x01\x00\x00\x000l." + string(binary.LittleEndian.AppendUint64(nil, n))
	for name, b := range map[string][]byte{
		"zip":    archive(t, "a/data.pkl", pickle, "a/data/0", values),
		"stream": []byte(magic + "\x80\x02M\xe9\x03." + "}." + pickle + keys + values),
	} {
		if used := allocated(func() {
			if err := readAll(b); err != nil {
				t.Fatal(err)
			}
		}); used > 4*n+2<<20 {
			t.Errorf("%s: %d bytes allocated for %d of values", name, used, 4*n)
		}
	}
}

// FuzzOpen opens and reads whatever it is given. What is allocated on the way is bounded: for each byte of the file
// at most a few values of a pickle (a dict takes a hundred bytes) and eight tensor values, each read as float32 and,
// where the strides ask for it, through a copy.
func FuzzOpen(f *testing.F) {
	for _, name := range files {
		b, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	for _, pickle := range []string{pickled("0", "2 2", "1 2"), pickled("0", "1000 1000", "0 0"), "cos\nsystem\n(tR.",
		"\x80\x04\x95\x03\x00\x00\x00\x00\x00\x00\x00]\x94."} {
		f.Add(archive(f, "a/data.pkl", pickle, "a/data/0", string(make([]byte, 16))))
		f.Add([]byte(magic + "\x80\x02M\xe9\x03." + "}." + pickle + "(X\x01\x00\x00\x000l." +
			"\x04\x00\x00\x00\x00\x00\x00\x00" + string(make([]byte, 16))))
	}
	f.Fuzz(func(t *testing.T, b []byte) { bounded(t, b, func() error { return readAll(b) }) })
}

// FuzzPickle is the same for the tree alone, on a storage of 16 bytes: the checksums of the zip container would keep
// most changes from coming so far.
func FuzzPickle(f *testing.F) {
	for _, name := range files[:3:3] {
		file, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		z, err := zip.NewReader(bytes.NewReader(file), int64(len(file)))
		if err != nil {
			continue
		}
		for _, e := range z.File {
			if strings.HasSuffix(e.Name, "data.pkl") {
				at, err := e.DataOffset()
				if err != nil {
					f.Fatal(err)
				}
				f.Add(file[at : at+int64(e.UncompressedSize64)])
			}
		}
	}
	f.Add([]byte(pickled("0", "2 2", "1 2")))
	f.Add([]byte("(I1\nL12L\nF1.5\nS'a'\n(dp0\ng0\nt."))
	f.Fuzz(func(t *testing.T, b []byte) {
		entries := []string{"a/data.pkl", string(b)}
		for i := range 20 {
			entries = append(entries, fmt.Sprintf("a/data/%d", i), string(make([]byte, 256)))
		}
		file := archive(t, entries...)
		bounded(t, file, func() error { return readAll(file) })
	})
}

// allocated is the bytes that f allocates in all.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func bounded(t *testing.T, b []byte, read func() error) {
	var err error
	if used, bound := allocated(func() { err = read() }), uint64(512*len(b)+16<<20); used > bound {
		t.Errorf("%d bytes allocated for a file of %d, expected at most %d", used, len(b), bound)
	}
	if err != nil && (len(err.Error()) > 1000 || strings.Contains(err.Error(), "\n")) {
		t.Errorf("no short sentence: %v", err)
	}
}
