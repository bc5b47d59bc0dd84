// Wrong calls about PyTorch's files and NumPy's arrays.

package cmd_test

import (
	"archive/zip"
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func init() { wrongCalls = append(wrongCalls, wrongPyTorch...) }

// torchFiles puts a good checkpoint of PyTorch and bad ones in a folder "torch".
func torchFiles(t *testing.T, dir string) {
	t.Helper()
	good, err := os.ReadFile(filepath.Join("..", "model", "testdata", "golden", "ncsn-12x8.pth"))
	if err != nil {
		t.Fatal(err)
	}
	legacy, err := os.ReadFile(filepath.Join("..", "model", "testdata", "golden", "ncsn-12x8-legacy.pth"))
	if err != nil {
		t.Fatal(err)
	}
	sgd, err := os.ReadFile(filepath.Join("..", "model", "checkpoint", "testdata", "pth", "sgd.pth"))
	if err != nil {
		t.Fatal(err)
	}
	// The rate of Adam in the pickle, a float64 behind its key: at 0, as a schedule may leave it.
	zero := bytes.Clone(legacy)
	key := bytes.Index(zero, []byte("X\x02\x00\x00\x00lr"))
	clear(zero[key+bytes.IndexByte(zero[key:], 'G')+1:][:8])
	var evil bytes.Buffer
	w := zip.NewWriter(&evil)
	e, err := w.CreateHeader(&zip.FileHeader{Name: "a/data.pkl", Method: zip.Store})
	if err != nil {
		t.Fatal(err)
	}
	e.Write([]byte("cposix\nsystem\nX\x0a\x00\x00\x00touch evil\x85R."))
	// CreateHeader leaves the sizes to a descriptor behind the data, which is as good.
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "torch"), 0o777); err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"good.pth": good, "cut.pth": good[:len(good)/2],
		"cut-legacy.pth": legacy[:len(legacy)-1], "evil.pth": evil.Bytes(), "zero.pth": zero,
		"sgd.pth": sgd, "x.npy": []byte("\x93NUMPY\x01\x00\x76\x00" + "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2)}"), "text.npy": []byte("0.5, 0.5\n")} {
		if err := os.WriteFile(filepath.Join(dir, "torch", name), b, 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

var wrongPyTorch = []wrong{
	{args: "sample torch/good.pth", code: 1, offender: "torch/good.pth says nothing about the size", advice: "give -size HxW", prepare: torchFiles},
	{args: "sample torch/good.pth -size 12x8", code: 1, offender: "torch/good.pth keeps no ladder", advice: "-preset NAME", prepare: torchFiles},
	{args: "sample torch/good.pth -net ncsnv2 -size 12x8", code: 1, offender: "not those of network ncsnv2", advice: "give -net ncsn", prepare: torchFiles},
	{args: "sample torch/good.pth -net ncsn2 -size 12x8", code: 2, offender: `-net is "ncsn2"`, advice: "did you mean ncsn", prepare: torchFiles},
	{args: "sample torch/good.pth -preset ncsn-mnist", code: 1, offender: "for 5 noise levels", advice: "give -levels 5", prepare: torchFiles},
	{args: "sample torch/good.pth -size 11x8 -sigma-begin 1 -sigma-end 0.01", code: 1, offender: "11 x 8", advice: "multiples of 2", prepare: torchFiles},
	{args: "sample torch/good.pth -size 12*8", code: 2, offender: `-size is "12*8"`, advice: "such as 48x64", prepare: torchFiles},
	{args: "sample torch/cut.pth -size 12x8", code: 1, offender: "torch/cut.pth is a zip archive that does not open", advice: "copy it again", prepare: torchFiles},
	{args: "sample torch/cut-legacy.pth -size 12x8", code: 1, offender: "torch/cut-legacy.pth is truncated", advice: "copy it again", prepare: torchFiles},
	{args: "sample torch/evil.pth -size 12x8", code: 1, offender: "torch/evil.pth holds an object of posix.system, which is code and not weights", advice: "save its state_dict() instead", prepare: torchFiles},
	{args: "sample torch/text.npy", code: 1, offender: "torch/text.npy is neither", advice: "give a checkpoint", prepare: torchFiles},
	{args: "sample runs/toy -size 12x8", code: 2, offender: "-size", advice: "leave the flag out"},
	{args: "train -init torch/evil.pth", code: 1, offender: "torch/evil.pth holds an object of posix.system", advice: "save its state_dict() instead", prepare: torchFiles},
	{args: "train -init torch/none.pth", code: 1, offender: "torch/none.pth", advice: "expected a run folder", prepare: torchFiles},
	{args: "train -continue torch/sgd.pth", code: 1, offender: "torch/sgd.pth", advice: "with -init", prepare: torchFiles},
	{args: "train -continue torch/zero.pth", code: 1, offender: "torch/zero.pth was saved with Adam's learning rate at 0", advice: "give -lr", prepare: torchFiles},
	{args: "train -continue torch/good.pth -init torch/good.pth", code: 2, offender: "-init and -continue", advice: "expected one", prepare: torchFiles},
	{args: "train -resume runs/toy -init torch/good.pth -batch 4", code: 2, offender: "-batch, -init cannot be changed with -resume", advice: "leave them out"},
	{args: "train -resume runs/toy -init torch/good.pth", code: 2, offender: "-init cannot be changed with -resume", advice: "leave it out"},
	{args: "train -init torch/good.pth -net ncsnv2", code: 1, offender: "torch/good.pth holds network ncsn", advice: "leave -net out", prepare: torchFiles},
	{args: "export", code: 2, offender: "no RUN given", advice: "expected a run folder"},
	{args: "export runs/toy", code: 2, offender: "-o is missing", advice: "expected -o FILE.safetensors"},
	{args: "export runs/toy -o a.pth", code: 2, offender: "-o is a.pth", advice: "ends in .safetensors"},
	{args: "export runs/toy -o none/a.safetensors", code: 1, offender: "cannot write none/a.safetensors", advice: "folder exists"},
	{args: "export runs/toy -emma -o a.safetensors", code: 2, offender: "unknown flag -emma", advice: "did you mean -ema?"},
	{args: "score runs/toy -input torch/x.npy -o s.npy", code: 2, offender: "the noise is missing", advice: "expected -level I"},
	{args: "score runs/toy -input torch/x.npy -level 0 -o s.npy", code: 1, offender: "torch/x.npy ends within the header", advice: "copy it again", prepare: torchFiles},
	{args: "score runs/toy -input torch/text.npy -level 0 -o s.npy", code: 1, offender: "torch/text.npy is no NPY array", advice: "numpy.save", prepare: torchFiles},
	{args: "score -checkpoint runs/toy -input torch/x.npy -levle 0 -o s.npy", code: 2, offender: "unknown flag -levle", advice: "did you mean -level?"},
	{args: "score runs/toy -input torch -level 0 -o s.npy", code: 1, offender: "torch is a folder", advice: "expected an NPY array", prepare: torchFiles},
}

// A learning rate that is given takes the place of one of 0 in the file.
func TestRateInPlaceOfZero(t *testing.T) {
	dir := world(t)
	torchFiles(t, dir)
	out := must(t, dir, "train", "-continue", "torch/zero.pth", "-lr", "0.003", "-steps", "9", "-dry-run")
	if !strings.Contains(out, "lr: 0.003\n") {
		t.Errorf("the rate is not the one given:\n%s", out)
	}
}
