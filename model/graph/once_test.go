package graph_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"gorgonia.org/gorgonia"

	"sigmaz/kernels"
	"sigmaz/model"
	"sigmaz/model/graph"
)

// A step of every kind of network has the bits of all of its operations, and so many fewer of them: in NCSNv2 one
// gradient of a pooling for each stage that halves the images, whose two poolings are summed; in a U-Net with joins one
// scaled gradient for each.
func TestComputedOnce(t *testing.T) {
	unet := model.UNet{ChMult: "1,2", ResBlocks: 1, Attention: "4", FIR: true, ProgressiveInput: "residual",
		ScaleBySigma: true, InitScale: 1}
	joined := unet
	joined.SkipRescale = true
	type network struct {
		model.Config
		fewer map[string]int
	}
	networks := []network{
		{model.Config{Net: "ncsnv2", Height: 8, Width: 4, Channels: 3, NGF: 4}, map[string]int{"meanpool2_grad": 1}},
		{model.Config{Net: "ncsnv2", Height: 4, Width: 4, Channels: 1, NGF: 32}, map[string]int{"meanpool2_grad": 1}},
		{model.Config{Net: "ncsnv2deepest", Height: 16, Width: 8, Channels: 1, NGF: 2}, map[string]int{"meanpool2_grad": 3}},
		{model.Config{Net: "ncsn", Height: 8, Width: 4, Channels: 1, NGF: 4, Levels: 4}, map[string]int{"meanpool2_grad": 1}},
		{model.Config{Net: "ncsnpp", Height: 4, Width: 4, Channels: 2, NGF: 32, UNet: unet}, nil},
		{model.Config{Net: "ncsnpp", Height: 4, Width: 4, Channels: 2, NGF: 32, UNet: joined},
			map[string]int{"scaled_sum": 14}},
		{model.Config{Net: "ncsnpp", Height: 4, Width: 4, Channels: 2, NGF: 16, UNet: unet}, nil}, // 16 and 32 channels side by side
		{model.Config{Net: "mlp", Height: 1, Width: 1, Channels: 3, Hidden: 7, DataSD: 0.8}, nil},
	}
	eachBackend(t, func(t *testing.T, backend kernels.Backend) {
		for _, c := range networks {
			for _, precision := range []kernels.Precision{kernels.Float32, kernels.BF16} { // a plan in tf32 is that in float32
				if strings.HasPrefix(backend.Name(), "cpu") && precision != kernels.Float32 {
					continue // it knows no other
				}
				t.Run(fmt.Sprint(c.Net, c.NGF, c.UNet.SkipRescale, precision), func(t *testing.T) {
					once, apart := onceAndApart(t, c.Config, precision)
					fewer := map[string]int{}
					for _, op := range apart.plan.Ops {
						fewer[op.Name()]++
					}
					for _, op := range once.plan.Ops {
						fewer[op.Name()]--
					}
					for name, n := range fewer {
						if n != c.fewer[name] {
							t.Errorf("%d operations %s fewer, expected %d", n, name, c.fewer[name])
						}
					}
					got, want := once.run(t, backend), apart.run(t, backend)
					for i := range want {
						if len(want[i]) == 0 || !slices.EqualFunc(got[i], want[i], func(a, b float32) bool {
							return math.Float32bits(a) == math.Float32bits(b)
						}) {
							t.Errorf("output %d of %d has other bits than with all operations", i, len(want))
						}
					}
				})
			}
		}
	})
}

// planned is a network with one of its plans.
type planned struct {
	net     *model.Network
	plan    *graph.Plan
	outputs gorgonia.Nodes
}

// onceAndApart plans a network's score, loss and gradients, and again with every operation.
func onceAndApart(t *testing.T, c model.Config, precision kernels.Precision) (once, apart planned) {
	t.Helper()
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
	plan := func() (*graph.Plan, error) { return graph.NewPlan(outputs, nil, 0, precision) }
	a, err := plan()
	if err != nil {
		t.Fatal(err)
	}
	b, err := graph.NewPlanApart(plan)
	if err != nil {
		t.Fatal(err)
	}
	return planned{net, a, outputs}, planned{net, b, outputs}
}

// run computes the outputs for random parameters and images.
func (p planned) run(t *testing.T, backend kernels.Backend) (values [][]float32) {
	arena, err := backend.Alloc(p.plan.End, p.plan.Ops)
	if err != nil {
		t.Fatal(err)
	}
	m, err := graph.NewMachine(backend, arena, nil, p.plan, nil)
	if err != nil {
		t.Fatal(err)
	}
	write := func(n *gorgonia.Node, values []float32) {
		if err := arena.Write(p.plan.Buf(n), values); err != nil {
			t.Fatal(err)
		}
	}
	normals := func(n *gorgonia.Node, stream uint64, scale float32) {
		values := make([]float32, n.Shape().TotalSize())
		kernels.Stream{Seed: 1, N: stream}.Normals(values)
		for i := range values {
			values[i] *= scale
		}
		write(n, values)
	}
	for i, of := range p.net.Params {
		normals(of.Node, uint64(i), 0.25)
	}
	normals(p.net.XTilde, 1000, 1)
	normals(p.net.Z, 1001, 1)
	write(p.net.Sigma, []float32{1, 0.5, 0.25})
	if p.net.Level != nil {
		write(p.net.Level, make([]float32, 3))
	}
	for _, c := range p.net.Constants {
		write(c.Node, c.Values)
	}
	if err := m.RunAll(); err != nil {
		t.Fatal(err)
	}
	for _, n := range p.outputs {
		v, err := m.Value(n)
		if err != nil {
			t.Fatal(err)
		}
		values = append(values, slices.Clone(v.Float32s()))
	}
	return values
}
