// Layers that resample, join and embed against PyTorch: testdata/README.md says what the file holds.

package graph_test

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"sigmaz/internal/approx"
	"sigmaz/kernels"
	"sigmaz/kernels/kerneltest"
	"sigmaz/model/golden"
	"sigmaz/model/graph"
)

// The tolerances of the networks' golden files: of a tensor's largest element.
const (
	layerTol     = 1e-5
	layerGradTol = 1e-4
)

// layerGraph is the graph of a case.
type layerGraph struct {
	*testing.T
	file   *golden.File
	name   string
	g      *gorgonia.ExprGraph
	leaves map[string]*gorgonia.Node // by their names in the file: x, x1, param.NAME
	values map[*gorgonia.Node][]float32
}

// leaf is an input of the case, images and weights of convolutions with the channels last.
func (b *layerGraph) leaf(name string) *gorgonia.Node {
	b.Helper()
	t := b.file.Tensor(b.T, b.name+"."+name)
	values, s := t.Float32s(), t.Shape()
	if len(s) == 4 {
		values, s = b.file.NHWC(b.T, b.name+"."+name), tensor.Shape{s[0], s[2], s[3], s[1]}
	}
	n := b.node(name, values, s...)
	b.leaves[name] = n
	return n
}

func (b *layerGraph) node(name string, values []float32, shape ...int) *gorgonia.Node {
	n := gorgonia.NewTensor(b.g, gorgonia.Float32, len(shape), gorgonia.WithShape(shape...), gorgonia.WithName(name))
	b.values[n] = values
	return n
}

func (b *layerGraph) apply(l graph.Layer, in ...*gorgonia.Node) *gorgonia.Node {
	b.Helper()
	n, err := graph.Apply(l, fmt.Sprint(l), in...)
	if err != nil {
		b.Fatal(err)
	}
	return n
}

func (b *layerGraph) conv(k int, x *gorgonia.Node) *gorgonia.Node {
	return b.apply(graph.Conv{K: k, Dilation: 1, Bias: true}, x, b.leaf("param.Conv_0.weight"), b.leaf("param.Conv_0.bias"))
}

// resamplingCases makes the output of each case.
var resamplingCases = map[string]func(b *layerGraph) *gorgonia.Node{
	"nearest_up": func(b *layerGraph) *gorgonia.Node { return b.apply(graph.Nearest{}, b.leaf("x")) },
	"conv_up":    func(b *layerGraph) *gorgonia.Node { return b.conv(3, b.apply(graph.Nearest{}, b.leaf("x"))) },
	"conv_down": func(b *layerGraph) *gorgonia.Node {
		n, err := graph.ApplyStrided("conv", b.leaf("x"), b.leaf("param.Conv_0.weight"), b.leaf("param.Conv_0.bias"))
		if err != nil {
			b.Fatal(err)
		}
		return n
	},
	"combine_sum": func(b *layerGraph) *gorgonia.Node {
		return b.apply(graph.Sum{}, b.conv(1, b.leaf("x")), b.leaf("x1"))
	},
	"combine_cat": func(b *layerGraph) *gorgonia.Node {
		return b.apply(graph.Concat{}, b.conv(1, b.leaf("x")), b.leaf("x1"))
	},
}

var embeddingCases = map[string]graph.Embedding{
	"positional8": {Values: 8}, "positional9": {Values: 9}, "positional32": {Values: 32},
	"fourier": {Values: 16, Fourier: true},
}

// eachBackend runs f on the CPU and on CUDA.
func eachBackend(t *testing.T, f func(t *testing.T, b kernels.Backend)) {
	t.Run("cpu", func(t *testing.T) {
		b := kernels.NewCPU(0)
		t.Logf("on %s", b.Name())
		f(t, b)
	})
	t.Run("cuda", func(t *testing.T) { f(t, kerneltest.OpenCUDA(t)) })
}

