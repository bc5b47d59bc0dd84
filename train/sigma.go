// The ends of the noise ladder as they are asked for: numbers, or rules that find them in the data.

package train

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// SigmaEnd is one end of the ladder: a number, or the rule that finds it.
type SigmaEnd struct {
	Value float64
	Rule  string // "", RuleData or RuleLiteral; with a rule, Value is not used
}

// The rules for an end of the ladder.
//
// RuleData is the largest pairwise distance for sigma_1 (Technique 1 of Song and Ermon 2020) and, within bounds, see
// [SigmaEndOf], d_min/(2 sqrt D) for sigma_L: noise of standard deviation sigma per value has the length sigma sqrt D,
// so at that sigma the balls of noise about the two nearest images just touch. RuleLiteral takes d_min itself as sigma_L, a distance between whole
// images used as a deviation per value: on images it leaves far too much noise, and is there to be compared with.
const (
	RuleData    = "data"
	RuleLiteral = "data-literal"
)

// SigmaEndOf returns sigma_L by RuleData: touch = d_min/(2 sqrt D), and for images what that is within their bounds. The
// rule rests on one pair of images, and two that are nearly the same break it: below 0.004, a grey level, noise is finer
// than the images' own steps, and above 0.03 it can be seen. Images in [0, unit] have unit times these bounds; vectors
// have none.
func SigmaEndOf(min float64, d int, images bool, unit float64) (end, touch float64) {
	const least, most = 0.004, 0.03
	touch = min / (2 * math.Sqrt(float64(d)))
	if !images {
		return touch, touch
	}
	return math.Min(math.Max(touch, least*unit), most*unit), touch
}

// ParseSigmaEnd reads a number or a rule.
func ParseSigmaEnd(s string) (SigmaEnd, error) {
	if s == RuleData || s == RuleLiteral {
		return SigmaEnd{Rule: s}, nil
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return SigmaEnd{}, fmt.Errorf("%q: expected a positive number, %q or %q", s, RuleData, RuleLiteral)
	}
	return SigmaEnd{Value: v}, nil
}

func (e SigmaEnd) String() string {
	if e.Rule != "" {
		return e.Rule
	}
	return strconv.FormatFloat(e.Value, 'g', -1, 64)
}

// Set is ParseSigmaEnd into e, as a flag.Value: the error is the rest of a sentence that begins with the flag.
func (e *SigmaEnd) Set(s string) (err error) {
	if *e, err = ParseSigmaEnd(s); err != nil {
		return fmt.Errorf("is %w", err)
	}
	return nil
}

// MarshalYAML writes the number or the rule.
func (e SigmaEnd) MarshalYAML() (any, error) {
	if e.Rule != "" {
		return e.Rule, nil
	}
	return e.Value, nil
}

// UnmarshalYAML reads the number or the rule.
func (e *SigmaEnd) UnmarshalYAML(b []byte) (err error) {
	*e, err = ParseSigmaEnd(strings.Trim(strings.TrimSpace(string(b)), `"'`))
	return err
}
