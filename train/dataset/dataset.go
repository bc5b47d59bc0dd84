// Package dataset reads or makes the data that a network is trained on: pictures in folders and archives, files of images
// (IDX, CIFAR-10, NPY), vectors (CSV, NPY), digits drawn from fonts, and point clouds in the plane.
//
// Images are bytes (N, H, W, C), vectors float32 (N, C), in the form that the kernels read. Images that take time to
// decode or much memory lie in a file that is mapped (cache.go). Data that is made, not read, is a function of the seed
// alone: the bits are the same on every machine and with any number of processors. So products are rounded before they
// are added (float64(a*b) + c), which keeps compilers from fusing the two, and sin and cos are computed here.
package dataset

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"sigmaz/internal/nearest"
	"sigmaz/internal/setting"
	"sigmaz/kernels"
)

// Set is a data set: images as bytes or vectors as float32.
type Set struct {
	kernels.Data
	Name   string  // what it is, for people: "fashion-mnist: IDX, 60000 images 28x28x1"
	Source string  // the spec as given to Open
	Sum    string  // CRC-32C of the shape and the values, in hexadecimal
	Scaler *Scaler // how vectors were standardised; nil: not at all
	Mapped bool    // the images lie in a mapped file, not in memory

	hashes []uint64 // of rows whose values depend on other rows, by what the file has; see Split
}

// Source is where data comes from and how it is read.
type Source struct {
	// Spec names the data:
	//
	//	glyphs             20,000 digits 28x28x1, drawn from Seed with the Go fonts; "" is the same
	//	toy:NAME           50,000 points in the plane, drawn from Seed; the names are those of [Toys]
	//	FOLDER             of pictures, at any depth; or with one file of IDX images (MNIST, Fashion-MNIST), CIFAR-10
	//	                   binary batches (the training images in it), or one archive, array or table
	//	FILE               PNG or JPEG, a ZIP or TAR of such, IDX, a CIFAR-10 batch, an NPY array of images or vectors, or a
	//	                   table of numbers (CSV); compressed with gzip or bzip2 or not
	//	FILE,FILE,...      several of one kind, in this order
	//
	// Files are told apart by their content, not by their name.
	Spec string
	Seed uint64
	Settings
	// Cache is the folder for decoded images; "": sigmaz in the user's cache folder; "none": none is kept.
	Cache string
	// Progress, unless nil, is told how many images are read, from one goroutine at a time; before that, with a total of
	// 0, at how many files it has looked.
	Progress func(done, total int)
	// Note, unless nil, is given what people should know: a line each.
	Note func(line string)
}

// Open reads or makes the data set that spec names, as [Source.Open] with no other settings.
func Open(spec string, seed uint64) (*Set, error) {
	return Source{Spec: spec, Seed: seed}.Open(context.Background())
}

// Open reads or makes the data. Sizes that a header claims are checked against the file before memory is taken for them.
// Every error is one sentence that names the file, says what was expected and what was found, and what to do; a setting
// that cannot be is a [*setting.Error]. It fails when ctx ends, with the error of ctx.
func (s Source) Open(ctx context.Context) (*Set, error) {
	set, err := (&opener{s, ctx}).open()
	var bad *setting.Error
	switch {
	case errors.As(err, &bad):
		return nil, bad
	case err != nil && ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, fmt.Errorf("dataset: %w", err)
	}
	set.Source = s.Spec
	if set.Sum == "" {
		set.Sum = checksum(&set.Data)
	}
	return set, nil
}

// opener is a Source at work.
type opener struct {
	Source
	ctx context.Context
}

func (o *opener) note(format string, a ...any) {
	if o.Note != nil {
		o.Note(fmt.Sprintf(format, a...))
	}
}

func (o *opener) progress(done, total int) {
	if o.Progress != nil {
		o.Progress(done, total)
	}
}

