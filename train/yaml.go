// The configuration as YAML: written whole, read strictly.

package train

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"

	"sigmaz/internal/nearest"
)

// YAML returns the configuration as it is stored.
func (c *Config) YAML() string {
	b, err := yaml.Marshal(c)
	if err != nil {
		panic("train: a Config that cannot be written as YAML: " + err.Error()) // plain values only: cannot happen
	}
	return string(b)
}

// ParseConfig reads a stored configuration, strictly: an unknown key, a key given twice or a value of another kind is
// an error that names the key. It does not call Validate.
func ParseConfig(text string) (*Config, error) {
	c := new(Config)
	if err := c.Merge(text); err != nil {
		return nil, err
	}
	return c, nil
}

// Merge overwrites the settings that text names, as strictly as [ParseConfig], and keeps the others.
//
// A number is taken in every form that has its value: 5, 5.0, 5e0 and "5" are the same whole number. A key whose value
// is null or missing is unset: it keeps what it had.
func (c *Config) Merge(text string) error {
	text, err := withoutMark(text)
	if err != nil {
		return err
	}
	if err := checkText(text); err != nil {
		return err
	}
	var keys map[string]any
	if err := yaml.UnmarshalWithOptions([]byte(text), &keys, yaml.Strict()); err != nil {
		return errors.New(yamlError(err))
	}
	changed, err := plainValues("", keys, reflect.TypeFor[Config]())
	if err != nil {
		return err
	}
	if len(keys) == 0 {
		return nil // an empty file, which the library would read as "set everything to zero"
	}
	if changed {
		b, err := yaml.Marshal(keys)
		if err != nil {
			return err
		}
		text = string(b)
	}
	merged := *c
	if err := yaml.UnmarshalWithOptions([]byte(text), &merged, yaml.Strict()); err != nil {
		return errors.New(yamlError(err))
	}
	*c = merged
	return nil
}

// withoutMark returns a text as UTF-8 without a byte order mark, which editors on Windows begin a file with.
func withoutMark(text string) (string, error) {
	if !strings.HasPrefix(text, "\ufeff") && !strings.HasPrefix(text, "\xff\xfe") && !strings.HasPrefix(text, "\xfe\xff") {
		return text, nil
	}
	text, _, err := transform.String(unicode.BOMOverride(transform.Nop), text)
	return text, err
}

// yamlError is the first line of a YAML error, without the excerpt of the file below it: "[3:5] ...".
func yamlError(err error) string {
	line, _, _ := strings.Cut(yaml.FormatError(err, false, false), "\n")
	if line = strings.TrimSpace(line); len(line) > 200 {
		line = strings.ToValidUTF8(line[:200], "") + "..."
	}
	return line + " (in brackets: line and column)"
}

// plainValues compares the keys and the kinds of values of a YAML mapping with the fields of t, and gives numbers the
// kind that their field has. The YAML library finds unknown keys too, but it neither says which key was meant nor
// refuses 1.5 for a whole number. changed tells whether a value is another than the text has.
func plainValues(prefix string, keys map[string]any, t reflect.Type) (changed bool, err error) {
	known := make([]string, 0, t.NumField())
	fields := map[string]reflect.Type{}
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
		known = append(known, name)
		fields[name] = t.Field(i).Type
	}
	names := make([]string, 0, len(keys))
	for k := range keys {
		names = append(names, k)
	}
	slices.Sort(names) // one order of complaints
	for _, k := range names {
		ft, ok := fields[k]
		if !ok {
			hint := nearest.DidYouMean(k, known)
			if hint == "" {
				hint = "; known are " + strings.Join(known, ", ")
			}
			return false, fmt.Errorf("unknown key %q%s", prefix+k, hint)
		}
		if keys[k] == nil {
			delete(keys, k)
			changed = true
			continue
		}
		if ft.Kind() == reflect.Pointer {
			ft = ft.Elem()
		}
		v := keys[k]
		if sub, ok := v.(map[string]any); ok && ft.Kind() == reflect.Struct && ft != reflect.TypeFor[SigmaEnd]() {
			inside, err := plainValues(prefix+k+".", sub, ft)
			if err != nil {
				return false, err
			}
			changed = changed || inside
			if len(sub) == 0 {
				delete(keys, k) // or the library would read it as "set all of it to zero"
				changed = true
			}
			continue
		}
		plain, want, err := plainValue(v, ft)
		if err != nil {
			return false, fmt.Errorf("key %q is %w", prefix+k, err)
		}
		if want != "" {
			return false, fmt.Errorf("key %q is %s: expected %s", prefix+k, said(v), want)
		}
		if plain != nil {
			keys[k], changed = plain, true
		}
	}
	return changed, nil
}

