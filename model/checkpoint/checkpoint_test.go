package checkpoint

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"sigmaz/model"
	"strings"
	"testing"

	"gorgonia.org/tensor"
)

func dense[V float32 | float64 | int64](values []V, shape ...int) *tensor.Dense {
	return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(values))
}

// small has every dtype, names that are not in alphabetical order, a scalar, values without a decimal form and text
// that JSON has to escape.
func small() *Checkpoint {
	return &Checkpoint{
		Step:   math.MaxUint64,
		Seed:   1 << 63,
		Config: "net: mlp # \"checksum\":\"" + noDigits + "\" <&> \u2028 \x00 é\n",
		Tensors: []model.Named{
			{Name: "param.z", T: dense([]float32{1, -2, 0.1, float32(math.Inf(1)), float32(math.NaN()), 1e-45}, 2, 3)},
			{Name: "param.a", T: dense([]float32{3}, 1)},
			{Name: "ema.z <\"é", T: dense([]float64{math.Pi, math.Copysign(0, -1)}, 1, 2, 1)},
			{Name: "checksum", T: dense([]int64{math.MinInt64, math.MaxInt64}, 2)},
			{Name: "adam_m.z", T: tensor.New(tensor.FromScalar(float32(7)))},
		},
	}
}

// sameTensors compares bit by bit: NaN is itself and -0 is not 0.
func sameTensors(got, want []model.Named) error {
	if len(got) != len(want) {
		return fmt.Errorf("%d tensors, expected %d", len(got), len(want))
	}
	for i, w := range want {
		g := got[i]
		if g.Name != w.Name {
			return fmt.Errorf("tensor %d is %q, expected %q", i, g.Name, w.Name)
		}
		if !g.T.Shape().Eq(w.T.Shape()) || g.T.Dims() != w.T.Dims() || g.T.Dtype() != w.T.Dtype() {
			return fmt.Errorf("tensor %s is %v %v, expected %v %v", w.Name, g.T.Dtype(), g.T.Shape(), w.T.Dtype(),
				w.T.Shape())
		}
		gv, err := viewOf(g)
		if err != nil {
			return err
		}
		wv, err := viewOf(w)
		if err != nil {
			return err
		}
		if !bytes.Equal(gv.Data(), wv.Data()) {
			return fmt.Errorf("tensor %s is %v, expected %v", w.Name, gv.values, wv.values)
		}
	}
	return nil
}

// written is the bytes of c's file.
func written(t *testing.T, c *Checkpoint) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "c.safetensors")
	if err := c.Write(path); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func decodeBytes(b []byte) (*Checkpoint, error) {
	return decodeCheckpoint("file", bytes.NewReader(b), int64(len(b)))
}

func TestCheckpointRoundTrip(t *testing.T) {
	large := make([]float32, 3<<18+5) // more than one chunk of the reader, and no multiple of one
	for i := range large {
		large[i] = float32(i)
	}
	for name, c := range map[string]*Checkpoint{
		"small": small(),
		"empty": {Tensors: []model.Named{}},
		"large": {Step: 500, Config: "x", Tensors: []model.Named{{Name: "b", T: dense(large, len(large))},
			{Name: "a", T: dense([]int64{1}, 1)}}},
	} {
		path := filepath.Join(t.TempDir(), name+".safetensors")
		for range 2 { // the second time over the first
			if err := c.Write(path); err != nil {
				t.Fatal(err)
			}
		}
		got, err := ReadCheckpoint(path)
		if err != nil {
			t.Fatal(err)
		}
		if got.Step != c.Step || got.Seed != c.Seed || got.Config != c.Config {
			t.Errorf("%s: got step %d, seed %d, config %q", name, got.Step, got.Seed, got.Config)
		}
		if err := sameTensors(got.Tensors, c.Tensors); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if entries, _ := os.ReadDir(filepath.Dir(path)); len(entries) != 1 {
			t.Errorf("%s: the folder holds %v, expected the checkpoint alone", name, entries)
		}

		// As any other program sees it.
		meta, tensors, err := ReadSafetensors(path)
		if err != nil {
			t.Fatal(err)
		}
		if meta["format"] != "sigmaz-1" || meta["step"] != fmt.Sprint(c.Step) ||
			meta["seed"] != fmt.Sprint(c.Seed) || meta["config"] != c.Config {
			t.Errorf("%s: metadata is %v", name, meta)
		}
		if len(tensors) != len(c.Tensors) {
			t.Errorf("%s: %d tensors", name, len(tensors))
		}
	}
}

