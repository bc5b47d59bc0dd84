package scorecmd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigmaz/cmd/internal/cli"
	"sigmaz/cmd/internal/cli/clitest"
	"sigmaz/internal/approx"
	"sigmaz/internal/npy"
	"sigmaz/model"
	"sigmaz/model/checkpoint"
	"sigmaz/model/golden"
	"sigmaz/train"
)

func TestHelp(t *testing.T) { clitest.Check(t, New) }

// goldenCase is a golden file as what score takes: a checkpoint, x and the levels.
type goldenCase struct {
	*golden.File
	name, checkpoint, x, levels string
}

func read(t *testing.T, path string) *goldenCase {
	t.Helper()
	g := &goldenCase{File: golden.Read(t, path), name: strings.TrimSuffix(filepath.Base(path), ".safetensors")}
	c := &train.Config{Network: g.Network(t),
		Sigma: train.Sigma{Begin: train.SigmaEnd{Value: g.Number(t, "sigma_begin")}, End: train.SigmaEnd{Value: g.Number(t, "sigma_end")},
			Levels: g.Int(t, "levels"), Spacing: g.Meta["spacing"]}}
	dir := t.TempDir()
	g.checkpoint, g.x, g.levels = filepath.Join(dir, "c.safetensors"), filepath.Join(dir, "x.npy"),
		filepath.Join(dir, "levels.npy")
	if err := (&checkpoint.Checkpoint{Config: c.YAML(), Tensors: g.Group("param.", "param.")}).Write(
		g.checkpoint); err != nil {
		t.Fatal(err)
	}
	x, labels := g.Tensor(t, "xt"), g.Tensor(t, "labels")
	write(t, g.x, x.Shape(), x.Float32s())
	write(t, g.levels, labels.Shape(), labels.Int64s())
	return g
}

func write[V npy.Written](t *testing.T, path string, shape []int, data []V) {
	t.Helper()
	var b bytes.Buffer
	if err := npy.Write(&b, shape, data); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
}

func load(t *testing.T, path string) ([]int, []float32) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	a, err := npy.NewReader(path, bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	v, err := npy.ReadAll[float32](a)
	if err != nil || a.Type() != "float32" {
		t.Fatalf("%s of %s: %v", path, a.Type(), err)
	}
	return a.Shape, v
}

// command runs score and returns its exit code and what it printed.
func command(stdin io.Reader, args ...string) (code int, stdout []byte, stderr string) {
	var out, errs bytes.Buffer
	code = New().Execute(context.Background(), args, cli.Streams{In: stdin, Out: &out, Err: &errs})
	return code, out.Bytes(), errs.String()
}

func must(t *testing.T, args ...string) string {
	t.Helper()
	code, stdout, stderr := command(nil, args...)
	if code != 0 || stderr != "" {
		t.Fatalf("%v: exit code %d: %s", args, code, stderr)
	}
	return string(stdout)
}

// The golden xt gives the golden score, in every network.
func TestGolden(t *testing.T) {
	for _, path := range golden.Glob(t, "*.safetensors") {
		g := read(t, path)
		t.Run(g.name, func(t *testing.T) {
			if !slices.Contains(model.Networks(), g.Meta["net"]) {
				t.Skipf("network %s is not built in", g.Meta["net"])
			}
			if g.Process() != "" {
				t.Skipf("its images are noised by %s, not by levels", g.Process())
			}
			out := filepath.Join(t.TempDir(), "s.npy")
			said := must(t, g.checkpoint, "-input", g.x, "-level-file", g.levels, "-o", out)
			if !strings.Contains(said, fmt.Sprintf("%s: the score of %d rows", out, g.Tensor(t, "xt").Shape()[0])) {
				t.Errorf("it said %q", said)
			}
			shape, s := load(t, out)
			want := g.Tensor(t, "score")
			if !slices.Equal(shape, want.Shape()) {
				t.Fatalf("shape %v, expected %v", shape, want.Shape())
			}
			if err := approx.Compare("score", s, want.Float32s(), approx.RelMax(1e-5)); err != nil {
				t.Error(err)
			}
			t.Logf("worst error %.1e of the largest value", approx.WorstRel(s, want.Float32s()))
		})
	}
}

// small is a golden file for the other tests: three rows of 12 x 8, grey.
func small(t *testing.T) *goldenCase {
	return read(t, golden.Path("ncsnv2-12x8.safetensors"))
}

