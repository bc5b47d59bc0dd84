package inception

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	numbers "sigmaz/internal/made"
	"sigmaz/internal/npy"
	"sigmaz/kernels"
	"sigmaz/sample/eval"
	"sigmaz/sample/eval/layers"
	"sigmaz/sample/eval/layers/layerstest"
)

// built calls newNetwork for nothing but what it asks for.
func built(get layerstest.Get) error {
	_, err := newNetwork(get)
	return err
}

// shapes returns the tensors that the network asks for.
var shapes = sync.OnceValue(func() map[string][]int {
	all, err := layerstest.Shapes(built)
	if err != nil {
		panic(err)
	}
	return all
})

// made returns the network with the weights of testdata/inception.py.
var made = sync.OnceValue(func() *Network {
	get, err := layerstest.Weights(built)
	if err != nil {
		panic(err)
	}
	net, err := newNetwork(get)
	if err != nil {
		panic(err)
	}
	return net
})

var all = eval.Workers{Ctx: context.Background()}

// The architecture has 94 convolutions, with their batch norms, and a linear layer.
func TestTensors(t *testing.T) {
	convolutions, values := 0, 0
	for name, shape := range shapes() {
		if len(shape) == 4 {
			convolutions++
		}
		if !strings.Contains(name, "running") {
			values += layerstest.Product(shape)
		}
	}
	if convolutions != 94 || len(shapes()) != 5*94+2 || values != 23_850_960 { // counted by PyTorch
		t.Errorf("%d convolutions, %d tensors, %d parameters", convolutions, len(shapes()), values)
	}
	if n := made().MACs(); n < 5.6e9 || n > 5.8e9 { // torchvision's documentation has 5.71 GFLOPS
		t.Errorf("%d multiply-adds", n)
	}
}

// output is what a block leaves, in testdata/inception.json.
type output struct {
	Shape  []int
	Step   int
	Values []byte // float32 of every step-th value
}

// Every block against PyTorch's, with the same weights.
func TestInceptionGolden(t *testing.T) {
	text, err := os.ReadFile("testdata/inception.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		N, H, W, C int
		Resized    bool
		Images     []byte
		Blocks     map[string]output
	}
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	net := made()
	for _, c := range cases {
		seen := map[string][]float32{}
		see := func(name string, y layers.Maps) { seen[name] = y.X }
		x := layers.Maps{N: c.N, H: c.H, W: c.W, C: c.C}
		if c.Resized {
			x = prepared(c.Images, c.N, c.H, c.W, c.C)
		} else {
			for _, b := range c.Images {
				x.X = append(x.X, scaled(values[b]))
			}
		}
		features := net.forward(x, see)
		if c.Resized {
			got, err := net.Run(all, c.Images, c.H, c.W, c.C)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got.X, features) {
				t.Error("Run does not do what forward does")
			}
		}
		seen["features"] = features
		seen["logits"] = net.Scores(eval.Rows{N: c.N, D: Features, X: features}).X
		for i := range seen["logits"] { // PyTorch's have biases
			seen["logits"][i] += numbers.Number(sort.SearchStrings(slices.Sorted(maps.Keys(shapes())), "fc.bias")+1, i%Classes) - 0.5
		}
		if len(c.Blocks) < 3 {
			t.Errorf("%dx%d: %d blocks", c.H, c.W, len(c.Blocks))
		}
		for name, want := range c.Blocks {
			got := seen[name]
			if len(got) != layerstest.Product(want.Shape) || len(want.Values)/4 != (len(got)+want.Step-1)/want.Step {
				t.Errorf("%dx%d: %s has %d values, expected %v", c.H, c.W, name, len(got), want.Shape)
				continue
			}
			worst, largest := 0.0, 0.0
			for i := range len(want.Values) / 4 {
				v := float64(math.Float32frombits(binary.LittleEndian.Uint32(want.Values[4*i:])))
				worst = max(worst, math.Abs(v-float64(got[i*want.Step])))
				largest = max(largest, math.Abs(v))
			}
			if !(worst <= 1e-5*largest) {
				t.Errorf("%dx%d: %s is off by up to %g of %g", c.H, c.W, name, worst, largest)
			}
			t.Logf("%dx%d: %s is off by up to %.2g of its largest", c.H, c.W, name, worst/largest)
		}
	}
}

// prepared are images as Run gives them to forward.
func prepared(images []byte, n, h, w, c int) layers.Maps {
	x := layers.NewMaps(n, Side, Side, 3)
	for i := range n {
		layers.Resize(x.X[i*Side*Side*3:], images[i*h*w*c:(i+1)*h*w*c], c, layers.Bilinear(h, Side), layers.Bilinear(w, Side), &values, scaled)
	}
	return x
}

