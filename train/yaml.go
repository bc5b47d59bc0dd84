// The configuration as YAML: written whole, read strictly.

package train

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"

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
func (c *Config) Merge(text string) error {
	if err := checkText(text); err != nil {
		return err
	}
	var keys map[string]any
	if err := yaml.UnmarshalWithOptions([]byte(text), &keys, yaml.Strict()); err != nil {
		return errors.New(yamlError(err))
	}
	if err := checkKeys("", keys, reflect.TypeFor[Config]()); err != nil {
		return err
	}
	if len(keys) == 0 {
		return nil // an empty file, which the library would read as "set everything to zero"
	}
	merged := *c
	if err := yaml.UnmarshalWithOptions([]byte(text), &merged, yaml.Strict()); err != nil {
		return errors.New(yamlError(err))
	}
	*c = merged
	return nil
}

// yamlError is the first line of a YAML error, without the excerpt of the file below it: "[3:5] ...".
func yamlError(err error) string {
	line, _, _ := strings.Cut(yaml.FormatError(err, false, false), "\n")
	if line = strings.TrimSpace(line); len(line) > 200 {
		line = strings.ToValidUTF8(line[:200], "") + "..."
	}
	return line + " (in brackets: line and column)"
}

// checkKeys compares the keys and the kinds of values of a YAML mapping with the fields of t. The YAML library finds
// unknown keys too, but it neither says which key was meant nor refuses 1.5 for a whole number.
func checkKeys(prefix string, keys map[string]any, t reflect.Type) error {
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
			return fmt.Errorf("unknown key %q%s", prefix+k, hint)
		}
		if ft.Kind() == reflect.Pointer {
			ft = ft.Elem()
		}
		v := keys[k]
		want := ""
		switch ft.Kind() {
		case reflect.Struct:
			if ft == reflect.TypeFor[SigmaEnd]() {
				switch s := v.(type) {
				case string:
					if _, err := ParseSigmaEnd(s); err != nil {
						return fmt.Errorf("key %q is %w", prefix+k, err)
					}
				case uint64, int64, float64:
				default:
					want = `a number or "data"`
				}
				break
			}
			sub, ok := v.(map[string]any)
			if !ok {
				want = "a mapping with keys of its own"
				break
			}
			if err := checkKeys(prefix+k+".", sub, ft); err != nil {
				return err
			}
		case reflect.Int, reflect.Int64:
			switch v.(type) {
			case uint64, int64:
			default:
				want = "a whole number"
			}
		case reflect.Uint64:
			if _, ok := v.(uint64); !ok {
				want = "a whole number, not negative"
			}
		case reflect.Float64:
			switch v := v.(type) {
			case uint64, int64, float64:
			case string: // the library takes 1e-8, a float in YAML 1.2, for a string until it knows the field
				if _, err := strconv.ParseFloat(v, 64); err != nil {
					want = "a number"
				}
			default:
				want = "a number"
			}
		case reflect.Bool:
			if _, ok := v.(bool); !ok {
				want = "true or false"
			}
		case reflect.String:
			if _, ok := v.(string); !ok {
				want = "text (put it between quotes)"
			}
		}
		if want != "" {
			return fmt.Errorf("key %q is %v: expected %s", prefix+k, v, want)
		}
	}
	return nil
}