// Whatever the form in which x comes, and in whatever batches, the score has the same bits.
func TestForms(t *testing.T) {
	g := read(t, golden.Path("ncsn-8x10-instancenorm-swish.safetensors")) // two channels
	dir := t.TempDir()
	out := func() string { return filepath.Join(dir, "s.npy") }
	base := []string{g.checkpoint, "-level-file", g.levels}
	must(t, append(base, "-input", g.x, "-o", out())...)
	shape, want := load(t, out())
	xt := g.Tensor(t, "xt").Float32s()
	same := func(name string, got []float32) {
		t.Helper()
		if !slices.Equal(got, want) {
			t.Errorf("%s: another score", name)
		}
	}

	for _, batch := range []string{"1", "3", "100"} {
		must(t, append(base, "-input", g.x, "-o", out(), "-batch", batch, "-workers", "1")...)
		_, got := load(t, out())
		same("batches of "+batch, got)
	}

	wide := make([]float64, len(xt))
	for i, v := range xt {
		wide[i] = float64(v)
	}
	write(t, filepath.Join(dir, "wide.npy"), shape, wide)
	must(t, append(base, "-input", filepath.Join(dir, "wide.npy"), "-o", out())...)
	_, got := load(t, out())
	same("float64", got)

	n, c, area := shape[0], shape[1], shape[2]*shape[3]
	toNHWC := func(src []float32) []float32 {
		dst := make([]float32, 0, len(src))
		for row := range n {
			for p := range area {
				for k := range c {
					dst = append(dst, src[(row*c+k)*area+p])
				}
			}
		}
		return dst
	}
	last := []int{n, shape[2], shape[3], c}
	write(t, filepath.Join(dir, "nhwc.npy"), last, toNHWC(xt))
	must(t, append(base, "-input", filepath.Join(dir, "nhwc.npy"), "-layout", "nhwc", "-o", out())...)
	gotShape, got := load(t, out())
	if !slices.Equal(gotShape, last) || !slices.Equal(got, toNHWC(want)) {
		t.Errorf("nhwc: shape %v, or another score", gotShape)
	}

	// Fortran order: the same array, stored with its first index fastest.
	var b bytes.Buffer
	if err := npy.Write(&b, shape, transposed(xt, shape)); err != nil {
		t.Fatal(err)
	}
	file := bytes.Replace(b.Bytes(), []byte("'fortran_order': False"), []byte("'fortran_order': True "), 1)
	code, stdout, stderr := command(bytes.NewReader(file), append(base, "-input", "-", "-o", "-")...)
	if code != 0 || !strings.Contains(stderr, "standard output: the score of 4 rows") {
		t.Fatalf("from standard input in Fortran order: %d, %s", code, stderr)
	}
	a, err := npy.NewReader("standard output", bytes.NewReader(stdout), int64(len(stdout)))
	if err != nil {
		t.Fatal(err)
	}
	if got, err = npy.ReadAll[float32](a); err != nil || int(a.Offset)+4*len(got) != len(stdout) {
		t.Errorf("standard output holds something else beside the array: %v", err)
	}
	same("Fortran order", got)

	// Levels from standard input; and no rows at all.
	levels, err := os.ReadFile(g.levels)
	if err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := command(bytes.NewReader(levels), g.checkpoint, "-level-file", "-", "-input", g.x, "-o",
		out()); code != 0 {
		t.Errorf("levels from standard input: %s", stderr)
	}
	_, got = load(t, out())
	same("levels from standard input", got)
	write(t, filepath.Join(dir, "none.npy"), []int{0, 2, 8, 10}, []float32{})
	must(t, g.checkpoint, "-level", "0", "-input", filepath.Join(dir, "none.npy"), "-o", out())
	if shape, _ := load(t, out()); !slices.Equal(shape, []int{0, 2, 8, 10}) {
		t.Errorf("no rows: shape %v", shape)
	}
}

// transposed is the values of an array of four dimensions in the order of its first index.
func transposed(v []float32, s []int) []float32 {
	dst := make([]float32, 0, len(v))
	for l := range s[3] {
		for k := range s[2] {
			for j := range s[1] {
				for i := range s[0] {
					dst = append(dst, v[((i*s[1]+j)*s[2]+k)*s[3]+l])
				}
			}
		}
	}
	return dst
}

