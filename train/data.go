// The data of a run: opened, checked against what the run was started with, and divided.

package train

import (
	"context"
	"fmt"
	"math"
	"reflect"
	"time"

	"sigmaz/internal/setting"
	"sigmaz/kernels"
	"sigmaz/train/dataset"
)

// Splits is the data set of a run, divided.
type Splits struct {
	Name    string
	Mapped  bool // it lies in a mapped file, not in memory
	Train   *kernels.Data
	HeldOut *kernels.Data // nil without a held-out loss
}

// Source returns the data of the run, as package dataset opens it.
func (c *Config) Source() dataset.Source {
	return dataset.Source{Spec: c.Data, Seed: c.Seed, Settings: c.Reading, Cache: c.Cache}
}

// SourceFor returns where data that goes with the run is read from, its own or other: as the run reads its own, with vectors
// standardised as the run's are, or not at all where those are not. What is made has the run's labels and no other setting.
func (c *Config) SourceFor(spec string) dataset.Source {
	s := c.Source()
	s.Spec = spec
	if parsed, err := dataset.ParseSpec(spec); err == nil && parsed.Kind != dataset.Files {
		s.Settings = dataset.Settings{Classes: c.Reading.Labelled()}
	} else if dataset.IsVectors(spec) {
		if s.Scaler = c.Scaler; s.Scaler == nil {
			s.Standardize = "none"
		}
	}
	return s
}

// openData opens the data and reports how far that is.
func (c *Config) openData(ctx context.Context, events Events) (*dataset.Set, error) {
	events.report(Opening{})
	start := time.Now()
	source := c.Source()
	source.Note = func(line string) { events.report(DataNote{line}) }
	source.Progress = func(done, total int) {
		if total == 0 {
			start = time.Now() // looking at files says nothing about how long reading them takes
			events.report(Reading{Done: done})
			return
		}
		events.report(Reading{done, total, timeLeft(start, int64(done), int64(total))})
	}
	set, err := source.Open(ctx)
	if err != nil {
		return nil, err
	}
	events.report(Opened{set.Name, set.Mapped})
	for _, note := range set.Notes {
		events.report(DataNote{"         " + note})
	}
	return set, nil
}

// timeLeft estimates how long the rest takes, when done of total were done since start.
func timeLeft(start time.Time, done, total int64) time.Duration {
	return time.Duration(float64(time.Since(start)) * float64(total-done) / float64(done))
}

// checkSame refuses other data than what the run was started with.
func (c *Config) checkSame(set *dataset.Set) error {
	switch {
	case c.DataSum != "" && c.DataSum != set.Sum:
		return fmt.Errorf("data %q is not what this run was started with (checksum %s, expected %s): give the "+
			"same data with `data`, or start a new run",
			c.Data, set.Sum, c.DataSum)
	case c.DataSum != "" && !reflect.DeepEqual(c.Scaler, set.Scaler):
		return fmt.Errorf("data %q is not what this run was started with (its columns have other names, means or "+
			"deviations): "+
			"give the same data with `data`, or start a new run", c.Data)
	}
	return nil
}

// split takes the held-out images out of the data and returns what is left to train on, which has its distances, too.
func (c *Config) split(set *dataset.Set, events Events) (*Splits, *dataset.Set, error) {
	switch {
	case c.HeldOut > 0 && c.DataSum == "":
		c.Split = SplitByContent
	case c.HeldOut > 0 && c.Split != SplitByContent:
		events.report(Warning{"this run was begun by a version of sigmaz that held other images out: its " +
			"held-out losses from here on " +
			"are of images that it was trained on, and its weights not those of a run that was never stopped"})
	}
	c.DataSum, c.Scaler = set.Sum, set.Scaler
	s := &Splits{Name: set.Name, Mapped: set.Mapped, Train: &set.Data}
	if c.HeldOut == 0 {
		return s, set, nil
	}
	if 2*c.HeldOut >= set.N {
		what := "images"
		if !c.Network.TakesImages() {
			what = "rows"
		}
		return nil, nil, setting.Errorf("held-out", "is %d: expected less than half of the %d %s; `held-out` 0 keeps "+
			"none", c.HeldOut, set.N, what)
	}
	train, held := set.Split(c.Seed, c.HeldOut)
	s.Train, s.HeldOut = &train.Data, &held.Data
	return s, train, nil
}

// deviation returns the standard deviation of all values about their one mean.
func deviation(d *kernels.Data) float64 {
	n := float64(d.N) * float64(d.D())
	sum, sum2 := 0.0, 0.0
	for i := range d.N {
		for _, v := range d.Floats(i) {
			sum += float64(v)
		}
	}
	mean := sum / n
	for i := range d.N {
		for _, v := range d.Floats(i) {
			e := float64(v) - mean
			sum2 += e * e
		}
	}
	return math.Sqrt(sum2 / n)
}
