package train

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"sigmaz/kernels"
	"sigmaz/model"
)

// A measure is taken at each checkpoint and at the end, before the checkpoint is written, so that a run that is stopped
// anywhere and goes on has the lines of one that was never stopped.
func TestQuality(t *testing.T) {
	c, d := tiny("mlp")
	c.PreviewN, c.EvalEvery, c.Steps, c.LogEvery, c.CheckpointEvery = 0, 0, 25, 10, 10
	b := kernels.NewCPU(1)
	defer b.Close()
	run := func(dir string, from *Stored, c *Config, stopAt uint64) (lines []string, events string) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		o := Options{Backend: b, Folder: dir, From: from, Events: func(e Event) {
			switch e := e.(type) {
			case Measured:
				events += fmt.Sprintf("M%d ", e.Step)
			case Saved:
				events += fmt.Sprintf("S%d ", e.Step)
			}
		}}
		o.Hooks.Quality = func(ctx context.Context, step uint64, weights []model.Named) (Quality, error) {
			if step == stopAt {
				cancel()
				return Quality{}, ctx.Err()
			}
			return Quality{Metric: KIDDigits, Value: float64(weights[0].T.Data().([]float32)[0]), SE: 0.5, Samples: 20}, nil
		}
		if _, err := Run(ctx, c, d, o); err != nil {
			t.Fatal(err)
		}
		for _, line := range metricLines(t, dir) {
			var l anyLine
			if json.Unmarshal([]byte(line), &l) == nil && l.Metric != nil {
				lines = append(lines, line)
			}
		}
		return lines, events
	}
	want, events := run(t.TempDir(), nil, c, 0)
	if events != "M10 S10 M20 S20 M25 S25 " || len(want) != 3 || !strings.Contains(want[0], `"metric":"kid-digits"`) ||
		!strings.Contains(want[2], `"end":true`) || strings.Contains(want[1], `"end"`) {
		t.Errorf("%s: %q", events, want)
	}
	dir := t.TempDir()
	_, events = run(dir, nil, c, 20) // stopped while it measures: saved without
	if events != "M10 S10 S20 " {
		t.Errorf("stopped: %s", events)
	}
	stored, err := Load(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	if got, events := run(dir, stored, stored.Config, 0); !slices.Equal(got, want) || events != "M20 M25 S25 " {
		t.Errorf("gone on: %s: %q\nexpected %q", events, got, want)
	}
	if stored, err = Load(dir, ""); err != nil {
		t.Fatal(err)
	}
	if got, events := run(dir, stored, stored.Config, 0); !slices.Equal(got, want) || events != "" {
		t.Errorf("at its end: %s: %q\nexpected %q", events, got, want)
	}

	o := Options{Backend: b, Folder: t.TempDir()}
	o.Hooks.Quality = func(context.Context, uint64, []model.Named) (Quality, error) { return Quality{}, errors.New("no luck") }
	if _, err := Run(t.Context(), c, d, o); err == nil || !strings.Contains(err.Error(), "no luck") {
		t.Errorf("error %v", err)
	}
}

func TestQualitySettings(t *testing.T) {
	for want, set := range map[string]func(c *Config){
		`eval-metric is "fid"`:                 func(c *Config) { c.EvalMetric = "fid" },
		"eval-samples is 9: expected 20":       func(c *Config) { c.EvalMetric, c.EvalSamples = KIDDigits, 9 },
		"eval-samples is 1000000: expected 20": func(c *Config) { c.EvalMetric, c.EvalSamples = KIDDigits, 1_000_000 },
		"eval-samples is -1: expected 20":      func(c *Config) { c.EvalSamples = -1 },
	} {
		c, _ := tiny("ncsnv2")
		set(c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, expected one with %q", err, want)
		}
	}
	c, d := tiny("ncsnv2")
	if c.EvalMetric = KIDDigits; c.QualitySamples() != 500 {
		t.Errorf("%d samples", c.QualitySamples())
	}
	if err := c.TakeSize(d.Train); err == nil || !strings.Contains(err.Error(), "grey images of 28x28") {
		t.Errorf("images of 8x8: error %v", err)
	}
	if err := c.TakeSize(&kernels.Data{N: 1, H: 28, W: 28, C: 1, U8: make([]byte, 784)}); err != nil {
		t.Error(err)
	}
}
