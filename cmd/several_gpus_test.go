//go:build cgo && !nocuda

// Work that several GPUs share: the bytes of one GPU, and one sentence that names the one that fails.

package cmd_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// threeGPUs is the environment of a machine with three GPUs.
var threeGPUs = []string{"SIGMAZ_SIM_DEVICES=3"}

// shares are the flags that share work among one GPU, two and three.
var shares = [][]string{nil, {"-gpus", "2"}, {"-gpus", "3"}, {"-gpus", "all", "-batch", "2"}}

// sharing makes a folder with two runs, of images and of vectors, and returns what runs a command there on three GPUs and what
// reads a file.
func sharing(t *testing.T) (dir string, run func(args ...string) (stdout string), read func(name string) []byte) {
	t.Helper()
	if !device(t) {
		t.Skip("a machine with three GPUs is made by the stand-in driver")
	}
	dir = t.TempDir()
	tiny(t, dir)
	must(t, dir, small("images", 2)...)
	must(t, dir, "train", "-name", "toy", "-data", "toy:swissroll", "-hidden", "16", "-levels", "5", "-T", "2",
		"-steps", "20", "-batch", "64", "-held-out", "0", "-preview-n", "0")
	run = func(args ...string) (stdout string) {
		t.Helper()
		code, stdout, stderr := command(t, dir, threeGPUs, args...)
		if code != 0 {
			t.Fatalf("%v: exit code %d\n%s%s", args, code, stdout, stderr)
		}
		return stdout
	}
	read = func(name string) []byte {
		t.Helper()
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	return dir, run, read
}

// lostGPU is a call on three GPUs, of which one or more fail.
type lostGPU struct {
	fault, args string
	want        []string // what the sentence says
}

// check makes the call, which must write nothing but one sentence.
func (c lostGPU) check(t *testing.T, dir, out string) {
	t.Helper()
	args := append(strings.Fields(c.args), out)
	code, stdout, stderr := command(t, dir, append(threeGPUs, "SIGMAZ_SIM_FAULT="+c.fault), args...)
	last := stderr[strings.LastIndex(strings.TrimSuffix(stderr, "\n"), "\n")+1:]
	if code != 1 || strings.Contains(stderr, "goroutine") {
		t.Errorf("%+v: exit code %d\n%s%s", c, code, stdout, stderr)
	}
	for _, w := range c.want {
		if !strings.Contains(last, w) {
			t.Errorf("%+v: %q does not say %q", c, last, w)
		}
	}
	if err := os.Remove(filepath.Join(dir, out)); err == nil {
		t.Errorf("%+v: %s was written", c, out)
	}
}

func TestSeveralGPUs(t *testing.T) {
	dir, run, read := sharing(t)
	for _, what := range []string{"runs/images -n 7 -T 2", "runs/images -n 2 -sampler rk45 -tolerance 0.1 -anyway",
		"runs/toy -n 101 -sampler heun"} {
		var npy, png []byte
		for i, share := range shares {
			args := append([]string{"sample"}, strings.Fields(what)...)
			out := run(append(append(args, "-gpu", "-precision", "float32", "-o", "x.png", "-npy", "x.npy"), share...)...)
			if i == 0 {
				npy, png = read("x.npy"), read("x.png")
			}
			if !bytes.Equal(npy, read("x.npy")) || !bytes.Equal(png, read("x.png")) {
				t.Errorf("%s %v: other samples than by one GPU", what, share)
			}
			if n := "3 x cuda"; strings.HasPrefix(what, "runs/images -n 7") && strings.Contains(out, n) != (i >= 2) {
				t.Errorf("%s %v: expected %q only where three GPUs draw:\n%s", what, share, n, out)
			}
		}
	}

	var numbers []byte
	for i, share := range [][]string{nil, {"-gpus", "1"}, {"-gpus", "all"}} {
		run(append([]string{"eval", "runs/toy", "toy:swissroll", "-n", "61", "-against", "100", "-gpu", "-precision",
			"float32", "-json", "x.json"}, share...)...)
		var report struct{ Numbers, Columns json.RawMessage }
		if err := json.Unmarshal(read("x.json"), &report); err != nil {
			t.Fatal(err)
		}
		got := append(report.Numbers, report.Columns...)
		if i == 0 {
			numbers = got
		}
		if !bytes.Equal(numbers, got) {
			t.Errorf("eval %v: other numbers than by one GPU", share)
		}
	}

	const images = "sample runs/images -gpu -precision float32 "
	for _, c := range []lostGPU{
		{"", images + "-n 4 -gpus 4 -o", []string{"-gpus is 4, and this machine has 3 GPUs", "up to 3, or all"}},
		{"lost:20:1", images + "-n 7 -T 2 -gpus 3 -o", []string{"GPU 1 of -gpus 3: ", "CUDA_ERROR_LAUNCH_FAILED"}},
		{"lost:20:2", images + "-n 7 -T 2 -gpus all -o", []string{"GPU 2 of -gpus 3: "}},
		{"lost:1:1", images + "-n 7 -T 2 -gpus 2 -o", []string{"GPU 1 of -gpus 2: "}},
		{"no-device", images + "-n 7 -gpus all -o", []string{"no", "device"}},
		{"old-device", images + "-n 7 -gpus all -o", []string{"GPU 0: -gpu: ", "capability"}},
	} {
		c.check(t, dir, "lost.png")
	}
}

func TestSeveralGPUsLikelihood(t *testing.T) {
	dir, run, read := sharing(t)
	for _, what := range []string{"-n 101", "-n 7 -probe rademacher -probes 3 -batch 4", "-n 1 -probe hadamard -probes 2"} {
		var want string
		for i, share := range shares {
			args := append([]string{"likelihood", "runs/toy", "toy:swissroll", "-gpu", "-tolerance", "1e-3", "-json", "x.json"}, strings.Fields(what)...)
			run(append(args, share...)...)
			var report map[string]any
			if err := json.Unmarshal(read("x.json"), &report); err != nil {
				t.Fatal(err)
			}
			if device := report["device"].(string); what == "-n 101" && strings.HasPrefix(device, "3 x cuda") != (i >= 2) {
				t.Errorf("%s %v: on %q", what, share, device)
			}
			delete(report, "device")
			delete(report, "seconds")
			got := fmt.Sprint(report) // floats as they differ, maps in order
			if want == "" {
				want = got
			}
			if got != want {
				t.Errorf("%s %v:\n%s\nexpected, as on one GPU,\n%s", what, share, got, want)
			}
		}
	}
	const moons = "likelihood runs/toy toy:moons "
	for _, c := range []lostGPU{
		{"", moons + "-gpus 4 -json", []string{"-gpus is 4, and this machine has 3 GPUs", "up to 3, or all"}},
		{"lost:20:1", moons + "-gpus 3 -n 300 -batch 2 -json", []string{"GPU 1 of -gpus 3: ", "CUDA_ERROR_LAUNCH_FAILED"}},
		{"lost:1:2", moons + "-gpus all -n 300 -batch 2 -json", []string{"GPU 2 of -gpus 3: "}},
		{"no-device", moons + "-gpus all -json", []string{"no", "device"}},
	} {
		c.check(t, dir, "lost.json")
	}
}

func TestSeveralGPUsScore(t *testing.T) {
	dir, run, read := sharing(t)
	x := func(name string, rows, d int, shape ...int) {
		values := make([]float32, rows*d)
		for i := range values {
			values[i] = float32(i%17)/7 - 1
		}
		writeArray(t, filepath.Join(dir, name), append([]int{rows}, shape...), values)
	}
	x("images.npy", 7, 64, 1, 8, 8)
	x("many.npy", 200, 64, 1, 8, 8)
	x("none.npy", 0, 64, 1, 8, 8)
	x("toy.npy", 101, 2, 2)
	writeArray(t, filepath.Join(dir, "levels.npy"), []int{7}, []int64{0, 4, 1, 3, 2, 2, 0})
	for _, what := range []string{"runs/images -input images.npy -level 1", "runs/images -input none.npy -level 1",
		"runs/images -input images.npy -level-file levels.npy",
		"runs/images -input images.npy -level 1 -denoised", "runs/toy -input toy.npy -sigma 0.3", "runs/toy -input toy.npy -sigma 0.3 -denoised"} {
		var want []byte
		for i, share := range shares {
			args := append([]string{"score", "-gpu", "-precision", "float32", "-o", "s.npy"}, strings.Fields(what)...)
			out := run(append(args, share...)...)
			if i == 0 {
				want = read("s.npy")
			}
			if !bytes.Equal(want, read("s.npy")) {
				t.Errorf("%s %v: another score than by one GPU", what, share)
			}
			if n := "3 x cuda"; strings.HasPrefix(what, "runs/toy") && strings.Contains(out, n) != (i >= 2) {
				t.Errorf("%s %v: expected %q only where three GPUs work:\n%s", what, share, n, out)
			}
		}
	}
	const images = "score runs/images -precision float32 -input many.npy -level 1 "
	for _, c := range []lostGPU{
		{"", images + "-gpus 4 -o", []string{"-gpus is 4, and this machine has 3 GPUs", "up to 3, or all"}},
		{"lost:20:1", images + "-gpus 3 -batch 1 -o", []string{"GPU 1 of -gpus 3: ", "CUDA_ERROR_LAUNCH_FAILED"}},
		{"lost:1:2", images + "-gpus all -batch 1 -o", []string{"GPU 2 of -gpus 3: "}},
		{"no-device", images + "-gpus all -o", []string{"no", "device"}},
	} {
		c.check(t, dir, "lost.npy")
	}
}

// A server answers with the command's bytes from whichever GPU is free. It goes on without one that is lost, and ends with the last.
func TestSeveralGPUsServe(t *testing.T) {
	dir, run, read := sharing(t)
	values := make([]float32, 20*64)
	for i := range values {
		values[i] = float32(i%17)/7 - 1
	}
	writeArray(t, filepath.Join(dir, "x.npy"), []int{20, 1, 8, 8}, values)
	body := read("x.npy")
	run("score", "runs/images", "-gpu", "-precision", "float32", "-input", "x.npy", "-level", "1", "-o", "s.npy")
	want := read("s.npy")
	for _, c := range []struct {
		args, fault string
		ends        string // what it says at its end by itself
	}{
		{args: "-gpus 3"},
		{args: "-gpus all -batch 4", fault: "lost:1200:1"},
		{args: "-gpus 2 -batch 4", fault: "lost:1200", ends: " of -gpus 2: "},
		{args: "-gpu -batch 4", fault: "lost:1200", ends: "CUDA_ERROR_LAUNCH_FAILED"},
	} {
		cmd := exec.Command(filepath.Join(bin, "score"), append(strings.Fields(c.args), "runs/images", "-precision", "float32", "-serve", "0")...)
		cmd.Dir, cmd.Env = dir, append(append(os.Environ(), threeGPUs...), "SIGMAZ_SIM_FAULT="+c.fault)
		var errs bytes.Buffer
		cmd.Stderr = &errs
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		said := bufio.NewReader(out)
		first, _ := said.ReadString('\n')
		url, _, ok := strings.Cut(first, "/: ")
		if !ok {
			t.Fatalf("%+v: it says %q and %s", c, first, &errs)
		}
		var right, again, gone atomic.Int64 // answers; 503; no answer
		var asking sync.WaitGroup
		for range 6 {
			asking.Go(func() {
				for range 10 {
					r, err := http.Post(url+"/score?level=1", "", bytes.NewReader(body))
					if err != nil {
						gone.Add(1)
						continue
					}
					b, err := io.ReadAll(r.Body)
					r.Body.Close()
					switch {
					case err == nil && r.StatusCode == http.StatusOK && bytes.Equal(b, want):
						right.Add(1)
					case r.StatusCode == http.StatusServiceUnavailable && c.fault != "":
						again.Add(1)
					default:
						t.Errorf("%+v: status %d, %.200q, %v", c, r.StatusCode, b, err)
					}
				}
			})
		}
		asking.Wait()
		if c.ends == "" {
			cmd.Process.Signal(os.Interrupt)
		}
		rest, _ := io.ReadAll(said)
		err = cmd.Wait()
		t.Logf("%+v: %d right, %d told to ask again, %d without an answer; %s%s", c, right.Load(), again.Load(), gone.Load(), rest, &errs)
		switch {
		case right.Load() == 0:
			t.Errorf("%+v: no answer", c)
		case c.ends != "":
			if cmd.ProcessState.ExitCode() != 1 || !strings.Contains(errs.String(), c.ends) {
				t.Errorf("%+v: exit code %d, %s", c, cmd.ProcessState.ExitCode(), &errs)
			}
		case err != nil || gone.Load() > 0 || !strings.HasSuffix(string(rest), "stopped\n"):
			t.Errorf("%+v: %v\n%s%s", c, err, rest, &errs)
		case c.fault != "" && (again.Load() != 1 || !strings.Contains(string(rest), "GPU 1 of -gpus 3: ") ||
			!strings.Contains(string(rest), "requests go to 2 other GPUs")):
			t.Errorf("%+v: %d are told to ask again\n%s", c, again.Load(), rest)
		}
	}
}
