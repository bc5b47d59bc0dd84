// Vectors: tables, arrays and their scaler.

package dataset

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigmaz/internal/npy"
	"sigmaz/kernels"
)

func TestTables(t *testing.T) {
	const want = "1 2 3;4 5 6;-7 8.5 900"
	for name, c := range map[string]struct {
		text  string
		set   Settings
		want  string
		names string
	}{
		"plain":            {"1,2,3\n4,5,6\n-7,8.5,9e2\n", Settings{}, want, ""},
		"header":           {"a,b,c\n1,2,3\n4,5,6\n-7,8.5,9e2", Settings{}, want, "a b c"},
		"semicolons":       {"a;b, in cm;c\n1;2;3\n4;5;6\n-7;8.5;9e2\n", Settings{}, want, "a b, in cm c"},
		"tabs":             {"a\tb\tc\n1\t2\t3\n4\t5\t6\n-7\t8.5\t9e2\n", Settings{}, want, "a b c"},
		"spaces":           {"# a b c\n 1   2 3\n\n4 5 6 \n-7 8.5 9e2\n", Settings{}, want, "a b c"},
		"CRLF, BOM, blank": {"\ufeffa,b,c\r\n\r\n1,2,3\r\n  \r\n4,5,6\r\n-7,8.5,9e2\r\n", Settings{}, want, "a b c"},
		"quotes":           {"\"a\",\"b, \"\"x\"\"\",c\n\"1\", 2 ,3\n4,\"5\",6\n-7,8.5,9e2\n", Settings{}, want, `a b, "x" c`},
		"some by name":     {"a,b,c,d\n1,x,2,3\n4,y,5,6\n-7,,8.5,9e2\n", Settings{Columns: "a,c, d"}, want, "a c d"},
		"some by number":   {"a,b,c,d\n1,x,2,3\n4,y,5,6\n-7,,8.5,9e2\n", Settings{Columns: "1,3-4"}, want, "a c d"},
		"in another order": {"3,1,2\n6,4,5\n9e2,-7,8.5\n", Settings{Columns: "2-3,1"}, want, ""},
		"name with a dash": {"3-4,b\n1,2\n3,4\n", Settings{Columns: "3-4"}, "1;3", "3-4"},
		"numbers as names": {"2010,2020\n1,2\n3,4\n", Settings{Header: "yes"}, "1 2;3 4", "2010 2020"},
		"one column":       {"1\n2\n\n3\n", Settings{}, "1;2;3", ""},
	} {
		c.set.Standardize = "none"
		s, err := Source{Spec: filepath.Join(write(t, map[string][]byte{"t": []byte(c.text)}), "t"),
			Settings: c.set}.Open(context.Background())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var rows []string
		for i := range s.N {
			rows = append(rows, strings.Trim(fmt.Sprint(s.Floats(i)), "[]"))
		}
		if got := strings.Join(rows, ";"); got != c.want || s.H != 1 || s.W != 1 || s.Scaler != nil {
			t.Errorf("%s: %s", name, got)
		}
		c.set.Standardize = ""
		s, err = Source{Spec: s.Source, Settings: c.set}.Open(context.Background())
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if got := strings.Join(s.Scaler.Columns, " "); got != c.names {
			t.Errorf("%s: names %q, expected %q", name, got, c.names)
		}
	}
}

