package kernels_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"sigmaz/kernels"
	"sigmaz/kernels/kerneltest"
)

// What comes in the midst of a program comes once a window is done with, and sees what the program has made of it; what runs
// beside is there after the next Rejoin. So it is on every backend, also where all of it is one program.
func TestAsDone(t *testing.T) {
	test := func(t *testing.T, b kernels.Backend) {
		a, err := b.Alloc(96)
		if err != nil {
			t.Fatal(err)
		}
		window := func(i int) kernels.Buf { return kernels.Buf{Off: 16 * i, N: 16} }
		compile := func(ops ...kernels.Op) kernels.Program {
			p, err := b.Compile(a, ops)
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		add := func(dst, x, y int) kernels.Op {
			return kernels.Add{N: 1, Dst: window(dst), A: window(x), B: window(y)}
		}
		// Window 1 becomes 2, is read, becomes 3 and is read again; window 2 becomes 4 before that.
		p := compile(kernels.Fill{Dst: window(0), Value: 1}, add(1, 0, 0), add(2, 1, 1), add(1, 1, 0), add(3, 1, 0))
		copies := []kernels.Program{compile(add(5, 2, 0)), compile(add(4, 1, 0))}
		sum := compile(add(5, 5, 4))
		asked := []int{}
		staged := kernels.AsDone(p, []kernels.Buf{window(2), window(1)}, func(i int) error {
			asked = append(asked, i)
			return kernels.Beside(b, copies[i].Run)
		})
		all := kernels.Together(b, func() error {
			return errors.Join(staged.Run(), kernels.Rejoin(b), sum.Run())
		})
		for run := range 3 {
			if err := all.Run(); err != nil {
				t.Fatal(err)
			}
			got := make([]float32, 96)
			if err := a.Read(got, kernels.Buf{N: 96}); err != nil {
				t.Fatal(err)
			}
			if want := []float32{1, 3, 4, 4, 4, 9}; !slices.Equal([]float32{got[0], got[16], got[32], got[48], got[64], got[80]}, want) {
				t.Errorf("run %d gives %v", run, got)
			}
		}
		if !slices.Equal(asked[:2], []int{0, 1}) {
			t.Errorf("windows were done with in the order %v", asked)
		}
		failed := fmt.Errorf("it failed")
		if err := kernels.AsDone(p, []kernels.Buf{window(1)}, func(int) error { return failed }).Run(); !errors.Is(err, failed) {
			t.Errorf("the error of what comes in the midst became %v", err)
		}
	}
	t.Run("cpu", func(t *testing.T) {
		b := kernels.NewCPU(2)
		defer b.Close()
		test(t, b)
	})
	t.Run("cuda", func(t *testing.T) { test(t, kerneltest.OpenCUDA(t)) })
}
