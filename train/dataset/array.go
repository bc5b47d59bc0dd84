// NPY, NumPy's arrays (numpy.lib.format): images (N, H, W), (N, H, W, C) or (N, C, H, W), and vectors (N, D).
//
// Images of uint8 are bytes as they are. Floats have to lie in [0, 1] and are rounded to bytes, round(255 v); other
// numbers, floats among them, are bytes too if they are whole and lie in 0 to 255. Of four dimensions the channels are
// the one that is 1 or 3; where that leaves a choice, -layout makes it.
package dataset

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"sigmaz/internal/npy"
	"sigmaz/internal/setting"
)

// npyReader reads the header of the source's array.
func (s *source) npyReader() (*npy.Reader, error) {
	size := s.size
	if s.packed != "" {
		size = -1
	}
	a, err := npy.NewReader(s.path, s.r, size)
	if err != nil {
		return nil, err
	}
	claim := float64(a.Size())
	for _, d := range a.Shape {
		claim *= float64(d)
	}
	if s.packed == "gzip" && claim > float64(s.size)*deflateRatio {
		return nil, fmt.Errorf("%s: expected %.0f bytes for the array %s of its header, found %d bytes of gzip data, which cannot hold them; copy or download the file again", s.path, claim, a.ShapeText(), s.size)
	}
	if claim == 0 {
		return nil, fmt.Errorf("%s: expected images or vectors, found an empty array of shape %s; choose another file", s.path, a.ShapeText())
	}
	return a, nil
}

// npyDims is the length of the shape of the source's array, from the head alone; 0 where the header cannot be read.
func (s *source) npyDims() int {
	a, err := npy.NewReader(s.path, io.MultiReader(newHead(s.head)), -1)
	if err != nil {
		return 0
	}
	return len(a.Shape)
}

// openNPY reads images.
func (s *source) openNPY(set Settings) (*array, error) {
	in, err := s.npyReader()
	if err != nil {
		return nil, err
	}
	a := &array{source: s, what: "NPY of " + in.Type(), n: in.Shape[0], c: 1}
	planes := false // (C, H, W)
	switch sh := in.Shape; len(sh) {
	case 3:
		a.h, a.w = sh[1], sh[2]
	case 4:
		last, first := sh[3] == 1 || sh[3] == 3, sh[1] == 1 || sh[1] == 3
		switch {
		case set.Layout == "nchw", set.Layout == "" && first && !last:
			planes = true
			a.c, a.h, a.w = sh[1], sh[2], sh[3]
		case set.Layout == "nhwc", last && !first:
			a.h, a.w, a.c = sh[1], sh[2], sh[3]
		case first:
			return nil, fmt.Errorf("%s: expected an array whose channels can be told, found shape %s; say where they are with -layout nhwc or -layout nchw", s.path, in.ShapeText())
		default:
			return nil, fmt.Errorf("%s: expected 1 or 3 channels in the second or the last dimension, found shape %s; save grey or colour images", s.path, in.ShapeText())
		}
	}
	if set.Layout != "" && len(in.Shape) != 4 {
		return nil, setting.Errorf("layout", "is for arrays of four dimensions, and %s has shape %s: leave it out", s.path, in.ShapeText())
	}
	if a.h > maxSide || a.w > maxSide || a.c > 1024 {
		return nil, fmt.Errorf("%s: expected images of at most %dx%d pixels and 1024 channels, found shape %s; save smaller ones", s.path, maxSide, maxSide, in.ShapeText())
	}
	read, err := s.npyBytes(in)
	if err != nil {
		return nil, err
	}
	plane := make([]byte, a.h*a.w*a.c)
	a.next = func(row []byte) error {
		if !planes {
			return read(row)
		}
		if err := read(plane); err != nil {
			return err
		}
		n := a.h * a.w
		for c := range a.c {
			for p, v := range plane[c*n : (c+1)*n] {
				row[p*a.c+c] = v
			}
		}
		return nil
	}
	return a, nil
}

// npyBytes gives the values of an array of images as bytes, one image after the other.
func (s *source) npyBytes(in *npy.Reader) (func(dst []byte) error, error) {
	kind := in.Kind()
	if kind == 'b' {
		return nil, fmt.Errorf("%s: expected numbers, found booleans; save the images as uint8, 0 and 255", s.path)
	}
	if kind == 'u' && in.Size() == 1 {
		if !in.Fortran {
			return func(dst []byte) error { return npy.Read(in, dst) }, nil
		}
		all, err := npy.ReadAll[byte](in)
		return func(dst []byte) error { all = all[copy(dst, all):]; return nil }, err
	}
	// Which of the rules holds is known when all values have been seen.
	all, err := npy.ReadAll[float32](in)
	if err != nil {
		return nil, err
	}
	low, high, whole := float32(math.Inf(1)), float32(math.Inf(-1)), true
	for i, v := range all {
		if v-v != 0 {
			return nil, fmt.Errorf("%s: expected finite values, found %v in image %d; clean the data", s.path, v, i/(len(all)/in.Shape[0]))
		}
		low, high, whole = min(low, v), max(high, v), whole && v == float32(math.Floor(float64(v)))
	}
	scale := float32(255)
	switch {
	case kind == 'f' && low >= 0 && high <= 1:
	case whole && low >= 0 && high <= 255:
		scale = 1
	default:
		return nil, fmt.Errorf("%s: expected floats from 0 to 1 or whole numbers from 0 to 255, found %s from %g to %g; scale the images and save them again", s.path, in.Type(), low, high)
	}
	return func(dst []byte) error {
		for i := range dst {
			dst[i] = byte(all[i]*scale + 0.5)
		}
		all = all[len(dst):]
		return nil
	}, nil
}

// npyVectors reads the rows of an array of vectors to t.
func (s *source) npyVectors(t *table) error {
	in, err := s.npyReader()
	if err != nil {
		return err
	}
	switch {
	case len(in.Shape) == 1:
		return fmt.Errorf("%s: expected images (N, H, W[, C]) or vectors (N, D), found one row of %d values of type %s, as labels are stored; give the array of the data, or reshape it to (N, 1)", s.path, in.Shape[0], in.Type())
	case len(in.Shape) != 2:
		return fmt.Errorf("%s: expected images (N, H, W[, C]) or vectors (N, D), found shape %s; reshape the array", s.path, in.ShapeText())
	case in.Kind() == 'b':
		return fmt.Errorf("%s: expected numbers, found booleans; save them as float32", s.path)
	}
	d := in.Shape[1]
	if t.number != nil && len(t.number) != d {
		return fmt.Errorf("%s: expected vectors of %d values as in the first file, found %d; name only files of one kind", s.path, len(t.number), d)
	}
	x, err := npy.ReadAll[float64](in)
	if err != nil {
		return err
	}
	for i, v := range x {
		if v-v != 0 {
			return fmt.Errorf("%s: expected finite values, found %v in row %d, column %d; clean the data", s.path, v, i/d, i%d)
		}
	}
	if t.number == nil {
		t.number = make([]int, d)
		for k := range t.number {
			t.number[k] = k // as NumPy counts
		}
	}
	t.x = slices.Concat(t.x, x)
	return nil
}

// newHead reads the head and then fails, so that nothing is taken for the end of the file.
func newHead(head []byte) io.Reader { return &headReader{head} }

type headReader struct{ rest []byte }

func (h *headReader) Read(p []byte) (int, error) {
	if len(h.rest) == 0 {
		return 0, errors.New("the head is read")
	}
	n := copy(p, h.rest)
	h.rest = h.rest[n:]
	return n, nil
}
