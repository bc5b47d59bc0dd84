package model

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"sigmaz/internal/approx"
	"sigmaz/kernels"
)

// Counts and work of the published network, from running the original constructor.
func TestNCSNv2Counts(t *testing.T) {
	c := Config{Net: "ncsnv2", Height: 32, Width: 32, Channels: 3, NGF: 128}
	info, err := Describe(c)
	if err != nil {
		t.Fatal(err)
	}
	if info.Parameters != 29694083 || info.Tensors != 153 {
		t.Errorf("%d parameters in %d tensors, expected 29694083 in 153", info.Parameters, info.Tensors)
	}
	if g := float64(info.MACs) / 1e9; math.Abs(g-9.9) > 0.05 {
		t.Errorf("%.2f G multiply-adds, expected 9.9", g)
	}
	params, err := c.Params()
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]tensor.Shape{}
	for _, p := range params {
		byName[p.Name] = p.TorchShape()
	}
	for name, want := range map[string]tensor.Shape{
		"begin_conv.weight":                     {128, 3, 3, 3},
		"normalizer.alpha":                      {128},
		"res1.0.normalize1.alpha":               {128},
		"res2.0.conv2.conv.weight":              {256, 128, 3, 3},
		"res2.0.shortcut.conv.weight":           {256, 128, 1, 1},
		"res3.0.shortcut.weight":                {256, 256, 3, 3},
		"refine1.adapt_convs.0.1_1_conv.weight": {256, 256, 3, 3},
		"refine2.crp.convs.1.weight":            {256, 256, 3, 3},
		"refine3.msf.convs.0.weight":            {128, 256, 3, 3},
		"refine4.output_convs.3_2_conv.weight":  {128, 128, 3, 3},
	} {
		if !byName[name].Eq(want) {
			t.Errorf("%s has shape %v, expected %v", name, byName[name], want)
		}
	}
}

// small configurations that every path of the graphs runs through.
var smallConfigs = []Config{
	{Net: "ncsnv2", Height: 6, Width: 8, Channels: 2, NGF: 3},
	{Net: "ncsnv2", Height: 8, Width: 4, Channels: 1, NGF: 4, Nonlinearity: "swish", Rescaled: true},
	{Net: "ncsnv2", Height: 8, Width: 6, Channels: 1, NGF: 3, Nonlinearity: "lrelu", Normalization: "InstanceNorm", Levels: 4},
	{Net: "ncsnv2deeper", Height: 8, Width: 12, Channels: 1, NGF: 3, Nonlinearity: "relu"},
	{Net: "ncsnv2deepest", Height: 24, Width: 16, Channels: 1, NGF: 3},
	{Net: "ncsn", Height: 8, Width: 12, Channels: 2, NGF: 4, Levels: 4},
	{Net: "ncsn", Height: 4, Width: 8, Channels: 1, NGF: 3, Levels: 4, Normalization: "InstanceNorm", Nonlinearity: "swish"},
	{Net: "mlp", Height: 1, Width: 1, Channels: 3, Hidden: 7, DataSD: 0.8},
}

// name tells small configurations apart.
func (c Config) testName() string {
	return strings.Trim(fmt.Sprintf("%s-%dx%d-%s-%s", c.Net, c.Height, c.Width, c.Normalization, c.Nonlinearity), "-")
}

// smallLadder is the ladder of the small configurations.
var smallLadder = Ladder{1.1, 0.8, 0.4, 0.1}

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
	return x, z, sigma, level
}

// Plan and machine against Gorgonia's own TapeMachine on the same graph.
func TestTapeMachineAgrees(t *testing.T) {
	for _, c := range smallConfigs {
		for _, b := range testBackends {
			t.Run(c.testName()+"/"+b.name, func(t *testing.T) { tapeMachineAgrees(t, c, b.open(t)) })
		}
	}
}

func tapeMachineAgrees(t *testing.T, c Config, backend kernels.Backend) {
	const n = 5
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
	for _, p := range net.Params {
		data := make([]float32, p.Shape.TotalSize())
		if err := tr.arena.Read(data, tr.plan.Buf(p.Node)); err != nil {
			t.Fatal(err)
		}
		let(p.Node, data)
	}
	values := make([]gorgonia.Value, len(net.Grads)+2)
	for i, node := range append(append(gorgonia.Nodes(nil), net.Grads...), net.Score, net.Loss) {
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
	// Relative to the tensor's largest element, and of gradients to the largest of all too: that of a bias before an instance
	// norm, which removes it, is nothing but rounding.
	largest := 0.0
	for i := range net.Grads {
		want := values[i].Data().([]float32)
		largest = math.Max(largest, approx.WorstAbs(want, make([]float32, len(want))))
	}
	tol := approx.Tol{Max: gradTol, Abs: 1e-7 * largest}
	for i, node := range append(append(gorgonia.Nodes(nil), net.Grads...), net.Score) {
		got := make([]float32, node.Shape().TotalSize())
		if err := tr.arena.Read(got, tr.plan.Buf(node)); err != nil {
			t.Fatal(err)
		}
		name := "score"
		if i < len(net.Params) {
			name = "grad." + net.Params[i].Name
		}
		if err := approx.Compare(name, got, values[i].Data().([]float32), tol); err != nil {
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
		t.Run(c.testName(), func(t *testing.T) {
			const n = 4
			tr, err := NewTrainer(kernels.NewCPU(2), TrainerConfig{Network: c, Batch: n, Sigmas: smallLadder, AnnealPower: 2})
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
			checked := 0
			for i, p := range tr.net.Params {
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
							l[k] = tr.lossFloat64(t)
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
			if total := 3 * len(tr.net.Params); checked < total*2/3 {
				t.Errorf("only %d of %d elements could be checked", checked, total)
			}
		})
	}
}

// lossFloat64 is the loss of the last pass, summed from the score in float64.
func (tr *Trainer) lossFloat64(t *testing.T) float64 {
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

func TestBadNetworks(t *testing.T) {
	for _, c := range []struct {
		cfg  Config
		want string
	}{
		{Config{Net: "unet", Height: 4, Width: 4, Channels: 1}, `network "unet" is not known: expected one of ncsn, ncsnv2, ncsnv2deeper, ncsnv2deepest, mlp`},
		{Config{Net: "ncsnv2", Height: 4, Width: 4, Channels: 1, NGF: 1}, "ngf is 1"},
		{Config{Net: "ncsnv2", Height: 5, Width: 4, Channels: 1, NGF: 2}, "5 x 4"},
		{Config{Net: "ncsnv2", Height: 4, Width: 4, Channels: 0, NGF: 2}, "at least 1"},
		{Config{Net: "mlp", Height: 4, Width: 4, Channels: 1, Hidden: 4, DataSD: 1}, "use -net ncsnv2"},
		{Config{Net: "mlp", Height: 1, Width: 1, Channels: 2, Hidden: 4}, "data_sd"},
	} {
		if _, err := Build(c.cfg, 2, Gradients, 2); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: error %v, expected %q", c.cfg, err, c.want)
		}
	}
}

// A parameter's node value is a view of the arena: what training changes shows there without a copy.
func TestNodeValuesAreViews(t *testing.T) {
	tr, err := NewTrainer(kernels.NewCPU(1), TrainerConfig{Network: smallConfigs[0], Batch: 2, Sigmas: smallLadder, AnnealPower: 2,
		Adam: AdamConfig{LR: 1e-2, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8}})
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