func TestBadTables(t *testing.T) {
	for _, c := range []struct {
		name, text string
		set        Settings
		want       string
	}{
		{"a column of NaN", "a,b\n1,NaN\n3,NaN\n", Settings{}, `t: column 2 (b): expected a value in one row or more, found none: there is nothing to learn; leave the column out`},
		{"a row of NA", "a,b\n1,2\n\nNA,NA\n", Settings{}, `t: line 4: expected a value in one column or more of each row, found none; take the row out`},
		{"infinite", "1,2\n3,-inf\n", Settings{}, `t: line 2, column 2: expected a number, found "-inf", which is not finite`},
		{"too large", "1,2\n3,1e999\n", Settings{}, `t: line 2, column 2: expected a number, found "1e999", which is not finite`},
		{"words", "a,kind\n1,2\n1,setosa\n", Settings{}, `t: line 3, column 2 (kind): expected a number, found "setosa"; name the columns of numbers with ` + "`columns`, or this one in `categories`"},
		{"comma of two meanings", "a;b\n1,500;2,250\n", Settings{}, `t: line 2, column 1 (a): expected a number, found "1,500", whose comma or point may be a decimal one or stand between thousands; write all numbers with a decimal point alone`},
		{"commas of both meanings", "a;b\n1,5;2\n1,234,567;0.25\n", Settings{}, `t: line 2, column 1 (a): expected a number, found "1,5", whose comma or point`},
		{"point beside decimal commas", "a;b\n1,5;2,25\n3,5;1.5\n", Settings{}, `t: line 2, column 1 (a): expected a number, found "1,5", whose comma or point`},
		{"end mark within", "1,2\n3\x1a,4\n", Settings{}, "found 9 bytes"},
		{"JSON", `{"points": [[1, 2], [3, 4]]}`, Settings{}, "found JSON; save the numbers in it as CSV or with numpy.save"},
		{"JSON lines", "[1, 2]\n[3, 4]\n", Settings{}, "found JSON; save the numbers in it as CSV or with numpy.save"},
		{"ragged", "a,b\n1,2\n3\n", Settings{}, "t: line 3: expected 2 fields as in the first line, found 1; mend the line"},
		{"quotes", "a,b\n\"1,2\n3,4\n", Settings{}, "t: line"},
		{"header and nothing", "a,b\n", Settings{}, "expected two rows of numbers or more, found 0"},
		{"one row", "1,2\n", Settings{}, "expected two rows of numbers or more, found 1"},
		{"constant", "a,b\n1,5\n2,5\n3,5\n", Settings{}, "t: column 2 (b): expected values that differ, found 5 in every row: there is nothing to learn; leave the column out"},
		{"no such name", "a,b\n1,2\n", Settings{Columns: "a,c"}, `columns names column "c", which is neither a number nor a range such as 3-5, and its header has no such name (a, b)`},
		{"no such number", "a,b\n1,2\n", Settings{Columns: "3"}, "columns names column 3, but the table has columns 1 to 2 (a, b)"},
		{"range beyond", "1,2\n1,2\n", Settings{Columns: "2-1000000000"}, "columns names column 3, but the table has columns 1 to 2"},
		{"twice", "a,b\n1,2\n", Settings{Columns: "a,1-2"}, "columns names column 1 twice: name each once"},
		{"ambiguous", "a,a\n1,2\n", Settings{Columns: "a"}, `columns names column "a", and the table has two of that name: give the number`},
		{"no header", "a,b\n1,2\n", Settings{Header: "no"}, "t: line 2, column 1: expected a word, as line 1 has one, found \"1\"; mend one of the two, or name the column in `categories`"},
		{"bad header", "1,2\n3,5\n", Settings{Header: "maybe"}, `header is "maybe": expected yes or no`},
		{"size of a table", "1,2\n3,5\n", Settings{Size: "8"}, "size is for image files, and this data is none"},
		{"page", "<html>\n", Settings{}, "found a web page or XML"},
		{"UTF-16", "\xff\xfe<\x00b\x00\n\x00", Settings{}, "found text in UTF-16; save it as UTF-8"},
		{"float32", "1,1e300\n2,3\n", Settings{Standardize: "none"}, "expected values that float32 holds, found 1e+300 in row 1, column 2"},
	} {
		spec := filepath.Join(write(t, map[string][]byte{"t": []byte(c.text)}), "t")
		_, err := Source{Spec: spec, Settings: c.set}.Open(context.Background())
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v\nwant %s", c.name, err, c.want)
		}
	}
	folder := write(t, map[string][]byte{"a": []byte("x,y\n1,2\n3,5\n"), "b": []byte("x,z\n1,2\n3,5\n")})
	if _, err := Open(filepath.Join(folder, "a")+","+filepath.Join(folder, "b"), 1); err == nil ||
		!strings.Contains(err.Error(), "expected the 2 columns of the first file (x, y), found 2 (x, z)") {
		t.Errorf("two tables: %v", err)
	}
	if s, err := Open(filepath.Join(folder, "a")+","+filepath.Join(folder, "a"), 1); err != nil || s.N != 4 {
		t.Errorf("a table twice: %v", err)
	}
	// Columns are those of the setting in each file, wherever they stand; an array before a table counts from 0.
	folder = write(t, map[string][]byte{"a": []byte("x,y\n1,2\n3,5\n"), "b": []byte("z,y,x\n9,20,10\n9,50,30\n"),
		"n": npyOf("<f4", "(2, 2)", false, floats(1, 2, 3, 5)), "c": []byte("10,20\n30,50\n")})
	for _, c := range []struct {
		first, second string
		set           Settings
	}{{"a", "b", Settings{Columns: "x,y", Standardize: "none"}}, {"n", "c", Settings{Standardize: "none"}}} {
		s, err := Source{Spec: filepath.Join(folder, c.first) + "," + filepath.Join(folder, c.second),
			Settings: c.set}.Open(context.Background())
		if err != nil || !slices.Equal(s.F32, []float32{1, 2, 3, 5, 10, 20, 30, 50}) {
			t.Errorf("%s and %s: %v, %v", c.first, c.second, s, err)
		}
	}
}

