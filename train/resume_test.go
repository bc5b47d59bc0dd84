// Going on where a kill, a full disk, another machine or a second change of mind left a run.

package train

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigmaz/kernels"
	"sigmaz/model/checkpoint"
)

// goOn goes on with the run in folder, or from one of its checkpoints, to c.Steps. It returns warnings and what was
// set aside.
func goOn(t *testing.T, b kernels.Backend, c *Config, d *Splits, path string) (warnings []string, aside []SetAside) {
	t.Helper()
	stored, err := Load(path, "")
	if err != nil {
		t.Fatal(err)
	}
	local := *stored.Config
	local.Steps, local.LogEvery, local.PreviewN = c.Steps, c.LogEvery, 0
	o := Options{Backend: b, Folder: stored.Folder, From: stored, Events: func(e Event) {
		switch e := e.(type) {
		case Warning:
			warnings = append(warnings, e.Text)
		case SetAside:
			aside = append(aside, e)
		}
	}}
	if _, err := Run(t.Context(), &local, d, o); err != nil {
		t.Fatal(err)
	}
	return warnings, aside
}

// begin trains a run to c.Steps.
func begin(t *testing.T, b kernels.Backend, c *Config, d *Splits) (folder string) {
	t.Helper()
	folder = t.TempDir()
	local := *c
	if _, err := Run(t.Context(), &local, d, Options{Backend: b, Folder: folder}); err != nil {
		t.Fatal(err)
	}
	return folder
}

// A process that is killed after a checkpoint is whole, and before the pointer names it, loses nothing.
func TestKilledBeforeThePointer(t *testing.T) {
	c, d := tiny("mlp")
	c.PreviewN = 0
	b := kernels.NewCPU(1)
	defer b.Close()
	whole := begin(t, b, c, d)
	for _, pointer := range []string{"step-0000050.safetensors\n", "", "step-0000"} {
		half := *c
		half.Steps = 60
		dir := begin(t, b, &half, d)
		write(t, filepath.Join(dir, checkpointsDir, latestFile), pointer)
		if s, err := Load(dir, ""); err != nil || s.Step() != 60 {
			t.Errorf("pointer %q: %v", pointer, err)
		}
		if _, aside := goOn(t, b, c, d, dir); len(aside) > 0 {
			t.Errorf("pointer %q: set aside %v", pointer, aside)
		}
		sameRun(t, dir, whole)
		if p, _ := os.ReadFile(filepath.Join(dir, checkpointsDir, latestFile)); string(p) != "step-0000100.safetensors\n" {
			t.Errorf("the pointer is %q", p)
		}
	}
	// A pointer that stays behind although nothing is left to do is mended too.
	pointer := filepath.Join(whole, checkpointsDir, latestFile)
	write(t, pointer, "step-0000050.safetensors\n")
	goOn(t, b, c, d, whole)
	if p, _ := os.ReadFile(pointer); string(p) != "step-0000100.safetensors\n" {
		t.Errorf("the pointer is %q", p)
	}
}

// However often a run goes back to an earlier checkpoint, what it leaves stays.
func TestAsideIsNeverOverwritten(t *testing.T) {
	c, d := tiny("mlp")
	c.PreviewN, c.CheckpointEvery, c.LogEvery, c.Steps = 0, 10, 5, 40
	b := kernels.NewCPU(1)
	defer b.Close()
	dir := begin(t, b, c, d)
	have := map[string][]byte{} // every line that was ever written
	note := func() {
		b, err := os.ReadFile(filepath.Join(dir, metricsFile))
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(b) {
			have[string(line)] = line
		}
	}
	note()
	for i, step := range []int{20, 10, 10} {
		c.Steps = uint64(step + 15)
		_, aside := goOn(t, b, c, d, filepath.Join(dir, checkpointsDir, fmt.Sprintf("step-%07d.safetensors", step)))
		if ext := []string{".aside", ".aside-2", ".aside-3"}[i]; len(aside) != 1 || aside[0].Ext != ext {
			t.Errorf("back at %d: set aside %v, expected %s", step, aside, ext)
		}
		note()
	}
	var all []byte
	files, _ := filepath.Glob(filepath.Join(dir, metricsFile+"*"))
	for _, f := range files {
		b, _ := os.ReadFile(f)
		all = append(all, b...)
	}
	for line := range have {
		if !bytes.Contains(all, []byte(line)) {
			t.Errorf("in no file: %s", line)
		}
	}
	if cs, _ := filepath.Glob(filepath.Join(dir, checkpointsDir, "*.aside*")); len(cs) < 4 {
		t.Errorf("checkpoints set aside: %v", cs)
	}
}

