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
//	              where labels are asked for, the classes and the labels as JSON
//
// Only these files are mapped, never the user's own. They are written under another name, renamed when they are whole,
// and left alone from then on; when somebody cuts one short all the same, package mapped makes an error of it. At every
// start owner, size and checksum are verified, and a file that fails is made anew: another user's is not believed, and
// in a folder that the setting names each user has files of their own. After a new one is written, the files that were
// not used for the longest time are removed until all take at most 32 GiB. Files that are not known as the user's cache
// by name, owner and first bytes are not touched. The folder may be deleted whenever no run uses it.

package dataset

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sigmaz/internal/atomicfile"
	"sigmaz/internal/mapped"
	"sigmaz/internal/memory"
	"sigmaz/internal/ownfile"
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
	// LabelBytes is the size of the labels behind the images; 0: there are none.
	LabelBytes int64 `json:"label_bytes,omitempty"`

	labelling `json:"-"`
	u8        []byte
	mapped    bool
}

const cacheFormat = "sigmaz pixels 1"

// cacheMagic is how every file of the cache begins, of this format and of others.
const cacheMagic = `{"format":"sigmaz pixels `

// size returns the bytes of all images. ok is false where the header claims what no file can hold.
func (p *pixels) size() (size int64, ok bool) {
	size = 1
	for _, n := range []int{p.N, p.H, p.W, p.C} {
		if n < 1 || int64(n) > math.MaxInt64/4/size {
			return 0, false
		}
		size *= int64(n)
	}
	return size, int64(int(size)) == size
}

func (p *pixels) data() kernels.Data { return kernels.Data{N: p.N, H: p.H, W: p.W, C: p.C, U8: p.u8} }

// cache is a folder for pixels; nil is none.
type cache struct {
	dir  string
	user string                           // part of all keys where several users may share the folder
	note func(format string, args ...any) // see opener
}

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
		probe, err = atomicfile.Create(filepath.Join(dir, cacheProbe), 0o600)
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
	c := &cache{dir: dir, note: o.note}
	if uid := os.Geteuid(); o.Cache != "" && uid >= 0 {
		c.user = fmt.Sprintf("user %d\n", uid)
	}
	return c, nil
}

// cacheProbe is the name by which a folder is tried.
const cacheProbe = "sigmaz-probe"

// path returns the file for pixels that are a function of what text says.
func (c *cache) path(text string) string {
	return filepath.Join(c.dir, fmt.Sprintf("%x", sha256.Sum256([]byte(cacheFormat+"\n"+c.user+text)))[:32]+cacheExt)
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
	f, err := ownfile.Open(path, os.O_RDONLY)
	if err != nil {
		return nil
	}
	defer f.Close()
	head := make([]byte, cacheHeader)
	_, err = f.ReadAt(head, 0)
	info, statErr := f.Stat()
	if err != nil || statErr != nil || !ownfile.Mine(info) {
		return nil
	}
	p := parseHeader(head, info.Size())
	if p == nil || p.take(f, path) != nil || p.checksum() != p.Sum {
		return nil
	}
	now := time.Now()
	os.Chtimes(path, now, now) // prune removes by these times
	return p
}

// parseHeader reads the header of a file of the cache, which has so many bytes in all. It returns nil if they cannot
// belong together.
func parseHeader(head []byte, bytesInAll int64) *pixels {
	p := &pixels{}
	if json.Unmarshal(bytes.TrimRight(head, " "), p) != nil || p.Format != cacheFormat {
		return nil
	}
	if size, ok := p.size(); !ok || p.LabelBytes < 0 || bytesInAll-cacheHeader-size != p.LabelBytes {
		return nil
	}
	return p
}

