// Checkpoints: everything that a run needs to go on or to be sampled from, as one safetensors file.
//
//	8 bytes   n, the length of the header, little-endian
//	n bytes   the header: JSON, padded with spaces to a multiple of 8
//	          "__metadata__": format, step, seed, config, order, checksum (all strings)
//	          one entry per tensor: dtype, shape, data_offsets
//	the rest  the tensors' values, little-endian, row-major, without gaps
//
// The checksum is the SHA-256 of the whole file with its own 64 digits read as zeros, so a change of any byte, in the
// header too, is found. docs/checkpoint.md draws the format and reads it in Python.
//
// Letters: n header bytes, s and e the offsets at which a tensor's values start and end after the header.
package checkpoint

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"sigmaz/internal/atomicfile"
	"sigmaz/model"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/nlpodyssey/safetensors"
	"gorgonia.org/tensor"
)

// Checkpoint is a run at one step. The order of Tensors is kept: it is the order in which a network registers its
// parameters, and PyTorch's Adam numbers its moments by it.
type Checkpoint struct {
	Step, Seed uint64
	Config     string // the run's resolved configuration, YAML
	Tensors    []model.Named
}

// What can be wrong with a file. Every error of [ReadCheckpoint] and [ReadSafetensors] about the file's content is a
// [FileError] whose Kind is one of these, so errors.Is tells them apart.
var (
	ErrTruncated      = errors.New("truncated")                  // the file ends before its header says
	ErrNotSafetensors = errors.New("not a safetensors file")     // the start is no safetensors header
	ErrNotCheckpoint  = errors.New("not a checkpoint of sigmaz") // safetensors without our metadata
	ErrVersion        = errors.New("unsupported format version") // written by another version of sigmaz
	ErrDamaged        = errors.New("damaged")                    // bytes have changed since it was written
	ErrUnsupported    = errors.New("unsupported tensor")         // a dtype or shape that sigmaz does not hold
)

// FileError says what is wrong with a file, in one sentence that ends in what to do.
type FileError struct {
	Path string
	Kind error  // one of the Err values above
	Text string // what was found and expected, and what to do
}

func (e *FileError) Error() string { return e.Path + " " + e.Text }
func (e *FileError) Unwrap() error { return e.Kind }

const (
	formatKey     = "format"
	stepKey       = "step"
	configKey     = "config"
	formatPrefix  = "sigmaz-"
	formatVersion = formatPrefix + "1"
	checksumKey   = "checksum"
	digits        = 2 * sha256.Size // of a checksum in hexadecimal

	// maxHeader is the bound that safetensors itself sets.
	maxHeader = 100_000_000

	earlier = "use an earlier checkpoint in the same folder"
)

// noDigits is what the checksum's digits are read as when the checksum is computed.
var noDigits = strings.Repeat("0", digits)

// Write replaces path as a whole by c; see [atomicfile.Write]. One process writes to a path at a time.
//
// Besides the tensors themselves Write holds one copy of the largest of them.
func (c *Checkpoint) Write(path string) error {
	views, meta, err := c.views()
	if err != nil {
		return fmt.Errorf("cannot write checkpoint %s: %w", path, err)
	}
	err = atomicfile.Write(path, func(f *os.File) error { return writeSafetensors(f, views, meta) })
	if err != nil {
		return fmt.Errorf("cannot write checkpoint: %w; see that the folder exists, can be written and has room", err)
	}
	return nil
}

// views checks c and returns its tensors as the library takes them, and the metadata with zeros for the checksum.
func (c *Checkpoint) views() (map[string]view, map[string]string, error) {
	if !utf8.ValidString(c.Config) {
		return nil, nil, errors.New("the configuration is not valid UTF-8")
	}
	names := make([]string, len(c.Tensors))
	views := make(map[string]view, len(c.Tensors))
	for i, nt := range c.Tensors {
		v, err := viewOf(nt)
		if err != nil {
			return nil, nil, err
		}
		if _, twice := views[nt.Name]; twice {
			return nil, nil, fmt.Errorf("there are two tensors named %q", nt.Name)
		}
		names[i], views[nt.Name] = nt.Name, v
	}
	order, err := json.Marshal(names)
	if err != nil {
		return nil, nil, err
	}
	return views, map[string]string{
		formatKey:   formatVersion,
		stepKey:     strconv.FormatUint(c.Step, 10),
		"seed":      strconv.FormatUint(c.Seed, 10),
		configKey:   c.Config,
		"order":     string(order), // JSON objects have none, and the library sorts by dtype and name
		checksumKey: noDigits,
	}, nil
}

