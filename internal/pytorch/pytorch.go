// Opening a file: its container, and where the values of each storage lie in it.

package pytorch

import (
	"archive/zip"
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
)

// File is an open file. Neither it nor its tensors may be used by two goroutines at the same time.
type File struct {
	// Root is what was saved: a [Tuple], [*List], [*Dict], [*Tensor], [*Opaque], string, int64, float64, bool or nil.
	Root any

	path  string
	r     io.ReaderAt
	size  int64
	order binary.ByteOrder
	close func() error

	storages map[string]*storage
	place    func(st *storage) error // finds a storage's values in the zip container; nil in the stream
	total    int                     // values of all tensors so far
	bound    int                     // the most that total may become
	chunk    []byte
}

// magic is the first pickle of the stream in protocol 2. Later protocols change its second byte.
const magic = "\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."

// Is reports whether torch.save may have written a file that starts with these bytes: a zip archive or the stream. The
// first 64 bytes of a file are enough.
func Is(start []byte) bool {
	return strings.HasPrefix(string(start), "PK\x03\x04") || isStream(string(start))
}

func isStream(start string) bool {
	if len(start) < len(magic) || start[0] != 0x80 {
		return false
	}
	return strings.Contains(start, magic[2:]) // protocols 4 and 5 have an instruction FRAME before it
}

// Open opens a file and reads its tree. An error is one sentence that begins with the path.
func Open(path string) (*File, error) {
	r, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the checkpoint: %w", err)
	}
	info, err := r.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a file: expected a .pth file of torch.save", path)
	}
	var f *File
	if err == nil {
		f, err = newFile(path, r, info.Size())
	}
	if err != nil {
		r.Close()
		return nil, err
	}
	f.close = r.Close
	return f, nil
}

// Close closes the file. Its tensors can no longer be read.
func (f *File) Close() error { return f.close() }

// newFile reads the tree of a file of size bytes.
func newFile(path string, r io.ReaderAt, size int64) (*File, error) {
	// Tensors may have eight times as many values in all as the file could hold of one byte each: they share
	// storages, but few repeat values.
	bound := int(min(8*size+1<<20, math.MaxInt/16))
	f := &File{path: path, r: r, size: size, order: binary.LittleEndian, storages: map[string]*storage{}, bound: bound}
	start := make([]byte, min(size, 64))
	if _, err := r.ReadAt(start, 0); err != nil && err != io.EOF {
		return nil, fmt.Errorf("cannot read %s: %w", path, err)
	}
	var err error
	switch {
	case strings.HasPrefix(string(start), "PK\x03\x04"):
		err = f.openZip()
	case isStream(string(start)):
		err = f.openStream()
	case size == 0:
		err = errors.New("is empty: expected a .pth file of torch.save")
	default:
		err = fmt.Errorf("is no file of torch.save (it starts with %.8q): "+
			"expected a .pth file, a zip archive or the older stream of pickles", start)
	}
	if err != nil {
		return nil, fmt.Errorf("%s %w", path, err)
	}
	return f, nil
}

// openZip reads the zip container.
func (f *File) openZip() error {
	z, err := zip.NewReader(f.r, f.size)
	if err != nil {
		return fmt.Errorf("is a zip archive that does not open (%w): it is damaged or truncated, copy it again", err)
	}
	records := map[string]*zip.File{}
	prefix, found := "", false
	for _, e := range z.File {
		if dir, ok := strings.CutSuffix(e.Name, "/data.pkl"); ok && !found {
			prefix, found = dir+"/", true
		}
		records[e.Name] = e
	}
	if !found {
		return errors.New("is a zip archive without data.pkl, so torch.save did not write it: expected a .pth file")
	}
	if _, ok := records[prefix+"constants.pkl"]; ok {
		return errors.New("is a TorchScript program: expected a checkpoint; " +
			"load it with torch.jit.load and torch.save its state_dict()")
	}
	if order, ok := records[prefix+"byteorder"]; ok {
		st, err := f.record(order)
		if err != nil {
			return err
		}
		text := make([]byte, min(st.bytes, 16))
		if _, err := f.r.ReadAt(text, st.at); err != nil {
			return err
		}
		switch string(text) {
		case "little":
		case "big":
			f.order = binary.BigEndian
		default:
			return fmt.Errorf("has values in the byte order %q: expected little or big", text)
		}
	}
	f.place = func(st *storage) error {
		e, ok := records[prefix+"data/"+st.key]
		if !ok {
			return fmt.Errorf("is a zip archive without %.60q, the values of a tensor: it is damaged, copy it again",
				prefix+"data/"+st.key)
		}
		rec, err := f.record(e)
		if err != nil {
			return err
		}
		if need := int64(st.count) * int64(st.dtype.Size); rec.bytes < need {
			return fmt.Errorf("is damaged (%.60q has %d bytes, %d values of %s take %d): copy it again",
				e.Name, rec.bytes, st.count, st.dtype.Name, need)
		}
		st.at, st.bytes, st.sum, st.hasSum = rec.at, rec.bytes, rec.sum, true
		return nil
	}
	tree, err := f.record(records[prefix+"data.pkl"])
	if err != nil {
		return err
	}
	tree.key = "data.pkl"
	if err := f.check(tree); err != nil {
		return err
	}
	f.Root, err = f.unpickler(io.NewSectionReader(f.r, tree.at, tree.bytes), tree.bytes).load()
	return err
}

