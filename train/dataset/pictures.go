// Pictures: PNG and JPEG files in folders and archives, each made an image of one size.
//
// A picture is decoded, turned upright by its EXIF orientation, laid over white where it is transparent, cut and scaled
// (transform.go). Pictures are in the order of their names, so a folder and an archive of it are the same data. They are
// looked at twice: at first only their headers are read, which tells sizes and colours and finds what claims too much, then
// they are decoded on all processors.
package dataset

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/bep/imagemeta"
	"golang.org/x/sync/semaphore"
)

const (
	// maxPixels bounds one picture, and what is decoded at any moment: four to eight bytes each.
	maxPixels = 1 << 27
	// maxFile bounds the file of a picture.
	maxFile = 1 << 28
	// surveyBytes of a picture are read to find its size; if that is not enough, all.
	surveyBytes = 1 << 17
)

// entry is a file in a folder or archive that may be a picture.
type entry struct {
	name string // below the root, with slashes
	path string // for errors
	size int64
	seq  int // its place in the collection
	// read is the first limit bytes of it, or all.
	read func(limit int64) ([]byte, error)
}

// collection is a folder, an archive or single files.
type collection interface {
	// key adds what tells it from a changed one.
	key() string
	// what is "folder", "ZIP", "TAR".
	what() string
	// walk calls visit for every entry, from several goroutines, until one fails.
	walk(ctx context.Context, visit func(e entry) error) error
}

// surveyed is what the header of a picture says.
type surveyed struct {
	name, path string
	size       int64
	seq        int
	shape      size // upright
	grey       bool
	jpeg       bool
}

func isPicture(head []byte) bool { return isPNG(head) || isJPEG(head) }
func isPNG(head []byte) bool     { return bytes.HasPrefix(head, []byte("\x89PNG\r\n\x1a\n")) }
func isJPEG(head []byte) bool    { return bytes.HasPrefix(head, []byte("\xff\xd8\xff")) }

// hidden tells files that are no data: those of the system, whose names begin with a dot, and a few more.
func hidden(name string) bool {
	return strings.HasPrefix(name, ".") || slices.Contains([]string{"__MACOSX", "Thumbs.db", "desktop.ini"}, name)
}

// gallery is the pictures of all collections.
type gallery struct {
	o       *opener
	parts   []collection
	found   []surveyed       // in the order of the images
	index   []map[string]int // of each part: name -> place in found
	skipped []string
}

// pictures reads collections as one set.
func (o *opener) pictures(parts []collection) (*pixels, error) {
	g := &gallery{o: o, parts: parts}
	key := fmt.Sprintf("crop %s size %s channels %s\n", o.Crop, o.Size, o.Channels)
	for _, p := range parts {
		key += p.what() + "\n" + p.key()
	}
	return o.cached(key, func(newStore func(pixels) (*store, error)) (*store, error) {
		if err := g.survey(); err != nil {
			return nil, err
		}
		shape, c, err := g.shape()
		if err != nil {
			return nil, err
		}
		s, err := newStore(pixels{N: len(g.found), H: shape.h, W: shape.w, C: c, Kind: g.kind(), Note: g.note()})
		if err != nil {
			return nil, err
		}
		return s, g.decode(s)
	})
}

