// Values of flags: from text and to text.

package cli

import (
	"errors"
	"flag"
	"fmt"
	"strconv"
	"strings"

	"sigmaz/internal/nearest"
	"sigmaz/kernels"
)

// Set parses text into *p, which is a *string, *bool, *int, *uint64, *float64 or a flag.Value. The error is the rest of
// a sentence that begins with the name of what is set: `is "x": expected a whole number`.
func Set(p any, text string) error {
	var err error
	switch p := p.(type) {
	case *string:
		*p = text
	case *bool:
		var v bool
		if v, err = strconv.ParseBool(text); err != nil {
			return fmt.Errorf("is %s: expected true or false%s", quoteArg(text),
				nearest.DidYouMean(text, []string{"true", "false"}))
		}
		*p = v
	case *int:
		var v int64
		if v, err = strconv.ParseInt(text, 10, strconv.IntSize); err != nil {
			return notWhole(text, err)
		}
		*p = int(v)
	case *uint64:
		var v uint64
		if v, err = strconv.ParseUint(text, 10, 64); err != nil {
			if strings.HasPrefix(text, "-") && allDigits(text[1:]) {
				return fmt.Errorf("is %s: expected a whole number that is not negative", bare(text))
			}
			return notWhole(text, err)
		}
		*p = v
	case *float64:
		var v float64
		if v, err = strconv.ParseFloat(text, 64); err != nil {
			if errors.Is(err, strconv.ErrRange) {
				return fmt.Errorf("is %s: expected a number below 1.8e308", quoteArg(text))
			}
			return fmt.Errorf("is %s: expected a number", quoteArg(text))
		}
		*p = v
	case flag.Value:
		return p.Set(text)
	default:
		panic(fmt.Sprintf("cli: a flag cannot set a %T", p))
	}
	return nil
}

// notWhole makes the error for text that is no whole number, with the one that it looks like.
func notWhole(text string, err error) error {
	if errors.Is(err, strconv.ErrRange) {
		return fmt.Errorf("is %s: expected a whole number that fits 64 bits", quoteArg(text))
	}
	plain := strings.NewReplacer("_", "", ",", "", "'", "").Replace(text)
	if v, err := strconv.ParseFloat(plain, 64); err == nil && v == float64(int64(v)) && v >= -1e15 && v <= 1e15 {
		return fmt.Errorf("is %s: expected a whole number in plain digits, such as %.0f", quoteArg(text), v)
	}
	return fmt.Errorf("is %s: expected a whole number", quoteArg(text))
}

func allDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// Text writes the value of *p as Set would read it.
func Text(p any) string {
	switch p := p.(type) {
	case *string:
		return *p
	case *bool:
		return strconv.FormatBool(*p)
	case *int:
		return strconv.Itoa(*p)
	case *uint64:
		return strconv.FormatUint(*p, 10)
	case *float64:
		return strconv.FormatFloat(*p, 'g', -1, 64)
	case flag.Value:
		return p.String()
	}
	return ""
}

// value makes a flag.Value of what [Set] takes.
type value struct{ p any }

func (v value) String() string        { return Text(v.p) }
func (v value) Set(text string) error { return Set(v.p, text) }
func (v value) IsBoolFlag() bool {
	if b, ok := v.p.(interface{ IsBoolFlag() bool }); ok {
		return b.IsBoolFlag()
	}
	_, ok := v.p.(*bool)
	return ok
}

func valueOf(p any) flag.Value { return value{p} }

func isBool(v flag.Value) bool {
	b, ok := v.(interface{ IsBoolFlag() bool })
	return ok && b.IsBoolFlag()
}

// Choice is a flag.Value that takes one of some words and puts it in *To.
type Choice struct {
	To    *string
	Words []string
}

func (c Choice) String() string {
	if c.To == nil {
		return ""
	}
	return *c.To
}

func (c Choice) Set(text string) error {
	for _, w := range c.Words {
		if w == text {
			*c.To = w
			return nil
		}
	}
	return fmt.Errorf("is %s: expected one of %s%s", quoteArg(text), strings.Join(c.Words, ", "),
		nearest.DidYouMean(text, c.Words))
}

// CheckWorkers refuses a number of -workers that no machine has a use for.
func CheckWorkers(n int) error { return UsageOf(kernels.CheckWorkers(n)) }

// Count writes a number with its noun: "1 sample", "2 samples".
func Count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}
