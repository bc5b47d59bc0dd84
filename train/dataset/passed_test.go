// What is passed over: files of the system, links, damage, and what only its name makes a picture; all of it is told.

package dataset

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// note returns what a set says of itself.
func note(s *Set) string { return strings.Join(s.Notes, "\n") }

// What file managers, NAS and operating systems leave is no data, in folders and in archives.
func TestSystemFiles(t *testing.T) {
	good, thumb := pngOf(t, gradient(6, 8, 1)), pngOf(t, gradient(6, 8, 9))
	files := map[string][]byte{"a.png": good, "b/c.png": good}
	for _, name := range []string{"@eaDir/a.png/SYNOPHOTO_THUMB_M.png", "b/@eaDir/c.png", "$RECYCLE.BIN/x.png", "$Recycle.Bin/y.png",
		"#recycle/z.png", "lost+found/1.png", "System Volume Information/1.png", ".thumbnails/a.png", "thumbs.db"} {
		files[name] = thumb
	}
	archives := write(t, map[string][]byte{"a.zip": zipOf(t, files, nil), "a.tar": tarOf(t, files)})
	for _, spec := range []string{write(t, files), filepath.Join(archives, "a.zip"), filepath.Join(archives, "a.tar")} {
		s := open(t, spec, Settings{})
		if s.N != 2 {
			t.Errorf("%s: %s", spec, s.Name)
		}
		if got := note(s); !strings.Contains(got, " files and folders of the system passed over (") ||
			!strings.Contains(got, "@eaDir") && !strings.Contains(got, "SYNOPHOTO") && !strings.Contains(got, "#recycle") {
			t.Errorf("%s: it says %q", spec, got)
		}
	}
}

// All folders are learned, and the line says so: among them may be some for tests, and masks.
func TestFoldersAreTold(t *testing.T) {
	good := pngOf(t, gradient(6, 8, 200))
	files := map[string][]byte{}
	for folder, n := range map[string]int{"set/train": 3, "set/test": 2, "set/masks/deep": 1} {
		for i := range n {
			files[fmt.Sprintf("%s/%d.png", folder, i)] = good
		}
	}
	want := "pictures of all folders are taken (masks 1, test 2, train 3); "
	if got := note(open(t, write(t, files), Settings{})); got != want+"name one to learn it alone" {
		t.Errorf("folder: %q", got)
	}
	archive := filepath.Join(write(t, map[string][]byte{"a.tar": tarOf(t, files)}), "a.tar")
	if got := note(open(t, archive, Settings{})); got != want+"unpack it and name one to learn it alone" {
		t.Errorf("TAR: %q", got)
	}
	files["set/x.png"] = good
	if got := note(open(t, write(t, files), Settings{})); !strings.Contains(got, "(masks 1, test 2, the folder itself 1, train 3)") {
		t.Errorf("files beside folders: %q", got)
	}
	if got := note(open(t, write(t, map[string][]byte{"a/b/1.png": good, "a/b/2.png": good}), Settings{})); got != "" {
		t.Errorf("one folder: %q", got)
	}
	// Of a data set in files, what is left out.
	idx := idxFile(0x803, 24, 3, 2, 4)
	s := open(t, write(t, map[string][]byte{"train-images-idx3-ubyte": idx, "t10k-images-idx3-ubyte": idx,
		"train-labels-idx1-ubyte": idxFile(0x801, 3, 3), ".git": nil}), Settings{})
	if got := note(s); !strings.HasPrefix(got, "taken from the folder: train-images-idx3-ubyte; passed over: .git, "+
		"t10k-images-idx3-ubyte, train-labels-idx1-ubyte\n") {
		t.Errorf("IDX: %q", got)
	}
	table, err := Open(write(t, map[string][]byte{"a.csv": []byte("1.5,2\n3,5\n"), "b.txt": []byte("7 8\n")}), 1)
	if err != nil {
		t.Fatal(err)
	}
	if got := note(table); got != "taken from the folder: a.csv; passed over: b.txt\nno header" {
		t.Errorf("table: %q", got)
	}
}

