// The cache: what is in it is what was decoded, and what is wrong with it or its place stops nothing.

package dataset

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

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

// The cache forgets what was not used for the longest time, and what broken processes left, but not what is in use.
func TestCachePrune(t *testing.T) {
	dir := t.TempDir()
	old := time.Now().Add(-48 * time.Hour)
	for i, name := range []string{"a.pixels", "b.pixels", "c.pixels", "left.tmp", "fresh.tmp", "other.txt"} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, make([]byte, 100), 0o666); err != nil {
			t.Fatal(err)
		}
		if name != "fresh.tmp" {
			os.Chtimes(path, old, old.Add(time.Duration(i)*time.Minute))
		}
	}
	(&cache{dir}).prune(filepath.Join(dir, "a.pixels"), 200)
	var left []string
	for _, f := range cachedFiles(t, dir) {
		left = append(left, filepath.Base(f))
	}
	if want := []string{"a.pixels", "c.pixels", "fresh.tmp", "other.txt"}; !slices.Equal(left, want) {
		t.Errorf("left: %v, expected %v", left, want)
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
	if small.Mapped || !large.Mapped && mapping || large.Sum != small.Sum || !bytes.Equal(large.U8, small.U8) {
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
