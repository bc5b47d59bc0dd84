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
	outputTol   = 1e-5
	gradientTol = 1e-4
)

// builder makes the graph of a case: its result from the images that come in.
type builder struct {
	*testing.T
	file       *golden.File
	name       string
	g          *gorgonia.ExprGraph
	parameters map[string]*gorgonia.Node // by their names in the file
	values     map[*gorgonia.Node][]float32
}

func (b *builder) layer(l graph.Layer, path string, in ...*gorgonia.Node) *gorgonia.Node {
	b.Helper()
	n, err := graph.Apply(l, path, in...)
	if err != nil {
		b.Fatal(err)
	}
	return n
}

func (b *builder) input(name string, values []float32, shape ...int) *gorgonia.Node {
	n := gorgonia.NewTensor(b.g, gorgonia.Float32, len(shape), gorgonia.WithShape(shape...), gorgonia.WithName(name))
	b.values[n] = values
	return n
}

// vector is a parameter of a value a channel.
func (b *builder) vector(name string) *gorgonia.Node {
	v := b.file.Floats(b.T, b.name+".param."+name)
	n := b.input(name, v, len(v))
	b.parameters[name] = n
	return n
}

// conv is a convolution of 3x3 taps that keeps the size. The file has its weights as (out, in, 3, 3).
func (b *builder) conv(name string, x *gorgonia.Node) *gorgonia.Node {
	s := b.file.Tensor(b.T, b.name+".param."+name+".weight").Shape()
	w := b.input(name+".weight", b.file.NHWC(b.T, b.name+".param."+name+".weight"), s[0], s[2], s[3], s[1])
	b.parameters[name+".weight"] = w
	return b.layer(graph.Conv{K: 3, Dilation: 1, Bias: true}, name, x, w, b.vector(name+".bias"))
}

