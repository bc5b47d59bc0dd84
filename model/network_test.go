// The networks of the published configurations, and those that cannot be.

package model

import (
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"sigmaz/kernels"
)

// The published networks, as a PyTorch twin lists them (testdata/golden/golden.py): every name, shape and place of
// their state_dicts, the numbers of parameters and tensors that running the original constructors gave, and their work.
func TestPublishedNetworks(t *testing.T) {
	published := map[string]struct {
		c                           Config
		levels, parameters, entries int
		work                        float64 // G multiply-adds
	}{
		"ncsn-mnist": {Config{Net: "ncsn", Height: 28, Width: 28, Channels: 1, NGF: 64, Levels: 10}, 10,
			7638657, 173, 1.89},
		"ncsn-cifar10": {Config{Net: "ncsn", Height: 32, Width: 32, Channels: 3, NGF: 128, Levels: 10}, 10,
			30117635, 173, 9.89},
		"ncsnv2-cifar10": {Config{Net: "ncsnv2", Height: 32, Width: 32, Channels: 3, NGF: 128}, 232, 29694083,
			154, 9.9},
		"ncsnv2deeper-bedroom": {Config{Net: "ncsnv2deeper", Height: 128, Width: 128, Channels: 3, NGF: 128}, 1086,
			83445379, 192, 151},
		"ncsnv2deepest-ffhq": {Config{Net: "ncsnv2deepest", Height: 256, Width: 256, Channels: 3, NGF: 128}, 2311,
			94132611, 230, 419},
	}
	text, err := os.ReadFile("testdata/state_dicts.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range strings.Split(string(text), "== ")[1:] {
		head, body, _ := strings.Cut(list, "\n")
		title, _, _ := strings.Cut(head, " ")
		want, ok := published[title]
		delete(published, title)
		if got := fmt.Sprintf("%s %d %d", title, want.parameters, want.entries); !ok || head != got {
			t.Fatalf("the list is of %q, expected %q", head, got)
		}
		dict, err := want.c.StateDict(want.levels)
		if err != nil {
			t.Fatal(err)
		}
		var lines []string
		for _, e := range dict {
			lines = append(lines, e.Name+" "+strings.Trim(fmt.Sprint([]int(e.Shape)), "[]"))
		}
		for i, line := range strings.Split(strings.TrimSpace(body), "\n") {
			if i >= len(lines) || lines[i] != line {
				t.Errorf("%s: entry %d is %q, expected %q", title, i, append(lines, "none")[min(i, len(lines))], line)
				break
			}
		}
		info, err := Describe(want.c)
		if err != nil {
			t.Fatal(err)
		}
		tensors := want.entries
		if want.c.HasSigmas() {
			tensors--
		}
		if len(dict) != want.entries || info.Parameters != want.parameters || info.Tensors != tensors {
			t.Errorf("%s: %d parameters in %d tensors, %d entries; expected %d in %d, %d", title, info.Parameters,
				info.Tensors, len(dict), want.parameters, tensors, want.entries)
		}
		if g := float64(info.MACs) / 1e9; math.Abs(g/want.work-1) > 5e-3 {
			t.Errorf("%s: %.4g G multiply-adds, expected %.4g", title, g, want.work)
		}
	}
	for title := range published {
		t.Errorf("no list of %s", title)
	}
}

func TestBadNetworks(t *testing.T) {
	image := func(net string, h, w int) Config {
		return Config{Net: net, Height: h, Width: w, Channels: 1, NGF: 2, Levels: 3}
	}
	with := func(c Config, change func(*Config)) Config { change(&c); return c }
	for _, c := range []struct {
		cfg  Config
		want string
	}{
		{Config{Net: "unet", Height: 4, Width: 4, Channels: 1},
			`net is "unet": expected one of ` + strings.Join(Networks(), ", ")},
		{with(image("ncsnv2", 4, 4), func(c *Config) { c.NGF = 1 }), "ngf is 1"},
		{image("ncsnv2", 5, 4), "the images are 5 x 4 (height x width): network ncsnv2 halves both, so both must be " +
			"multiples of 2, such as 6 x 4"},
		{image("ncsn", 28, 27), "network ncsn halves both, so both must be multiples of 2, such as 28 x 28"},
		{image("ncsnv2deeper", 30, 28), "network ncsnv2deeper halves both twice, so both must be multiples of 4, " +
			"such as 32 x 28"},
		{image("ncsnv2deepest", 28, 32), "network ncsnv2deepest halves both three times, so both must be multiples " +
			"of 8, such as 32 x 32"},
		{image("ncsnv2deepest", 64, 1), "multiples of 8, such as 64 x 8"},
		{image("ncsnv2deepest", 8, 8), "makes a single pixel of them, of which a norm leaves nothing, so one of the " +
			"two must be larger, such as 16 x 16"},
		{image("ncsn", 2, 2), "makes a single pixel"},
		{image("ncsnv2", 4, 0), "at least 1"},
		{with(image("ncsn", 4, 4), func(c *Config) { c.Levels = 0 }), "levels is 0: network ncsn"},
		{with(image("ncsnv2", 4, 4), func(c *Config) { c.Levels, c.Normalization = 0, "InstanceNorm" }),
			"levels is 0: network ncsnv2 with InstanceNorm"},
		{with(image("ncsn", 4, 4), func(c *Config) { c.Normalization = "BatchNorm" }),
			`normalization is "BatchNorm": expected InstanceNorm++ or InstanceNorm`},
		{with(image("ncsn", 4, 4), func(c *Config) { c.Nonlinearity = "gelu" }),
			`nonlinearity is "gelu": expected one of elu, relu, lrelu, swish`},
		{Config{Net: "mlp", Height: 4, Width: 4, Channels: 1, Hidden: 4, DataSD: 1}, "use `net` ncsnv2"},
		{Config{Net: "mlp", Height: 1, Width: 1, Channels: 2, Hidden: 4}, "data_sd"},
	} {
		if _, err := Build(c.cfg, 2, Gradients, kernels.Weight{Power: 2}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: error %v, expected %q", c.cfg, err, c.want)
		}
	}
}

// What is refused and what is not, for every size up to 33: a network is built exactly where both sides are multiples
// of its unit and more than one pixel is left.
func TestSizes(t *testing.T) {
	for net, unit := range map[string]int{"ncsn": 2, "ncsnv2": 2, "ncsnv2deeper": 4, "ncsnv2deepest": 8} {
		for h := 1; h <= 33; h++ {
			for _, w := range []int{1, 2, 6, 8, 12, 16, 20, 24, 28} {
				c := Config{Net: net, Height: h, Width: w, Channels: 1, NGF: 2, Levels: 3}
				want := h%unit == 0 && w%unit == 0 && h*w > unit*unit
				if err := c.Validate(); (err == nil) != want {
					t.Errorf("%s at %d x %d: error %v", net, h, w, err)
				}
				if want && h <= 16 {
					if _, err := Build(c, 1, ScoreOnly, kernels.Weight{}); err != nil {
						t.Errorf("%s at %d x %d: %v", net, h, w, err)
					}
				}
			}
		}
	}
}