// take maps the images of a file, which is or will be at path.
func (p *pixels) take(f *os.File, path string) error {
	size, ok := p.size()
	if !ok {
		return errors.New("more pixels than memory can have")
	}
	all, isMapped, err := mapped.File(f, cacheHeader+size, path)
	if err != nil {
		return err
	}
	p.u8, p.mapped = all[cacheHeader:], isMapped
	if p.LabelBytes == 0 || p.Labels != nil {
		return nil
	}
	text := make([]byte, p.LabelBytes)
	if _, err := f.ReadAt(text, cacheHeader+size); err != nil {
		return err
	}
	if err := json.Unmarshal(text, &p.labelling); err != nil {
		return err
	}
	return p.labelling.check(p.N)
}

// checksum returns [Set.Sum] of the images, or "" if their file cannot be read any more.
func (p *pixels) checksum() (sum string) {
	d := p.data()
	if guarded(func() error { sum = checksum(&d); return nil }) != nil {
		return ""
	}
	return p.labelling.sum(sum)
}

// pixelStore is where images are put one by one: in memory, or in a file of the cache.
type pixelStore struct {
	pixels
	row  int      // bytes of an image
	grow bool     // take memory as images come, because their number is only a claim
	to   *cache   // where the file is
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
	s := &pixelStore{pixels: p, row: p.H * p.W * p.C, grow: grow, to: c, path: path}
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
	s.file, err = atomicfile.Create(path, 0o600)
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
		return s.to.writeError(err)
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
				return s.to.writeError(err)
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
	return s.to.writeError(s.file.Truncate(cacheHeader + int64(to)*int64(s.row)))
}

// classify gives the images their classes by names; nil: none are asked for. where says for an error what they are of.
func (s *pixelStore) classify(where string, names []string) (err error) {
	if names != nil {
		s.labelling, err = classify(where, names)
	}
	return err
}

// writeLabels writes the labels, if there are any, behind the images in the file.
func (s *pixelStore) writeLabels() error {
	size, ok := s.size()
	if s.Labels == nil || !ok {
		return nil
	}
	text, err := json.Marshal(s.labelling)
	if err == nil {
		s.LabelBytes = int64(len(text))
		_, err = s.file.WriteAt(text, cacheHeader+size)
	}
	return err
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
		s.Sum = s.checksum()
		return &s.pixels, nil
	}
	err := s.writeLabels()
	if err == nil {
		err = s.take(s.file, s.path)
	}
	if err == nil {
		s.Sum = s.checksum()
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
		err = atomicfile.Commit(s.file, s.path)
	}
	var refused *fs.PathError
	if errors.As(err, &refused) && refused.Op == "rename" { // the name is somebody else's: the images are here all the same
		s.discard()
		s.to.note("cache    the decoded images are not kept for the next start: %s cannot be replaced (%v); `cache` DIR names "+
			"another place", s.path, refused.Err)
		return &s.pixels, nil
	}
	if err != nil {
		s.discard()
		return nil, s.to.writeError(err)
	}
	s.to.prune(s.path, cacheLimit)
	return &s.pixels, nil
}

// isCacheName tells whether a file name is one that [cache.path] makes.
func isCacheName(name string) bool {
	key, ok := strings.CutSuffix(name, cacheExt)
	return ok && len(key) == 32 && strings.Trim(key, "0123456789abcdef") == ""
}

// isCacheFile tells whether the file at path begins like one of the cache.
func isCacheFile(path string) bool {
	f, err := ownfile.Open(path, os.O_RDONLY)
	if err != nil {
		return false
	}
	defer f.Close()
	var b [len(cacheMagic)]byte
	_, err = f.ReadAt(b[:], 0)
	return err == nil && string(b[:]) == cacheMagic
}

// prune removes the user's files that were not used for the longest time, until all take at most limit bytes, and what
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
		temp := atomicfile.TempOf(e.Name())
		switch {
		case err != nil || !info.Mode().IsRegular() || !ownfile.Mine(info):
		case isCacheName(e.Name()) && isCacheFile(path):
			total += info.Size()
			files = append(files, cachedFile{path, info})
		case (isCacheName(temp) || temp == cacheProbe) && time.Since(info.ModTime()) > 24*time.Hour:
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
