// The cache: decoded pixels in files of our own, which are mapped into memory.
//
// Images that take time to decode, or that are many, are written once to a file and mapped from there at every start.
// The operating system keeps in memory what fits. The file is sigmaz/KEY.pixels in the user's cache folder, or
// KEY.pixels in the folder that the setting cache names. KEY is 32 digits of the SHA-256 of the paths, sizes and
// times of all files read and of the settings that pixels depend on, so a changed file gets another key. The layout
// is
//
//	4096 bytes    JSON, padded with spaces: shape, what the images are, CRC-32C
//	N*H*W*C       bytes, one image after the other
//
// Only these files are mapped, never the user's own: when a mapped file is cut short, reading it ends the process
// (SIGBUS). These are written under another name, renamed when they are whole, and left alone from then on. At every
// start the size and the checksum are verified, and a file that fails is made anew. After a new one is written, the
// files that were not used for the longest time are removed until all take at most 32 GiB. The folder may be deleted
// whenever no run uses it.

package dataset

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sigmaz/internal/memory"
	"sigmaz/internal/setting"
	"sigmaz/kernels"
)

const (
	cacheHeader = 4096
	cacheExt    = ".pixels"
	cacheLimit  = 32 << 30
)

// holdBytes is the most bytes of images that are read into memory, where no decoding is saved by the cache. Tests
// make it smaller.
var holdBytes = 256 << 20

// pixels is images and what the header of their file says about them.
type pixels struct {
	Format string `json:"format"`
	N      int    `json:"n"`
	H      int    `json:"h"`
	W      int    `json:"w"`
	C      int    `json:"c"`
	Kind   string `json:"kind"`           // what they are, for people: "JPEG in a ZIP"
	Note   string `json:"note,omitempty"` // for Source.Note, each time that they are read
	Sum    string `json:"sum"`            // Set.Sum
	Values values `json:"values,omitzero"`

	u8     []byte
	mapped bool
}

const cacheFormat = "sigmaz pixels 1"

func (p *pixels) data() kernels.Data { return kernels.Data{N: p.N, H: p.H, W: p.W, C: p.C, U8: p.u8} }

// cache is a folder for pixels; nil is none.
type cache struct{ dir string }

// openCache finds the folder, or makes it. There is none if the setting says so, or if the user's cache folder cannot
// be written, which is noted. A folder that the setting names has to be one that can be written.
func (o *opener) openCache() (*cache, error) {
	dir := o.Cache
	switch dir {
	case "none":
		return nil, nil
	case "":
		user, err := os.UserCacheDir()
		if err != nil {
			o.note("cache    none, images are decoded at each start: the user has no cache folder (%v); "+
				"`cache` DIR names one", err)
			return nil, nil
		}
		dir = filepath.Join(user, "sigmaz")
	}
	err := os.MkdirAll(dir, 0o700)
	var probe *os.File
	if err == nil {
		probe, err = os.CreateTemp(dir, "probe-*.tmp")
	}
	if err != nil {
		if o.Cache != "" {
			return nil, setting.Errorf("cache", "is %s: expected a folder that can be written, found an error: %v; "+
				"choose another, or none", o.Cache, withoutPath(err))
		}
		o.note("cache    none, images are decoded at each start: %s cannot be written (%v); `cache` DIR names another place",
			dir, withoutPath(err))
		return nil, nil
	}
	probe.Close()
	os.Remove(probe.Name())
	return &cache{dir}, nil
}

// path returns the file for pixels that are a function of what text says.
func (c *cache) path(text string) string {
	return filepath.Join(c.dir, fmt.Sprintf("%x", sha256.Sum256([]byte(cacheFormat+"\n"+text)))[:32]+cacheExt)
}

// fileIdentity is a text that differs if the file at path is replaced or changed.
func fileIdentity(path string, info fs.FileInfo) string {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	return fmt.Sprintf("%q %d %d\n", path, info.Size(), info.ModTime().UnixNano())
}

// load maps the file at path. It returns nil if there is none that is whole.
func (c *cache) load(path string) *pixels {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	p := &pixels{}
	head := make([]byte, cacheHeader)
	if _, err = f.ReadAt(head, 0); err == nil {
		err = json.Unmarshal(bytes.TrimRight(head, " "), p)
	}
	info, statErr := f.Stat()
	size := int64(p.N) * int64(p.H) * int64(p.W) * int64(p.C)
	if err != nil || statErr != nil || p.Format != cacheFormat || p.N < 1 || size < 1 || info.Size() != cacheHeader+size {
		return nil
	}
	all, mapped, err := mapFile(f, info.Size())
	if err != nil {
		return nil
	}
	p.u8, p.mapped = all[cacheHeader:], mapped
	d := p.data()
	if checksum(&d) != p.Sum {
		return nil
	}
	now := time.Now()
	os.Chtimes(path, now, now) // prune removes by these times
	return p
}

// pixelStore is where images are put one by one: in memory, or in a file of the cache.
type pixelStore struct {
	pixels
	row  int      // bytes of an image
	grow bool     // take memory as images come, because their number is only a claim
	path string   // of the whole file
	file *os.File // the file while it is written; nil: in memory
}

// cached returns the pixels for a key from the cache, or makes them: fill gets a store from newStore and puts all
// images into it. grow says that their number is only a claim.
func (o *opener) cached(key string, grow bool, fill func(newStore func(pixels) (*pixelStore, error)) error) (
	*pixels, error) {
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
	var s *pixelStore
	err = fill(func(p pixels) (_ *pixelStore, err error) {
		s, err = c.newStore(p, path, grow)
		return s, err
	})
	if err != nil {
		if s != nil {
			s.discard()
		}
		return nil, err
	}
	return s.finish()
}