// Links in an archive lead to pictures in it, as they do in a folder; other links are told.
func TestLinksInArchives(t *testing.T) {
	one, two := pngOf(t, gradient(6, 8, 1)), pngOf(t, gradient(6, 8, 2))
	links := map[string]string{ // relative to the link
		"b/hard.png": "../a/1.png", "b/soft.png": "../a/1.png", "z.png": "b/soft.png", "2.png": "./a/2.png",
		"out.png": "../../etc/passwd", "root.png": "/etc/passwd", "gone.png": "a/9.png", "round.png": "round.png", "dir": "a",
	}
	var tarred bytes.Buffer
	w := tar.NewWriter(&tarred)
	names := []string{"2.png", "b/hard.png", "b/soft.png", "dir", "gone.png", "out.png", "root.png", "round.png", "z.png"}
	for _, name := range names[:1] { // before what it leads to
		w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: links[name]})
	}
	for name, data := range map[string][]byte{"a/1.png": one, "a/2.png": two} {
		w.WriteHeader(&tar.Header{Name: name, Size: int64(len(data)), Mode: 0o644})
		w.Write(data)
	}
	for _, name := range names[1:] {
		h := &tar.Header{Name: "./" + name, Typeflag: tar.TypeSymlink, Linkname: links[name]}
		if name == "b/hard.png" {
			h.Typeflag, h.Linkname = tar.TypeLink, "a/1.png"
		}
		w.WriteHeader(h)
	}
	w.Close()
	var zipped bytes.Buffer
	z := zip.NewWriter(&zipped)
	for name, data := range map[string][]byte{"a/1.png": one, "a/2.png": two} {
		m, _ := z.Create(name)
		m.Write(data)
	}
	for _, name := range names {
		h := &zip.FileHeader{Name: name}
		h.SetMode(fs.ModeSymlink | 0o777)
		m, _ := z.CreateHeader(h)
		m.Write([]byte(links[name]))
	}
	z.Close()
	archives := write(t, map[string][]byte{"a.tar": tarred.Bytes(), "a.tar.gz": gzipped(t, tarred.Bytes()), "a.zip": zipped.Bytes()})
	want := open(t, write(t, map[string][]byte{"a/1.png": one, "a/2.png": two, "b/hard.png": one, "b/soft.png": one, "z.png": one,
		"2.png": two}), Settings{})
	for _, name := range []string{"a.tar", "a.tar.gz", "a.zip"} {
		s := open(t, filepath.Join(archives, name), Settings{})
		if s.N != 6 || !bytes.Equal(s.U8, want.U8) {
			t.Errorf("%s: %s, other images than those of the folder", name, s.Name)
		}
		if !strings.Contains(note(s), "5 links passed over, which lead to no picture in it (dir, gone.png, out.png, root.png, "+
			"round.png)") {
			t.Errorf("%s: it says %q", name, note(s))
		}
	}
}