// writeSafetensors writes the file to f, with the checksum of what it wrote.
func writeSafetensors(f *os.File, views map[string]view, meta map[string]string) error {
	sum := sha256.New()
	buf := bufio.NewWriterSize(f, 1<<20)
	if err := safetensors.SerializeToWriter(views, meta, io.MultiWriter(buf, sum)); err != nil {
		return err
	}
	if err := buf.Flush(); err != nil {
		return err
	}
	// The digits in the file are still the zeros that they are read as: what was summed is what the reader will sum.
	var length [8]byte
	if _, err := f.ReadAt(length[:], 0); err != nil {
		return err
	}
	header := make([]byte, binary.LittleEndian.Uint64(length[:]))
	if _, err := f.ReadAt(header, 8); err != nil {
		return err
	}
	at, err := checksumAt(header, noDigits)
	if err != nil {
		return err
	}
	_, err = f.WriteAt([]byte(hex.EncodeToString(sum.Sum(nil))), 8+int64(at))
	return err
}

// checksumAt is the place of the checksum's digits in a header. No other place can look like it: inside a JSON string a
// quotation mark is escaped, and a tensor's name is followed by an object.
func checksumAt(header []byte, digits string) (int, error) {
	key := []byte(`"` + checksumKey + `":"`)
	i := bytes.Index(header, append(key, digits+`"`...))
	if i < 0 {
		return 0, errors.New("the header does not hold its checksum as written")
	}
	return i + len(key), nil
}

// view is one tensor as safetensors' writer asks for it.
type view struct {
	dtype  safetensors.DType
	shape  []uint64
	values any // []float32, []float64 or []int64
	count  int
}

func (v view) DType() safetensors.DType { return v.dtype }
func (v view) Shape() []uint64          { return v.shape }
func (v view) DataLen() uint64          { return uint64(v.count) * v.dtype.Size() }

// Data encodes the values when they are about to be written, so that one tensor at a time is held twice.
func (v view) Data() []byte {
	b, err := binary.Append(make([]byte, 0, v.DataLen()), binary.LittleEndian, v.values)
	if err != nil {
		panic("model: " + err.Error()) // viewOf lets only the three slices through
	}
	return b
}

func viewOf(nt model.Named) (view, error) {
	switch {
	case nt.Name == "" || nt.Name == "__metadata__" || !utf8.ValidString(nt.Name):
		return view{}, fmt.Errorf("%q cannot be the name of a tensor", nt.Name)
	case nt.T == nil:
		return view{}, fmt.Errorf("tensor %s is nil", nt.Name)
	case nt.T.RequiresIterator() || nt.T.DataOrder().IsColMajor() || !nt.T.IsNativelyAccessible():
		return view{}, fmt.Errorf("tensor %s is not contiguous and row-major in host memory", nt.Name)
	}
	v := view{shape: []uint64{}, count: nt.T.Shape().TotalSize()}
	for _, d := range nt.T.Shape() {
		v.shape = append(v.shape, uint64(d))
	}
	have := 0
	switch nt.T.Dtype() {
	case tensor.Float32:
		s := nt.T.Float32s()
		v.dtype, v.values, have = safetensors.F32, s, len(s)
	case tensor.Float64:
		s := nt.T.Float64s()
		v.dtype, v.values, have = safetensors.F64, s, len(s)
	case tensor.Int64:
		s := nt.T.Int64s()
		v.dtype, v.values, have = safetensors.I64, s, len(s)
	default:
		return view{}, fmt.Errorf("tensor %s is %v: expected float32, float64 or int64", nt.Name, nt.T.Dtype())
	}
	if v.count < 1 || have != v.count {
		return view{}, fmt.Errorf("tensor %s has shape %v and %d values: expected as many as its shape says, and at least one", nt.Name, nt.T.Shape(), have)
	}
	return v, nil
}

