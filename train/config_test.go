package train

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"sigmaz/internal/setting"
	"sigmaz/kernels"
	"sigmaz/model"
	"sigmaz/train/dataset"
)

// valid is the configuration of the default preset.
func valid(t *testing.T, preset string) Config {
	t.Helper()
	p, err := FindPreset(preset)
	if err != nil {
		t.Fatal(err)
	}
	return p.Config
}

func TestPresetsRoundTrip(t *testing.T) {
	for _, p := range Presets {
		c := valid(t, p.Name)
		if err := c.Validate(); err != nil {
			t.Errorf("preset %s: %v", p.Name, err)
		}
		back, err := ParseConfig(c.YAML())
		if err != nil {
			t.Errorf("preset %s: %v", p.Name, err)
			continue
		}
		if !reflect.DeepEqual(*back, c) {
			t.Errorf("preset %s: read back as\n%+v\nexpected\n%+v", p.Name, *back, c)
		}
		if p.Source == "" || p.What == "" {
			t.Errorf("preset %s says not where it comes from", p.Name)
		}
	}
	c := valid(t, "glyphs")
	c.Sigma.Begin = SigmaEnd{Value: 1.0 / 3}
	c.Sigma.End = SigmaEnd{Rule: RuleLiteral}
	c.Sigma.Distances = &dataset.Distances{Max: math.Pi, Min: 1e-3, Duplicates: 4}
	c.Sampling.Epsilon = 1.0646187255097268e-05
	back, err := ParseConfig(c.YAML())
	if err != nil {
		t.Fatal(err)
	}
	if back.Sigma.Begin != c.Sigma.Begin || back.Sigma.End != c.Sigma.End || *back.Sigma.Distances != *c.Sigma.Distances ||
		back.Sampling != c.Sampling {
		t.Errorf("read back as %+v, expected %+v", back, c)
	}
}

