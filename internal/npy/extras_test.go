// What this package writes, as NumPy reads it.

package npy

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"sigmaz/internal/extras"
)

func TestExtrasNumPyLoads(t *testing.T) {
	python := extras.Python(t, "numpy")
	dir := t.TempDir()
	var paths []string
	var want strings.Builder
	paths = append(paths, written(t, dir, "<f4", []int{2, 3}, []float32{1, -2.5, 3e-40, 1e38, 5, -0.1}, &want))
	paths = append(paths, written(t, dir, "<f8", []int{3}, []float64{0.1, 1e300, -1}, &want))
	paths = append(paths, written(t, dir, "<i8", []int{1, 2, 1}, []int64{1, -1 << 62}, &want))
	paths = append(paths, written(t, dir, "<f4", []int{}, []float32{7}, &want))
	paths = append(paths, written(t, dir, "<f4", []int{0, 4}, []float32{}, &want))

	const program = `
import sys, numpy
for path in sys.argv[1:]:
    a = numpy.load(path)
    print(a.dtype.str, list(a.shape), a.tobytes().hex())
`
	out, err := exec.Command(python, append([]string{"-c", program}, paths...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if string(out) != want.String() {
		t.Errorf("NumPy read\n%swant\n%s", out, want.String())
	}
}

// written writes an array to a new file in dir, and to want the line that NumPy should print of it.
func written[V Written](t *testing.T, dir, descr string, shape []int, values []V, want *strings.Builder) (path string) {
	t.Helper()
	f, err := os.CreateTemp(dir, "*.npy")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := Write(f, shape, values); err != nil {
		t.Fatal(err)
	}
	b, err := binary.Append(nil, binary.LittleEndian, values)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(want, "%s %s %s\n", descr, strings.ReplaceAll(fmt.Sprint(shape), " ", ", "), hex.EncodeToString(b))
	return f.Name()
}
