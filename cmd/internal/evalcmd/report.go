// The report: numbers as text and as JSON.

package evalcmd

import (
	"fmt"
	"io"
	"math"
	"strings"

	"sigmaz/cmd/internal/cli"
	"sigmaz/sample/eval"
)

// Report is what -json writes.
type Report struct {
	Samples      Set       `json:"samples"`
	Reference    Set       `json:"reference"`
	Learned      *Set      `json:"learned,omitempty"`
	Features     string    `json:"features,omitempty"` // that images are compared by
	Numbers      []Number  `json:"numbers"`
	Columns      []Column  `json:"columns,omitempty"`
	Nearest      []Nearest `json:"nearest,omitempty"` // of the samples that are nearest to what was learned, or to the reference
	NearestOf    string    `json:"nearest_of,omitempty"`
	Notes        []string  `json:"notes,omitempty"`
	Seconds      float64   `json:"seconds"`
	neighbouring []shown
}

// Set is a set of points.
type Set struct {
	Spec  string `json:"spec"`
	What  string `json:"what"`
	Split string `json:"split"`
	Count int    `json:"count"`
	Shape string `json:"shape"`
	*Drawn
}

// Drawn is how samples were drawn.
type Drawn struct {
	Step      uint64 `json:"step"`
	Weights   string `json:"weights"`
	Sampler   string `json:"sampler"`
	NFE       int    `json:"nfe,omitempty"`
	Denoise   bool   `json:"denoise"`
	Seed      uint64 `json:"seed"`
	Precision string `json:"precision"`
	Device    string `json:"device"`

	macs int64 // of one evaluation
}

// Number is a measure, with all that it cannot be compared without.
type Number struct {
	Name      string   `json:"name"`
	Value     *float64 `json:"value"` // null: not finite
	SE        *float64 `json:"standard_error,omitempty"`
	Samples   int      `json:"samples"`
	Reference int      `json:"reference"`
	Split     string   `json:"split"`
	Denoise   *bool    `json:"denoise,omitempty"` // null: the samples were there
	Seed      *uint64  `json:"seed,omitempty"`
	Of        string   `json:"of,omitempty"` // "data": the same of as many points that were learned, in place of samples
}

// Column compares a column of vectors, in the data's own units.
type Column struct {
	Name       string  `json:"name"`
	Mean       float64 `json:"mean"`
	OfMean     float64 `json:"reference_mean"`
	SD         float64 `json:"sd"`
	OfSD       float64 `json:"reference_sd"`
	Difference float64 `json:"difference_of_means_in_sd"`
	SE         float64 `json:"standard_error"`
}

// Nearest is a sample and what is nearest to it.
type Nearest struct {
	Sample   int     `json:"sample"`
	Row      int     `json:"row"`
	Distance float64 `json:"distance"`
}

// note keeps a line about the evaluation and prints it.
func (r *Report) note(w io.Writer, format string, a ...any) {
	line := cli.Flags(fmt.Sprintf(format, a...))
	r.Notes = append(r.Notes, line)
	fmt.Fprintln(w, line)
}

// finite returns nil for what JSON does not have.
func finite(v float64) *float64 {
	if v-v != 0 {
		return nil
	}
	return &v
}

// setOf describes a set.
func setOf(s *set) Set {
	return Set{Spec: s.spec, What: s.what, Split: s.split, Count: s.n, Shape: s.shape(), Drawn: s.drawn}
}

// drawnText is "denoised, seed 0" or "".
func (s *set) drawnText() string {
	if s.drawn == nil {
		return ""
	}
	text := "denoised"
	if !s.drawn.Denoise {
		text = "not denoised"
	}
	return fmt.Sprintf(" (%s, %s, seed %d)", s.drawn.Sampler, text, s.drawn.Seed)
}

// add keeps a number and prints it, with what it is of. of is "" for samples.
func (j *job) add(name string, e eval.Estimate, of string) {
	j.addOf(name, e, j.samples.whole(), j.reference.whole(), of)
}

// addOf is add for a number of some of the samples and of the reference.
func (j *job) addOf(name string, e eval.Estimate, samples, reference int, of string) {
	n := Number{Name: name, Value: finite(e.Value), SE: finite(e.SE), Samples: samples, Reference: reference,
		Split: j.reference.split, Of: of}
	what := cli.Count(samples, "sample") + j.samples.drawnText()
	if of != "" {
		what = fmt.Sprintf("%d of what was learned", n.Samples)
	} else if d := j.samples.drawn; d != nil {
		n.Denoise, n.Seed = &d.Denoise, &d.Seed
	}
	j.report.Numbers = append(j.report.Numbers, n)
	j.printf("%-28s %-24s %s against %d (%s)", name, text(e), what, reference, j.reference.split)
}

// printf prints a line.
func (j *job) printf(format string, a ...any) {
	fmt.Fprintln(j.messages, strings.TrimRight(fmt.Sprintf(format, a...), " "))
}

// text writes an estimate to as many digits as its error justifies: "0.00123 +- 0.00010".
func text(e eval.Estimate) string {
	if !(e.SE > 0) || math.IsInf(e.SE, 0) {
		return fmt.Sprintf("%.4g", e.Value)
	}
	digits := max(0, 1-int(math.Floor(math.Log10(e.SE))))
	if digits > 12 {
		return fmt.Sprintf("%.3g +- %.1g", e.Value, e.SE)
	}
	return fmt.Sprintf("%.*f +- %.*f", digits, e.Value, digits, e.SE)
}