// Settings that no run can have: the message begins with the name of the flag.
func TestValidate(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, test := range []struct {
		want string
		set  func(c *Config)
	}{
		{"data is empty", func(c *Config) { c.Data = "" }},
		{`normalization is "InstanceNorm+": expected InstanceNorm++ or InstanceNorm; did you mean`, func(c *Config) { c.Network.Normalization = "InstanceNorm+" }},
		{`nonlinearity is "rellu": expected one of elu, relu, lrelu, swish; did you mean`, func(c *Config) { c.Network.Nonlinearity = "rellu" }},
		{`spacing is "liner": expected geometric or linear; did you mean linear?`, func(c *Config) { c.Sigma.Spacing = "liner" }},
		{"levels is auto, by Technique 2, which is about geometric ladders", func(c *Config) { c.Sigma.Spacing, c.Sigma.Levels = "linear", 0 }},
		{`net is "ncnsv2": expected one of ` + strings.Join(model.Networks(), ", ") + `; did you mean ncsnv2?`, func(c *Config) { c.Network.Net = "ncnsv2" }},
		{"ngf is 1:", func(c *Config) { c.Network.NGF = 1 }},
		{"hidden is 0:", func(c *Config) { c.Network.Net = "mlp" }},
		{"ngf is 100000:", func(c *Config) { c.Network.NGF = 100_000 }},
		{"hidden is 100000:", func(c *Config) { c.Network.Net, c.Network.Hidden = "mlp", 100_000 }},
		{"batch is 1073741824:", func(c *Config) { c.Batch = 1 << 30 }},
		{"preview-n is 1000000:", func(c *Config) { c.PreviewN = 1e6 }},
		{"workers is 1000000:", func(c *Config) { c.Workers = 1e6 }},
		{"batch is 0:", func(c *Config) { c.Batch = 0 }},
		{"batch is -3:", func(c *Config) { c.Batch = -3 }},
		{"steps is 0:", func(c *Config) { c.Steps = 0 }},
		{"levels is -1:", func(c *Config) { c.Sigma.Levels = -1 }},
		{"levels is 1000000:", func(c *Config) { c.Sigma.Levels = 1e6 }},
		{"sigma-begin is 0:", func(c *Config) { c.Sigma.Begin.Value = 0 }},
		{"sigma-begin is NaN:", func(c *Config) { c.Sigma.Begin.Value = nan }},
		{"sigma-begin is data-literal:", func(c *Config) { c.Sigma.Begin = SigmaEnd{Rule: RuleLiteral} }},
		{"sigma-end is -1:", func(c *Config) { c.Sigma.End.Value = -1 }},
		{"sigma-end is +Inf:", func(c *Config) { c.Sigma.End.Value = inf }},
		{"sigma-begin 0.01 is not larger than `sigma-end` 0.01:", func(c *Config) { c.Sigma.Begin.Value = 0.01 }},
		{"sigma-begin 1 is not larger than `sigma-end` 2:", func(c *Config) { c.Sigma.Begin.Value, c.Sigma.End.Value = 1, 2 }},
		{"anneal-power is NaN:", func(c *Config) { c.Loss.AnnealPower = nan }},
		{"levels-per-step is -1:", func(c *Config) { c.Loss.LevelsPerStep = -1 }},
		{"levels-per-step is 33, more than the 16 images", func(c *Config) { c.Loss.LevelsPerStep = 33 }},
		{"lr is -1:", func(c *Config) { c.Adam.LR = -1 }},
		{"lr is +Inf:", func(c *Config) { c.Adam.LR = inf }},
		{"beta1 is 1:", func(c *Config) { c.Adam.Beta1 = 1 }},
		{"beta2 is NaN:", func(c *Config) { c.Adam.Beta2 = nan }},
		{"adam-eps is 0:", func(c *Config) { c.Adam.Eps = 0 }},
		{"grad-clip is -1:", func(c *Config) { c.Adam.Clip = -1 }},
		{"grad-clip is NaN:", func(c *Config) { c.Adam.Clip = nan }},
		{"lr-warmup is 18446744073709551615:", func(c *Config) { c.Adam.Warmup = math.MaxUint64 }},
		{"ema is 1:", func(c *Config) { c.EMA.Rate = 1 }},
		{"held-out is -1:", func(c *Config) { c.HeldOut = -1 }},
		{`split is "index": expected content`, func(c *Config) { c.Split = "index" }},
		{"T is 0:", func(c *Config) { c.Sampling.T = 0 }},
		{"epsilon is -1:", func(c *Config) { c.Sampling.Epsilon = -1 }},
		{"epsilon is +Inf:", func(c *Config) { c.Sampling.Epsilon = inf }},
		{"log-every is 0:", func(c *Config) { c.LogEvery = 0 }},
		{"preview-n is -1:", func(c *Config) { c.PreviewN = -1 }},
		{"keep-checkpoints is -1:", func(c *Config) { c.KeepCheckpoints = -1 }},
		{"workers is -1:", func(c *Config) { c.Workers = -1 }},
		{"multiprocessors is -1:", func(c *Config) { c.Multiprocessors = -1 }},
		{"multiprocessors is 1000000:", func(c *Config) { c.Multiprocessors = 1e6 }},
	} {
		c := valid(t, "glyphs")
		test.set(&c)
		err := c.Validate()
		var bad *setting.Error
		if !errors.As(err, &bad) || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("error %v, expected it to begin with %q", err, test.want)
		} else if strings.Contains(err.Error(), "\n") {
			t.Errorf("error %q has several lines", err)
		}
	}
	// One level needs no second end.
	c := valid(t, "glyphs")
	c.Sigma.Levels, c.Sigma.Begin.Value, c.Sigma.End.Value = 1, 0.01, 1
	if err := c.Validate(); err != nil {
		t.Errorf("one level: %v", err)
	}
}