// A level, its sigma and an array that repeats the level ask for the same; between levels the score of NCSNv2 goes with
// 1/sigma, and NCSN has none.
func TestNoise(t *testing.T) {
	g := small(t)
	dir := t.TempDir()
	out := filepath.Join(dir, "s.npy")
	score := func(args ...string) []float32 {
		t.Helper()
		must(t, append([]string{g.checkpoint, "-input", g.x, "-o", out}, args...)...)
		_, s := load(t, out)
		return s
	}
	all := filepath.Join(dir, "all.npy")
	write(t, all, []int{3}, []int64{2, 2, 2})
	sigma := g.Tensor(t, "sigmas").Float32s()[2]
	want := score("-level", "2")
	if !slices.Equal(score("-level-file", all), want) || !slices.Equal(score("-sigma", fmt.Sprint(sigma)), want) {
		t.Error("level 2 by its number, in an array and by its sigma are not the same")
	}
	half := score("-sigma", fmt.Sprint(sigma/2))
	for i := range want {
		want[i] *= 2
	}
	if err := approx.Compare("at half the sigma", half, want, approx.RelMax(1e-6)); err != nil {
		t.Error(err)
	}
	if slices.Equal(score("-level", "1"), score("-level", "3")) {
		t.Error("levels 1 and 3 have the same score")
	}

	ncsn := read(t, golden.Path("ncsn-12x8.safetensors"))
	code, _, stderr := command(nil, ncsn.checkpoint, "-input", ncsn.x, "-sigma", "0.3", "-o", out)
	if code != 1 || !strings.Contains(stderr, "takes levels alone") ||
		!strings.Contains(stderr, "level 1 with sigma 0.3162278") {
		t.Errorf("sigma between levels: %d, %s", code, stderr)
	}
	must(t, ncsn.checkpoint, "-input", ncsn.x, "-sigma", "0.31622777", "-o", out)
}

// The run was a flag once, and what was written then goes on working.
func TestCheckpointFlag(t *testing.T) {
	g := small(t)
	dir := t.TempDir()
	file := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	must(t, g.checkpoint, "-input", g.x, "-level", "0", "-o", filepath.Join(dir, "a.npy"))
	must(t, "-checkpoint", g.checkpoint, "-input", g.x, "-level", "0", "-o", filepath.Join(dir, "b.npy"))
	if !bytes.Equal(file("a.npy"), file("b.npy")) {
		t.Error("-checkpoint and the argument give two scores")
	}
}

// A checkpoint of PyTorch gives the score that its values give in a checkpoint of this program: the moving average,
// and with -raw the weights.
func TestPyTorch(t *testing.T) {
	dir := golden.Path()
	name := "ncsnv2-10x8-swish-rescaled-linear"
	g := read(t, filepath.Join(dir, name+".safetensors"))
	out := filepath.Join(t.TempDir(), "s.npy")
	for prefix, flag := range map[string]string{"ema.": "-ema", "adam.": "-raw"} {
		stored, err := checkpoint.ReadCheckpoint(g.checkpoint)
		if err != nil {
			t.Fatal(err)
		}
		for i, nt := range stored.Tensors {
			stored.Tensors[i].T = g.Tensor(t, prefix+strings.TrimPrefix(nt.Name, "param."))
		}
		ours := filepath.Join(t.TempDir(), "c.safetensors")
		if err := stored.Write(ours); err != nil {
			t.Fatal(err)
		}
		must(t, ours, "-input", g.x, "-level-file", g.levels, "-o", out)
		_, want := load(t, out)
		for _, pth := range []string{name + ".pth", name + "-legacy.pth"} {
			must(t, filepath.Join(dir, pth), "-net", "ncsnv2", "-size", "10x8", "-nonlinearity", "swish", "-rescaled", flag,
				"-input", g.x, "-level-file", g.levels, "-o", out)
			if _, got := load(t, out); !slices.Equal(got, want) {
				t.Errorf("%s %s: another score", pth, flag)
			}
		}
	}
}

