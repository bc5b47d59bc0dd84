package exportcmd

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gorgonia.org/tensor"

	"sigmaz/cmd/internal/cli"
	"sigmaz/cmd/internal/cli/clitest"
	"sigmaz/internal/atomicfile"
	"sigmaz/internal/float16"
	"sigmaz/model"
	"sigmaz/model/checkpoint"
	"sigmaz/model/golden"
	"sigmaz/train"
)

func TestHelp(t *testing.T) { clitest.Check(t, New) }

func command(args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = New().Execute(context.Background(), args, cli.Streams{Out: &out, Err: &errs})
	return code, out.String(), errs.String()
}

func must(t *testing.T, args ...string) string {
	t.Helper()
	code, stdout, stderr := command(args...)
	if code != 0 || stderr != "" {
		t.Fatalf("%v: exit code %d: %s", args, code, stderr)
	}
	return stdout
}

// writeRun writes a run of a network with every bit pattern of interest in its weights, and returns its folder.
func writeRun(t *testing.T, net model.Config, groups ...string) (folder string, tensors []model.Named) {
	t.Helper()
	c := &train.Config{Data: "glyphs", Network: net,
		Sigma: train.Sigma{Begin: train.SigmaEnd{Value: 10}, End: train.SigmaEnd{Value: 0.01}, Levels: 7,
			Spacing: "geometric"}}
	params, err := net.Params()
	if err != nil {
		t.Fatal(err)
	}
	bits := uint32(1) // a subnormal number
	for _, prefix := range groups {
		for _, p := range params {
			values := make([]float32, p.Shape.TotalSize())
			for i := range values {
				values[i] = math.Float32frombits(bits)
				bits = bits*1664525 + 1013904223 // infinities and NaN among them
			}
			tensors = append(tensors, model.Named{Name: prefix + p.Name,
				T: tensor.New(tensor.WithShape(p.TorchShape()...), tensor.WithBacking(values))})
		}
	}
	folder = filepath.Join(t.TempDir(), "run")
	if err := os.MkdirAll(filepath.Join(folder, "checkpoints"), 0o777); err != nil {
		t.Fatal(err)
	}
	ck := &checkpoint.Checkpoint{Step: 7, Config: c.YAML(), Tensors: tensors}
	if err := ck.Write(filepath.Join(folder, "checkpoints", "step-0000007.safetensors")); err != nil {
		t.Fatal(err)
	}
	return folder, tensors
}

// expect reads an exported file with the plain safetensors reader and compares names, shapes and bits.
func expect(t *testing.T, path, prefix, group string, net model.Config, tensors []model.Named) {
	t.Helper()
	meta, got, err := checkpoint.ReadSafetensors(path)
	if err != nil {
		t.Fatal(err)
	}
	if meta["format"] != "pt" {
		t.Errorf("metadata %v", meta)
	}
	want := map[string]*tensor.Dense{}
	for _, nt := range tensors {
		if name, ok := strings.CutPrefix(nt.Name, group); ok {
			want[prefix+name] = nt.T
		}
	}
	if net.HasSigmas() {
		l, err := model.Geometric(10, 0.01, 7)
		if err != nil {
			t.Fatal(err)
		}
		want[prefix+"sigmas"] = tensor.New(tensor.WithShape(7), tensor.WithBacking([]float32(l)))
	}
	entries, err := net.StateDict(7)
	if err != nil || len(entries) != len(want) || len(got) != len(want) {
		t.Fatalf("%d tensors in the file, %d of the class, expected %d: %v", len(got), len(entries), len(want), err)
	}
	for _, e := range entries {
		if w, ok := want[prefix+e.Name]; !ok || !w.Shape().Eq(e.Shape) {
			t.Errorf("the class has %s %v", e.Name, e.Shape)
		}
	}
	same := func(a, b float32) bool { return math.Float32bits(a) == math.Float32bits(b) }
	for _, nt := range got {
		w, ok := want[nt.Name]
		if !ok || !nt.T.Shape().Eq(w.Shape()) || !slices.EqualFunc(nt.T.Float32s(), w.Float32s(), same) {
			t.Errorf("%s is not as it was", nt.Name)
		}
	}
}

