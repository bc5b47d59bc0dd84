// NPY, NumPy's arrays (numpy.lib.format): images (N, H, W), (N, H, W, C) or (N, C, H, W), and vectors (N, D).
//
// Images of uint8 are bytes as they are. Floats that all lie in [0, 1] become bytes by round(255 v). Whole numbers of
// any type that all lie in 0 to 255 become bytes as they are. Where the setting white says which value is white,
// numbers of any type become bytes by it. Of four dimensions the one of the channels is that of
// size 1 or 3; where both or neither are, the setting layout says which.

package dataset

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"sigmaz/internal/npy"
	"sigmaz/internal/setting"
)

// unreadableNPY is the number of dimensions of an array whose header cannot be read.
const unreadableNPY = -1

// isNPY recognises arrays of one of some numbers of dimensions.
func isNPY(dims ...int) func(f *dataFile) bool {
	marked := starts("\x93NUMPY")
	return func(f *dataFile) bool { return marked(f) && slices.Contains(dims, npyDims(f)) }
}

// npyDims is the number of dimensions of an array, by the head of the file alone.
func npyDims(f *dataFile) int {
	a, err := npy.NewReader(f.path, &headReader{f.head}, -1)
	if err != nil {
		return unreadableNPY
	}
	return len(a.Shape)
}

// headReader reads the head of a file and then fails, so that nothing takes its end for the end of the file.
type headReader struct{ rest []byte }

func (h *headReader) Read(p []byte) (int, error) {
	if len(h.rest) == 0 {
		return 0, errors.New("the head is read")
	}
	n := copy(p, h.rest)
	h.rest = h.rest[n:]
	return n, nil
}

// refuseNPY is the error for arrays of no dimension or of more than four.
func refuseNPY(f *dataFile) error { return wrongNPYDims(f, npyDims(f)) }

func wrongNPYDims(f *dataFile, dims int) error {
	return fmt.Errorf("%s: expected images (N, H, W[, C]) or vectors (N, D), found an array of %d dimensions; reshape it",
		f.path, dims)
}

// newNPYReader reads the header of an array.
func newNPYReader(f *dataFile) (*npy.Reader, error) {
	size := f.size
	if f.packed.name != "" || f.within != "" {
		size = -1 // is not known, or a claim
	}
	a, err := npy.NewReader(f.path, f.r, size)
	if err != nil {
		return nil, err
	}
	claim := float64(a.Size())
	for _, d := range a.Shape {
		claim *= float64(d)
	}
	if !f.canHold(claim) {
		return nil, fmt.Errorf("%s: expected %.0f bytes for the array %s of its header, found %d bytes of %s data, "+
			"which cannot hold them; copy or download the file again", f.path, claim, a.ShapeText(), f.size, f.packed.name)
	}
	if claim == 0 {
		return nil, fmt.Errorf("%s: expected images or vectors, found an empty array of shape %s; choose another file",
			f.path, a.ShapeText())
	}
	return a, nil
}

// openNPY opens an array of images.
func openNPY(f *dataFile, set Settings) (*imageFile, error) {
	in, err := newNPYReader(f)
	if err != nil {
		return nil, err
	}
	if d := len(in.Shape); d != 3 && d != 4 { // a header longer than the head did not tell
		return nil, wrongNPYDims(f, d)
	}
	a := &imageFile{dataFile: f, what: "NPY of " + in.Type(), n: in.Shape[0], c: 1}
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
			return nil, fmt.Errorf("%s: expected an array whose channels can be told, found shape %s; "+
				"say where they are with `layout` nhwc or `layout` nchw", f.path, in.ShapeText())
		default:
			return nil, fmt.Errorf("%s: expected 1 or 3 channels in the second or the last dimension, found shape %s; "+
				"say where others are with `layout` nhwc or `layout` nchw, or save grey or colour images", f.path, in.ShapeText())
		}
	}
	if set.Layout != "" && len(in.Shape) != 4 { // beside other arrays that have a use for it
		return nil, setting.Errorf("layout", "is for arrays of four dimensions, and %s has shape %s: leave it out", f.path,
			in.ShapeText())
	}
	if a.h > maxSide || a.w > maxSide || a.c > 1024 {
		return nil, fmt.Errorf("%s: expected images of at most %dx%d pixels and 1024 channels, found shape %s; "+
			"save smaller ones", f.path, maxSide, maxSide, in.ShapeText())
	}
	white, err := parseWhite(set.White)
	if err != nil {
		return nil, err
	}
	read, has, err := npyBytes(f, in, white)
	if err != nil {
		return nil, err
	}
	a.next, a.has = read, has
	if planes {
		buffer := make([]byte, a.h*a.w*a.c)
		a.next = func(image []byte) error {
			if err := read(buffer); err != nil {
				return err
			}
			interleave(image, buffer, a.c)
			return nil
		}
	}
	return a, nil
}

