// Those who watch a run.

package traincmd

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigmaz/cmd/internal/cli"
	"sigmaz/internal/extras"
	"sigmaz/train"
)

// trains runs the command on few points of the plane in a folder for runs and returns what it printed.
func trains(t *testing.T, runs string, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	if code := New().Execute(context.Background(), append([]string{"-runs", runs}, args...),
		cli.Streams{Out: &out, Err: &out}); code != 0 {
		t.Fatalf("%q: exit code %d\n%s", args, code, &out)
	}
	return out.String()
}

// shortRun is the flags of a run that takes a moment.
var shortRun = []string{"-data", "toy:moons", "-hidden", "8", "-batch", "16", "-levels", "5", "-steps", "60", "-log-every", "20",
	"-eval-every", "40", "-held-out", "64", "-preview-n", "16", "-preview-every", "40", "-checkpoint-every", "20", "-keep-checkpoints", "0"}

// Whoever watches a run changes none of its bytes.
func TestWatchingChangesNothing(t *testing.T) {
	t.Parallel()
	runs := t.TempDir()
	trains(t, runs, append(slices.Clone(shortRun), "-name", "alone")...)
	trains(t, runs, append(slices.Clone(shortRun), append(watchedBy, "-name", "watched")...)...)
	for _, name := range []string{"config.yaml", "checkpoints/step-0000060.safetensors", "samples/step-0000060.png"} {
		a, err := os.ReadFile(filepath.Join(runs, "alone", name))
		b, err2 := os.ReadFile(filepath.Join(runs, "watched", name))
		if err != nil || err2 != nil || !bytes.Equal(a, b) {
			t.Errorf("%s differs: %v %v", name, err, err2)
		}
	}
	if names, _ := filepath.Glob(filepath.Join(runs, "watched", "events.out.tfevents.*")); len(names) != 1 {
		t.Errorf("event files %v", names)
	}
	if _, err := os.Stat(train.ReportPath(filepath.Join(runs, "watched"))); err != nil {
		t.Error(err)
	}
}