// newStore makes room for p.N images on disk, or in memory where there is no cache.
func (c *cache) newStore(p pixels, path string, grow bool) (*pixelStore, error) {
	s := &pixelStore{pixels: p, row: p.H * p.W * p.C, grow: grow, path: path}
	s.Format = cacheFormat
	if c == nil {
		size := float64(p.N) * float64(s.row)
		if have := memory.Host(); have > 0 && size > have {
			return nil, fmt.Errorf("expected pixels that fit in memory where there is no cache, found %d images %dx%dx%d, "+
				"which take %.1f GiB of %.1f; make them smaller with `size`, or give a folder for the cache with `cache`", p.N, p.H,
				p.W, p.C, size/(1<<30), have/(1<<30))
		}
		if !grow {
			s.u8 = make([]byte, p.N*s.row)
		}
		return s, nil
	}
	var err error
	s.file, err = os.CreateTemp(c.dir, "pixels-*.tmp")
	return s, c.writeError(err)
}

// writeError is the error of a cache that cannot be written; nil for nil.
func (c *cache) writeError(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: expected room for the decoded pixels, found an error: %w; make room, or name another folder, "+
		"or none, with `cache`", c.dir, withoutPath(err))
}

// put stores image i. Several goroutines may put different images, unless the store grows: then they come in order.
func (s *pixelStore) put(i int, row []byte) error {
	switch {
	case s.file != nil:
		_, err := s.file.WriteAt(row, cacheHeader+int64(i)*int64(s.row))
		return (&cache{filepath.Dir(s.file.Name())}).writeError(err)
	case s.grow:
		s.u8 = append(s.u8, row...)
	default:
		copy(s.u8[i*s.row:], row)
	}
	return nil
}

// remove takes some images out, whose places rise, and closes the gaps.
func (s *pixelStore) remove(places []int) error {
	to := 0
	row := make([]byte, s.row)
	for i := range s.N {
		if len(places) > 0 && places[0] == i {
			places = places[1:]
			continue
		}
		switch {
		case to == i:
		case s.file != nil:
			if _, err := s.file.ReadAt(row, cacheHeader+int64(i)*int64(s.row)); err != nil {
				return (&cache{filepath.Dir(s.file.Name())}).writeError(err)
			}
			if err := s.put(to, row); err != nil {
				return err
			}
		default:
			copy(s.u8[to*s.row:(to+1)*s.row], s.u8[i*s.row:])
		}
		to++
	}
	s.N = to
	if s.file == nil {
		s.u8 = s.u8[:to*s.row]
		return nil
	}
	return (&cache{filepath.Dir(s.file.Name())}).writeError(s.file.Truncate(cacheHeader + int64(to)*int64(s.row)))
}

// discard removes what was stored.
func (s *pixelStore) discard() {
	if s.file != nil {
		s.file.Close()
		os.Remove(s.file.Name())
	}
}

// finish completes the file and returns the images.
func (s *pixelStore) finish() (*pixels, error) {
	if s.file == nil {
		d := s.data()
		s.Sum = checksum(&d)
		return &s.pixels, nil
	}
	c := &cache{filepath.Dir(s.path)}
	all, mapped, err := mapFile(s.file, cacheHeader+int64(s.N)*int64(s.row))
	if err == nil {
		s.u8, s.mapped = all[cacheHeader:], mapped
		d := s.data()
		s.Sum = checksum(&d)
		var head []byte
		if head, err = json.Marshal(s.pixels); err == nil && len(head) > cacheHeader {
			s.Note = ""
			head, err = json.Marshal(s.pixels)
		}
		if err == nil {
			_, err = s.file.WriteAt(append(head, bytes.Repeat([]byte(" "), cacheHeader-len(head))...), 0)
		}
	}
	if err == nil {
		err = s.file.Sync()
	}
	if err == nil {
		err = s.file.Close()
	}
	if err == nil {
		err = os.Rename(s.file.Name(), s.path)
	}
	if err != nil {
		s.discard()
		return nil, c.writeError(err)
	}
	c.prune(s.path, cacheLimit)
	return &s.pixels, nil
}

// prune removes the files that were not used for the longest time, until all take at most limit bytes, and what
// processes left that were stopped while they wrote. The file keep stays. On Unix, a run goes on with a removed file
// that it has mapped.
func (c *cache) prune(keep string, limit int64) {
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		return
	}
	type cachedFile struct {
		path string
		info fs.FileInfo
	}
	var files []cachedFile
	total := int64(0)
	for _, e := range entries {
		info, err := e.Info()
		path := filepath.Join(c.dir, e.Name())
		switch {
		case err != nil || !info.Mode().IsRegular():
		case strings.HasSuffix(e.Name(), cacheExt):
			total += info.Size()
			files = append(files, cachedFile{path, info})
		case strings.HasSuffix(e.Name(), ".tmp") && time.Since(info.ModTime()) > 24*time.Hour:
			os.Remove(path)
		}
	}
	slices.SortFunc(files, func(a, b cachedFile) int { return a.info.ModTime().Compare(b.info.ModTime()) })
	for _, f := range files {
		if total <= limit {
			return
		}
		if f.path != keep && os.Remove(f.path) == nil {
			total -= f.info.Size()
		}
	}
}