func TestParseConfigIsStrict(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"stpes: 3", `unknown key "stpes"; did you mean steps?`},
		{"sigma:\n  begn: 3", `unknown key "sigma.begn"; did you mean begin?`},
		{"network:\n  sigmoid: 3", `unknown key "network.sigmoid"; known are net, height`},
		{"steps: many", `key "steps" is "many": expected a whole number`},
		{"steps: -1", `key "steps" is -1: expected a whole number, not negative`},
		{"batch: 1.5", `key "batch" is 1.5: expected a whole number`},
		{"adam:\n  lr: fast", `key "adam.lr" is "fast": expected a number`},
		{"adam: 3", `key "adam" is 3: expected a mapping`},
		{"flip: 1", `key "flip" is 1: expected true or false`},
		{"data: 3", `key "data" is 3: expected text`},
		{"sigma:\n  begin: dta", `key "sigma.begin" is "dta": expected a positive number, "data"`},
		{"sigma:\n  begin: true", `key "sigma.begin" is true: expected a number`},
		{"steps: 1\nsteps: 2", "already defined"},
		{"steps: [", "sequence"},
		{"steps: 5.5", `key "steps" is 5.5: expected a whole number`},
		{"steps: \"-5\"", `key "steps" is "-5": expected a whole number, not negative`},
		{"batch: 1e30", `key "batch" is "1e30": expected a whole number`},
		{"batch: 18446744073709551615", `key "batch" is 18446744073709551615: expected a whole number below`},
		{"flip: \"1\"", `key "flip" is "1": expected true or false`},
		{"steps: {a: 1}", `key "steps" is a mapping: expected a whole number`},
		{"steps: [5]", `key "steps" is a list: expected a whole number`},
		{"\ufeffstpes: 3", `unknown key "stpes"; did you mean steps?`},
		{"- steps", ""},
		{"\x00\x01", ""},
	} {
		_, err := ParseConfig(test.text)
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: error %v, expected one line with %q", test.text, err, test.want)
		}
	}
	// A file that names few keys keeps the others.
	c := valid(t, "glyphs")
	want := c
	want.Adam.LR, want.Sigma.Begin = 3e-4, SigmaEnd{Rule: RuleData}
	if err := c.Merge("adam:\n  lr: 3.0e-4\nsigma:\n  begin: data\n"); err != nil || !reflect.DeepEqual(c, want) {
		t.Errorf("merged to %+v, error %v, expected %+v", c, err, want)
	}
	for _, empty := range []string{"", "# nothing\n"} {
		if err := c.Merge(empty); err != nil || !reflect.DeepEqual(c, want) {
			t.Errorf("merging %q gave %+v, error %v", empty, c, err)
		}
	}
}

// A number is what its value is, in whatever form, null is unset, and a byte order mark is passed over.
func TestFormsOfValues(t *testing.T) {
	utf16 := func(text string, order binary.ByteOrder) string {
		b := make([]byte, 2)
		order.PutUint16(b, 0xfeff)
		for _, r := range text {
			c := make([]byte, 2)
			order.PutUint16(c, uint16(r))
			b = append(b, c...)
		}
		return string(b)
	}
	for _, text := range []string{
		"steps: 5", "steps: 5.0", `steps: "5"`, "steps: '5.0'", "steps: 5e0", "steps: 0.5e1", `steps: "5e0"`, "steps: 0x5",
		"\ufeffsteps: 5", "\ufeff# Notepad\r\nsteps: 5\r\n", utf16("steps: 5", binary.LittleEndian),
		utf16("steps: 5.0\r\n", binary.BigEndian),
		"steps: 5\ndata: null", "steps: 5.0\nsigma: null\nadam: {}\nema:\n  rate: ~\nnetwork:\n",
		"steps: 5\nflip: \"false\"\nbatch: \"12\"\nadam:\n  lr: \"1e-8\"\n  eps: \"0.5\"",
	} {
		c := valid(t, "glyphs")
		want := c
		want.Steps = 5
		if strings.Contains(text, "batch") {
			want.Batch, want.Adam.LR, want.Adam.Eps = 12, 1e-8, 0.5
		}
		if err := c.Merge(text); err != nil || !reflect.DeepEqual(c, want) {
			t.Errorf("%q: error %v, merged to\n%+v, expected\n%+v", text, err, c, want)
		}
	}
	// Text stays text when numbers around it change their form.
	for _, data := range []string{"5", "null", "1e-8", "yes", " x ", "{a}", "a: b # c", "-", "line\nfeed", "2001-01-01", "é"} {
		c := valid(t, "glyphs")
		if err := c.Merge(fmt.Sprintf("steps: 5.0\ndata: %q\n", data)); err != nil || c.Data != data || c.Steps != 5 {
			t.Errorf("data %q became %q, error %v", data, c.Data, err)
		}
	}
	// null takes nothing away from what a run has stored.
	c := valid(t, "glyphs")
	stored := c.YAML()
	if err := c.Merge("steps: null\nseed: ~\nsigma:\n  levels: null\n"); err != nil || c.YAML() != stored {
		t.Errorf("null changed\n%s\nto\n%s, error %v", stored, c.YAML(), err)
	}
}

