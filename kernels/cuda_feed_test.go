//go:build cgo && !nocuda

package kernels_test

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"sigmaz/kernels"
	"sigmaz/kernels/kerneltest"
)

// streamedData are a data set of images and one of vectors, of n rows: some of more rows where part is set.
func streamedData(n int, part bool) (images, vectors *kernels.Data) {
	all := n
	var rows []uint32
	if part {
		all = 2*n + 1
		for i := range n {
			rows = append(rows, uint32(2*n-2*i))
		}
	}
	images = &kernels.Data{N: n, H: 3, W: 5, C: 3, U8: make([]byte, all*45), Rows: rows}
	for i := range images.U8 {
		images.U8[i] = byte(i*i*31/64 + 37*i)
	}
	vectors = &kernels.Data{N: n, H: 1, W: 1, C: 3, F32: make([]float32, all*3), Rows: rows}
	kernels.Stream{Seed: 1, Purpose: kernels.PurposeData}.Normals(vectors.F32)
	return images, vectors
}

// perturbed runs the perturbation for some steps from each of some steps on, without a wait between the steps, and
// returns x~ and z of all of them.
func perturbed(t *testing.T, b kernels.Backend, op kernels.Perturb, steps int, from ...uint64) []float32 {
	t.Helper()
	words := 0
	take := func(n int) kernels.Buf { b := kernels.Buf{Off: words, N: n}; words += (n + 15) / 16 * 16; return b }
	n := op.N * op.Data.D()
	op.XTilde, op.Z, op.Sigma, op.Level = take(n), take(n), take(op.N), take(op.N)
	op.Ladder, op.State = take(4), take(kernels.StateWords)
	ring := take(steps * 2 * n)
	arena, err := b.Alloc(words)
	must(t, err)
	must(t, arena.Write(op.Ladder, []float32{4, 2, 1, 0.5}))
	program, err := b.Compile(arena, []kernels.Op{op,
		kernels.Record{Ring: ring, PerRow: op.XTilde, Level: op.Z, State: op.State}, kernels.Tick{State: op.State}})
	must(t, err)
	var all []float32
	for _, step := range from {
		state := make([]float32, kernels.StateWords)
		kernels.SetStep(state, step)
		must(t, arena.Write(op.State, state))
		for range steps {
			must(t, program.Run())
		}
		got := make([]float32, ring.N)
		must(t, arena.Read(got, ring))
		all = append(all, got...)
	}
	return all
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// streamedCases run the perturbation with all that it does to data, with an odd batch.
func streamedCases(run func(name string, op kernels.Perturb)) {
	for _, n := range []int{1, 5, 50} { // fewer rows than a batch, than the slots have, and more
		for _, part := range []bool{false, true} {
			images, vectors := streamedData(n, part)
			for name, op := range map[string]kernels.Perturb{
				"images":  {Data: images, Flip: true, Dequantize: true, Rescale: true},
				"vectors": {Data: vectors, Stratified: true},
				"every":   {Data: images, Every: true},
			} {
				op.N, op.Seed = 7, 0x123456789abcdef
				run(fmt.Sprintf("%d %s, part %v", n, name, part), op)
			}
		}
	}
}

// Streamed data has the bits of data that lies on the device, at any step that a run begins at, and those of the CPU.
func TestStreamedCUDA(t *testing.T) {
	cuda, cpu := kerneltest.OpenCUDA(t), kernels.NewCPU(2)
	from := []uint64{0, 11, 10, 1<<33 - 5}
	streamedCases(func(name string, op kernels.Perturb) {
		want := perturbed(t, cpu, op, 8, from...)
		resident := perturbed(t, cuda, op, 8, from...)
		op.Streamed = true
		if !slices.Equal(resident, want) {
			t.Errorf("%s: the device has other bits than the CPU", name)
		}
		if !slices.Equal(perturbed(t, cuda, op, 8, from...), want) {
			t.Errorf("%s: streamed data has other bits", name)
		}
		if !slices.Equal(perturbed(t, cpu, op, 8, from...), want) {
			t.Errorf("%s: streaming changes the CPU's bits", name)
		}
	})
}

// Several programs stream at a time, also from one data set, and one program's step may be moved by another.
func TestStreamedProgramsCUDA(t *testing.T) {
	b := kerneltest.OpenCUDA(t)
	images, _ := streamedData(9, false)
	const n = 4 * 45
	run := func(streamed bool) (all []float32) {
		state := kernels.Buf{Off: 4 * n, N: kernels.StateWords}
		op := kernels.Perturb{N: 4, Z: kernels.Buf{Off: 2 * n, N: n}, Sigma: kernels.Buf{Off: 3 * n, N: 4},
			Level: kernels.Buf{Off: 3*n + 16, N: 4}, Ladder: kernels.Buf{Off: 3*n + 32, N: 2}, State: state,
			Data: images, Seed: 3, Streamed: streamed}
		arena, err := b.Alloc(4*n + 16)
		must(t, err)
		must(t, arena.Write(op.Ladder, []float32{2, 1}))
		compile := func(ops ...kernels.Op) kernels.Program {
			p, err := b.Compile(arena, ops)
			must(t, err)
			return p
		}
		tick := kernels.Tick{State: state}
		ticks := compile(tick, tick) // before anything follows the state
		must(t, ticks.Run())
		first, second := op, op
		first.XTilde, second.XTilde = kernels.Buf{Off: 0, N: n}, kernels.Buf{Off: n, N: n}
		a, c := compile(first, tick), compile(second)
		got := make([]float32, 2*n)
		for range 5 {
			must(t, a.Run())
			must(t, c.Run())
			must(t, c.Run()) // the same step again
			must(t, arena.Read(got, kernels.Buf{N: 2 * n}))
			all = append(all, got...)
			must(t, ticks.Run())
			must(t, arena.Write(kernels.Buf{Off: state.Off + kernels.StateStepHi, N: 1}, got[:1])) // a part of the state
		}
		return all
	}
	if !slices.Equal(run(true), run(false)) {
		t.Error("streamed data has other bits where two programs share a state")
	}
}

// A program that nothing refers to any more gives its memory back, whatever of its rows is on its way.
func TestStreamedMemoryCUDA(t *testing.T) {
	standIn(t) // a driver gives back larger pieces
	b := kerneltest.OpenCUDA(t)
	images, _ := streamedData(9, false)
	op := kernels.Perturb{N: 7, Data: images, Seed: 5, Streamed: true}
	before, own := b.FreeMemory()
	if !own || before <= 0 {
		t.Fatalf("%d bytes free, %v", before, own)
	}
	for range 3 {
		perturbed(t, b, op, 4, 0)
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		runtime.GC()
		free, _ := b.FreeMemory()
		if free == before {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d bytes are not given back", before-free)
		}
	}
}

// standIn skips the test where the device is a GPU. It leaves no backend open: the stand-in takes the first stream of a
// context for that of the launches, and those of one process share a context.
func standIn(t *testing.T) {
	t.Helper()
	b := kerneltest.OpenCUDA(t)
	must(t, b.Close())
	if !strings.Contains(b.Name(), "stand-in") {
		t.Skip("the stand-in driver makes the faults, this is ", b.Name())
	}
}

// Each of the three waits is needed: without it, an order of work that is allowed then gives other bits.
func TestStreamedWaitsCUDA(t *testing.T) {
	standIn(t)
	images, _ := streamedData(50, false)
	op := kernels.Perturb{N: 7, Data: images, Seed: 5, Streamed: true}
	run := func(lazy, fault string) []float32 {
		t.Setenv("SIGMAZ_SIM_LAZY", lazy)
		t.Setenv("SIGMAZ_SIM_FAULT", fault)
		b, err := kernels.NewCUDA(0)
		must(t, err)
		defer b.Close()
		return perturbed(t, b, op, 8, 0)
	}
	want := run("0", "")
	for _, lazy := range []string{"1", "2"} {
		if !slices.Equal(run(lazy, ""), want) {
			t.Errorf("with SIGMAZ_SIM_LAZY=%s: other bits", lazy)
		}
	}
	for _, c := range []struct{ lazy, fault string }{{"0", "wait:first"}, {"1", "wait:second"}, {"2", "wait:host"}} {
		if slices.Equal(run(c.lazy, c.fault), want) {
			t.Errorf("with SIGMAZ_SIM_LAZY=%s and the fault %s: nothing changes", c.lazy, c.fault)
		}
	}
}

// A device that is lost while it is fed is told of in one sentence, and can be closed.
func TestStreamedErrorsCUDA(t *testing.T) {
	standIn(t)
	t.Setenv("SIGMAZ_SIM_LAZY", "2") // as on a GPU, a failure is met where something waits
	t.Setenv("SIGMAZ_SIM_FAULT", "lost:7")
	b, err := kernels.NewCUDA(0)
	must(t, err)
	images, _ := streamedData(9, false)
	op := kernels.Perturb{N: 4, XTilde: kernels.Buf{N: 180}, Z: kernels.Buf{Off: 192, N: 180},
		Sigma: kernels.Buf{Off: 384, N: 4}, Level: kernels.Buf{Off: 400, N: 4}, Ladder: kernels.Buf{Off: 416, N: 2},
		State: kernels.Buf{Off: 432, N: kernels.StateWords}, Data: images, Streamed: true}
	arena, err := b.Alloc(448)
	must(t, err)
	program, err := b.Compile(arena, []kernels.Op{op, kernels.Tick{State: op.State}})
	must(t, err)
	for i := 0; err == nil && i < 50; i++ {
		err = program.Run()
	}
	if err == nil {
		t.Fatal("no step met the failure")
	}
	const want = "running perturb ... tick (2 kernels): "
	if !strings.HasPrefix(err.Error(), want) || !strings.Contains(err.Error(), "CUDA_ERROR_LAUNCH_FAILED (719)") ||
		!strings.Contains(err.Error(), "the device is lost") || strings.Contains(err.Error(), "\n") {
		t.Errorf("%q, expected %q ...", err, want)
	}
	must(t, b.Close())
}