// The lines say where the page and the report are, and how to go on; a run that cannot go on leaves a report that says so.
func TestWatchingSays(t *testing.T) {
	t.Parallel()
	runs := t.TempDir()
	out := trains(t, runs, append(slices.Clone(shortRun), "-name", "a", "-listen", "0", "-report")...)
	for _, want := range []string{"page     http://127.0.0.1:", "\nreport   " + filepath.Join(runs, "a", "report.html") + "\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	out = trains(t, runs, "-resume", filepath.Join(runs, "a"), "-report")
	if !strings.Contains(out, "-report -resume ") {
		t.Errorf("it does not say how to go on:\n%s", out)
	}
	if out := trains(t, runs, append(slices.Clone(shortRun), "-name", "dry", "-listen", "0", "-dry-run")...); strings.Contains(out, "page ") {
		t.Errorf("a dry run serves a page:\n%s", out)
	}
	var said bytes.Buffer
	code := New().Execute(context.Background(), append(slices.Clone(shortRun), "-runs", runs, "-name", "bad", "-report", "-lr", "1e30"),
		cli.Streams{Out: &said, Err: &said})
	page, err := os.ReadFile(train.ReportPath(filepath.Join(runs, "bad")))
	if code != 1 || err != nil || !bytes.Contains(page, []byte(`"phase":"failed: training stopped because`)) {
		t.Errorf("exit code %d, %v\n%s", code, err, &said)
	}
}

// watchedBy is the flags of everybody who watches.
var watchedBy = []string{"-tensorboard", "-listen", "0"}

// TensorBoard reads what metrics.jsonl holds, of a run that was gone on with from an earlier checkpoint, and of one that
// was watched from its second process on.
func TestExtrasTensorBoardReadsRuns(t *testing.T) {
	python := extras.Python(t, "tensorboard")
	t.Parallel()
	runs := t.TempDir()
	trains(t, runs, append(slices.Clone(shortRun), "-name", "early", "-tensorboard")...)
	trains(t, runs, "-resume", filepath.Join(runs, "early", "checkpoints", "step-0000020.safetensors"), "-tensorboard")
	trains(t, runs, append(slices.Clone(shortRun), "-name", "late", "-noise", "loguniform")...)
	trains(t, runs, "-resume", filepath.Join(runs, "late"), "-steps", "100", "-tensorboard")
	const program = `
import sys, json
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
a = EventAccumulator(sys.argv[1], size_guidance={"scalars": 0, "images": 0})
a.Reload()
print(json.dumps({"scalars": {t: {e.step: e.value for e in a.Scalars(t)} for t in a.Tags()["scalars"]},
    "samples": [e.step for e in a.Images("samples")]}))
`
	for name, want := range map[string]struct {
		level   string
		samples []uint64
	}{"early": {"loss/level/004", []uint64{40, 60}}, "late": {"loss/ln_sigma/-1.0", []uint64{40, 60, 80, 100}}} {
		out, err := exec.Command(python, "-W", "ignore", "-c", program, filepath.Join(runs, name)).Output()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		var got struct {
			Scalars map[string]map[uint64]float64
			Samples []uint64
		}
		if err := json.Unmarshal(out, &got); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if !slices.Equal(got.Samples, want.samples) {
			t.Errorf("%s: previews of steps %v", name, got.Samples)
		}
		lines := map[string]int{}
		check := func(tag string, step uint64, v float64) {
			lines[tag]++
			if read, ok := got.Scalars[tag][step]; !ok || float32(read) != float32(v) {
				t.Errorf("%s, step %d: %s is %v, expected %v", name, step, tag, read, v)
			}
		}
		err = train.ReadMetrics(filepath.Join(runs, name), func(l *train.Line) {
			if l.Loss != nil {
				check("loss/train", l.Step, *l.Loss)
				check("rows_per_s", l.Step, l.ImagesPerS)
			} else {
				check("loss/held-out", l.Step, *l.HeldOutLoss)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		for tag, n := range lines {
			if len(got.Scalars[tag]) != n || n < 2 {
				t.Errorf("%s: %d values of %s, %d lines", name, len(got.Scalars[tag]), tag, n)
			}
		}
		if got.Scalars[want.level] == nil || got.Scalars["learning_rate"] == nil {
			t.Errorf("%s: the tags are %v", name, strings.Join(slices.Sorted(maps.Keys(got.Scalars)), " "))
		}
	}
}

// The scripts of docs/watching.md feed the trackers that they are for.
func TestExtrasTrackers(t *testing.T) {
	page, err := os.ReadFile("../../../docs/watching.md")
	if err != nil {
		t.Fatal(err)
	}
	runs := t.TempDir()
	trains(t, runs, append(slices.Clone(shortRun), "-name", "r")...)
	for _, tracker := range []struct{ heading, module, check string }{
		// an offline run is a file of W&B's own, with the names and values as JSON
		{"W&B", "wandb", `
import glob
b, = [open(p, "rb").read() for p in glob.glob("wandb/offline-run-*/*.wandb")]
assert b"held_out_loss" in b and b"loss_per_level/4" in b and repr(want["loss"][0][1]).encode() in b, len(b)`},
		{"MLflow", "mlflow", `
import mlflow
c = mlflow.MlflowClient()
run, = c.search_runs([c.get_experiment_by_name("sigmaz").experiment_id])
for key in want:
    got = [[m.step, m.value] for m in c.get_metric_history(run.info.run_id, key)]
    assert got == want[key], (key, got, want[key])`},
		{"trackio", "trackio", `
import sqlite3
got = {}
for step, m in sqlite3.connect("trackio/sigmaz.db").execute("SELECT step, metrics FROM metrics ORDER BY id"):
    for key, v in json.loads(m).items():
        got.setdefault(key, []).append([step, v])
for key in want:
    assert got[key] == want[key], (key, got[key], want[key])`},
	} {
		t.Run(tracker.module, func(t *testing.T) {
			python := extras.Python(t, tracker.module)
			_, after, found := strings.Cut(string(page), "\n### "+tracker.heading+"\n")
			if !found {
				t.Fatalf("docs/watching.md has no part on %s", tracker.heading)
			}
			var script strings.Builder
			for line := range strings.Lines(after) {
				if strings.HasPrefix(line, "#") {
					break
				}
				if code, ok := strings.CutPrefix(line, "    "); ok || line == "\n" {
					script.WriteString(code)
				}
			}
			if n := strings.Count(strings.TrimSpace(script.String()), "\n") + 1; n < 8 || n > 15 {
				t.Errorf("the script has %d lines, expected at most 15", n)
			}
			dir := t.TempDir()
			run := func(name, text string, args ...string) {
				t.Helper()
				path := filepath.Join(dir, name)
				if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
					t.Fatal(err)
				}
				in, err := os.Open(filepath.Join(runs, "r", "metrics.jsonl"))
				if err != nil {
					t.Fatal(err)
				}
				defer in.Close()
				c := exec.Command(python, append([]string{"-W", "ignore", path}, args...)...)
				c.Dir, c.Stdin = dir, in
				c.Env = append(os.Environ(), "HOME="+dir, "WANDB_MODE=offline", "MLFLOW_ALLOW_FILE_STORE=true",
					"MLFLOW_TRACKING_URI=file:"+filepath.Join(dir, "mlruns"), "TRACKIO_DIR="+filepath.Join(dir, "trackio"))
				if out, err := c.CombinedOutput(); err != nil {
					t.Fatalf("%s: %v\n%s", name, err, out)
				}
			}
			run("feed.py", script.String(), "r")
			run("check.py", `
import json, sys
want = {}
for line in sys.stdin:
    m = json.loads(line)
    for key in "loss", "held_out_loss", "images_per_s":
        if key in m:
            want.setdefault(key, []).append([m["step"], m[key]])
    if "loss_per_level" in m:
        p = m["loss_per_level"]
        for level, loss in zip(p["level"], p["loss"]):
            want.setdefault(f"loss_per_level/{level}", []).append([m["step"], loss])
assert len(want["loss"]) == 3 and "loss_per_level/4" in want, want
`+tracker.check)
		})
	}
}
