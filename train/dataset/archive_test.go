// Archives that hold no pictures: one table, array or data set is read as if it were unpacked.

package dataset

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
)

func TestDataInArchives(t *testing.T) {
	const csv = "a,b\n1.5,2\n3,5\n-1,7\n"
	idx, test := idxFile(0x803, 24, 3, 2, 4), idxFile(0x803, 16, 2, 2, 4)
	vectors, images := npyOf("<f4", "(2, 2)", false, floats(1, 2, 3, 5)), npyOf("|u1", "(2, 3, 4)", false, upTo(24))
	labels := npyOf("<i8", "(2,)", false, make([]byte, 16))
	for name, c := range map[string]struct {
		files map[string][]byte
		as    []byte // the file alone; nil: cifar is the folder
		note  string
	}{
		"table":          {map[string][]byte{"x/points.csv": []byte(csv), "README": []byte("hello")}, []byte(csv), "taken from the PLACE: points.csv; passed over: README"},
		"text":           {map[string][]byte{"points.txt": []byte(csv)}, []byte(csv), "taken from the PLACE: points.txt"},
		"vectors":        {map[string][]byte{"v.npy": vectors}, vectors, "taken from the PLACE: v.npy"},
		"NPZ":            {map[string][]byte{"arr_0.npy": images}, images, "taken from the PLACE: arr_0.npy"},
		"NPZ of MNIST":   {map[string][]byte{"x_train.npy": images, "x_test.npy": vectors, "y_train.npy": labels}, images, "taken from the PLACE: x_train.npy; passed over: "},
		"IDX":            {map[string][]byte{"mnist/train-images-idx3-ubyte": idx, "mnist/t10k-images-idx3-ubyte": test}, idx, "train-images-idx3-ubyte; passed over: t10k-images-idx3-ubyte"},
		"IDX in gzip":    {map[string][]byte{"train-images-idx3-ubyte.gz": gzipped(t, idx), "train-labels-idx1-ubyte.gz": gzipped(t, idxFile(0x801, 3, 3))}, idx, "train-images-idx3-ubyte.gz; passed over: train-labels"},
		"CIFAR-10":       {map[string][]byte{"b/data_batch_1.bin": cifarFile(2), "b/test_batch.bin": cifarFile(1), "b/readme.html": []byte("<html>")}, cifarFile(2), "taken from the PLACE: data_batch_1.bin"},
		"CIFAR-100":      {map[string][]byte{"c/train.bin": cifar100File(2), "c/test.bin": cifar100File(1)}, cifarFile(2), "taken from the PLACE: train.bin; passed over: test.bin"},
		"table of a Mac": {map[string][]byte{"t.csv": []byte(csv), "__MACOSX/._t.csv": []byte("x"), ".DS_Store": {0}}, []byte(csv), "taken from the PLACE: t.csv"},
	} {
		alone, err := Open(filepath.Join(write(t, map[string][]byte{"f": c.as}), "f"), 1)
		if err != nil {
			t.Fatal(err)
		}
		archives := write(t, map[string][]byte{"a.zip": zipOf(t, c.files, nil), "a.tar": tarOf(t, c.files), "a.tgz": gzipped(t, tarOf(t, c.files)), "v7.tar": inV7(tarOf(t, c.files))})
		for _, archive := range []string{"a.zip", "a.tar", "a.tgz", "v7.tar"} {
			s, err := Open(filepath.Join(archives, archive), 1)
			if err != nil {
				t.Errorf("%s in %s: %v", name, archive, err)
				continue
			}
			if s.Sum != alone.Sum || !bytes.Equal(s.U8, alone.U8) || s.N != alone.N {
				t.Errorf("%s in %s: %s, not %s", name, archive, s.Name, alone.Name)
			}
			place := map[bool]string{true: "ZIP", false: "TAR"}[archive == "a.zip"]
			if !strings.Contains(note(s), strings.ReplaceAll(c.note, "PLACE", place)) {
				t.Errorf("%s in %s: it says %q", name, archive, note(s))
			}
		}
		// Large data goes through the cache.
		if alone.U8 != nil {
			defer func(old int) { holdBytes = old }(holdBytes)
			holdBytes = 10
			if s, err := Open(filepath.Join(archives, "a.zip"), 1); err != nil || s.Sum != alone.Sum || !s.Mapped {
				t.Errorf("%s through the cache: %v, %v", name, s, err)
			}
			holdBytes = 256 << 20
		}
	}
	// Several batches are read in order.
	two := filepath.Join(write(t, map[string][]byte{"a.tar": tarOf(t, map[string][]byte{"data_batch_2.bin": cifarFile(3), "data_batch_1.bin": cifarFile(2)})}), "a.tar")
	if s := open(t, two, Settings{}); s.N != 5 {
		t.Errorf("two batches: %s", s.Name)
	}
}