// ReadCheckpoint reads a file that [Checkpoint.Write] wrote and checks every byte of it. What it allocates is bounded by
// the size of the file. Errors about the content are a [*FileError].
func ReadCheckpoint(path string) (*Checkpoint, error) {
	f, size, err := open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return decodeCheckpoint(path, f, size)
}

// ReadSafetensors reads any safetensors file of float32, float64 and int64 tensors: its metadata (nil if there is none)
// and its tensors in the order of their values in the file. Nothing but the structure is checked.
func ReadSafetensors(path string) (meta map[string]string, tensors []model.Named, err error) {
	f, size, err := open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	h, err := readHeader(path, f, size)
	if err != nil {
		return nil, nil, err
	}
	if tensors, err = h.tensors(f, io.Discard); err != nil {
		return nil, nil, err
	}
	return h.meta, tensors, nil
}

func open(path string) (*os.File, int64, error) {
	// What it is comes first: to open a pipe waits for somebody who writes to it.
	st, err := os.Stat(path)
	if err == nil && !st.Mode().IsRegular() {
		return nil, 0, fmt.Errorf("%s is not a file: expected a .safetensors file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, fmt.Errorf("cannot read checkpoint: %w; give a .safetensors file from a run's checkpoints folder", err)
	}
	if st, err = f.Stat(); err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, st.Size(), nil
}

// decodeCheckpoint is ReadCheckpoint on the size bytes of r; path is for errors.
func decodeCheckpoint(path string, r io.ReaderAt, size int64) (*Checkpoint, error) {
	h, err := readHeader(path, r, size)
	if err != nil {
		return nil, err
	}
	sum, format := h.meta[checksumKey], h.meta[formatKey]
	if sum == "" && !strings.HasPrefix(format, formatPrefix) {
		return nil, h.error(ErrNotCheckpoint, "is a safetensors file but no checkpoint of sigmaz (its metadata has no format %q): give a file from a run's checkpoints folder", formatVersion)
	}

	// Before the version, so that a flipped byte in it is called what it is: all versions keep this rule.
	at, err := checksumAt(h.raw, sum)
	if err != nil || len(sum) != digits {
		return nil, h.error(ErrDamaged, "is damaged (its checksum is missing or malformed): %s", earlier)
	}
	// hash.Hash never returns an error.
	hasher := sha256.New()
	hasher.Write(h.length[:])
	hasher.Write(h.raw[:at])
	io.WriteString(hasher, noDigits)
	hasher.Write(h.raw[at+digits:])
	tensors, err := h.tensors(r, hasher)
	if err != nil {
		return nil, err
	}
	if got := hex.EncodeToString(hasher.Sum(nil)); got != sum {
		return nil, h.error(ErrDamaged, "is damaged (checksum mismatch: it says %.12s..., its bytes give %.12s...): %s", sum, got, earlier)
	}
	if format != formatVersion {
		return nil, h.error(ErrVersion, "has format %q: this sigmaz reads %q; use the sigmaz that wrote it", format, formatVersion)
	}

	// From here on the bytes are as they were written, so what is wrong was written wrong.
	c := &Checkpoint{Config: h.meta[configKey]}
	for key, dst := range map[string]*uint64{stepKey: &c.Step, "seed": &c.Seed} {
		if *dst, err = strconv.ParseUint(h.meta[key], 10, 64); err != nil {
			return nil, h.error(ErrNotCheckpoint, "has %s %q in its metadata: expected a decimal number of 64 bits; %s", key, h.meta[key], earlier)
		}
	}
	if c.Tensors, err = inOrder(tensors, h.meta["order"]); err != nil {
		return nil, h.error(ErrNotCheckpoint, "has tensors that are not those of its order list (%v): %s", err, earlier)
	}
	return c, nil
}

// inOrder returns tensors in the order of a JSON list of their names.
func inOrder(tensors []model.Named, list string) ([]model.Named, error) {
	var names []string
	if err := json.Unmarshal([]byte(list), &names); err != nil {
		return nil, err
	}
	if len(names) != len(tensors) {
		return nil, fmt.Errorf("%d names for %d tensors", len(names), len(tensors))
	}
	byName := make(map[string]model.Named, len(tensors))
	for _, nt := range tensors {
		byName[nt.Name] = nt
	}
	for i, name := range names {
		nt, ok := byName[name]
		if !ok {
			return nil, fmt.Errorf("no tensor %q, or twice", name)
		}
		delete(byName, name)
		tensors[i] = nt
	}
	return tensors, nil
}

// header is the checked start of a safetensors file.
type header struct {
	path   string
	length [8]byte
	raw    []byte // n bytes
	meta   map[string]string
	infos  []info // without gaps from 0 to the end of the file
}

type info struct {
	name  string
	dtype safetensors.DType
	shape []int
	count int   // values
	s, e  int64 // bytes from the end of the header
}

func (h *header) error(kind error, format string, args ...any) error {
	return &FileError{Path: h.path, Kind: kind, Text: fmt.Sprintf(format, args...)}
}

// readHeader reads and checks the header of the size bytes of r. The library parses it; that the offsets are those of
// the shapes and fill the file is checked here, because the library can only do that with the whole file in memory.
func readHeader(path string, r io.ReaderAt, size int64) (*header, error) {
	h := &header{path: path}
	if size < 8 {
		return nil, h.error(ErrTruncated, "is truncated (%d bytes: even an empty safetensors file has more): %s", size, earlier)
	}
	if _, err := r.ReadAt(h.length[:], 0); err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", path, err)
	}
	n := binary.LittleEndian.Uint64(h.length[:])
	first := []byte{'{'}
	if size > 8 {
		if _, err := r.ReadAt(first, 8); err != nil {
			return nil, fmt.Errorf("cannot read %s: %w", path, err)
		}
	}
	switch {
	case n < 2 || n > maxHeader || first[0] != '{':
		return nil, h.error(ErrNotSafetensors, "is not a safetensors file (it does not start with the length of a header and a header): give a .safetensors file from a run's checkpoints folder")
	case int64(n) > size-8:
		return nil, h.error(ErrTruncated, "is truncated (its header should have %d bytes, the file has %d in all): %s", n, size, earlier)
	}
	h.raw = make([]byte, n)
	if _, err := r.ReadAt(h.raw, 8); err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", path, err)
	}
	var parsed safetensors.Metadata
	if err := json.Unmarshal(h.raw, &parsed); err != nil {
		if bytes.Contains(h.raw, []byte(`"`+formatKey+`":"`+formatPrefix)) {
			return nil, h.error(ErrDamaged, "is damaged (its header does not parse: %v): %s", err, earlier)
		}
		return nil, h.error(ErrNotSafetensors, "is not a safetensors file, or is a damaged one (its header does not parse: %v): give a .safetensors file from a run's checkpoints folder", err)
	}
	h.meta = parsed.Metadata()
	for name, ti := range parsed.Tensors() {
		i, fault, kind := newInfo(name, ti)
		switch {
		case kind == ErrDamaged, kind != nil && strings.HasPrefix(h.meta[formatKey], formatPrefix):
			return nil, h.error(ErrDamaged, "is damaged (%s): %s", fault, earlier)
		case kind != nil:
			return nil, h.error(kind, "holds what sigmaz cannot read (%s): expected float32, float64 and int64 tensors that are not empty", fault)
		}
		h.infos = append(h.infos, i)
	}
	sort.Slice(h.infos, func(i, j int) bool { return h.infos[i].s < h.infos[j].s })
	end := int64(0)
	for _, i := range h.infos {
		if i.s != end {
			return nil, h.error(ErrDamaged, "is damaged (the values of tensor %q start at byte %d, expected %d): %s", i.name, i.s, end, earlier)
		}
		end = i.e
	}
	if have := size - 8 - int64(n); have < end {
		return nil, h.error(ErrTruncated, "is truncated (its tensors should have %d bytes, it has %d): %s", end, have, earlier)
	} else if have > end {
		return nil, h.error(ErrDamaged, "is damaged (%d bytes follow its last tensor): %s", have-end, earlier)
	}
	return h, nil
}