func TestGoldenResampling(t *testing.T) {
	file := golden.Read(t, filepath.Join("testdata", "layers-ncsnpp.safetensors"))
	eachBackend(t, func(t *testing.T, backend kernels.Backend) {
		for _, name := range slices.Sorted(maps.Keys(resamplingCases)) {
			t.Run(name, func(t *testing.T) {
				b := &layerGraph{T: t, file: file, name: name, g: gorgonia.NewGraph(),
					leaves: map[string]*gorgonia.Node{}, values: map[*gorgonia.Node][]float32{}}
				b.compare(backend, resamplingCases[name](b))
			})
		}
		for _, name := range slices.Sorted(maps.Keys(embeddingCases)) {
			t.Run(name, func(t *testing.T) {
				b := &layerGraph{T: t, file: file, name: name, g: gorgonia.NewGraph(),
					leaves: map[string]*gorgonia.Node{}, values: map[*gorgonia.Node][]float32{}}
				l, cond := embeddingCases[name], "t"
				w := kernels.PositionalFrequencies(l.Values)
				if l.Fourier {
					cond, w = "sigma", file.Floats(t, name+".param.W")
				}
				y := b.apply(l, b.leaf(cond), b.node("frequencies", w, len(w)))
				b.near("y", b.run(backend, y, y)[0], file.Floats(t, name+".y"), layerTol)
			})
		}
	})
}