// correlated is n rows of columns with very different units, offsets and correlations.
func correlated(n int) []float64 {
	x := make([]float64, 0, 4*n)
	z := make([]float32, 4)
	for i := range n {
		kernels.Stream{Seed: 3, Purpose: kernels.PurposeData, N: uint64(i)}.Normals(z)
		a, b, c, d := float64(z[0]), float64(z[1]), float64(z[2]), float64(z[3])
		x = append(x, 1e9+a, 1e-6*(a+0.3*b), -500-20*(b+c), 3*c+d)
	}
	return x
}

// Standardised columns have mean 0 and deviation 1, whitened ones no correlation either, and both can be undone.
func TestScaler(t *testing.T) {
	const n, d = 1000, 4
	for _, whiten := range []bool{false, true} {
		x := correlated(n)
		y := slices.Clone(x)
		s := &Scaler{}
		err := s.standardize(y, d, whiten, func(k int) string { return "" })
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Check(d); err != nil {
			t.Error(err)
		}
		for a := range d {
			for b := range a + 1 {
				sum, sa := 0.0, 0.0
				for i := range n {
					sum += y[i*d+a] * y[i*d+b] / n
					sa += y[i*d+a] / n
				}
				if math.Abs(sa) > 1e-6 || a == b && math.Abs(sum-1) > 1e-6 || whiten && a != b && math.Abs(sum) > 1e-6 {
					t.Errorf("whiten %v: mean %g, covariance of %d and %d is %g", whiten, sa, a, b, sum)
				}
			}
		}
		f := make([]float32, len(y))
		for i, v := range y {
			f[i] = float32(v)
		}
		for i, v := range s.Undo(f) {
			if e := math.Abs(v-x[i]) / s.SD[i%d]; e > 2e-6 {
				t.Fatalf("whiten %v: value %d is off by %g deviations", whiten, i, e)
			}
		}
	}
	// Two columns that are one: whitening goes on with a direction that does not vary.
	x := []float64{1, 2, 2, 4, 3, 6, 5, 10}
	s := &Scaler{}
	err := s.standardize(x, 2, true, func(int) string { return "" })
	if err != nil || s.Check(2) != nil {
		t.Errorf("two equal columns: %v %v", s, err)
	}
	for _, v := range x {
		if v-v != 0 {
			t.Errorf("two equal columns become %v", x)
			break
		}
	}
}

// Which rows are held out does not depend on rows that are added, though these change means and deviations.
func TestSplitOfTables(t *testing.T) {
	var few, many strings.Builder
	for i := range 300 {
		fmt.Fprintf(&few, "%d,%d\n", i, i*i)
		fmt.Fprintf(&many, "%d,%d\n", i, i*i)
	}
	many.WriteString("100000,-5\n")
	folder := write(t, map[string][]byte{"few": []byte(few.String()), "many": []byte(many.String())})
	var held [2][]float64
	for i, name := range []string{"few", "many"} {
		s := open32(t, filepath.Join(folder, name), Settings{})
		_, h := s.Split(1, 20)
		for r := range h.N {
			held[i] = append(held[i], math.Round(s.Scaler.Undo(h.Floats(r))[0]))
		}
	}
	if same := len(held[0]); same != 20 ||
		len(slices.DeleteFunc(held[1], func(v float64) bool { return slices.Contains(held[0], v) })) > 1 {
		t.Errorf("held out %v, with a row more %v besides", held[0], held[1])
	}
}

func open32(t *testing.T, spec string, set Settings) *Set {
	t.Helper()
	s, err := Source{Spec: spec, Settings: set}.Open(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// npyOf is an array file with any header.
func npyOf(descr, shape string, fortran bool, values []byte) []byte {
	order := "False"
	if fortran {
		order = "True"
	}
	header := fmt.Sprintf("{'descr': '%s', 'fortran_order': %s, 'shape': %s, }", descr, order, shape)
	header += strings.Repeat(" ", 63-(10+len(header))%64) + "\n"
	b := append([]byte("\x93NUMPY\x01\x00"), byte(len(header)), byte(len(header)>>8))
	return append(append(b, header...), values...)
}

func upTo(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i)
	}
	return b
}