// The same checkpoint gives the same bytes: a run that was resumed can be compared with one that was not.
func TestCheckpointDeterministic(t *testing.T) {
	if first, second := written(t, small()), written(t, small()); !bytes.Equal(first, second) {
		t.Error("two writes of one checkpoint differ")
	}
}

func TestCheckpointEveryByte(t *testing.T) {
	good := written(t, small())
	if _, err := decodeBytes(good); err != nil {
		t.Fatal(err)
	}
	kinds := map[error]int{}
	for i := range good {
		// The last three turn a space into tab, newline and return.
		for _, mask := range []byte{0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xff, 0x29, 0x2a, 0x2d} {
			bad := append([]byte(nil), good...)
			bad[i] ^= mask
			_, err := decodeBytes(bad)
			var fe *FileError
			if !errors.As(err, &fe) {
				t.Fatalf("byte %d of %d (%q) xor %#x: error is %v, expected a FileError", i, len(good), good[i],
					mask, err)
			}
			if strings.ContainsAny(err.Error(), "\n\x00") || !strings.HasPrefix(err.Error(), "file ") {
				t.Fatalf("byte %d xor %#x: error is %q, expected one line that names the file", i, mask, err)
			}
			kinds[fe.Kind]++
		}
	}
	// The others: flips in the first 9 bytes, and in the words that tell our files from others.
	if kinds[ErrDamaged] < len(good)*12*9/10 {
		t.Errorf("kinds of error: %v, expected most to be %q", kinds, ErrDamaged)
	}
	t.Logf("%d bytes, kinds of error: %v", len(good), kinds)
}

func TestCheckpointEveryLength(t *testing.T) {
	good := written(t, small())
	for n := range good {
		_, err := decodeBytes(good[:n])
		if !errors.Is(err, ErrTruncated) {
			t.Fatalf("first %d bytes of %d: error is %v, expected %q", n, len(good), err, ErrTruncated)
		}
	}
	if _, err := decodeBytes(append(append([]byte(nil), good...), 0)); !errors.Is(err, ErrDamaged) {
		t.Errorf("one byte too many: error is %v", err)
	}
}

// container is a safetensors file with the header as given.
func container(header string, data int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), make([]byte, data)...)
}

