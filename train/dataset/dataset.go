// Package dataset reads or makes the data that a network is trained on: image files in IDX and CIFAR-10 form, digits
// drawn from fonts, and point clouds in the plane.
//
// Everything is held in memory, images as bytes (N, H, W, C), vectors as float32 (N, C), in the form that the kernels
// read. Data that is made, not read, is a function of the seed alone: the bits are the same on every machine and with
// any number of processors. So products are rounded before they are added (float64(a*b) + c), which keeps compilers
// from fusing the two, and sin and cos are computed here.
package dataset

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sigmaz/internal/nearest"
	"sigmaz/kernels"
)

// Set is a data set in memory: images as bytes or vectors as float32.
type Set struct {
	kernels.Data
	Name   string // what it is, for people: "fashion-mnist: IDX, 60000 images 28x28x1"
	Source string // the spec as given to Open
}

// Open reads or makes the data set that spec names:
//
//	glyphs             20,000 digits 28x28x1, drawn from seed with the Go fonts
//	toy:NAME           50,000 points in the plane, drawn from seed; the names are those of [Toys]
//	FOLDER             with IDX images (MNIST, Fashion-MNIST) or CIFAR-10 binary batches: the training images in it
//	FILE               one such file, compressed with gzip or not
//	FILE,FILE,...      several, of one image size, in this order
//
// An empty spec is glyphs. Files are told apart by their content, not by their name. Sizes that a header claims are
// checked against the file before memory is taken for them. Every error is one sentence that names the file, says what
// was expected and what was found, and what to do.
func Open(spec string, seed uint64) (*Set, error) {
	s, err := open(spec, seed)
	if err != nil {
		return nil, fmt.Errorf("dataset: %w", err)
	}
	s.Source = spec
	return s, nil
}

func open(spec string, seed uint64) (*Set, error) {
	if spec == "" || spec == "glyphs" {
		return glyphs(seed, glyphCount)
	}
	if name, ok := strings.CutPrefix(spec, "toy:"); ok {
		return toy(name, seed)
	}
	// A comma may be part of a name, so a path that exists is taken whole.
	paths := []string{spec}
	if _, err := os.Stat(spec); err != nil && strings.Contains(spec, ",") {
		paths = strings.Split(spec, ",")
	}
	var files []string
	for _, path := range paths {
		path = strings.TrimSpace(path)
		if path == "" {
			return nil, fmt.Errorf("%q: expected file names between the commas, found an empty one; remove the spare comma", spec)
		}
		info, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, unknownSpec(path)
		case err != nil:
			return nil, unreadable(path, err)
		case !info.IsDir():
			files = append(files, path)
			continue
		}
		found, err := trainingFiles(path)
		if err != nil {
			return nil, err
		}
		files = append(files, found...)
	}
	return readFiles(paths, files)
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

// Split takes n held-out rows out of s. Which rows is a function of seed, n and the number of rows: the first n of a
// permutation of all rows keyed by seed (kernels.PurposeSplit). Both parts keep the order of s. n must be below half of
// the rows; it is cut to the range [0, (N-1)/2]. s is not changed, and with n = 0 train shares its memory.
func (s *Set) Split(seed uint64, n int) (train, heldOut *Set) {
	n = max(0, min(n, (s.N-1)/2))
	part := func(rows int, what string) *Set {
		p := &Set{Data: s.Data, Name: fmt.Sprintf("%s, %d %s", s.Name, rows, what), Source: s.Source}
		p.N, p.U8, p.F32 = rows, nil, nil
		return p
	}
	train, heldOut = part(s.N-n, "for training"), part(n, "held out")
	if n == 0 {
		train.U8, train.F32 = s.U8, s.F32
		return train, heldOut
	}

	// Fisher and Yates, the first n steps: row i is exchanged with a row of i..N-1. The index is the high word of
	// word*(N-i), whose bias of at most N 2^-32 is no matter here.
	perm := make([]int, s.N)
	for i := range perm {
		perm[i] = i
	}
	stream := kernels.Stream{Seed: seed, Purpose: kernels.PurposeSplit}
	out := make([]bool, s.N)
	for i := range n {
		j := i + int(uint64(stream.Word(i))*uint64(s.N-i)>>32)
		perm[i], perm[j] = perm[j], perm[i]
		out[perm[i]] = true
	}
	train.U8, heldOut.U8 = divide(s.U8, s.D(), out, n)
	train.F32, heldOut.F32 = divide(s.F32, s.D(), out, n)
	return train, heldOut
}

// divide copies the n rows of v, of d values, that are marked in out, and the others.
func divide[T any](v []T, d int, out []bool, n int) (rest, taken []T) {
	if v == nil {
		return nil, nil
	}
	rest, taken = make([]T, 0, len(v)-n*d), make([]T, 0, n*d)
	for i, o := range out {
		if o {
			taken = append(taken, v[i*d:(i+1)*d]...)
		} else {
			rest = append(rest, v[i*d:(i+1)*d]...)
		}
	}
	return rest, taken
}
