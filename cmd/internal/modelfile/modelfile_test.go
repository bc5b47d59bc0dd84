package modelfile

import (
	"io"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gorgonia.org/tensor"

	"sigmaz/cmd/internal/cli"
	"sigmaz/internal/atomicfile"
	"sigmaz/model"
	"sigmaz/model/checkpoint"
	"sigmaz/model/golden"
	"sigmaz/train"
)

// goldenDir is the folder with checkpoints of PyTorch; pth.py and golden.py there say what is in them.
var goldenDir = golden.Path()

// open opens a file with flags.
func open(path string, args ...string) (*File, error) {
	o := &Options{}
	c := &cli.Command{Name: "test", Groups: []cli.Group{o.Group(), {Name: "Weights", Flags: o.WeightFlags()}}}
	if err := c.Parse(args); err != nil {
		return nil, err
	}
	if err := o.Check(); err != nil {
		return nil, err
	}
	return Open(path, o, c)
}

// What is found in a file: the network, its width, the ladder and its spacing.
func TestFound(t *testing.T) {
	for _, c := range []struct {
		file       string
		args       string
		net        model.Config
		begin, end float64
		levels     int
		spacing    string
	}{
		{"ncsnv2-10x8-swish-rescaled-linear.pth", "-size 10x8 -nonlinearity swish -rescaled",
			model.Config{Net: "ncsnv2", Height: 10, Width: 8, Channels: 1, NGF: 3, Normalization: "InstanceNorm++", Nonlinearity: "swish", Rescaled: true}, 10, 0.05, 5, "linear"},
		{"ncsnv2-10x8-swish-rescaled-linear-legacy.pth", "-size 16 -net ncsnv2 -sigma-begin 10 -sigma-end 0.05 -L 5 -spacing linear",
			model.Config{Net: "ncsnv2", Height: 16, Width: 16, Channels: 1, NGF: 3, Normalization: "InstanceNorm++"}, 10, 0.05, 5, "linear"},
		{"ncsn-12x8.pth", "-size 12x8 -sigma-begin 1 -sigma-end 0.01",
			model.Config{Net: "ncsn", Height: 12, Width: 8, Channels: 1, NGF: 3, Normalization: "InstanceNorm++", Levels: 5}, 1, 0.01, 5, ""},
	} {
		f, err := open(filepath.Join(goldenDir, c.file), strings.Fields(c.args)...)
		if err != nil {
			t.Errorf("%s %s: %v", c.file, c.args, err)
			continue
		}
		if s := f.Config.Sigma; f.Config.Network != c.net || s.Begin.Value != c.begin || s.End.Value != c.end ||
			s.Levels != c.levels || s.Spacing != c.spacing || len(f.Sigmas) != c.levels {
			t.Errorf("%s: %+v, %+v; expected %+v", c.file, f.Config.Network, s, c)
		}
		ema := checkpoint.EMAPrefix
		if c.net.Net == "ncsn" {
			ema = checkpoint.ParamPrefix // it has no moving average
		}
		if f.Prefix() != ema || f.Step != 3 {
			t.Errorf("%s: %s, step %d", c.file, f.Prefix(), f.Step)
		}
		f.Close()
		if f, err = open(filepath.Join(goldenDir, c.file), strings.Fields(c.args+" -raw")...); err != nil {
			t.Fatal(err)
		}
		if f.Prefix() != checkpoint.ParamPrefix || f.Which() != "raw weights" {
			t.Errorf("%s -raw: %s, %s", c.file, f.Prefix(), f.Which())
		}
		f.Close()
	}
}

// kept is a ladder as a file keeps it in numbers of so many bits.
func kept(l model.Ladder, bits int) model.KeptLadder {
	k := model.KeptLadder{Bits: bits}
	for _, s := range l {
		v := float64(s)
		if bits < model.SingleBits { // rounded to nearest, ties to even
			_, exp := math.Frexp(v)
			ulp := math.Ldexp(1, exp-bits)
			v = math.RoundToEven(v/ulp) * ulp
		}
		k.Sigmas = append(k.Sigmas, v)
	}
	return k
}

