package nearest

import "testing"

func TestWord(t *testing.T) {
	known := []string{"-steps", "-seed", "-batch", "-n", "-T", "-checkpoint-every", "-sigma-begin"}
	for name, want := range map[string]string{
		"-stpes":       "-steps",
		"-STEPS":       "-steps",
		"-sed":         "-seed",
		"-t":           "-T",
		"---n":         "-n",
		"-batch-size":  "-batch",
		"-checkpoint":  "-checkpoint-every",
		"-sigma_begin": "-sigma-begin",
		"-hlep":        "",
		"-btach":       "-batch",
		"-x":           "",
		"-xyzzy":       "",
		"-":            "",
		"":             "",
	} {
		if got := Word(name, known); got != want {
			t.Errorf("%q: got %q, expected %q", name, got, want)
		}
	}
	if got := DidYouMean("cifar", []string{"glyphs", "cifar10"}); got != "; did you mean cifar10?" {
		t.Error(got)
	}
	if got := DidYouMean("imagenet", []string{"glyphs", "cifar10"}); got != "" {
		t.Error(got)
	}
}
