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
	"errors"
	"fmt"
	"image/color"
	"maps"
	"path"
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
	// hidden tells of a file or folder that is passed over for its name. Nothing but name is set then.
	hidden bool
	// link is what a link in an archive leads to: a path below the root. Nothing but name, path and seq is set then.
	link string
	// read returns the first limit bytes, or all if there are fewer.
	read func(limit int64) ([]byte, error)
}

// surveyed is what the header of a picture says.
type surveyed struct {
	name, path string
	data       string // the name of the file whose data it is, which is another where it is a link
	size       int64
	seq        int
	part       int // the collection, a place in gallery.parts
	encoding   *encoding
	shape      size // upright
	grey       bool
}

// gallery is the pictures of all collections.
type gallery struct {
	o       *opener
	parts   []collection
	found   []surveyed         // in the order of the images
	index   []map[string][]int // for each part: the name of a file -> the places in found that have its data
	skipped []string           // files that are no pictures, with what they are where that is worth a word
	hidden  []string           // names of hidden files and folders
	lost    []string           // links that lead to no picture
	damaged []*damagedPicture
}

// readPictures reads collections as one set.
func (o *opener) readPictures(parts []collection) (*pixels, error) {
	g := &gallery{o: o, parts: parts}
	key := fmt.Sprintf("crop %s size %s channels %s\n", o.Crop, o.Size, o.Channels)
	if o.White != "" {
		key += "white " + o.White + "\n"
	}
	if o.skips() {
		key += "damaged skip\n"
	}
	key += o.labelKey()
	for _, p := range parts {
		key += p.place() + "\n" + p.identity()
	}
	return o.cached(key, false, func(newStore func(pixels) (*pixelStore, error)) error {
		if err := g.survey(); err != nil {
			return err
		}
		shape, err := g.chooseShape()
		if err != nil {
			return err
		}
		s, err := newStore(pixels{N: len(g.found), H: shape.h, W: shape.w, C: g.chooseChannels(), Kind: g.describe()})
		if err != nil {
			return err
		}
		if err := g.decode(s); err != nil {
			return err
		}
		s.Note = g.describePassed()
		if !o.Labelled() {
			return nil
		}
		names, err := g.folderLabels()
		if err != nil {
			return err
		}
		return s.classify(o.Spec, names)
	})
}

// skips tells whether damaged pictures are passed over.
func (s Settings) skips() bool { return s.Damaged == "skip" }

// survey reads the headers of all pictures.
func (g *gallery) survey() error {
	var mu sync.Mutex
	looked := 0
	for i, part := range g.parts {
		found, links := map[string]surveyed{}, map[string]entry{}
		err := part.walk(g.o.ctx, func(e entry) error {
			if e.hidden || e.link != "" {
				mu.Lock()
				defer mu.Unlock()
				if e.hidden {
					g.hidden = append(g.hidden, e.name)
				} else {
					links[e.name] = e
				}
				return nil
			}
			s, what, err := readHeader(e)
			mu.Lock()
			defer mu.Unlock()
			var d *damagedPicture
			if errors.As(err, &d) {
				g.damaged = append(g.damaged, d)
			} else if err != nil {
				return err
			}
			looked++
			g.o.reportProgress(looked, 0)
			if before, twice := found[e.name]; s.encoding != nil && (!twice || before.seq < e.seq) {
				found[e.name] = s // an archive may hold a name twice: the last one counts, as when it is unpacked
			} else if s.encoding == nil && err == nil {
				name := shorten(path.Base(e.name))
				if what != "" {
					name += ": " + what
				}
				g.skipped = append(g.skipped, name)
			}
			return nil
		})
		if err != nil {
			return err
		}
		g.follow(links, found)
		g.index = append(g.index, map[string][]int{})
		for _, name := range slices.Sorted(maps.Keys(found)) {
			s := found[name]
			s.part = i
			g.index[i][s.data] = append(g.index[i][s.data], len(g.found))
			g.found = append(g.found, s)
		}
	}
	slices.SortFunc(g.skipped, func(a, b string) int { // those with a word first
		return cmp.Or(strings.Count(b, ": ")-strings.Count(a, ": "), strings.Compare(a, b))
	})
	if len(g.found) > 0 {
		return nil
	}
	switch {
	case len(g.damaged) > 0:
		return g.damage(0)
	case len(g.skipped) == 0 && strings.HasSuffix(strings.ToLower(g.o.Spec), ".npz"):
		return fmt.Errorf("%s: expected an array, found none; save it again with numpy.savez", g.o.Spec)
	case len(g.skipped) == 0:
		return fmt.Errorf("%s: expected %s pictures, found no file; copy the pictures into it", g.o.Spec,
			encodingNames("or"))
	}
	return fmt.Errorf("%s: expected %s pictures, found only other files (%s); convert the pictures to PNG, "+
		"or give another place", g.o.Spec, encodingNames("or"), listNames(g.skipped))
}