func TestWrongUse(t *testing.T) {
	g := small(t)
	dir := t.TempDir()
	out, missing := filepath.Join(dir, "s.npy"), filepath.Join(dir, "missing")
	if err := os.WriteFile(out, []byte("old"), 0o666); err != nil {
		t.Fatal(err)
	}
	file := func(name string, shape []int, data any) string {
		path := filepath.Join(dir, name)
		switch data := data.(type) {
		case []float32:
			write(t, path, shape, data)
		case []int64:
			write(t, path, shape, data)
		}
		return path
	}
	whole := []string{g.checkpoint, "-input", g.x, "-o", out}
	input := func(path string, more ...string) []string {
		return append([]string{g.checkpoint, "-input", path, "-o", out, "-level", "0"}, more...)
	}
	text := filepath.Join(dir, "text.npy")
	os.WriteFile(text, []byte("1,2,3\n"), 0o666)
	cut := filepath.Join(dir, "cut.npy")
	b, err := os.ReadFile(g.x)
	if err != nil {
		t.Fatal(err)
	}
	os.WriteFile(cut, b[:len(b)-3], 0o666)
	for _, c := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"nothing", nil, 2, "no RUN given"},
		{"no input", whole[:1], 2, "-input is missing"},
		{"no output", whole[:3], 2, "-o is missing"},
		{"no noise", whole, 2, "expected -level I, -sigma S or -level-file FILE.npy"},
		{"two noises", append(whole, "-level", "1", "-sigma", "2"), 2, "-level and -sigma are given together"},
		{"sigma 0", append(whole, "-sigma", "0"), 2, "-sigma is 0: expected a positive number"},
		{"level", append(whole, "-level", "5"), 1, "-level is 5: expected a noise level from 0, the largest sigma, to 4"},
		{"negative level", append(whole, "-level", "-1"), 1, "-level is -1"},
		{"layout", append(whole, "-level", "0", "-layout", "hwc"), 2, "expected one of nchw, nhwc"},
		{"both weights", append(whole, "-level", "0", "-ema", "-raw"), 2, "-ema and -raw"},
		{"no EMA", append(whole, "-level", "0", "-ema"), 1, "holds no moving average"},
		{"device", append(whole, "-level", "0", "-device", "1"), 2, "give -gpu too"},
		{"batch", append(whole, "-level", "0", "-batch", "0"), 2, "-batch is 0"},
		{"size of a file that has it", append(whole, "-level", "0", "-size", "32"), 2, "holds its configuration"},
		{"both from standard input", []string{g.checkpoint, "-input", "-", "-level-file", "-", "-o", out}, 2, "both standard input"},
		{"a bare argument", []string{g.checkpoint, "x.npy"}, 2, "did you mean -input x.npy?"},

		{"missing checkpoint", []string{missing, "-input", g.x, "-o", out, "-level", "0"}, 1, "does not exist"},
		{"missing input", input(missing), 1, "missing: no such file"},
		{"a folder", input(dir), 1, "is a folder"},
		{"text", input(text), 1, "is no NPY array"},
		{"cut", input(cut), 1, "is truncated"},
		{"another size", input(file("a.npy", []int{1, 1, 8, 12}, make([]float32, 96))), 1, "shape (1, 1, 8, 12): network ncsnv2 takes (N, 1, 12, 8) in layout nchw"},
		{"the other layout", input(file("b.npy", []int{1, 12, 8, 1}, make([]float32, 96))), 1, "or -layout nhwc, which it fits"},
		{"one image", input(file("c.npy", []int{1, 12, 8}, make([]float32, 96))), 1, "x[None]"},
		{"vectors", input(file("d.npy", []int{1, 96}, make([]float32, 96))), 1, "network ncsnv2 takes"},
		{"whole numbers", input(file("e.npy", []int{1, 1, 12, 8}, make([]int64, 96))), 1, "holds int64: expected float32 or float64"},
		{"levels of another length", append(whole, "-level-file", file("f.npy", []int{4}, make([]int64, 4))), 1, "shape (4,): expected (3,)"},
		{"levels that are none", append(whole, "-level-file", file("g.npy", []int{3}, []int64{0, 5, 1})), 1, "row 1 of"},
		{"levels that are floats", append(whole, "-level-file", file("h.npy", []int{3}, make([]float32, 3))), 1, "expected whole numbers"},
		{"a folder that is not there", []string{g.checkpoint, "-input", g.x, "-level", "0", "-o", filepath.Join(missing, "s.npy")}, 1, "cannot write"},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, stdout, stderr := command(strings.NewReader(""), c.args...)
			if code != c.code || !strings.Contains(stderr, c.want) || len(stdout) > 0 || strings.Count(stderr, "\n") != 1 {
				t.Errorf("exit code %d, %q, %q; expected %d and %q", code, stdout, stderr, c.code, c.want)
			}
		})
	}
	if b, err := os.ReadFile(out); err != nil || string(b) != "old" {
		t.Errorf("the old file is %q, %v", b, err)
	}

	// What ends in the middle is said, and leaves the old file.
	code, _, stderr := command(bytes.NewReader(b[:len(b)-3]), g.checkpoint, "-input", "-", "-o", out, "-level", "0",
		"-batch", "1")
	if code != 1 || !strings.Contains(stderr, "standard input is truncated") {
		t.Errorf("a pipe that ends early: %d, %s", code, stderr)
	}
	if b, err := os.ReadFile(out); err != nil || string(b) != "old" {
		t.Errorf("the old file is %q, %v", b, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var errs bytes.Buffer
	if code := New().Execute(ctx, append(whole, "-level", "0"), cli.Streams{Out: io.Discard, Err: &errs}); code != 1 ||
		!strings.Contains(errs.String(), "interrupted") {
		t.Errorf("interrupted: %d, %s", code, errs.String())
	}
	if code := New().Execute(context.Background(), []string{g.checkpoint, "-input", g.x, "-level", "0", "-o", "-"},
		cli.Streams{Out: closed{}, Err: &errs}); code != 1 || !strings.Contains(errs.String(), "standard output") {
		t.Errorf("a closed pipe: %d, %s", code, errs.String())
	}
}

// closed is a pipe that nobody reads.
type closed struct{}

func (closed) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }
