// Pictures in folders and archives: each becomes an image of one size.
//
// They are read twice. First, only their headers: these tell sizes and colours, and which pictures claim more than
// their files can hold. Then all are decoded, on all processors, and transformed (transform.go). Images are in the
// order of the names of the pictures, so a folder and an archive of it are the same data.

package dataset

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"image/color"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/semaphore"
)

const (
	// maxPixels bounds one picture, and all that are decoded at any moment. A pixel takes four to eight bytes.
	maxPixels = 1 << 27
	// maxFile bounds the file of a picture.
	maxFile = 1 << 28
	// surveyBytes is how much of a file is read for its header. Where that is not enough, all of it is read.
	surveyBytes = 1 << 17
)

// collection is a folder, an archive or files that were named one by one: what may hold pictures.
type collection interface {
	// place says for people what the files are in: "folder", "ZIP", "TAR", "" for none of these.
	place() string
	// identity is a text that differs if any of the files is replaced or changed.
	identity() string
	// walk calls visit for every file, from several goroutines, until one call fails.
	walk(ctx context.Context, visit func(e entry) error) error
}

// entry is a file in a collection, which may be a picture.
type entry struct {
	name string // below the root of the collection, with slashes
	path string // for errors
	size int64
	seq  int // its place in the collection
	// read returns the first limit bytes, or all if there are fewer.
	read func(limit int64) ([]byte, error)
}

// surveyed is what the header of a picture says.
type surveyed struct {
	name, path string
	size       int64
	seq        int
	encoding   *encoding
	shape      size // upright
	grey       bool
}

// gallery is the pictures of all collections.
type gallery struct {
	o       *opener
	parts   []collection
	found   []surveyed       // in the order of the images
	index   []map[string]int // for each part: the name of a picture -> its place in found
	skipped []string         // names of files that are no pictures
}

// readPictures reads collections as one set.
func (o *opener) readPictures(parts []collection) (*pixels, error) {
	g := &gallery{o: o, parts: parts}
	key := fmt.Sprintf("crop %s size %s channels %s\n", o.Crop, o.Size, o.Channels)
	for _, p := range parts {
		key += p.place() + "\n" + p.identity()
	}
	return o.cached(key, func(newStore func(pixels) (*pixelStore, error)) error {
		if err := g.survey(); err != nil {
			return err
		}
		shape, err := g.chooseShape()
		if err != nil {
			return err
		}
		s, err := newStore(pixels{
			N: len(g.found), H: shape.h, W: shape.w, C: g.chooseChannels(), Kind: g.describe(), Note: g.describeSkipped(),
		})
		if err != nil {
			return err
		}
		return g.decode(s)
	})
}

// survey reads the headers of all pictures.
func (g *gallery) survey() error {
	var mu sync.Mutex
	looked := 0
	for i, part := range g.parts {
		found := map[string]surveyed{}
		err := part.walk(g.o.ctx, func(e entry) error {
			s, ok, err := readHeader(e)
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			looked++
			g.o.reportProgress(looked, 0)
			if before, twice := found[e.name]; ok && (!twice || before.seq < e.seq) {
				found[e.name] = s // an archive may hold a name twice: the last one counts, as when it is unpacked
			} else if !ok {
				g.skipped = append(g.skipped, e.name)
			}
			return nil
		})
		if err != nil {
			return err
		}
		names := make([]string, 0, len(found))
		for name := range found {
			names = append(names, name)
		}
		slices.Sort(names)
		g.index = append(g.index, map[string]int{})
		for _, name := range names {
			g.index[i][name] = len(g.found)
			g.found = append(g.found, found[name])
		}
	}
	slices.Sort(g.skipped)
	if len(g.found) == 0 {
		if len(g.skipped) == 0 {
			return fmt.Errorf("%s: expected %s pictures, found no file; copy the pictures into it", g.o.Spec,
				encodingNames("or"))
		}
		return fmt.Errorf("%s: expected %s pictures, found only other files (%s); convert the pictures to PNG, "+
			"or give another place", g.o.Spec, encodingNames("or"), baseNames(g.skipped))
	}
	return nil
}

// readHeader reads the header of a picture. ok is false for a file that is none.
func readHeader(e entry) (s surveyed, ok bool, err error) {
	data, err := e.read(surveyBytes)
	if err != nil {
		return s, false, err
	}
	enc := encodingOf(data)
	if enc == nil {
		return s, false, nil
	}
	s = surveyed{name: e.name, path: e.path, size: e.size, seq: e.seq, encoding: enc}
	if e.size > maxFile {
		return s, false, fmt.Errorf("%s: expected a picture in a file of at most %d MiB, found %d MiB; make it smaller",
			e.path, maxFile>>20, e.size>>20)
	}
	c, err := enc.decodeConfig(bytes.NewReader(data))
	if err != nil && e.size > int64(len(data)) {
		if data, err = e.read(maxFile); err != nil {
			return s, false, err
		}
		c, err = enc.decodeConfig(bytes.NewReader(data))
	}
	if err != nil {
		return s, false, enc.damaged(e.path, err)
	}
	if enc.unread != nil {
		if err := enc.unread(data); err != nil {
			return s, false, enc.damaged(e.path, err)
		}
	}
	pixels := int64(c.Width) * int64(c.Height)
	switch {
	case enc.density != nil && pixels > e.size*enc.density(data):
		return s, false, fmt.Errorf("%s: expected %dx%d pixels as its header says, found %d bytes, which cannot hold them; "+
			"copy or download the file again", e.path, c.Width, c.Height, e.size)
	case pixels > maxPixels:
		return s, false, fmt.Errorf("%s: expected a picture of at most %d million pixels, found %dx%d; make it smaller",
			e.path, maxPixels/1_000_000, c.Width, c.Height)
	}
	s.shape = size{c.Height, c.Width}
	if enc.exifLast != nil && enc.exifLast(data) && e.size > int64(len(data)) {
		if data, err = e.read(maxFile); err != nil {
			return s, false, err
		}
	}
	if enc.orientation(data) >= 5 {
		s.shape = size{c.Width, c.Height}
	}
	s.grey = isGreyModel(c.ColorModel) || enc.isGrey != nil && enc.isGrey(data)
	return s, true, nil
}