func (o *opener) open() (*Set, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if o.Spec == "" || o.Spec == "glyphs" {
		if err := o.used(false, false, false, false); err != nil {
			return nil, err
		}
		return glyphs(o.Seed, glyphCount)
	}
	if name, ok := strings.CutPrefix(o.Spec, "toy:"); ok {
		if err := o.used(false, false, false, false); err != nil {
			return nil, err
		}
		return toy(name, o.Seed)
	}
	in, err := o.find()
	if err != nil {
		return nil, err
	}
	defer in.close()
	if in.vectors {
		if err := o.used(false, false, true, in.tables); err != nil {
			return nil, err
		}
		return o.vectors(in)
	}
	if err := o.used(true, in.layout, false, false); err != nil {
		return nil, err
	}
	var p *pixels
	if len(in.collections) > 0 {
		p, err = o.pictures(in.collections)
	} else {
		p, err = o.arrays(in.sources)
	}
	if err != nil {
		return nil, err
	}
	if p.Note != "" {
		o.note("         %s", p.Note)
	}
	set := &Set{Data: p.data(), Sum: p.Sum, Mapped: p.mapped}
	set.Name = fmt.Sprintf("%s: %s, %d images %s", in.title, p.Kind, set.N, shape(&set.Data))
	return set, nil
}

// IsVectors tells whether the data that spec names is vectors, by the start of its first file. What cannot be read is not.
func IsVectors(spec string) bool {
	if strings.HasPrefix(spec, "toy:") {
		return true
	}
	if spec == "" || spec == "glyphs" {
		return false
	}
	o := &opener{Source{Spec: spec}, context.Background()}
	in, err := o.find()
	if err != nil {
		return false
	}
	defer in.close()
	return in.vectors
}

// inputs is what a spec names: either sources of arrays or of vectors, or collections of pictures.
type inputs struct {
	title       string
	sources     []*source
	collections []collection
	vectors     bool // the sources are tables or arrays of vectors
	tables      bool // tables among them
	layout      bool // arrays of four dimensions among them
}

func (in *inputs) close() {
	for _, s := range in.sources {
		s.close()
	}
}

// find opens what the spec names.
func (o *opener) find() (*inputs, error) {
	// A comma may be part of a name, so a path that exists is taken whole.
	paths := []string{o.Spec}
	if _, err := os.Stat(o.Spec); err != nil && strings.Contains(o.Spec, ",") {
		paths = strings.Split(o.Spec, ",")
	}
	for i, path := range paths {
		paths[i] = strings.TrimSpace(path)
		if paths[i] == "" {
			return nil, fmt.Errorf("%q: expected file names between the commas, found an empty one; remove the spare comma", o.Spec)
		}
	}
	in := &inputs{title: title(paths)}
	ok := false
	defer func() {
		if !ok {
			in.close()
		}
	}()
	var single files // pictures given by their names
	var first struct{ path, what string }
	add := func(path, what string) error {
		if first.what == "" {
			first.path, first.what = path, what
		} else if what != first.what {
			return fmt.Errorf("%s: expected %s as in %s, found %s; name only files of one kind", path, first.what, first.path, what)
		}
		return nil
	}
	file := func(path string) error {
		s, err := openSource(path)
		if err != nil {
			return err
		}
		in.sources = append(in.sources, s)
		dims := 0
		switch s.kind {
		case kindUnknown:
			return s.unknown()
		case kindTable:
			in.vectors, in.tables = true, true
			return add(path, "vectors")
		case kindNPY:
			if dims = s.npyDims(); dims > 0 && dims < 3 {
				in.vectors = true
				return add(path, "vectors")
			}
			if dims > 4 {
				return fmt.Errorf("%s: expected images (N, H, W[, C]) or vectors (N, D), found an array of %d dimensions; reshape it", path, dims)
			}
			in.layout = in.layout || dims == 4
			return add(path, "files of images")
		case kindIDX, kindCIFAR:
			return add(path, "files of images")
		}
		s.close()
		in.sources = in.sources[:len(in.sources)-1]
		if s.kind == kindPicture {
			if s.packed != "" {
				return fmt.Errorf("%s: expected a picture as it is, found one in %s; unpack it", path, s.packed)
			}
			single.list = append(single.list, file{path, path, s.info})
		} else {
			if s.kind == kindZIP && s.packed != "" {
				return fmt.Errorf("%s: expected a ZIP as it is, found one in %s; unpack it", path, s.packed)
			}
			in.collections = append(in.collections, archive{s})
		}
		return add(path, "pictures")
	}
	for _, path := range paths {
		info, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, unknownSpec(path)
		case err != nil:
			return nil, unreadable(path, err)
		case !info.IsDir():
			if err := file(path); err != nil {
				return nil, err
			}
			continue
		}
		found, pictures, err := trainingFiles(path)
		if err != nil {
			return nil, err
		}
		if len(pictures) > 0 {
			in.collections = append(in.collections, files{pictures, "folder"})
			if err := add(path, "pictures"); err != nil {
				return nil, err
			}
		}
		for _, path := range found {
			if err := file(path); err != nil {
				return nil, err
			}
		}
	}
	if len(single.list) > 0 {
		in.collections = append(in.collections, single)
	}
	ok = true
	return in, nil
}