// Damaged pictures are listed at once, or all passed over, wherever they are and whatever is wrong with them.
func TestDamagedPictures(t *testing.T) {
	good, photo := pngOf(t, gradient(6, 8, 1)), jpegOf(t, gradient(6, 8, 1))
	files := map[string][]byte{
		"0.png": good[:len(good)-30], "1.png": good, "2.jpg": photo[:len(photo)-40], "3.png": good[:20], "4.png": pngOf(t, gradient(6, 8, 4)),
		"5.png": append(pngHeader(50000, 50000), 1, 2, 3), "6.png": good, "7.png": good[:len(good)-30],
	}
	whole := map[string][]byte{"1.png": files["1.png"], "4.png": files["4.png"], "6.png": files["6.png"]}
	want := open(t, write(t, whole), Settings{})
	archives := write(t, map[string][]byte{"a.zip": zipOf(t, files, nil), "a.tar": tarOf(t, files)})
	for _, spec := range []string{write(t, files), filepath.Join(archives, "a.zip"), filepath.Join(archives, "a.tar")} {
		_, err := Open(spec, 1)
		for _, text := range []string{"expected whole pictures, found 5 damaged ones beside 3 whole ones (", "0.png: damage (png",
			"2.jpg: one that is cut short", "3.png: one that is cut short", "5.png: 36 bytes, which cannot hold them", "7.png: damage",
			"or pass them over with `damaged` skip"} {
			if err == nil || !strings.Contains(err.Error(), text) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s: %v\nwant %s", spec, err, text)
			}
		}
		for _, cache := range []string{"none", "", ""} { // in memory, written to the cache, and read from it
			s, err := Source{Spec: spec, Settings: Settings{Damaged: "skip"}, Cache: cache}.Open(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			if s.N != 3 || !bytes.Equal(s.U8, want.U8) || s.Sum != want.Sum {
				t.Errorf("%s, cache %q: %s", spec, cache, s.Name)
			}
			if !strings.Contains(note(s), "5 damaged pictures passed over (") || !strings.Contains(note(s), "2.jpg") {
				t.Errorf("%s, cache %q: it says %q", spec, cache, note(s))
			}
		}
	}
	many := map[string][]byte{}
	for i := range 30 {
		many[fmt.Sprintf("%02d.png", i)] = good[:30]
	}
	for _, damaged := range []string{"", "stop", "skip"} {
		_, err := Source{Spec: write(t, many), Settings: Settings{Damaged: damaged}}.Open(context.Background())
		if err == nil || !strings.Contains(err.Error(), "found 30 damaged ones beside 0 whole ones") ||
			!strings.Contains(err.Error(), "; and 10 more)") {
			t.Errorf("%q: %v", damaged, err)
		}
	}
	if _, err := (Source{Spec: "glyphs", Settings: Settings{Damaged: "skip"}}).Open(context.Background()); err == nil ||
		!strings.Contains(err.Error(), "damaged is for pictures, and this data is none") {
		t.Errorf("%v", err)
	}
}

// What is named as a picture and is none is told for what it is.
func TestNamedAsPictures(t *testing.T) {
	files := map[string][]byte{"a.png": pngOf(t, gradient(6, 8, 200)), "b.jpg": []byte("<!DOCTYPE html><html>"), "c.jpeg": {},
		"d.png": []byte("GIF89a\x01\x00"), "e.jpg": []byte("404 not found\n"), "f.heic": []byte("\x00\x00\x00\x18ftypheic\x00"),
		"notes.txt": []byte("hello"), "g.jpg": {0xc8, 0xc9}}
	for _, spec := range []string{write(t, files), filepath.Join(write(t, map[string][]byte{"a.tar": tarOf(t, files)}), "a.tar")} {
		want := "7 other files passed over, no PNG, JPEG or WebP (b.jpg: a web page or XML, c.jpeg: empty, d.png: a picture in " +
			"GIF, BMP or TIFF, neither PNG, JPEG nor WebP, e.jpg: text, f.heic: a picture in HEIC, neither PNG, JPEG nor WebP, " +
			"g.jpg: of no form that is known, and 1 more)"
		if s := open(t, spec, Settings{}); note(s) != want {
			t.Errorf("it says %q", note(s))
		}
	}
}

// That too many files are open is told as that, and not as a fault of the file that was to be opened.
func TestTooManyFiles(t *testing.T) {
	for _, errno := range []error{syscall.EMFILE, syscall.ENFILE} {
		err := unreadable("a.png", &fs.PathError{Op: "open", Path: "a.png", Err: errno})
		if !strings.Contains(err.Error(), "a.png: expected a file that can be opened, found that too many are open") ||
			!strings.Contains(err.Error(), "ulimit -n") || !tooManyFiles(err) {
			t.Errorf("%v", err)
		}
	}
	if err := unreadable("a.png", os.ErrPermission); tooManyFiles(err) {
		t.Errorf("%v", err)
	}
}