func floats(v ...float32) []byte {
	b, _ := binary.Append(nil, binary.LittleEndian, v)
	return b
}

func TestNPYImages(t *testing.T) {
	for name, c := range map[string]struct {
		file  []byte
		set   Settings
		shape string
		want  []byte // the first values
	}{
		"grey":           {npyOf("|u1", "(2, 3, 4)", false, upTo(24)), Settings{}, "3x4x1", []byte{0, 1, 2}},
		"Fortran":        {npyOf("|u1", "(2, 3, 4)", true, upTo(24)), Settings{}, "3x4x1", []byte{0, 6, 12, 18, 2, 8}},
		"NHWC":           {npyOf("|u1", "(2, 4, 5, 3)", false, upTo(120)), Settings{}, "4x5x3", []byte{0, 1, 2, 3}},
		"NCHW":           {npyOf("|u1", "(2, 3, 4, 5)", false, upTo(120)), Settings{}, "4x5x3", []byte{0, 20, 40, 1, 21, 41}},
		"layout":         {npyOf("|u1", "(2, 3, 4, 3)", false, upTo(72)), Settings{Layout: "nchw"}, "4x3x3", []byte{0, 12, 24, 1}},
		"other layout":   {npyOf("|u1", "(2, 3, 4, 3)", false, upTo(72)), Settings{Layout: "nhwc"}, "3x4x3", []byte{0, 1, 2, 3}},
		"many channels":  {npyOf("|u1", "(2, 3, 4, 5)", false, upTo(120)), Settings{Layout: "nhwc"}, "3x4x5", []byte{0, 1, 2, 3}},
		"floats to 1":    {npyOf("<f4", "(1, 1, 4)", false, floats(0, 0.5, 1, 0.2)), Settings{}, "1x4x1", []byte{0, 128, 255, 51}},
		"floats to 255":  {npyOf("<f4", "(1, 1, 4)", false, floats(0, 7, 255, 20)), Settings{}, "1x4x1", []byte{0, 7, 255, 20}},
		"big-endian":     {npyOf(">i2", "(1, 1, 2)", false, []byte{0, 200, 0, 3}), Settings{}, "1x2x1", []byte{200, 3}},
		"black integers": {npyOf("<i2", "(1, 1, 2)", false, []byte{1, 0, 0, 0}), Settings{}, "1x2x1", []byte{1, 0}},
		"gzip":           {gzipped(t, npyOf("|u1", "(2, 3, 4)", false, upTo(24))), Settings{}, "3x4x1", []byte{0, 1, 2}},
	} {
		s, err := Source{Spec: filepath.Join(write(t, map[string][]byte{"a": c.file}), "a"),
			Settings: c.set}.Open(context.Background())
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if shape(&s.Data) != c.shape || !bytes.HasPrefix(s.U8, c.want) || len(s.U8) != s.N*s.D() {
			t.Errorf("%s: %s % d", name, s.Name, s.U8)
		}
	}
}

func TestNPYVectors(t *testing.T) {
	for name, file := range map[string][]byte{
		"float32": npyOf("<f4", "(3, 2)", false, floats(1, 2, 3, 4, 5, 6)),
		"Fortran": npyOf("<f4", "(3, 2)", true, floats(1, 3, 5, 2, 4, 6)),
		"uint8":   npyOf("|u1", "(3, 2)", false, []byte{1, 2, 3, 4, 5, 6}),
		"gzip":    gzipped(t, npyOf("<f4", "(3, 2)", false, floats(1, 2, 3, 4, 5, 6))),
	} {
		s := open32(t, filepath.Join(write(t, map[string][]byte{"a": file}), "a"), Settings{Standardize: "none"})
		if !slices.Equal(s.F32, []float32{1, 2, 3, 4, 5, 6}) || s.N != 3 || s.C != 2 {
			t.Errorf("%s: %v", name, s.F32)
		}
		if s = open32(t, s.Source, Settings{}); s.Scaler == nil || s.Scaler.Mean[1] != 4 || s.Scaler.Columns != nil {
			t.Errorf("%s: scaler %+v", name, s.Scaler)
		}
	}
}

