//go:build cgo && !nocuda

package kernels_test

import (
	"testing"
	"time"

	"sigmaz/kernels"
	"sigmaz/kernels/kerneltest"
)

// The host sees marks that the device has come to, and how long it took between two of them, without waiting for it.
func TestPulseCUDA(t *testing.T) {
	b := kerneltest.OpenCUDA(t)
	p, err := kernels.NewPulse(b)
	if err != nil {
		t.Fatal(err)
	}
	a, err := b.Alloc(16)
	if err != nil {
		t.Fatal(err)
	}
	var marks []kernels.Program
	for _, m := range []kernels.Mark{kernels.Begun, kernels.Worked, kernels.Ended} {
		mark, err := p.Mark(m)
		if err != nil {
			t.Fatal(err)
		}
		marks = append(marks, mark)
	}
	come := func(want ...uint64) (worked time.Duration) {
		t.Helper()
		if err := a.Read(make([]float32, 1), kernels.Buf{N: 1}); err != nil { // waits for the device
			t.Fatal(err)
		}
		got, worked := p.Read()
		if got != [3]uint64(want) {
			t.Errorf("the device has come to its marks %v times, expected %v", got, want)
		}
		return worked
	}
	run := func(m kernels.Mark) {
		t.Helper()
		if err := marks[m].Run(); err != nil {
			t.Fatal(err)
		}
	}
	come(0, 0, 0)
	var most time.Duration
	for step := range uint64(3) {
		begun := time.Now()
		run(kernels.Begun)
		come(step+1, step, step)
		time.Sleep(20 * time.Millisecond)
		before, _ := p.Read()
		run(kernels.Worked)
		worked := come(step+1, step+1, step)
		most += time.Since(begun)
		if least := time.Duration(step+1) * 20 * time.Millisecond; worked < least || worked > most || before[kernels.Worked] != step {
			t.Errorf("step %d: the device worked for %v, expected %v to %v", step, worked, least, most)
		}
		run(kernels.Ended)
		come(step+1, step+1, step+1)
	}
}

// On a CPU the host sees it all by itself.
func TestPulseOfCPU(t *testing.T) {
	b := kernels.NewCPU(1)
	defer b.Close()
	if p, err := kernels.NewPulse(b); p != nil || err != nil {
		t.Errorf("a CPU has the pulse %v, %v", p, err)
	}
}