// newInfo checks one tensor's entry by itself. Where kind is not nil, fault says what is wrong: ErrUnsupported for what
// only other programs hold, ErrDamaged where e - s is not the size that dtype and shape give.
func newInfo(name string, ti *safetensors.TensorInfo) (i info, fault string, kind error) {
	i = info{name: name, dtype: ti.DType, shape: make([]int, len(ti.Shape)), count: 1}
	switch ti.DType {
	case safetensors.F32, safetensors.F64, safetensors.I64:
	default:
		return i, fmt.Sprintf("tensor %q is %s", name, ti.DType), ErrUnsupported
	}
	// A product of at most MaxInt/8 keeps the bytes in an int too, on 32-bit machines as well.
	const most = math.MaxInt / 8
	for k, d := range ti.Shape {
		if d == 0 || d > most/uint64(i.count) {
			return i, fmt.Sprintf("tensor %q has shape %v", name, ti.Shape), ErrUnsupported
		}
		i.shape[k] = int(d)
		i.count *= int(d)
	}
	s, e := ti.DataOffsets[0], ti.DataOffsets[1]
	if e > math.MaxInt64 || e < s || e-s != uint64(i.count)*ti.DType.Size() {
		return i, fmt.Sprintf("tensor %q of %s and shape %v has its values at bytes %d to %d", name, ti.DType, ti.Shape, s, e), ErrDamaged
	}
	i.s, i.e = int64(s), int64(e)
	return i, "", nil
}

