// Helpers of the tests: guarded slices, the one comparison, and a loop over the instruction sets.

package vec

import (
	"math"
	"math/rand/v2"
	"testing"
)

// eachISA runs test once for every instruction set of this machine.
func eachISA(t *testing.T, test func(t *testing.T)) {
	for _, name := range Available() {
		t.Run(name, func(t *testing.T) {
			defer SetISA(name)()
			test(t)
		})
	}
}

// A guarded slice lies between sentinels, so that a write outside it is seen.
const (
	guardLen = 40
	sentinel = float32(-12345.678)
)

type guarded struct {
	name string
	all  []float32
	v    []float32
}

// guard returns n floats of value fill between sentinels, off any alignment.
func guard(name string, n int, fill float32) guarded {
	all := make([]float32, n+2*guardLen)
	for i := range all {
		all[i] = sentinel
	}
	v := all[guardLen-3 : guardLen-3+n : guardLen-3+n]
	for i := range v {
		v[i] = fill
	}
	return guarded{name, all, v}
}

func guardCopy(name string, v []float32) guarded {
	g := guard(name, len(v), 0)
	copy(g.v, v)
	return g
}

func (g guarded) check(t *testing.T) {
	t.Helper()
	for i, v := range g.all {
		if inside := i >= guardLen-3 && i < guardLen-3+len(g.v); !inside && v != sentinel {
			t.Fatalf("%s: wrote %g outside, at %d of %d", g.name, v, i-guardLen+3, len(g.v))
		}
	}
}

// closeTo fails unless |got-want| <= tol * max|want| everywhere. NaN and infinities must agree exactly.
func closeTo(t *testing.T, what string, got []float32, want []float64, tol float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d values, want %d", what, len(got), len(want))
	}
	largest := 0.0
	for _, w := range want {
		if !math.IsNaN(w) && !math.IsInf(w, 0) {
			largest = max(largest, math.Abs(w))
		}
	}
	worst, at := -1.0, 0
	for i, w := range want {
		g := float64(got[i])
		if math.IsNaN(g) != math.IsNaN(w) || (math.IsInf(g, 0) || math.IsInf(w, 0)) && g != w {
			t.Fatalf("%s: at %d have %g, want %g", what, i, g, w)
		}
		if d := math.Abs(g - w); d > worst {
			worst, at = d, i
		}
	}
	if worst > tol*largest {
		t.Fatalf("%s: at %d have %g, want %g: off by %.3g of the largest, %g", what, at, got[at], want[at],
			worst/largest, largest)
	}
}

// normals are n draws from N(0, 1), the same for the same seed.
func normals(seed uint64, n int) []float32 {
	r := rand.New(rand.NewPCG(seed, 1))
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(r.NormFloat64())
	}
	return v
}

func float64s(v []float32) []float64 {
	d := make([]float64, len(v))
	for i, x := range v {
		d[i] = float64(x)
	}
	return d
}

func TestCloseToSeesDifferences(t *testing.T) {
	nan := float32(math.NaN())
	for _, c := range []struct {
		got  float32
		want float64
		ok   bool
	}{
		{1, 1, true}, {1, 1.1, false}, {nan, 1, false}, {1, math.NaN(), false}, {nan, math.NaN(), true},
		{float32(math.Inf(1)), math.Inf(1), true}, {float32(math.Inf(1)), math.Inf(-1), false}, {3e38, math.Inf(1), false},
	} {
		failed := true
		done := make(chan bool)
		go func() { // Fatalf ends its goroutine
			defer close(done)
			closeTo(&testing.T{}, "", []float32{c.got}, []float64{c.want}, 1e-6)
			failed = false
		}()
		<-done
		if failed == c.ok {
			t.Errorf("closeTo(%g, %g) failed: %v", c.got, c.want, failed)
		}
	}
}
