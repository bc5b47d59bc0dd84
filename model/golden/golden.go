// One golden file: metadata and tensors, with what tests ask of them.

package golden

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"gorgonia.org/tensor"

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

// Glob lists the files of all folders whose names match the pattern. A folder without one fails the test.
func Glob(t testing.TB, pattern string) []string {
	t.Helper()
	var all []string
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
	return &File{meta, tensors}
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

// Network returns the configuration of the file's network.
func (f *File) Network(t testing.TB) model.Config {
	t.Helper()
	c := model.Config{Net: f.Meta["net"], NGF: f.Int(t, "ngf"), Height: f.Int(t, "height"), Width: f.Int(t, "width"),
		Channels: f.Int(t, "channels"), Hidden: f.Int(t, "hidden"), DataSD: f.Number(t, "data_sd")}
	if c.TakesImages() {
		c.Normalization, c.Nonlinearity = f.Meta["normalization"], f.Meta["nonlinearity"]
		c.Levels, c.Rescaled = f.Int(t, "levels"), f.Meta["rescaled"] == "true"
	}
	return c
}
