package dataset

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigmaz/kernels"
)

// openTable opens text as a table.
func openTable(t *testing.T, text string, set Settings) (*Set, error) {
	t.Helper()
	return Source{Spec: filepath.Join(write(t, map[string][]byte{"t.csv": []byte(text)}), "t.csv"), Seed: 1, Settings: set}.Open(context.Background())
}

const mixed = `size,kind,share,grade
1.5,oak,0,2
2.5,elm,0.25,10
3.5,oak,1,2
2,ash,0.5,10
4,elm,0.75,2
3,ash,0.5,10
`

// What a table is encoded to comes back, to the bit of float32 that the network's units have.
func TestEncodingsComeBack(t *testing.T) {
	for _, standardize := range []string{"columns", "none"} {
		s, err := openTable(t, mixed, Settings{Categories: "grade", Bounded: "share=0:1", Standardize: standardize})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Scaler.Check(7); err != nil || s.D() != 7 || s.Scaler.Fields() != 4 {
			t.Fatalf("%d values, %d columns, %v", s.D(), s.Scaler.Fields(), err)
		}
		if got := fmt.Sprint(s.Scaler.CoordinateNames()); got != "[size kind=ash kind=elm kind=oak share grade=2 grade=10]" {
			t.Error(got)
		}
		want := []float64{1.5, 2, 0, 0, 2.5, 1, 0.25, 1, 3.5, 2, 1, 0, 2, 0, 0.5, 1, 4, 1, 0.75, 0, 3, 0, 0.5, 1}
		for i, v := range s.Scaler.Decode(s.F32) {
			if math.Abs(v-want[i]) > 1e-6 {
				t.Errorf("%s: value %d is %g, not %g", standardize, i, v, want[i])
			}
		}
		for i, v := range s.Scaler.Undo(s.F32) {
			if n := i % 7; n != 0 && n != 4 && v != 0 && v != 1 {
				t.Errorf("coordinate %d is %g", i, v)
			}
		}
		// the same rows by the scaler of another set
		source := Source{Spec: s.Source, Scaler: s.Scaler}
		again, err := source.Open(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range again.F32 {
			if math.Abs(float64(v-s.F32[i])) > 1e-6 {
				t.Fatalf("value %d is %g by the scaler, and was %g", i, v, s.F32[i])
			}
		}
		if standardize == "none" {
			continue
		}
		// a column has variance 1 in all, and two values of a category are more than sqrt(2) apart
		for _, f := range s.Scaler.Table() {
			variance := 0.0
			for i := range s.N {
				for _, v := range s.Floats(i)[f.At : f.At+f.N] {
					variance += float64(v) * float64(v) / float64(s.N)
				}
			}
			if math.Abs(variance-1) > 1e-6 || f.Category() && !(s.Scaler.SD[f.At] < 1) {
				t.Errorf("%s has variance %g", f.Name, variance)
			}
		}
	}
}

// Samples lie within the bounds wherever the network's values do, and categories are words that the table has.
func TestDecodeHoldsBounds(t *testing.T) {
	s, err := openTable(t, mixed, Settings{Categories: "grade", Bounded: "share=0:1,size=1:5"})
	if err != nil {
		t.Fatal(err)
	}
	x := make([]float32, 7*1000)
	kernels.Stream{Seed: 1, Purpose: kernels.PurposeData}.Normals(x)
	for i := range x {
		x[i] *= 100
	}
	ends := 0
	for i, v := range s.Scaler.Decode(x) {
		high := []float64{5, 2, 1, 1}[i%4]
		low := []float64{1, 0, 0, 0}[i%4]
		if !(v >= low && v <= high) || i%2 == 1 && v != math.Floor(v) {
			t.Fatalf("column %d has %g", i%4, v)
		}
		if i%4 == 2 && (v == 0 || v == 1) {
			ends++
		}
	}
	if ends < 500 { // of samples far out, which the table has at 0 and at 1
		t.Errorf("%d of 1000 at the ends", ends)
	}
	b := &Bounds{Low: 0, High: 10, From: 0, To: 10}
	for _, c := range []struct {
		x        []float64
		from, to float64
	}{{[]float64{1, 9}, 0, 10}, {[]float64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 5}, -0.5, 10.5}, {[]float64{math.NaN(), 0, 1e-9, 5, 5}, -1.25, 10}} {
		if b.widen(c.x); b.From != c.from || b.To != c.to {
			t.Errorf("%v: from %g to %g", c.x, b.From, b.To)
		}
	}
	// the slope against a difference
	for _, y := range []float64{-3, -0.5, 0, 2} {
		b := &Bounds{Low: 1, High: 5, From: 1, To: 5}
		const h = 1e-6
		if got, want := math.Exp(b.slope(y)), (b.decode(y+h)-b.decode(y-h))/(2*h); math.Abs(got-want) > 1e-7 {
			t.Errorf("slope %g at %g, not %g", got, y, want)
		}
	}
}

