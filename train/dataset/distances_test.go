// Distances against brute force, and the times of whole sets.

package dataset

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sigmaz/kernels"
)

// bruteForce is Distances as its contract says it, in integers or float64.
func bruteForce(s *Set) Distances {
	d := s.D()
	var out Distances
	far, near := 0.0, math.Inf(1) // squared
	value := func(i, k int) float64 {
		if s.U8 != nil {
			return float64(s.U8[i*d+k])
		}
		return float64(s.F32[i*d+k])
	}
	unit := 1.0
	if s.U8 != nil {
		unit = 255
	}
	for i := range s.N {
		duplicate := false
		for j := range i {
			sum := 0.0
			for k := range d {
				e := value(i, k) - value(j, k)
				sum += float64(e * e)
			}
			if sum == 0 {
				duplicate = true
				continue
			}
			// Of equal distances, the pair with the lowest first row, then with the lowest second one.
			pair := Pair{j, i}
			if sum > far || sum == far && pair.before(out.Farthest) {
				far, out.Farthest = sum, pair
			}
			if sum < near || sum == near && pair.before(out.Nearest) {
				near, out.Nearest = sum, pair
			}
		}
		if duplicate {
			out.Duplicates++
		}
	}
	out.Max, out.Min = math.Sqrt(far)/unit, math.Sqrt(near)/unit
	m := int64(s.N - out.Duplicates)
	out.Pairs = m * (m - 1) / 2
	return out
}

// searchBackends are what DistancesOn is tested on: the CPU, by the kernel's reference, and a GPU where one is built in.
var searchBackends = []func(*testing.T) kernels.Backend{func(*testing.T) kernels.Backend { return kernels.NewCPU(2) }}

func images(n, h, w int, value func(i, k int) byte) *Set {
	s := &Set{Data: kernels.Data{N: n, H: h, W: w, C: 1, U8: make([]byte, n*h*w)}, Name: "images"}
	for i := range s.U8 {
		s.U8[i] = value(i/(h*w), i%(h*w))
	}
	return s
}

func vectors(n, d int, value func(i, k int) float32) *Set {
	s := &Set{Data: kernels.Data{N: n, H: 1, W: 1, C: d, F32: make([]float32, n*d)}, Name: "vectors"}
	for i := range s.F32 {
		s.F32[i] = value(i/d, i%d)
	}
	return s
}

func TestDistances(t *testing.T) {
	word := func(i, k int) uint32 {
		return kernels.Stream{Seed: 5, Purpose: kernels.PurposeData, N: uint64(i)}.Word(k)
	}
	normal := func(i, k int) float32 {
		return kernels.NormalBlock(kernels.Stream{Seed: 5, Purpose: kernels.PurposeData, N: uint64(i)}.Block(uint32(k)))[0]
	}
	cases := map[string]*Set{
		"noise images":           images(1200, 5, 7, func(i, k int) byte { return byte(word(i, k)) }),
		"many duplicates":        images(700, 4, 4, func(i, k int) byte { return byte(word(i%90, k)) & 0x81 }),
		"nearly equal":           images(600, 30, 30, func(i, k int) byte { return byte(word(0, k)) ^ b2b(word(i, k)%700 == 0) }),
		"norms above 2^12":       images(150, 60, 60, func(i, k int) byte { return byte(255 * (word(i, k) >> 31)) }),
		"few values":             images(800, 2, 3, func(i, k int) byte { return byte(word(i, k)) & 3 }),
		"two rows":               images(2, 4, 4, func(i, k int) byte { return byte(i) }),
		"two distinct rows":      images(5, 4, 4, func(i, k int) byte { return byte(i & 1) }),
		"equidistant":            images(300, 1, 300, func(i, k int) byte { return 255 * b2b(i == k) }),
		"points":                 vectors(1500, 2, normal),
		"points with duplicates": vectors(1500, 3, func(i, k int) float32 { return normal(i%1200, k) }),
		"vectors":                vectors(900, 33, normal),
		"vectors far off 0":      vectors(600, 20, func(i, k int) float32 { return 1000 + normal(i, k)/64 }),
		"large vectors":          vectors(300, 20, func(i, k int) float32 { return 1e37 * normal(i, k) }),
		"small vectors":          vectors(300, 20, func(i, k int) float32 { return 1e-40 * normal(i, k) }),
		"large and small":        vectors(600, 20, func(i, k int) float32 { return normal(i, k) * float32(math.Pow(10, float64(i%60)-30)) }),
		"zero of both signs": vectors(40, 12, func(i, k int) float32 {
			if k == 3 {
				return float32(i / 20)
			}
			return float32(math.Copysign(0, float64(i%2)-0.5))
		}),
	}
	for name, s := range cases {
		t.Run(name, func(t *testing.T) {
			want := bruteForce(s)
			checkDistances(t, s, want)
			// With rows that are not held at once.
			defer func(before int) { heldFloats = before }(heldFloats)
			heldFloats = 0
			checkDistances(t, s, want)

			// On a device that holds all rows, some, and few; in one strip and in several.
			defer func(floats, tiles int) { deviceFloats, stripTiles = floats, tiles }(deviceFloats, stripTiles)
			for _, open := range searchBackends {
				b := open(t)
				for _, c := range [][2]int{{4 << 30, 64}, {900 * s.D(), 2}, {0, 1}} {
					deviceFloats, stripTiles = c[0], c[1]
					checkDistancesOn(t, s, b, want)
				}
			}
		})
	}
}

