// The trainer's networks against other ways to compute the same: Gorgonia's TapeMachine, finite differences, other
// numbers of workers and other batches.

package train

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"sigmaz/internal/approx"
	"sigmaz/kernels"
	"sigmaz/model"
)

// small configurations that every path of the graphs runs through.
var smallConfigs = []model.Config{
	{Net: "ncsnv2", Height: 6, Width: 8, Channels: 2, NGF: 3},
	{Net: "ncsnv2", Height: 8, Width: 4, Channels: 1, NGF: 4, Nonlinearity: "swish", Rescaled: true},
	{Net: "ncsnv2", Height: 8, Width: 6, Channels: 1, NGF: 3, Nonlinearity: "lrelu", Normalization: "InstanceNorm",
		Levels: 4},
	{Net: "ncsnv2deeper", Height: 8, Width: 12, Channels: 1, NGF: 3, Nonlinearity: "relu"},
	{Net: "ncsnv2deepest", Height: 24, Width: 16, Channels: 1, NGF: 3},
	{Net: "ncsn", Height: 8, Width: 12, Channels: 2, NGF: 4, Levels: 4},
	{Net: "ncsn", Height: 4, Width: 8, Channels: 1, NGF: 3, Levels: 4, Normalization: "InstanceNorm",
		Nonlinearity: "swish"},
	{Net: "ncsnpp", Height: 8, Width: 4, Channels: 2, NGF: 8, UNet: model.UNet{ChMult: "1,2", ResBlocks: 1, Attention: "4",
		FIR: true, SkipRescale: true, ProgressiveInput: "residual", ScaleBySigma: true, InitScale: 1}},
	{Net: "ncsnpp", Height: 4, Width: 8, Channels: 1, NGF: 4, Nonlinearity: "elu", Rescaled: true,
		UNet: model.UNet{ChMult: "1,2", ResBlocks: 1, Dropout: 0.3, ResBlock: "ddpm", ResampWithConv: true,
			Progressive: "output_skip", ProgressiveInput: "input_skip", Combine: "cat", Embedding: "positional", InitScale: 1}},
	{Net: "ddpm", Height: 8, Width: 8, Channels: 1, NGF: 32, UNet: model.UNet{ChMult: "1,1", ResBlocks: 1,
		ResampWithConv: true, InitScale: 1}},
	{Net: "mlp", Height: 1, Width: 1, Channels: 3, Hidden: 7, DataSD: 0.8},
	{Net: "mlp", Height: 1, Width: 1, Channels: 3, Hidden: 7, DataSD: 0.8, Classes: 3},
	{Net: "ncsnpp", Height: 4, Width: 4, Channels: 1, NGF: 4, Classes: 3, UNet: model.UNet{ChMult: "1,2", ResBlocks: 1,
		FIR: true, SkipRescale: true, ScaleBySigma: true, InitScale: 1}},
	// wrapped, see model/precondition.go
	{Net: "ncsnv2", Height: 4, Width: 8, Channels: 1, NGF: 3, Parameterization: model.EDM},
	{Net: "mlp", Height: 1, Width: 1, Channels: 3, Hidden: 7, DataSD: 0.8, Parameterization: model.EDM},
	{Net: "ncsnpp", Height: 4, Width: 4, Channels: 1, NGF: 4, Rescaled: true, SDE: model.SDE{Kind: model.VP, BetaMin: 0.1, BetaMax: 20},
		UNet: model.UNet{ChMult: "1,2", ResBlocks: 1, Embedding: "positional", InitScale: 1}},
}

// A network that no small configuration is of would go through none of the tests below.
func TestEveryNetworkIsTested(t *testing.T) {
	for _, net := range model.Networks() {
		if !slices.ContainsFunc(smallConfigs, func(c model.Config) bool { return c.Net == net }) {
			t.Errorf("smallConfigs has none of network %s", net)
		}
	}
}

// testName tells small configurations apart.
func testName(c model.Config) string {
	wrap := c.Parameterization + c.SDE.Kind
	if c.Classes > 0 {
		wrap = fmt.Sprintf("%d classes", c.Classes)
	}
	return strings.Trim(fmt.Sprintf("%s-%dx%d-%s-%s-%s", c.Net, c.Height, c.Width, c.Normalization, c.Nonlinearity, wrap), "-")
}

