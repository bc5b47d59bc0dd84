//go:build cgo && !nocuda

package kernels_test

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"sigmaz/kernels"
	"sigmaz/kernels/kerneltest"
)

// openCUDA is device 0. Where no device answers the test is skipped, unless SIGMAZ_GPU=required promises one.
func openCUDA(t *testing.T) kernels.Backend {
	t.Helper()
	b, err := kernels.NewCUDA(0)
	if err != nil {
		if os.Getenv("SIGMAZ_GPU") == "required" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Log(b.Name())
	return b
}

// Every operation against its reference, on the device.
func TestConformanceCUDA(t *testing.T) { kerneltest.Run(t, openCUDA(t)) }

// resultsOf is the line that TestBitsCUDA ends with.
const resultsOf = "results of all operations have hash "

// The bits of all results, to compare with those of another run.
func TestBitsCUDA(t *testing.T) {
	b := openCUDA(t)
	sum := uint64(0) // of the hash of each case: their order is none
	for _, c := range kerneltest.Cases() {
		all := kernels.Buf{N: len(c.Init)}
		got := make([]float32, all.N)
		a, err := b.Alloc(all.N)
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Write(all, c.Init); err != nil {
			t.Fatal(err)
		}
		p, err := b.Compile(a, []kernels.Op{c.Op})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Run(); err != nil {
			t.Fatal(err)
		}
		if err := a.Read(got, all); err != nil {
			t.Fatal(err)
		}
		h := fnv.New64a()
		fmt.Fprint(h, c.Name)
		binary.Write(h, binary.LittleEndian, got)
		sum += h.Sum64()
	}
	t.Logf("%s%x", resultsOf, sum)
}

// On the stand-in driver, threads that run in another order must not change a bit: a result that depends on the order is
// a race.
func TestThreadOrdersCUDA(t *testing.T) {
	if name := openCUDA(t).Name(); !strings.Contains(name, "stand-in") {
		t.Skip("a device orders its threads itself: ", name)
	}
	line := regexp.MustCompile(resultsOf + "[0-9a-f]+")
	want := ""
	for _, order := range []string{"forward", "reverse", "shuffle"} {
		cmd := exec.Command(os.Args[0], "-test.run=^TestBitsCUDA$", "-test.v")
		cmd.Env = append(os.Environ(), "SIGMAZ_SIM_ORDER="+order)
		out, err := cmd.CombinedOutput()
		got := line.FindString(string(out))
		if err != nil || got == "" {
			t.Fatalf("%s: %v\n%s", order, err, out)
		}
		if want == "" {
			want = got
		}
		if got != want {
			t.Errorf("threads in order %s: %s, forward: %s", order, got, want)
		}
	}
}