// tensors reads every value once, in the file's order, and shows the bytes to w. Besides the values it holds at most 1 MiB.
func (h *header) tensors(r io.ReaderAt, w io.Writer) ([]model.Named, error) {
	tensors := make([]model.Named, 0, len(h.infos))
	largest := int64(0)
	for _, i := range h.infos {
		largest = max(largest, i.e-i.s)
	}
	chunk := make([]byte, min(largest, 1<<20))
	for _, i := range h.infos {
		t, err := h.tensor(r, w, i, chunk)
		if err != nil {
			return nil, err
		}
		tensors = append(tensors, model.Named{Name: i.name, T: t})
	}
	return tensors, nil
}

// tensor reads the values of one tensor through chunk, and shows the bytes to w.
func (h *header) tensor(r io.ReaderAt, w io.Writer, i info, chunk []byte) (t *tensor.Dense, err error) {
	in := io.TeeReader(io.NewSectionReader(r, 8+int64(len(h.raw))+i.s, i.e-i.s), w)
	switch i.dtype {
	case safetensors.F32:
		t, err = decode[float32](in, i, chunk)
	case safetensors.F64:
		t, err = decode[float64](in, i, chunk)
	case safetensors.I64:
		t, err = decode[int64](in, i, chunk)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read tensor %s of %s: %w", i.name, h.path, err)
	}
	return t, nil
}

func decode[V float32 | float64 | int64](r io.Reader, i info, chunk []byte) (*tensor.Dense, error) {
	values := make([]V, i.count)
	size := int(i.dtype.Size())
	for done := 0; done < i.count; {
		m := min(i.count-done, len(chunk)/size)
		if _, err := io.ReadFull(r, chunk[:m*size]); err != nil {
			return nil, err
		}
		if _, err := binary.Decode(chunk[:m*size], binary.LittleEndian, values[done:done+m]); err != nil {
			return nil, err
		}
		done += m
	}
	if len(i.shape) == 0 {
		return tensor.New(tensor.FromScalar(values[0])), nil
	}
	return tensor.New(tensor.WithShape(i.shape...), tensor.WithBacking(values)), nil
}