// Whatever a configuration file holds, it is refused in a line or can be stored and read again.
func FuzzParseConfig(f *testing.F) {
	for _, p := range Presets {
		f.Add(p.Config.YAML())
	}
	for _, text := range []string{"steps: 5.0", `steps: "5"`, "steps: null", "\ufeffsteps: 5", "sigma: {begin: data, end: 1e-2}",
		"adam:\n  lr: 1e-8\n", "scaler:\n  columns: [a, b]\n  mean: [1, 2]\n  sd: [1, 2]\n", "data: |\n  a\n  b\n", "? a\n: b",
		"\xff\xfes\x00", "a: &b c", "steps: !!int 5", "{steps: 1, batch: 2.0}", "steps: -0.0", "reading: {size: 32}"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ParseConfig(text)
		if err != nil {
			if strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "<nil>") {
				t.Errorf("error %q", err)
			}
			return
		}
		c.Validate()
		if again, err := ParseConfig(c.YAML()); err != nil || again.YAML() != c.YAML() {
			t.Errorf("stored as\n%s\nwhich is read as %v, error %v", c.YAML(), again, err)
		}
	})
}

func TestDiffers(t *testing.T) {
	a := valid(t, "glyphs")
	a.Adam.LR = 0.002
	b := a
	b.Steps, b.Workers, b.LogEvery, b.Data = 7, 3, 9, "elsewhere"
	if d := a.Differs(&b); d != "" {
		t.Errorf("bookkeeping differs in %q", d)
	}
	b.Adam.LR = 1
	if d := a.Differs(&b); d != "adam.lr (0.002 and 1)" {
		t.Errorf("difference %q, expected adam.lr", d)
	}
	b = a
	b.Sigma.End = SigmaEnd{Value: 2}
	if d := a.Differs(&b); d != "sigma.end (0.01 and 2)" {
		t.Errorf("difference %q, expected sigma.end", d)
	}
}

// A weighting of the loss that float32 cannot hold is no matter of the learning rate: it is refused before the first
// step.
func TestAnnealPower(t *testing.T) {
	for p, ok := range map[float64]bool{-1: true, 0: true, 2: true, 4: true, 60: false, -60: false, 1e300: false} {
		c := valid(t, "glyphs")
		c.Loss.AnnealPower = p
		err := c.ResolveShape(nil)
		var bad *setting.Error
		if ok && err != nil || !ok && (!errors.As(err, &bad) || bad.Key != "anneal-power" ||
			!strings.Contains(err.Error(), "expected a number about 2")) {
			t.Errorf("anneal-power %g: error %v", p, err)
		}
	}
}

// A run says how its held-out images were chosen. A run older than that rule says nothing, and gets a note when it goes
// on.
func TestSplitRule(t *testing.T) {
	c := valid(t, "toy")
	c.HeldOut = 100
	for _, stored := range []struct {
		split string
		warns bool
	}{{SplitByContent, false}, {"", true}} {
		warned := false
		events := func(e Event) {
			if w, ok := e.(Warning); ok && strings.Contains(w.Text, "held other images out") {
				warned = true
			}
		}
		if _, err := c.Resolve(t.Context(), events, nil); err != nil {
			t.Fatal(err)
		}
		if c.Split != SplitByContent && !stored.warns {
			t.Errorf("split %q, expected %q", c.Split, SplitByContent)
		}
		c.Split = stored.split
		warned = false
		if _, err := c.Resolve(t.Context(), events, nil); err != nil {
			t.Fatal(err)
		}
		if warned != stored.warns || c.Split != stored.split {
			t.Errorf("stored split %q: warned %v, expected %v; split now %q", stored.split, warned, stored.warns, c.Split)
		}
	}
}

// The published learning rate at the published width, sixteen times that at a sixteenth of the width.
func TestLearningRate(t *testing.T) {
	for ngf, want := range map[int]float64{128: 1e-4, 8: 1.6e-3} {
		c := valid(t, "cifar10")
		c.Network.NGF = ngf
		if err := c.ResolveShape(nil); err != nil {
			t.Fatal(err)
		}
		if math.Abs(c.Adam.LR-want) > 1e-12 {
			t.Errorf("ngf %d: learning rate %g, expected %g", ngf, c.Adam.LR, want)
		}
	}
	c := valid(t, "cifar10")
	c.Adam.LR = 3e-4
	if err := c.ResolveShape(nil); err != nil || c.Adam.LR != 3e-4 {
		t.Errorf("a given learning rate became %g, %v", c.Adam.LR, err)
	}
}