func TestRefused(t *testing.T) {
	pth := "ncsnv2-10x8-swish-rescaled-linear.pth"
	for _, c := range []struct{ file, args, want string }{
		{pth, "", "says nothing about the size of its images: give -size HxW"},
		{pth, "-size 10x8 -sigma-begin 10 -sigma-end 0.05 -L 5", "sigma of level 1 is 7.5125 in it (5 levels) and 2.6591"},
		{pth, "-size 10x8 -sigma-begin 10 -sigma-end 0.05 -levels 6 -spacing linear", "(6 levels)"},
		{pth, "-preset cifar10", "keeps another ladder than the one given"},
		{pth, "-preset ncsn-mnist", "is of network ncsn, and"},
		{pth, "-size 10x8 -levels 0", "-levels is 0"},
		{pth, "-size 10x8 -L 0", "-levels is 0"},
		{pth, "-size 10x8 -levels many", `-levels is "many": expected a whole number; -h`},
		{pth, "-size 10x8 -levels levels.npy", `-levels is "levels.npy": expected a whole number of noise levels; a file with a level for each row is for score's -level-file`},
		{pth, "-size 10x8 -levels -", "score's -level-file"},
		{pth, "-size 10x8 -ema -raw", "-ema and -raw are both given"},
		{"ncsn-12x8.pth", "-size 12x8 -sigma-begin 1 -sigma-end 0.01 -ema", "holds no moving average (EMA): leave -ema out"},
		{pth, "-size 10x8 -sigma-end 0", "-sigma-end is 0"},
		{pth, "-size 9x8", "must be multiples of 2"},
		{pth, "-size 10x0", `-size is "10x0"`},
		{pth, "-size 10x8 -net ncsn", "those of ncsnv2"},
		{"ncsn-12x8.pth", "-size 12x8", "keeps no ladder of noise levels"},
		{"ncsn-12x8.pth", "-size 12x8 -sigma-begin 1", "keeps no ladder of noise levels"},
		{"ncsn-12x8.pth", "-preset ncsn-mnist", "is of a network for 5 noise levels, and the ladder has 10"},
		{"golden.py", "", "is neither a .safetensors file nor a .pth file"},
		{"nothing.pth", "", "does not exist"},
		{"..", "", "is not a run folder"},
		{filepath.Join("..", "..", "checkpoint", "testdata", "pth", "list.pth"), "-size 8", "no begin_conv.weight"},
	} {
		f, err := open(filepath.Join(goldenDir, c.file), strings.Fields(c.args)...)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s: %v, expected %q", c.file, c.args, err, c.want)
		}
		if err == nil {
			f.Close()
		}
	}
}

// The published checkpoints are known by network, width and ladder, but for those that are told steps: they may be of
// several processes, and ask for the preset by name.
func TestPublished(t *testing.T) {
	for _, p := range train.Presets {
		sigmas, err := p.Config.Ladder()
		if err != nil || !p.Config.Network.HasSigmas() {
			continue // its ladder depends on the data, or its files keep none
		}
		f := &File{Weights: &checkpoint.Weights{}}
		f.Weights.Ladder = kept(sigmas, model.SingleBits)
		got, err := f.preset(&Options{}, p.Config.Network)
		if p.Config.Network.ToldSteps() {
			if err == nil || !strings.Contains(err.Error(), p.Name) {
				t.Errorf("%s is taken for %s, %v", p.Name, got.Name, err)
			}
			continue
		}
		if err != nil || got.Config.Network != p.Config.Network || got.Config.Sampling != p.Config.Sampling {
			t.Errorf("%s: %s, %v", p.Name, got.Name, err)
		}
		f.Weights.Ladder.Sigmas[3] *= 1 + 2e-6
		if got, err := f.preset(&Options{}, p.Config.Network); err != nil || got.Name != "" {
			t.Errorf("%s with another level: %s, %v", p.Name, got.Name, err)
		}
	}
}

