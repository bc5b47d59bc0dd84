package train

import (
	"reflect"
	"slices"
	"testing"
)

// Every setting says whether it may change when a run is gone on with: a new one must decide.
func TestEverySettingSaysWhetherItMayChange(t *testing.T) {
	byName := map[string]string{}
	for _, f := range fields {
		if !slices.Contains([]string{"fixed", "change", "note"}, f.resume) {
			t.Errorf("%s has the tag resume:%q: expected fixed, change or note", f.key, f.resume)
		}
		if other, ok := byName[f.name]; ok && other != f.resume { // levels and channels are settings twice
			t.Errorf("%s is %s, and another setting with the name %s is %s", f.key, f.resume, f.name, other)
		}
		byName[f.name] = f.resume
		if may, known := MayChange(f.name); !known || may != (f.resume == "change") {
			t.Errorf("MayChange(%q) is %v, %v: expected it by the tag %s", f.name, may, known, f.resume)
		}
	}
	for _, name := range []string{"data", "steps", "precision", "cache", "log-every", "eval-every", "preview-every",
		"preview-n", "checkpoint-every", "keep-checkpoints", "eval-metric", "eval-samples", "workers"} {
		if may, _ := MayChange(name); !may {
			t.Errorf("%s may not change", name)
		}
		delete(byName, name)
	}
	for name := range byName {
		if may, _ := MayChange(name); may {
			t.Errorf("%s may change", name)
		}
	}
	if _, known := MayChange("bookkeeping"); known {
		t.Error("a setting that is none is known")
	}
}

// Two configurations differ exactly by the settings that are fixed.
func TestDiffersByEachSetting(t *testing.T) {
	for _, f := range fields {
		a := valid(t, "glyphs")
		b := a
		v := reflect.ValueOf(&b).Elem().FieldByIndex(f.index)
		switch v.Kind() {
		case reflect.String:
			v.SetString(v.String() + "x")
		case reflect.Bool:
			v.SetBool(!v.Bool())
		case reflect.Int:
			v.SetInt(v.Int() + 1)
		case reflect.Uint64:
			v.SetUint(v.Uint() + 1)
		case reflect.Float64:
			v.SetFloat(v.Float() + 1)
		case reflect.Pointer:
			v.Set(reflect.New(v.Type().Elem()))
		case reflect.Slice:
			v.Set(reflect.MakeSlice(v.Type(), v.Len()+1, v.Len()+1))
		default:
			if v.Type() != reflect.TypeFor[SigmaEnd]() {
				t.Fatalf("%s is a %v, which this test cannot change", f.key, v.Type())
			}
			v.Set(reflect.ValueOf(SigmaEnd{Value: 0.123}))
		}
		if got := a.Differs(&b); (got != "") != (f.resume == "fixed") {
			t.Errorf("%s, which is %s, changed: difference %q", f.key, f.resume, got)
		}
	}
}
