package model

import (
	"math"
	"testing"
)

// The published ladders of Song and Ermon 2020 (their table 4), which follow from C = 0.567. Church was published with
// C = 0.566, hence its one level more or less.
func TestTechnique2(t *testing.T) {
	for _, test := range []struct {
		name       string
		d          int
		begin, end float64
		levels     int
		g          float64
		within     int
	}{
		{"CIFAR-10", 3 * 32 * 32, 50, 0.01, 232, 1.037559, 0},
		{"CelebA 64", 3 * 64 * 64, 90, 0.01, 500, 1.018414, 0},
		{"church 96", 3 * 96 * 96, 140, 0.01, 788, 1.012205, 1},
		{"bedroom 128", 3 * 128 * 128, 190, 0.01, 1086, 1.009122, 1},
		{"FFHQ 256", 3 * 256 * 256, 348, 0.01, 2311, 1.004537, 1},
	} {
		levels, g, err := Technique2(test.begin, test.end, test.d)
		if err != nil || max(levels-test.levels, test.levels-levels) > test.within ||
			math.Abs(g-test.g) > 1e-4*(test.g-1)+2e-5 {
			t.Errorf("%s: %d levels, ratio %.6f, error %v; expected %d, %.6f", test.name, levels, g, err,
				test.levels, test.g)
		}
		if c := Overlap(g, test.d); math.Abs(c-Technique2C) > 1e-9 {
			t.Errorf("%s: overlap %g at the ratio found, expected %g", test.name, c, Technique2C)
		}
	}
	// The overlap that the published CIFAR-10 ratio implies.
	if c := Overlap(1.037559, 3072); math.Abs(c-0.567) > 5e-4 {
		t.Errorf("overlap of CIFAR-10 %g, expected 0.567", c)
	}
	if _, _, err := Technique2(4, 0.01, 2); err == nil {
		t.Error("two dimensions: expected an error, because every ratio overlaps")
	}
	if levels, _, err := Technique2(1.0001, 1, 784); err != nil || levels != 2 {
		t.Errorf("ends that nearly meet: %d levels, error %v; expected 2", levels, err)
	}
}