// The published settings, against the table of the specification: the originals' configuration files.
func TestPublishedPresets(t *testing.T) {
	for _, want := range []struct {
		name, net         string
		size, ngf, levels int
		begin             float64
		t                 int
		epsilon           float64
		batch             int
		steps             uint64
		lr, eps           float64
		dequantize, flip  bool
		ema               float64
		denoise           bool
		crop, scale       string
	}{
		{"ncsn-mnist", "ncsn", 28, 64, 10, 1, 100, 2e-5, 128, 200_001, 1e-3, 1e-8, true, false, 0, false, "", ""},
		{"ncsn-cifar10", "ncsn", 32, 128, 10, 1, 100, 2e-5, 128, 200_001, 1e-3, 1e-8, true, true, 0, false, "", ""},
		{"cifar10", "ncsnv2", 32, 128, 232, 50, 5, 6.2e-6, 128, 300_001, 1e-4, 1e-8, false, true, 0.999, true, "", ""},
		{"celeba", "ncsnv2", 64, 128, 500, 90, 5, 3.3e-6, 128, 210_001, 1e-4, 1e-8, false, true, 0.999, true, "140", "64"},
		{"church", "ncsnv2deeper", 64, 128, 788, 140, 4, 4.9e-6, 128, 200_001, 1e-4, 1e-8, false, true, 0.999, true, "", "64"},
		{"bedroom", "ncsnv2deeper", 128, 128, 1086, 190, 3, 1.8e-6, 128, 150_001, 1e-4, 1e-8, false, true, 0.999, true, "", "128"},
		{"tower", "ncsnv2deeper", 128, 128, 1086, 190, 3, 1.8e-6, 128, 150_001, 1e-4, 1e-8, false, true, 0.999, true, "", "128"},
		{"ffhq", "ncsnv2deepest", 256, 128, 2311, 348, 3, 9e-7, 32, 80_001, 1e-4, 1e-3, false, true, 0.999, true, "", "256"},
	} {
		c := valid(t, want.name)
		if err := c.ResolveShape(nil); err != nil {
			t.Errorf("%s: %v", want.name, err)
			continue
		}
		got := want
		got.net, got.size, got.ngf, got.levels, got.begin = c.Network.Net, c.Network.Height, c.Network.NGF, c.Sigma.Levels,
			c.Sigma.Begin.Value
		got.t, got.epsilon, got.batch, got.steps, got.lr, got.eps = c.Sampling.T, c.Sampling.Epsilon, c.Batch, c.Steps,
			c.Adam.LR, c.Adam.Eps
		got.dequantize, got.flip, got.ema, got.denoise, got.crop, got.scale = c.Dequantize, c.Flip, c.EMA.Rate,
			c.Sampling.Denoise, c.Reading.Crop, c.Reading.Size
		if got != want {
			t.Errorf("%s is\n%+v\nexpected\n%+v", want.name, got, want)
		}
		if c.Network.Width != want.size || c.Sigma.End.Value != 0.01 || c.Loss.AnnealPower != 2 || c.Adam.Beta1 != 0.9 ||
			c.Adam.Beta2 != 0.999 || c.EMA.Warmup {
			t.Errorf("%s: %+v", want.name, c)
		}
		if p, _ := FindPreset(want.name); !strings.Contains(p.Source, "Song and Ermon") ||
			!strings.Contains(p.Source, "configs/") || p.Files == "" {
			t.Errorf("%s: source %q, data %q", want.name, p.Source, p.Files)
		}
	}
}