// A first line with numbers and words is a row where a word of it stands again below.
func TestTableWithoutHeader(t *testing.T) {
	s, err := openTable(t, "5.1,setosa\n4.9,setosa\n7,virginica\n6.5,virginica\n", Settings{})
	if err != nil || s.N != 4 || s.D() != 3 {
		t.Fatalf("%v %v", s, err)
	}
	if s, err = openTable(t, "name,2019\nx,1\ny,2\nx,3\n", Settings{}); err != nil || s.N != 3 {
		t.Fatalf("%v %v", s, err)
	}
}

// The moments of a Gaussian come back from a table of which cells are missing, where those are drawn that are missing, and not
// with means in their place.
func TestMissingCellsKeepMoments(t *testing.T) {
	const n, rho = 4000, 0.8
	r := rand.New(rand.NewPCG(1, 2))
	var text, filled strings.Builder
	text.WriteString("a,b,c\n")
	for i := range n {
		a := r.NormFloat64()
		b := rho*a + math.Sqrt(1-rho*rho)*r.NormFloat64()
		c := b + 0.5*r.NormFloat64()
		cells := []string{fmt.Sprint(3 + 2*a), fmt.Sprint(b), fmt.Sprint(c)}
		for k := range cells {
			// b and c are missing where a is large, with probability 1/2: at random given a
			if k > 0 && r.Float64() < 0.2 || k == 1 && a > 0.5 && r.Float64() < 0.6 {
				cells[k] = []string{"", "NA", "nan", "?"}[r.IntN(4)]
			}
		}
		text.WriteString(strings.Join(cells, ",") + "\n")
		fmt.Fprintf(&filled, "%d,%d\n", i, i*i)
	}
	s, err := openTable(t, text.String(), Settings{Standardize: "none"})
	if err != nil {
		t.Fatal(err)
	}
	var mean [3]float64
	var product [3][3]float64
	for i := range s.N {
		for j, v := range s.Floats(i) {
			mean[j] += float64(v) / n
			for k, w := range s.Floats(i) {
				product[j][k] += float64(v) * float64(w) / n
			}
		}
	}
	cor := func(j, k int) float64 {
		return (product[j][k] - mean[j]*mean[k]) / math.Sqrt((product[j][j]-mean[j]*mean[j])*(product[k][k]-mean[k]*mean[k]))
	}
	if math.Abs(mean[1]) > 0.06 || math.Abs(cor(0, 1)-rho) > 0.02 || math.Abs(cor(1, 2)-1/math.Sqrt(1.25)) > 0.02 {
		t.Errorf("mean of b %.3f, correlations %.3f and %.3f", mean[1], cor(0, 1), cor(1, 2))
	}
	if there := s.There(); there > 0.85 || there < 0.75 {
		t.Errorf("%g of the cells are there", there)
	}
	again, err := openTable(t, text.String(), Settings{Standardize: "none"})
	if err != nil || again.Sum != s.Sum || !slices.Equal(again.F32, s.F32) {
		t.Errorf("drawn anew: %v", err)
	}
	whole, err := openTable(t, filled.String(), Settings{Standardize: "none"})
	if err != nil || whole.Masks != nil || whole.Sum == s.Sum {
		t.Errorf("whole: %v", err)
	}
}

// Missing cells of a category are filled with a value of it, and what is there stays.
func TestMissingCategories(t *testing.T) {
	s, err := openTable(t, "x,kind\n1,a\n2,\n3,b\n,b\n1.5,a\n3.5,?\n", Settings{})
	if err != nil {
		t.Fatal(err)
	}
	var masks []string
	for i := range s.N {
		masks = append(masks, fmt.Sprint(s.MaskOf(i)))
		if v := s.Scaler.Undo(s.Floats(i)); v[1]+v[2] != 1 {
			t.Errorf("row %d is %v", i, v)
		}
		sum := 0.0
		for k, v := range s.Floats(i)[1:] {
			u := s.Scaler.Mean[1+k] + s.Scaler.SD[1+k]*float64(v)
			if sum += u; math.Abs(u) > 1e-6 && math.Abs(u-1) > 1e-6 {
				t.Errorf("row %d has coordinate %g", i, u)
			}
		}
	}
	if got := strings.Join(masks, ""); got != "[1 1 1][1 0 0][1 1 1][0 1 1][1 1 1][1 0 0]" {
		t.Error(got)
	}
	if got := strings.Join(s.Notes, "\n"); !strings.Contains(got, "column 2 (kind) is a category of 2 values: a, b") ||
		!strings.Contains(got, "3 of 12 cells are missing (column 1 (x) 1, column 2 (kind) 2), the first in line 3: the loss does not count them") {
		t.Error(got)
	}
}

