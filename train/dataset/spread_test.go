// Spread against closed forms and pairs one by one.

package dataset

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"sigmaz/kernels"
)

// Four corners of a rectangle: mean, deviations and distances are known.
func TestSpreadRectangle(t *testing.T) {
	s := vectors(4, 2, func(i, k int) float32 { return 10 + []float32{3, 4}[k]*float32(i>>k&1) })
	got, err := s.Spread(context.Background(), 100)
	if err != nil {
		t.Fatal(err)
	}
	want := []float32{3, 3, 4, 4, 5, 5}
	if len(got.Distances) != 6 || got.Rows != 4 || got.Most != 1 || math.Abs(got.SD-math.Sqrt((2.25+4)/2)) > 1e-12 ||
		math.Abs(got.Mean[0]-11.5) > 1e-12 || math.Abs(got.Mean[1]-12) > 1e-12 {
		t.Errorf("%+v", got)
	}
	for i, d := range got.Distances {
		if math.Abs(float64(d-want[i])) > 1e-5 {
			t.Errorf("distances %v, want %v", got.Distances, want)
		}
	}
	if got.Quantile(0) != float64(got.Distances[0]) || got.Quantile(1) != float64(got.Distances[5]) ||
		got.Quantile(0.5) != float64(got.Distances[3]) {
		t.Errorf("quantiles %g, %g, %g", got.Quantile(0), got.Quantile(0.5), got.Quantile(1))
	}
}

// Bytes and floats, rows that are all taken and rows that are not: as pairs one by one.
func TestSpreadPairs(t *testing.T) {
	word := func(i, k int) uint32 {
		return kernels.Stream{Seed: 5, Purpose: kernels.PurposeData, N: uint64(i)}.Word(k)
	}
	for name, s := range map[string]*Set{
		"images":      images(600, 5, 7, func(i, k int) byte { return byte(word(i, k)) }),
		"vectors":     vectors(600, 33, func(i, k int) float32 { return 1000 + float32(word(i, k)>>24)/64 }),
		"one value":   vectors(600, 1, func(i, k int) float32 { return float32(word(i, k) >> 24) }),
		"large":       vectors(300, 20, func(i, k int) float32 { return 1e35 * float32(word(i, k)>>24) }),
		"the same":    vectors(30, 20, func(i, k int) float32 { return 7 }),
		"a row alone": vectors(1, 20, func(i, k int) float32 { return 7 }),
	} {
		for _, n := range []int{300, 1000} {
			got, err := s.Spread(context.Background(), n)
			if err != nil {
				t.Fatal(err)
			}
			var want []float64
			sum := 0.0
			rows := min(n, s.N)
			for i := range rows {
				for j := range i {
					a, b := i*s.N/rows, j*s.N/rows
					d2, dot := 0.0, 0.0
					for k, m := range got.Mean {
						d2 += (s.value(a, k) - s.value(b, k)) * (s.value(a, k) - s.value(b, k))
						dot += (s.value(a, k) - m) / 1e18 * ((s.value(b, k) - m) / 1e18)
					}
					want = append(want, math.Sqrt(d2))
					sum += dot * dot
				}
			}
			slices.Sort(want)
			if got.SD == 0 {
				if len(got.Distances) != 0 || !math.IsNaN(got.Quantile(0.5)) {
					t.Errorf("%s: %+v", name, got)
				}
				continue
			}
			if len(got.Distances) != len(want) {
				t.Fatalf("%s: %d distances, want %d", name, len(got.Distances), len(want))
			}
			for i, v := range want {
				if math.Abs(float64(got.Distances[i])-v) > 1e-3*got.SD {
					t.Fatalf("%s: distance %d is %g, want %g", name, i, got.Distances[i], v)
				}
			}
			if trace := sum / float64(len(want)) * 1e36 * 1e36; math.Abs(got.TraceSquare-trace) > 1e-5*trace {
				t.Errorf("%s: tr C^2 = %g, want %g", name, got.TraceSquare, trace)
			}
		}
	}
}

// Independent values of deviations 1 and 2: tr C^2 is that of the diagonal, within the error of the sample.
func TestTraceSquare(t *testing.T) {
	s := vectors(4000, 40, func(i, k int) float32 {
		z := kernels.NormalBlock(kernels.Stream{Seed: 5, Purpose: kernels.PurposeData, N: uint64(i)}.Block(uint32(k)))[0]
		return z * float32(1+k%2)
	})
	got, err := s.Spread(context.Background(), 2000)
	if want := 20.0*1 + 20*16; err != nil || math.Abs(got.TraceSquare/want-1) > 0.02 {
		t.Errorf("tr C^2 = %g, want %g (%v)", got.TraceSquare, want, err)
	}
}

func TestSpreadErrors(t *testing.T) {
	s := vectors(4, 3, func(i, k int) float32 { return float32(i) })
	s.F32[7] = float32(math.NaN())
	if _, err := s.Spread(context.Background(), 10); err == nil || !strings.Contains(err.Error(), "NaN in row 2; clean the data") {
		t.Errorf("not finite: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := images(20, 4, 4, func(i, k int) byte { return byte(i) }).Spread(ctx, 10); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
