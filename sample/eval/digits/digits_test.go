package digits

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"slices"
	"testing"

	"sigmaz/kernels"
)

// golden is testdata/digits.json.
type golden struct {
	Images           []byte
	Features, Logits []float32
	Labels           []int
	Loss             float64
	Gradients        [][]float64
}

func readGolden(t *testing.T) (g golden) {
	t.Helper()
	text, err := os.ReadFile("testdata/digits.json")
	if err == nil {
		err = json.Unmarshal(text, &g)
	}
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// The shipped network against PyTorch: testdata/digits.py.
func TestDigitsGolden(t *testing.T) {
	want := readGolden(t)
	var first []float32
	for _, batch := range []int{1, 4, 100} {
		net, err := New(kernels.NewCPU(2), batch, Weights())
		if err != nil {
			t.Fatal(err)
		}
		features, logits, err := net.Run(want.Images)
		if err != nil {
			t.Fatal(err)
		}
		close := func(what string, got, want []float32) {
			t.Helper()
			if len(got) != len(want) {
				t.Fatalf("%d %s, expected %d", len(got), what, len(want))
			}
			scale := float64(max(slices.Max(want), -slices.Min(want)))
			for i, v := range want {
				if !(math.Abs(float64(got[i]-v)) <= 1e-5*scale) {
					t.Errorf("%s %d: %g, PyTorch %g", what, i, got[i], v)
				}
			}
		}
		close("features", features, want.Features)
		close("logits", logits, want.Logits)
		if first == nil {
			first = features
		}
		if !slices.Equal(features, first) {
			t.Errorf("features differ with batches of %d", batch)
		}
	}
}

// strokes makes images of two kinds: an upright bar, a bar that lies.
func strokes(n int) (images, labels []byte) {
	images, labels = make([]byte, n*pixels), make([]byte, n)
	for i := range labels {
		at := kernels.Stream{Seed: 5, N: uint64(i)}.Word(0) % 20
		labels[i] = byte(i % 2)
		for k := range 20 {
			if p := int(at+4)*Side + k + 4; i%2 == 0 {
				images[i*pixels+p] = 250
			} else {
				images[i*pixels+(k+4)*Side+int(at+4)] = 250
			}
		}
	}
	return images, labels
}

// Training has the same bits for any number of workers, and learns.
func TestTrain(t *testing.T) {
	images, labels := strokes(120)
	s := Settings{Seed: 3, Batch: 20, Epochs: 4, LR: 3e-3, EMA: 0.8}
	var first []float32
	for _, workers := range []int{1, 2, 3} {
		var losses []float64
		w, err := Train(kernels.NewCPU(workers), s, images, labels, func(_ int, loss float64) error {
			losses = append(losses, loss)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = w
		}
		if !slices.Equal(w, first) {
			t.Errorf("%d workers give other weights than one", workers)
		}
		if len(losses) != s.Epochs || !(losses[s.Epochs-1] < 0.2*losses[0]) {
			t.Errorf("losses %v", losses)
		}
	}
	net, err := New(kernels.NewCPU(0), 7, first)
	if err != nil {
		t.Fatal(err)
	}
	_, logits, err := net.Run(images)
	if err != nil {
		t.Fatal(err)
	}
	for i, l := range labels {
		if Class(logits[i*Classes:(i+1)*Classes]) != int(l) {
			t.Errorf("image %d is taken for another", i)
		}
	}
}

// The loss and the gradients of a step against PyTorch's.
func TestDigitsGradientGolden(t *testing.T) {
	want := readGolden(t)
	step := newGraph(len(want.Labels))
	s := step.training(Settings{Batch: len(want.Labels)})
	b := kernels.NewCPU(2)
	arena, err := b.Alloc(step.words, s.ops)
	if err != nil {
		t.Fatal(err)
	}
	program, err := b.Compile(arena, s.ops)
	if err != nil {
		t.Fatal(err)
	}
	for i, l := range want.Labels {
		s.labels[i] = byte(l)
	}
	x := make([]float32, step.x.N)
	scale(x, want.Images)
	if err := arena.Write(step.x, x); err != nil {
		t.Fatal(err)
	}
	if err := arena.Write(step.all, Weights()); err != nil {
		t.Fatal(err)
	}
	if err := program.Run(); err != nil {
		t.Fatal(err)
	}
	if got := float64(s.loss.Of(arena.Host())[0]); !(math.Abs(got-want.Loss) <= 1e-5*want.Loss) {
		t.Errorf("loss %g, PyTorch %g", got, want.Loss)
	}
	var grad kernels.Buf
	for _, op := range s.ops {
		if a, ok := op.(kernels.Adam); ok {
			grad = a.Grad
		}
	}
	for i := range layers {
		for k, buf := range []kernels.Buf{step.weight[i], step.bias[i]} {
			got, expected := grad.Slice(buf.Off-step.all.Off, buf.N).Of(arena.Host()), want.Gradients[2*i+k]
			norm := 0.0
			for _, v := range got {
				norm += float64(v) * float64(v)
			}
			values := []float64{math.Sqrt(norm)}
			for n := 0; n < min(1000, buf.N); n += 97 {
				values = append(values, float64(got[n]))
			}
			if len(values) != len(expected) || expected[0] == 0 {
				t.Fatalf("%s: %d values, expected %d", layers[i].name, len(values), len(expected))
			}
			for n, v := range values {
				if !(math.Abs(v-expected[n]) <= 1e-4*expected[0]) {
					t.Errorf("%s: gradient %g, PyTorch %g", layers[i].name, v, expected[n])
				}
			}
		}
	}
}

// The file in the tree is what encoding its weights gives, and of the network's size.
func TestWeights(t *testing.T) {
	w := Weights()
	if len(w) != Parameters() || len(shipped) > 1_500_000 {
		t.Fatalf("%d weights in %d bytes, expected %d", len(w), len(shipped), Parameters())
	}
	if !bytes.Equal(Encode(w), shipped) {
		t.Error("weights.f16 changes when it is written again")
	}
}

func TestRefuses(t *testing.T) {
	images, labels := strokes(20)
	b := kernels.NewCPU(1)
	if _, err := New(b, 1, make([]float32, 5)); err == nil {
		t.Error("5 weights are taken")
	}
	if _, err := Train(b, Default(), images, labels, nil); err == nil {
		t.Error("fewer images than a batch are taken")
	}
	labels[3] = 10
	if _, err := Train(b, Settings{Batch: 4}, images, labels, nil); err == nil {
		t.Error("a label of 10 is taken")
	}
}
