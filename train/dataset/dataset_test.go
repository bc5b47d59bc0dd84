// Data made from a seed: golden hashes, shapes and moments; splitting; the distance of point sets.

package dataset

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math"
	"os"
	"slices"
	"testing"

	"sigmaz/kernels"
)

func TestGlyphsGolden(t *testing.T) {
	s, err := makeGlyphs(1, 64, false)
	if err != nil {
		t.Fatal(err)
	}
	// The same on every machine: never change it, or runs with this data cannot be repeated.
	const golden = "a6ee380edde8f0e9e9ae697a46ff25278ab49dc6270c9cf1caeaaca3fad41849"
	if got := fmt.Sprintf("%x", sha256.Sum256(s.U8)); got != golden {
		t.Errorf("the glyphs of seed 1 have changed: got %s", got)
	}
}

// TestGlyphs: a glyph is a function of (seed, index), is drawn inside its image, with ink, on nothing.
func TestGlyphs(t *testing.T) {
	s, err := Open("glyphs", 1)
	if err != nil {
		t.Fatal(err)
	}
	if s.N != 20000 || shape(&s.Data) != "28x28x1" || len(s.U8) != 20000*784 {
		t.Fatalf("got %s", s.Name)
	}
	few, err := makeGlyphs(1, 37, false)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(few.U8, s.U8[:37*784]) {
		t.Error("the first 37 glyphs depend on how many there are")
	}
	other, err := makeGlyphs(2, 37, false)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(few.U8, other.U8) {
		t.Error("seeds 1 and 2 give the same glyphs")
	}
	var touching int
	for i := range s.N {
		image := s.U8[i*784 : (i+1)*784]
		sum := 0
		for _, v := range image {
			sum += int(v)
		}
		if top := slices.Max(image); top < 150 || sum < 5000 || sum > 70000 || slices.Min(image) != 0 {
			t.Fatalf("glyph %d: brightest %d, sum %d", i, top, sum)
		}
		edge := slices.Max(image[:28]) | slices.Max(image[27*28:])
		for y := range 28 {
			edge |= image[y*28] | image[y*28+27]
		}
		if edge > 0 {
			touching++
		}
	}
	if touching > s.N/100 {
		t.Errorf("%d glyphs touch the edge of their image", touching)
	}
}

func TestToysGolden(t *testing.T) {
	// The same on every machine: never change them, or runs with this data cannot be repeated.
	golden := map[string]string{
		"swissroll": "63e24b71fa3e3f0b", "checkerboard": "82b9128f72597e84", "gaussians": "29fe6c8249fc31db", "moons": "fd681c22c01be33a",
	}
	for _, name := range Toys() {
		points, err := ToySample(name, 1, 1000)
		if err != nil {
			t.Fatal(err)
		}
		var b []byte
		for _, v := range points {
			b = fmt.Appendf(b, "%08x", math.Float32bits(v))
		}
		if got := fmt.Sprintf("%x", sha256.Sum256(b))[:16]; got != golden[name] {
			t.Errorf("the points of toy:%s from seed 1 have changed: got %s", name, got)
		}
	}
}