// record finds where an entry of the archive lies. torch.save never compresses, so no entry can be larger than the
// file.
func (f *File) record(e *zip.File) (*storage, error) {
	size := e.UncompressedSize64
	if e.Method != zip.Store || e.CompressedSize64 != size {
		return nil, fmt.Errorf("has a compressed entry (%.60q): torch.save stores them as they are; "+
			"load it in PyTorch and save it again", e.Name)
	}
	at, err := e.DataOffset()
	if err != nil || at < 0 || at > f.size || size > uint64(f.size-at) {
		return nil, fmt.Errorf("is truncated (%.60q should have %d bytes): copy it again", e.Name, size)
	}
	return &storage{key: e.Name, at: at, bytes: int64(size), sum: e.CRC32, hasSum: true}, nil
}

// openStream reads the stream of pickles.
func (f *File) openStream() error {
	at := int64(0)
	next := func() (any, error) {
		u := f.unpickler(io.NewSectionReader(f.r, at, f.size-at), f.size-at)
		v, err := u.load()
		at += u.read
		return v, err
	}
	if v, err := next(); err != nil || v != long(magic[4:14]) {
		return malformed("the first of the stream")
	}
	if v, err := next(); err != nil || v != int64(1001) {
		return fmt.Errorf("has a stream of another version than 1001 (%s): save it again with a newer PyTorch", brief(v))
	}
	if _, err := next(); err != nil { // the machine that wrote it: ignored, as PyTorch does
		return err
	}
	var err error
	if f.Root, err = next(); err != nil {
		return err
	}
	v, err := next()
	if err != nil {
		return err
	}
	keys, ok := v.(*List)
	if !ok {
		return malformed("the keys of the storages are %s", Kind(v))
	}
	for _, k := range keys.Items {
		key, _ := k.(string)
		st, ok := f.storages[key]
		if !ok || st.at != 0 {
			return malformed("the key %.40q of a storage that no tensor uses, or a second time", brief(k))
		}
		var n [8]byte
		if f.size-at < 8 {
			return errTruncated
		}
		if _, err := f.r.ReadAt(n[:], at); err != nil {
			return err
		}
		if got := binary.LittleEndian.Uint64(n[:]); got != uint64(st.count) {
			return fmt.Errorf("is damaged (storage %.40q has %d values, its tensors take it for %d): copy it again",
				key, got, st.count)
		}
		st.at = at + 8
		if at = st.at + int64(st.count)*int64(st.dtype.Size); at > f.size {
			return errTruncated
		}
	}
	for key, st := range f.storages {
		if st.root == nil && st.at == 0 {
			return malformed("storage %.40q has no values", key)
		}
	}
	return nil
}

var errTruncated = errors.New("is truncated (its last storages are missing): copy it again")

// unpickler returns an unpickler for one pickle at the front of r, which has left bytes.
func (f *File) unpickler(r io.Reader, left int64) *unpickler {
	left = min(left, maxPickle)
	buffered := bufio.NewReaderSize(r, int(min(left, 1<<16)))
	return &unpickler{r: buffered, left: left, persistent: f.storage, rebuild: f.newTensor}
}

// storage returns the storage that a pickle names by
//
//	("storage", class, key, device, number of values)
//	("storage", class, key, device, number of values, view)     in the stream; view is None or (key, offset, number)
func (f *File) storage(id Tuple) (any, error) {
	bad := malformed("the name of a storage")
	if len(id) < 5 || len(id) > 6 || id[0] != "storage" {
		return nil, bad
	}
	class, _ := id[1].(global)
	t, ok := dtypeOf(class)
	if class != "" && !ok && f.place != nil { // in the stream its length must be known
		return opaque(class, id), nil
	}
	key, ok1 := id[2].(string)
	n, ok2 := id[4].(int64)
	if !ok || !ok1 || !ok2 || n < 0 {
		return nil, bad
	}
	if n > f.size/int64(t.Size) {
		return nil, fmt.Errorf("is truncated (storage %.40q should have %d values of %s, the file has %d bytes): "+
			"copy it again", key, n, t.Name, f.size)
	}
	st := f.storages[key]
	if st == nil {
		st = &storage{key: key, dtype: t, count: int(n)}
		if f.place != nil {
			if err := f.place(st); err != nil {
				return nil, err
			}
		}
		f.storages[key] = st
	}
	if st.dtype != t || st.count != int(n) || st.root != nil {
		return nil, malformed("storage %.40q is named in two ways", key)
	}
	if len(id) < 6 || id[5] == nil {
		return st, nil
	}
	view, _ := id[5].(Tuple)
	if len(view) != 3 {
		return nil, bad
	}
	name, ok := view[0].(string)
	first, ok1 := view[1].(int64)
	count, ok2 := view[2].(int64)
	if !ok || !ok1 || !ok2 || first < 0 || count < 0 || first > n || count > n-first {
		return nil, bad
	}
	return &storage{key: name, dtype: t, count: int(count), root: st, first: int(first)}, nil
}
