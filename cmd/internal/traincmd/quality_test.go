package traincmd

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigmaz/cmd/internal/cli"
	"sigmaz/train"
)

// KID at the checkpoints of a run: a line each, with what it cannot be compared without; the cost is said first, the
// weights are those of a run without, and it can be taken away when the run goes on.
func TestQuality(t *testing.T) {
	dir := t.TempDir()
	call := func(args ...string) string {
		t.Helper()
		var out, errs bytes.Buffer
		if code := New().Execute(context.Background(), append([]string{"-runs", dir}, args...), cli.Streams{Out: &out, Err: &errs}); code != 0 {
			t.Fatalf("%v: exit code %d: %s", args, code, errs.String())
		}
		return out.String() + errs.String()
	}
	short := []string{"-ngf", "2", "-batch", "4", "-steps", "4", "-levels", "4", "-preview-n", "0", "-checkpoint-every", "2"}
	out := call(append(short, "-name", "with", "-eval-metric", "kid-digits", "-eval-samples", "20")...)
	cost, first := strings.Index(out, "20 samples by dpm++-2m-sde: 700 evaluations of the network"), strings.Index(out, "step 2  kid-digits")
	if cost < 0 || first < cost {
		t.Errorf("the cost is not said before the first measure:\n%s", out)
	}
	call(append(short, "-name", "without")...)
	weights := func(run string) []byte {
		b, err := os.ReadFile(filepath.Join(dir, run, "checkpoints", "step-0000004.safetensors"))
		if err != nil {
			t.Fatal(err)
		}
		n := 8 + int(b[0]) + int(b[1])<<8 + int(b[2])<<16 // the header holds the configuration
		return b[n:]
	}
	if !bytes.Equal(weights("with"), weights("without")) {
		t.Error("the measure changes the weights")
	}
	lines := func() (all []train.Quality) {
		text, err := os.ReadFile(filepath.Join(dir, "with", "metrics.jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			var q train.Quality
			if err := json.Unmarshal([]byte(line), &q); err != nil {
				t.Fatal(err)
			}
			if q.Metric != "" {
				all = append(all, q)
			}
		}
		return all
	}
	all := lines()
	for _, q := range all {
		if q.Metric != "kid-digits" || !(q.Value > 0.3) || !(q.SE > 0) || q.Samples != 20 || q.Reference != 2000 || q.Split != "trained on" ||
			q.NFE != 35 || !q.Denoise || q.Sampler != "dpm++-2m-sde" {
			t.Errorf("%+v", q)
		}
	}
	if len(all) != 2 {
		t.Errorf("%d measures", len(all))
	}
	call("-resume", filepath.Join(dir, "with"), "-steps", "6", "-eval-metric", "none")
	if n := len(lines()); n != 2 {
		t.Errorf("%d measures after -eval-metric none", n)
	}
}
