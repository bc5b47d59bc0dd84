// One golden file: metadata and tensors, with what tests ask of them.

package golden

import (
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"gorgonia.org/tensor"

	"sigmaz/internal/made"
	"sigmaz/model"
	"sigmaz/model/checkpoint"
)

// File is one golden file.
type File struct {
	Meta    map[string]string
	Tensors []model.Named // in the file's order
}

// Dirs lists the folders with golden files: the repository's own, and that of GOLDEN_DIR where it is set.
func Dirs(t testing.TB) []string {
	t.Helper()
	dirs := []string{Path()}
	if dir := os.Getenv("GOLDEN_DIR"); dir != "" {
		dirs = append(dirs, dir)
	}
	return dirs
}

// Path returns the path of a file in the repository's own folder; without names, the folder's.
func Path(names ...string) string {
	return filepath.Join(append([]string{Module(), "model", "testdata", "golden"}, names...)...)
}

// Module returns the root folder of the module, from wherever in it a test runs.
func Module() string {
	dir, err := os.Getwd()
	if err != nil {
		panic(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			panic("golden: the test runs outside of the module: there is no go.mod above it")
		}
		dir = up
	}
}

// Glob lists the files of all folders whose names match the pattern, with those of other programs in testdata: the original
// of Song et al. 2021, and diffusers. A folder without one fails the test, but for these.
func Glob(t testing.TB, pattern string) (all []string) {
	t.Helper()
	for _, of := range []string{"score_sde", "diffusers"} {
		paths, err := filepath.Glob(filepath.Join(Path(), "..", of, pattern))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, paths...)
	}
	for _, dir := range Dirs(t) {
		paths, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil || len(paths) == 0 {
			t.Fatalf("%s holds no %s: %v", dir, pattern, err)
		}
		all = append(all, paths...)
	}
	return all
}

// Read reads a golden file of a network.
func Read(t testing.TB, path string) *File {
	t.Helper()
	meta, tensors, err := checkpoint.ReadSafetensors(path)
	if err != nil {
		t.Fatal(err)
	}
	if meta["format"] != "golden-1" {
		t.Fatalf("%s has format %q, expected golden-1", path, meta["format"])
	}
	f := &File{meta, tensors}
	f.makeParams(t)
	return f
}

// makeParams adds the parameters of a file that has their shapes alone, by the formula of model/testdata/diffusers/ddpm.py.
func (f *File) makeParams(t testing.TB) {
	t.Helper()
	for i, line := range strings.Fields(f.Meta["shapes"]) {
		name, sides, _ := strings.Cut(line, "=")
		var shape tensor.Shape
		for _, side := range strings.Split(sides, ",") {
			d, err := strconv.Atoi(side)
			if err != nil {
				t.Fatalf("metadata shapes: %s: %v", line, err)
			}
			shape = append(shape, d)
		}
		inputs := shape.TotalSize() / shape[0]
		if strings.HasSuffix(name, ".W") { // (in, out)
			inputs = shape[0]
		}
		x, factor := make([]float32, shape.TotalSize()), float32(math.Sqrt(3/float64(inputs)))
		for j := range x {
			switch u := made.Number(i+1, j); {
			case len(shape) > 1:
				x[j] = (2*u - 1) * factor
			case strings.HasSuffix(name, ".weight"):
				x[j] = 0.75 + 0.5*u
			default:
				x[j] = 0.2 * (u - 0.5)
			}
		}
		f.Tensors = append(f.Tensors, model.Named{Name: "param." + name, T: tensor.New(tensor.WithShape(shape...), tensor.WithBacking(x))})
	}
}

// Some returns the values of a tensor of gradients, or of one after steps of Adam, that the file has: all, but in a file that
// holds some places alone.
func (f *File) Some(t testing.TB, all []float32) []float32 {
	t.Helper()
	if f.Meta["places"] == "" {
		return all
	}
	step := max(1, len(all)/f.Int(t, "places"))
	for step > 1 && (step%2 == 0 || step%3 == 0) {
		step--
	}
	var some []float32
	for i := 0; i < len(all); i += step {
		some = append(some, all[i])
	}
	return some
}

// Number returns a number of the metadata; keys that belong to other networks are 0.
func (f *File) Number(t testing.TB, key string) float64 {
	t.Helper()
	text, ok := f.Meta[key]
	if !ok {
		return 0
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatalf("metadata %s: %v", key, err)
	}
	return v
}

// Int returns a whole number of the metadata.
func (f *File) Int(t testing.TB, key string) int {
	t.Helper()
	return int(f.Number(t, key))
}

