//go:build cgo && !nocuda

// The commands on a GPU, or on the stand-in driver: the same numbers as on the CPU, and one sentence on bad days.

package cmd_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gorgonia.org/tensor"

	"sigmaz/kernels/kerneltest"
	"sigmaz/model/checkpoint"
)

const withCUDA = true

// device makes sure that a GPU, or the stand-in driver, answers.
func device(t *testing.T) (standIn bool) {
	t.Helper()
	return strings.Contains(kerneltest.OpenCUDA(t).Name(), "stand-in")
}

// tiny writes 64 images of 8x8 that the stand-in driver has time for, as an IDX file of bars at every place.
func tiny(t *testing.T, dir string) {
	t.Helper()
	b := []byte{0, 0, 8, 3, 0, 0, 0, 64, 0, 0, 0, 8, 0, 0, 0, 8}
	for n := range 64 {
		for p := range 64 {
			bar := byte(0)
			if i, j := p/8, p%8; n < 32 && i == n/4 || n >= 32 && j == (n-32)/4 {
				bar = byte(150 + 35*(n%4))
			}
			b = append(b, bar)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "tiny-images-idx3-ubyte"), b, 0o666); err != nil {
		t.Fatal(err)
	}
}

// small is a training of these images.
func small(name string, steps int, more ...string) []string {
	return append([]string{"train", "-name", name, "-data", "tiny-images-idx3-ubyte", "-ngf", "4", "-batch", "4",
		"-sigma-begin", "5", "-steps", fmt.Sprint(steps), "-levels", "5", "-held-out", "2", "-log-every", "5",
		"-eval-every", "25", "-lr", "1e-3", "-preview-n", "0", "-T", "2"}, more...)
}

// losses are the losses of a run's metrics.
func losses(t *testing.T, run string) (steps []float64, values []float64) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(run, "metrics.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		var m struct{ Step, Loss *float64 }
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatal(err)
		}
		if m.Loss != nil {
			steps, values = append(steps, *m.Step), append(values, *m.Loss)
		}
	}
	return steps, values
}

// compareRuns holds the losses of two runs together within 1e-4 and their last parameters within one learning rate.
func compareRuns(t *testing.T, a, b string, step int, lr float64) {
	t.Helper()
	_, la := losses(t, a)
	_, lb := losses(t, b)
	if len(la) == 0 || len(la) != len(lb) {
		t.Fatalf("%d and %d lines of losses", len(la), len(lb))
	}
	for i := range la {
		if !(math.Abs(la[i]-lb[i]) <= 1e-4*math.Abs(la[i])) {
			t.Errorf("line %d: losses %g and %g", i, la[i], lb[i])
		}
	}
	read := func(run string) map[string]*tensor.Dense {
		cp, err := checkpoint.ReadCheckpoint(filepath.Join(run, "checkpoints", fmt.Sprintf("step-%07d.safetensors", step)))
		if err != nil {
			t.Fatal(err)
		}
		m := map[string]*tensor.Dense{}
		for _, n := range cp.Tensors {
			m[n.Name] = n.T
		}
		return m
	}
	pa, pb := read(a), read(b)
	for name, x := range pa {
		if !strings.HasPrefix(name, "param.") && !strings.HasPrefix(name, "ema.") {
			continue
		}
		y := pb[name].Data().([]float32)
		for i, v := range x.Data().([]float32) {
			if !(math.Abs(float64(v)-float64(y[i])) <= lr) {
				t.Fatalf("%s[%d]: %g and %g differ by more than one learning rate", name, i, v, y[i])
			}
		}
	}
}

// 50 steps with -gpu agree with 50 on the CPU, and so does a run that changes from one to the other and back.
func TestTrainOnGPU(t *testing.T) {
	device(t)
	dir := t.TempDir()
	tiny(t, dir)
	must(t, dir, small("cpu", 50)...)
	out := must(t, dir, small("gpu", 50, "-gpu", "-precision", "float32")...)
	if !strings.Contains(out, "cuda") {
		t.Errorf("the device is not named:\n%s", out)
	}
	compareRuns(t, filepath.Join(dir, "runs/cpu"), filepath.Join(dir, "runs/gpu"), 50, 1e-3)

	must(t, dir, small("mixed", 10)...)
	must(t, dir, "train", "-resume", "runs/mixed", "-steps", "30", "-gpu", "-precision", "float32")
	must(t, dir, "train", "-resume", "runs/mixed", "-steps", "50")
	compareRuns(t, filepath.Join(dir, "runs/cpu"), filepath.Join(dir, "runs/mixed"), 50, 1e-3)
}