// follow adds what the links of an archive lead to: a picture in it, also by way of other links.
func (g *gallery) follow(links map[string]entry, found map[string]surveyed) {
	targets := map[string]surveyed{}
	for name, e := range links {
		at := e.link
		for range 40 { // as many as Linux follows
			if next, ok := links[at]; ok {
				at = next.link
			}
		}
		if s, ok := found[at]; ok {
			s.name, s.path = name, e.path
			targets[name] = s
		} else {
			g.lost = append(g.lost, name)
		}
	}
	for name, s := range targets {
		if _, file := found[name]; !file {
			found[name] = s
		}
	}
}

// damage is the error for all damaged pictures, of which there are more among the others that were not looked at.
func (g *gallery) damage(whole int) error {
	slices.SortFunc(g.damaged, func(a, b *damagedPicture) int { return strings.Compare(a.path, b.path) })
	if len(g.damaged) == 1 {
		return g.damaged[0]
	}
	var list []string
	for i, d := range g.damaged {
		if i == maxListed {
			list = append(list, fmt.Sprintf("and %d more", len(g.damaged)-i))
			break
		}
		list = append(list, d.path+": "+d.found)
	}
	return fmt.Errorf("%s: expected whole pictures, found %d damaged ones beside %d whole ones (%s); copy or download "+
		"them again, remove them, or pass them over with `damaged` skip", g.o.Spec, len(g.damaged), whole,
		strings.Join(list, "; "))
}

// maxListed is how many damaged pictures an error lists.
const maxListed = 20

