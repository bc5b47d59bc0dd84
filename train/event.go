// Events: what a run reports while it works, for whoever shows it to people. The package itself prints nothing.

package train

import (
	"time"

	"sigmaz/train/dataset"
)

// Event is something that happened in a run: a value of one of these types, in the order in which they come.
//
//	Opening, Reading, DataNote, Opened, DataNote    the data is opened              Config.Resolve
//	Comparing, Compared, Diameter, PairDistances    a rule asks for its distances   Config.Resolve
//	DataOnHost, StartedFrom, SetAside, Training     the run starts                  Run
//	Progress, Wrote, Logged                         it trains                       Run
//	Evaluating, Wrote, HeldOut;                     something is due at a step      Run
//	Measuring, Wrote, Measured;
//	Drawing, Picture; Saved
//	Warning                                         at any time
type Event interface{ event() }

// Events takes events in the order in which they happen, one at a time. nil takes none.
type Events func(Event)

// report hands an event on, where somebody takes it.
func (e Events) report(event Event) {
	if e != nil {
		e(event)
	}
}

// Warning is something that somebody should know before the run takes its time. The text is one sentence.
type Warning struct{ Text string }

// The data, in [Config.Resolve].
type (
	// Opening comes before the data is opened, which takes moments or, for many files, minutes.
	Opening struct{}

	// Reading says how far the opening of the data is: Done of Total images are read. While files are still looked for,
	// Total is 0 and Done is the number of the file at hand.
	Reading struct {
		Done, Total int
		Left        time.Duration // that the rest will take; with a total only
	}

	// DataNote is something about the data, in one line.
	DataNote struct{ Text string }

	// Opened says which data was opened.
	Opened struct {
		Name   string
		Mapped bool // it lies in a mapped file, not in memory
	}
)

// The distances between the images, where a rule for the ladder asks for them, in [Config.Resolve].
type (
	// Comparing comes before the distances between all pairs of N images are taken.
	Comparing struct{ N int }

	// Compared says how far the comparison of pairs is.
	Compared struct {
		Done, Total int64 // pairs
		Left        time.Duration
	}

	// Diameter is the largest distance between two of N images, found without looking at all pairs.
	Diameter struct {
		Max float64
		N   int
	}

	// PairDistances is what the comparison of all pairs found.
	PairDistances struct {
		dataset.Distances
		End   float64 // sigma_L by RuleData
		Touch float64 // d_min/(2 sqrt D), which End is but for the bounds of [SigmaEndOf]
	}
)

// The start of a run, in [Run].
type (
	// DataOnHost says that the device gets the data step by step, and what that takes.
	DataOnHost struct{ Placement }

	// StartedFrom says whose weights the run starts with, where they are not drawn from its seed.
	StartedFrom struct {
		Path    string
		Kind    string // checkpoint.KindCheckpoint and its siblings
		Step    uint64 // of the weights
		Stepped bool   // whether the file says which step that is
		GoesOn  bool   // with Adam's moments and the step of the file
		Average AverageStart
		// PassedOver names what the file holds beside what was taken, see [checkpoint.Weights].
		PassedOver []string
	}

	// SetAside says that the run goes on from a checkpoint that is not its newest. The later ones were renamed, and so
	// was a copy of the metrics.
	SetAside struct {
		Checkpoints int    // how many were renamed
		Ext         string // what their names now end in
	}

	// Training comes before the first step of this process. Step is the number of steps done by earlier ones.
	Training struct{ Step, Steps uint64 }
)

// AverageStart is what the moving average of the weights starts with.
type AverageStart int

const (
	NoAverage          AverageStart = iota // none is kept
	AverageFromAverage                     // the file's moving average
	AverageFromWeights                     // the file's weights, since it has no average
)

// The steps, in [Run].
type (
	// Progress says how far the run is, about twice a second.
	Progress struct {
		Step, Steps uint64
		Loss        float64 // a running mean over the last steps
		Relative    float64 // the loss relative to that of zero weights
		Unit        string  // what that loss is called: Config.Unit
		ImagesPerS  float64
		Rows        string        // what the rate counts: Config.Rows
		Left        time.Duration // that the rest will take
		Slowest     int           // of several ranks: the one that the others wait for
		Waiting     float64       // which share of the time they wait; 0 where it is small
	}

	// Wrote is a line that metrics.jsonl got, without its check and its end, for [ParseLine].
	Wrote struct{ Line []byte }

	// Logged is a line of metrics.jsonl about training: Progress with the mean loss of the steps since the line
	// before.
	Logged struct{ Progress }

	// Evaluating comes before the held-out loss is computed, HeldOut after it.
	Evaluating struct{ Step uint64 }

	// HeldOut is the loss on the held-out images.
	HeldOut struct {
		Step           uint64
		Loss, Relative float64
		Unit           string
	}

	// Measuring comes before a measure of quality is taken, Measured after it.
	Measuring struct {
		Step   uint64
		Metric string
	}

	// Measured is a measure of quality.
	Measured struct {
		Step uint64
		Quality
	}

	// Saved says that a checkpoint was written.
	Saved struct {
		Step uint64
		Path string
	}

	// Drawing comes before a preview is drawn, Picture after it.
	Drawing struct{ Step uint64 }

	// Picture says where the picture of a preview was written.
	Picture struct {
		Step uint64
		Path string
	}
)

func (Warning) event()       {}
func (Opening) event()       {}
func (Reading) event()       {}
func (DataNote) event()      {}
func (Opened) event()        {}
func (Comparing) event()     {}
func (Compared) event()      {}
func (Diameter) event()      {}
func (PairDistances) event() {}
func (DataOnHost) event()    {}
func (StartedFrom) event()   {}
func (SetAside) event()      {}
func (Training) event()      {}
func (Progress) event()      {}
func (Wrote) event()         {}
func (Logged) event()        {}
func (Evaluating) event()    {}
func (HeldOut) event()       {}
func (Measuring) event()     {}
func (Measured) event()      {}
func (Saved) event()         {}
func (Drawing) event()       {}
func (Picture) event()       {}