// said is a value in a sentence: text between quotes, since blanks count, and no more of a mapping or a list than that it is one.
func said(v any) string {
	switch v := v.(type) {
	case string:
		return strconv.Quote(v)
	case map[string]any:
		return "a mapping"
	case []any:
		return "a list"
	}
	return fmt.Sprint(v)
}

// plainValue compares one value with the type of its field. want is what was expected instead, "" where the value is
// good; plain is the value in the field's kind where that is not v itself.
func plainValue(v any, t reflect.Type) (plain any, want string, err error) {
	text, isText := v.(string)
	switch t.Kind() {
	case reflect.Struct:
		if t != reflect.TypeFor[SigmaEnd]() {
			return nil, "a mapping with keys of its own", nil
		}
		switch v.(type) {
		case string:
			_, err := ParseSigmaEnd(text)
			return nil, "", err
		case uint64, int64, float64:
			return nil, "", nil
		}
		return nil, `a number or "data"`, nil
	case reflect.Int, reflect.Int64, reflect.Uint64:
		want = "a whole number"
		if t.Kind() == reflect.Uint64 {
			want += ", not negative"
		}
		n, ok := wholeNumber(v)
		if _, negative := n.(int64); !ok || negative && t.Kind() == reflect.Uint64 {
			return nil, want, nil
		}
		if u, _ := n.(uint64); u > math.MaxInt64 && t.Kind() != reflect.Uint64 {
			return nil, "a whole number below 9.2e18", nil
		}
		if n == v {
			return nil, "", nil
		}
		return n, "", nil
	case reflect.Float64:
		switch v.(type) {
		case uint64, int64, float64:
			return nil, "", nil
		case string: // the library takes 1e-8, a float in YAML 1.2, for a string until it knows the field
			if _, err := strconv.ParseFloat(text, 64); err == nil {
				return nil, "", nil
			}
		}
		return nil, "a number", nil
	case reflect.Bool:
		if _, ok := v.(bool); ok {
			return nil, "", nil
		}
		if b, err := strconv.ParseBool(text); isText && err == nil && len(text) > 1 {
			return b, "", nil
		}
		return nil, "true or false", nil
	case reflect.String:
		if !isText {
			return nil, "text (put it between quotes)", nil
		}
	}
	return nil, "", nil
}

// wholeNumber returns a value as uint64, or as int64 where it is negative, if it is a whole number in any form.
func wholeNumber(v any) (n any, ok bool) {
	text, isText := v.(string)
	if isText {
		text = strings.TrimSpace(text)
		if u, err := strconv.ParseUint(text, 10, 64); err == nil {
			return u, true
		}
		if i, err := strconv.ParseInt(text, 10, 64); err == nil {
			return i, true
		}
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, false
		}
		v = f
	}
	switch v := v.(type) {
	case uint64:
		return v, true
	case int64:
		if v >= 0 {
			return uint64(v), true
		}
		return v, true
	case float64:
		const exact = 1 << 53 // up to which every whole number is a float64 of its own
		switch {
		case v != math.Trunc(v) || math.Abs(v) > exact:
			return nil, false
		case v < 0:
			return int64(v), true
		}
		return uint64(v), true
	}
	return nil, false
}