// npyBytes returns a function that reads the next values of an array of images as bytes, and one that says which values
// they were; nil: they are bytes in the file. white is the setting, 0 if it is not given.
func npyBytes(f *dataFile, in *npy.Reader, white float64) (next func(dst []byte) error, has func() values, err error) {
	typ := in.Kind()
	if typ == 'b' && white == 0 {
		return nil, nil, fmt.Errorf("%s: expected numbers, found booleans; save the images as uint8, 0 and 255, "+
			"or give `white` 1", f.path)
	}
	if typ == 'u' && in.Size() == 1 {
		if !in.Fortran {
			return func(dst []byte) error { return npy.Read(in, dst) }, nil, nil
		}
		all, err := npy.ReadAll[byte](in)
		return func(dst []byte) error { all = all[copy(dst, all):]; return nil }, nil, err
	}
	// Whether the values are in [0, 1] or in 0 to 255 is known when all of them have been seen. Many are read twice.
	var all []float32
	var r valueRange
	row := in.Count() / in.Shape[0]
	if in.Fortran || in.Count() <= holdBytes/4 {
		if all, err = npy.ReadAll[float32](in); err == nil {
			err = r.add(f.path, all, row)
		}
	} else {
		r, err = f.rangeOfNPY(row)
	}
	if err != nil {
		return nil, nil, err
	}
	scale, v := float32(255), values{r.high, 1}
	switch {
	case white > 0 && r.low >= 0 && float32(r.high) <= float32(white):
		v.White = white
	case white > 0:
		return nil, nil, fmt.Errorf("%s: expected values from 0 to `white` %g, found %s from %s to %s; give the largest "+
			"that there can be, or scale the images and save them again", f.path, white, in.Type(), short(r.low), short(r.high))
	case typ == 'f' && r.low >= 0 && r.high <= 1:
	case r.whole && r.low >= 0 && r.high <= 255:
		scale, v.White = 1, 255
	default:
		todo := "scale the images and save them again"
		if r.low >= 0 {
			todo += ", or give `white` " + short(r.high)
		}
		return nil, nil, fmt.Errorf("%s: expected floats from 0 to 1 or whole numbers from 0 to 255, found %s from %s to "+
			"%s; %s", f.path, in.Type(), short(r.low), short(r.high), todo)
	}
	var buffer []float32
	return func(dst []byte) error {
		x := all
		if all == nil {
			buffer = slices.Grow(buffer[:0], len(dst))[:len(dst)]
			x = buffer
			if err := npy.Read(in, x); err != nil {
				return err
			}
		} else {
			all = all[len(dst):]
		}
		for i := range dst {
			if white > 0 {
				dst[i] = toByte(float64(x[i]), white)
			} else {
				dst[i] = byte(x[i]*scale + 0.5)
			}
		}
		return nil
	}, func() values { return v }, nil
}

// valueRange says which values an array has.
type valueRange struct {
	low, high float64
	whole     bool
	n         int
}

// add looks at the next values of the array in the file at path, of which each image has row.
func (r *valueRange) add(path string, x []float32, row int) error {
	if r.n == 0 {
		r.low, r.high, r.whole = math.Inf(1), math.Inf(-1), true
	}
	for i, v := range x {
		if v-v != 0 {
			return fmt.Errorf("%s: expected finite values, found %v in image %d; clean the data", path, v, (r.n+i)/row)
		}
		v := float64(v)
		r.low, r.high, r.whole = min(r.low, v), max(r.high, v), r.whole && v == math.Floor(v)
	}
	r.n += len(x)
	return nil
}

// rangeOfNPY reads all values of the file, opened anew, without keeping them.
func (f *dataFile) rangeOfNPY(row int) (r valueRange, err error) {
	g, err := f.again()
	if err != nil {
		return r, err
	}
	defer g.close()
	if err := sameFile(f.stored, f.info, g.info); err != nil {
		return r, err
	}
	in, err := newNPYReader(g)
	if err != nil {
		return r, err
	}
	var buffer [1 << 14]float32
	for left := in.Count(); left > 0; left -= min(left, len(buffer)) {
		part := buffer[:min(left, len(buffer))]
		if err := npy.Read(in, part); err != nil {
			return r, err
		}
		if err := r.add(f.path, part, row); err != nil {
			return r, err
		}
	}
	return r, nil
}

// readNPYVectors reads the rows of an array of vectors.
func readNPYVectors(f *dataFile, _ Settings, t *table) error {
	in, err := newNPYReader(f)
	if err != nil {
		return err
	}
	switch {
	case len(in.Shape) == 1:
		return fmt.Errorf("%s: expected images (N, H, W[, C]) or vectors (N, D), found one row of %d values of type %s, "+
			"as labels are stored; give the array of the data, or reshape it to (N, 1)", f.path, in.Shape[0], in.Type())
	case in.Kind() == 'b':
		return fmt.Errorf("%s: expected numbers, found booleans; save them as float32", f.path)
	}
	d := in.Shape[1]
	if t.number != nil && len(t.number) != d {
		return fmt.Errorf("%s: expected vectors of %d values as in the first file, found %d; name only files of one kind",
			f.path, len(t.number), d)
	}
	x, err := npy.ReadAll[float64](in)
	if err != nil {
		return err
	}
	for i, v := range x {
		if v-v != 0 {
			return fmt.Errorf("%s: expected finite values, found %v in row %d, column %d; clean the data", f.path, v, i/d, i%d)
		}
	}
	if t.number == nil {
		t.number = make([]int, d)
		for k := range t.number {
			t.number[k] = k // from 0, as NumPy counts
		}
	}
	t.x = slices.Concat(t.x, x)
	return nil
}