// survey finds the pictures.
func (g *gallery) survey() error {
	var mu sync.Mutex
	looked := 0
	for i, part := range g.parts {
		found := map[string]surveyed{}
		err := part.walk(g.o.ctx, func(e entry) error {
			s, ok, err := look(e)
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			looked++
			g.o.progress(looked, 0)
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
			return fmt.Errorf("%s: expected PNG or JPEG pictures, found no file; copy the pictures into it", g.o.Spec)
		}
		return fmt.Errorf("%s: expected PNG or JPEG pictures, found only other files (%s); convert the pictures to PNG, or give another place", g.o.Spec, baseNames(g.skipped))
	}
	return nil
}

// look reads the header of a picture. ok is false for a file that is none.
func look(e entry) (s surveyed, ok bool, err error) {
	data, err := e.read(surveyBytes)
	if err != nil {
		return s, false, err
	}
	if !isPicture(data) {
		return s, false, nil
	}
	s = surveyed{name: e.name, path: e.path, size: e.size, seq: e.seq, jpeg: isJPEG(data)}
	if e.size > maxFile {
		return s, false, fmt.Errorf("%s: expected a picture in a file of at most %d MiB, found %d MiB; make it smaller", e.path, maxFile>>20, e.size>>20)
	}
	config := func() (image.Config, error) {
		if s.jpeg {
			return jpeg.DecodeConfig(bytes.NewReader(data))
		}
		return png.DecodeConfig(bytes.NewReader(data))
	}
	c, err := config()
	if err != nil && e.size > int64(len(data)) {
		if data, err = e.read(maxFile); err != nil {
			return s, false, err
		}
		c, err = config()
	}
	if err != nil {
		return s, false, badPicture(e.path, s.jpeg, err)
	}
	pixels := int64(c.Width) * int64(c.Height)
	switch {
	case pixels > e.size*deflateRatio: // no JPEG shrinks more either: a block of 64 pixels takes a bit at least
		return s, false, fmt.Errorf("%s: expected %dx%d pixels as its header says, found %d bytes, which cannot hold them; copy or download the file again", e.path, c.Width, c.Height, e.size)
	case pixels > maxPixels:
		return s, false, fmt.Errorf("%s: expected a picture of at most %d million pixels, found %dx%d; make it smaller", e.path, maxPixels/1_000_000, c.Width, c.Height)
	}
	s.shape = size{c.Height, c.Width}
	if orientation(data) >= 5 {
		s.shape = size{c.Width, c.Height}
	}
	switch m := c.ColorModel.(type) {
	case color.Palette:
		s.grey = !slices.ContainsFunc(m, func(c color.Color) bool { r, g, b, _ := c.RGBA(); return r != g || g != b })
	default:
		s.grey = c.ColorModel == color.GrayModel || c.ColorModel == color.Gray16Model || !s.jpeg && len(data) > 25 && data[25] == 4 // PNG's grey with alpha
	}
	return s, true, nil
}

// badPicture is the error for a picture that cannot be decoded.
func badPicture(path string, isJPEG bool, err error) error {
	what, found := "PNG", "damage"
	if isJPEG {
		what = "JPEG"
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: expected a whole %s picture, found one that is cut short; copy or download it again, or remove it", path, what)
	}
	var unsupported jpeg.UnsupportedError
	if errors.As(err, &unsupported) {
		found = "a kind that is not read"
	}
	return fmt.Errorf("%s: expected a whole %s picture, found %s (%w); copy or download it again, convert it to PNG, or remove it", path, what, found, err)
}

// orientation is the EXIF orientation of a picture, 1 (upright) where it says none.
func orientation(data []byte) int {
	format := imagemeta.JPEG
	if isPNG(data) {
		format = imagemeta.PNG
	}
	o := 1
	// Metadata that cannot be read says nothing: the picture is taken as it is.
	imagemeta.Decode(imagemeta.Options{R: bytes.NewReader(data), ImageFormat: format, Sources: imagemeta.EXIF,
		ShouldHandleTag: func(t imagemeta.TagInfo) bool { return t.Tag == "Orientation" && t.Namespace == "IFD0" },
		HandleTag: func(t imagemeta.TagInfo) error {
			if v, ok := t.Value.(uint16); ok && v >= 1 && v <= 8 {
				o = int(v)
			}
			return imagemeta.ErrStopWalking
		}})
	return o
}

// shape is the size and the channels of the images.
func (g *gallery) shape() (size, int, error) {
	c := 1
	switch g.o.Channels {
	case "colour":
		c = 3
	case "":
		for _, s := range g.found {
			if !s.grey {
				c = 3
			}
		}
	}
	crop, _ := parseSize("crop", g.o.Crop)
	want, _ := parseSize("size", g.o.Size)
	if crop != (size{}) {
		for _, s := range g.found {
			if s.shape.h < crop.h || s.shape.w < crop.w {
				return size{}, 0, fmt.Errorf("%s: expected a picture of at least %v pixels (height x width) to cut that out, found %v; give a smaller -crop, or remove it", s.path, crop, s.shape)
			}
		}
		if want == (size{}) {
			want = crop
		}
	}
	if want != (size{}) {
		return want, c, nil
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
			return size{}, 0, fmt.Errorf("%s: expected pictures with sides of at most %d pixels, found %v; scale them with -size N or -size HxW", g.o.Spec, maxSide, s)
		}
		return shapes[0], c, nil
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
	return size{}, 0, fmt.Errorf("%s: expected pictures of one size, found %d sizes, height x width (%s); choose one with -size N or -size HxW", g.o.Spec, len(shapes), strings.Join(list, "; "))
}

// kind is "JPEG", "PNG" or both, and what they are in.
func (g *gallery) kind() string {
	var jpegs int
	for _, s := range g.found {
		if s.jpeg {
			jpegs++
		}
	}
	kind := "JPEG and PNG"
	switch jpegs {
	case 0:
		kind = "PNG"
	case len(g.found):
		kind = "JPEG"
	}
	if len(g.parts) == 1 {
		if what := g.parts[0].what(); what != "" {
			kind += " in a " + what
		}
	}
	return kind
}

func (g *gallery) note() string {
	if len(g.skipped) == 0 {
		return ""
	}
	return fmt.Sprintf("%d other files passed over, no PNG or JPEG (%s)", len(g.skipped), baseNames(g.skipped))
}

// decode puts all pictures into the store.
func (g *gallery) decode(s *store) error {
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
				return nil // an earlier one of that name in the archive, or a change, which the number of pictures tells
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
			if err := t.picture(row, data, of); err != nil {
				return err
			}
			if err := s.put(at, row); err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			count++
			g.o.progress(int(done.Add(1)), len(g.found))
			return nil
		})
		if err != nil {
			return err
		}
		if count < len(g.index[i]) {
			return fmt.Errorf("%s: expected files that stay as they are, but they changed while they were read (%d pictures, then %d); start again when they are complete", g.o.Spec, len(g.index[i]), count)
		}
	}
	return nil
}

// parallel calls f(0), ..., f(n-1) on all processors. Of errors it returns the one with the smallest i, whichever comes
// first.
func parallel(ctx context.Context, n int, f func(i int) error) error {
	var next, failed atomic.Int64
	failed.Store(int64(n))
	var mu sync.Mutex
	var first error
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), n) {
		wg.Go(func() {
			for {
				i := next.Add(1) - 1
				if i >= failed.Load() || ctx.Err() != nil {
					return
				}
				if err := f(int(i)); err != nil {
					mu.Lock()
					if i < failed.Load() {
						failed.Store(i)
						first = err
					}
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	if first != nil {
		return first
	}
	return ctx.Err()
}