// smallLadder is the ladder of the small configurations.
var smallLadder = model.Ladder{1.1, 0.8, 0.4, 0.1}

// batchFor gives a trainer of the smallLadder a fixed random batch and returns it.
func batchFor(t *testing.T, tr *Trainer, n, d int) (x, z, sigma, level []float32) {
	t.Helper()
	x, z, sigma, level = make([]float32, n*d), make([]float32, n*d), make([]float32, n), make([]float32, n)
	kernels.Stream{Seed: 5, Purpose: kernels.PurposeData, N: 1}.Uniforms(x)
	kernels.Stream{Seed: 5, Purpose: kernels.PurposeNoise, N: 2}.Normals(z)
	levels := make([]int, n) // some twice, some never
	for i := range levels {
		levels[i] = (3 * i) % len(smallLadder) / 2 * 2
		sigma[i], level[i] = smallLadder[levels[i]], math.Float32frombits(uint32(levels[i]))
	}
	for i := range x {
		x[i] += sigma[i/d] * z[i]
	}
	if err := tr.SetBatch(x, z, levels); err != nil {
		t.Fatal(err)
	}
	if tr.c.Network.Classes > 0 {
		if err := tr.SetClasses(classesOf(tr.c.Network, n)); err != nil {
			t.Fatal(err)
		}
	}
	return x, z, sigma, level
}

// classesOf is the classes of the rows of that batch: some twice, some never, and none.
func classesOf(c model.Config, n int) []uint32 {
	classes := make([]uint32, n)
	for i := range classes {
		classes[i] = uint32((2*i + 1) % (c.NoClass() + 1) / 2 * 3 % (c.NoClass() + 1))
	}
	return classes
}

// Training has the same bits for any number of workers, more than there are images too, and a score for any batch: the
// network has convolutions by Winograd's method and direct ones, of images so small that several go through them
// together.
func TestSameBitsForAnyWorkersAndBatch(t *testing.T) {
	for _, net := range []string{"ncsnv2", "ncsn"} {
		t.Run(net, func(t *testing.T) {
			c := model.Config{Net: net, Height: 8, Width: 12, Channels: 2, NGF: 16, Levels: len(smallLadder)}
			const n = 5
			train := func(workers int) (results []model.Named, x, sigma, level []float32) {
				tr, err := NewTrainer(kernels.NewCPU(workers),
					TrainerConfig{Network: c, Batch: n, Sigmas: smallLadder, AnnealPower: 2,
						Adam: Adam{LR: 1e-3, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8}, EMARate: 0.999, Seed: 1})
				if err != nil {
					t.Fatal(err)
				}
				x, _, sigma, level = batchFor(t, tr, n, c.D())
				for range 2 {
					if _, err := tr.StepFixed(); err != nil {
						t.Fatal(err)
					}
				}
				for _, prefix := range []string{"grad.", "param.", "ema."} {
					named, err := tr.Named(prefix)
					if err != nil {
						t.Fatal(err)
					}
					results = append(results, named...)
				}
				return results, x, sigma, level
			}
			want, x, sigma, level := train(1)
			for _, workers := range []int{2, 5, 7} {
				got, _, _, _ := train(workers)
				for i, w := range want {
					check(t, fmt.Sprintf("%s with %d workers", w.Name, workers), got[i].T.Float32s(),
						w.T.Float32s(), approx.Tol{})
				}
			}
			score := func(batch, workers int) (all []float32) {
				s, err := model.NewScore(kernels.NewCPU(workers), c, kernels.Float32, batch, 0)
				if err != nil {
					t.Fatal(err)
				}
				if err := s.Load(want, "param."); err != nil {
					t.Fatal(err)
				}
				p, err := s.Backend.Compile(s.Arena, s.Ops)
				if err != nil {
					t.Fatal(err)
				}
				for from := 0; from < n; from += batch {
					for _, in := range []struct {
						b kernels.Buf
						v []float32
					}{{s.X, x[from*s.D : (from+batch)*s.D]}, {s.Sigma, sigma[from : from+batch]},
						{s.Level, level[from : from+batch]}} {
						if err := s.Arena.Write(in.b, in.v); err != nil {
							t.Fatal(err)
						}
					}
					if err := p.Run(); err != nil {
						t.Fatal(err)
					}
					out := make([]float32, batch*s.D)
					if err := s.Arena.Read(out, s.S); err != nil {
						t.Fatal(err)
					}
					all = append(all, out...)
				}
				return all
			}
			together := score(n, 1)
			for _, workers := range []int{1, 2, 7} {
				check(t, fmt.Sprintf("score of one image after the other with %d workers", workers),
					score(1, workers), together, approx.Tol{})
			}
		})
	}
}

