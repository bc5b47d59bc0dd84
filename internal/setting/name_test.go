package setting

import "testing"

func TestNames(t *testing.T) {
	for text, want := range map[string]string{
		"use `net` mlp, or `preset` toy": "use -net mlp, or -preset toy",
		"`sigma-begin` and (`T`)":        "-sigma-begin and (-T)",
		"start anew with a lower `lr`":   "start anew with a lower -lr",
		"a`b`c, ` `, `` and `a b` stay":  "a`b`c, ` `, `` and `a b` stay",
		"":                               "",
	} {
		if got := Names(text, func(name string) string { return "-" + name }); got != want {
			t.Errorf("%q became %q, expected %q", text, got, want)
		}
	}
}