func TestBadNPY(t *testing.T) {
	nan := float32(math.NaN())
	for _, c := range []struct {
		name string
		file []byte
		set  Settings
		want string
	}{
		{"labels", npyOf("<i8", "(4,)", false, make([]byte, 32)), Settings{}, "found one row of 4 values of type int64, as labels are stored"},
		{"ambiguous", npyOf("|u1", "(2, 3, 4, 3)", false, upTo(72)), Settings{}, "expected an array whose channels can be told, found shape (2, 3, 4, 3); say where they are with `layout` nhwc or `layout` nchw"},
		{"no channels", npyOf("|u1", "(2, 4, 5, 6)", false, upTo(240)), Settings{}, "expected 1 or 3 channels in the second or the last dimension, found shape (2, 4, 5, 6)"},
		{"five dimensions", npyOf("|u1", "(1, 1, 1, 1, 1)", false, upTo(1)), Settings{}, "found an array of 5 dimensions"},
		{"layout of three", npyOf("|u1", "(2, 3, 4)", false, upTo(24)), Settings{Layout: "nhwc"}, "layout is for NPY images of four dimensions"},
		{"range", npyOf("<f4", "(1, 1, 2)", false, floats(-1, 1)), Settings{}, "expected floats from 0 to 1 or whole numbers from 0 to 255, found float32 from -1 to 1"},
		{"above", npyOf("<i2", "(1, 1, 1)", false, []byte{0, 1}), Settings{}, "found int16 from 256 to 256"},
		{"NaN in images", npyOf("<f4", "(2, 1, 1)", false, floats(0, nan)), Settings{}, "expected finite values, found NaN in image 1; clean the data"},
		{"NaN in vectors", npyOf("<f4", "(2, 2)", false, floats(0, 1, 2, nan)), Settings{}, "expected finite values, found NaN in row 1, column 1; clean the data"},
		{"booleans", npyOf("|b1", "(1, 2, 2)", false, upTo(4)), Settings{}, "expected numbers, found booleans; save the images as uint8"},
		{"cut short", npyOf("|u1", "(2, 3, 4)", false, upTo(20)), Settings{}, "is truncated"},
		{"claims too much", npyOf("|u1", "(1000000, 1000, 1000)", false, upTo(20)), Settings{}, "is truncated"},
		{"claims too much in gzip", gzipped(t, npyOf("|u1", "(1000000, 1000, 1000)", false, upTo(20))), Settings{}, "bytes of gzip data, which cannot hold them"},
		{"empty", npyOf("|u1", "(0, 3, 4)", false, nil), Settings{}, "found an empty array of shape (0, 3, 4)"},
		{"constant column", npyOf("<f4", "(2, 2)", false, floats(0, 1, 2, 1)), Settings{}, "column 1: expected values that differ, found 1 in every row"},
	} {
		_, err := Source{Spec: filepath.Join(write(t, map[string][]byte{"a": c.file}), "a"),
			Settings: c.set}.Open(context.Background())
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v\nwant %s", c.name, err, c.want)
		}
	}
}

// What this project writes it reads.
func TestNPYRoundTrip(t *testing.T) {
	var b bytes.Buffer
	if err := npy.Write(&b, []int{2, 3}, []float64{1, 2, 3, 4, 5, 7}); err != nil {
		t.Fatal(err)
	}
	if s := open32(t, filepath.Join(write(t, map[string][]byte{"a.npy": b.Bytes()}), "a.npy"),
		Settings{}); s.N != 2 || s.C != 3 {
		t.Errorf("got %s", s.Name)
	}
}

// TestDiameter: the largest distance is that of all pairs.
func TestDiameter(t *testing.T) {
	for _, d := range []int{1, 2, 5, 40} {
		s := vectors(700, d, func(i, k int) float32 {
			z := make([]float32, d)
			kernels.Stream{Seed: 9, Purpose: kernels.PurposeData, N: uint64(i)}.Normals(z)
			return 1000 + z[k]*float32(1+i%7)
		})
		want, err := s.Distances(context.Background(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := s.Diameter(context.Background()); err != nil || got != want.Max {
			t.Errorf("%d dimensions: %v, expected %v (%v)", d, got, want.Max, err)
		}
	}
	s := images(50, 3, 4, func(i, k int) byte { return byte(i*i + 31*k*i) })
	if want, err := s.Distances(context.Background(), nil); err != nil {
		t.Fatal(err)
	} else if got, err := s.Diameter(context.Background()); err != nil || math.Abs(got-want.Max) > 1e-12 {
		t.Errorf("images: %v, expected %v (%v)", got, want.Max, err)
	}
}