// isGreyModel tells whether a colour model, which may be a palette, has greys alone.
func isGreyModel(m color.Model) bool {
	if palette, ok := m.(color.Palette); ok {
		return !slices.ContainsFunc(palette, func(c color.Color) bool { r, g, b, _ := c.RGBA(); return r != g || g != b })
	}
	return m == color.GrayModel || m == color.Gray16Model
}

// chooseChannels returns the channels of the images.
func (g *gallery) chooseChannels() int {
	if g.o.Channels != "" {
		return channelsOf[g.o.Channels]
	}
	if slices.ContainsFunc(g.found, func(s surveyed) bool { return !s.grey }) {
		return 3
	}
	return 1
}

// chooseShape returns the size of the images: the one that the settings ask for, or that of all pictures.
func (g *gallery) chooseShape() (size, error) {
	crop, _ := parseSize("crop", g.o.Crop)
	want, _ := parseSize("size", g.o.Size)
	if crop != (size{}) {
		for _, s := range g.found {
			if s.shape.h < crop.h || s.shape.w < crop.w {
				return size{}, fmt.Errorf("%s: expected a picture of at least %v pixels (height x width) to cut that out, "+
					"found %v; give a smaller `crop`, or remove it", s.path, crop, s.shape)
			}
		}
		if want == (size{}) {
			want = crop
		}
	}
	if want != (size{}) {
		return want, nil
	}

	count, first := map[size]int{}, map[size]string{}
	var shapes []size
	for _, s := range g.found {
		if count[s.shape]++; count[s.shape] == 1 {
			first[s.shape] = s.name
			shapes = append(shapes, s.shape)
		}
	}
	if len(shapes) == 1 {
		if s := shapes[0]; s.h > maxSide || s.w > maxSide {
			return size{}, fmt.Errorf("%s: expected pictures with sides of at most %d pixels, found %v; "+
				"scale them with `size` N or `size` HxW", g.o.Spec, maxSide, s)
		}
		return shapes[0], nil
	}
	slices.SortStableFunc(shapes, func(a, b size) int { return cmp.Compare(count[b], count[a]) })
	var list []string
	for i, s := range shapes {
		if i == 3 {
			list = append(list, fmt.Sprintf("and %d more", len(shapes)-i))
			break
		}
		list = append(list, fmt.Sprintf("%v: %d, such as %s", s, count[s], first[s]))
	}
	return size{}, fmt.Errorf("%s: expected pictures of one size, found %d sizes, height x width (%s); "+
		"choose one with `size` N or `size` HxW", g.o.Spec, len(shapes), strings.Join(list, "; "))
}

// describe says for people what the pictures are, such as "JPEG and PNG in a folder".
func (g *gallery) describe() string {
	var names []string
	for _, s := range g.found {
		if !slices.Contains(names, s.encoding.name) {
			names = append(names, s.encoding.name)
		}
	}
	slices.Sort(names)
	text := joinNames(names, "and")
	if len(g.parts) == 1 {
		if place := g.parts[0].place(); place != "" {
			text += " in a " + place
		}
	}
	return text
}

// describeSkipped says for people which files were passed over.
func (g *gallery) describeSkipped() string {
	if len(g.skipped) == 0 {
		return ""
	}
	return fmt.Sprintf("%d other files passed over, no %s (%s)", len(g.skipped), encodingNames("or"), baseNames(g.skipped))
}

// decode decodes all pictures into the store.
func (g *gallery) decode(s *pixelStore) error {
	t, err := newTransform(g.o.Settings, s.C)
	if err != nil {
		return err
	}
	sem := semaphore.NewWeighted(maxPixels)
	var done atomic.Int64
	var mu sync.Mutex
	for i, part := range g.parts {
		count := 0
		err := part.walk(g.o.ctx, func(e entry) error {
			at, ok := g.index[i][e.name]
			if !ok {
				return nil
			}
			of := g.found[at]
			if e.size != of.size || e.seq != of.seq {
				// An earlier file of that name in the archive; or it has changed, and then the count below is too small.
				return nil
			}
			weight := max(1, min(int64(of.shape.h)*int64(of.shape.w), maxPixels))
			if err := sem.Acquire(g.o.ctx, weight); err != nil {
				return err
			}
			defer sem.Release(weight)
			data, err := e.read(maxFile)
			if err != nil {
				return err
			}
			row := make([]byte, s.row)
			if err := t.applyToPicture(row, data, of); err != nil {
				return err
			}
			if err := s.put(at, row); err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			count++
			g.o.reportProgress(int(done.Add(1)), len(g.found))
			return nil
		})
		if err != nil {
			return err
		}
		if count < len(g.index[i]) {
			return fmt.Errorf("%s: expected files that stay as they are, but they changed while they were read (%d pictures, "+
				"then %d); start again when they are complete", g.o.Spec, len(g.index[i]), count)
		}
	}
	return nil
}
