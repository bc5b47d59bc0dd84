// Numbers as people write them: with a decimal point or comma, and thousands in groups.
//
// A table has one style. It is what the numbers in the start of the file can only be: "0,5", "1,25" and "1.234,5" have
// a decimal comma; "1,234.5", "1,234,567" and "1,234" beside "0.5" have groups. Where all could be either, such as
// "1,234" alone, nothing is guessed.

package dataset

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// numberStyle is how the numbers of a table are written.
type numberStyle struct {
	name    string // for people; "": with a point and without groups
	decimal string
	comma   bool           // commas are part of a number
	groups  string         // the marks between groups of three digits
	grouped *regexp.Regexp // a number with groups
}

func newStyle(name, decimal, groups string) numberStyle {
	return numberStyle{name, decimal, strings.Contains(decimal+groups, ","), groups,
		regexp.MustCompile(`^[+-]?\d{1,3}([` + groups + `]\d{3})+(` + regexp.QuoteMeta(decimal) + `\d*)?([eE][+-]?\d+)?$`)}
}

const spaces = "\u00a0\u202f'\u2019" // spaces that do not break a line, and apostrophes

var (
	plainStyle    = newStyle("", ".", spaces)
	decimalComma  = newStyle("numbers with a decimal comma", ",", "."+spaces)
	thousandComma = newStyle("numbers with commas between thousands", ".", ","+spaces)
)

var (
	// onlyDecimalComma and onlyThousandComma are numbers whose comma can be nothing else, point those whose point can
	// be nothing else than a decimal one.
	onlyDecimalComma = regexp.MustCompile(
		`^[+-]?(0*,\d+|\d+,(\d{1,2}|\d{4,})|\d{4,},\d+|\d{1,3}(\.\d{3})+,\d*)([eE][+-]?\d+)?$`)
	onlyThousandComma = regexp.MustCompile(`^[+-]?\d{1,3}((,\d{3}){2,}(\.\d*)?|(,\d{3})+\.\d*)([eE][+-]?\d+)?$`)
	onlyPoint         = regexp.MustCompile(`^[+-]?(0*\.\d+|\d+\.(\d{1,2}|\d{4,})|\d{4,}\.\d+)([eE][+-]?\d+)?$`)
)

// styleOf chooses the style by some fields of a table.
func styleOf(fields []string) numberStyle {
	comma, decimal, thousand, point := false, false, false, false
	for _, f := range fields {
		f = strings.TrimSpace(f)
		comma = comma || decimalComma.isNumber(f) && strings.Contains(f, ",") ||
			thousandComma.isNumber(f) && strings.Contains(f, ",")
		decimal = decimal || onlyDecimalComma.MatchString(f)
		thousand = thousand || onlyThousandComma.MatchString(f)
		point = point || onlyPoint.MatchString(f)
	}
	switch {
	case decimal && !thousand && !point:
		return decimalComma
	case comma && !decimal && (thousand || point):
		return thousandComma
	}
	return plainStyle
}

// plain returns a number as Go writes it. What is none is returned as it is.
func (s numberStyle) plain(field string) string {
	f := strings.TrimSpace(field)
	if s.grouped.MatchString(f) {
		f = strings.Map(func(r rune) rune {
			if strings.ContainsRune(s.groups, r) {
				return -1
			}
			return r
		}, f)
	} else if s.decimal != "." && strings.Contains(f, ".") {
		return field // a point would be taken for a decimal one
	}
	return strings.Replace(f, s.decimal, ".", 1)
}

// number reads a number. The error is that of strconv.
func (s numberStyle) number(field string) (float64, error) {
	if f := strings.TrimSpace(field); s.decimal == "." { // nearly always as Go has it
		if v, err := strconv.ParseFloat(f, 64); err == nil {
			return v, nil
		}
	}
	return strconv.ParseFloat(s.plain(field), 64)
}

func (s numberStyle) isNumber(field string) bool {
	_, err := s.number(field)
	return err == nil || errors.Is(err, strconv.ErrRange)
}

// IsMissing tells whether a field of a table stands for a value that is missing: it is empty, or in letters of any case one of
// NA, N/A, #N/A, <NA>, NaN, NULL, none, ? and -.
func IsMissing(field string) bool { return isMissing(field) }

// isMissing is [IsMissing].
func isMissing(field string) bool {
	return slices.Contains([]string{"", "na", "n/a", "#n/a", "<na>", "nan", "null", "none", "?", "-"},
		strings.ToLower(strings.TrimSpace(field)))
}

// parse reads a field that is not missing. The error says what was found instead of a finite number, and what to do.
func (s numberStyle) parse(field string) (float64, error) {
	f := strings.TrimSpace(field)
	v, err := s.number(f)
	switch {
	case err == nil && v-v == 0:
		return v, nil
	case errors.Is(err, strconv.ErrRange) || math.IsInf(v, 0):
		return 0, fmt.Errorf("%q, which is not finite; mend it, or remove the row or the column (`columns`)", f)
	case decimalComma.isNumber(f) || thousandComma.isNumber(f):
		return 0, fmt.Errorf("%q, whose comma or point may be a decimal one or stand between thousands; "+
			"write all numbers with a decimal point alone", f)
	}
	return 0, fmt.Errorf("%q; name the columns of numbers with `columns`, or this one in `categories`", shorten(f))
}
