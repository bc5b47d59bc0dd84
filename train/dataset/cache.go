// The cache: decoded pixels in a file of our own, which is mapped into memory.
//
// Images that take time to decode, or that are many, are written once to sigmaz/KEY.pixels in the user's cache folder
// (-cache DIR, or none) and mapped from there at every start; the operating system holds in memory what fits. KEY is the
// SHA-256 of the names, sizes and times of all files and of the settings that pixels depend on, so a changed file gives
// another key. The layout is
//
//	4096 bytes    JSON, padded with spaces: shape, kind, CRC-32C of the pixels
//	N*H*W*C       bytes, one image after the other
//
// Only such private files are mapped, never the user's own: a mapped file that somebody cuts short ends the process
// (SIGBUS), and these are written under another name, renamed when whole, and then left alone. Size and checksum are
// verified at every start; a file that fails is made anew. After a new one is written, those not used for the longest
// time are removed until all take at most 32 GiB. The folder may be deleted whenever no run uses it.
package dataset

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
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

// holdBytes is the most pixels of plain files that are simply read into memory. Tests make it smaller.
var holdBytes = 256 << 20

// pixels is images, and what there is to say about them.
type pixels struct {
	Format string `json:"format"`
	N      int    `json:"n"`
	H      int    `json:"h"`
	W      int    `json:"w"`
	C      int    `json:"c"`
	Kind   string `json:"kind"`
	Note   string `json:"note,omitempty"` // told each time they are read
	Sum    string `json:"sum"`            // of Data.Checksum

	u8     []byte
	mapped bool
}

const cacheFormat = "sigmaz pixels 1"

func (p *pixels) data() kernels.Data { return kernels.Data{N: p.N, H: p.H, W: p.W, C: p.C, U8: p.u8} }

// cache is a folder for pixels; nil is none.
type cache struct{ dir string }

// openCache finds the folder. Without one of the user's choice that can be written it is told once, and there is none.
func (o *opener) openCache() (*cache, error) {
	dir := o.Cache
	switch dir {
	case "none":
		return nil, nil
	case "":
		user, err := os.UserCacheDir()
		if err != nil {
			o.note("cache    none, images are decoded at each start: the user has no cache folder (%v); -cache DIR names one", err)
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
			return nil, setting.Errorf("cache", "is %s: expected a folder that can be written, found an error: %v; choose another, or none", o.Cache, plain(err))
		}
		o.note("cache    none, images are decoded at each start: %s cannot be written (%v); -cache DIR names another place", dir, plain(err))
		return nil, nil
	}
	probe.Close()
	os.Remove(probe.Name())
	return &cache{dir}, nil
}

// plain is an error of the operating system without the path.
func plain(err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}

// key is the name of the file for pixels that depend on what text says.
func (c *cache) path(text string) string {
	return filepath.Join(c.dir, fmt.Sprintf("%x", sha256.Sum256([]byte(cacheFormat+"\n"+text)))[:32]+cacheExt)
}

// fileKey is what tells a file from a changed one.
func fileKey(path string, info fs.FileInfo) string {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	return fmt.Sprintf("%q %d %d\n", path, info.Size(), info.ModTime().UnixNano())
}

// load maps the pixels of a key, nil if there are none that are whole.
func (c *cache) load(path string) *pixels {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	p := &pixels{}
	head := make([]byte, cacheHeader)
	if _, err := f.ReadAt(head, 0); err == nil {
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
	os.Chtimes(path, now, now) // the order in which prune removes
	return p
}

// store takes rows of pixels: in memory, or in a file of the cache.
type store struct {
	pixels
	row  int
	grow bool // take memory as rows come, because their number is only a claim
	path string
	file *os.File
}

// newStore makes room for p.N images in memory or, in a cache, on disk.
func (c *cache) newStore(p pixels, path string, grow bool) (*store, error) {
	s := &store{pixels: p, row: p.H * p.W * p.C, grow: grow, path: path}
	s.Format = cacheFormat
	if c == nil {
		size := float64(p.N) * float64(s.row)
		if have := memory.Host(); have > 0 && size > have {
			return nil, fmt.Errorf("expected pixels that fit in memory where there is no cache, found %d images %dx%dx%d, which take %.1f GiB of %.1f; make them smaller with -size, or give a folder for the cache with -cache", p.N, p.H, p.W, p.C, size/(1<<30), have/(1<<30))
		}
		if !grow {
			s.u8 = make([]byte, p.N*s.row)
		}
		return s, nil
	}
	var err error
	s.file, err = os.CreateTemp(c.dir, "pixels-*.tmp")
	return s, c.failed(err)
}

// failed is the error of a cache that cannot be written.
func (c *cache) failed(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: expected room for the decoded pixels, found an error: %w; make room, or name another folder, or none, with -cache", c.dir, plain(err))
}

// put stores image i. Different images may be put at the same time, unless the store grows.
func (s *store) put(i int, row []byte) error {
	switch {
	case s.file != nil:
		_, err := s.file.WriteAt(row, cacheHeader+int64(i)*int64(s.row))
		return (&cache{filepath.Dir(s.file.Name())}).failed(err)
	case s.grow:
		s.u8 = append(s.u8, row...)
	default:
		copy(s.u8[i*s.row:], row)
	}
	return nil
}

// discard removes what was stored.
func (s *store) discard() {
	if s.file != nil {
		s.file.Close()
		os.Remove(s.file.Name())
	}
}

// finish makes the images last, and returns them.
func (s *store) finish() (*pixels, error) {
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
			s.Note, s.Kind = "", ""
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
		return nil, c.failed(err)
	}
	c.prune(s.path, cacheLimit)
	return &s.pixels, nil
}

// prune removes the files that were not used for the longest time, until all take at most limit bytes, and what broken
// processes left. keep stays. On Unix a run that has one of them mapped goes on with it.
func (c *cache) prune(keep string, limit int64) {
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		return
	}
	type file struct {
		path string
		info fs.FileInfo
	}
	var files []file
	total := int64(0)
	for _, e := range entries {
		info, err := e.Info()
		path := filepath.Join(c.dir, e.Name())
		switch {
		case err != nil || !info.Mode().IsRegular():
		case strings.HasSuffix(e.Name(), cacheExt):
			total += info.Size()
			files = append(files, file{path, info})
		case strings.HasSuffix(e.Name(), ".tmp") && time.Since(info.ModTime()) > 24*time.Hour:
			os.Remove(path)
		}
	}
	slices.SortFunc(files, func(a, b file) int { return a.info.ModTime().Compare(b.info.ModTime()) })
	for _, f := range files {
		if total <= limit {
			return
		}
		if f.path != keep && os.Remove(f.path) == nil {
			total -= f.info.Size()
		}
	}
}