// TestToys: mean 0, root mean square of the coordinates 1, and the shape of each.
func TestToys(t *testing.T) {
	for _, name := range Toys() {
		s, err := Open("toy:"+name, 3)
		if err != nil {
			t.Fatal(err)
		}
		if s.N != 50000 || s.D() != 2 || len(s.F32) != 100000 || s.U8 != nil {
			t.Fatalf("got %s", s.Name)
		}
		var x, y, square float64
		for i := range s.N {
			px, py := float64(s.F32[2*i]), float64(s.F32[2*i+1])
			x, y, square = x+px, y+py, square+px*px+py*py
			switch name {
			case "checkerboard":
				cell := func(v float64) int { return int(math.Floor((v/math.Sqrt(3) + 1) * 2 * (1 - 1e-6))) }
				if cx, cy := cell(px), cell(py); cx < 0 || cx > 3 || cy < 0 || cy > 3 || (cx+cy)%2 != 0 {
					t.Fatalf("point %d (%g, %g) is on a light square", i, px, py)
				}
			case "gaussians":
				if r := math.Hypot(px, py); math.Abs(r-math.Sqrt(1.98)) > 0.6 {
					t.Fatalf("point %d is %g from the middle", i, r)
				}
			}
		}
		n := float64(s.N)
		// Standard error of the mean 1/sqrt(n) = 0.0045, of the root mean square below that.
		if math.Abs(x/n) > 0.02 || math.Abs(y/n) > 0.02 || math.Abs(math.Sqrt(square/n/2)-1) > 0.012 {
			t.Errorf("toy:%s: mean (%.4f, %.4f), root mean square %.4f", name, x/n, y/n, math.Sqrt(square/n/2))
		}
	}
	if _, err := ToySample("moons", 1, -1); err == nil {
		t.Error("no error for -1 points")
	}
	if p, err := ToySample("moons", 1, 0); err != nil || len(p) != 0 {
		t.Errorf("0 points: %v, %v", p, err)
	}
}

func TestSinCosTurn(t *testing.T) {
	for i := range 10000 {
		turn := float64(i) / 3000
		sin, cos := sinCosTurn(turn)
		wantSin, wantCos := math.Sincos(2 * math.Pi * turn)
		if math.Abs(sin-wantSin) > 1e-14 || math.Abs(cos-wantCos) > 1e-14 {
			t.Fatalf("turn %g: (%g, %g), expected (%g, %g)", turn, sin, cos, wantSin, wantCos)
		}
	}
}

func TestSlicedWasserstein(t *testing.T) {
	a, _ := ToySample("swissroll", 1, 2000)
	b, _ := ToySample("swissroll", 2, 2000)
	c, _ := ToySample("checkerboard", 1, 2000)
	self, near, far := SlicedWasserstein(a, a, 2, 50, 1), SlicedWasserstein(a, b, 2, 50, 1),
		SlicedWasserstein(a, c, 2, 50, 1)
	if self != 0 || near <= 0 || near > 0.08 || far < 2*near {
		t.Errorf("to itself %g, to another draw %g, to another toy %g", self, near, far)
	}
	if SlicedWasserstein(b, a, 2, 50, 1) != near {
		t.Error("not symmetric")
	}
	// A move by v: the mean over directions of |v cos| is |v| 2/pi in the plane.
	moved := slices.Clone(a)
	for i := 0; i < len(moved); i += 2 {
		moved[i] += 3
	}
	if got := SlicedWasserstein(a, moved, 2, 2000, 1); math.Abs(got-3*2/math.Pi) > 0.08 {
		t.Errorf("moved by 3: %g, expected %g", got, 6/math.Pi)
	}
	for _, bad := range []float64{
		SlicedWasserstein(a, b[2:], 2, 5, 1), SlicedWasserstein(nil, nil, 2, 5, 1), SlicedWasserstein(a, b, 0, 5, 1),
		SlicedWasserstein(a, b, 3, 5, 1), SlicedWasserstein(a, b, 2, 0, 1),
	} {
		if !math.IsNaN(bad) {
			t.Errorf("bad arguments: %g, expected NaN", bad)
		}
	}
}

// rows is the first number of every row of a set, which the tests below make its name.
func rows(s *Set) (out []int) {
	for i := range s.N {
		if s.U8 != nil {
			out = append(out, int(s.Bytes(i)[0])|int(s.Bytes(i)[1])<<8)
		} else {
			out = append(out, int(s.Floats(i)[0]))
		}
	}
	return out
}

func numbered(n int) (images, vectors *Set) {
	images = &Set{Data: kernels.Data{N: n, H: 1, W: 2, C: 2, U8: make([]byte, 4*n)}, Name: "rows"}
	vectors = &Set{Data: kernels.Data{N: n, H: 1, W: 1, C: 2, F32: make([]float32, 2*n)}, Name: "rows"}
	for i := range n {
		images.U8[4*i], images.U8[4*i+1] = byte(i), byte(i>>8)
		vectors.F32[2*i] = float32(i)
	}
	return images, vectors
}