// cached gives the pixels of a key from the cache, or makes them. make fills the store that it asks for.
func (o *opener) cached(key string, make func(newStore func(pixels) (*store, error)) (*store, error)) (*pixels, error) {
	c, err := o.openCache()
	if err != nil {
		return nil, err
	}
	path := ""
	if c != nil {
		path = c.path(key)
		if p := c.load(path); p != nil {
			return p, nil
		}
	}
	var made *store
	_, err = make(func(p pixels) (s *store, err error) {
		made, err = c.newStore(p, path, false)
		return made, err
	})
	if err != nil {
		if made != nil {
			made.discard()
		}
		return nil, err
	}
	return made.finish()
}

// arrays reads files of images, all of one size, one after the other.
func (o *opener) arrays(sources []*source) (*pixels, error) {
	var all []*array
	p := pixels{}
	packed := false
	for _, s := range sources {
		a, err := s.images(o.Settings)
		if err != nil {
			return nil, err
		}
		if first := slices.Concat(all, []*array{a})[0]; a.h != first.h || a.w != first.w || a.c != first.c {
			return nil, fmt.Errorf("%s: expected images %s as in %s, found %s; name only files of one image size", a.path, first.shape(), first.path, a.shape())
		}
		all = append(all, a)
		p.N += a.n
		packed = packed || a.packed != ""
	}
	first := all[0]
	t, err := arrayTransform(o.Settings, first.path, first.h, first.w, first.c)
	if err != nil {
		return nil, err
	}
	to, changes := t.changes(first.h, first.w, first.c)
	p.H, p.W, p.C, p.Kind = to.h, to.w, t.c, first.what
	read := func(s *store) error {
		image, row := make([]byte, first.h*first.w*first.c), make([]byte, s.row)
		at := 0
		for _, a := range all {
			for range a.n {
				if err := o.ctx.Err(); err != nil {
					return err
				}
				if err := a.next(image); err != nil {
					return err
				}
				if changes {
					t.array(row, image, first.h, first.w, first.c)
				} else {
					row = image
				}
				if err := s.put(at, row); err != nil {
					return err
				}
				at++
				if at%1000 == 0 {
					o.progress(at, p.N)
				}
			}
			if a.end != nil {
				if err := a.end(); err != nil {
					return err
				}
			}
			if err := a.unchanged(); err != nil {
				return err
			}
		}
		return nil
	}
	if float64(p.N)*float64(p.H)*float64(p.W)*float64(p.C) > float64(holdBytes) && !packed {
		key := fmt.Sprintf("crop %s size %s channels %s layout %s\n", o.Crop, o.Size, o.Channels, o.Layout)
		for _, a := range all {
			key += fileKey(a.path, a.info)
		}
		return o.cached(key, func(newStore func(pixels) (*store, error)) (*store, error) {
			s, err := newStore(p)
			if err != nil {
				return nil, err
			}
			return s, read(s)
		})
	}
	s, err := (*cache)(nil).newStore(p, "", true)
	if err != nil {
		return nil, err
	}
	if err := read(s); err != nil {
		return nil, err
	}
	s.u8 = slices.Clip(s.u8)
	return s.finish()
}

