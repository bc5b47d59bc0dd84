// Folders of diffusers: what diffusers saved computes here what it computes there, and what is written here has its names
// and its bits.

package checkpoint

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigmaz/internal/approx"
	"sigmaz/kernels"
	"sigmaz/model"
)

// skipFolder is a folder that diffusers wrote, with its weights in both forms. skipFolder+".safetensors" has an input and
// what diffusers computes of it.
const skipFolder = "testdata/diffusers/skip"

// copyFolder copies the folder without the weights whose names end in leaveOut, and returns the copy.
func copyFolder(t *testing.T, leaveOut string) string {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "skip")
	if err := os.CopyFS(folder, os.DirFS(skipFolder)); err != nil {
		t.Fatal(err)
	}
	if leaveOut != "" {
		if err := os.Remove(filepath.Join(folder, diffusersWeights+leaveOut)); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// changeConfig changes one setting of a folder; nil takes it out.
func changeConfig(t *testing.T, folder, key string, value any) {
	t.Helper()
	path := filepath.Join(folder, diffusersConfigFile)
	text, err := os.ReadFile(path)
	settings := map[string]any{}
	if err == nil {
		err = json.Unmarshal(text, &settings)
	}
	if settings[key] = value; value == nil {
		delete(settings, key)
	}
	if err == nil {
		text, err = json.Marshal(settings)
	}
	if err == nil {
		err = os.WriteFile(path, text, 0o666)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestDiffusers(t *testing.T) {
	_, tensors, err := ReadSafetensors(skipFolder + ".safetensors")
	if err != nil {
		t.Fatal(err)
	}
	of := map[string][]float32{}
	for _, nt := range tensors {
		of[nt.Name] = nt.T.Float32s()
	}
	const n, h, w, c = 2, 8, 8, 3
	for _, without := range []string{".bin", ".safetensors"} {
		t.Run("without "+without, func(t *testing.T) {
			f, err := OpenWeights(copyFolder(t, without))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			net, err := f.Infer(ParamPrefix, "")
			if err != nil {
				t.Fatal(err)
			}
			if net.Height != h || net.Width != w || net.Channels != c || net.Rescaled || net.NGF != 8 || net.UNet.ChMult != "1,2" {
				t.Errorf("network %+v", net)
			}
			b := kernels.NewCPU(1)
			s, err := model.NewScore(b, net, kernels.Float32, n, 0)
			if err == nil {
				err = s.LoadFrom(f, ParamPrefix)
			}
			if err != nil {
				t.Fatal(err)
			}
			program, err := b.Compile(s.Arena, s.Ops)
			if err != nil {
				t.Fatal(err)
			}
			out := make([]float32, n*h*w*c)
			if err := errors.Join(s.Arena.Write(s.X, nhwc(of["x"], n, c, h, w)), s.Arena.Write(s.Sigma, of["sigma"]),
				program.Run(), s.Arena.Read(out, s.S)); err != nil {
				t.Fatal(err)
			}
			if err := approx.Compare("score", out, nhwc(of["out"], n, c, h, w), approx.RelMax(1e-5)); err != nil {
				t.Error(err)
			}
		})
	}
}

// nhwc turns images (N, C, H, W).
func nhwc(src []float32, n, c, h, w int) []float32 {
	dst := make([]float32, len(src))
	for i := range n {
		for j := range c {
			for k := range h * w {
				dst[(i*h*w+k)*c+j] = src[(i*c+j)*h*w+k]
			}
		}
	}
	return dst
}

// What is written has the names, shapes and bits that diffusers wrote, and is read back with its ladder.
func TestWriteDiffusers(t *testing.T) {
	from, err := OpenWeights(copyFolder(t, ".bin"))
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	ladder, err := model.Geometric(348, 0.01, 2000)
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(t.TempDir(), "written")
	state := StateFile{Network: *from.Network, Sigmas: ladder, Begin: 348, End: 0.01}
	if err := WriteDiffusers(folder, state, from, ParamPrefix); err != nil {
		t.Fatal(err)
	}
	_, want, err := ReadSafetensors(filepath.Join(skipFolder, diffusersWeights+".safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	_, got, err := ReadSafetensors(filepath.Join(folder, diffusersUNet, diffusersWeights+".safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want) {
		t.Errorf("%d tensors, expected %d", len(got), len(want))
	}
	written := model.NamedSet(got)
	for _, nt := range want {
		values := make([]float32, nt.T.Shape().TotalSize())
		if err := written.ReadTensor(nt.Name, values); err != nil {
			t.Error(err)
		} else if !slices.Equal(values, nt.T.Float32s()) {
			t.Errorf("%s is not what diffusers wrote", nt.Name)
		}
	}
	var mine, theirs map[string]any
	if err := errors.Join(readJSON(filepath.Join(folder, diffusersUNet, diffusersConfigFile), &mine),
		readJSON(filepath.Join(skipFolder, diffusersConfigFile), &theirs)); err != nil {
		t.Fatal(err)
	}
	for key, value := range mine {
		a, _ := json.Marshal(value)
		b, _ := json.Marshal(theirs[key])
		if string(a) != string(b) {
			t.Errorf("%s of %s is %s, diffusers has %s", key, diffusersConfigFile, a, b)
		}
	}

	back, err := OpenWeights(folder)
	if err != nil {
		t.Fatal(err)
	}
	defer back.Close()
	if i := ladder.DiffersFrom(back.Ladder); back.Ladder.Sigmas == nil || i >= 0 {
		t.Errorf("the ladder differs from level %d on", i)
	}
	if *back.Network != *from.Network {
		t.Errorf("the network is %+v, expected %+v", *back.Network, *from.Network)
	}
	for _, d := range from.Described(ParamPrefix) {
		a, b := make([]float32, d.Shape.TotalSize()), make([]float32, d.Shape.TotalSize())
		if err := errors.Join(from.ReadTensor(d.Name, a), back.ReadTensor(d.Name, b)); err != nil || !slices.Equal(a, b) {
			t.Errorf("%s: %v", d.Name, err)
		}
	}
}

// Every parameter of the published networks of Skip blocks has a name, and no two have the same.
func TestDiffusersNames(t *testing.T) {
	net := model.Config{Net: model.NCSNPP, Height: 256, Width: 256, Channels: 3, NGF: 128, UNet: skipUNet()}
	net.UNet.ChMult, net.UNet.ResBlocks, net.UNet.Attention = "1,1,2,2,2,2,2", 2, "16"
	names, d, err := namesFor(net)
	if err != nil {
		t.Fatal(err)
	}
	if d.DownBlockTypes[4] != attnSkipDown || d.UpBlockTypes[2] != attnSkipUp {
		t.Errorf("down %v, up %v", d.DownBlockTypes, d.UpBlockTypes)
	}
	if back, err := d.network(); err != nil || !model.SameParameters(net, back) {
		t.Errorf("read back it is %+v: %v", back, err)
	}
	large := net // 1024 pixels
	large.Height, large.Width, large.NGF = 1024, 1024, 16
	large.UNet.ChMult, large.UNet.ResBlocks = "1,2,4,8,16,32,32,32", 1
	d, err = diffusersOf(large)
	if err != nil {
		t.Fatal(err)
	}
	d.SampleSize = pixelSize{} // which says nothing about parameters
	if back, err := d.network(); err != nil || !model.SameParameters(large, back) {
		t.Errorf("read back it is %+v: %v", back, err)
	}
	params, err := net.Params()
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]string{}
	for _, p := range params {
		n, ok := names[p.Name]
		if !ok {
			t.Errorf("%s has no name in diffusers", p.Name)
			continue
		}
		if other := used[n.theirs[0]]; other != "" {
			t.Errorf("%s and %s are both %s", p.Name, other, n.theirs[0])
		}
		used[n.theirs[0]] = p.Name
	}
	for ours, theirs := range map[string]string{"all_modules.0.W": "time_proj.weight", "all_modules.3.weight": "conv_in.weight"} {
		if used[theirs] != ours {
			t.Errorf("%s is %s, expected %s", theirs, used[theirs], ours)
		}
	}
}

// What does not fit is refused in one sentence that says what.
func TestDiffusersRefusals(t *testing.T) {
	for _, c := range []struct {
		key   string
		value any
		want  string
	}{
		{"_class_name", "UNet2DConditionModel", "_class_name is"},
		{"block_out_channels", []int{8, 12}, "no multiples of the first"},
		{"block_out_channels", []int{}, "block_out_channels is"},
		{"block_out_channels", "8", "has a string as block_out_channels"},
		{"down_block_types", []string{"DownBlock2D", "DownBlock2D"}, "level 0 goes down by"},
		{"down_block_types", []string{"SkipDownBlock2D", "AttnSkipDownBlock2D"}, "level 1 goes down by"},
		{"time_embedding_type", "positional", "time_embedding_type is"},
		{"act_fn", "gelu", "act_fn is"},
		{"norm_eps", nil, "norm_eps is 1e-05"},
		{"norm_num_groups", nil, "norm_num_groups is 32"},
		{"attention_head_dim", nil, "attention_head_dim is 8, which makes 2 heads"},
		{"mid_block_scale_factor", nil, "mid_block_scale_factor is 1"},
		{"in_channels", 1, "in_channels is 1"},
		{"num_class_embeds", 10, "embedding of classes"},
		{"sample_size", "large", "sample_size"},
		{"layers_per_block", 2, "has no tensor down_blocks.0.resnets.1.norm1.weight"},
	} {
		folder := copyFolder(t, ".bin")
		changeConfig(t, folder, c.key, c.value)
		w, err := OpenWeights(folder)
		if err == nil {
			w.Close()
			t.Errorf("%s %v is taken", c.key, c.value)
		} else if text := err.Error(); !strings.Contains(text, c.want) || !strings.Contains(text, folder) || strings.Contains(text, "\n") {
			t.Errorf("%s %v: %s: expected %q and the folder", c.key, c.value, text, c.want)
		}
	}

	empty := copyFolder(t, ".bin")
	if err := os.Remove(filepath.Join(empty, diffusersWeights+".safetensors")); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenWeights(empty); err == nil || !strings.Contains(err.Error(), "holds no weights") {
		t.Errorf("without weights: %v", err)
	}

	net := model.Config{Net: model.NCSNPP, Height: 16, Width: 16, Channels: 3, NGF: 8, UNet: skipUNet()}
	net.UNet.ChMult, net.UNet.ResBlocks = "1,2", 1
	for want, change := range map[string]func(c *model.Config){
		"2 channels, not 3":                        func(c *model.Config) { c.Channels = 2 },
		"its settings are others":                  func(c *model.Config) { c.UNet.Progressive = "none" },
		"its activation is elu":                    func(c *model.Config) { c.Nonlinearity = "elu" },
		"a level of 16 channels has attention":     func(c *model.Config) { c.UNet.Attention = "8" },
		"it is network ncsnv2":                     func(c *model.Config) { *c = model.Config{Net: "ncsnv2", NGF: 8, Channels: 3} },
		"diffusers has no network for this one (i": func(c *model.Config) { c.UNet.FIR = false },
	} {
		c := net
		change(&c)
		if _, err := diffusersOf(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: expected %q", err, want)
		}
	}
	if _, err := diffusersOf(net); err != nil {
		t.Error(err)
	}
}