// A ladder is told by its ends to one part in a million, or refused.
func TestSigmaOf(t *testing.T) {
	for _, spacing := range model.Spacings() {
		l, err := model.NewLadder(spacing, 50, 0.01, 232)
		if err != nil {
			t.Fatal(err)
		}
		k := kept(l, model.SingleBits)
		buffer := k.Sigmas
		for i := range buffer {
			buffer[i] *= 1 + 5e-7
		}
		buffer[0], buffer[231] = 50, float64(float32(0.01))
		s, got, err := sigmaOf("a.pth", k)
		if err != nil || s != (train.Sigma{Begin: train.SigmaEnd{Value: 50}, End: train.SigmaEnd{Value: 0.01}, Levels: 232,
			Spacing: spacing}) || !slices.Equal(got, l) {
			t.Errorf("%s: %+v, %v", spacing, s, err)
		}
		buffer[100] *= 1 + 3e-6
		if _, _, err := sigmaOf("a.pth", k); err == nil || !strings.Contains(err.Error(), "sigma of level 100 is") ||
			!strings.Contains(err.Error(), spacing) {
			t.Errorf("%s with another level: %v", spacing, err)
		}
	}
	// In half precision the ends are the shortest decimals that it may have been, and the levels agree to its bits.
	for _, bits := range []int{11, 8} {
		for _, of := range []struct{ begin, end float64 }{{50, 0.01}, {90, 0.01}, {348, 0.01}, {13.9, 0.004}, {1, 0.01}} {
			for _, spacing := range model.Spacings() {
				l, err := model.NewLadder(spacing, of.begin, of.end, 99)
				if err != nil {
					t.Fatal(err)
				}
				k := kept(l, bits)
				s, _, err := sigmaOf("a.pth", k)
				if err != nil || s.Spacing != spacing || math.Abs(s.Begin.Value/of.begin-1) > math.Ldexp(1, -bits) ||
					math.Abs(s.End.Value/of.end-1) > math.Ldexp(1, -bits) {
					t.Errorf("%+v of %d bits, %s: %+v, %v", of, bits, spacing, s, err)
				}
				if bits == 11 && (s.Begin.Value != of.begin || s.End.Value != of.end) {
					t.Errorf("%+v in float16, %s: %+v", of, spacing, s)
				}
				k.Sigmas[50] *= 1 + math.Ldexp(1, 3-bits)
				if _, _, err := sigmaOf("a.pth", k); err == nil {
					t.Errorf("%+v of %d bits, %s: another level is not seen", of, bits, spacing)
				}
			}
		}
	}
	for _, buffer := range [][]float64{{1, 2}, {0, 0}, {math.NaN(), 1}, {math.Inf(1), 1}} {
		if _, _, err := sigmaOf("a.pth", model.KeptLadder{Sigmas: buffer, Bits: model.SingleBits}); err == nil {
			t.Errorf("%v is a ladder", buffer)
		}
	}
	if s, _, err := sigmaOf("a.pth", model.KeptLadder{Sigmas: []float64{0.5}, Bits: model.SingleBits}); err != nil || s.Levels != 1 || s.Begin.Value != 0.5 {
		t.Errorf("one level: %+v, %v", s, err)
	}
}