// vectors reads tables and arrays of vectors, and standardises them.
func (o *opener) vectors(in *inputs) (*Set, error) {
	t := &table{}
	what := ""
	for _, s := range in.sources {
		var err error
		if s.kind == kindTable {
			what = "table"
			err = t.read(s.path, s.r, o.Settings)
		} else {
			what = "NPY"
			err = s.npyVectors(t)
		}
		if err == nil {
			err = s.unchanged()
		}
		if err != nil {
			return nil, err
		}
	}
	d := len(t.number)
	n := len(t.x) / max(d, 1)
	if n < 2 {
		return nil, fmt.Errorf("%s: expected two rows of numbers or more, found %d; choose another file", o.Spec, n)
	}
	set := &Set{Data: kernels.Data{N: n, H: 1, W: 1, C: d}, hashes: make([]uint64, n)}
	for i := range n { // before standardising, so that no other row changes which part this one is in
		set.hashes[i] = hashFloats(t.x[i*d : (i+1)*d])
	}
	set.Name = fmt.Sprintf("%s: %s, %d rows of %d values", in.title, what, n, d)
	if o.Standardize != "none" {
		var err error
		set.Scaler, err = standardize(t.x, d, t.names, o.Standardize == "whiten", func(k int) string { return o.Spec + ": " + t.column(k) })
		if err != nil {
			return nil, err
		}
	}
	set.F32 = make([]float32, len(t.x))
	for i, v := range t.x {
		set.F32[i] = float32(v)
		if math.IsInf(float64(set.F32[i]), 0) {
			return nil, fmt.Errorf("%s: expected values that float32 holds, found %g in row %d, %s; leave -standardize none out", o.Spec, v, i/d+1, t.column(i%d))
		}
	}
	return set, nil
}

// unknownSpec is the error for a spec that is no file: with the nearest word that Open knows, if one is near.
func unknownSpec(spec string) error {
	known := []string{"glyphs"}
	for _, t := range Toys() {
		known = append(known, "toy:"+t)
	}
	hint := "check the path"
	if near := nearest.Word(spec, known); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	} else if slices.Contains(Toys(), spec) {
		hint = fmt.Sprintf("did you mean %q?", "toy:"+spec)
	} else if strings.HasPrefix(spec, "~") {
		hint = "the shell puts the home folder for ~ only where a word begins: write $HOME, or the whole path"
	}
	return fmt.Errorf("%s: expected a file, a folder or one of %s, found nothing of that name; %s", spec, strings.Join(known, ", "), hint)
}

// unreadable wraps an error of the operating system, which often repeats the path.
func unreadable(path string, err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		err = pathErr.Err
	}
	return fmt.Errorf("%s: expected a file that can be read, found an error: %w; check the path and its permissions", path, err)
}

// shape is "28x28x1".
func shape(d *kernels.Data) string { return fmt.Sprintf("%dx%dx%d", d.H, d.W, d.C) }

// title is a short name for what was read: of a folder its name, of a file its name and that of the folder it is in.
func title(paths []string) string {
	path := paths[0]
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	name := filepath.Base(path)
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		name = filepath.Base(filepath.Dir(path)) + "/" + name
	}
	if len(paths) > 1 {
		name += fmt.Sprintf(" and %d more", len(paths)-1)
	}
	return name
}

// Split takes n held-out rows out of s. Which rows is a matter of what is in them and of seed alone: each row has a number,
// Philox keyed by seed of two CRCs of its values (as the file has them, before they are standardised), and the n rows
// with the smallest are held out. So images that are added to a data set do not move others between the parts, but for
// the few that the new ones push out, and equal images are in the same part. Both parts keep the order of s. n must be
// below half of the rows; it is cut to the range [0, (N-1)/2]. No data is copied: the parts are lists of rows of s.
func (s *Set) Split(seed uint64, n int) (train, heldOut *Set) {
	n = max(0, min(n, (s.N-1)/2))
	part := func(rows []uint32, what string) *Set {
		p := *s
		p.N, p.Rows, p.hashes = len(rows), rows, nil
		p.Name = fmt.Sprintf("%s, %d %s", s.Name, len(rows), what)
		return &p
	}
	if n == 0 {
		held := part(nil, "held out")
		held.U8, held.F32 = nil, nil
		train := *s
		train.Name = fmt.Sprintf("%s, %d for training", s.Name, s.N)
		return &train, held
	}
	type numbered struct {
		number uint64
		row    int
	}
	order := make([]numbered, s.N)
	parallel(context.Background(), runtime.GOMAXPROCS(0), func(w int) error { // cannot fail
		for i := w; i < s.N; i += runtime.GOMAXPROCS(0) {
			h := s.hash(i)
			b := kernels.Philox([2]uint32{uint32(seed), uint32(seed >> 32)}, [4]uint32{uint32(kernels.PurposeSplit), uint32(h), uint32(h >> 32), 0})
			order[i] = numbered{uint64(b[0])<<32 | uint64(b[1]), i}
		}
		return nil
	})
	slices.SortFunc(order, func(a, b numbered) int { return cmp.Or(cmp.Compare(a.number, b.number), cmp.Compare(a.row, b.row)) })
	out := make([]bool, s.N)
	for _, o := range order[:n] {
		out[o.row] = true
	}
	rest, taken := make([]uint32, 0, s.N-n), make([]uint32, 0, n)
	for i, o := range out {
		if o {
			taken = append(taken, uint32(s.Row(i)))
		} else {
			rest = append(rest, uint32(s.Row(i)))
		}
	}
	return part(rest, "for training"), part(taken, "held out")
}

// castagnoli and ieee are two checks of the same bytes, 64 bits together.
var castagnoli, ieee = crc32.MakeTable(crc32.Castagnoli), crc32.IEEETable

func hashBytes(b []byte) uint64 {
	return uint64(crc32.Checksum(b, castagnoli))<<32 | uint64(crc32.Checksum(b, ieee))
}

func hashFloats(x []float64) uint64 {
	b := make([]byte, 0, 8*len(x))
	for _, v := range x {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
	}
	return hashBytes(b)
}

// hash is a number for the content of row i.
func (s *Set) hash(i int) uint64 {
	switch {
	case s.hashes != nil:
		return s.hashes[i]
	case s.U8 != nil:
		return hashBytes(s.Bytes(i))
	}
	x := make([]float64, s.D())
	for k, v := range s.Floats(i) {
		x[k] = float64(v)
	}
	return hashFloats(x)
}

// checksum is the CRC-32C of the data's shape and values, in hexadecimal.
func checksum(d *kernels.Data) string {
	sum := crc32.Checksum(fmt.Appendf(nil, "%d %d %d %d", d.N, d.H, d.W, d.C), castagnoli)
	sum = crc32.Update(sum, castagnoli, d.U8)
	var block [4096]byte
	for i := 0; i < len(d.F32); i += len(block) / 4 {
		part := d.F32[i:min(i+len(block)/4, len(d.F32))]
		for j, v := range part {
			binary.LittleEndian.PutUint32(block[4*j:], math.Float32bits(v))
		}
		sum = crc32.Update(sum, castagnoli, block[:4*len(part)])
	}
	return fmt.Sprintf("%08x", sum)
}
