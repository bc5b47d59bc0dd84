// Numbers for a page: few digits are more than a chart shows, and JSON has no NaN.

package watch

import (
	"math"
	"strconv"
)

// number is a number that JSON gets in six digits, and as null where it is not finite.
type number float64

func (v number) MarshalJSON() ([]byte, error) { return appendNumber(nil, float64(v), 6), nil }

// numbers are many, in four digits.
type numbers []float32

func (v numbers) MarshalJSON() ([]byte, error) {
	b := make([]byte, 0, 2+6*len(v))
	b = append(b, '[')
	for i, x := range v {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendNumber(b, float64(x), 4)
	}
	return append(b, ']'), nil
}

func appendNumber(b []byte, v float64, digits int) []byte {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return append(b, "null"...)
	}
	// The shortest text of the rounded number, with an exponent only where that is JSON's, too.
	r, err := strconv.ParseFloat(strconv.FormatFloat(v, 'e', digits-1, 64), 64)
	if err != nil {
		return append(b, "null"...)
	}
	return strconv.AppendFloat(b, r, 'g', -1, 64)
}