// The features of an image do not depend on the others, on the workers, or on whether grey is given once or three times.
func TestRun(t *testing.T) {
	net := made()
	const n, h, w = batch + 1, 28, 20
	grey, colour := make([]byte, 0, n*h*w), make([]byte, 0, 3*n*h*w)
	for i := range n * h * w {
		v := byte(kernels.Stream{Seed: 1, N: uint64(i)}.Word(0))
		grey, colour = append(grey, v), append(colour, v, v, v)
	}
	a, err := net.Run(all, grey, h, w, 1)
	if err != nil {
		t.Fatal(err)
	}
	b, err := net.Run(eval.Workers{Ctx: all.Ctx, N: 1}, colour[:3*2*h*w], h, w, 3)
	if err != nil {
		t.Fatal(err)
	}
	last, err := net.Run(all, grey[(n-1)*h*w:], h, w, 1)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(a.X[:2*Features], b.X) || !slices.Equal(a.Row(n-1), last.X) {
		t.Error("the same images have other features")
	}
	if slices.Equal(a.Row(0), a.Row(1)) {
		t.Error("all images have the same features")
	}
	if _, err := net.Run(all, grey, h, w, 2); err == nil {
		t.Error("two channels are taken")
	}
}

// A file without a tensor, or with one of another shape, is refused by its name.
func TestRefuses(t *testing.T) {
	for _, c := range []struct{ name, want string }{
		{"Mixed_6e.branch7x7dbl_4.bn.running_var", "no tensor"},
		{"fc.weight", "shape"},
		{"fc.bias", "no tensor"},
	} {
		_, err := newNetwork(func(name string, shape ...int) ([]float32, error) {
			if name == c.name {
				return nil, fmt.Errorf("%s: %s", c.want, name)
			}
			return make([]float32, layerstest.Product(shape)), nil
		})
		if err == nil || !strings.Contains(err.Error(), c.name) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if _, err := Open("../../../internal/pytorch/testdata"); err == nil {
		t.Error("a folder is taken for the weights")
	}
}

// Against pytorch-fid, with what testdata/fid.py has left in the folder that SIGMAZ_FID names.
func TestFID(t *testing.T) {
	dir := os.Getenv("SIGMAZ_FID")
	if dir == "" {
		t.Skip("SIGMAZ_FID names no folder of testdata/fid.py")
	}
	net, err := Open(filepath.Join(dir, "weights.pth"))
	if err != nil {
		t.Fatal(err)
	}
	var want struct{ FID float64 }
	text, err := os.ReadFile(filepath.Join(dir, "fid.json"))
	if err == nil {
		err = json.Unmarshal(text, &want)
	}
	if err != nil {
		t.Fatal(err)
	}
	var moments [2]eval.Moments
	for k, name := range []string{"a", "b"} {
		images, shape := readNPY[uint8](t, filepath.Join(dir, name+".npy"))
		features, _ := readNPY[float32](t, filepath.Join(dir, name+"-features.npy"))
		start := time.Now()
		got, err := net.Run(all, images, shape[1], shape[2], shape[3])
		if err != nil {
			t.Fatal(err)
		}
		seconds := time.Since(start).Seconds()
		worst, largest := 0.0, 0.0
		for i, v := range features {
			worst, largest = max(worst, math.Abs(float64(v)-float64(got.X[i]))), max(largest, math.Abs(float64(v)))
		}
		if !(worst <= 1e-5*largest) {
			t.Errorf("%s: features are off by up to %g of %g", name, worst, largest)
		}
		rate := float64(got.N) / seconds
		t.Logf("%s: %d images, features off by up to %.2g of the largest; %.3g images a second, %.3g of the peak", name, got.N, worst/largest,
			rate, 2*rate*float64(net.MACs())/kernels.PeakFLOPS(runtime.GOMAXPROCS(0), 200*time.Millisecond))
		if moments[k], err = eval.MomentsOf(got); err != nil {
			t.Fatal(err)
		}
	}
	got, err := eval.Frechet(moments[0], moments[1])
	if err != nil {
		t.Fatal(err)
	}
	off := math.Abs(got-want.FID) / want.FID
	t.Logf("FID %.9g, that of fid.py %.9g: off by %.2g", got, want.FID, off)
	if !(off < 1e-4) {
		t.Error("the distances differ")
	}
}

// readNPY reads an array.
func readNPY[V npy.Value](t *testing.T, path string) ([]V, []int) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	a, err := npy.NewReader(path, f, -1)
	if err != nil {
		t.Fatal(err)
	}
	x, err := npy.ReadAll[V](a)
	if err != nil {
		t.Fatal(err)
	}
	return x, a.Shape
}