// Samples of a checkpoint, and the score at them, are the same on CPU and GPU, but for rounding: four images, and
// points of the plane.
func TestSampleOnGPU(t *testing.T) {
	device(t)
	dir := t.TempDir()
	tiny(t, dir)
	must(t, dir, small("images", 10)...)
	must(t, dir, "train", "-name", "toy", "-data", "toy:swissroll", "-hidden", "32", "-levels", "5", "-T", "3", "-steps",
		"200", "-batch", "64", "-held-out", "0", "-preview-n", "0")
	for run, n := range map[string]string{"runs/images": "4", "runs/toy": "100"} {
		samples := filepath.Join(dir, "sample0.npy")
		onBoth(t, dir, 1e-3, "sample", run, "-n", n, "-o", "x.png", "-npy")
		onBoth(t, dir, 1e-4, "score", run, "-input", samples, "-layout", "nhwc", "-level", "1", "-o")
	}
}

// onBoth runs a command with the name of an array to write as its last word, on the CPU and on the GPU, and holds the
// two arrays together within tol of the largest value. They are COMMAND0.npy and COMMAND1.npy.
func onBoth(t *testing.T, dir string, tol float64, args ...string) {
	t.Helper()
	var x [2][]float32
	for i, more := range [][]string{nil, {"-gpu", "-precision", "float32"}} {
		file := filepath.Join(dir, fmt.Sprintf("%s%d.npy", args[0], i))
		must(t, dir, append(append(args[:len(args):len(args)], file), more...)...)
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		var d tensor.Dense
		if err := d.ReadNpy(f); err != nil {
			t.Fatal(err)
		}
		x[i] = d.Data().([]float32)
	}
	largest := 0.0
	for _, v := range x[0] {
		largest = math.Max(largest, math.Abs(float64(v)))
	}
	for i, v := range x[0] {
		if !(math.Abs(float64(v)-float64(x[1][i])) <= tol*largest) {
			t.Fatalf("%v: value %d is %g on the CPU and %g on the GPU", args, i, v, x[1][i])
		}
	}
}