// The published settings of Song et al. 2021, against the table of the specification.
func TestPublishedUNetPresets(t *testing.T) {
	for _, want := range []struct {
		name                 string
		size, ngf, levels    int
		begin                float64
		batch                int
		steps                uint64
		lr, dropout, ema     float64
		scale, input, output string
	}{
		{"ncsnpp-cifar10", 32, 128, 1000, 50, 128, 1_300_001, 2e-4, 0.1, 0.999, "", "residual", "none"},
		{"ncsnpp-cifar10-deep", 32, 128, 1000, 50, 128, 950_001, 2e-4, 0.1, 0.999, "", "residual", "none"},
		{"ncsnpp-bedroom", 256, 128, 2000, 378, 64, 2_400_001, 2e-4, 0, 0.999, "256", "input_skip", "output_skip"},
		{"ncsnpp-church", 256, 128, 2000, 380, 64, 2_400_001, 2e-4, 0, 0.999, "256", "input_skip", "output_skip"},
		{"ncsnpp-ffhq256", 256, 128, 2000, 348, 64, 2_400_001, 2e-4, 0, 0.999, "256", "input_skip", "output_skip"},
		{"ncsnpp-celebahq256", 256, 128, 2000, 348, 64, 2_400_001, 2e-4, 0, 0.999, "256", "input_skip", "output_skip"},
		{"ncsnpp-ffhq", 1024, 16, 2000, 1348, 8, 2_400_001, 2e-4, 0, 0.9999, "1024", "input_skip", "output_skip"},
		{"ncsnpp-celebahq", 1024, 16, 2000, 1348, 8, 2_400_001, 2e-4, 0, 0.9999, "1024", "input_skip", "output_skip"},
	} {
		c := valid(t, want.name)
		if err := c.ResolveShape(nil); err != nil {
			t.Errorf("%s: %v", want.name, err)
			continue
		}
		got, u := want, c.Network.UNet
		got.size, got.ngf, got.levels, got.begin = c.Network.Height, c.Network.NGF, c.Sigma.Levels, c.Sigma.Begin.Value
		got.batch, got.steps, got.lr, got.dropout, got.ema = c.Batch, c.Steps, c.Adam.LR, u.Dropout, c.EMA.Rate
		got.scale, got.input, got.output = c.Reading.Size, u.ProgressiveInput, u.Progressive
		if got != want {
			t.Errorf("%s is\n%+v\nexpected\n%+v", want.name, got, want)
		}
		adam := Adam{LR: 2e-4, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Clip: 1, Warmup: 5000}
		if c.Network.Net != "ncsnpp" || c.Network.Width != want.size || c.Sigma.End.Value != 0.01 || c.Adam != adam ||
			!c.EMA.Warmup || !c.Flip || c.Dequantize || c.Noise.Density != model.LogUniform || c.Network.Rescaled ||
			u.Attention != "16" || !u.FIR || !u.SkipRescale || !u.ScaleBySigma || u.Embedding != "fourier" || u.InitScale != 0 ||
			u.ResBlock != "biggan" || u.Combine != "sum" || u.Unconditional || u.FourierScale != 16 {
			t.Errorf("%s: %+v", want.name, c)
		}
		if p, _ := FindPreset(want.name); !strings.Contains(p.Source, "Song et al. 2021") ||
			!strings.Contains(p.Source, "configs/ve/") || p.Files == "" {
			t.Errorf("%s: source %q, data %q", want.name, p.Source, p.Files)
		}
	}
}

// The other published settings of Song et al. 2021.
func TestPublishedProcessPresets(t *testing.T) {
	for _, want := range []struct {
		name, net, kind string
		discrete        bool
		size, blocks    int
		steps           uint64
		ema             float64
		mean, fir       bool
	}{
		{"ncsnpp-cifar10-smld", "ncsnpp", "", true, 32, 4, 1_300_001, 0.999, false, true},
		{"ncsnpp-celeba", "ncsnpp", "", true, 64, 4, 1_300_001, 0.999, false, true},
		{"ncsnpp-cifar10-vp", "ncsnpp", "vp", false, 32, 4, 1_300_001, 0.9999, true, true},
		{"ncsnpp-cifar10-subvp", "ncsnpp", "subvp", false, 32, 4, 1_300_001, 0.9999, true, true},
		{"ncsnpp-cifar10-ddpm", "ncsnpp", "vp", true, 32, 4, 1_300_001, 0.9999, true, true},
		{"ncsnpp-deep-vp", "ncsnpp", "vp", false, 32, 8, 950_001, 0.9999, true, true},
		{"ncsnpp-deep-subvp", "ncsnpp", "subvp", false, 32, 8, 950_001, 0.9999, true, true},
		{"ddpmpp-cifar10", "ncsnpp", "vp", true, 32, 4, 1_300_001, 0.9999, true, false},
		{"ddpmpp-cifar10-vp", "ncsnpp", "vp", false, 32, 4, 1_300_001, 0.9999, true, false},
		{"ddpmpp-cifar10-subvp", "ncsnpp", "subvp", false, 32, 4, 1_300_001, 0.9999, true, false},
		{"ddpmpp-deep-vp", "ncsnpp", "vp", false, 32, 8, 950_001, 0.9999, true, false},
		{"ddpmpp-deep-subvp", "ncsnpp", "subvp", false, 32, 8, 950_001, 0.9999, true, false},
		{"ddpm-cifar10", "ddpm", "vp", true, 32, 2, 1_300_001, 0.9999, true, false},
		{"ddpm-cifar10-vp", "ddpm", "vp", false, 32, 2, 1_300_001, 0.9999, true, false},
		{"ddpm-cifar10-subvp", "ddpm", "subvp", false, 32, 2, 1_300_001, 0.9999, true, false},
		{"ddpm-cifar10-smld", "ddpm", "", true, 32, 2, 1_300_001, 0.999, false, false},
	} {
		c := valid(t, want.name)
		if err := c.ResolveShape(nil); err != nil {
			t.Errorf("%s: %v", want.name, err)
			continue
		}
		got, u := want, c.Network.UNet
		got.net, got.kind, got.discrete, got.size = c.Network.Net, c.Network.SDE.Kind, c.Network.SDE.Discrete, c.Network.Height
		got.blocks, got.steps, got.ema, got.mean, got.fir = u.ResBlocks, c.Steps, c.EMA.Rate, c.Loss.ReduceMean, u.FIR
		if got != want {
			t.Errorf("%s is\n%+v\nexpected\n%+v", want.name, got, want)
		}
		adam := Adam{LR: 2e-4, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Clip: 1, Warmup: 5000}
		preserving := want.kind != ""
		if c.Adam != adam || !c.EMA.Warmup || !c.Flip || c.Batch != 128 || c.Sigma.Levels != 1000 || u.Dropout != 0.1 ||
			u.Embedding != "positional" || c.Network.Rescaled != preserving || u.ScaleBySigma == preserving {
			t.Errorf("%s: %+v", want.name, c)
		}
	}
}

