// Labels: each kind of data gives its rows their classes, and says what is wrong with them.

package dataset

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// openLabelled opens data with its labels, and returns the class of each row by name.
func openLabelled(t *testing.T, spec string, set Settings) (s *Set, of []string) {
	t.Helper()
	s, err := Source{Spec: spec, Settings: set, Seed: 1, Cache: "none"}.Open(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for i := range s.N {
		of = append(of, s.Classes[s.Label(i)])
	}
	return s, of
}

// idxLabelFile is an IDX file of labels.
func idxLabelFile(labels ...byte) []byte {
	return append(idxFile(0x801, 0, uint32(len(labels))), labels...)
}

func TestLabels(t *testing.T) {
	images := idxFile(0x803, 4*2*4, 4, 2, 4)
	names := "airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n"
	picture := func(k int) []byte { return pngOf(t, gradient(6, 8, k)) }
	pictures := map[string][]byte{"train/dog/1.png": picture(1), "train/cat/0.png": picture(2), "train/dog/0.png": picture(3),
		"train/cat/deep/er.png": picture(4), "train/notes.txt": []byte("hello")}
	yes := Settings{Classes: true}
	for _, c := range []struct {
		name    string
		files   map[string][]byte
		spec    string // F is the folder
		set     Settings
		classes string
		want    string
	}{
		{"IDX", map[string][]byte{"train-images-idx3-ubyte": images, "train-labels-idx1-ubyte": idxLabelFile(12, 3, 12, 3)}, "F", yes,
			"3 12", "12 3 12 3"},
		{"IDX in gzip", map[string][]byte{"train-images-idx3-ubyte": images, "train-labels-idx1-ubyte.gz": gzipped(t, idxLabelFile(1, 0, 1, 0))},
			"F", yes, "0 1", "1 0 1 0"},
		{"IDX in a ZIP", map[string][]byte{"m.zip": zipOf(t, map[string][]byte{"m/train-images-idx3-ubyte": images,
			"m/train-labels-idx1-ubyte": idxLabelFile(1, 0, 1, 0)}, nil)}, "F/m.zip", yes, "0 1", "1 0 1 0"},
		{"CIFAR-10", map[string][]byte{"data_batch_1.bin": cifarFile(3), "data_batch_2.bin": cifarFile(3),
			"batches.meta.txt": []byte(names)}, "F", yes, "airplane automobile bird", "airplane automobile bird airplane automobile bird"},
		{"CIFAR-10 without names", map[string][]byte{"data_batch_1.bin": append(cifarFile(11), cifarFile(11)...)}, "F", yes,
			"0 1 2 3 4 5 6 7 8 9", "0 1 2 3 4 5 6 7 8 9 0 0 1 2 3 4 5 6 7 8 9 0"},
		{"CIFAR-100", map[string][]byte{"train.bin": append(cifar100File(23), cifar100File(23)...)}, "F", yes,
			"0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22", ""},
		{"CIFAR-100 coarse", map[string][]byte{"train.bin": append(cifar100File(23), cifar100File(23)...)}, "F", Settings{Label: "coarse"},
			"0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19", ""},
		{"pictures", pictures, "F", yes, "cat dog", "cat cat dog dog"},
		{"pictures in a TAR", map[string][]byte{"p.tar": tarOf(t, pictures)}, "F/p.tar", yes, "cat dog", "cat cat dog dog"},
		{"table", map[string][]byte{"a.csv": []byte("a,kind,b\n1,x,2\n3,y,4\n5,x,6\n7, y,8\n")}, "F/a.csv", Settings{Label: "kind"},
			"x y", "x y x y"},
		{"table without names", map[string][]byte{"a.csv": []byte("1,2,x\n3,4,y\n5,6,x\n7,9,y\n")}, "F/a.csv", Settings{Label: "3"},
			"x y", "x y x y"},
		{"table with columns", map[string][]byte{"a.csv": []byte("a,10,b,c\n1,10,2,0\n3,9,4,1\n5,9,6,3\n7,10,8,3\n")}, "F/a.csv",
			Settings{Label: "10", Columns: "a,b", Classes: true}, "9 10", "10 9 9 10"},
		{"glyphs", nil, "glyphs", yes, "0 1 2 3 4 5 6 7 8 9", ""},
		{"a toy", nil, "toy:moons", yes, "0 1", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			folder := write(t, c.files)
			spec := strings.Replace(c.spec, "F", folder, 1)
			s, of := openLabelled(t, spec, c.set)
			if got := strings.Join(s.Classes, " "); got != c.classes {
				t.Errorf("classes %s, expected %s", got, c.classes)
			}
			if got := strings.Join(of, " "); c.want != "" && got != c.want {
				t.Errorf("labels %s, expected %s", got, c.want)
			}
			plain := c.set
			plain.Classes, plain.Label = false, ""
			if c.set.Label != "" && s.F32 != nil { // without its label a table has another column, which need be no number
				if s.D() != 2 {
					t.Errorf("%d columns, expected 2 without that of labels", s.D())
				}
				return
			}
			without, err := Source{Spec: spec, Settings: plain, Seed: 1, Cache: "none"}.Open(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			if without.Labels != nil || !bytes.Equal(without.U8, s.U8) || !slices.Equal(without.F32, s.F32) || without.Sum == s.Sum {
				t.Errorf("with labels the values are others, or the sum is the same %s", s.Sum)
			}
		})
	}
}

// TestToyClasses compares the classes of the toys with where their points are.
func TestToyClasses(t *testing.T) {
	s, _ := openLabelled(t, "toy:gaussians", Settings{Classes: true})
	for i := range s.N {
		p := s.Floats(i)
		sin, cos := sinCosTurn(float64(s.Label(i)) / 8)
		if dx, dy := float64(p[0])-1.4071*cos, float64(p[1])-1.4071*sin; dx*dx+dy*dy > 0.5 {
			t.Fatalf("point %d of class %d is at %v", i, s.Label(i), p)
		}
	}
	s, _ = openLabelled(t, "toy:moons", Settings{Classes: true})
	below := [2]float64{}
	for i := range s.N {
		below[s.Label(i)] += float64(s.Floats(i)[1])
	}
	if !(below[0] > 0.2*float64(s.N/2) && below[1] < -0.2*float64(s.N/2)) {
		t.Errorf("the moons are at heights %v", below)
	}
}

// TestLabelsGoAlong checks that rows keep their labels in both parts of a split, and through the cache.
func TestLabelsGoAlong(t *testing.T) {
	files := map[string][]byte{}
	for i := range 24 { // red is the row, and the class follows from it
		files[fmt.Sprintf("%c/%02d.png", 'a'+i%3, i)] = pngOf(t, gradient(6, 8, 10*i))
	}
	folder, dir := write(t, files), filepath.Join(t.TempDir(), "cache")
	check := func(s *Set) {
		t.Helper()
		for i := range s.N {
			if row := int(s.Bytes(i)[2]) / 10; s.Label(i) != uint32(row%3) {
				t.Fatalf("row %d of %s is picture %d and has class %d", i, s.Name, row, s.Label(i))
			}
		}
	}
	sums := map[string]bool{}
	for range 2 { // decoded, then from the cache
		s, err := Source{Spec: folder, Settings: Settings{Classes: true}, Cache: dir}.Open(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if strings.Join(s.Classes, "") != "abc" || len(cachedFiles(t, dir)) != 1 {
			t.Fatalf("classes %v, in the cache %v", s.Classes, cachedFiles(t, dir))
		}
		sums[s.Sum] = true
		train, held := s.Split(7, 9)
		if check(s); held.N != 9 {
			t.Fatalf("%d rows held out", held.N)
		}
		check(train)
		check(held)
	}
	if len(sums) != 1 {
		t.Errorf("sums %v of the same data", sums)
	}
	if s, err := (Source{Spec: folder, Cache: dir}).Open(context.Background()); err != nil || s.Labels != nil ||
		len(cachedFiles(t, dir)) != 2 {
		t.Errorf("without labels: %v, in the cache %v", err, cachedFiles(t, dir))
	}
}

func TestBadLabels(t *testing.T) {
	images := idxFile(0x803, 4*2*4, 4, 2, 4)
	picture := pngOf(t, gradient(6, 8, 1))
	yes := Settings{Classes: true}
	for _, c := range []struct {
		name  string
		files map[string][]byte
		spec  string
		set   Settings
		want  string
	}{
		{"no file", map[string][]byte{"train-images-idx3-ubyte": images}, "F", yes, "dataset: F/train-images-idx3-ubyte: expected its " +
			"labels in train-labels-idx1-ubyte beside it, found no such file; copy it there, or leave `classes` out"},
		{"no file in a ZIP", map[string][]byte{"m.zip": zipOf(t, map[string][]byte{"m/train-images-idx3-ubyte": images}, nil)}, "F/m.zip",
			yes, "expected its labels in train-labels-idx1-ubyte beside it, found no such file"},
		{"another name", map[string][]byte{"x": images}, "F/x", yes, `F/x: expected a name with "images" in it, beside which`},
		{"other data", map[string][]byte{"images": images, "labels": images}, "F/images", yes, "F/labels: expected IDX labels (magic 2049)"},
		{"fewer", map[string][]byte{"images": images, "labels": idxLabelFile(1, 2, 3)}, "F/images", yes, "F/labels: expected a label for " +
			"each of the 4 images of F/images, found 3 labels"},
		{"cut short", map[string][]byte{"images": images, "labels": idxLabelFile(1, 2, 3, 4)[:10]}, "F/images", yes,
			"F/labels: expected 12 bytes for the 4 labels of its header, found fewer"},
		{"one class", map[string][]byte{"images": images, "labels": idxLabelFile(1, 1, 1, 1)}, "F/images", yes,
			"expected rows of at least two classes, found all of class 1"},
		{"NPY", map[string][]byte{"a.npy": npyOf("|u1", "(2, 3, 4)", false, upTo(24))}, "F/a.npy", yes,
			"classes is for data with labels (IDX images, CIFAR, pictures in folders, tables, glyphs, toy:gaussians and toy:moons), and this " +
				"data is none: leave it out"},
		{"a toy", nil, "toy:swissroll", yes, "classes is for data with labels"},
		{"glyphs", nil, "glyphs", Settings{Label: "digit"}, "label is for tables (CSV) and CIFAR-100, and this data is none"},
		{"CIFAR-10", map[string][]byte{"data_batch_1.bin": cifarFile(20)}, "F", Settings{Label: "coarse"}, "label is for tables (CSV) and CIFAR-100"},
		{"CIFAR-100", map[string][]byte{"train.bin": cifar100File(20)}, "F", Settings{Label: "rough"},
			`label is "rough", and F/train.bin is CIFAR-100: expected fine, which are its 100 classes, or coarse, 20`},
		{"both CIFARs", map[string][]byte{"data_batch_1.bin": cifarFile(20), "train.bin": cifar100File(20)}, "F/data_batch_1.bin,F/train.bin", yes,
			"F/train.bin: expected CIFAR-10 as in F/data_batch_1.bin, found CIFAR-100, whose classes are others; name only files of one"},
		{"no folder", map[string][]byte{"a/1.png": picture, "b/1.png": picture, "2.png": picture}, "F", yes,
			"F/2.png: expected pictures in folders, one for each class, found this one in no folder of its own class"},
		{"one folder", map[string][]byte{"a/1.png": picture, "a/2.png": picture}, "F", yes, "expected pictures in folders, one for each class"},
		{"no column named", map[string][]byte{"a.csv": []byte("a,b\n1,2\n3,4\n")}, "F/a.csv", yes,
			"classes asks for labels, and F/a.csv is a table, which has them in a column (a, b): name it with `label` COLUMN"},
		{"no such column", map[string][]byte{"a.csv": []byte("a,b\n1,2\n3,4\n")}, "F/a.csv", Settings{Label: "c"},
			`label names column "c", which is neither a number nor a range such as 3-5, and its header has no such name (a, b)`},
		{"two columns", map[string][]byte{"a.csv": []byte("a,b,c\n1,2,3\n3,4,5\n")}, "F/a.csv", Settings{Label: "1-2"},
			`label is "1-2": expected one column, its name or its number`},
		{"a column of both", map[string][]byte{"a.csv": []byte("a,b\n1,2\n3,4\n")}, "F/a.csv", Settings{Label: "b", Columns: "a,b"},
			"label is column b, which is among the columns to learn: expected others in `columns`"},
		{"the only column", map[string][]byte{"a.csv": []byte("a\n1\n2\n")}, "F/a.csv", Settings{Label: "a"}, "label is column a, which is among"},
		{"a class that is missing", map[string][]byte{"a.csv": []byte("a,b\n1,x\n3,\n")}, "F/a.csv", Settings{Label: "b"},
			`F/a.csv: line 3, column 2 (` + "`label`" + `): expected the class of the row, found ""`},
		{"a name a row", map[string][]byte{"a.csv": []byte("a,b\n1,x\n3,y\n4,z\n")}, "F/a.csv", Settings{Label: "b"},
			"expected labels that repeat, found 3 different ones in 3 rows, such as x, y, z"},
		{"a long name", map[string][]byte{"a.csv": []byte("a,b\n1,x\n3," + strings.Repeat("y", 65) + "\n")}, "F/a.csv", Settings{Label: "b"},
			"expected names of classes of at most 64 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			folder := write(t, c.files)
			_, err := Source{Spec: strings.ReplaceAll(c.spec, "F", folder), Settings: c.set, Cache: "none"}.Open(context.Background())
			if err == nil {
				t.Fatal("no error")
			}
			if got := strings.ReplaceAll(err.Error(), folder, "F"); !strings.Contains(got, c.want) || strings.Contains(got, "\n") {
				t.Errorf("%s\nexpected\n%s", got, c.want)
			}
		})
	}
}
