//go:build cgo && !nocuda

package kernels_test

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"sigmaz/kernels"
	"sigmaz/kernels/kerneltest"
)

// Every operation against its reference, on the device.
func TestConformanceCUDA(t *testing.T) { kerneltest.Run(t, kerneltest.OpenCUDA(t)) }

// resultsOf is the line that TestBitsCUDA ends with.
const resultsOf = "results of all operations have hash "

// A hash of the bits of all results, to compare with another run: those of the conformance cases, as they are and
// aligned (which takes the kernels' wide paths), and those of the tests about tiles, fused operations and batches.
// Every kernel takes part.
func TestBitsCUDA(t *testing.T) {
	b := kerneltest.OpenCUDA(t)
	kernels.Trace.Hash, kernels.Trace.Kernels = 0, nil
	for _, c := range kerneltest.Cases() {
		aligned := c.Aligned()
		kernels.RunTraced(t, b, c.Init, c.Op)
		kernels.RunTraced(t, b, aligned.Init, aligned.Op)
	}
	for _, test := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"Tiles", kernels.TestTiles}, {"SplitSums", kernels.TestSplitSums}, {"NormELU", kernels.TestNormELU},
		{"NormCancellation", kernels.TestNormCancellation}, {"BatchSize", kernels.TestBatchSize},
	} {
		t.Run(test.name, test.run)
	}
	for _, name := range kernels.AllKernels() {
		if kernels.Trace.Kernels[name] == 0 {
			t.Errorf("kernel %s was never launched", name)
		}
	}
	t.Logf("%s%x", resultsOf, kernels.Trace.Hash)
}

// On the stand-in driver, threads that run in another order must not change a bit: a result that depends on the order
// is a race.
func TestThreadOrdersCUDA(t *testing.T) {
	if name := kerneltest.OpenCUDA(t).Name(); !strings.Contains(name, "stand-in") {
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
