// The design as lines, as YAML for train -config, and as JSON.

package sigmascmd

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"

	"sigmaz/cmd/internal/cli"
	"sigmaz/sample"
	"sigmaz/train"
	"sigmaz/train/dataset"
)

// indent is where the second column of the lines begins.
const indent = 12

// line prints a line with its name; a line that goes on has none.
func line(w io.Writer, name, format string, a ...any) {
	fmt.Fprintf(w, "%-*s%s\n", indent, name, fmt.Sprintf(format, a...))
}

// grouped writes a whole number with a comma between thousands.
func grouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// title writes a sampler's name as people do: DPM++ 2M SDE for dpm++-2m-sde.
func title(sampler string) string {
	switch {
	case sampler == sample.Langevin:
		return "annealed Langevin"
	case strings.HasPrefix(sampler, "dpm"):
		return strings.ToUpper(strings.ReplaceAll(sampler, "-", " "))
	}
	return sampler
}

// rows is what rows are called.
func (r *Report) rows() string {
	if r.Data.Images {
		return "images"
	}
	return "rows"
}

func (r *Report) printData(w io.Writer, notes []string) {
	d, e := &r.Data, &r.Distances
	n := fmt.Sprintf(" %d ", d.Rows)
	name := strings.Replace(d.Name, n, " "+grouped(int64(d.Rows))+" ", 1)
	line(w, "data", "%s, D = %d; %s duplicates", name, d.D, grouped(int64(d.Duplicates)))
	for _, note := range notes {
		line(w, "", "%s", cli.Flags(strings.TrimSpace(note)))
	}
	sampled := ""
	if e.Sampled > 1 {
		sampled = fmt.Sprintf("; median %s, 99.9 %% %s (from %s %s)", decimals(e.Median, 2), decimals(e.Most, 2),
			grouped(int64(e.Sampled)), r.rows())
	}
	line(w, "distances", "largest %s (%s %d, %d), smallest %s (%d, %d), over all %s pairs%s", decimals(e.Largest, 4), r.rows(),
		e.Farthest[0], e.Farthest[1], decimals(e.Smallest, 4), e.Nearest[0], e.Nearest[1], grouped(e.Pairs), sampled)
}

// decimals writes a distance with so many decimals, or in four digits where these would be too few.
func decimals(v float64, n int) string {
	if v < 0.05 || v >= 1e6 {
		return fmt.Sprintf("%.4g", v)
	}
	return fmt.Sprintf("%.*f", n, v)
}

func (r *Report) printLadder(w io.Writer) {
	l := &r.Ladder
	why := "as asked for"
	if l.BeginRule != "" {
		why = "the largest distance (Technique 1)"
	} else if l.Begin < r.Distances.Largest {
		why += fmt.Sprintf("; the largest distance (Technique 1) is %.4g", r.Distances.Largest)
	}
	line(w, "sigma_1", "%-7.4g %s", l.Begin, why)

	size := fmt.Sprintf("%.2g grey levels", 256*l.End)
	if !r.Data.Images {
		size = fmt.Sprintf("%.2g of a value's deviation", l.End/r.Data.SD)
	}
	byData := fmt.Sprintf("%.3g", l.Touch)
	if l.Bounded != l.Touch {
		byData = fmt.Sprintf("%.3g, within its bounds %.3g", l.Touch, l.Bounded)
	}
	switch l.EndRule {
	case train.RuleData:
		line(w, "sigma_L", "%-7.4g %s; by the smallest distance d_min/(2 sqrt D), %s", l.End, size, byData)
	case train.RuleLiteral:
		line(w, "sigma_L", "%-7.4g %s; d_min itself, a distance used as a deviation per value: by d_min/(2 sqrt D) it would be %s", l.End,
			size, byData)
		line(w, "", "warning: noise of this deviation is %.3g times as long as the distance: it hides what samples end in",
			math.Sqrt(float64(r.Data.D)))
	default:
		line(w, "sigma_L", "%-7.4g %s; by the smallest distance d_min/(2 sqrt D) it would be %s", l.End, size, byData)
	}

	why = map[string]string{"technique 2": " (Technique 2)", "given": ", as asked for",
		"preset": ", the preset's: Technique 2 is for many dimensions"}[l.LevelsRule]
	line(w, "levels", "%-7d g = %.5g, neighbouring shells overlap by %.2f%s", l.Levels, l.Ratio, l.Overlap, why)
}