func TestReadBadFiles(t *testing.T) {
	flipped := written(t, small())
	flipped[len(flipped)-1] ^= 1
	reformat := func(to string) []byte { // another version with a correct checksum
		views, meta, err := small().views()
		if err != nil {
			t.Fatal(err)
		}
		meta[formatKey] = to
		f, err := os.Create(filepath.Join(t.TempDir(), "f"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := writeSafetensors(f, views, meta); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	entry := func(dtype, shape string, s, e uint64) string {
		return fmt.Sprintf(`{"t":{"dtype":%q,"shape":%s,"data_offsets":[%d,%d]}}`, dtype, shape, s, e)
	}
	for _, c := range []struct {
		name string
		file []byte
		kind error
		text string
	}{
		{"empty", nil, ErrTruncated, "0 bytes"},
		{"text", []byte("not a checkpoint at all, but long enough"), ErrNotSafetensors, "is not a safetensors file"},
		{"PNG", []byte("\x89PNG\r\n\x1a\n and so on"), ErrNotSafetensors, "give a .safetensors file"},
		{"zeros", make([]byte, 4096), ErrNotSafetensors, ""},
		{"header of 2^63 bytes", []byte("\x00\x00\x00\x00\x00\x00\x00\x80{}"), ErrNotSafetensors, ""},
		{"header of 2^64-1 bytes", []byte("\xff\xff\xff\xff\xff\xff\xff\xff{}"), ErrNotSafetensors, ""},
		{"header of 90 MB", []byte("\x80\x4a\x5d\x05\x00\x00\x00\x00{}"), ErrTruncated,
			"header should have 90000000 bytes"},
		{"header no JSON", container(`{"a":`, 0), ErrNotSafetensors, "does not parse"},
		{"header no object of objects", container(`{"a":[1]}`, 0), ErrNotSafetensors, "does not parse"},
		{"nested beyond reason", container(`{"a":`+strings.Repeat("[", 1<<20), 0), ErrNotSafetensors, "does not parse"},
		{"no tensors, no metadata", container(`{}`, 0), ErrNotCheckpoint, `no format "sigmaz-1"`},
		{"metadata null", container(`{"__metadata__":null}`, 0), ErrNotCheckpoint, ""},
		{"another's metadata", container(`{"__metadata__":{"format":"pt"}}`, 0), ErrNotCheckpoint, ""},
		{"no checksum", container(`{"__metadata__":{"format":"sigmaz-1"}}`, 0), ErrDamaged, "checksum is missing"},
		{"short checksum", container(`{"__metadata__":{"format":"sigmaz-1","checksum":"12"}}`, 0), ErrDamaged,
			"checksum is missing or malformed"},
		{"half precision", container(entry("BF16", "[2]", 0, 4), 4), ErrUnsupported, `tensor "t" is BF16`},
		{"unknown dtype", container(entry("F12", "[2]", 0, 4), 4), ErrNotSafetensors, "F12"},
		{"empty tensor", container(entry("F32", "[0,4]", 0, 0), 0), ErrUnsupported, "shape [0 4]"},
		{"product overflows to 0", container(entry("F32", "[4294967296,4294967296]", 0, 0), 0), ErrUnsupported, ""},
		{"product overflows int", container(entry("F32", "[9223372036854775808]", 0, 0), 0), ErrUnsupported, ""},
		{"2^60 values", container(entry("F32", "[1152921504606846975]", 0, 4611686018427387900), 4), ErrTruncated,
			"should have 4611686018427387900"},
		{"offsets beyond int64", container(entry("F32", "[1]", math.MaxUint64-4, math.MaxUint64), 4), ErrDamaged, ""},
		{"offsets backwards", container(entry("F32", "[1]", 4, 0), 4), ErrDamaged, ""},
		{"offsets unlike the shape", container(entry("F32", "[1]", 0, 8), 8), ErrDamaged, "bytes 0 to 8"},
		{"hole at the start", container(entry("F32", "[1]", 4, 8), 8), ErrDamaged, "start at byte 4, expected 0"},
		{"overlap", container(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},`+
			`"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 4), ErrDamaged, "start at byte 0, expected 4"},
		{"next version", reformat("sigmaz-2"), ErrVersion, `has format "sigmaz-2": this sigmaz reads "sigmaz-1"`},
		{"flipped value", flipped, ErrDamaged, "damaged (checksum mismatch"},
	} {
		path := filepath.Join(t.TempDir(), "step-0000500.safetensors")
		if err := os.WriteFile(path, c.file, 0o666); err != nil {
			t.Fatal(err)
		}
		_, err := ReadCheckpoint(path)
		if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.text) ||
			!strings.HasPrefix(err.Error(), path+" ") {
			t.Errorf("%s: error is %v, expected %q with %q", c.name, err, c.kind, c.text)
		}
	}

	for name, path := range map[string]string{"missing": filepath.Join(t.TempDir(), "none"), "folder": t.TempDir()} {
		if _, err := ReadCheckpoint(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: error is %v, expected it to name %s", name, err, path)
		}
		if _, _, err := ReadSafetensors(path); err == nil {
			t.Errorf("%s: ReadSafetensors gave no error", name)
		}
	}
}

func TestReadSafetensorsOrder(t *testing.T) {
	h := `{"a":{"dtype":"I64","shape":[1],"data_offsets":[8,16]},` +
		`"b":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},"c":{"dtype":"F32","shape":[],"data_offsets":[16,20]}}`
	path := filepath.Join(t.TempDir(), "plain.safetensors")
	b := container(h, 0)
	for _, v := range []uint32{math.Float32bits(1.5), math.Float32bits(-2), 3, 0, math.Float32bits(4)} {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	if err := os.WriteFile(path, b, 0o666); err != nil {
		t.Fatal(err)
	}
	meta, got, err := ReadSafetensors(path)
	if err != nil || meta != nil {
		t.Fatal(meta, err)
	}
	want := []model.Named{{Name: "b", T: dense([]float32{1.5, -2}, 2, 1)}, {Name: "a", T: dense([]int64{3}, 1)},
		{Name: "c", T: tensor.New(tensor.FromScalar(float32(4)))}}
	if err := sameTensors(got, want); err != nil {
		t.Error(err)
	}
}

func TestWriteBadTensors(t *testing.T) {
	transposed := dense([]float32{1, 2, 3, 4, 5, 6}, 2, 3)
	if err := transposed.T(); err != nil {
		t.Fatal(err)
	}
	column, err := dense([]float32{1, 2, 3, 4, 5, 6}, 2, 3).Slice(nil, tensor.S(1))
	if err != nil {
		t.Fatal(err)
	}
	one := dense([]float32{1}, 1)
	for _, c := range []struct {
		name string
		c    Checkpoint
		text string
	}{
		{"twice", Checkpoint{Tensors: []model.Named{{Name: "a", T: one}, {Name: "a", T: one}}},
			`two tensors named "a"`},
		{"no name", Checkpoint{Tensors: []model.Named{{Name: "", T: one}}}, "cannot be the name"},
		{"reserved name", Checkpoint{Tensors: []model.Named{{Name: "__metadata__", T: one}}}, "cannot be the name"},
		{"name no UTF-8", Checkpoint{Tensors: []model.Named{{Name: "\xff", T: one}}}, "cannot be the name"},
		{"config no UTF-8", Checkpoint{Config: "\xff"}, "UTF-8"},
		{"nil", Checkpoint{Tensors: []model.Named{{Name: "a", T: nil}}}, "is nil"},
		{"dtype", Checkpoint{Tensors: []model.Named{{Name: "a", T: tensor.New(tensor.WithBacking([]uint8{1, 2}))}}},
			"expected float32"},
		{"transposed", Checkpoint{Tensors: []model.Named{{Name: "a", T: transposed}}}, "not contiguous"},
		{"column", Checkpoint{Tensors: []model.Named{{Name: "a", T: column.(*tensor.Dense)}}}, "not contiguous"},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, "c.safetensors")
		err := c.c.Write(path)
		if err == nil || !strings.Contains(err.Error(), c.text) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: error is %v, expected %q and the path in it", c.name, err, c.text)
		}
		if entries, _ := os.ReadDir(dir); len(entries) != 0 {
			t.Errorf("%s: left %v", c.name, entries)
		}
	}
}

// A view of a larger tensor, as the parameters in an arena are, is written as what it shows.
func TestWriteRowsOfAnArena(t *testing.T) {
	rows, err := dense([]float32{1, 2, 3, 4, 5, 6}, 3, 2).Slice(tensor.S(1, 3))
	if err != nil {
		t.Fatal(err)
	}
	c, err := decodeBytes(written(t, &Checkpoint{Tensors: []model.Named{{Name: "a", T: rows.(*tensor.Dense)}}}))
	if err != nil {
		t.Fatal(err)
	}
	if err := sameTensors(c.Tensors, []model.Named{{Name: "a", T: dense([]float32{3, 4, 5, 6}, 2, 2)}}); err != nil {
		t.Error(err)
	}
}

// A write that fails leaves the checkpoint that was there, and no temporary file.
func TestWriteFails(t *testing.T) {
	t.Run("no folder", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "none", "c.safetensors")
		if err := small().Write(path); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), path) {
			t.Errorf("error is %v", err)
		}
	})
	t.Run("cannot be replaced", func(t *testing.T) {
		dir := t.TempDir()
		path := filepath.Join(dir, "c.safetensors")
		if err := os.MkdirAll(filepath.Join(path, "in the way"), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := small().Write(path); err == nil || !strings.Contains(err.Error(), "cannot write checkpoint") {
			t.Errorf("error is %v", err)
		}
		if entries, _ := os.ReadDir(dir); len(entries) != 1 {
			t.Errorf("the folder holds %v, expected what was there", entries)
		}
	})
	t.Run("a tensor that cannot be written", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "c.safetensors")
		if err := small().Write(path); err != nil {
			t.Fatal(err)
		}
		c := small()
		c.Tensors[3].T = nil
		if err := c.Write(path); err == nil {
			t.Error("no error")
		}
		if c, err := ReadCheckpoint(path); err != nil || sameTensors(c.Tensors, small().Tensors) != nil {
			t.Errorf("the old checkpoint is lost: %v", err)
		}
	})
	t.Run("a rest of a killed run", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "c.safetensors")
		if err := os.WriteFile(path+".tmp", make([]byte, 1<<16), 0o666); err != nil {
			t.Fatal(err)
		}
		if err := small().Write(path); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadCheckpoint(path); err != nil {
			t.Error(err)
		}
	})
	t.Run("a full disk", func(t *testing.T) {
		if runtime.GOOS != "linux" {
			t.Skip("needs /dev/full")
		}
		f, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
		if err != nil {
			t.Skip(err)
		}
		defer f.Close()
		views, meta, err := small().views()
		if err != nil {
			t.Fatal(err)
		}
		if err := writeSafetensors(f, views, meta); err == nil {
			t.Error("no error")
		}
	})
}

