// Measures of quality at checkpoints: how far samples of the network, as it is then, are from the data. The measure itself is
// a hook's; here is which there are, when they are due, and their line in metrics.jsonl.

package train

import (
	"context"
	"fmt"
	"strings"

	"sigmaz/internal/setting"
	"sigmaz/kernels"
)

// KIDDigits is the kernel distance of features of package sample/eval/digits.
const KIDDigits = "kid-digits"

// EvalMetrics lists the measures that [Config.EvalMetric] may name.
func EvalMetrics() []string { return []string{KIDDigits} }

const (
	defaultEvalSamples = 500
	fewestEvalSamples  = 20
)

// QualitySamples returns how many samples the measure is taken of.
func (c *Config) QualitySamples() int {
	if c.EvalSamples == 0 {
		return defaultEvalSamples
	}
	return c.EvalSamples
}

// validateQuality checks what is known without the data.
func (c *Config) validateQuality() error {
	switch {
	case c.EvalMetric != "" && c.EvalMetric != KIDDigits:
		return setting.Errorf("eval-metric", "is %q: expected %s, or leave it out for none", c.EvalMetric, strings.Join(EvalMetrics(), " or "))
	case c.EvalSamples != 0 && c.EvalSamples < fewestEvalSamples || c.EvalSamples > maxPreview:
		return setting.Errorf("eval-samples", "is %d: expected %d to %d samples", c.EvalSamples, fewestEvalSamples, maxPreview)
	}
	return nil
}

// checkQuality checks whether the measure is one of such data.
func (c *Config) checkQuality(d *kernels.Data) error {
	if c.EvalMetric == KIDDigits && (d.U8 == nil || d.H != 28 || d.W != 28 || d.C != 1) {
		return setting.Errorf("eval-metric", "is %s, which is of grey images of 28x28, and data %q has rows of %dx%dx%d: leave it out",
			c.EvalMetric, c.Data, d.H, d.W, d.C)
	}
	return nil
}

// Quality is a measure of samples, with all that it cannot be compared without. It is what metrics.jsonl has of it.
type Quality struct {
	Metric    string  `json:"metric"`
	Value     float64 `json:"value"`
	SE        float64 `json:"standard_error"`
	Samples   int     `json:"samples"`
	Reference int     `json:"reference"`
	Split     string  `json:"split"` // that the reference is of
	Sampler   string  `json:"sampler"`
	NFE       int     `json:"nfe"`
	Denoise   bool    `json:"denoise"`
	Seed      uint64  `json:"seed"`
}

// qualityLine is a line of metrics.jsonl about samples.
type qualityLine struct {
	Step uint64 `json:"step"`
	Quality
	Time string `json:"time"`
	End  bool   `json:"end,omitempty"`
}

// measure takes the measure of quality and writes its line. end marks one that was not due.
func (r *run) measure(ctx context.Context, end bool) error {
	r.o.Events.report(Measuring{r.step(), r.c.EvalMetric})
	weights, err := r.averaged()
	if err != nil {
		return err
	}
	q, err := r.o.Hooks.Quality(ctx, r.step(), weights)
	if err != nil {
		if ctx.Err() != nil {
			return nil // a stop: the resumed run measures
		}
		return fmt.Errorf("cannot take %s: %w", r.c.EvalMetric, err)
	}
	if err := r.write(qualityLine{r.step(), q, now(), end}); err != nil {
		return err
	}
	r.measuredAt = r.step()
	r.o.Events.report(Measured{r.step(), q})
	return nil
}
