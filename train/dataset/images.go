// Files of images: many images of one size, one after the other in one file (IDX, CIFAR-10, NPY).

package dataset

import (
	"fmt"
	"slices"
	"strings"
)

// imageFile is a file of images at its first image.
type imageFile struct {
	*dataFile
	what       string // the format, for people: "NPY of uint8"
	n, h, w, c int
	// next reads one image, (H, W, C).
	next func(image []byte) error
	// has returns which values were read; nil: the bytes that next returns.
	has func() values
	// label names the class of image i, which next has just read; nil: it is not asked for.
	label func(i int) string
	// end checks what comes after the last image; nil: there is nothing to check.
	end func() error
}

func (a *imageFile) shape() string { return fmt.Sprintf("%dx%dx%d", a.h, a.w, a.c) }

// interleave turns c planes of values, (C, H, W), into pixels, (H, W, C).
func interleave(pixels, planes []byte, c int) {
	n := len(pixels) / c
	for k := range c {
		for p, v := range planes[k*n : (k+1)*n] {
			pixels[p*c+k] = v
		}
	}
}

// readImages reads files of images, all of one size, one file after the other.
func (o *opener) readImages(files []*dataFile) (*pixels, error) {
	all, err := o.openImageFiles(files)
	if err != nil {
		return nil, err
	}
	first := all[0]
	t, err := arrayTransform(o.Settings, first.path, first.h, first.w, first.c)
	if err != nil {
		return nil, err
	}
	to, _ := t.changes(first.h, first.w, first.c)
	p := pixels{H: to.h, W: to.w, C: t.c}
	var kinds []string
	for _, a := range all {
		p.N += a.n
		if !slices.Contains(kinds, a.what) {
			kinds = append(kinds, a.what)
		}
	}
	p.Kind = strings.Join(kinds, " and ")
	claimed := slices.ContainsFunc(all, func(a *imageFile) bool { return a.packed.name != "" || a.within != "" })
	if float64(p.N)*float64(p.H)*float64(p.W)*float64(p.C) > float64(holdBytes) {
		key := fmt.Sprintf("crop %s size %s channels %s layout %s\n", o.Crop, o.Size, o.Channels, o.Layout)
		if o.White != "" {
			key += "white " + o.White + "\n"
		}
		key += o.labelKey()
		for _, a := range all {
			key += fileIdentity(a.path, a.info)
		}
		return o.cached(key, claimed, func(newStore func(pixels) (*pixelStore, error)) error {
			s, err := newStore(p)
			if err != nil {
				return err
			}
			return o.copyImages(s, all, t)
		})
	}
	s, err := (*cache)(nil).newStore(p, "", true)
	if err != nil {
		return nil, err
	}
	if err := o.copyImages(s, all, t); err != nil {
		return nil, err
	}
	s.u8 = slices.Clip(s.u8)
	return s.finish()
}

// openImageFiles reads the headers, which must be of one image size.
func (o *opener) openImageFiles(files []*dataFile) ([]*imageFile, error) {
	var all []*imageFile
	for _, f := range files {
		a, err := f.format.images(f, o.Settings)
		if err != nil {
			return nil, err
		}
		all = append(all, a)
		if first := all[0]; a.h != first.h || a.w != first.w || a.c != first.c {
			return nil, fmt.Errorf("%s: expected images %s as in %s, found %s; name only files of one image size", a.path,
				first.shape(), first.path, a.shape())
		}
		if first := all[0]; a.what != first.what && o.Labelled() {
			return nil, fmt.Errorf("%s: expected %s as in %s, found %s, whose classes are others; name only files of one of the two, or "+
				"leave `classes` out", a.path, first.what, first.path, a.what)
		}
	}
	return all, nil
}

// copyImages puts all images into a store, each cut, scaled and coloured as t says.
func (o *opener) copyImages(s *pixelStore, all []*imageFile, t *transform) error {
	h, w, c := all[0].h, all[0].w, all[0].c
	image := make([]byte, h*w*c)
	row := image // where nothing is to be changed
	_, changes := t.changes(h, w, c)
	if changes {
		row = make([]byte, s.row)
	}
	white := map[bool]float64{true: t.white, false: 255}[t.white > 0]
	table := whiteTable(white)
	at := 0
	var names []string // of classes
	for _, a := range all {
		has := values{0, white} // of bytes
		for i := range a.n {
			if err := o.ctx.Err(); err != nil {
				return err
			}
			if err := a.next(image); err != nil {
				return err
			}
			if a.has == nil && has.Largest < 255 {
				has.Largest = max(has.Largest, float64(topByte(image)))
			}
			if a.has == nil && t.white > 0 {
				if has.Largest > white {
					return fmt.Errorf("%s: image %d: %w", a.path, i, beyondWhite(has.Largest, white))
				}
				for k, v := range image {
					image[k] = table[v]
				}
			}
			if changes {
				t.applyToArray(row, image, h, w, c)
			}
			if err := s.put(at, row); err != nil {
				return err
			}
			if a.label != nil {
				names = append(names, a.label(i))
			}
			if at++; at%1000 == 0 {
				o.reportProgress(at, s.N)
			}
		}
		if a.has != nil {
			has = a.has()
		}
		s.Values = s.Values.or(has)
		if a.end != nil {
			if err := a.end(); err != nil {
				return err
			}
		}
		if err := a.finish(); err != nil {
			return err
		}
	}
	return s.classify(o.Spec, names)
}
