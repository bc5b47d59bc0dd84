// Fuzzing of the readers: no content makes one panic, take memory without bound, or return a set that is not what it
// says. Each target takes one kind of file, so that its seeds lead far into one reader. To run one for a minute:
//
//	go test -tags nocuda -run '^$' -fuzz '^FuzzTables$' -fuzztime 60s -fuzzminimizetime 10x ./train/dataset

package dataset

import (
	"archive/tar"
	"bytes"
	"context"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// fuzzed opens a file of some content and checks what comes back.
func fuzzed(t *testing.T, name string, content []byte, set Settings) *Set {
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o666); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	s, err := Source{Spec: path, Settings: set, Cache: "none"}.Open(context.Background())
	runtime.ReadMemStats(&after)
	limit := uint64(256 << 20)
	if strings.HasSuffix(name, ".png") { // a picture of a few bytes may have maxPixels, of 4 to 12 bytes, as WebP and after
		limit = 40 * maxPixels
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > limit {
		t.Errorf("%d bytes of memory for a file of %d", used, len(content))
	}
	if err != nil {
		if text := err.Error(); strings.ContainsAny(text, "\n\x1b") || strings.Contains(text, "runtime error") {
			t.Errorf("the error is no sentence: %q", text)
		}
		return nil
	}
	if s.N < 1 || s.H < 1 || s.W < 1 || s.C < 1 || len(s.U8)+len(s.F32) != s.N*s.D() {
		t.Errorf("%s with %d bytes and %d floats", s.Name, len(s.U8), len(s.F32))
	}
	for _, v := range s.F32 {
		if v-v != 0 {
			t.Fatalf("%s has %v", s.Name, v)
		}
	}
	return s
}

func FuzzIDX(f *testing.F) {
	f.Add(idxFile(0x803, 24, 3, 2, 4), "")
	f.Add(idxFile(0x804, 24, 2, 2, 2, 3), "31")
	f.Add(idxFile(0x804, 5, math.MaxUint32, math.MaxUint32, math.MaxUint32, math.MaxUint32), "")
	f.Add(idxFile(0x801, 9, 9), "1")
	f.Add([]byte{0x1f, 0x8b, 8, 0}, "")
	f.Fuzz(func(t *testing.T, content []byte, white string) {
		if len(content) > 4 {
			content[0], content[1] = 0, 0
		}
		fuzzed(t, "train-images-idx3-ubyte", content, Settings{White: white})
	})
}

func FuzzCIFAR(f *testing.F) {
	f.Add(cifarFile(1)[:40], uint16(1), false)
	f.Add([]byte{0, 0, 8, 3, 0, 0, 0, 1}, uint16(2), false)
	f.Add([]byte{19, 99, 7}, uint16(1), true)
	f.Fuzz(func(t *testing.T, start []byte, records uint16, hundred bool) {
		size, name := cifarRecord, "data_batch_1.bin"
		if hundred {
			size, name = cifar100Record, "train.bin"
		}
		content := make([]byte, size*int(records%4))
		copy(content, start)
		fuzzed(t, name, append(content, start[:min(len(start), int(records>>14))]...), Settings{})
	})
}

func FuzzPictures(f *testing.F) {
	files, err := filepath.Glob(filepath.Join("testdata", "*.*"))
	if err != nil || len(files) == 0 {
		f.Fatal(files, err)
	}
	for _, path := range files {
		b, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, "4x3", "")
		f.Add(b, "", "200")
	}
	f.Add(pngHeader(1<<15, 1<<13), "8", "")
	f.Fuzz(func(t *testing.T, content []byte, size, white string) {
		if _, err := parseSize("size", size); err != nil || len(size) > 5 {
			size = ""
		}
		for _, damaged := range []string{"", "skip"} {
			fuzzed(t, "a.png", content, Settings{Size: size, White: white, Damaged: damaged})
		}
	})
}

func FuzzArchives(f *testing.F) {
	var t testing.T
	files := map[string][]byte{"a/b.png": pngOf(&t, gradient(6, 8, 1)), "c.txt": []byte("x")}
	for _, files := range []map[string][]byte{files, {"t.csv": []byte("a,b\n1,2\n3,5\n")}, {"a.npy": npyOf("|u1", "(2, 3, 4)", false, upTo(24))},
		{"train-images-idx3-ubyte": idxFile(0x803, 24, 3, 2, 4), "t10k-images-idx3-ubyte": idxFile(0x803, 24, 3, 2, 4)}} {
		f.Add(zipOf(&t, files, nil))
		f.Add(tarOf(&t, files))
		f.Add(gzipped(&t, tarOf(&t, files)))
		f.Add(inV7(tarOf(&t, files)))
	}
	var links bytes.Buffer
	w := tar.NewWriter(&links)
	w.WriteHeader(&tar.Header{Name: "a.png", Size: int64(len(files["a/b.png"])), Mode: 0o644})
	w.Write(files["a/b.png"])
	w.WriteHeader(&tar.Header{Name: "b/c.png", Typeflag: tar.TypeSymlink, Linkname: "../a.png"})
	w.WriteHeader(&tar.Header{Name: "d.png", Typeflag: tar.TypeLink, Linkname: "b/c.png"})
	w.Close()
	f.Add(links.Bytes())
	f.Fuzz(func(t *testing.T, content []byte) { fuzzed(t, "a.zip", content, Settings{}) })
}

func FuzzTables(f *testing.F) {
	for _, text := range []string{"a,b\n1,2\n3,5\n", "1.5;2\n3;5\n", "# a b\n1 2\n3 5\n", "x\ty\n1,5\t2\n0,25\t3\n", "sep=;\n1;2\n3;4\n",
		"\xff\xfe1\x00,\x002\x00\n\x003\x00,\x005\x00", "1\x00,\x002\x00\n\x003\x00,\x005\x00\n\x00", "gr\xf6\xdfe;1\n2;3\n4;7\n", "a\r1\r2\r3\r", "\"a\nb\",c\n1,2\n3,5\n",
		"1,\"2,000\"\n0.5,\"3,000\"\n", ",a\n0,1\n1,3\n2,2\n", "2019,2020\n1,2\n3,5\n\x1a"} {
		f.Add([]byte(text), "", "")
		f.Add([]byte(text), "1", "yes")
		f.Add([]byte(text), "2,1", "no")
	}
	f.Fuzz(func(t *testing.T, content []byte, columns, header string) {
		if header != "" && header != "yes" && header != "no" {
			header = ""
		}
		fuzzed(t, "t.csv", content, Settings{Columns: columns, Header: header, Standardize: "none"})
	})
}
