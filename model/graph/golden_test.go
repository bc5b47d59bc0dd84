// Single layers against PyTorch: testdata/README.md says what the file holds.

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
	layers int
}

func newLayerGraph(t *testing.T, file *golden.File, name string) *layerGraph {
	return &layerGraph{T: t, file: file, name: name, g: gorgonia.NewGraph(), leaves: map[string]*gorgonia.Node{},
		values: map[*gorgonia.Node][]float32{}}
}

// tensor reads a tensor of the case as the layers have it: images and weights of convolutions with the channels last, and
// the matrix W of pixels, which the file has as (in, out), as a convolution of one tap.
func (b *layerGraph) tensor(name string) ([]float32, tensor.Shape) {
	b.Helper()
	t := b.file.Tensor(b.T, b.name+"."+name)
	switch s := t.Shape(); {
	case len(s) == 4:
		return b.file.NHWC(b.T, b.name+"."+name), tensor.Shape{s[0], s[2], s[3], s[1]}
	case len(s) == 2 && strings.HasSuffix(name, ".W"):
		return turned(t.Float32s(), s[0], s[1]), tensor.Shape{s[1], 1, 1, s[0]}
	default:
		return t.Float32s(), s
	}
}

// leaf is an input of the case whose gradient the file has.
func (b *layerGraph) leaf(name string) *gorgonia.Node {
	b.Helper()
	values, shape := b.tensor(name)
	n := b.node(name, values, shape...)
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
	b.layers++ // Gorgonia would take a layer for another of its path
	n, err := graph.Apply(l, fmt.Sprintf("%d %v", b.layers, l), in...)
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// turned is a matrix of m rows of n values with rows and columns exchanged.
func turned(v []float32, m, n int) []float32 {
	t := make([]float32, len(v))
	for i := range m {
		for j := range n {
			t[j*m+i] = v[i*n+j]
		}
	}
	return t
}

// conv is a convolution that keeps the size, with its weights and bias.
func (b *layerGraph) conv(k int, x *gorgonia.Node, weight, bias string) *gorgonia.Node {
	b.Helper()
	return b.apply(graph.Conv{K: k, Dilation: 1, Bias: true}, x, b.leaf("param."+weight), b.leaf("param."+bias))
}

// strided is a 3x3 convolution of stride 2.
func (b *layerGraph) strided(x *gorgonia.Node, name string) *gorgonia.Node {
	b.Helper()
	n, err := graph.ApplyStrided("conv", x, b.leaf("param."+name+".weight"), b.leaf("param."+name+".bias"))
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// nin is a linear map of every pixel.
func (b *layerGraph) nin(name string, x *gorgonia.Node) *gorgonia.Node {
	return b.conv(1, x, name+".W", name+".b")
}

func (b *layerGraph) groupNorm(prefix string, x *gorgonia.Node) *gorgonia.Node {
	return b.apply(graph.GroupNorm{}, x, b.leaf("param."+prefix+"weight"), b.leaf("param."+prefix+"bias"))
}

func (b *layerGraph) attention(scale float32) *gorgonia.Node {
	x := b.leaf("x")
	h := b.groupNorm("GroupNorm_0.", x)
	h = b.apply(graph.Attention{}, b.nin("NIN_0", h), b.nin("NIN_1", h), b.nin("NIN_2", h))
	return b.apply(graph.Join{Scale: scale}, x, b.nin("NIN_3", h))
}

func (b *layerGraph) fir(kind graph.FIRKind, kernel ...float32) *gorgonia.Node {
	return b.apply(graph.FIR{Kind: kind, Kernel: [4]float32(kernel)}, b.leaf("x"))
}

// resample halves or doubles images, with a filter or without.
func (b *layerGraph) resample(to string, fir bool, x *gorgonia.Node) *gorgonia.Node {
	kernel := [4]float32{1, 3, 3, 1}
	switch {
	case to == "down" && fir:
		return b.apply(graph.FIR{Kind: graph.FIRDown, Kernel: kernel}, x)
	case to == "down":
		return b.apply(graph.MeanPool{}, x)
	case to == "up" && fir:
		return b.apply(graph.FIR{Kind: graph.FIRUp, Kernel: kernel}, x)
	case to == "up":
		return b.apply(graph.Nearest{}, x)
	}
	return x
}

// block is a residual block; its shortcut is a convolution, or a linear map of pixels, or "" for none.
func (b *layerGraph) block(to string, fir bool, shortcut string, scale float32) *gorgonia.Node {
	x, temb := b.leaf("x"), b.leaf("x1")
	swish := graph.Activation{F: kernels.Swish}
	h := b.resample(to, fir, b.apply(swish, b.groupNorm("GroupNorm_0.", x)))
	x = b.resample(to, fir, x)
	h = b.conv(3, h, "Conv_0.weight", "Conv_0.bias")
	h = b.apply(graph.AddRow{}, h, b.conv(1, b.apply(swish, temb), "Dense_0.weight", "Dense_0.bias"))
	h = b.apply(swish, b.groupNorm("GroupNorm_1.", h))
	h = b.conv(3, h, "Conv_1.weight", "Conv_1.bias")
	switch shortcut {
	case "Conv_2":
		x = b.conv(1, x, "Conv_2.weight", "Conv_2.bias")
	case "NIN_0":
		x = b.nin("NIN_0", x)
	}
	return b.apply(graph.Join{Scale: scale}, x, h)
}

const rescale = 0.70710678

// layerCases make the output of each case.
var layerCases = map[string]func(b *layerGraph) *gorgonia.Node{
	"groupnorm12":  func(b *layerGraph) *gorgonia.Node { return b.groupNorm("", b.leaf("x")) },
	"groupnorm20":  func(b *layerGraph) *gorgonia.Node { return b.groupNorm("", b.leaf("x")) },
	"groupnorm192": func(b *layerGraph) *gorgonia.Node { return b.groupNorm("", b.leaf("x")) },

	"attention":            func(b *layerGraph) *gorgonia.Node { return b.attention(rescale) },
	"attention_no_rescale": func(b *layerGraph) *gorgonia.Node { return b.attention(1) },

	"fir_down":     func(b *layerGraph) *gorgonia.Node { return b.fir(graph.FIRDown, 1, 3, 3, 1) },
	"fir_down_2x2": func(b *layerGraph) *gorgonia.Node { return b.fir(graph.FIRDown, 1, 3, 3, 1) },
	"fir_up":       func(b *layerGraph) *gorgonia.Node { return b.fir(graph.FIRUp, 1, 3, 3, 1) },
	"fir_up_1x1":   func(b *layerGraph) *gorgonia.Node { return b.fir(graph.FIRUp, 1, 3, 3, 1) },

	"fir_down_kernel_1_2_3_4": func(b *layerGraph) *gorgonia.Node { return b.fir(graph.FIRDown, 1, 2, 3, 4) },
	"fir_up_kernel_1_2_3_4":   func(b *layerGraph) *gorgonia.Node { return b.fir(graph.FIRUp, 1, 2, 3, 4) },

	"fir_conv_down": func(b *layerGraph) *gorgonia.Node {
		return b.strided(b.fir(graph.FIRFilter, 1, 3, 3, 1), "Conv2d_0")
	},
	"conv_down":  func(b *layerGraph) *gorgonia.Node { return b.strided(b.leaf("x"), "Conv_0") },
	"nearest_up": func(b *layerGraph) *gorgonia.Node { return b.apply(graph.Nearest{}, b.leaf("x")) },
	"conv_up": func(b *layerGraph) *gorgonia.Node {
		return b.conv(3, b.apply(graph.Nearest{}, b.leaf("x")), "Conv_0.weight", "Conv_0.bias")
	},
	"swish":     func(b *layerGraph) *gorgonia.Node { return b.apply(graph.Activation{F: kernels.Swish}, b.leaf("x")) },
	"mean_down": func(b *layerGraph) *gorgonia.Node { return b.apply(graph.MeanPool{}, b.leaf("x")) },
	"nin":       func(b *layerGraph) *gorgonia.Node { return b.conv(1, b.leaf("x"), "W", "b") },

	"biggan":             func(b *layerGraph) *gorgonia.Node { return b.block("", true, "", rescale) },
	"biggan_widen":       func(b *layerGraph) *gorgonia.Node { return b.block("", true, "Conv_2", rescale) },
	"biggan_down":        func(b *layerGraph) *gorgonia.Node { return b.block("down", true, "Conv_2", rescale) },
	"biggan_up":          func(b *layerGraph) *gorgonia.Node { return b.block("up", true, "Conv_2", rescale) },
	"biggan_down_no_fir": func(b *layerGraph) *gorgonia.Node { return b.block("down", false, "Conv_2", 1) },
	"biggan_up_no_fir":   func(b *layerGraph) *gorgonia.Node { return b.block("up", false, "Conv_2", rescale) },
	"ddpm":               func(b *layerGraph) *gorgonia.Node { return b.block("", false, "", rescale) },
	"ddpm_widen":         func(b *layerGraph) *gorgonia.Node { return b.block("", false, "NIN_0", 1) },

	"combine_sum": func(b *layerGraph) *gorgonia.Node {
		return b.apply(graph.Sum{}, b.conv(1, b.leaf("x"), "Conv_0.weight", "Conv_0.bias"), b.leaf("x1"))
	},
	"combine_cat": func(b *layerGraph) *gorgonia.Node {
		return b.apply(graph.Concat{}, b.conv(1, b.leaf("x"), "Conv_0.weight", "Conv_0.bias"), b.leaf("x1"))
	},
}

// idle are gradients that are 0 but for rounding.
var idle = map[string]string{"attention": "param.NIN_1.b", "attention_no_rescale": "param.NIN_1.b"}

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

// Every file of layers, in testdata and in the folder of GOLDEN_DIR: what it says that it holds, as far as it is here.
func TestGoldenLayers(t *testing.T) {
	for _, dir := range append(golden.Dirs(t)[1:], "testdata") {
		paths, err := filepath.Glob(filepath.Join(dir, "layers-*.safetensors"))
		if err != nil || len(paths) == 0 {
			t.Fatalf("%s holds no layers-*.safetensors: %v", dir, err)
		}
		for _, path := range paths {
			t.Run(filepath.Base(path), func(t *testing.T) { goldenLayers(t, golden.Read(t, path)) })
		}
	}
}

func goldenLayers(t *testing.T, file *golden.File) {
	for _, name := range strings.Split(file.Meta["cases"], ",") {
		if _, embedding := embeddingCases[name]; layerCases[name] == nil && !embedding {
			t.Errorf("the file's case %s is not compared", name)
		}
	}
	eachBackend(t, func(t *testing.T, backend kernels.Backend) {
		for _, name := range slices.Sorted(maps.Keys(layerCases)) {
			t.Run(name, func(t *testing.T) {
				b := newLayerGraph(t, file, name)
				b.compare(backend, layerCases[name](b))
			})
		}
		for _, name := range slices.Sorted(maps.Keys(embeddingCases)) {
			t.Run(name, func(t *testing.T) {
				b := newLayerGraph(t, file, name)
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

// The layers on the CPU with the other instruction sets.
func TestGoldenLayersISA(t *testing.T) {
	for isa, off := range map[string]string{"avx2": "cpu.avx512f=off", "go": "cpu.avx512f=off,cpu.avx2=off"} {
		t.Run(isa, func(t *testing.T) {
			if kernels.ISA() == "go" || kernels.ISA() == isa {
				t.Skipf("this machine's instruction set is %s", kernels.ISA())
			}
			again := exec.Command(os.Args[0], "-test.run=^TestGoldenLayers$/./^cpu$", "-test.v")
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
	dy, _ := b.tensor("dy")
	got := b.run(backend, loss, of...)
	for i, v := range got[len(grads)] {
		b.values[z][i] = float32(rows)*dy[i] - v
	}
	got = b.run(backend, loss, of...)
	want, _ := b.tensor("y")
	b.near("y", got[len(grads)], want, layerTol)
	for i, name := range names {
		of := "d" + name
		if param, ok := strings.CutPrefix(name, "param."); ok {
			of = "grad." + param
		}
		want, _ := b.tensor(of)
		if name == idle[b.name] {
			if a := approx.WorstAbs(got[i], make([]float32, len(want))); a > 1e-5 {
				b.Errorf("the gradient of %s is %g, expected 0 but for rounding", name, a)
			}
			continue
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