// Tensor returns the tensor of that name.
func (f *File) Tensor(t testing.TB, name string) *tensor.Dense {
	t.Helper()
	for _, nt := range f.Tensors {
		if nt.Name == name {
			return nt.T
		}
	}
	t.Fatalf("the golden file has no tensor %s", name)
	return nil
}

// Floats returns the values of a float32 tensor.
func (f *File) Floats(t testing.TB, name string) []float32 {
	t.Helper()
	v := f.Tensor(t, name)
	if v.Dtype() != tensor.Float32 {
		t.Fatalf("%s is %v, expected float32", name, v.Dtype())
	}
	return v.Float32s()
}

// NHWC returns a tensor of (N, C, H, W) in the order (N, H, W, C).
func (f *File) NHWC(t testing.TB, name string) []float32 {
	t.Helper()
	src, s := f.Floats(t, name), f.Tensor(t, name).Shape()
	if len(s) != 4 {
		t.Fatalf("%s has shape %v, expected (N, C, H, W)", name, s)
	}
	dst := make([]float32, 0, len(src))
	c, pixels := s[1], s[2]*s[3]
	for n := range s[0] {
		for p := range pixels {
			for k := range c {
				dst = append(dst, src[(n*c+k)*pixels+p])
			}
		}
	}
	return dst
}

// Group lists the tensors called from+NAME as to+NAME.
func (f *File) Group(from, to string) []model.Named {
	var list []model.Named
	for _, nt := range f.Tensors {
		if short, ok := strings.CutPrefix(nt.Name, from); ok {
			list = append(list, model.Named{Name: to + short, T: nt.T})
		}
	}
	return list
}

// Process returns the process that a file of Song et al. 2021 noises its images by: vesde, vpsde or subvpsde; "" for
// the other files, which have the levels of a ladder.
func (f *File) Process() string { return f.Meta["sde"] }

// Bool returns a choice of the metadata; keys that belong to other networks are false.
func (f *File) Bool(key string) bool { return f.Meta[key] == "true" }

// unet returns the configuration of a U-Net.
func (f *File) unet(t testing.TB) model.Config {
	t.Helper()
	c := model.Config{Net: f.Meta["net"], NGF: f.Int(t, "nf"), Height: f.Int(t, "height"), Width: f.Int(t, "width"),
		Channels: f.Int(t, "channels"), Nonlinearity: f.Meta["nonlinearity"], Rescaled: f.Bool("centered"),
		UNet: model.UNet{ChMult: f.Meta["ch_mult"], ResBlocks: f.Int(t, "num_res_blocks"), Attention: f.Meta["attn_resolutions"],
			Dropout: f.Number(t, "dropout"), ResBlock: f.Meta["resblock_type"], ResampWithConv: f.Bool("resamp_with_conv"),
			FIR: f.Bool("fir"), FIRKernel: f.Meta["fir_kernel"], SkipRescale: f.Bool("skip_rescale"),
			Progressive: f.Meta["progressive"], ProgressiveInput: f.Meta["progressive_input"],
			Combine: f.Meta["progressive_combine"], Unconditional: !f.Bool("conditional"),
			Embedding: f.Meta["embedding_type"], FourierScale: f.Number(t, "fourier_scale"),
			InitScale: f.Number(t, "init_scale"), ScaleBySigma: f.Bool("scale_by_sigma")}}
	switch f.Process() {
	case "vpsde", "subvpsde":
		c.SDE = model.SDE{Kind: strings.TrimSuffix(f.Process(), "sde"), BetaMin: f.Number(t, "beta_min"),
			BetaMax: f.Number(t, "beta_max")}
	}
	if c.SDE.Discrete = !f.Bool("continuous"); c.SDE.Discrete {
		c.Levels = f.Int(t, "num_scales")
	}
	return c
}

// Network returns the configuration of the file's network.
func (f *File) Network(t testing.TB) model.Config {
	t.Helper()
	if f.Meta["nf"] != "" {
		return f.unet(t)
	}
	c := model.Config{Net: f.Meta["net"], NGF: f.Int(t, "ngf"), Height: f.Int(t, "height"), Width: f.Int(t, "width"),
		Channels: f.Int(t, "channels"), Hidden: f.Int(t, "hidden"), DataSD: f.Number(t, "data_sd")}
	if c.TakesImages() {
		c.Normalization, c.Nonlinearity = f.Meta["normalization"], f.Meta["nonlinearity"]
		c.Levels, c.Rescaled = f.Int(t, "levels"), f.Meta["rescaled"] == "true"
	}
	return c
}