// What is exported is read back bit for bit, under the names and in the shapes of the original class.
func TestExport(t *testing.T) {
	for _, net := range []model.Config{
		{Net: "ncsn", Height: 8, Width: 8, Channels: 1, NGF: 2, Levels: 7},
		{Net: "ncsnv2", Height: 8, Width: 8, Channels: 3, NGF: 2},
		{Net: "ncsnv2deeper", Height: 8, Width: 8, Channels: 1, NGF: 2},
		{Net: "ncsnv2deepest", Height: 16, Width: 16, Channels: 1, NGF: 2},
		{Net: "mlp", Height: 1, Width: 1, Channels: 2, Hidden: 3, DataSD: 1},
	} {
		t.Run(net.Net, func(t *testing.T) {
			folder, tensors := writeRun(t, net, "param.", "ema.", "adam_m.", "adam_v.")
			out := filepath.Join(t.TempDir(), "a.safetensors")
			said := must(t, folder, "-o", out)
			if !strings.Contains(said, "step 7, EMA weights") || strings.Contains(said, "sigmas") != net.HasSigmas() {
				t.Errorf("it said %q", said)
			}
			expect(t, out, "", "ema.", net, tensors)
			first, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			code, stdout, stderr := command(folder, "-o", "-")
			if code != 0 || stdout != string(first) || !strings.Contains(stderr, "standard output: step 7, EMA weights") {
				t.Errorf("-o -: exit code %d, %d bytes, expected the file's %d; %q", code, len(stdout), len(first), stderr)
			}
			must(t, folder, "-ema", "-o", out)
			if again, err := os.ReadFile(out); err != nil || !bytes.Equal(again, first) {
				t.Errorf("written twice, the file is another: %v", err)
			}
			must(t, "-o", out, folder, "-raw", "-prefix", "module.")
			expect(t, out, "module.", "param.", net, tensors)

			// An export is itself something to export from: the configuration is in it.
			again := filepath.Join(t.TempDir(), "b.safetensors")
			must(t, out, "-o", again)
			expect(t, again, "", "param.", net, tensors)
		})
	}
	if folder, _ := writeRun(t, model.Config{Net: "ncsnv2", Height: 8, Width: 8, Channels: 3, NGF: 2}, "param."); true {
		if said := must(t, folder, "-o", filepath.Join(t.TempDir(), "a.safetensors")); !strings.Contains(said,
			"raw weights (it holds no EMA)") {
			t.Errorf("without a moving average it said %q", said)
		}
	}
}

