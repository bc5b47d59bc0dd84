// The cache: what is in it is what was decoded, and what is wrong with it or its place stops nothing.

package dataset

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"sigmaz/internal/mapped"
	"sigmaz/internal/ownfile"
	"sigmaz/kernels"
)

// cachedFiles lists what a cache folder holds.
func cachedFiles(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestCache(t *testing.T) {
	folder, dir := write(t, fourPictures(t)), filepath.Join(t.TempDir(), "cache")
	decoded := 0
	from := Source{Spec: folder, Cache: dir, Progress: func(done, total int) {
		if total > 0 {
			decoded++
		}
	}}
	open := func() *Set {
		t.Helper()
		decoded = 0
		s, err := from.Open(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	first := open()
	pixels := slices.Clone(first.U8)
	files := cachedFiles(t, dir)
	if decoded != 4 || len(files) != 1 {
		t.Fatalf("%d pictures decoded, in the cache %v", decoded, files)
	}
	if again := open(); decoded != 0 || again.Sum != first.Sum || !bytes.Equal(again.U8, pixels) ||
		again.Name != first.Name {
		t.Errorf("the second time %d pictures were decoded, to %s %s instead of %s %s", decoded, again.Sum, again.Name,
			first.Sum, first.Name)
	}

	var head map[string]any

	// Damage, of the pixels, the header or the length, is found, and the file made anew.
	whole, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(b []byte) []byte{
		"pixel":  func(b []byte) []byte { b[len(b)-5] ^= 1; return b },
		"header": func(b []byte) []byte { b[3] = 'x'; return b },
		"short":  func(b []byte) []byte { return b[:len(b)-1] },
		"empty":  func(b []byte) []byte { return nil },
	} {
		os.Remove(files[0]) // never over a file that is mapped
		if err := os.WriteFile(files[0], spoil(slices.Clone(whole)), 0o666); err != nil {
			t.Fatal(err)
		}
		if s := open(); decoded != 4 || !bytes.Equal(s.U8, pixels) {
			t.Errorf("%s: %d pictures decoded", name, decoded)
		}
		if now, _ := os.ReadFile(files[0]); !bytes.Equal(now, whole) {
			t.Errorf("%s: the file was not mended", name)
		}
	}

	// A file of an earlier version, whose header has no values, is as good.
	if err := json.Unmarshal(bytes.TrimRight(whole[:cacheHeader], " "), &head); err != nil || head["values"] == nil {
		t.Fatal(head, err)
	}
	delete(head, "values")
	text, err := json.Marshal(head)
	if err != nil {
		t.Fatal(err)
	}
	old := append(append(text, bytes.Repeat([]byte(" "), cacheHeader-len(text))...), whole[cacheHeader:]...)
	os.Remove(files[0])
	if err := os.WriteFile(files[0], old, 0o666); err != nil {
		t.Fatal(err)
	}
	if s := open(); decoded != 0 || !bytes.Equal(s.U8, pixels) || s.Name != first.Name {
		t.Errorf("a file of an earlier version: %d pictures decoded", decoded)
	}

	// Another time, size or setting is another key.
	if err := os.Chtimes(filepath.Join(folder, "c.png"), time.Now(), time.Unix(1e9, 5)); err != nil {
		t.Fatal(err)
	}
	if open(); decoded != 4 {
		t.Error("a file with a new time was taken from the cache")
	}
	from.Size = "3"
	if s := open(); decoded != 4 || s.H != 3 {
		t.Error("another size was taken from the cache")
	}
	if n := len(cachedFiles(t, dir)); n != 3 {
		t.Errorf("%d files in the cache, expected 3", n)
	}
	from.Cache = "none"
	if s := open(); decoded != 4 || s.Mapped {
		t.Error("without a cache pictures came from it")
	}
}

func TestCachePlaces(t *testing.T) {
	folder := write(t, map[string][]byte{"a.png": pngOf(t, gradient(6, 8, 1))})
	blocked := filepath.Join(folder, "a.png", "cache") // below a file nothing can be made
	var notes []string
	from := Source{Spec: folder, Note: func(l string) { notes = append(notes, l) }}

	t.Setenv("XDG_CACHE_HOME", blocked)
	if os.Getenv("HOME") != "" {
		t.Setenv("HOME", blocked)
	}
	for name, want := range map[string]string{"read-only": "cannot be written",
		"no HOME": "the user has no cache folder"} {
		if name == "no HOME" {
			t.Setenv("XDG_CACHE_HOME", "")
			t.Setenv("HOME", "")
			t.Setenv("LocalAppData", "")
		}
		notes = nil
		s, err := from.Open(context.Background())
		if err != nil || s.N != 1 || s.Mapped {
			t.Fatalf("%s: %v", name, err)
		}
		if name == "read-only" && os.Getenv("HOME") == "" {
			continue // the order of the map: both are gone already
		}
		if len(notes) != 1 || !strings.Contains(notes[0], want) || !strings.Contains(notes[0], "`cache` DIR") {
			t.Errorf("%s: notes %q", name, notes)
		}
	}
	from.Cache = blocked
	_, err := from.Open(context.Background())
	if err == nil || !strings.Contains(err.Error(), "cache is "+blocked+": expected a folder that can be written") {
		t.Errorf("a place that was asked for: %v", err)
	}
}

// The cache forgets what was not used for the longest time, and what broken processes left, but not what is in use nor
// what is not its own.
func TestCachePrune(t *testing.T) {
	dir := t.TempDir()
	old := time.Now().Add(-48 * time.Hour)
	ours := cacheMagic + strings.Repeat(" ", 100)
	key := func(c string) string { return strings.Repeat(c, 32) + cacheExt }
	for i, f := range []struct {
		name, content string
		stays         bool
	}{
		{key("a"), ours, true}, // in use
		{key("b"), ours, false},
		{key("c"), ours, true},
		{key("d"), "camera" + ours, true}, // another program's, of our name
		{key("e"), "", true},
		{"." + key("5") + ".0123abcd.tmp", ours, false},
		{".sigmaz-probe.0123abcd.tmp", "", false},
		{"." + key("5") + ".0123abcd.tmp~", ours, true},
		{"thesis.tmp", ours, true},
		{"pixels-1.tmp", ours, true},
		{"probe-1.tmp", ours, true},
		{"camera.pixels", ours, true},
		{strings.Repeat("A", 32) + cacheExt, ours, true},
		{key("f")[1:], ours, true},
		{"." + key("0") + ".ffffffff.tmp", ours, true}, // fresh
	} {
		path := filepath.Join(dir, f.name)
		if err := os.WriteFile(path, []byte(f.content), 0o600); err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(f.name, "ffffffff.tmp") {
			os.Chtimes(path, old, old.Add(time.Duration(i)*time.Minute))
		}
		defer func() {
			if _, err := os.Lstat(path); (err == nil) != f.stays {
				t.Errorf("%s: stays: %v, expected %v", f.name, err == nil, f.stays)
			}
		}()
	}
	if os.Mkdir(filepath.Join(dir, key("9")), 0o700) != nil || os.Symlink(key("a"), filepath.Join(dir, key("8"))) != nil {
		t.Log("no link")
	}
	(&cache{dir: dir}).prune(filepath.Join(dir, key("a")), int64(2*len(ours)))
	if _, err := os.Lstat(filepath.Join(dir, key("9"))); err != nil {
		t.Error("a folder was removed")
	}
}

// cached opens a folder of pictures with a cache in dir and returns the path of the file there.
func cachedIn(t *testing.T, folder, dir string) (*Set, string, []string) {
	t.Helper()
	var notes []string
	s, err := Source{Spec: folder, Cache: dir, Note: func(l string) { notes = append(notes, l) }}.Open(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*"+cacheExt))
	if len(files) != 1 {
		t.Fatalf("the cache holds %v", files)
	}
	return s, files[0], notes
}

// A file of the cache whose header cannot be true is made anew, whatever it claims.
func TestCacheHeaders(t *testing.T) {
	folder, dir := write(t, fourPictures(t)), t.TempDir()
	first, path, _ := cachedIn(t, folder, dir)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var header map[string]any
	if err := json.Unmarshal(bytes.TrimRight(whole[:cacheHeader], " "), &header); err != nil {
		t.Fatal(err)
	}
	pixels := slices.Clone(whole[cacheHeader:])
	for _, claim := range []map[string]any{
		{"n": 1<<60 + 1, "h": 4, "w": 4, "c": 1}, // 16 in 64 bits
		{"n": 1 << 32, "h": 1 << 32, "w": 1, "c": 1},
		{"n": -1, "h": -1},
		{"n": 0}, {"c": 0},
		{"n": math.MaxInt64, "h": 1, "w": 1, "c": 1},
		{"n": 1 << 31, "h": 1 << 31, "w": 1 << 31, "c": 1 << 31},
	} {
		h := maps.Clone(header)
		maps.Copy(h, claim)
		h["sum"] = fmt.Sprintf("%08x", crc32.Update(crc32.Checksum(fmt.Appendf(nil, "%d %d %d %d", h["n"], h["h"], h["w"],
			h["c"]), castagnoli), castagnoli, pixels[:16]))
		head, _ := json.Marshal(h)
		os.Remove(path)
		file := append(append(head, bytes.Repeat([]byte(" "), cacheHeader-len(head))...), pixels[:16]...)
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		again, _, _ := cachedIn(t, folder, dir)
		if now, _ := os.ReadFile(path); again.Sum != first.Sum || !bytes.Equal(now, whole) {
			t.Errorf("%v: the file was not made anew", claim)
		}
	}
}

// What anybody but this user can have written is not believed, and a name that cannot be taken stops nothing.
func TestCacheOfOthers(t *testing.T) {
	folder, dir := write(t, fourPictures(t)), t.TempDir()
	first, path, _ := cachedIn(t, folder, dir)
	planted := func() []byte { // whole, but with other pixels
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		b[len(b)-1] ^= 1
		d := first.Data
		d.U8 = b[cacheHeader:]
		return bytes.Replace(b, []byte(first.Sum), []byte(checksum(&d)), 1)
	}()
	victim := filepath.Join(t.TempDir(), "victim")
	spoils := map[string]func() error{
		"others may write": func() error { return errors.Join(os.WriteFile(path, planted, 0o600), os.Chmod(path, 0o622)) },
		"a link": func() error {
			return errors.Join(os.WriteFile(victim, planted, 0o600), os.Symlink(victim, path))
		},
	}
	if os.Geteuid() == 0 {
		spoils["another user's"] = func() error {
			return errors.Join(os.WriteFile(path, planted, 0o600), os.Chown(path, 12345, 12345))
		}
	}
	if runtime.GOOS == "windows" {
		t.Skip("no owners")
	}
	for name, spoil := range spoils {
		os.Remove(path)
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		if s, _, _ := cachedIn(t, folder, dir); !bytes.Equal(s.U8, first.U8) {
			t.Errorf("%s: the pixels are those that were planted", name)
		}
		if info, err := os.Lstat(path); err != nil || !ownfile.Mine(info) || !info.Mode().IsRegular() {
			t.Errorf("%s: it was not made anew", name)
		}
	}
	if b, _ := os.ReadFile(victim); !bytes.Equal(b, planted) {
		t.Error("what a link names was written")
	}

	os.Remove(path)
	if err := os.Mkdir(path, 0o700); err != nil { // nothing can be renamed to it
		t.Fatal(err)
	}
	s, _, notes := cachedIn(t, folder, dir)
	if !bytes.Equal(s.U8, first.U8) || !strings.Contains(strings.Join(notes, "\n"), "not kept for the next start") {
		t.Errorf("a name that is taken: notes %q", notes)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 {
		t.Errorf("left %v", left)
	}
	a, b := &cache{user: "user 1\n"}, &cache{user: "user 2\n"}
	if a.path("x") == b.path("x") || a.path("x") == (&cache{}).path("x") {
		t.Error("two users have one name for a file")
	}
}

// A mapped file that is cut short while it is in use is an error that names it, whoever reads it.
func TestCutShort(t *testing.T) {
	if !mapped.Mapping {
		t.Skip("files are read here")
	}
	pictures := map[string][]byte{}
	for i := range 9 { // more than a page
		pictures[fmt.Sprintf("%d.png", i)] = pngOf(t, gradient(64, 48, i))
	}
	for name, read := range map[string]func(s *Set) error{
		"distances": func(s *Set) error { _, err := s.Distances(context.Background(), nil); return err },
		"diameter":  func(s *Set) error { _, err := s.Diameter(context.Background()); return err },
		"checksum": func(s *Set) (err error) {
			defer mapped.Guard(&err)()
			checksum(&s.Data)
			return nil
		},
		"split": func(s *Set) (err error) {
			defer mapped.Guard(&err)()
			s.Split(1, 3)
			return nil
		},
		"a step": func(s *Set) error {
			b := kernels.NewCPU(2)
			defer b.Close()
			n := 8 * s.D()
			a, err := b.Alloc(2*n+100, nil)
			if err != nil {
				return err
			}
			p, err := b.Compile(a, []kernels.Op{kernels.Perturb{N: 8, XTilde: kernels.Buf{Off: 0, N: n},
				Z: kernels.Buf{Off: n, N: n}, Sigma: kernels.Buf{Off: 2 * n, N: 8}, Level: kernels.Buf{Off: 2*n + 16, N: 8},
				Ladder: kernels.Buf{Off: 2*n + 32, N: 1}, State: kernels.Buf{Off: 2*n + 48, N: kernels.StateWords}, Data: &s.Data}})
			if err != nil {
				return err
			}
			return p.Run()
		},
	} {
		dir := t.TempDir()
		s, path, _ := cachedIn(t, write(t, pictures), dir)
		if !s.Mapped {
			t.Fatal("not mapped")
		}
		if err := read(s); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := os.Truncate(path, cacheHeader); err != nil {
			t.Fatal(err)
		}
		var cut *mapped.Error
		if err := read(s); !errors.As(err, &cut) || cut.Path != path {
			t.Errorf("%s of a file that was cut short: error %v", name, err)
		}
	}
}

// Files of many images lie in a mapped file as well, and the parts of a split are rows of it.
func TestLargeFilesAreMapped(t *testing.T) {
	before := holdBytes
	defer func() { holdBytes = before }()
	path := filepath.Join(write(t, map[string][]byte{"i": idxFile(0x803, 40*6, 40, 2, 3)}), "i")
	small := open(t, path, Settings{})
	holdBytes = 100
	large := open(t, path, Settings{})
	if small.Mapped || !large.Mapped && mapped.Mapping || large.Sum != small.Sum || !bytes.Equal(large.U8, small.U8) {
		t.Fatalf("mapped: %v and %v; sums %s and %s", small.Mapped, large.Mapped, small.Sum, large.Sum)
	}
	train, held := large.Split(1, 8)
	for i := range held.N {
		if &held.Bytes(i)[0] != &large.U8[held.Row(i)*6] {
			t.Fatal("a held-out row is a copy")
		}
	}
	if train.N != 32 || train.Size() != 32*6 {
		t.Errorf("%d rows of %d bytes for training", train.N, train.Size())
	}
	// The same distances as the set in memory has.
	a, err := train.Distances(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	own := &Set{Data: kernels.Data{N: 32, H: 2, W: 3, C: 1}}
	for i := range train.N {
		own.U8 = append(own.U8, train.Bytes(i)...)
	}
	if b, err := own.Distances(context.Background(), nil); err != nil || a != b {
		t.Errorf("distances %+v of the part, %+v of a copy: %v", a, b, err)
	}
}

// Whatever a file of the cache holds, it is whole or made anew.
func FuzzCacheFile(f *testing.F) {
	head := func(text string, pixels string) []byte {
		return append(append([]byte(text), bytes.Repeat([]byte(" "), cacheHeader-len(text))...), pixels...)
	}
	for _, text := range []string{
		`{"format":"sigmaz pixels 1","n":1,"h":2,"w":2,"c":1,"kind":"PNG","sum":"00000000"}`,
		`{"format":"sigmaz pixels 1","n":1152921504606846977,"h":4,"w":4,"c":1,"kind":"","sum":""}`,
		`{"format":"sigmaz pixels 1","n":-1,"h":-4,"w":1,"c":1}`, `{"n":1e3}`, `[]`, ``,
	} {
		f.Add(head(text, "abcd"), int64(0))
		f.Add(head(text, "abcd"), int64(1)<<40)
	}
	dir := f.TempDir()
	path := filepath.Join(dir, strings.Repeat("0", 32)+cacheExt)
	f.Fuzz(func(t *testing.T, file []byte, claim int64) {
		if p := parseHeader(file[:min(len(file), cacheHeader)], claim); p != nil {
			if size, ok := p.size(); !ok || size != claim-cacheHeader {
				t.Errorf("%+v is taken for %d bytes", p, claim)
			}
		}
		os.Remove(path)
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		p := (&cache{dir: dir}).load(path)
		if p == nil {
			return
		}
		d := p.data()
		if len(p.u8) != len(file)-cacheHeader || len(p.u8) != p.N*p.H*p.W*p.C || checksum(&d) != p.Sum {
			t.Errorf("%d bytes are taken for %+v", len(file), p)
		}
	})
}
