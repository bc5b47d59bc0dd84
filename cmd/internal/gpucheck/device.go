//go:build linux

// The device: where its driver is, what sigmaz calls it, and whether others use it.

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// device is what was found out about the GPU.
type device struct {
	gpu     bool
	standin bool
	name    string // as sigmaz names it, or why there is none
	driver  string // its version
	memory  int    // MiB
	smi     string // path of nvidia-smi, "" for none
}

// Where drivers put their library and their programs beside the usual places, as in images whose ldconfig does not know
// the host's driver.
var (
	driverFolders = []string{"/usr/local/nvidia/lib64", "/usr/local/nvidia/lib", "/usr/lib64", "/usr/lib/x86_64-linux-gnu",
		"/usr/lib/wsl/lib", "/usr/local/cuda/compat"}
	smiFolders = []string{"/usr/local/nvidia/bin", "/usr/bin", "/usr/lib/wsl/lib"}
)

// findLibrary returns where libcuda.so.1 is, and the folder that LD_LIBRARY_PATH must name for it to be found, "" where
// the loader finds it by itself.
func findLibrary(path string, known string, folders []string) (where, add string) {
	const library = "libcuda.so.1"
	for _, dir := range filepath.SplitList(path) {
		if _, err := os.Stat(filepath.Join(dir, library)); dir != "" && err == nil {
			return filepath.Join(dir, library), ""
		}
	}
	for line := range strings.Lines(known) {
		if name, file, ok := strings.Cut(strings.TrimSpace(line), " => "); ok && strings.HasPrefix(name, library+" ") {
			return file, ""
		}
	}
	for _, dir := range folders {
		if _, err := os.Stat(filepath.Join(dir, library)); err == nil {
			return filepath.Join(dir, library), dir
		}
	}
	return "", ""
}

// ask runs a small program that must answer at once, outside of the log.
func (c *check) ask(ctx context.Context, seconds int, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(seconds)*time.Second)
	defer cancel()
	cmd := exec.Command(name, args...)
	cmd.Env = c.env
	out, err := os.CreateTemp(c.work, "ask")
	if err != nil {
		return "", err
	}
	defer os.Remove(out.Name())
	defer out.Close()
	cmd.Stdout = out
	p, err := spawn(cmd)
	if err != nil {
		return "", err
	}
	select {
	case <-p.done:
		err = p.err
	case <-ctx.Done():
		p.end()
		err = fmt.Errorf("%s: no answer in %d s", name, seconds)
	}
	text, _ := os.ReadFile(out.Name())
	return strings.TrimSpace(string(text)), err
}

// setEnv sets a variable for children.
func (c *check) setEnv(name, value string) {
	c.env = append(slices.DeleteFunc(c.env, func(v string) bool { return strings.HasPrefix(v, name+"=") }), name+"="+value)
}

// prepare sets what children need in their environment.
func (c *check) prepare(ctx context.Context) {
	known, err := c.ask(ctx, 20, "ldconfig", "-p")
	if err != nil { // it is not on everybody's path
		known, _ = c.ask(ctx, 20, "/sbin/ldconfig", "-p")
	}
	where, add := findLibrary(os.Getenv("LD_LIBRARY_PATH"), known, driverFolders)
	switch {
	case where == "":
		c.note("no libcuda.so.1 was found: neither on LD_LIBRARY_PATH, nor by ldconfig, nor in %s",
			strings.Join(driverFolders, ", "))
	case add != "":
		c.setEnv("LD_LIBRARY_PATH", strings.TrimSuffix(add+":"+os.Getenv("LD_LIBRARY_PATH"), ":"))
		c.note("the driver is %s, which the loader did not know: LD_LIBRARY_PATH names it", where)
	default:
		c.note("the driver is %s", where)
	}
	for name, value := range map[string]string{
		// What the driver and PyTorch compile stays together, and is compiled once.
		"CUDA_CACHE_PATH": "cuda-cache", "TORCHINDUCTOR_CACHE_DIR": "inductor-cache", "TRITON_CACHE_DIR": "triton-cache",
		"GOLDEN": "model/testdata/golden",
	} {
		c.setEnv(name, filepath.Join(c.work, value))
	}
	c.setEnv("CUDA_CACHE_DISABLE", "0")
	c.setEnv("CUDA_CACHE_MAXSIZE", strconv.Itoa(1<<30))
	c.setEnv("CUDA_DEVICE_ORDER", "PCI_BUS_ID") // device 0 is nvidia-smi's first
	c.setEnv("SIGMAZ_GPU", "required")
	c.setEnv("PYTHONUNBUFFERED", "1")
	c.setEnv("PYTHONDONTWRITEBYTECODE", "1")
	if _, err := os.Stat(filepath.Join(c.work, "golden")); err == nil {
		c.setEnv("GOLDEN_DIR", filepath.Join(c.work, "golden"))
	}
}

func (c *check) sigmaz() string { return filepath.Join(c.work, "sigmaz") }