// The rules for the ladder's ends count in the units that the network sees: rescaled images are twice as far apart.
func TestSigmaFromData(t *testing.T) {
	set := &dataset.Set{Data: kernels.Data{N: 3, H: 1, W: 2, C: 1, U8: []byte{0, 0, 0, 255, 51, 0}}} // distances 1, 0.2 and 1.02
	for _, unit := range []float64{1, 2} {
		s := Sigma{Begin: SigmaEnd{Rule: RuleData}, End: SigmaEnd{Rule: RuleData}}
		var told PairDistances
		events := func(e Event) {
			if d, ok := e.(PairDistances); ok {
				told = d
			}
		}
		if err := s.takeFromData(t.Context(), events, set, unit); err != nil {
			t.Fatal(err)
		}
		if told.Distances != *s.Distances || told.End != s.End.Value {
			t.Errorf("unit %g: reported %+v, expected %+v and %v", unit, told, *s.Distances, s.End)
		}
		max, min := unit*math.Sqrt(1.04), unit*0.2
		touch := min / (2 * math.Sqrt2) // 0.07 of the range, more than the bound
		if math.Abs(s.Begin.Value-max) > 1e-6 || s.End.Value != 0.03*unit || math.Abs(told.Touch-touch) > 1e-6 ||
			math.Abs(s.Distances.Min-min) > 1e-6 {
			t.Errorf("unit %g: sigma %v to %v, %+v; expected %g to %g", unit, s.Begin, s.End, s.Distances, max, 0.03*unit)
		}
	}

	// Of vectors the rule has no bounds, and data-literal is told of.
	vectors := &dataset.Set{Data: kernels.Data{N: 3, H: 1, W: 1, C: 2, F32: []float32{0, 0, 3, 4, 0, 1}}}
	s := Sigma{Begin: SigmaEnd{Rule: RuleData}, End: SigmaEnd{Rule: RuleData}}
	if err := s.takeFromData(t.Context(), nil, vectors, 1); err != nil || math.Abs(s.End.Value-1/(2*math.Sqrt2)) > 1e-12 {
		t.Errorf("vectors: %+v, %v", s, err)
	}
	warned := ""
	s = Sigma{Begin: SigmaEnd{Rule: RuleData}, End: SigmaEnd{Rule: RuleLiteral}}
	err := s.takeFromData(t.Context(), func(e Event) {
		if w, ok := e.(Warning); ok {
			warned = w.Text
		}
	}, set, 1)
	if err != nil || math.Abs(s.End.Value-0.2) > 1e-12 || !strings.Contains(warned, "1.41 times as long as the distance") {
		t.Errorf("data-literal: %+v, %q, %v", s, warned, err)
	}
}

// A run from before the rule had bounds keeps its sigma_L, and a line says so.
func TestEarlierSigmaEnd(t *testing.T) {
	set := &dataset.Set{Data: kernels.Data{N: 2, H: 28, W: 28, C: 1, U8: make([]byte, 2*784)}}
	said := func(s Sigma) (text string) {
		s.noteEarlierRule(func(e Event) { text = e.(DataNote).Text }, set, 1)
		return text
	}
	d := &dataset.Distances{Max: 20, Min: 0.0736}
	_, touch := SigmaEndOf(d.Min, 784, true, 1)
	if text := said(Sigma{End: SigmaEnd{Value: touch}, Distances: d}); !strings.Contains(text, "stays 0.00131429,") ||
		!strings.Contains(text, "gives 0.004") {
		t.Errorf("an old run: %q", text)
	}
	for _, s := range []Sigma{{End: SigmaEnd{Value: 0.004}, Distances: d}, {End: SigmaEnd{Value: touch}},
		{End: SigmaEnd{Value: 0.01}, Distances: &dataset.Distances{Max: 20}}} {
		if text := said(s); text != "" {
			t.Errorf("%+v: %q", s, text)
		}
	}
}