func checkDistances(t *testing.T, s *Set, want Distances) {
	t.Helper()
	checkSearch(t, "cpu", s.Distances, want)
}

func checkDistancesOn(t *testing.T, s *Set, b kernels.Backend, want Distances) {
	t.Helper()
	checkSearch(t, fmt.Sprintf("kernel on %s, %d floats", b.Name(), deviceFloats), func(ctx context.Context, progress func(done, total int64)) (Distances, error) {
		return s.DistancesOn(ctx, b, progress)
	}, want)
}

func checkSearch(t *testing.T, name string, search func(context.Context, func(done, total int64)) (Distances, error), want Distances) {
	t.Helper()
	var last, calls int64
	got, err := search(context.Background(), func(done, total int64) {
		if done < last || done > total {
			t.Errorf("progress went from %d to %d of %d", last, done, total)
		}
		last = done
		calls++
	})
	if err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Errorf("%s: got  %+v\nwant %+v", name, got, want)
	}
	if last != got.Pairs || calls == 0 {
		t.Errorf("progress ended at %d of %d pairs after %d calls", last, got.Pairs, calls)
	}
}

func b2b(b bool) byte {
	if b {
		return 1
	}
	return 0
}

func TestDistancesErrors(t *testing.T) {
	one := func(i, k int) byte { return 9 }
	infinite := vectors(4, 3, func(i, k int) float32 { return float32(i) })
	infinite.F32[7] = float32(math.Inf(-1))
	short := images(3, 2, 2, one)
	short.U8 = short.U8[1:]
	for want, s := range map[string]*Set{
		"images: expected two distinct rows or more, found 1; the ends of the noise ladder need a distance": images(1, 4, 4, one),
		"images: expected two distinct rows or more, found 1;":                                              images(30, 4, 4, one),
		"images: expected two distinct rows or more, found 0;":                                              images(0, 4, 4, one),
		"vectors: expected finite values, found -Inf in row 2; clean the data":                              infinite,
		"images: expected 3 rows of 4 values, found 11 bytes and 0 floats; make the sizes agree":            short,
		"expected 0 rows of 0 values":                                                                       {},
	} {
		if _, err := s.Distances(context.Background(), nil); err == nil || !strings.HasPrefix(err.Error(), "dataset: ") ||
			!strings.Contains(err.Error(), want) {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := images(20, 4, 4, func(i, k int) byte { return byte(i) }).Distances(ctx, nil); !errors.Is(err,
		context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
}

// BenchmarkDistances times the whole sets: the glyphs, and those in SIGMAZ_DATA.
func BenchmarkDistances(b *testing.B) {
	specs := []string{"toy:swissroll", "glyphs"}
	if root := os.Getenv("SIGMAZ_DATA"); root != "" {
		for _, name := range []string{"mnist", "fashion-mnist", "cifar10"} {
			specs = append(specs, filepath.Join(root, name))
		}
	}
	for _, spec := range specs {
		b.Run(filepath.Base(spec), func(b *testing.B) {
			s, err := Open(spec, 1)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				start := time.Now()
				d, err := s.Distances(context.Background(), nil)
				if err != nil {
					b.Fatal(err)
				}
				b.Logf("%s: %+v in %.1f s", s.Name, d, time.Since(start).Seconds())
			}
		})
	}
}