// Both devices find the same pairs, and design the same noise for them.
func TestSigmasOnGPU(t *testing.T) {
	device(t)
	dir := t.TempDir()
	tiny(t, dir)
	report := func(more ...string) (device string, text []byte) {
		var r map[string]any
		out := must(t, dir, append([]string{"sigmas", "tiny-images-idx3-ubyte", "-ngf", "4", "-json", "-"}, more...)...)
		if err := json.Unmarshal([]byte(out), &r); err != nil {
			t.Fatal(err)
		}
		d := r["distances"].(map[string]any)
		device = d["device"].(string)
		// What was timed, and where, is not the same.
		delete(d, "device")
		delete(d, "seconds")
		delete(r["sampling"].(map[string]any), "cost")
		text, err := json.MarshalIndent(r, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		return device, text
	}
	onCPU, cpu := report()
	onGPU, gpu := report("-gpu")
	if !strings.HasPrefix(onCPU, "cpu") || !strings.HasPrefix(onGPU, "cuda") {
		t.Errorf("compared on %q and on %q", onCPU, onGPU)
	}
	if !bytes.Equal(cpu, gpu) {
		t.Errorf("CPU\n%s\nGPU\n%s", cpu, gpu)
	}
}

// A network with 32 channels trains in TF32 on a GPU, and its run says so. The CPU goes on with it, and samples from
// it, in float32 alone, when asked to.
func TestPrecisionOnGPU(t *testing.T) {
	device(t)
	dir := t.TempDir()
	tiny(t, dir)
	wide := []string{"-ngf", "16", "-batch", "2", "-gpu", "-eval-every", "0"} // 32 channels at the lower resolutions
	configured := func(run string) bool {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(dir, "runs", run, "config.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(string(text), "precision: tf32\n")
	}
	refused := func(code int, want string, args ...string) {
		t.Helper()
		got, _, stderr := command(t, dir, nil, args...)
		if got != code || stderr != args[0]+": "+want+"\n" {
			t.Errorf("%v: exit code %d and %q, expected %d and %q", args, got, stderr, code, want)
		}
	}

	out := must(t, dir, small("wide", 2, wide...)...)
	if !strings.Contains(out, "convolutions in tf32") || !configured("wide") {
		t.Errorf("no TF32, in config.yaml: %v\n%s", configured("wide"), out)
	}
	must(t, dir, small("exact", 1, append(wide, "-precision", "float32")...)...)
	must(t, dir, small("narrow", 1, "-gpu", "-eval-every", "0")...)
	must(t, dir, "train", "-config", "runs/exact/config.yaml", "-name", "like", "-gpu")
	for _, run := range []string{"exact", "narrow", "like"} { // asked for, nothing for tensor cores, as the other run
		if configured(run) {
			t.Errorf("run %s is in TF32", run)
		}
	}
	out = must(t, dir, small("dry", 1, append(wide, "-dry-run")...)...)
	if !strings.Contains(out, "\nprecision   tf32 for ") {
		t.Errorf("a dry run does not say it:\n%s", out)
	}

	const advice = "precision is tf32, which takes a GPU: give -gpu, or -precision float32"
	file := filepath.Join("runs", "wide", "checkpoints", "step-0000002.safetensors")
	refused(1, "runs/wide: "+advice, "train", "-resume", "runs/wide", "-steps", "3")
	refused(1, file+": "+advice, "sample", "runs/wide", "-n", "1", "-o", "x.png")
	refused(1, "runs/wide/config.yaml: "+advice,
		"train", "-config", "runs/wide/config.yaml", "-name", "again", "-steps", "1")
	refused(1, file+": "+advice,
		"train", "-continue", file, "-data", "tiny-images-idx3-ubyte", "-steps", "3", "-name", "further")
	onBoth(t, dir, 1e-3, "sample", "runs/wide", "-precision", "float32", "-n", "2", "-o", "x.png", "-npy")
	out = must(t, dir, "sample", "runs/wide", "-precision", "float32", "-n", "1", "-o", "x.png")
	if !strings.Contains(out, "trained in tf32, computed in float32") {
		t.Errorf("a sample does not say it:\n%s", out)
	}

	out = must(t, dir, "train", "-resume", "runs/wide", "-steps", "3", "-precision", "float32")
	if !strings.Contains(out, "goes on in float32 and was in tf32") || configured("wide") {
		t.Errorf("the run goes on in float32, and says so: in config.yaml %v\n%s", configured("wide"), out)
	}
	must(t, dir, "sample", "runs/wide", "-n", "1", "-o", "x.png")
	must(t, dir, "train", "-resume", "runs/wide", "-steps", "4", "-gpu") // as it is recorded
	if configured("wide") {
		t.Error("a run that went on in float32 became one in TF32 again")
	}
}

// A run in BF16 is one because it was asked for. It goes on, samples and is scored so on a GPU, and on the CPU in float32
// when asked to.
func TestBF16OnGPU(t *testing.T) {
	device(t)
	dir := t.TempDir()
	tiny(t, dir)
	run := func(name string, steps int, more ...string) string {
		return must(t, dir, small(name, steps, append([]string{"-ngf", "16", "-batch", "2", "-gpu", "-precision", "bf16"}, more...)...)...)
	}
	if out := run("dry", 1, "-dry-run"); !strings.Contains(out, "\nprecision   bf16 for ") {
		t.Errorf("a dry run does not say it:\n%s", out)
	}
	run("wide", 2)
	text, err := os.ReadFile(filepath.Join(dir, "runs", "wide", "config.yaml"))
	if err != nil || !strings.Contains(string(text), "\nprecision: bf16\n") {
		t.Errorf("config.yaml does not say bf16 (%v):\n%s", err, text)
	}
	const advice = "precision is bf16, which takes a GPU: give -gpu, or -precision float32"
	for _, args := range [][]string{
		{"train", "-resume", "runs/wide", "-steps", "3"}, {"sample", "runs/wide", "-n", "1", "-o", "x.png"},
	} {
		if code, _, stderr := command(t, dir, nil, args...); code != 1 || !strings.Contains(stderr, advice) {
			t.Errorf("%v: exit code %d and %q, expected 1 and ... %s", args, code, stderr, advice)
		}
	}
	must(t, dir, "train", "-resume", "runs/wide", "-steps", "3", "-gpu")
	must(t, dir, "sample", "runs/wide", "-n", "2", "-o", "x.png", "-gpu")
	out := must(t, dir, "sample", "runs/wide", "-n", "2", "-o", "x.png", "-precision", "float32")
	if !strings.Contains(out, "trained in bf16, computed in float32") {
		t.Errorf("a sample does not say it:\n%s", out)
	}
	must(t, dir, "bench", "-check", "-gpu", "-precision", "bf16")
	if out := must(t, dir, "bench", "-quick", "-gpu", "-precision", "bf16", "-tables", "tune"); !strings.Contains(out, "bf16_128x128") {
		t.Errorf("bench -tables tune names no tile for bf16:\n%s", out)
	}
}

// A run that starts on a GPU records its multiprocessors, and has the same bits on one with others from then on: after a
// resume, gone on with in a new run, and in a run with its configuration.
func TestMultiprocessorsAreRecorded(t *testing.T) {
	if !device(t) {
		t.Skip("another number of multiprocessors takes the stand-in driver")
	}
	dir := t.TempDir()
	tiny(t, dir)
	on := func(multiprocessors int, args ...string) string {
		t.Helper()
		env := []string{fmt.Sprint("SIGMAZ_SIM_MULTIPROCESSORS=", multiprocessors)}
		code, stdout, stderr := command(t, dir, env, append(args, "-gpu", "-precision", "float32")...)
		if code != 0 {
			t.Fatalf("%v: exit code %d\n%s%s", args, code, stdout, stderr)
		}
		return stdout
	}
	large := func(name string, steps int, more ...string) []string {
		return small(name, steps, append([]string{"-batch", "48"}, more...)...)
	}
	recorded := func(run, want string) {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(dir, "runs", run, "config.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		_, got, _ := strings.Cut(string(text), "\nmultiprocessors: ")
		if got, _, _ = strings.Cut(got, "\n"); got != want {
			t.Errorf("run %s has recorded %q multiprocessors, expected %q", run, got, want)
		}
	}
	weights := func(run string) string {
		t.Helper()
		cp, err := checkpoint.ReadCheckpoint(filepath.Join(dir, "runs", run, "checkpoints", "step-0000003.safetensors"))
		if err != nil {
			t.Fatal(err)
		}
		var all strings.Builder
		for _, n := range cp.Tensors {
			if !strings.HasPrefix(n.Name, "metrics.") { // sums of this run's own lines
				fmt.Fprintf(&all, "%s %x\n", n.Name, n.T.Data())
			}
		}
		return all.String()
	}

	on(132, large("whole", 3)...)
	on(4, large("other", 3)...)
	on(132, large("moved", 2)...)
	on(4, "train", "-resume", "runs/moved", "-steps", "3")
	on(4, "train", "-config", "runs/whole/config.yaml", "-name", "like")
	on(4, large("onward", 3, "-continue", "runs/moved/checkpoints/step-0000002.safetensors")...)
	for _, run := range []string{"whole", "moved", "like", "onward"} {
		recorded(run, "132")
		if weights(run) != weights("whole") {
			t.Errorf("run %s has other weights than the run that it is like", run)
		}
	}
	recorded("other", "4")
	if weights("other") == weights("whole") {
		t.Error("the number of multiprocessors changes nothing, so nothing is tested")
	}

	must(t, dir, large("cpu", 2)...)
	recorded("cpu", "")
	on(4, "train", "-resume", "runs/cpu", "-steps", "3")
	on(4, large("from-cpu", 3, "-continue", "runs/cpu/checkpoints/step-0000002.safetensors")...)
	recorded("cpu", "")
	recorded("from-cpu", "")
	if weights("cpu") != weights("from-cpu") {
		t.Error("a run that was begun on the CPU goes on otherwise in a new run than in its own")
	}
	if out := on(108, large("dry", 2, "-dry-run")...); !strings.Contains(out, "\nmultiprocessors: 108\n") {
		t.Errorf("a dry run does not say it:\n%s", out)
	}
}

// Bad days: one sentence each, exit code 1, and the last good checkpoint stays valid.
func TestBadDays(t *testing.T) {
	if !device(t) {
		t.Skip("faults are injected by the stand-in driver")
	}
	dir := t.TempDir()
	tiny(t, dir)
	for name, c := range map[string]struct {
		fault string
		args  []string
		want  []string
	}{
		"no driver":    {"no-driver", nil, []string{"driver"}},
		"no device":    {"no-device", nil, []string{"no", "device"}},
		"old driver":   {"old-driver", nil, []string{"driver", "11.8"}},
		"old device":   {"old-device", nil, []string{"capability", "8.0"}},
		"out of range": {"", []string{"-device", "7"}, []string{"device 7", "1 device"}},
		"too small":    {"oom:400000", nil, []string{"memory", "batch"}},
	} {
		code, stdout, stderr := command(t, dir, []string{"SIGMAZ_SIM_FAULT=" + c.fault},
			small("bad", 5, append([]string{"-gpu"}, c.args...)...)...)
		if code != 1 || strings.Count(stderr, "\n") != 1 || strings.Contains(stderr, "goroutine") {
			t.Errorf("%s: exit code %d\n%s%s", name, code, stdout, stderr)
		}
		for _, w := range c.want {
			if !strings.Contains(stderr, w) {
				t.Errorf("%s: %q does not say %q", name, stderr, w)
			}
		}
	}

	// The batch that is said to fit does, previews included.
	little := []string{"SIGMAZ_SIM_FAULT=oom:1500000"}
	_, _, stderr := command(t, dir, little, small("much", 2, "-gpu", "-preview-n", "2", "-batch", "64")...)
	var fits int
	if _, after, ok := strings.Cut(stderr, "; batch "); !ok {
		t.Fatalf("no batch is named: %q", stderr)
	} else if _, err := fmt.Sscanf(after, "%d would fit", &fits); err != nil || fits < 1 || fits >= 64 {
		t.Fatalf("no batch is named: %q", stderr)
	}
	if code, stdout, stderr := command(t, dir, little, small("fits", 2, "-gpu", "-preview-n", "2", "-batch",
		fmt.Sprint(fits))...); code != 0 {
		t.Errorf("batch %d does not fit: exit code %d\n%s%s", fits, code, stdout, stderr)
	}

	// The device is lost in the middle of the run.
	code, stdout, stderr := command(t, dir, []string{"SIGMAZ_SIM_FAULT=lost:12000"},
		small("lost", 200, "-gpu", "-checkpoint-every", "5")...)
	if code != 1 || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, "cu") ||
		!strings.Contains(stderr, "last good checkpoint") {
		t.Fatalf("exit code %d\n%s%s", code, stdout, stderr)
	}
	latest, err := os.ReadFile(filepath.Join(dir, "runs/lost/checkpoints/latest"))
	if err != nil {
		t.Fatal(err)
	}
	cp, err := checkpoint.ReadCheckpoint(filepath.Join(dir, "runs/lost/checkpoints", strings.TrimSpace(string(latest))))
	if err != nil {
		t.Fatal(err)
	}
	if cp.Step == 0 || cp.Step >= 200 {
		t.Errorf("the last good checkpoint is of step %d", cp.Step)
	}
	must(t, dir, "train", "-resume", "runs/lost", "-steps", fmt.Sprint(cp.Step+5))
}

// sha is the SHA-256 of a run's checkpoint of a step.
func sha(t *testing.T, dir, run string, step int) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "runs", run, "checkpoints", fmt.Sprintf("step-%07d.safetensors", step)))
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", sha256.Sum256(b))
}