// In float16 each weight is the nearest there, the ladder stays as it is, and the file is read as any other. A weight that
// float16 has no number for is refused, and nothing is written.
func TestExportHalf(t *testing.T) {
	net := model.Config{Net: "ncsnv2", Height: 8, Width: 8, Channels: 1, NGF: 2}
	dir := t.TempDir()
	write := func(factor float32) (run string, tensors []model.Named) {
		_, tensors = writeRun(t, net, "ema.")
		for k, nt := range tensors {
			for i := range nt.T.Float32s() {
				nt.T.Float32s()[i] = factor * float32(k+1) / float32(i+3)
			}
		}
		c := &train.Config{Data: "glyphs", Network: net, Sigma: train.Sigma{Begin: train.SigmaEnd{Value: 10},
			End: train.SigmaEnd{Value: 0.01}, Levels: 7, Spacing: "geometric"}}
		run = filepath.Join(dir, "step-0000007.safetensors")
		if err := (&checkpoint.Checkpoint{Step: 7, Config: c.YAML(), Tensors: tensors}).Write(run); err != nil {
			t.Fatal(err)
		}
		return run, tensors
	}
	run, tensors := write(1)
	half, full := filepath.Join(dir, "half.safetensors"), filepath.Join(dir, "full.safetensors")
	if said := must(t, run, "-float16", "-o", half); !strings.Contains(said, "float16 values") {
		t.Errorf("it said %q", said)
	}
	w, err := checkpoint.OpenWeights(half)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if w.Ladder.Bits != model.SingleBits || w.Config == "" || w.Step != 7 {
		t.Errorf("the ladder has %d bits, step %d", w.Ladder.Bits, w.Step)
	}
	for _, nt := range tensors {
		name := strings.Replace(nt.Name, "ema.", "param.", 1)
		got := make([]float32, nt.T.Shape().TotalSize())
		if err := w.ReadTensor(name, got); err != nil {
			t.Fatal(err)
		}
		for i, v := range nt.T.Float32s() {
			if want := float16.ToFloat32(float16.FromFloat32(v)); got[i] != want {
				t.Fatalf("%s: %g becomes %g, expected %g", name, v, got[i], want)
			}
		}
	}
	must(t, half, "-o", full) // what float16 holds, float32 holds too
	again := filepath.Join(dir, "again.safetensors")
	must(t, full, "-float16", "-o", again)
	if a, b := readFile(t, half), readFile(t, again); !bytes.Equal(a, b) {
		t.Error("by way of float32 the file is another")
	}
	large, _ := write(1e5)
	refused := filepath.Join(dir, "refused.safetensors")
	if code, _, said := command(large, "-float16", "-o", refused); code != 1 || !strings.Contains(said, "float16 ends at 65504") {
		t.Errorf("exit code %d, %q", code, said)
	}
	if _, err := os.Stat(refused); err == nil {
		t.Error("something was written")
	}
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A checkpoint of PyTorch becomes a state_dict of the same values, from both containers.
func TestConvert(t *testing.T) {
	dir := golden.Path()
	const name = "ncsnv2-10x8-swish-rescaled-linear"
	_, original, err := checkpoint.ReadSafetensors(filepath.Join(dir, name+".safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]*tensor.Dense{}
	for _, nt := range original {
		if short, ok := strings.CutPrefix(nt.Name, "ema."); ok {
			want[short] = nt.T
		}
		if nt.Name == "sigmas" {
			want["sigmas"] = nt.T
		}
	}
	for _, pth := range []string{name + ".pth", name + "-legacy.pth"} {
		out := filepath.Join(t.TempDir(), "a.safetensors")
		must(t, filepath.Join(dir, pth), "-size", "10x8", "-nonlinearity", "swish", "-rescaled", "-o", out)
		_, got, err := checkpoint.ReadSafetensors(out)
		if err != nil || len(got) != len(want) {
			t.Fatalf("%d tensors, expected %d: %v", len(got), len(want), err)
		}
		for _, nt := range got {
			if w := want[nt.Name]; w == nil || !slices.Equal(w.Float32s(), nt.T.Float32s()) {
				t.Errorf("%s: %s is not as it was", pth, nt.Name)
			}
		}
	}
}

func TestWrongUse(t *testing.T) {
	folder, _ := writeRun(t, model.Config{Net: "ncsnv2", Height: 8, Width: 8, Channels: 3, NGF: 2}, "param.")
	file := filepath.Join(folder, "checkpoints", "step-0000007.safetensors")
	dir := t.TempDir()
	out := filepath.Join(dir, "a.safetensors")
	pth := golden.Path("ncsn-12x8.pth")
	png := filepath.Join(dir, "a.png")
	os.WriteFile(png, []byte("\x89PNG\r\n\x1a\n and so on"), 0o666)
	for _, c := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"nothing", nil, 2, "no RUN given"},
		{"no output", []string{folder}, 2, "-o is missing"},
		{"another ending", []string{folder, "-o", filepath.Join(dir, "a.pth")}, 2, "ends in .safetensors"},
		{"both weights", []string{folder, "-ema", "-raw", "-o", out}, 2, "-ema and -raw"},
		{"no EMA", []string{folder, "-ema", "-o", out}, 1, "no moving average"},
		{"missing run", []string{filepath.Join(dir, "run"), "-o", out}, 1, "does not exist"},
		{"missing folder", []string{folder, "-o", filepath.Join(dir, "no", "a.safetensors")}, 1, "cannot write"},
		{"onto itself", []string{file, "-o", file}, 1, "is part of the run"},
		{"a picture", []string{png, "-o", out}, 1, "neither a .safetensors file nor a .pth file"},
		{"no size", []string{pth, "-sigma-begin", "1", "-sigma-end", "0.01", "-levels", "5", "-o", out}, 1, "give -size HxW"},
		{"no ladder", []string{pth, "-size", "12x8", "-o", out}, 1, "keeps no ladder"},
		{"another network", []string{pth, "-net", "ncsnv2", "-size", "12x8", "-o", out}, 1, "-net ncsn"},
		{"another number of levels", []string{pth, "-size", "12x8", "-sigma-begin", "1", "-sigma-end", "0.01", "-levels", "9", "-o", out}, 1, "for 5 noise levels"},
		{"a size that cannot work", []string{pth, "-size", "11x8", "-sigma-begin", "1", "-sigma-end", "0.01", "-levels", "5", "-o", out}, 1, "multiples of 2"},
		{"a size that is none", []string{pth, "-size", "big", "-o", out}, 2, `-size is "big"`},
		{"flags that the file answers", []string{folder, "-net", "ncsnv2", "-o", out}, 2, "holds its configuration"},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, stdout, stderr := command(c.args...)
			if code != c.code || !strings.Contains(stderr, c.want) || stdout != "" || strings.Count(stderr, "\n") != 1 {
				t.Errorf("exit code %d, %q, %q; expected %d and %q", code, stdout, stderr, c.code, c.want)
			}
		})
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("something was written")
	}
}