// TestSplit: every row is in exactly one part, in order, and which is keyed by the seed; nothing is copied.
func TestSplit(t *testing.T) {
	const n = 1000
	images, vectors := numbered(n)
	for _, s := range []*Set{images, vectors} {
		train, held := s.Split(7, 100)
		if train.N != 900 || held.N != 100 || len(rows(train)) != 900 || len(rows(held)) != 100 {
			t.Fatalf("got %d and %d rows", train.N, held.N)
		}
		if s.U8 != nil && &train.U8[0] != &s.U8[0] || s.F32 != nil && &held.F32[0] != &s.F32[0] {
			t.Error("the data was copied")
		}
		all := slices.Concat(rows(train), rows(held))
		if !slices.IsSorted(rows(train)) || !slices.IsSorted(rows(held)) {
			t.Error("the order has changed")
		}
		slices.Sort(all)
		if len(slices.Compact(all)) != n {
			t.Error("a row is lost or doubled")
		}
		_, again := s.Split(7, 100)
		_, other := s.Split(8, 100)
		if !slices.Equal(rows(again), rows(held)) || slices.Equal(rows(other), rows(held)) {
			t.Error("the choice is not keyed by the seed")
		}
		// Held-out rows are spread over the data: of each quarter 25, with a deviation of about 4.
		var quarters [4]int
		for _, r := range rows(held) {
			quarters[4*r/n]++
		}
		if slices.Min(quarters[:]) < 10 {
			t.Errorf("held-out rows of each quarter: %v", quarters)
		}
		for _, c := range []struct{ ask, get int }{{-1, 0}, {0, 0}, {499, 499}, {500, 499}, {n, 499}} {
			if train, held := s.Split(1, c.ask); held.N != c.get || train.N != n-c.get || len(rows(train)) != n-c.get {
				t.Errorf("Split(1, %d) holds out %d of %d", c.ask, held.N, train.N+held.N)
			}
		}
	}
	empty := &Set{}
	if train, held := empty.Split(1, 5); train.N != 0 || held.N != 0 {
		t.Error("an empty set has grown")
	}
}

// Rows that are added, wherever, move no other row into the training part or out of it, but for those that they push
// out of the held-out part; and rows that are equal are together.
func TestSplitStays(t *testing.T) {
	large, _ := numbered(1200)
	small := *large
	small.N, small.U8 = 1000, large.U8[4*200:] // the first 200 are new
	_, before := small.Split(3, 100)
	_, after := large.Split(3, 100)
	was := rows(before)
	stayed, added := 0, 0
	for _, r := range rows(after) {
		switch {
		case r < 200:
			added++
		case slices.Contains(was, r):
			stayed++
		default:
			t.Errorf("row %d was for training and is held out now", r)
		}
	}
	if stayed+added != 100 || added == 0 || added > 40 {
		t.Errorf("%d rows stayed, %d are new", stayed, added)
	}

	twice := &Set{Data: kernels.Data{N: 2000, H: 1, W: 2, C: 2, U8: slices.Concat(small.U8, small.U8)}}
	_, held := twice.Split(3, 100)
	count := map[int]int{}
	for _, r := range rows(held) {
		count[r]++
	}
	if len(count) != 50 {
		t.Errorf("100 held-out rows of a set that holds all twice are %d different ones", len(count))
	}
}

func BenchmarkGlyphs(b *testing.B) {
	for b.Loop() {
		if _, err := Open("glyphs", 1); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReadFashion(b *testing.B) {
	root := os.Getenv("SIGMAZ_DATA")
	if root == "" {
		b.Skip("SIGMAZ_DATA is not set")
	}
	for b.Loop() {
		if _, err := Open(root+"/fashion-mnist", 1); err != nil {
			b.Fatal(err)
		}
	}
}
