package samplecmd

import (
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigmaz/internal/picture"
	"sigmaz/kernels"
	"sigmaz/sample/eval/digits"
)

// The model in the program draws a digit of each class, which the classifier of KID-digits knows again, without data
// and without a file; the same ones whether it is named or not, and in batches of any size.
func TestDigits(t *testing.T) {
	t.Chdir(t.TempDir())
	said, _ := mustRun(t, "-n", "10", "-nfe", "16", "-guidance", "2", "-npy", "a.npy")
	for _, part := range []string{"no RUN given: digits is taken", "the model in the program", "EMA weights",
		"sample-digits-seed0.png"} {
		if !strings.Contains(said, part) {
			t.Errorf("it does not say %q: %s", part, said)
		}
	}
	if _, err := os.Stat("sample-digits-seed0.png"); err != nil {
		t.Error(err)
	}
	shape, x := readNPY(t, "a.npy")
	if shape != "(10, 28, 28, 1)" {
		t.Fatalf("shape %s", shape)
	}
	b := kernels.NewCPU(1)
	defer b.Close()
	net, err := digits.New(b, 10, digits.Weights())
	if err != nil {
		t.Fatal(err)
	}
	_, logits, err := net.Run(picture.Bytes(x))
	if err != nil {
		t.Fatal(err)
	}
	right := 0
	for i := range 10 {
		if digits.Class(logits[i*digits.Classes:(i+1)*digits.Classes]) == i {
			right++
		}
	}
	if right < 9 {
		t.Errorf("%d of 10 digits are known again: expected at least 9", right)
	}
	again, _ := mustRun(t, "digits", "-n", "4", "-nfe", "16", "-guidance", "2", "-batch", "3", "-npy", "b.npy")
	if strings.Contains(again, "no RUN given") {
		t.Errorf("with a name it says %q", again)
	}
	if _, y := readNPY(t, "b.npy"); !slices.Equal(x[:len(y)], y) {
		t.Error("named, and in other batches, it draws others")
	}
}

// The same digits come with other instruction sets, as near as sums in another order let them.
func TestDigitsISA(t *testing.T) {
	const file = "SIGMAZ_TEST_DIGITS"
	if out := os.Getenv(file); out != "" {
		mustRun(t, "digits", "-n", "2", "-nfe", "8", "-npy", out, "-o", out+".png")
		return
	}
	dir := t.TempDir()
	draw := func(isa, off string) []float32 {
		out := filepath.Join(dir, isa+".npy")
		again := exec.Command(os.Args[0], "-test.run=^TestDigitsISA$")
		again.Env = append(os.Environ(), "GODEBUG="+off, file+"="+out)
		if said, err := again.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", isa, err, said)
		}
		_, x := readNPY(t, out)
		return x
	}
	here := draw(kernels.ISA(), "")
	for isa, off := range map[string]string{"avx2": "cpu.avx512f=off", "go": "cpu.avx512f=off,cpu.avx2=off"} {
		if kernels.ISA() == "go" || kernels.ISA() == isa {
			continue
		}
		largest := 0.0
		for i, v := range draw(isa, off) {
			largest = max(largest, math.Abs(float64(v-here[i])))
		}
		if !(largest < 1e-4) {
			t.Errorf("%s draws other digits than %s: they differ by up to %g", isa, kernels.ISA(), largest)
		}
	}
}
