// The U-Nets' branches: every combination of blocks, resampling and pyramids is built and trained.

package train

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"

	"sigmaz/internal/approx"
	"sigmaz/kernels"
	"sigmaz/model"
	"sigmaz/model/golden"
)

// branchTrainer is a trainer of a branch with a batch.
func branchTrainer(t *testing.T, b kernels.Backend, c model.Config) *Trainer {
	t.Helper()
	tr, err := NewTrainer(b, TrainerConfig{Network: c, Batch: 2, Sigmas: smallLadder, AnnealPower: 2, Seed: 3})
	if err != nil {
		t.Fatal(err)
	}
	batchFor(t, tr, 2, c.D())
	return tr
}

// The gradient of each branch, on every backend, against central differences of the loss along directions in which it has
// an effect: of all parameters together, and of one tensor after the other of those that lie a prime number apart.
func TestUNetBranches(t *testing.T) {
	for i, u := range golden.UNetBranches() {
		c := model.Config{Net: "ncsnpp", Height: 8, Width: 8, Channels: 1 + i%2, NGF: 4, Nonlinearity: "swish", UNet: u}
		if i%6 == 5 {
			c.Nonlinearity, c.Width = "elu", 4
		}
		name := fmt.Sprintf("%d-%s-conv=%t-fir=%t-%s-%s%s", i, u.ResBlock, u.ResampWithConv, u.FIR, u.Progressive,
			u.ProgressiveInput, strings.TrimPrefix("-"+u.Combine, "-"))
		t.Run(name, func(t *testing.T) {
			tr := branchTrainer(t, kernels.NewCPU(1), c)
			if _, err := tr.Gradients(); err != nil {
				t.Fatal(err)
			}
			weights, grads := make([]float32, tr.layout.params.N), make([]float32, tr.layout.grads.N)
			if err := errors.Join(tr.arena.Read(weights, tr.layout.params), tr.arena.Read(grads, tr.layout.grads)); err != nil {
				t.Fatal(err)
			}
			along := func(what string, direction []float64) {
				var slope, norm float64
				for j, d := range direction {
					slope += d * float64(grads[j])
					norm += d * d
				}
				if norm == 0 {
					t.Errorf("%s: the gradient is 0", what)
					return
				}
				differences := func(h float64) float64 {
					var l [2]float64
					for k, sign := range []float64{-1, 1} {
						moved := make([]float32, len(weights))
						for j, w := range weights {
							moved[j] = w + float32(sign*h*direction[j]/math.Sqrt(norm))
						}
						if err := tr.arena.Write(tr.layout.params, moved); err != nil {
							t.Fatal(err)
						}
						if _, err := tr.Gradients(); err != nil {
							t.Fatal(err)
						}
						l[k] = lossFloat64(t, tr)
					}
					return (l[1] - l[0]) / (2 * h)
				}
				near, far := differences(4e-3), differences(8e-3)
				got, want := slope/math.Sqrt(norm), (4*near-far)/3 // without the error of h^2
				if math.Abs(got-want) > 1e-2*math.Abs(want)+2e-3 {
					t.Errorf("%s: slope %g, by differences %g (%g and %g)", what, got, want, near, far)
				}
			}
			random := rand.New(rand.NewPCG(uint64(i), 1))
			all := make([]float64, len(grads))
			for j, g := range grads {
				all[j] = float64(g) * (0.5 + random.Float64())
			}
			along("all parameters", all)
			for p := i % 29; p < len(tr.net.Params); p += 29 {
				if tr.net.Params[p].Frozen || strings.HasSuffix(tr.net.Params[p].Name, ".NIN_1.b") {
					continue
				}
				at := tr.layout.param[p]
				one := make([]float64, len(grads))
				for j := at.Off; j < at.Off+at.N; j++ {
					one[j] = float64(grads[j])
				}
				along(tr.net.Params[p].Name, one)
			}
			for _, b := range testBackends[1:] {
				t.Run(b.name, func(t *testing.T) {
					other := branchTrainer(t, b.open(t), c)
					if _, err := other.Gradients(); err != nil {
						t.Fatal(err)
					}
					got, err := other.Named("grad.")
					if err != nil {
						t.Fatal(err)
					}
					largest := approx.WorstAbs(grads, make([]float32, len(grads)))
					if err := tr.arena.Write(tr.layout.params, weights); err != nil {
						t.Fatal(err)
					}
					if _, err := tr.Gradients(); err != nil {
						t.Fatal(err)
					}
					want, err := tr.Named("grad.")
					if err != nil {
						t.Fatal(err)
					}
					for j, w := range want {
						check(t, w.Name, got[j].T.Float32s(), w.T.Float32s(), approx.Tol{Max: gradTol, Abs: 1e-6 * largest})
					}
				})
			}
		})
	}
}

// The U-Nets on the CPU with the other instruction sets.
func TestUNetISA(t *testing.T) {
	for isa, off := range map[string]string{"avx2": "cpu.avx512f=off", "go": "cpu.avx512f=off,cpu.avx2=off"} {
		t.Run(isa, func(t *testing.T) {
			if kernels.ISA() == "go" || kernels.ISA() == isa {
				t.Skipf("this machine's instruction set is %s", kernels.ISA())
			}
			again := exec.Command(os.Args[0], "-test.run=^(TestISA|TestGolden|TestTapeMachineAgrees)$/^(ncsnpp|ddpm)/^cpu$", "-test.v")
			again.Env = append(os.Environ(), "GODEBUG="+off, "SIGMAZ_TEST_ISA="+isa)
			if out, err := again.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestGolden/ncsnpp-16x3-ve") {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// A process that is told an instruction set has it.
func TestISA(t *testing.T) {
	if want := os.Getenv("SIGMAZ_TEST_ISA"); want != "" && kernels.ISA() != want {
		t.Errorf("instruction set %s, expected %s", kernels.ISA(), want)
	}
}
