//go:build cgo && !nocuda

package kernels_test

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"gorgonia.org/gorgonia"

	"sigmaz/kernels"
	"sigmaz/kernels/kerneltest"
	"sigmaz/model"
	"sigmaz/model/graph"
)

// Every operation against its reference, on the device.
func TestConformanceCUDA(t *testing.T) {
	kerneltest.Run(t, kerneltest.OpenCUDA(t), kernels.Float32, kernels.TF32, kernels.BF16)
}

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
		{"Tiles", kernels.TestTiles}, {"EndTiles", kernels.TestEndTiles}, {"SplitSums", kernels.TestSplitSums}, {"NormELU", kernels.TestNormELU},
		{"NormCancellation", kernels.TestNormCancellation}, {"BatchSize", kernels.TestBatchSize},
		{"TensorTiles", kernels.TestTensorTiles}, {"TensorSplits", kernels.TestTensorSplits},
		{"Fused", kernels.TestFused},
	} {
		t.Run(test.name, test.run)
	}
	for _, name := range kernels.AllKernels() {
		if kernels.Trace.Kernels[name] == 0 && name != "pulse" { // which is of no operation: TestPulseCUDA
			t.Errorf("kernel %s was never launched", name)
		}
	}
	t.Logf("on %d multiprocessors", b.Multiprocessors())
	t.Logf("%s%x", resultsOf, kernels.Trace.Hash)
}

// On the stand-in driver, threads that run in another order must not change a bit: a result that depends on the order
// is a race.
func TestThreadOrdersCUDA(t *testing.T) {
	if name := kerneltest.OpenCUDA(t).Name(); !strings.Contains(name, "stand-in") {
		t.Skip("a device orders its threads itself: ", name)
	}
	var want string
	for _, order := range []string{"forward", "reverse", "shuffle"} {
		got, _ := bitsWith(t, "SIGMAZ_SIM_ORDER="+order)
		if want == "" {
			want = got
		}
		if got != want {
			t.Errorf("threads in order %s: %s, forward: %s", order, got, want)
		}
	}
}

// On the stand-in driver, devices with few and with many multiprocessors, which share out their work differently, have
// the same results bit for bit: so all agree with the reference where TestConformanceCUDA says that one of them does.
func TestMultiprocessorsCUDA(t *testing.T) {
	if name := kerneltest.OpenCUDA(t).Name(); !strings.Contains(name, "stand-in") {
		t.Skip("a device has as many multiprocessors as it has: ", name)
	}
	var want string
	for _, n := range []int{4, 108, 132} {
		got, out := bitsWith(t, fmt.Sprint("SIGMAZ_SIM_MULTIPROCESSORS=", n))
		if !strings.Contains(out, fmt.Sprintf("on %d multiprocessors\n", n)) {
			t.Fatalf("the device has not %d multiprocessors:\n%s", n, out)
		}
		if want == "" {
			want = got
		}
		if got != want {
			t.Errorf("with %d multiprocessors: %s, with 4: %s", n, got, want)
		}
	}
}

// bitsWith runs TestBitsCUDA in a process of its own, with a variable for the stand-in driver, and returns the line with
// the hash of its results, and the whole output.
func bitsWith(t *testing.T, variable string) (hash, out string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestBitsCUDA$", "-test.v")
	cmd.Env = append(os.Environ(), variable)
	text, err := cmd.CombinedOutput()
	hash = regexp.MustCompile(resultsOf + "[0-9a-f]+").FindString(string(text))
	if err != nil || hash == "" {
		t.Fatalf("%s: %v\n%s", variable, err, text)
	}
	return hash, string(text)
}

// A step of every network has the bits of its operations one after the other, in the whole arena.
func TestFusedNetworksCUDA(t *testing.T) {
	b := kerneltest.OpenCUDA(t)
	for _, c := range []model.Config{
		{Net: "ncsnv2", Height: 8, Width: 8, Channels: 1, NGF: 4},
		{Net: "ncsnv2", Height: 4, Width: 8, Channels: 3, NGF: 16},
		{Net: "ncsnv2deepest", Height: 16, Width: 16, Channels: 1, NGF: 2},
		{Net: "ncsn", Height: 8, Width: 8, Channels: 1, NGF: 4, Levels: 4},
		{Net: "ncsnpp", Height: 8, Width: 8, Channels: 1, NGF: 32, UNet: model.UNet{ChMult: "1,2", ResBlocks: 1, Attention: "4",
			FIR: true, SkipRescale: true, ProgressiveInput: "residual", ScaleBySigma: true, InitScale: 1}},
		{Net: "mlp", Height: 1, Width: 1, Channels: 2, Hidden: 32, DataSD: 1},
	} {
		for _, precision := range kernels.Precisions {
			t.Run(fmt.Sprint(c.Net, c.NGF, precision), func(t *testing.T) {
				net, err := model.Build(c, 3, model.Gradients, kernels.Weight{Power: 2})
				if err != nil {
					t.Fatal(err)
				}
				outputs := gorgonia.Nodes{net.Score, net.Loss}
				for _, grad := range net.Grads {
					if grad != nil { // of a parameter that is not frozen
						outputs = append(outputs, grad)
					}
				}
				plan, err := graph.NewPlan(outputs, nil, 0, precision)
				if err != nil {
					t.Fatal(err)
				}
				mem := make([]float32, plan.End)
				for i, p := range net.Params {
					kernels.Stream{Seed: 1, N: uint64(i)}.Normals(plan.Buf(p.Node).Of(mem))
					for j, v := range plan.Buf(p.Node).Of(mem) {
						plan.Buf(p.Node).Of(mem)[j] = v / 8
					}
				}
				for i, n := range []*gorgonia.Node{net.XTilde, net.Z} {
					kernels.Stream{Seed: 2, N: uint64(i)}.Normals(plan.Buf(n).Of(mem))
				}
				for i := range plan.Buf(net.Sigma).Of(mem) {
					plan.Buf(net.Sigma).Of(mem)[i] = 1 / float32(1+i)
				}
				for _, c := range net.Constants {
					copy(plan.Buf(c.Node).Of(mem), c.Values)
				}
				kernels.FusedAndNot(t, b, mem, plan.Ops)
			})
		}
	}
}
