// What may change in the configuration of a run that is gone on with. Each field of [Config] says it by its tag
// resume:
//
//	fixed    it belongs to what the run is: with another value it would be another run
//	change   it may be changed, because no weight depends on it or because other means check it
//	note     it says where something came from: nobody sets it, and nothing is compared with it
//
// A struct in a struct has one tag for all that is in it, or its fields have a tag each. A field without one fails a
// test.

package train

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// field is a setting as the fields of [Config] and their tags say.
type field struct {
	key    string // in a configuration file: "sigma.begin"
	name   string // in errors and on a command line: "sigma-begin"
	resume string // "fixed", "change" or "note"
	index  []int  // where it is, for reflect
}

// fields are all settings, in the order of a configuration file.
var fields = fieldsOf(reflect.TypeFor[Config](), field{})

// fieldsOf returns the settings of a struct that is itself the given field.
func fieldsOf(t reflect.Type, of field) []field {
	var list []field
	for i := range t.NumField() {
		f := t.Field(i)
		key, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		in := field{key: of.key + key, name: f.Tag.Get("name"), resume: of.resume, index: append(slices.Clone(of.index), i)}
		if in.name == "" {
			in.name = strings.ReplaceAll(key, "_", "-")
		}
		if in.resume == "" {
			in.resume = f.Tag.Get("resume")
		}
		if f.Type.Kind() == reflect.Struct && f.Type != reflect.TypeFor[SigmaEnd]() {
			in.key += "."
			list = append(list, fieldsOf(f.Type, in)...)
		} else {
			list = append(list, in)
		}
	}
	return list
}

// MayChange tells whether the setting of that name may be changed when a run is gone on with. The name is the one that
// errors have, such as "sigma-begin". It returns known = false where there is no such setting.
func MayChange(name string) (may, known bool) {
	for _, f := range fields {
		if f.name == name {
			return f.resume == "change", true
		}
	}
	return false, false
}

// Differs names the first setting by which a run with configuration d would be another run than one with c, with both
// values; "" when there is none.
func (c *Config) Differs(d *Config) string {
	for _, f := range fields {
		x, y := reflect.ValueOf(c).Elem().FieldByIndex(f.index), reflect.ValueOf(d).Elem().FieldByIndex(f.index)
		if f.resume == "fixed" && !reflect.DeepEqual(x.Interface(), y.Interface()) {
			if x.Kind() == reflect.Pointer && x.Type().Elem().Kind() == reflect.Struct {
				return f.key // which has too much in it for a sentence
			}
			return fmt.Sprintf("%s (%s and %s)", f.key, shown(x), shown(y))
		}
	}
	return ""
}

// shown writes a setting's value for a sentence.
func shown(v reflect.Value) string {
	if v.Type() == reflect.TypeFor[*float64]() && !v.IsNil() {
		v = v.Elem()
	}
	if text := fmt.Sprint(v.Interface()); text != "" {
		return text
	}
	return "none"
}