// The same on the CPU with the other instruction sets.
func TestGoldenResamplingISA(t *testing.T) {
	for isa, off := range map[string]string{"avx2": "cpu.avx512f=off", "go": "cpu.avx512f=off,cpu.avx2=off"} {
		t.Run(isa, func(t *testing.T) {
			if kernels.ISA() == "go" || kernels.ISA() == isa {
				t.Skipf("this machine's instruction set is %s", kernels.ISA())
			}
			again := exec.Command(os.Args[0], "-test.run=^TestGoldenResampling$/^cpu$", "-test.v")
			again.Env = append(os.Environ(), "GODEBUG="+off)
			out, err := again.CombinedOutput()
			if err != nil || !strings.Contains(string(out), fmt.Sprintf("on cpu (%s,", isa)) {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// compare compares a case's output and gradients with the file's. A loss has the gradient dy in y where its noise is
// N dy - y:
//
//	1/N sum 1/2 |y + z|^2      d/dy = (y + z)/N
func (b *layerGraph) compare(backend kernels.Backend, y *gorgonia.Node) {
	names := slices.Sorted(maps.Keys(b.leaves))
	var wrt gorgonia.Nodes
	for _, name := range names {
		wrt = append(wrt, b.leaves[name])
	}
	rows := y.Shape()[0]
	ones := make([]float32, rows)
	for i := range ones {
		ones[i] = 1
	}
	z, sigma := b.node("z", make([]float32, y.Shape().TotalSize()), y.Shape()...), b.node("sigma", ones, rows)
	loss := b.apply(graph.Loss{Weight: kernels.Weight{Power: 2}}, y, z, sigma)
	grads, err := graph.Gradients(loss, wrt)
	if err != nil {
		b.Fatal(err)
	}
	of := append(append(gorgonia.Nodes{}, grads...), y)
	dy := b.file.NHWC(b.T, b.name+".dy")
	got := b.run(backend, loss, of...)
	for i, v := range got[len(grads)] {
		b.values[z][i] = float32(rows)*dy[i] - v
	}
	got = b.run(backend, loss, of...)
	b.near("y", got[len(grads)], b.file.NHWC(b.T, b.name+".y"), layerTol)
	for i, name := range names {
		of := "d" + name
		if param, ok := strings.CutPrefix(name, "param."); ok {
			of = "grad." + param
		}
		want := b.file.Tensor(b.T, b.name+"."+of).Float32s()
		if wrt[i].Dims() == 4 {
			want = b.file.NHWC(b.T, b.name+"."+of)
		}
		b.near(of, got[i], want, layerGradTol)
	}
}

// run returns the values of nodes that a plan of them and of one more node computes.
func (b *layerGraph) run(backend kernels.Backend, also *gorgonia.Node, nodes ...*gorgonia.Node) (values [][]float32) {
	plan, err := graph.NewPlan(append(gorgonia.Nodes{also}, nodes...), nil, 0, kernels.Float32)
	if err != nil {
		b.Fatal(err)
	}
	arena, err := backend.Alloc(plan.End, plan.Ops)
	if err != nil {
		b.Fatal(err)
	}
	m, err := graph.NewMachine(backend, arena, nil, plan, nil)
	if err != nil {
		b.Fatal(err)
	}
	for n, v := range b.values {
		if at := plan.Buf(n); at.N > 0 {
			if err := arena.Write(at, v); err != nil {
				b.Fatal(err)
			}
		}
	}
	if err := m.RunAll(); err != nil {
		b.Fatal(err)
	}
	for _, n := range nodes {
		v, err := m.Value(n)
		if err != nil {
			b.Fatal(err)
		}
		values = append(values, slices.Clone(v.Float32s()))
	}
	return values
}

func (b *layerGraph) near(what string, got, want []float32, tol float64) {
	b.Helper()
	if err := approx.Compare(what, got, want, approx.RelMax(tol)); err != nil {
		b.Error(err)
	}
	b.Logf("%s: %.1e", what, approx.WorstRel(got, want))
}

// A block's own layers, a row for each image, a join and dropout, against formulas: with the graph's gradients of what two
// layers use.
func TestJoinsAndDropout(t *testing.T) {
	const n, h, w, c, p, root = 3, 2, 2, 4, 0.25, 0.70710678
	normals := func(stream uint64, n int) []float32 {
		v := make([]float32, n)
		kernels.Stream{Seed: 4, Purpose: kernels.PurposeData, N: stream}.Normals(v)
		return v
	}
	eachBackend(t, func(t *testing.T, backend kernels.Backend) {
		b := &layerGraph{T: t, g: gorgonia.NewGraph(), leaves: map[string]*gorgonia.Node{},
			values: map[*gorgonia.Node][]float32{}}
		x, e := b.node("x", normals(1, n*h*w*c), n, h, w, c), b.node("e", normals(2, n*c), n, c)
		state := make([]float32, kernels.StateWords)
		kernels.SetStep(state, 1<<32+5)
		z := b.node("z", normals(3, n*h*w*c), n, h, w, c)
		sigma := b.node("sigma", []float32{1, 1, 1}, n)
		r := b.apply(graph.AddRow{}, x, e)
		drop := b.apply(graph.Dropout{P: p, Index: 3, Seed: 11}, r, b.node("state", state, kernels.StateWords))
		y := b.apply(graph.Join{Scale: root}, x, drop)
		loss := b.apply(graph.Loss{Weight: kernels.Weight{Power: 2}}, y, z, sigma)
		grads, err := graph.Gradients(loss, gorgonia.Nodes{x, e})
		if err != nil {
			t.Fatal(err)
		}
		got := b.run(backend, loss, y, grads[0], grads[1])
		wantY, wantX, wantE := make([]float32, n*h*w*c), make([]float32, n*h*w*c), make([]float32, n*c)
		for i, v := range b.values[x] {
			row, channel := i/(h*w*c), i%c
			stream := kernels.Stream{Seed: 11, Purpose: kernels.PurposeDropout | 3<<8, N: (1<<32+5)*n + uint64(row)}
			factor := float32(0)
			if kernels.Uniform(stream.Word(i%(h*w*c))) > p {
				factor = 1 / (1 - p)
			}
			wantY[i] = root * (v + factor*(v+b.values[e][row*c+channel]))
			dy := (wantY[i] + b.values[z][i]) / n
			wantX[i] = root * dy * (1 + factor)
			wantE[row*c+channel] += root * dy * factor
		}
		b.near("y", got[0], wantY, layerTol)
		b.near("dx", got[1], wantX, layerTol)
		b.near("de", got[2], wantE, layerTol)
	})
}