func TestBadDataInArchives(t *testing.T) {
	csv := []byte("a,b\n1.5,2\n3,5\n-1,7\n")
	damaged := zipOf(t, map[string][]byte{"a.csv": bytes.Repeat(csv[4:], 50)}, nil)
	damaged[bytes.LastIndex(damaged, []byte("PK\x01\x02"))+16] ^= 1 // the checksum
	big := npyOf("|u1", "(1000000, 1000, 1000)", false, upTo(20))
	for name, c := range map[string]struct {
		archive []byte
		want    string
	}{
		"two tables":  {zipOf(t, map[string][]byte{"a.csv": csv, "b.csv": csv}, nil), "set/f: expected one array or table in it, found 2 (b.csv, a.csv); give the one to learn as a file of its own"},
		"two arrays":  {zipOf(t, map[string][]byte{"a.npy": npyOf("|u1", "(2, 3, 4)", false, upTo(24)), "b.npy": npyOf("|u1", "(2, 3, 4)", false, upTo(24))}, nil), "expected one array or table in it, found 2"},
		"labels":      {zipOf(t, map[string][]byte{"y.npy": npyOf("<i8", "(2,)", false, make([]byte, 16))}, nil), "set/f: y.npy: expected images (N, H, W[, C]) or vectors (N, D), found one row of 2 values"},
		"bad table":   {tarOf(t, map[string][]byte{"a.csv": []byte("a,b\n1,2\n3,4,5\n")}), "set/f: a.csv: line 3: expected 2 fields as in the first line, found 3"},
		"Excel":       {zipOf(t, map[string][]byte{"[Content_Types].xml": []byte("<x>"), "xl/workbook.xml": []byte("<x>")}, nil), "found a workbook of Excel (xlsx); save the sheet as CSV"},
		"LibreOffice": {zipOf(t, map[string][]byte{"mimetype": []byte("application/vnd.oasis"), "META-INF/manifest.xml": []byte("<x>")}, nil), "found a document of LibreOffice (ods, odt); save the sheet as CSV"},
		"Word":        {zipOf(t, map[string][]byte{"word/document.xml": []byte("<x>")}, nil), "found a document of Word or PowerPoint"},
		"torch.save":  {zipOf(t, map[string][]byte{"archive/data.pkl": []byte("\x80\x02}."), "archive/version": []byte("3\n")}, nil), "found a file of torch.save (.pth, .pt); weights are given with -init or -continue"},
		"checksum":    {damaged, "set/f: a.csv: expected a whole file, found damage (zip: checksum error)"},
		"claim":       {zipOf(t, map[string][]byte{"a.npy": big}, nil), "is truncated"},
		"cut batch":   {tarOf(t, map[string][]byte{"data_batch_1.bin": cifarFile(1)[:3000]}), "set/f: data_batch_1.bin: expected"},
		"cut short":   {tarOf(t, map[string][]byte{"a.csv": bytes.Repeat(csv, 500)})[:2000], "expected a whole TAR, found damage"},
	} {
		_, err := Open(filepath.Join(write(t, map[string][]byte{"f": c.archive}), "f"), 1)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v\nwant %s", name, err, c.want)
		}
	}
}