// Plan and machine against Gorgonia's own TapeMachine on the same graph.
func TestTapeMachineAgrees(t *testing.T) {
	for _, c := range smallConfigs {
		for _, b := range testBackends {
			tol := 2e-5
			if c.TakesLevels() && c.Normalization == "" {
				tol = gradTol // its first blocks, at the far end of the backward pass, gather rounding of up to 5.4e-5
			}
			t.Run(testName(c)+"/"+b.name, func(t *testing.T) { tapeMachineAgrees(t, c, 5, b.open(t), tol) })
		}
	}
}

// The same for a network wide enough that the CPU computes its convolutions by Winograd's method, dilated ones and
// those on odd maps among them, with what follows them fused in: the small networks above and the golden files have
// direct ones.
func TestTapeMachineAgreesOnWideNetworks(t *testing.T) {
	for _, c := range []model.Config{
		{Net: "ncsnv2", Height: 18, Width: 14, Channels: 1, NGF: 32},
		{Net: "ncsn", Height: 14, Width: 18, Channels: 3, NGF: 32, Levels: 4},
	} {
		t.Run(testName(c), func(t *testing.T) { tapeMachineAgrees(t, c, 2, kernels.NewCPU(0), gradTol) })
	}
}

// tapeMachineAgrees compares loss, score and gradients on a batch of n; relative is of each tensor's largest element.
func tapeMachineAgrees(t *testing.T, c model.Config, n int, backend kernels.Backend, relative float64) {
	tr, err := NewTrainer(backend, TrainerConfig{Network: c, Batch: n, Sigmas: smallLadder, AnnealPower: 2})
	if err != nil {
		t.Fatal(err)
	}
	x, z, sigma, level := batchFor(t, tr, n, c.D())
	loss, err := tr.Gradients()
	if err != nil {
		t.Fatal(err)
	}
	net := tr.net
	let := func(node *gorgonia.Node, data []float32) {
		v := tensor.New(tensor.WithShape(node.Shape()...), tensor.WithBacking(append([]float32(nil), data...)))
		if err := gorgonia.Let(node, v); err != nil {
			t.Fatal(err)
		}
	}
	let(net.XTilde, x)
	let(net.Z, z)
	let(net.Sigma, sigma)
	if net.Level != nil {
		let(net.Level, level)
	}
	if net.Class != nil {
		var words []float32
		for _, class := range classesOf(c, n) {
			words = append(words, math.Float32frombits(class))
		}
		let(net.Class, words)
	}
	if net.State != nil {
		let(net.State, make([]float32, kernels.StateWords))
	}
	for _, c := range net.Constants {
		let(c.Node, c.Values)
	}
	for _, p := range net.Params {
		data := make([]float32, p.Shape.TotalSize())
		if err := tr.arena.Read(data, tr.plan.Buf(p.Node)); err != nil {
			t.Fatal(err)
		}
		let(p.Node, data)
	}
	var nodes gorgonia.Nodes
	var names []string
	for i, g := range net.Grads {
		if g != nil {
			nodes, names = append(nodes, g), append(names, "grad."+net.Params[i].Name)
		}
	}
	nodes, names = append(nodes, net.Score), append(names, "score")
	values := make([]gorgonia.Value, len(nodes)+1)
	for i, node := range append(slices.Clone(nodes), net.Loss) {
		gorgonia.Read(node, &values[i])
	}
	vm := gorgonia.NewTapeMachine(net.Graph)
	defer vm.Close()
	if err := vm.RunAll(); err != nil {
		t.Fatal(err)
	}
	if want := values[len(values)-1].Data().(float32); math.Abs(loss-float64(want)) > 1e-5*math.Abs(float64(want)) {
		t.Errorf("loss %g, TapeMachine %g", loss, want)
	}
	// Relative to the tensor's largest element, and of gradients to the largest of all too: that of a bias before an
	// instance norm, which removes it, is nothing but rounding.
	largest := 0.0
	for i := range nodes[1:] {
		want := values[i].Data().([]float32)
		largest = math.Max(largest, approx.WorstAbs(want, make([]float32, len(want))))
	}
	tol := approx.Tol{Max: relative, Abs: 1e-7 * largest}
	for i, node := range nodes {
		got := make([]float32, node.Shape().TotalSize())
		if err := tr.arena.Read(got, tr.plan.Buf(node)); err != nil {
			t.Fatal(err)
		}
		if err := approx.Compare(names[i], got, values[i].Data().([]float32), tol); err != nil {
			t.Error(err)
		}
	}
}