// A line that a run adds because log-every was changed ends a window, though the checkpoint of its step is older.
func TestWindowEndsWithItsLine(t *testing.T) {
	c, d := tiny("mlp")
	c.PreviewN, c.EvalEvery, c.Steps, c.LogEvery, c.CheckpointEvery = 0, 0, 25, 20, 0
	b := kernels.NewCPU(1)
	defer b.Close()
	lines := func(killed bool) []string {
		dir := begin(t, b, c, d) // its last line, at step 25, is marked End
		longer := *c
		longer.Steps, longer.LogEvery = 50, 25
		if killed { // after the line of step 25, which is due now
			stored, err := Load(dir, "")
			if err != nil {
				t.Fatal(err)
			}
			local := *stored.Config
			local.Steps, local.LogEvery = 50, 25
			r, err := openRun(&local, d, Options{Backend: b, Folder: dir, From: stored})
			if err == nil {
				err = r.doWhatIsDue(t.Context())
			}
			if err != nil {
				t.Fatal(err)
			}
			r.close()
		}
		goOn(t, b, &longer, d, dir)
		return metricLines(t, dir)
	}
	if got, want := lines(true), lines(false); !slices.Equal(got, want) {
		t.Errorf("metrics\n%s\nexpected\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// Lines are JSON with a check that other programs may pass over, and a damaged one is told and kept aside.
func TestDamagedMetrics(t *testing.T) {
	c, d := tiny("mlp")
	c.PreviewN, c.Steps = 0, 60
	b := kernels.NewCPU(1)
	defer b.Close()
	for name, spoil := range map[string]func(line string) string{
		"digit":      func(l string) string { return strings.Replace(l, `"step":20`, `"step":21`, 1) },
		"brace":      func(l string) string { return strings.Replace(l, "}", ")", 1) },
		"check gone": func(l string) string { return l[:len(l)-crcTail-1] + "}\n" },
	} {
		dir := begin(t, b, c, d)
		path := filepath.Join(dir, metricsFile)
		text, _ := os.ReadFile(path)
		lines := slices.Collect(strings.Lines(string(text)))
		for _, l := range lines {
			var m map[string]any
			if json.Unmarshal([]byte(l), &m) != nil || len(m["crc"].(string)) != 8 {
				t.Errorf("line %q", l)
			}
		}
		at := 0
		if name == "check gone" {
			at = 1
		}
		lines[at] = spoil(lines[at])
		spoilt := strings.Join(lines, "")
		write(t, path, spoilt)
		warnings, _ := goOn(t, b, c, d, dir)
		if len(warnings) != 1 || !strings.Contains(warnings[0], "damaged lines (1)") ||
			!strings.Contains(warnings[0], path+asideExt) {
			t.Errorf("%s: warnings %q", name, warnings)
		}
		if kept, _ := os.ReadFile(path + asideExt); string(kept) != spoilt {
			t.Errorf("%s: the copy holds %q", name, kept)
		}
		if now := metricLines(t, dir); len(now) != len(lines)-1 {
			t.Errorf("%s: %d lines are left of %d", name, len(now), len(lines))
		}
	}
}

// Temporary files of training go when a run goes on; those of others stay.
func TestSweep(t *testing.T) {
	c, d := tiny("mlp")
	c.PreviewN, c.Steps = 0, 5
	b := kernels.NewCPU(1)
	defer b.Close()
	dir := begin(t, b, c, d)
	at := func(name string) string { return filepath.Join(dir, filepath.FromSlash(name)) }
	goes := []string{".config.yaml.00ff00ff.tmp", ".report.html.00ff00ff.tmp", "config.yaml.tmp", ".metrics.jsonl.aside-2.00000000.tmp",
		"checkpoints/step-0000007.safetensors.tmp", "checkpoints/.latest.12345678.tmp", "samples/.step-0000005.png.0badf00d.tmp"}
	stays := []string{"thesis.tmp", "checkpoints/mine.tmp", "samples/.sample-0000005-seed0.png.0badf00d.tmp",
		"samples/.step-0000005.png.tmp", ".config.yaml.tmp"}
	for _, name := range slices.Concat(goes, stays) {
		write(t, at(name), "x")
	}
	goOn(t, b, c, d, dir)
	for _, name := range goes {
		if _, err := os.Lstat(at(name)); err == nil {
			t.Errorf("%s is left", name)
		}
	}
	for _, name := range stays {
		if _, err := os.Lstat(at(name)); err != nil {
			t.Errorf("%s is gone", name)
		}
	}
}

// otherArithmetic is a backend that says it computes otherwise.
type otherArithmetic struct {
	kernels.Backend
	name string
}

func (b otherArithmetic) Arithmetic() string { return b.name }

// What a run is computed with is recorded with its state, and said when it changes.
func TestArithmetic(t *testing.T) {
	c, d := tiny("mlp")
	c.PreviewN, c.Steps = 0, 5
	b := kernels.NewCPU(1)
	defer b.Close()
	dir := begin(t, otherArithmetic{b, "avx512"}, c, d)
	for i, test := range []struct{ name, was string }{
		{"avx512", ""}, {"avx2", "avx512"}, {"go on arm64", "avx2"}, {"gpu", "go on arm64"}, {"gpu", ""},
	} {
		c.Steps = uint64(6 + i)
		if test.name == "avx2" { // by the checkpoint's copy
			os.Remove(filepath.Join(dir, configFile))
		}
		warnings, _ := goOn(t, otherArithmetic{b, test.name}, c, d, dir)
		if (len(warnings) > 0) != (test.was != "") || len(warnings) > 0 && !strings.Contains(warnings[0],
			fmt.Sprintf("computed with %s until now and goes on with %s", test.was, test.name)) {
			t.Errorf("%s after %s: warnings %q", test.name, test.was, warnings)
		}
		path, _ := Latest(dir)
		cp, err := checkpoint.ReadCheckpoint(path)
		text, _ := os.ReadFile(filepath.Join(dir, configFile))
		for _, yaml := range []string{cp.Config, string(text)} {
			if err != nil || !strings.Contains(yaml, "computed: "+test.name+"\n") {
				t.Errorf("%s is not recorded in %s", test.name, yaml)
			}
		}
	}
	// A run of an earlier version says nothing, and nothing is said.
	stored, err := Load(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	stored.computed = ""
	local := *stored.Config
	local.Steps++
	var warned bool
	if _, err := Run(t.Context(), &local, d, Options{Backend: b, Folder: dir, From: stored, Events: func(e Event) {
		_, w := e.(Warning)
		warned = warned || w
	}}); err != nil || warned {
		t.Errorf("an earlier version: warned %v, %v", warned, err)
	}
}

// The file that a run starts from is recorded, and another one of its name is refused when the run begins again.
func TestStartSum(t *testing.T) {
	c, d := tiny("mlp")
	c.PreviewN, c.Steps, c.HeldOut, c.CheckpointEvery = 0, 5, 0, 0
	b := kernels.NewCPU(1)
	defer b.Close()
	file := filepath.Join(t.TempDir(), "start.safetensors")
	take := func(seed uint64) {
		t.Helper()
		other := *c
		other.Seed = seed
		path, err := Latest(begin(t, b, &other, d))
		if err != nil {
			t.Fatal(err)
		}
		text, _ := os.ReadFile(path)
		write(t, file, string(text))
	}
	take(1)
	from := *c
	from.Init, from.Steps = file, 8
	dir := begin(t, b, &from, d)
	text, _ := os.ReadFile(filepath.Join(dir, configFile))
	sum, err := fileSum(file)
	if err != nil || !strings.Contains(string(text), "start_sum: "+sum+"\n") {
		t.Errorf("the sum %s, error %v, is not in %s", sum, err, text)
	}
	if err := os.RemoveAll(filepath.Join(dir, checkpointsDir)); err != nil { // as if killed before the first
		t.Fatal(err)
	}
	goOn(t, b, &from, d, dir)
	os.RemoveAll(filepath.Join(dir, checkpointsDir))
	take(2)
	stored, err := Load(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Run(t.Context(), stored.Config, d, Options{Backend: b, Folder: dir, From: stored}); err == nil ||
		!strings.Contains(err.Error(), file+" is not the file that this run was started from") {
		t.Errorf("another file: error %v", err)
	}
}