// Data that is too large for the device stays on the host, and the checkpoints are those of data on the device to the
// byte, also of runs that were stopped, or killed, and of those that change from one to the other. A dry run says where
// the data would lie.
func TestDataOnHost(t *testing.T) {
	standIn := device(t)
	dir := t.TempDir()
	tiny(t, dir)
	var table strings.Builder
	for i := range 90 {
		fmt.Fprintf(&table, "%d,%d,%g\n", i, i*i%17, math.Sin(float64(i)))
	}
	if err := os.WriteFile(filepath.Join(dir, "table.csv"), []byte(table.String()), 0o666); err != nil {
		t.Fatal(err)
	}
	images := func(name string, steps int, more ...string) []string {
		return small(name, steps, append([]string{"-gpu", "-precision", "float32", "-flip", "-dequantize", "-batch", "5",
			"-eval-every", "4", "-preview-n", "1", "-checkpoint-every", "3"}, more...)...)
	}
	points := func(name string, steps int, more ...string) []string {
		return append([]string{"train", "-name", name, "-gpu", "-data", "table.csv", "-hidden", "16", "-levels", "5",
			"-T", "2", "-steps", fmt.Sprint(steps), "-batch", "7", "-held-out", "9", "-eval-every", "4", "-preview-n", "3",
			"-checkpoint-every", "3"}, more...)
	}
	for kind, run := range map[string]func(name string, steps int, more ...string) []string{
		"images": images, "table": points,
	} {
		out := must(t, dir, run(kind, 10)...)
		if strings.Contains(out, "the host") {
			t.Errorf("%s: small data is not on the device:\n%s", kind, out)
		}
		out = must(t, dir, run(kind+"-host", 10, "-data-memory", "host")...)
		if strings.Count(out, "\ndata     stays on the host: ") != 1 || !strings.Contains(out, "a step are copied ahead") {
			t.Errorf("%s: it is not said that the data stays on the host:\n%s", kind, out)
		}
		out = must(t, dir, "train", "-resume", "runs/"+kind+"-host", "-gpu", "-data-memory", "host")
		if want := "train -gpu -data-memory host -resume runs/" + kind + "-host -steps 20"; !strings.Contains(out, want) {
			t.Errorf("%s: how the run is gone on with, %q, is not said:\n%s", kind, want, out)
		}
		must(t, dir, run(kind+"-moved", 4, "-data-memory", "host")...)
		must(t, dir, "train", "-resume", "runs/"+kind+"-moved", "-gpu", "-steps", "7")
		must(t, dir, "train", "-resume", "runs/"+kind+"-moved", "-gpu", "-steps", "10", "-data-memory", "host")
		for _, other := range []string{kind + "-host", kind + "-moved"} {
			if sha(t, dir, other, 10) != sha(t, dir, kind, 10) {
				t.Errorf("run %s has another checkpoint than the run with its data on the device", other)
			}
		}
	}

	out := must(t, dir, images("dry", 1, "-dry-run")...)
	if !strings.Contains(out, "\ndata        on the device: 4.0 KiB of the ") {
		t.Errorf("a dry run does not say that the data is on the device:\n%s", out)
	}
	out = must(t, dir, images("dry", 1, "-dry-run", "-data-memory", "host")...)
	if !strings.Contains(out, "\ndata        stays on the host: 4.0 KiB, and the device has ") ||
		!strings.Contains(out, "; 0.3 KiB a step are copied ahead, through 1.9 KiB there\n") {
		t.Errorf("a dry run does not say that the data stays on the host:\n%s", out)
	}

	if !standIn {
		return
	}
	// A device on which the data does not fit beside training: it stays on the host, in a dry run and in truth, and a
	// run that insists on the device says what would help.
	large := append([]byte{0, 0, 8, 3, 0, 0, 0x80, 0, 0, 0, 0, 8, 0, 0, 0, 8}, bytes.Repeat([]byte{1, 90, 200, 7}, 1<<19)...)
	if err := os.WriteFile(filepath.Join(dir, "large-images-idx3-ubyte"), large, 0o666); err != nil {
		t.Fatal(err)
	}
	little := []string{"SIGMAZ_SIM_FAULT=oom:2500000"}
	run := func(name string, more ...string) (code int, stdout, stderr string) {
		return command(t, dir, little, images(name, 2, append(more, "-data", "large-images-idx3-ubyte")...)...)
	}
	for _, args := range [][]string{{"-dry-run"}, nil} {
		code, stdout, stderr := run("large", args...)
		if code != 0 || !strings.Contains(stdout, "stays on the host: 2.0 MiB, and the device has ") {
			t.Errorf("%v: exit code %d\n%s%s", args, code, stdout, stderr)
		}
	}
	code, stdout, stderr := run("forced", "-data-memory", "device")
	if code != 1 || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, "out of device memory: the data set needs") ||
		!strings.Contains(stderr, "with -data-memory auto or host the data is kept on the host instead") {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}

	// The device is lost while rows are on their way: the run goes on from its last checkpoint.
	code, stdout, stderr = command(t, dir, []string{"SIGMAZ_SIM_FAULT=lost:2200", "SIGMAZ_SIM_LAZY=2"},
		images("killed", 10, "-data-memory", "host", "-preview-n", "0")...)
	if code != 1 || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, "last good checkpoint") {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
	must(t, dir, "train", "-resume", "runs/killed", "-gpu", "-data-memory", "host")
	must(t, dir, images("whole", 10, "-preview-n", "0")...)
	if sha(t, dir, "killed", 10) != sha(t, dir, "whole", 10) {
		t.Error("a run whose device was lost, and which goes on, has another checkpoint than one with its data on the device")
	}
}