// Gradients against central differences of the loss, for a few elements of every parameter.
func TestGradientsByFiniteDifferences(t *testing.T) {
	for _, c := range smallConfigs {
		if c.Net == "ncsnv2deeper" || c.Net == "ncsnv2deepest" {
			continue // of the same layers, with too many kinks (maxima) on the way
		}
		t.Run(testName(c), func(t *testing.T) {
			const n = 4
			tr, err := NewTrainer(kernels.NewCPU(2),
				TrainerConfig{Network: c, Batch: n, Sigmas: smallLadder, AnnealPower: 2})
			if err != nil {
				t.Fatal(err)
			}
			batchFor(t, tr, n, c.D())
			if _, err := tr.Gradients(); err != nil {
				t.Fatal(err)
			}
			grads := make([]float32, tr.layout.grads.N)
			if err := tr.arena.Read(grads, tr.layout.grads); err != nil {
				t.Fatal(err)
			}
			scale := 0.0
			for _, g := range grads {
				scale = math.Max(scale, math.Abs(float64(g)))
			}
			checked, total := 0, 0
			for i, p := range tr.net.Params {
				if c != smallConfigs[0] && i%2 == 1 || p.Frozen {
					continue // every second parameter, but of the first network all: each takes many passes
				}
				total += 3
				at := tr.layout.at(tr.layout.params, i)
				for _, j := range []int{0, at.N / 2, at.N - 1} {
					w := at.Slice(j, 1)
					var old [1]float32
					if err := tr.arena.Read(old[:], w); err != nil {
						t.Fatal(err)
					}
					// at two widths, from the left and from the right
					slopes := func(h float32) (left, right float64) {
						var l [3]float64
						for k, d := range []float32{-h, 0, h} {
							if err := tr.arena.Write(w, []float32{old[0] + d}); err != nil {
								t.Fatal(err)
							}
							if _, err := tr.Gradients(); err != nil {
								t.Fatal(err)
							}
							l[k] = lossFloat64(t, tr)
						}
						if err := tr.arena.Write(w, old[:]); err != nil {
							t.Fatal(err)
						}
						return (l[1] - l[0]) / float64(old[0]-(old[0]-h)), (l[2] - l[1]) / float64((old[0]+h)-old[0])
					}
					left, right := slopes(4e-3)
					near, far := slopes(2e-3)
					want := (left + right) / 2
					within := 5e-3 * (math.Abs(want) + 0.1*scale)
					if math.Abs(left-right) > within || math.Abs((near+far)/2-want) > within/2 {
						continue // the kink of a maximum, or too much curvature
					}
					checked++
					if got := float64(grads[tr.layout.param[i].Off+j]); math.Abs(got-want) > within {
						t.Errorf("%s[%d]: gradient %g, finite difference %g", p.Name, j, got, want)
					}
				}
			}
			if checked < total*2/3 {
				t.Errorf("only %d of %d elements could be checked", checked, total)
			}
		})
	}
}

// lossFloat64 is the loss of the last pass, summed from the score in float64.
func lossFloat64(t *testing.T, tr *Trainer) float64 {
	t.Helper()
	s, err := tr.Score()
	if err != nil {
		t.Fatal(err)
	}
	z, sigma := make([]float32, len(s)), make([]float32, tr.c.Batch)
	if tr.arena.Read(z, tr.plan.Buf(tr.net.Z)) != nil || tr.arena.Read(sigma, tr.plan.Buf(tr.net.Sigma)) != nil {
		t.Fatal("cannot read the batch")
	}
	var sum float64
	for i, v := range s {
		g := float64(sigma[i/(len(s)/tr.c.Batch)])
		e := g*float64(v) + float64(z[i])
		sum += e * e / 2
	}
	return sum / float64(tr.c.Batch)
}