// device finds the GPU, twice: what the second start takes less, the driver spent on compiling the kernels.
func (c *check) device(ctx context.Context) partResult {
	c.prepare(ctx)
	var d device
	c.askCard(ctx, &d)
	defer func() {
		c.update(func(*report) { c.found = d })
	}()
	first := c.command(ctx, ".", c.sigmaz(), "bench", "-gpu", "-info")
	if !first.ok() {
		last := strings.Split(strings.TrimSpace(first.text), "\n")
		d.name = strings.TrimPrefix(strings.ReplaceAll(last[len(last)-1], c.work+"/", ""), "sigmaz bench: ")
		switch {
		case first.ended != nil || first.start != nil:
			d.name = first.why()
		case first.code == 126 || first.code == 127: // the loader's word
			d.name = "the program does not start here: " + d.name
		}
		if first.ended != nil || d.driver != "" { // nvidia-smi has named a GPU
			return partResult{Result: failed, Detail: d.name}
		}
		return partResult{Result: skipped, Detail: "no GPU: " + d.name}
	}
	for line := range strings.Lines(first.text) {
		if name, ok := strings.CutPrefix(line, "device "); ok {
			d.name = strings.TrimSpace(name)
		}
	}
	d.gpu, d.standin = true, strings.Contains(first.text, "stands in for a GPU")
	known, unknown := c.precisions(ctx)
	c.update(func(r *report) { r.Precisions, r.Unknown = known, unknown })
	detail := fmt.Sprintf("%s; computes in %s", d.name, strings.Join(known, ", "))
	if len(unknown) > 0 {
		detail += "; this build does not know " + strings.Join(unknown, ", ")
	}
	if len(known) == 0 {
		return partResult{Result: failed, Detail: detail + "; no precision works"}
	}
	if d.standin {
		c.note("stand-in driver, not a GPU: logic is checked, nothing is timed")
		if c.required {
			return partResult{Result: failed, Detail: d.name + " is a stand-in, and a GPU is required"}
		}
		return partResult{Result: passed, Detail: detail}
	}
	second := c.command(ctx, ".", c.sigmaz(), "bench", "-gpu", "-info")
	c.note("the first start took %.1f s, which compiles the kernels, and the second one %.1f s", first.took.Seconds(),
		second.took.Seconds())
	return partResult{Result: passed, Detail: detail}
}

// precisions asks the program which words of -precision it knows.
func (c *check) precisions(ctx context.Context) (known, unknown []string) {
	for _, word := range []string{"tf32", "bf16", "float32"} {
		out := c.command(ctx, ".", c.sigmaz(), "bench", "-gpu", "-precision", word, "-info")
		switch {
		case out.ok():
			known = append(known, word)
		case out.code == 2: // wrong usage
			unknown = append(unknown, word)
		default:
			c.note("bench -precision %s: %s", word, fit(out.why(), 200))
		}
	}
	return known, unknown
}

// askCard asks nvidia-smi about the card, its parts and its other users, and starts to watch it.
func (c *check) askCard(ctx context.Context, d *device) {
	paths := []string{}
	if path, err := exec.LookPath("nvidia-smi"); err == nil {
		paths = append(paths, path)
	}
	for _, dir := range smiFolders {
		paths = append(paths, filepath.Join(dir, "nvidia-smi"))
	}
	for _, path := range paths {
		if _, err := os.Stat(path); err == nil {
			d.smi = path
			break
		}
	}
	if d.smi == "" {
		c.note("there is no nvidia-smi: clocks, power and other users are not known")
		return
	}
	text, err := c.ask(ctx, 20, d.smi,
		"--query-gpu=name,driver_version,memory.total,memory.used,utilization.gpu,mig.mode.current",
		"--format=csv,noheader,nounits")
	rows := strings.Split(text, "\n")
	fields := strings.Split(rows[0], ", ")
	if err != nil || len(fields) < 6 {
		c.note("nvidia-smi does not answer as expected (%v): %s", err, fit(text, 100))
		d.smi = ""
		return
	}
	d.driver = fields[1]
	d.memory, _ = strconv.Atoi(fields[2])
	c.note("nvidia-smi: %s, driver %s, %s MiB of which %s were in use", fields[0], fields[1], fields[2], fields[3])
	if len(rows) > 1 {
		c.note("there are %d GPUs: the first is used", len(rows))
	}
	if fields[5] == "Enabled" {
		c.note("MIG is enabled: this is a part of a card, and its rates are those of the part")
	}
	if n, err := strconv.Atoi(fields[4]); err == nil && n > 5 {
		c.note("the card was busy before anything was started: %d %%", n)
	}
	c.update(func(*report) { c.found = *d })
	c.otherUsers("before the parts")
	c.monitor.watch(c, d.smi)
}

// otherUsers says which processes use the card while none of this check's does.
func (c *check) otherUsers(when string) {
	if c.found.smi == "" {
		return
	}
	text, err := c.ask(context.Background(), 10, c.found.smi, "-i", "0",
		"--query-compute-apps=pid,process_name,used_memory", "--format=csv,noheader,nounits")
	if err != nil || text == "" {
		return
	}
	c.note("others used the card %s: %s (pid, name, MiB)", when, fit(strings.ReplaceAll(text, "\n", "; "), 200))
}
