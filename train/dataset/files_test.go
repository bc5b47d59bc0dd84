// Readers: small files of each kind, and every bad file with its sentence.

package dataset

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// idxFile is an IDX file: its magic, its dimensions and then bytes 0, 1, 2, ...
func idxFile(magic uint32, body int, dims ...uint32) []byte {
	b := binary.BigEndian.AppendUint32(nil, magic)
	for _, d := range dims {
		b = binary.BigEndian.AppendUint32(b, d)
	}
	for i := range body {
		b = append(b, byte(i))
	}
	return b
}

func gzipped(t *testing.T, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := z.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// cifarFile is n records of CIFAR-10: in record i pixel p has red 100+i, green p/32, blue p%32.
func cifarFile(n int) []byte {
	var b []byte
	for i := range n {
		b = append(b, byte(i%10))
		b = append(b, bytes.Repeat([]byte{byte(100 + i)}, 1024)...)
		for p := range 1024 {
			b = append(b, byte(p/32))
		}
		for p := range 1024 {
			b = append(b, byte(p%32))
		}
	}
	return b
}

// cifar100File is n records of CIFAR-100, whose images are those of cifarFile.
func cifar100File(n int) []byte {
	var b []byte
	for i, record := range slices.Collect(slices.Chunk(cifarFile(n), cifarRecord)) {
		b = append(append(b, byte(i%20), byte(i%100)), record[1:]...)
	}
	return b
}

// write makes a folder with the given files.
func write(t *testing.T, files map[string][]byte) string {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "set")
	for name, content := range files {
		path := filepath.Join(folder, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if len(files) == 0 {
		if err := os.MkdirAll(folder, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

func TestOpenIDX(t *testing.T) {
	train, test := idxFile(0x803, 3*2*4, 3, 2, 4), idxFile(0x803, 2*2*4, 2, 2, 4)
	colour := idxFile(0x804, 2*2*4*3, 2, 2, 4, 3)
	labels := idxFile(0x801, 3, 3)
	// 4 + 8 + 4 + 3*1019: also a multiple of 3073, and still IDX.
	ambiguous := idxFile(0x803, 3057, 3, 1, 1019)
	cases := []struct {
		name       string
		files      map[string][]byte
		spec       string // below the folder; commas join files
		n, h, w, c int
		title      string
	}{
		{"folder", map[string][]byte{"train-images-idx3-ubyte": train, "train-labels-idx1-ubyte": labels, "t10k-images-idx3-ubyte": test}, "", 3, 2, 4, 1, "set: IDX, 3 images 2x4x1"},
		{"folder of gz", map[string][]byte{"train-images-idx3-ubyte.gz": gzipped(t, train), "train-labels-idx1-ubyte.gz": gzipped(t, labels), "t10k-images-idx3-ubyte.gz": gzipped(t, test)}, "", 3, 2, 4, 1, ""},
		{"folder with both", map[string][]byte{"train-images-idx3-ubyte.gz": gzipped(t, train), "train-images-idx3-ubyte": train}, "", 3, 2, 4, 1, ""},
		{"folder with test images alone", map[string][]byte{"t10k-images.idx3-ubyte": test, "README": []byte("hello")}, "", 2, 2, 4, 1, ""},
		{"file of any name", map[string][]byte{"digits.dat": train}, "digits.dat", 3, 2, 4, 1, "set/digits.dat: IDX, 3 images 2x4x1"},
		{"gz without the ending", map[string][]byte{"digits": gzipped(t, train)}, "digits", 3, 2, 4, 1, ""},
		{"colour", map[string][]byte{"digits": colour}, "digits", 2, 2, 4, 3, ""},
		{"several", map[string][]byte{"a": train, "b": test}, "a,b", 5, 2, 4, 1, "set/a and 1 more: IDX, 5 images 2x4x1"},
		{"comma in the name", map[string][]byte{"a,b": train}, "a,b", 3, 2, 4, 1, ""},
		{"size of CIFAR-10", map[string][]byte{"a": ambiguous}, "a", 3, 1, 1019, 1, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			folder := write(t, c.files)
			spec := filepath.Join(folder, c.spec)
			if _, err := os.Stat(spec); err != nil {
				spec = strings.ReplaceAll(spec, ",", ","+folder+string(filepath.Separator))
			}
			s, err := Open(spec, 1)
			if err != nil {
				t.Fatal(err)
			}
			if s.N != c.n || s.H != c.h || s.W != c.w || s.C != c.c || len(s.U8) != c.n*s.D() || s.F32 != nil {
				t.Fatalf("got %d images %s in %d bytes", s.N, shape(&s.Data), len(s.U8))
			}
			if s.U8[0] != 0 || s.U8[s.D()+1] != byte(s.D()+1) {
				t.Errorf("pixels are not those of the file: % x...", s.U8[:min(len(s.U8), 32)])
			}
			if c.title != "" && s.Name != c.title || s.Source != spec {
				t.Errorf("got name %q and source %q", s.Name, s.Source)
			}
		})
	}
}

func TestOpenCIFAR(t *testing.T) {
	// The pixels of a first record that starts like an IDX header: label 0, red 0, 8, 3.
	likeIDX := cifarFile(1)
	copy(likeIDX[1:], []byte{0, 8, 3})
	folder := write(t, map[string][]byte{
		"data_batch_2.bin": cifarFile(3), "data_batch_1.bin": cifarFile(2), "test_batch.bin": cifarFile(4), "batches.meta.txt": []byte("cat"),
		"other/x": likeIDX,
	})
	s, err := Open(folder, 1)
	if err != nil {
		t.Fatal(err)
	}
	if s.N != 5 || shape(&s.Data) != "32x32x3" || s.Name != "set: CIFAR-10, 5 images 32x32x3" {
		t.Fatalf("got %s", s.Name)
	}
	for i, red := range []byte{100, 101, 100, 101, 102} { // batch 1, then 2
		for p := range 1024 {
			if got := [3]byte(s.U8[(i*1024+p)*3:]); got != [3]byte{red, byte(p / 32), byte(p % 32)} {
				t.Fatalf("image %d pixel %d: got %v", i, p, got)
			}
		}
	}
	for spec, n := range map[string]int{
		filepath.Join(folder, "test_batch.bin"):                                                   4,
		filepath.Join(folder, "other", "x"):                                                       1,
		filepath.Join(folder, "test_batch.bin") + "," + filepath.Join(folder, "data_batch_1.bin"): 6,
	} {
		if s, err := Open(spec, 1); err != nil || s.N != n {
			t.Errorf("%s: got %v, %v, expected %d images", spec, s, err, n)
		}
	}
}

func TestOpenCIFAR100(t *testing.T) {
	folder := write(t, map[string][]byte{"train.bin": cifar100File(3), "test.bin": cifar100File(2), "fine_label_names.txt": []byte("apple"),
		"other/ten": cifarFile(3)})
	want := open(t, filepath.Join(folder, "other", "ten"), Settings{})
	s := open(t, folder, Settings{})
	if s.Name != "set: CIFAR-100, 3 images 32x32x3" || !bytes.Equal(s.U8, want.U8) {
		t.Errorf("%s", s.Name)
	}
	both := write(t, map[string][]byte{"data_batch_1.bin": cifarFile(3), "train.bin": cifar100File(3)})
	if s := open(t, filepath.Join(both, "data_batch_1.bin")+","+filepath.Join(both, "train.bin"), Settings{}); !strings.HasSuffix(s.Name, ": CIFAR-10 and CIFAR-100, 6 images 32x32x3") {
		t.Errorf("%s", s.Name)
	}
	if s := open(t, filepath.Join(folder, "test.bin"), Settings{Size: "16"}); s.N != 2 || s.H != 16 {
		t.Errorf("%s", s.Name)
	}
	bad := cifar100File(2)
	bad[cifar100Record+1] = 100
	_, err := Open(filepath.Join(write(t, map[string][]byte{"b": bad}), "b"), 1)
	if err == nil || !strings.Contains(err.Error(), "expected CIFAR-100 records, each with labels 0 to 19 and 0 to 99, "+
		"found labels 1 and 100 in record 1") {
		t.Errorf("%v", err)
	}
}

func TestOpenBadFiles(t *testing.T) {
	good := idxFile(0x803, 24, 3, 2, 4)
	badLabel := cifarFile(2)
	badLabel[cifarRecord] = 10
	damaged := gzipped(t, good)
	damaged[len(damaged)-6] ^= 1 // its checksum
	tar := make([]byte, 512)
	copy(tar[257:], "ustar")
	const expected = "expected PNG, JPEG or WebP pictures, IDX images (magic 2051), CIFAR-10 batches (records of " +
		"3073 bytes), CIFAR-100 (of 3074), NPY or CSV, or one of these in a ZIP or TAR, found "
	const inFolder = "or one ZIP, TAR, NPY or CSV, found "
	cases := []struct {
		name  string
		files map[string][]byte
		spec  string // F is the folder
		want  string // after "dataset: ", F the folder
	}{
		{"labels", map[string][]byte{"l": idxFile(0x801, 9, 9)}, "F/l", "F/l: " + expected + `IDX labels (magic 2049); give the file of images, whose name has "images-idx3" in it`},
		{"labels of the size of CIFAR-10", map[string][]byte{"l": append(idxFile(0x801, 0, 3065), make([]byte, 3065)...)}, "F/l", "F/l: " + expected + `IDX labels (magic 2049); give the file of images, whose name has "images-idx3" in it`},
		{"labels in gzip", map[string][]byte{"l": gzipped(t, idxFile(0x801, 9, 9))}, "F/l", "F/l: " + expected + `IDX labels (magic 2049); give the file of images, whose name has "images-idx3" in it`},
		{"table", map[string][]byte{"l": idxFile(0x802, 9, 3, 3)}, "F/l", "F/l: " + expected + "an IDX table of bytes (magic 2050); store the images with 3 dimensions (N, H, W) or 4 (N, H, W, C)"},
		{"floats", map[string][]byte{"l": idxFile(0xd03, 9, 3, 3, 1)}, "F/l", "F/l: " + expected + "IDX data of type 0x0d; store the images as unsigned bytes, type 0x08"},
		{"truncated", map[string][]byte{"i": good[:39]}, "F/i", "F/i: expected 40 bytes for the 3 images 2x4x1 of its header, found 39: the file is cut short; copy or download it again"},
		{"trailing", map[string][]byte{"i": append(good[:40:40], 0)}, "F/i", "F/i: expected 40 bytes for the 3 images 2x4x1 of its header, found 41: it has trailing bytes; cut them off or download the file again"},
		{"header cut short", map[string][]byte{"i": good[:10]}, "F/i", "F/i: " + expected + "an IDX header that is cut short after 10 bytes; copy or download the file again"},
		{"truncated in gzip", map[string][]byte{"i": gzipped(t, good[:39])}, "F/i", "F/i: expected 40 bytes for the 3 images 2x4x1 of its header, found 39: the file is cut short; copy or download it again"},
		{"trailing in gzip", map[string][]byte{"i": gzipped(t, append(good[:40:40], 0))}, "F/i", "F/i: expected 40 bytes for the 3 images 2x4x1 of its header, found more; cut the trailing bytes off or download the file again"},
		{"gzip cut short", map[string][]byte{"i": damaged[:len(damaged)-12]}, "F/i", "F/i: expected whole gzip data, found damage (unexpected EOF); copy or download the file again"},
		{"gzip header cut short", map[string][]byte{"i": damaged[:5]}, "F/i", "F/i: expected whole gzip data, found damage (unexpected EOF); copy or download the file again"},
		{"gzip damaged", map[string][]byte{"i": damaged}, "F/i", "F/i: expected whole gzip data, found damage (gzip: invalid checksum); copy or download the file again"},
		{"gzip of something", map[string][]byte{"i": gzipped(t, []byte("\x00ello"))}, "F/i", "F/i: " + expected + "gzip data whose content starts with 00 65 6c 6c; unpack it if it is a CIFAR-10 batch"},
		{"gzip of nothing", map[string][]byte{"i": gzipped(t, nil)}, "F/i", "F/i: expected data, found an empty file; copy or download it again"},
		{"no images", map[string][]byte{"i": idxFile(0x803, 0, 0, 28, 28)}, "F/i", "F/i: expected images, found a header of 0 images 28x28x1; choose another file"},
		{"huge header", map[string][]byte{"i": idxFile(0x803, 1000, 1<<31, 28, 28)}, "F/i", "F/i: expected 1683627180048 bytes for the 2147483648 images 28x28x1 of its header, found 1016: the file is cut short; copy or download it again"},
		{"huge header in gzip", map[string][]byte{"i": gzipped(t, idxFile(0x803, 0, 1<<31, 28, 28))}, "F/i", "F/i: expected 1683627180048 bytes for the 2147483648 images 28x28x1 of its header, found "},
		{"largest header", map[string][]byte{"i": idxFile(0x804, 5, math.MaxUint32, math.MaxUint32, math.MaxUint32, math.MaxUint32)}, "F/i", "bytes for the 4294967295 images 4294967295x4294967295x4294967295 of its header, found 25"},
		{"bad label", map[string][]byte{"b.bin": badLabel}, "F/b.bin", "F/b.bin: expected CIFAR-10 records, each with a label 0 to 9, found label 10 in record 1; give IDX images or the binary version of CIFAR-10"},
		{"batch cut short", map[string][]byte{"data_batch_1.bin": cifarFile(2), "data_batch_2.bin": cifarFile(2)[:6000]}, "F", "F/data_batch_2.bin: " + expected + "6000 bytes, no multiple of 3073, that start with 00 64 64 64; copy or download it again, or give another file"},
		{"pickles", map[string][]byte{"data_batch_1": []byte("\x80\x02}q\x01")}, "F", "F/data_batch_1: " + expected + "a Python pickle; give the binary version of the data set, or save the array with numpy.save"},
		{"tar", map[string][]byte{"a.tar.gz": gzipped(t, tar)}, "F/a.tar.gz", "F/a.tar.gz: expected a whole TAR, found damage (archive/tar: invalid tar header); copy or download the file again"},
		{"web page", map[string][]byte{"train-images-idx3-ubyte.gz": []byte("<html>")}, "F", "F/train-images-idx3-ubyte.gz: " + expected + "a web page or XML; download the file itself"},
		{"picture", map[string][]byte{"a.gif": []byte("GIF89a\x01\x00")}, "F/a.gif", "F/a.gif: " + expected + "a picture in GIF, BMP or TIFF, neither PNG, JPEG nor WebP; convert it to PNG"},
		{"HEIC", map[string][]byte{"a.jpg": []byte("\x00\x00\x00\x18ftypheix\x00")}, "F/a.jpg", "F/a.jpg: " + expected + "a picture in HEIC, neither PNG, JPEG nor WebP; convert it to PNG"},
		{"Parquet", map[string][]byte{"a.csv": []byte("PAR1\x15\x04\x15\x00")}, "F/a.csv", "found a Parquet file; save it as CSV"},
		{"bytes", map[string][]byte{"a.bin": {200, 201, 0, 3, 7}}, "F/a.bin", "found 5 bytes of no form that is known, which start with c8 c9 00 03; save an array with numpy.save, a table as CSV, pictures as PNG"},
		{"STL-10", map[string][]byte{"train_X.bin": make([]byte, 5*96*96*3)}, "F/train_X.bin", "found what has the size of STL-10's binary form, which has no header; read it with numpy.fromfile"},
		{"labels beyond CIFAR-100", map[string][]byte{"a": append([]byte{20, 0}, make([]byte, 3072)...)}, "F/a", "found 3074 bytes of no form that is known"},
		{"empty file", map[string][]byte{"e": nil}, "F/e", "F/e: expected data, found an empty file; copy or download it again"},
		{"empty folder", nil, "F", inFolder + "an empty folder; copy the files into it"},
		{"folder of other files", map[string][]byte{"a.txt": []byte("a"), "l": idxFile(0x801, 9, 9)}, "F", inFolder + "only a.txt, l: IDX labels (magic 2049); name a folder with such files"},
		{"folder of folders", map[string][]byte{"mnist/i": good, "cifar10/i": good}, "F", inFolder + "none of these but the folders cifar10, mnist; name one of them, or a folder with such files"},
		{"folder of HEIC", map[string][]byte{"1.heic": []byte("\x00\x00\x00\x18ftypheic\x00"), "2.heic": []byte("\x00\x00\x00\x18ftypmif1\x00")}, "F", inFolder + "only 1.heic: a picture in HEIC, neither PNG, JPEG nor WebP, 2.heic: a picture in HEIC"},
		{"folders of AVIF", map[string][]byte{"a/1.avif": []byte("\x00\x00\x00\x18ftypavif\x00"), "b/notes": []byte("x")}, "F", inFolder + "none of these but the folders a, b, in which a/1.avif is a picture in AVIF, neither PNG, JPEG nor WebP; name one of them"},
		{"LMDB", map[string][]byte{"data.mdb": append(make([]byte, 16), 0xde, 0xc0, 0xef, 0xbe, 1), "lock.mdb": {0}}, "F", inFolder + "only data.mdb: an LMDB database, as LSUN comes, lock.mdb; name"},
		{"two sets", map[string][]byte{"train-images-a": good, "train-images-b": good}, "F", "F: expected one file of training images, found 2 (train-images-a, train-images-b); name the one to use"},
		{"two kinds", map[string][]byte{"i": good, "data_batch_1.bin": cifarFile(1)}, "F", "F: expected one data set, found IDX images (i) and CIFAR-10 batches (data_batch_1.bin); name the files to use"},
		{"mixed sizes", map[string][]byte{"i": good, "b": cifarFile(1)}, "F/i,F/b", "F/b: expected images 2x4x1 as in F/i, found 32x32x3; name only files of one image size"},
		{"missing", nil, "F/x", "F/x: expected a file, a folder or one of glyphs, toy:swissroll, toy:checkerboard, toy:gaussians, toy:moons, found nothing of that name; check the path"},
		{"one of several missing", map[string][]byte{"i": good}, "F/i,F/x", "F/x: expected a file"},
		{"empty name", map[string][]byte{"i": good}, "F/i,", `"F/i,": expected file names between the commas, found an empty one; remove the spare comma`},
		{"toy misspelt", nil, "toy:swisroll", `toy:swisroll: expected one of swissroll, checkerboard, gaussians, moons, found "swisroll"; did you mean "toy:swissroll"?`},
		{"toy unknown", nil, "toy:x", `toy:x: expected one of swissroll, checkerboard, gaussians, moons, found "x"; choose one of them`},
		{"toy without toy", nil, "moons", `moons: expected a file, a folder or one of glyphs, toy:swissroll, toy:checkerboard, toy:gaussians, toy:moons, found nothing of that name; did you mean "toy:moons"?`},
		{"made data in a list", nil, "glyphs,toy:moons", "glyphs: expected files between the commas, found data that is made: give it alone, or a file of that name as ./glyphs"},
		{"home", nil, "~/pictures", `~/pictures: expected a file, a folder or one of glyphs, toy:swissroll, toy:checkerboard, toy:gaussians, toy:moons, found nothing of that name; the shell puts the home folder for ~ only where a word begins: write $HOME, or the whole path`},
		{"glyphs misspelt", nil, "Glyph", `Glyph: expected a file, a folder or one of glyphs, toy:swissroll, toy:checkerboard, toy:gaussians, toy:moons, found nothing of that name; did you mean "glyphs"?`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			folder := write(t, c.files)
			fill := strings.NewReplacer("F/", folder+string(filepath.Separator), "F:", folder+":")
			spec := fill.Replace(c.spec)
			if spec == "F" {
				spec = folder
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			s, err := Open(spec, 1)
			runtime.ReadMemStats(&after)
			if err == nil {
				t.Fatalf("no error; got %s", s.Name)
			}
			want := fill.Replace(c.want)
			if got := strings.TrimPrefix(err.Error(), "dataset: "); !strings.Contains(got, want) || strings.Contains(got, "\n") {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			if used := after.TotalAlloc - before.TotalAlloc; used > 2<<20 {
				t.Errorf("took %d bytes of memory for a small file", used)
			}
		})
	}
}

func TestOpenUnreadable(t *testing.T) {
	if os.Geteuid() <= 0 {
		t.Skip("permissions do not hold for this user")
	}
	path := filepath.Join(write(t, map[string][]byte{"i": idxFile(0x803, 24, 3, 2, 4)}), "i")
	if err := os.Chmod(path, 0); err != nil {
		t.Fatal(err)
	}
	_, err := Open(path, 1)
	if want := path + ": expected a file that can be read, found an error: permission denied; " +
		"check the path and its permissions"; err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("got %v", err)
	}
}

// TestRealData reads the real sets in the folder that the environment variable SIGMAZ_DATA names (with the folders
// mnist, fashion-mnist and cifar10 in it), if it is set, and checks their mean, over all pixels of the training
// images.
func TestRealData(t *testing.T) {
	root := os.Getenv("SIGMAZ_DATA")
	if root == "" {
		t.Skip("SIGMAZ_DATA is not set")
	}
	for name, want := range map[string]struct {
		n    int
		mean float64
	}{"mnist": {60000, 33.3184}, "fashion-mnist": {60000, 72.9404}, "cifar10": {50000, 120.7076}} {
		s, err := Open(filepath.Join(root, name), 1)
		if err != nil {
			t.Error(err)
			continue
		}
		sum := 0
		for _, v := range s.U8 {
			sum += int(v)
		}
		if mean := float64(sum) / float64(len(s.U8)); s.N != want.n || math.Abs(mean-want.mean) > 0.5e-4 {
			t.Errorf("%s: mean %.4f, expected %d images of mean %.4f", s.Name, mean, want.n, want.mean)
		}
		if name == "cifar10" { // by channel, which a mistake in the planes would change
			for c, mean := range []float64{125.3069, 122.9504, 113.8654} {
				sum := 0
				for i := c; i < len(s.U8); i += 3 {
					sum += int(s.U8[i])
				}
				if got := 3 * float64(sum) / float64(len(s.U8)); math.Abs(got-mean) > 0.5e-4 {
					t.Errorf("%s: mean of channel %d is %.4f, expected %.4f", s.Name, c, got, mean)
				}
			}
		}
	}
}