// What a run has from the file that it starts from.
func TestPrepare(t *testing.T) {
	preset, err := train.FindPreset("glyphs")
	if err != nil {
		t.Fatal(err)
	}
	pth := filepath.Join(goldenDir, "ncsnv2-10x8-swish-rescaled-linear.pth")
	c := preset.Config
	if ours, err := Prepare(&c, pth, Start{}); err != nil || ours {
		t.Fatal(ours, err)
	}
	if c.Network.NGF != 3 || c.Sigma != preset.Config.Sigma || c.Adam != preset.Config.Adam || c.Network.Height != 28 {
		t.Errorf("init: %+v", c)
	}
	c = preset.Config
	if ours, err := Prepare(&c, pth, Start{GoOn: true}); err != nil || ours {
		t.Fatal(ours, err)
	}
	if c.Network.NGF != 3 || c.Sigma.Levels != 5 || c.Sigma.Spacing != "linear" ||
		c.Adam != (train.Adam{LR: 1e-4, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8}) {
		t.Errorf("continue: %+v", c)
	}
	c = preset.Config
	if _, err := Prepare(&c, filepath.Join(goldenDir, "ncsn-12x8.pth"), Start{}); err != nil {
		t.Fatal(err)
	}
	if c.Network.Net != "ncsn" || c.Sigma.Levels != 5 || c.Sigma.Begin.Value != 1 {
		t.Errorf("init of ncsn: %+v", c)
	}

	// A state_dict that this program wrote has its configuration with it, and no Adam.
	net := model.Config{Net: "mlp", Height: 1, Width: 1, Channels: 2, Hidden: 3, DataSD: 1.5}
	params, err := net.Params()
	if err != nil {
		t.Fatal(err)
	}
	from := train.Config{Network: net, Sigma: train.Sigma{Begin: train.SigmaEnd{Value: 4}, End: train.SigmaEnd{Value: 0.1},
		Levels: 3}}
	ck := &checkpoint.Checkpoint{Config: from.YAML()}
	for _, p := range params {
		ck.Tensors = append(ck.Tensors, model.Named{Name: "param." + p.Name,
			T: tensor.New(tensor.WithShape(p.TorchShape()...), tensor.WithBacking(make([]float32, p.Shape.TotalSize())))})
	}
	path := filepath.Join(t.TempDir(), "c.safetensors")
	if err := ck.Write(path); err != nil {
		t.Fatal(err)
	}
	f, err := open(path)
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "a.safetensors")
	err = atomicfile.WriteFile(out, func(w io.Writer) error {
		return checkpoint.WriteStateDict(w, checkpoint.StateFile{Network: net, Sigmas: f.Sigmas, Config: f.Config.YAML(),
			Step: 9, Stepped: true}, f, checkpoint.ParamPrefix)
	})
	f.Close()
	if err != nil {
		t.Fatal(err)
	}
	c = preset.Config
	if ours, err := Prepare(&c, out, Start{}); err != nil || !ours || c.Network.Net != "mlp" || c.Network.Hidden != 3 ||
		c.Network.DataSD != 1.5 {
		t.Errorf("init from a state_dict: %+v, %v", c.Network, err)
	}
	if _, err := Prepare(&c, out, Start{GoOn: true}); err == nil || !strings.Contains(err.Error(), "holds no state of Adam") {
		t.Errorf("continue from a state_dict: %v", err)
	}
	if f, err := open(out); err != nil || f.Step != 9 || f.Config.Network != net {
		t.Errorf("a state_dict: %v", err)
	}
	if _, err := open(out, "-net", "ncsn"); err == nil || !strings.Contains(err.Error(), "holds its configuration") {
		t.Errorf("a flag that the file answers: %v", err)
	}
}

// What a file says about Adam comes before the run's own settings, what it does not say leaves them, and a rate of 0 is
// not taken for none.
func TestTakeAdam(t *testing.T) {
	run := train.Adam{LR: 5e-4, Beta1: 0.8, Beta2: 0.99, Eps: 1e-7, Clip: 2, Warmup: 3}
	with := func(lr, beta1, beta2, eps float64) train.Adam {
		a := run
		a.LR, a.Beta1, a.Beta2, a.Eps = lr, beta1, beta2, eps
		return a
	}
	of := checkpoint.AdamSettings{LR: 1e-3, Beta1: 0, Beta2: 0.9, Eps: 1e-8}
	zero := of
	zero.LR = 0
	for _, c := range []struct {
		name   string
		of     checkpoint.AdamSettings
		absent []string
		lr     bool
		want   train.Adam
		err    string
	}{
		{"all", of, nil, false, with(1e-3, 0, 0.9, 1e-8), ""},
		{"without lr", of, []string{"lr"}, false, with(5e-4, 0, 0.9, 1e-8), ""},
		{"without betas and eps", of, []string{"betas", "eps"}, false, with(1e-3, 0.8, 0.99, 1e-7), ""},
		{"lr 0", zero, nil, false, run, "a.pth was saved with Adam's learning rate at 0, as at the end of a schedule: give `lr`"},
		{"lr 0, and one asked for", zero, nil, true, with(0, 0, 0.9, 1e-8), ""},
	} {
		got := run
		w := &checkpoint.Weights{Path: "a.pth", Adam: &checkpoint.AdamState{AdamSettings: c.of, Absent: c.absent}}
		err := takeAdam(&got, w, c.lr)
		if got != c.want || (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %+v, %v; expected %+v, %q", c.name, got, err, c.want, c.err)
		}
	}
}