func TestWrongEncodings(t *testing.T) {
	many := "x,name\n"
	for i := range 300 {
		many += fmt.Sprintf("%d,n%d\n", i, i)
	}
	for name, c := range map[string]struct {
		text string
		set  Settings
		want string
	}{
		"names":                {many, Settings{}, "t.csv: line 102, column 2 (name): expected a category of at most 100 different values, found more, such as n0, n1, n2; leave a column of names or numbers of rows out with `columns`"},
		"few names":            {"x,name\n1,a\n2,b\n3,c\n4,d\n", Settings{}, "column 2 (name): expected a category whose values repeat, found 4 different ones in 4 rows, such as a, b, c; leave"},
		"one value":            {"x,k\n1,a\n2,a\n", Settings{}, "column 2 (k): expected a category of two values or more, found a; leave the column out"},
		"word among numbers":   {"x,k\n1,2\n2,abc\n", Settings{}, "line 3, column 2 (k): expected a number, found \"abc\""},
		"number among words":   {"x,k\n1,a\n2,7\n", Settings{}, "line 3, column 2 (k): expected a word, as line 2 has one, found \"7\"; mend one of the two, or name the column in `categories`"},
		"empty row":            {"x,y\n1,2\n,\n3,4\n", Settings{}, "t.csv: line 3: expected a value in one column or more of each row, found none; take the row out"},
		"empty column":         {"x,y\n1,\n2,\n", Settings{}, "column 2 (y): expected a value in one row or more, found none"},
		"constant in bounds":   {"x,y\n1,0.25\n2,0.25\n", Settings{Bounded: "y=0:1"}, "column 2 (y): expected values that differ, found 0.25 in every row"},
		"outside":              {"x,y\n1,2\n2,3\n", Settings{Bounded: "y=0:2.5"}, "line 3, column 2 (y): expected a number from 0 to 2.5, found 3; mend it, or give other bounds"},
		"bounds without end":   {"x,y\n1,2\n2,3\n", Settings{Bounded: "y=0"}, "is \"y=0\": expected COLUMN=LOW:HIGH"},
		"bounds turned":        {"x,y\n1,2\n2,3\n", Settings{Bounded: "y=5:0"}, "is \"y=5:0\": expected LOW:HIGH to be two numbers, the lower one first"},
		"bounds of another":    {"x,y\n1,2\n2,3\n", Settings{Bounded: "z=0:1"}, "names column \"z\", which is neither"},
		"bounds twice":         {"x,y\n1,2\n2,3\n", Settings{Bounded: "y=0:5,2=0:5"}, "names column 2 twice"},
		"bounds of a category": {"x,y\n1,2\n2,3\n", Settings{Bounded: "y=0:5", Categories: "y"}, "which is among `categories`"},
		"not learned":          {"x,y,z\n1,2,3\n2,3,5\n", Settings{Columns: "x,y", Categories: "z"}, "names column 3, which is not learned"},
		"whitened":             {mixed, Settings{Standardize: "whiten"}, "whiten, which takes all values of a row together"},
	} {
		if _, err := openTable(t, c.text, c.set); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	s, err := openTable(t, mixed, Settings{Bounded: "share=0:1,size=1:5"})
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(s.Notes, "\n"); !strings.Contains(got, "column 3 (share) is bounded, from 0 to 1: samples lie within, and its logit") ||
		!strings.Contains(got, "column 1 (size) is bounded, above 1 and below 5: ") {
		t.Error(got)
	}
	for text, want := range map[string]string{
		"size,kind,share,grade\n2,yew,0.5,2\n2,oak,0.5,2\n": "column 2 (kind): expected one of ash, elm, oak, found \"yew\"",
		"size,kind,share,grade\n2,oak,7,2\n2,oak,0.5,2\n":   "column 3 (share): expected a number from 0 to 1, found 7",
		"size,kind,share,grade\n1,oak,1,2\n2,oak,0.5,2\n":   "column 1 (size): expected a number above 1 and below 5, found 1",
		"size,kind,share\n1,oak,1\n2,oak,0.5\n":             "expected rows of 4 values, as the run or table that they go with has, found 3",
	} {
		path := filepath.Join(write(t, map[string][]byte{"t.csv": []byte(text)}), "t.csv")
		if _, err := (Source{Spec: path, Scaler: s.Scaler}).Open(context.Background()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, not %s", err, want)
		}
	}
	for _, edit := range []func(s *Scaler){
		func(s *Scaler) { s.Encodings[0].Column = 9 },
		func(s *Scaler) { s.Encodings[1].Categories = nil },
		func(s *Scaler) { s.Encodings[0].Column, s.Encodings[1].Column = 2, 2 },
	} {
		bad := *s.Scaler
		bad.Encodings = slices.Clone(bad.Encodings)
		if edit(&bad); bad.Check(s.D()) == nil {
			t.Errorf("%+v passes", bad.Encodings)
		}
	}
}
