//go:build cgo && !nocuda

package kernels

import (
	"errors"
	"os"
	"slices"
	"testing"
)

// Programs together do what they do one by one, as one graph from the second run on, and go on without it.
func TestTogetherCUDA(t *testing.T) {
	b, err := NewCUDA(0)
	if err != nil {
		if os.Getenv("SIGMAZ_GPU") == "required" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	defer b.Close()
	a, err := b.Alloc(64)
	if err != nil {
		t.Fatal(err)
	}
	x, y := Buf{Off: 0, N: 16}, Buf{Off: 16, N: 16}
	var programs []Program
	for _, ops := range [][]Op{{Fill{Dst: x, Value: 1}}, {Add{N: 1, Dst: y, A: y, B: x}, Add{N: 1, Dst: y, A: y, B: x}}} {
		p, err := b.Compile(a, ops)
		if err != nil {
			t.Fatal(err)
		}
		programs = append(programs, p)
	}
	asked := 0
	p := Together(b, func() error {
		asked++
		return errors.Join(programs[0].Run(), programs[1].Run())
	})
	got := make([]float32, y.N)
	expect := func(run int) {
		t.Helper()
		if err := p.Run(); err != nil {
			t.Fatal(err)
		}
		if err := a.Read(got, y); err != nil || got[3] != float32(2*run) {
			t.Fatalf("after %d runs the sum is %v, error %v", run, got[3], err)
		}
	}
	for run := 1; run <= 4; run++ {
		expect(run)
	}
	if asked != 2 {
		t.Errorf("the programs were run %d times by their function, expected 2: directly and for a graph", asked)
	}
	// The second program is done with x at its end alone, and needs nothing of what lies behind both.
	staged := AsDone(programs[1], []Buf{{Off: 40, N: 8}, x, y}, func(int) error { return nil }).(*cudaProgram)
	if want := []int{0, len(staged.launches), len(staged.launches)}; !slices.Equal(staged.stops, want) {
		t.Errorf("it is done with windows before launches %v, expected %v", staged.stops, want)
	}
	z := Buf{Off: 32, N: 16}
	three, err := b.Compile(a, []Op{Fill{Dst: x, Value: 1}, Fill{Dst: y, Value: 2}, Fill{Dst: z, Value: 3}})
	if err != nil {
		t.Fatal(err)
	}
	staged = AsDone(three, []Buf{y, x, z}, func(int) error { return nil }).(*cudaProgram)
	if want := []int{2, 2, 3}; !slices.Equal(staged.stops, want) { // x is done with before, and waits for its turn
		t.Errorf("it is done with windows before launches %v, expected %v", staged.stops, want)
	}
	p.(*cudaTogether).release()
	expect(5)
	if asked != 3 {
		t.Errorf("the programs were run %d times by their function, expected 3", asked)
	}
}