func TestSetBatchRefuses(t *testing.T) {
	c := model.Config{Net: "ncsn", Height: 4, Width: 4, Channels: 1, NGF: 2, Levels: 4}
	tr, err := NewTrainer(kernels.NewCPU(1), TrainerConfig{Network: c, Batch: 2, Sigmas: smallLadder, AnnealPower: 2})
	if err != nil {
		t.Fatal(err)
	}
	x := make([]float32, 32)
	for _, test := range []struct {
		x, z  []float32
		level []int
		want  string
	}{
		{x, x, []int{0, 4}, "row 1 has level 4, expected 0 to 3"}, {x, x, []int{-1, 0}, "row 0 has level -1"},
		{x[:31], x, []int{0, 0}, "x_tilde has 31 values, expected 32"},
		{x, x, []int{0}, "sigma has 1 values, expected 2"},
	} {
		if err := tr.SetBatch(test.x, test.z, test.level); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("error %v, expected %q", err, test.want)
		}
	}
}

// Without a moving average there is none in memory and in the state, and the held-out loss is that of the weights.
func TestNoAverage(t *testing.T) {
	c := model.Config{Net: "ncsn", Height: 4, Width: 4, Channels: 1, NGF: 2, Levels: 4}
	data := &kernels.Data{N: 6, H: 4, W: 4, C: 1, U8: make([]byte, 96)}
	for i := range data.U8 {
		data.U8[i] = byte(i * i * 7)
	}
	var held [2]float64
	for i, rate := range []float64{0, 1e-12} { // with the second the average is the weights, to the last bit
		tr, err := NewTrainer(kernels.NewCPU(1), TrainerConfig{Network: c, Batch: 3, Sigmas: smallLadder,
			AnnealPower: 2, EMARate: rate, Adam: Adam{LR: 1e-2, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8}, Data: data,
			HeldOut: data, Ring: 9})
		if err != nil {
			t.Fatal(err)
		}
		for range 4 {
			if err := tr.Step(); err != nil {
				t.Fatal(err)
			}
		}
		if held[i], _, err = tr.HeldOutLoss(t.Context()); err != nil {
			t.Fatal(err)
		}
		state, err := tr.State()
		if err != nil {
			t.Fatal(err)
		}
		average := 0
		for _, nt := range state {
			if strings.HasPrefix(nt.Name, "ema.") {
				average++
			}
		}
		if want := map[float64]string{0: "param."}[rate]; want != "" &&
			(average != 0 || tr.Averaged() != want || tr.layout.ema.N != 0) {
			t.Errorf("rate 0: %d tensors of an average, samples from %s", average, tr.Averaged())
		} else if want == "" && (average != len(tr.net.Params) || tr.Averaged() != "ema.") {
			t.Errorf("rate %g: %d tensors of an average, samples from %s", rate, average, tr.Averaged())
		}
		// what was stored is taken back, and the run goes on alike
		again, err := NewTrainer(kernels.NewCPU(1), tr.c)
		if err != nil {
			t.Fatal(err)
		}
		if err := again.Restore(4, state); err != nil {
			t.Fatal(err)
		}
		if h, _, err := again.HeldOutLoss(t.Context()); err != nil || h != held[i] {
			t.Errorf("rate %g: held-out loss %v after restoring, %v before (%v)", rate, h, held[i], err)
		}
	}
	if held[0] != held[1] {
		t.Errorf("held-out loss %v of the weights, %v of an average that is equal to them", held[0], held[1])
	}
}

// A parameter's node value is a view of the arena: what training changes shows there without a copy.
func TestNodeValuesAreViews(t *testing.T) {
	tr, err := NewTrainer(kernels.NewCPU(1), TrainerConfig{Network: smallConfigs[0], Batch: 2, Sigmas: smallLadder,
		AnnealPower: 2, Adam: Adam{LR: 1e-2, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8}})
	if err != nil {
		t.Fatal(err)
	}
	batchFor(t, tr, 2, smallConfigs[0].D())
	p := tr.net.Params[0]
	value := p.Node.Value().Data().([]float32)
	before := value[0]
	if _, err := tr.StepFixed(); err != nil {
		t.Fatal(err)
	}
	now := make([]float32, len(value))
	if err := tr.arena.Read(now, tr.plan.Buf(p.Node)); err != nil {
		t.Fatal(err)
	}
	if value[0] == before || value[0] != now[0] {
		t.Errorf("%s: value %g before and %g after a step, the arena holds %g", p.Name, before, value[0], now[0])
	}
}