// The three data sets of which the distances are known, and the bounds.
func TestSigmaEndOf(t *testing.T) {
	for _, test := range []struct {
		min        float64
		d          int
		unit       float64
		end, touch float64
	}{
		{0.8218, 784, 1, 0.01467, 0.01467},   // MNIST
		{0.0736, 784, 1, 0.004, 0.00131},     // Fashion-MNIST: two images that are nearly the same
		{2.7506, 3072, 1, 0.02481, 0.02481},  // CIFAR-10
		{2 * 0.0736, 784, 2, 0.008, 0.00263}, // in [-1, 1]
		{20, 784, 1, 0.03, 0.35714},
	} {
		end, touch := SigmaEndOf(test.min, test.d, true, test.unit)
		if math.Abs(end-test.end) > 1e-5 || math.Abs(touch-test.touch) > 1e-5 {
			t.Errorf("%+v: %g, %g", test, end, touch)
		}
	}
}

// A network that a preset is not made for brings the settings that it needs.
func TestSetNetwork(t *testing.T) {
	c := valid(t, "glyphs")
	c.SetNetwork("ncsn")
	if err := c.ResolveShape(nil); err != nil {
		t.Fatal(err)
	}
	n := valid(t, "ncsn-mnist")
	if err := n.ResolveShape(nil); err != nil {
		t.Fatal(err)
	}
	if c.Sigma != n.Sigma || c.Sampling != n.Sampling || c.EMA != n.EMA || !c.Dequantize || c.Network.Levels != 10 ||
		c.Adam.LR != 1e-3 || c.Network.NGF != 8 {
		t.Errorf("ncsn on glyphs: %+v", c)
	}
	n.SetNetwork("ncsnv2")
	if n.Sigma.Begin.Rule != RuleData || n.Sigma.Levels != auto || n.EMA.Rate != 0.999 || !n.Sampling.Denoise ||
		n.Dequantize {
		t.Errorf("ncsnv2 on ncsn-mnist: %+v", n)
	}
	same := valid(t, "ncsn-mnist")
	if same.SetNetwork("ncsn"); !reflect.DeepEqual(same, valid(t, "ncsn-mnist")) {
		t.Errorf("the preset's own network changes it to %+v", same)
	}
}

// YAML that takes the parser minutes or gigabytes, or that means something else than settings, is refused at once.
func TestConfigurationsThatAreNone(t *testing.T) {
	for text, want := range map[string]string{
		strings.Repeat("[", 1<<15):                 "[1:9] holds lists or mappings too deep",
		strings.Repeat("{a: ", 1<<14):              "too deep",
		strings.Repeat("- ", 1<<15):                "too deep",
		strings.Repeat("!!x ", 1<<14):              "[1:1] holds a tag",
		"seed: &a 1\nsteps: *a\n":                  "[1:7] holds an anchor",
		"steps: *a\n":                              "[1:8] holds an alias",
		"network:\n  <<: {}\n":                     "holds a merge key",
		"? a\n: b\n":                               "holds a complex key",
		"%YAML 1.2\n---\nsteps: 3\n":               "holds a directive",
		strings.Repeat("#", maxConfigBytes) + "\n": "larger than a configuration",
		"|" + strings.Repeat("|", 1000):            "...",
	} {
		start := time.Now()
		c, err := ParseConfig(text)
		if err == nil || !strings.Contains(err.Error(), want) || len(err.Error()) > 300 ||
			strings.Contains(err.Error(), "\n") {
			t.Errorf("%.20q: %+v, error %.400v, expected %q", text, c, err, want)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("%.20q took %v", text, took)
		}
	}
	for _, text := range []string{"", "# nothing\n", "---\nsteps: 3\n", "network: {net: mlp, hidden: 3}\n",
		"scaler:\n  mean: [1, 2]\n  sd: [1, 1]\n"} {
		if _, err := ParseConfig(text); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}
