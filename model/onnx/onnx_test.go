// Files are read back field by field, without ONNX, and run by onnxruntime where Python has it.

package onnx

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gorgonia.org/tensor"

	"sigmaz/internal/extras"
	"sigmaz/internal/npy"
	"sigmaz/kernels"
	"sigmaz/model"
	"sigmaz/model/checkpoint"
	"sigmaz/model/golden"
)

// networks lists networks of every kind, small.
func networks() map[string]model.Config {
	list := map[string]model.Config{
		"mlp":         {Net: "mlp", Height: 1, Width: 1, Channels: 3, Hidden: 8, DataSD: 0.7},
		"mlp-classes": {Net: "mlp", Height: 1, Width: 1, Channels: 3, Hidden: 8, DataSD: 0.7, Classes: 4},
		"mlp-edm":     {Net: "mlp", Height: 1, Width: 1, Channels: 3, Hidden: 8, DataSD: 0.7, Parameterization: model.EDM},
		"mlp-vp":      {Net: "mlp", Height: 1, Width: 1, Channels: 3, Hidden: 8, DataSD: 0.7, SDE: model.SDE{Kind: model.VP}},
		"mlp-subvp":   {Net: "mlp", Height: 1, Width: 1, Channels: 3, Hidden: 8, DataSD: 0.7, SDE: model.SDE{Kind: model.SubVP}},
		"ncsnv2-edm":  {Net: "ncsnv2", Height: 8, Width: 8, Channels: 1, NGF: 4, Parameterization: model.EDM},
		"ncsnv2-vp":   {Net: "ncsnv2", Height: 8, Width: 8, Channels: 1, NGF: 4, Rescaled: true, SDE: model.SDE{Kind: model.VP}},
	}
	for _, net := range []string{"ncsn", "ncsnv2", "ncsnv2deeper", "ncsnv2deepest"} {
		for j, norm := range model.Normalizations() {
			for _, activation := range model.Nonlinearities() {
				list[net+"-"+norm+"-"+activation] = model.Config{Net: net, Height: 16, Width: 24, Channels: 1 + j, NGF: 4, Levels: levels,
					Normalization: norm, Nonlinearity: activation, Rescaled: j == 1}
			}
		}
	}
	for i, u := range golden.UNetBranches() {
		if i%7 != 0 { // of each choice there are some among these
			continue
		}
		c := model.Config{Net: "ncsnpp", Height: 8, Width: 12, Channels: 1 + i%3, NGF: 8, Nonlinearity: model.Nonlinearities()[i%4],
			UNet: u, Rescaled: i%2 == 1}
		switch {
		case i%6 == 1 && !u.Unconditional:
			c.Classes = 3
		case i%6 == 2:
			c.Parameterization = model.EDM
		case i%6 == 3:
			c.Rescaled, c.SDE = true, model.SDE{Kind: model.VP}
		case i%6 == 4:
			c.Rescaled, c.SDE = true, model.SDE{Kind: model.SubVP}
		case i%6 == 5 && c.ToldSteps():
			c.SDE.Discrete, c.Levels = true, levels
		}
		list[fmt.Sprintf("ncsnpp-%d", i)] = c
	}
	ddpm := model.Config{Net: "ddpm", Height: 8, Width: 8, Channels: 3, NGF: 32, Nonlinearity: "swish",
		UNet: model.UNet{ChMult: "1,2", ResBlocks: 1, Attention: "4", ResampWithConv: true, InitScale: 1}}
	list["ddpm"] = ddpm
	ddpm.Rescaled, ddpm.SDE, ddpm.Levels = true, model.SDE{Kind: model.VP, Discrete: true}, 50
	list["ddpm-table"] = ddpm
	for name, c := range list {
		c.CompleteWrap(densityOf(c))
		list[name] = c
	}
	return list
}

