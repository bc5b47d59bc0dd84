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
}

func TestDidYouMean(t *testing.T) {
	known := []string{"glyphs", "toy", "fashion-mnist", "cifar10"}
	for name, want := range map[string]string{"glyph": "glyphs", "cifar": "cifar10", "Cifar-10": "cifar10",
		"fashion_mnist": "fashion-mnist", "imagenet": "", "": ""} {
		got := DidYouMean(name, known)
		if want != "" {
			want = "; did you mean " + want + "?"
		}
		if got != want {
			t.Errorf("DidYouMean(%q) = %q, expected %q", name, got, want)
		}
	}
}