// readHeader reads the header of a picture. A file that is none has no encoding; what says for people what it is, where
// its name or its content promised a picture.
func readHeader(e entry) (s surveyed, what string, err error) {
	data, err := e.read(surveyBytes)
	if err != nil {
		return s, "", err
	}
	enc := encodingOf(data)
	if enc == nil {
		what = whatIs(e.name, data, e.size)
		if !namedPicture(e.name) && !strings.HasPrefix(what, "a picture") {
			what = ""
		}
		return s, what, nil
	}
	s = surveyed{name: e.name, path: e.path, data: e.name, size: e.size, seq: e.seq, encoding: enc}
	if e.size > maxFile {
		return surveyed{}, "", fmt.Errorf("%s: expected a picture in a file of at most %d MiB, found %d MiB; make it smaller",
			e.path, maxFile>>20, e.size>>20)
	}
	c, err := enc.decodeConfig(bytes.NewReader(data))
	if err != nil && e.size > int64(len(data)) {
		if data, err = e.read(maxFile); err != nil {
			return surveyed{}, "", err
		}
		c, err = enc.decodeConfig(bytes.NewReader(data))
	}
	if err != nil {
		return surveyed{}, "", enc.damaged(e.path, err)
	}
	if enc.unread != nil {
		if err := enc.unread(data); err != nil {
			return surveyed{}, "", enc.damaged(e.path, err)
		}
	}
	pixels := int64(c.Width) * int64(c.Height)
	switch {
	case enc.density != nil && pixels > e.size*enc.density(data):
		return surveyed{}, "", &damagedPicture{path: e.path, expected: fmt.Sprintf("%dx%d pixels as its header says", c.Width,
			c.Height), found: fmt.Sprintf("%d bytes, which cannot hold them", e.size), todo: "copy or download the file again"}
	case pixels > maxPixels:
		return surveyed{}, "", fmt.Errorf("%s: expected a picture of at most %d million pixels, found %dx%d; make it smaller",
			e.path, maxPixels/1_000_000, c.Width, c.Height)
	}
	s.shape = size{c.Height, c.Width}
	if enc.exifLast != nil && enc.exifLast(data) && e.size > int64(len(data)) {
		if data, err = e.read(maxFile); err != nil {
			return surveyed{}, "", err
		}
	}
	if enc.orientation(data) >= 5 {
		s.shape = size{c.Width, c.Height}
	}
	s.grey = isGreyModel(c.ColorModel) || enc.isGrey != nil && enc.isGrey(data)
	return s, "", nil
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

// describePassed says for people what was passed over, and which folders were not.
func (g *gallery) describePassed() string {
	var says []string
	if len(g.damaged) > 0 {
		var names []string
		for _, d := range g.damaged {
			names = append(names, d.path)
		}
		slices.Sort(names)
		says = append(says, fmt.Sprintf("%d damaged pictures passed over (%s)", len(names), shortNames(names)))
	}
	if len(g.skipped) > 0 {
		says = append(says, fmt.Sprintf("%d other files passed over, no %s (%s)", len(g.skipped), encodingNames("or"),
			listNames(g.skipped)))
	}
	if len(g.lost) > 0 {
		slices.Sort(g.lost)
		says = append(says, fmt.Sprintf("%d links passed over, which lead to no picture in it (%s)", len(g.lost),
			shortNames(g.lost)))
	}
	if len(g.hidden) > 0 {
		slices.Sort(g.hidden)
		says = append(says, fmt.Sprintf("%d files and folders of the system passed over (%s)", len(g.hidden),
			shortNames(g.hidden)))
	}
	if len(g.parts) == 1 {
		if folders := topFolders(g.found); len(folders) > 1 && !g.o.Labelled() {
			name := "name one"
			if g.parts[0].place() != "folder" {
				name = "unpack it and name one"
			}
			says = append(says, fmt.Sprintf("pictures of all folders are taken (%s); %s to learn it alone",
				listNames(folders), name))
		}
	}
	return strings.Join(says, "; ")
}

// commonFolder returns the folder that all pictures lie below, with a slash behind it; "./" is that of the collection.
func commonFolder(found []surveyed) string {
	common := "./"
	for i, s := range found {
		if i == 0 {
			common = path.Dir(s.name) + "/"
		}
		for common != "./" && !strings.HasPrefix(s.name, common) {
			common = path.Dir(path.Dir(common)) + "/"
		}
	}
	return common
}

// topFolders lists the folders that pictures are in, with their numbers: those at the first depth where they part.
func topFolders(found []surveyed) []string {
	if len(found) == 0 {
		return nil
	}
	common := commonFolder(found)
	count := map[string]int{}
	for _, s := range found {
		folder, _, ok := strings.Cut(strings.TrimPrefix(s.name, common), "/")
		if !ok {
			folder = "the folder itself"
		}
		count[shorten(folder)]++
	}
	var list []string
	for _, name := range slices.Sorted(maps.Keys(count)) {
		list = append(list, fmt.Sprintf("%s %d", name, count[name]))
	}
	return list
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
	var bad []int // places in found of damaged pictures
	for i, part := range g.parts {
		expected, count := 0, 0
		for _, places := range g.index[i] {
			expected += len(places)
		}
		err := part.walk(g.o.ctx, func(e entry) error {
			places := g.index[i][e.name]
			if len(places) == 0 || e.hidden || e.link != "" {
				return nil
			}
			of := g.found[places[0]]
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
			has, err := t.applyToPicture(row, data, of)
			var d *damagedPicture
			if err != nil && !errors.As(err, &d) {
				return err
			}
			for _, at := range places {
				if err := s.put(at, row); err != nil {
					return err
				}
			}
			mu.Lock()
			defer mu.Unlock()
			if d != nil {
				g.damaged = append(g.damaged, d)
				bad = append(bad, places...)
			}
			s.Values = s.Values.or(has)
			count += len(places)
			g.o.reportProgress(int(done.Add(1)), len(g.found))
			return nil
		})
		if err != nil {
			return err
		}
		if count < expected {
			return fmt.Errorf("%s: expected files that stay as they are, but they changed while they were read (%d pictures, "+
				"then %d); start again when they are complete", g.o.Spec, expected, count)
		}
	}
	switch whole := len(g.found) - len(bad); {
	case len(g.damaged) == 0:
		return nil
	case !g.o.skips() || whole == 0:
		return g.damage(whole)
	}
	slices.Sort(bad)
	for i, at := range bad {
		g.found = slices.Delete(g.found, at-i, at-i+1)
	}
	return s.remove(bad)
}