// What Write allocates beside the tensors is a copy of the largest of them, and what the reader allocates is the
// tensors and a chunk: the sum over a run of the test, so three copies of everything would show.
func TestCheckpointMemory(t *testing.T) {
	c := &Checkpoint{}
	for i := range 8 {
		c.Tensors = append(c.Tensors, model.Named{Name: fmt.Sprint(i), T: dense(make([]float32, 1<<20), 1<<20)})
	}
	const data = 8 << 22
	path := filepath.Join(t.TempDir(), "c.safetensors")
	if n := allocated(func() {
		if err := c.Write(path); err != nil {
			t.Fatal(err)
		}
	}); n > data+4<<20 {
		t.Errorf("Write allocated %d bytes for %d of data", n, data)
	}
	if n := allocated(func() {
		if _, err := ReadCheckpoint(path); err != nil {
			t.Fatal(err)
		}
	}); n > data+4<<20 {
		t.Errorf("ReadCheckpoint allocated %d bytes for %d of data", n, data)
	}
	// A file that promises more than it holds costs no more than it holds.
	lie := container(`{"t":{"dtype":"F32","shape":[268435456],"data_offsets":[0,1073741824]}}`, 64)
	if n := allocated(func() {
		if _, err := decodeBytes(lie); !errors.Is(err, ErrTruncated) {
			t.Error(err)
		}
	}); n > 1<<20 {
		t.Errorf("a header that lies made the reader allocate %d bytes", n)
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

// FuzzReadCheckpoint looks for panics and for files that pass and are not what they say: what is read must be written
// again as the same content. What is allocated is bounded by the size.
func FuzzReadCheckpoint(f *testing.F) {
	path := filepath.Join(f.TempDir(), "c.safetensors")
	if err := small().Write(path); err != nil {
		f.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(container(`{"__metadata__":{},"t":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 4))
	f.Add(container(`{"module.sigmas":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},`+
		`"module.a":{"dtype":"F64","shape":[1,1],"data_offsets":[8,16]}}`, 16))
	f.Add(container(`{"a":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[0],`+
		`"data_offsets":[4,4]},"c":{"dtype":"BOOL","shape":[4],"data_offsets":[4,8]}}`, 8))
	f.Fuzz(func(t *testing.T, b []byte) {
		var c *Checkpoint
		var err error
		used := allocated(func() {
			if h, err := readHeader("file", bytes.NewReader(b), int64(len(b))); err == nil && h.check() == nil {
				if _, err := h.tensors(bytes.NewReader(b), io.Discard); err != nil {
					t.Error(err)
				}
			}
			if w, err := openSafetensors("file", bytes.NewReader(b), int64(len(b))); err == nil {
				if _, err := w.Tensors(""); err != nil && !strings.Contains(err.Error(), "expected ") {
					t.Error(err)
				}
			}
			c, err = decodeBytes(b)
		})
		// The header's JSON takes most: an entry of 60 bytes becomes one of several maps, three times over.
		if bound := uint64(256*len(b) + 1<<20); used > bound {
			t.Errorf("%d bytes allocated for a file of %d, expected at most %d", used, len(b), bound)
		}
		if err != nil {
			return
		}
		again, err := decodeBytes(written(t, c))
		if err != nil {
			t.Fatal(err)
		}
		if err := sameTensors(again.Tensors, c.Tensors); err != nil || again.Step != c.Step ||
			again.Seed != c.Seed || again.Config != c.Config {
			t.Errorf("read, written and read again differs: %v", err)
		}
	})
}

// The metadata keys are documented; other programs read them.
func TestCheckpointMetadataKeys(t *testing.T) {
	_, meta, err := small().views()
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for k := range meta {
		keys = append(keys, k)
	}
	if len(keys) != 6 {
		t.Errorf("keys are %v", keys)
	}
	var order []string
	if err := json.Unmarshal([]byte(meta["order"]), &order); err != nil {
		t.Fatal(err)
	}
	if want := []string{"param.z", "param.a", "ema.z <\"é", "checksum", "adam_m.z"}; !reflect.DeepEqual(order, want) {
		t.Errorf("order is %v, expected %v", order, want)
	}
}