func (r *Report) printSteps(w io.Writer) {
	g := &r.Langevin
	technique := " (Technique 4)"
	if g.EpsilonRule == "preset" {
		technique = " (the preset's)"
	}
	stable := "the network sees sigma: no condition on T"
	if g.Margin != 0 {
		stable = fmt.Sprintf("stability T q/(4(g-1)) = %.2f, %g or more is safe", g.Margin, sample.SafeMargin)
	}
	line(w, "T, epsilon", "%d, %.4g   q = %.4g, variance at the end %.3g sigma_L^2%s; %s", g.T, g.Epsilon, g.Q, g.EndVariance, technique,
		stable)
	if g.TRule == "stable" {
		line(w, "", "the least T that is safe on this ladder: the preset's is not")
	}
	switch g.verdict {
	case sample.Unstable:
		line(w, "", "warning: below 1 samples run away, and no T is safe on so coarse a ladder: sample by %s, or take more -levels",
			title(sample.Recommended))
	case sample.Marginal:
		t := sample.LeastSteps(r.Ladder.sigmas)
		line(w, "", "warning: below 1 samples run away, and this is close to it: -T %d, %d evaluations, is safe", t,
			t*r.Ladder.Levels+1)
	}
}

func (r *Report) printSampling(w io.Writer) {
	s := &r.Sampling
	row := map[bool]string{true: "an image", false: "a sample"}[r.Data.Images]
	if s.Sampler == sample.Langevin {
		line(w, "sampling", "%s: %s evaluations %s", title(s.Sampler), grouped(int64(s.NFE)), row)
	} else {
		eta := ""
		if s.Eta > 0 {
			eta = fmt.Sprintf(", eta %g", s.Eta)
		}
		line(w, "sampling", "%s%s: %d evaluations %s; %s %s", title(s.Sampler), eta, s.NFE, row, title(sample.Langevin),
			grouped(int64(r.Langevin.NFE)))
	}
	c := s.Cost
	if c == nil {
		return
	}
	what := map[bool]string{true: "images", false: "samples"}[r.Data.Images]
	text := fmt.Sprintf("%d %s x %s evaluations = %s, about %s", c.Samples, what, grouped(int64(s.NFE)),
		grouped(int64(c.Samples)*int64(s.NFE)), seconds(c.Seconds))
	if s.Sampler != sample.Langevin {
		text += fmt.Sprintf("; %s %s", title(sample.Langevin), seconds(c.LangevinSeconds))
	}
	line(w, "", "%s on this machine (estimated from a batch of %s, on %s)", text, c.Network, c.Device)
}

// seconds writes a time.
func seconds(s float64) string {
	switch {
	case s >= 7200:
		return fmt.Sprintf("%.1f hours", s/3600)
	case s >= 120:
		return fmt.Sprintf("%.0f minutes", s/60)
	case s >= 10:
		return fmt.Sprintf("%.0f s", s)
	}
	return fmt.Sprintf("%.2g s", s)
}

func (r *Report) printEnd(w io.Writer) {
	c := &r.Check
	line(w, "check", "at sigma_1 the noised data differ from N(mean, sigma_1^2 I) by %.2g nats, from N(0, sigma_1^2 I) by %.2g", c.FromMean,
		c.FromZero)
	if c.FromMean > 0.1 {
		line(w, "", "warning: so much of the data is left at sigma_1 that chains do not begin where they should: raise -sigma-begin")
	}
	line(w, "flags", "%s", strings.Join(r.Flags, " "))
	if s := r.Sampling.Sampler; s != sample.Langevin {
		line(w, "", "(with -T or -epsilon a run's samples are drawn by %s, without them by %s)", title(sample.Langevin), title(s))
	}
}

// fragment is the settings that -yaml writes, a part of [train.Config].
type fragment struct {
	Preset   string           `yaml:"preset,omitempty"`
	Data     string           `yaml:"data"`
	Seed     uint64           `yaml:"seed,omitempty"`
	Reading  dataset.Settings `yaml:"reading,omitempty"`
	Sigma    sigmaFragment    `yaml:"sigma"`
	Sampling samplingFragment `yaml:"sampling"`
}

type sigmaFragment struct {
	Begin  float64 `yaml:"begin"`
	End    float64 `yaml:"end"`
	Levels int     `yaml:"levels"`
}

type samplingFragment struct {
	T       int     `yaml:"T"`
	Epsilon float64 `yaml:"epsilon"`
}

// yaml writes the design as train -config takes it.
func (r *Report) yaml(w io.Writer, f fragment) error {
	f.Data = r.Data.Spec
	f.Sigma = sigmaFragment{r.Ladder.Begin, r.Ladder.End, r.Ladder.Levels}
	f.Sampling = samplingFragment{r.Langevin.T, r.Langevin.Epsilon}
	b, err := yaml.Marshal(f)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "# the noise for this data, for train -config\n%s", b)
	return err
}

// json writes all numbers.
func (r *Report) json(w io.Writer) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	_, err = w.Write(append(b, '\n'))
	return err
}