// nin is a linear map of every pixel. The file has its matrix as (in, out).
func (b *builder) nin(name string, x *gorgonia.Node) *gorgonia.Node {
	t := b.file.Tensor(b.T, b.name+".param."+name+".W")
	in, out := t.Shape()[0], t.Shape()[1]
	w := b.input(name+".W", turned(t.Float32s(), in, out), out, 1, 1, in)
	b.parameters[name+".W"] = w
	return b.layer(graph.Conv{K: 1, Dilation: 1, Bias: true}, name, x, w, b.vector(name+".b"))
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

func (b *builder) groupNorm(path, prefix string, l graph.GroupNorm, x *gorgonia.Node) *gorgonia.Node {
	return b.layer(l, path, x, b.vector(prefix+"weight"), b.vector(prefix+"bias"))
}

func (b *builder) attention(x *gorgonia.Node, scale float32) *gorgonia.Node {
	h := b.groupNorm("norm", "GroupNorm_0.", graph.GroupNorm{}, x)
	h = b.layer(graph.Attention{}, "attention", b.nin("NIN_0", h), b.nin("NIN_1", h), b.nin("NIN_2", h))
	sum := b.layer(graph.Sum{}, "sum", x, b.nin("NIN_3", h))
	return b.layer(graph.Affine{Scale: scale}, "join", sum)
}

// cases are those that the layers here make.
var cases = map[string]struct {
	build func(b *builder, x *gorgonia.Node) *gorgonia.Node
	idle  string // a gradient that is 0 but for rounding
	odd   bool   // the file has the odd rows and columns of the output
}{
	"groupnorm12": {build: func(b *builder, x *gorgonia.Node) *gorgonia.Node {
		return b.groupNorm("norm", "", graph.GroupNorm{}, x)
	}},
	"groupnorm20": {build: func(b *builder, x *gorgonia.Node) *gorgonia.Node {
		return b.groupNorm("norm", "", graph.GroupNorm{}, x)
	}},
	"groupnorm192": {build: func(b *builder, x *gorgonia.Node) *gorgonia.Node {
		return b.groupNorm("norm", "", graph.GroupNorm{}, x)
	}},
	"fir_down":     {build: fir(graph.FIRDown, 1, 3, 3, 1)},
	"fir_down_2x2": {build: fir(graph.FIRDown, 1, 3, 3, 1)},
	"fir_up":       {build: fir(graph.FIRUp, 1, 3, 3, 1)},
	"fir_up_1x1":   {build: fir(graph.FIRUp, 1, 3, 3, 1)},

	"fir_down_kernel_1_2_3_4": {build: fir(graph.FIRDown, 1, 2, 3, 4)},
	"fir_up_kernel_1_2_3_4":   {build: fir(graph.FIRUp, 1, 2, 3, 4)},

	// A convolution of stride 2 without padding, of whose outputs the one that keeps the size has others between and beside.
	"fir_conv_down": {build: func(b *builder, x *gorgonia.Node) *gorgonia.Node {
		return b.conv("Conv2d_0", fir(graph.FIRFilter, 1, 3, 3, 1)(b, x))
	}, odd: true},

	"attention": {build: func(b *builder, x *gorgonia.Node) *gorgonia.Node { return b.attention(x, 0.70710678) },
		idle: "NIN_1.b"},
	"attention_no_rescale": {build: func(b *builder, x *gorgonia.Node) *gorgonia.Node { return b.attention(x, 1) },
		idle: "NIN_1.b"},
}

func fir(kind graph.FIRKind, kernel ...float32) func(b *builder, x *gorgonia.Node) *gorgonia.Node {
	return func(b *builder, x *gorgonia.Node) *gorgonia.Node {
		return b.layer(graph.FIR{Kind: kind, Kernel: [4]float32(kernel)}, "fir", x)
	}
}

// backends are those that the layers are tested on.
var backends = map[string]func(t *testing.T) kernels.Backend{
	"cpu":  func(*testing.T) kernels.Backend { return kernels.NewCPU(0) },
	"cuda": kerneltest.OpenCUDA,
}

func TestGoldenLayers(t *testing.T) {
	file := golden.Read(t, filepath.Join("testdata", "layers-ncsnpp.safetensors"))
	for _, backend := range slices.Sorted(maps.Keys(backends)) {
		t.Run(backend, func(t *testing.T) {
			b := backends[backend](t)
			t.Logf("on %s", b.Name())
			for _, name := range slices.Sorted(maps.Keys(cases)) {
				t.Run(name, func(t *testing.T) { compareLayer(t, b, file, name) })
			}
		})
	}
}

// The layers on the CPU with the other instruction sets.
func TestGoldenLayersISA(t *testing.T) {
	for isa, off := range map[string]string{"avx2": "cpu.avx512f=off", "go": "cpu.avx512f=off,cpu.avx2=off"} {
		t.Run(isa, func(t *testing.T) {
			if kernels.ISA() == "go" || kernels.ISA() == isa {
				t.Skipf("this machine's instruction set is %s", kernels.ISA())
			}
			again := exec.Command(os.Args[0], "-test.run=^TestGoldenLayers$/^cpu$", "-test.v")
			again.Env = append(os.Environ(), "GODEBUG="+off)
			out, err := again.CombinedOutput()
			if err != nil || !strings.Contains(string(out), fmt.Sprintf("on cpu (%s,", isa)) {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// compareLayer runs a case forward and backward. A loss has the gradient dy in y where its noise is N dy - y:
//
//	1/N sum 1/2 |y + z|^2      d/dy = (y + z)/N
func compareLayer(t *testing.T, backend kernels.Backend, file *golden.File, name string) {
	b := &builder{T: t, file: file, name: name, g: gorgonia.NewGraph(), parameters: map[string]*gorgonia.Node{},
		values: map[*gorgonia.Node][]float32{}}
	nhwc := func(of string) (values []float32, shape tensor.Shape) {
		s := file.Tensor(t, name+"."+of).Shape()
		return file.NHWC(t, name+"."+of), tensor.Shape{s[0], s[2], s[3], s[1]}
	}
	values, shape := nhwc("x")
	x := b.input("x", values, shape...)
	y := cases[name].build(b, x)
	want, outShape := nhwc("y")
	dy, _ := nhwc("dy")
	at := places(y.Shape(), cases[name].odd)
	if len(at) != len(want) {
		t.Fatalf("the output has shape %v, the file %v", y.Shape(), outShape)
	}
	z := b.input("z", make([]float32, y.Shape().TotalSize()), y.Shape()...)
	sigma := b.input("sigma", make([]float32, shape[0]), shape[0])
	for i := range b.values[sigma] {
		b.values[sigma][i] = 1
	}
	loss := b.layer(graph.Loss{Weight: kernels.Weight{Power: 2}}, "loss", y, z, sigma)
	wrt, names := gorgonia.Nodes{x}, slices.Sorted(maps.Keys(b.parameters))
	for _, p := range names {
		wrt = append(wrt, b.parameters[p])
	}
	grads, err := graph.Gradients(loss, wrt)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := graph.NewPlan(append(gorgonia.Nodes{y, loss}, grads...), nil, 0, kernels.Float32)
	if err != nil {
		t.Fatal(err)
	}
	arena, err := backend.Alloc(plan.End, plan.Ops)
	if err != nil {
		t.Fatal(err)
	}
	m, err := graph.NewMachine(backend, arena, nil, plan, nil)
	if err != nil {
		t.Fatal(err)
	}
	run := func() {
		for n, v := range b.values {
			if err := arena.Write(plan.Buf(n), v); err != nil {
				t.Fatal(err)
			}
		}
		if err := m.RunAll(); err != nil {
			t.Fatal(err)
		}
	}
	value := func(n *gorgonia.Node) []float32 {
		v, err := m.Value(n)
		if err != nil {
			t.Fatal(err)
		}
		return v.Float32s()
	}
	compare := func(what string, got, want []float32, tol float64) {
		if err := approx.Compare(what, got, want, approx.RelMax(tol)); err != nil {
			t.Error(err)
		}
		t.Logf("%s: %.1e", what, approx.WorstRel(got, want))
	}
	run()
	noise, got := b.values[z], make([]float32, len(want))
	for i, v := range value(y) {
		noise[i] = -v
	}
	for i, p := range at {
		noise[p] += float32(shape[0]) * dy[i]
	}
	run()
	for i, p := range at {
		got[i] = value(y)[p]
	}
	compare("y", got, want, outputTol)
	dx, _ := nhwc("dx")
	compare("dx", value(grads[0]), dx, gradientTol)
	for i, p := range names {
		want := file.Tensor(t, name+".grad."+p)
		got, of := value(grads[1+i]), want.Float32s()
		switch s := want.Shape(); len(s) {
		case 2:
			of = turned(of, s[0], s[1])
		case 4:
			of = file.NHWC(t, name+".grad."+p)
		}
		if p == cases[name].idle {
			if a := approx.WorstAbs(got, make([]float32, len(got))); a > 1e-5 {
				t.Errorf("the gradient of %s is %g, expected 0 but for rounding", p, a)
			}
			continue
		}
		compare(p, got, of, gradientTol)
	}
}

// places lists where in an output (N, H, W, C) the values of the file are: all of them, or those of odd rows and columns.
func places(output tensor.Shape, odd bool) (list []int) {
	step, first := 1, 0
	if odd {
		step, first = 2, 1
	}
	for n := range output[0] {
		for i := first; i < output[1]; i += step {
			for j := first; j < output[2]; j += step {
				for c := range output[3] {
					list = append(list, ((n*output[1]+i)*output[2]+j)*output[3]+c)
				}
			}
		}
	}
	return list
}