// The score as an ONNX file: named by its inputs, written twice to the same bytes, and of what is asked for alone.
func TestONNX(t *testing.T) {
	for _, c := range []struct {
		net    model.Config
		inputs string
	}{
		{model.Config{Net: "ncsn", Height: 8, Width: 8, Channels: 1, NGF: 2, Levels: 7}, "score(x, level)"},
		{model.Config{Net: "mlp", Height: 1, Width: 1, Channels: 2, Hidden: 3, DataSD: 1}, "score(x, sigma)"},
	} {
		folder, _ := writeRun(t, c.net, "param.", "ema.", "adam_m.", "adam_v.")
		out := filepath.Join(t.TempDir(), "a.onnx")
		said := must(t, folder, "-format", "onnx", "-o", out)
		if !strings.Contains(said, "step 7, EMA weights") || !strings.Contains(said, "opset 13: "+c.inputs) {
			t.Errorf("it said %q", said)
		}
		first, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		if code, stdout, _ := command(folder, "-format", "onnx", "-o", "-"); code != 0 || stdout != string(first) {
			t.Errorf("-o -: exit code %d, %d bytes, expected the file's %d", code, len(stdout), len(first))
		}
		must(t, folder, "-format", "onnx", "-raw", "-o", out)
		if raw, err := os.ReadFile(out); err != nil || bytes.Equal(raw, first) || len(raw) != len(first) {
			t.Errorf("the raw weights are those of the average: %v", err)
		}
	}
}

// A folder of the hub is read again as what it was written from.
func TestHuggingFace(t *testing.T) {
	net := model.Config{Net: "ncsnv2", Height: 8, Width: 8, Channels: 3, NGF: 2}
	run, tensors := writeRun(t, net, "param.", "ema.")
	folder := filepath.Join(t.TempDir(), "glyphs")
	if said := must(t, run, "-format", "huggingface", "-o", folder); !strings.Contains(said, "step 7, EMA weights of") ||
		!strings.Contains(said, "as a folder of huggingface") {
		t.Errorf("it said %q", said)
	}
	expect(t, filepath.Join(folder, "model.safetensors"), "", "ema.", net, tensors)
	card, err := os.ReadFile(filepath.Join(folder, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	head, text, _ := strings.Cut(strings.TrimPrefix(string(card), "---\n"), "\n---\n")
	for _, line := range []string{"license: other", "library_name: sigmaz", "pipeline_tag: unconditional-image-generation",
		"- score-based", "- ncsnv2"} {
		if !slices.Contains(strings.Split(head, "\n"), line) {
			t.Errorf("the head has no line %q: %s", line, head)
		}
	}
	if !strings.Contains(text, "# glyphs\n") || !strings.Contains(text, "sigmaz sample glyphs") || !strings.Contains(text, "at step 7") {
		t.Errorf("the card is %q", text)
	}
	var config struct {
		ModelType string `json:"model_type"`
		Step      int
		Network   struct{ Net string }
		Sigma     struct{ Levels int }
		Data      any
	}
	b, err := os.ReadFile(filepath.Join(folder, "config.json"))
	if err == nil {
		err = json.Unmarshal(b, &config)
	}
	if err != nil || config.ModelType != "sigmaz" || config.Step != 7 || config.Network.Net != "ncsnv2" || config.Sigma.Levels != 7 ||
		config.Data != nil {
		t.Errorf("%s: %+v, %v", b, config, err)
	}
	first, second := filepath.Join(t.TempDir(), "a.safetensors"), filepath.Join(t.TempDir(), "b.safetensors")
	must(t, run, "-o", first)
	must(t, folder, "-o", second)
	a, err := os.ReadFile(first)
	if err != nil {
		t.Fatal(err)
	}
	if b, err = os.ReadFile(second); err != nil || !bytes.Equal(a, b) {
		t.Errorf("what is exported from the folder differs: %v", err)
	}

	// A file that does not tell its step makes a folder that does not, either.
	sigmas, err := model.Geometric(10, 0.01, 7)
	if err != nil {
		t.Fatal(err)
	}
	plain, bare := filepath.Join(t.TempDir(), "plain.safetensors"), filepath.Join(t.TempDir(), "bare")
	err = atomicfile.WriteFile(plain, func(w io.Writer) error {
		return checkpoint.WriteStateDict(w, checkpoint.StateFile{Network: net, Sigmas: sigmas}, model.NamedSet(tensors), "ema.")
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, said := range []string{must(t, plain, "-size", "8", "-format", "huggingface", "-o", bare), must(t, bare, "-o", first)} {
		if strings.Contains(said, "step ") {
			t.Errorf("it said %q", said)
		}
	}
	for _, name := range []string{"README.md", "config.json"} {
		if b, err := os.ReadFile(filepath.Join(bare, name)); err != nil || strings.Contains(string(b), "step\"") || strings.Contains(string(b), "at step") {
			t.Errorf("%s: %v\n%s", name, err, b)
		}
	}
	if code, _, stderr := command(run, "-format", "huggingface", "-o", folder); code != 1 || !strings.Contains(stderr, "exists already") {
		t.Errorf("over a folder that is there: exit code %d, %q", code, stderr)
	}
}