// densityOf says how a network's noise is drawn, which decides whether it is told steps of a table.
func densityOf(c model.Config) string {
	if c.SDE.Discrete {
		return model.LadderNoise
	}
	return model.UniformTime
}

// levels is the length of the ladders.
const levels = 12

func ladder(t testing.TB, c model.Config) model.Ladder {
	t.Helper()
	if c.SDE.Preserving() && c.SDE.Discrete {
		return c.SDE.Ladder(c.Levels)
	}
	l, err := model.Geometric(5, 0.01, levels)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// weights draws all parameters of a network, those that begin as 0 or 1 too.
func weights(t testing.TB, c model.Config) (list model.NamedSet) {
	t.Helper()
	params, err := c.Params()
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range params {
		n := p.Shape.TotalSize()
		values, noise, torch := make([]float32, n), make([]float32, n), make([]float32, n)
		p.Init(values, kernels.Stream{Seed: 1, N: uint64(i)})
		kernels.Stream{Seed: 2, N: uint64(i)}.Normals(noise)
		for j := range values {
			values[j] += 0.02 * noise[j]
		}
		p.ToTorch(torch, values)
		list = append(list, model.Named{Name: "param." + p.Name,
			T: tensor.New(tensor.WithShape(p.TorchShape()...), tensor.WithBacking(torch))})
	}
	return list
}

func written(t testing.TB, c model.Config, set model.TensorSet) []byte {
	t.Helper()
	var b bytes.Buffer
	f := checkpoint.StateFile{Network: c, Sigmas: ladder(t, c), Config: "net: x\n", Step: 7, Stepped: true}
	if err := Write(&b, f, set, "param."); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// field is a field of a message as the wire has it.
type field struct {
	number, value uint64
	content       []byte
}

// parse splits a message into its fields.
func parse(t testing.TB, m []byte) (list []field) {
	t.Helper()
	for len(m) > 0 {
		key, n := binary.Uvarint(m)
		f := field{number: key >> 3}
		m = m[n:]
		switch key & 7 {
		case 0:
			f.value, n = binary.Uvarint(m)
		case 2:
			size, k := binary.Uvarint(m)
			n = k + int(size)
			f.content = m[k:n]
		case 5:
			f.value, n = uint64(binary.LittleEndian.Uint32(m)), 4
		default:
			t.Fatalf("a field of type %d", key&7)
		}
		if n <= 0 {
			t.Fatal("the message ends in a field")
		}
		m = m[n:]
		list = append(list, f)
	}
	return list
}

// all returns the contents of the fields of that number.
func all(list []field, number uint64) (contents [][]byte) {
	for _, f := range list {
		if f.number == number {
			contents = append(contents, f.content)
		}
	}
	return contents
}

func texts(contents [][]byte) (list []string) {
	for _, c := range contents {
		list = append(list, string(c))
	}
	return list
}

// What a file says of itself is right for every network: each value is made once, before it is used; the parameters are
// those of the state_dict, bit for bit; N is the only open dimension.
func TestStructure(t *testing.T) {
	nets := networks()
	seen := map[string]bool{}
	for name, c := range nets {
		set := weights(t, c)
		top := parse(t, written(t, c, set))
		if got := parse(t, all(top, 8)[0]); len(all(top, 8)) != 1 || got[1].value != Opset || top[0].value != irVersion {
			t.Fatalf("%s: opset %v", name, got)
		}
		about := map[string]string{}
		for _, m := range all(top, 14) {
			entry := texts([][]byte{parse(t, m)[0].content, parse(t, m)[1].content})
			about[entry[0]] = entry[1]
		}
		if about["network"] != c.Net || about["step"] != "7" || about["config"] != "net: x\n" ||
			strings.Count(about["sigmas"], ",") != len(ladder(t, c))-1 {
			t.Errorf("%s: metadata %v", name, about)
		}
		graph := parse(t, all(top, 7)[0])
		made := map[string]bool{"": true}
		var inputs []string
		for _, m := range all(graph, 11) {
			inputs = append(inputs, string(all(parse(t, m), 1)[0]))
		}
		if !slices.Equal(inputs, InputsOf(c)) || (len(inputs) == 3) != (c.Classes > 0) ||
			(inputs[1] == "sigma") != (c.SeesSigma() && !c.TakesLevels()) {
			t.Errorf("%s: inputs %v, expected %v", name, inputs, InputsOf(c))
		}
		for _, in := range inputs {
			made[in] = true
		}
		parameters := map[string][]byte{}
		for _, m := range all(graph, 5) {
			f := parse(t, m)
			tensorName, size := string(all(f, 8)[0]), 4
			if f[len(f)-3].value != uint64(float32s) {
				size = 8
			}
			for _, d := range f {
				if d.number == 1 {
					size *= int(d.value)
				}
			}
			if made[tensorName] || len(all(f, 9)[0]) != size {
				t.Errorf("%s: %s has %d bytes, expected %d, or is there twice", name, tensorName, len(all(f, 9)[0]), size)
			}
			made[tensorName], parameters[tensorName] = true, m
		}
		ops := 0
		used := map[string]bool{}
		for _, m := range all(graph, 1) {
			f := parse(t, m)
			for _, in := range texts(all(f, 1)) {
				if used[in] = true; !made[in] {
					t.Errorf("%s: %s is used before it is made", name, in)
				}
			}
			out := string(all(f, 2)[0])
			if made[out] {
				t.Errorf("%s: %s is made twice", name, out)
			}
			made[out] = true
			seen[string(all(f, 4)[0])] = true
			ops++
		}
		for value := range made {
			if value != "" && value != "score" && !used[value] && !slices.Contains(inputs, value) {
				t.Errorf("%s: nobody uses %s", name, value)
			}
		}
		if ops < 5 || !made["score"] {
			t.Errorf("%s: %d operators", name, ops)
		}
		for _, nt := range set {
			short := strings.TrimPrefix(nt.Name, "param.")
			m, ok := parameters[short]
			if !ok && strings.Contains(short, "Dense_0") && c.UNet.Unconditional {
				continue // has no use
			}
			if !ok {
				t.Errorf("%s: there is no %s", name, short)
				continue
			}
			f := parse(t, m)
			var shape []int
			for _, d := range f {
				if d.number == 1 {
					shape = append(shape, int(d.value))
				}
			}
			raw := all(f, 9)[0]
			if len(shape) == 4 && len(nt.T.Shape()) == 2 { // a linear map of pixels, turned around
				if shape[0] != nt.T.Shape()[1] || shape[1] != nt.T.Shape()[0] {
					t.Errorf("%s: %s is %v, in the state_dict %v", name, short, shape, nt.T.Shape())
				}
				continue
			}
			if !slices.Equal(shape, nt.T.Shape()) {
				t.Errorf("%s: %s is %v, in the state_dict %v", name, short, shape, nt.T.Shape())
			}
			for i, v := range nt.T.Float32s() {
				if binary.LittleEndian.Uint32(raw[4*i:]) != math.Float32bits(v) {
					t.Fatalf("%s: %s is not the parameter", name, short)
				}
			}
		}
	}
	for _, op := range []string{"Conv", "ConvTranspose", "Gemm", "Gather", "MaxPool", "AveragePool", "Resize", "Softmax",
		"GreaterOrEqual", "Elu", "Softplus", "Sin"} {
		if !seen[op] {
			t.Errorf("no network has the operator %s", op)
		}
	}
}

// A network that no ONNX file can hold is refused.
func TestTooLarge(t *testing.T) {
	c := model.Config{Net: "mlp", Height: 1, Width: 1, Channels: 2, Hidden: 1 << 14, DataSD: 1}
	tr, _, err := translate(c, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = tr.write(io.Discard, nil)
	if err == nil || !strings.Contains(err.Error(), "holds at most 2048") {
		t.Errorf("error %v", err)
	}
}

// saveNPY writes an array; values are float32 or int64.
func saveNPY[T float32 | int64](t testing.TB, path string, shape []int, values []T) {
	t.Helper()
	var b bytes.Buffer
	if err := npy.WriteHeader[T](&b, shape); err != nil {
		t.Fatal(err)
	}
	if err := npy.WriteValues(&b, values); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
}

// nchw brings rows of (H, W, C) to (C, H, W).
func nchw(c model.Config, rows []float32) []float32 {
	out, area := make([]float32, len(rows)), c.Height*c.Width
	for i := range rows {
		n, p, k := i/c.D(), i%c.D()/c.Channels, i%c.Channels
		out[n*c.D()+k*area+p] = rows[i]
	}
	return out
}

// onnxruntime computes the score of every network to 1e-5 of its largest value, for rows of every level and class.
func TestExtrasONNXRuntime(t *testing.T) {
	python := extras.Python(t, "numpy", "onnxruntime", "onnx")
	dir := t.TempDir()
	const rows = 6
	b := kernels.NewCPU(0)
	run := networks()
	for name, c := range run {
		set, sigmas := weights(t, c), ladder(t, c)
		if err := os.WriteFile(filepath.Join(dir, name+".onnx"), written(t, c, set), 0o666); err != nil {
			t.Fatal(err)
		}
		s, err := model.NewScore(b, c, kernels.Float32, rows, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.LoadFrom(set, "param."); err != nil {
			t.Fatal(err)
		}
		x, out := make([]float32, rows*c.D()), make([]float32, rows*c.D())
		kernels.Stream{Seed: 3}.Normals(x)
		var level, class []int64
		var sigma, words, classWords []float32
		for i := range rows {
			l := i * (len(sigmas) - 1) / (rows - 1)
			level, sigma = append(level, int64(l)), append(sigma, sigmas[l])
			if InputsOf(c)[1] == "sigma" && i%2 == 1 { // between two levels
				sigma[i] *= 0.97
			}
			class = append(class, int64(i%(c.Classes+1)))
			words = append(words, math.Float32frombits(uint32(l)))
			classWords = append(classWords, math.Float32frombits(uint32(class[i])))
		}
		for i := range x {
			x[i] = 0.5 + x[i]*sigma[i/c.D()]
		}
		type input struct {
			at     kernels.Buf
			values []float32
		}
		inputs := []input{{s.X, x}, {s.Sigma, sigma}, {s.Level, words}}
		if c.Classes > 0 {
			inputs = append(inputs, input{s.Class, classWords})
		}
		for _, in := range inputs {
			if err := s.Arena.Write(in.at, in.values); err != nil {
				t.Fatal(err)
			}
		}
		program, err := b.Compile(s.Arena, s.Ops)
		if err != nil {
			t.Fatal(err)
		}
		if err := program.Run(); err != nil {
			t.Fatal(err)
		}
		if err := s.Arena.Read(out, s.S); err != nil {
			t.Fatal(err)
		}
		shape := []int{rows, c.Channels, c.Height, c.Width}
		if c.Vectors() {
			shape = []int{rows, c.D()}
		}
		path := func(what string) string { return filepath.Join(dir, name+"."+what+".npy") }
		saveNPY(t, path("x"), shape, nchw(c, x))
		saveNPY(t, path("score"), shape, nchw(c, out))
		saveNPY(t, path("sigma"), []int{rows}, sigma)
		saveNPY(t, path("level"), []int{rows}, level)
		saveNPY(t, path("class"), []int{rows}, class)
	}
	said, err := exec.Command(python, filepath.Join("testdata", "run.py"), dir).CombinedOutput()
	t.Logf("%s", said)
	if n := strings.Count(string(said), "\n"); err != nil || n != len(run) {
		t.Errorf("%d networks of %d, %v", n, len(run), err)
	}
}
