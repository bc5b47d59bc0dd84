// The formula, and the tensors that a network asks for.

package layerstest

import (
	"maps"
	"math"
	"slices"
	"sort"
	"strings"

	"sigmaz/internal/made"
)

// Get returns the tensor of a name and a shape.
type Get = func(name string, shape ...int) ([]float32, error)

// Shapes returns the tensors that build asks for.
func Shapes(build func(Get) error) (map[string][]int, error) {
	all := map[string][]int{}
	err := build(func(name string, shape ...int) ([]float32, error) {
		all[name] = slices.Clone(shape)
		return make([]float32, Product(shape)), nil
	})
	return all, err
}

// Weights returns the tensors that build asks for, by the formula.
func Weights(build func(Get) error) (Get, error) {
	shapes, err := Shapes(build)
	names := slices.Sorted(maps.Keys(shapes))
	return func(name string, shape ...int) ([]float32, error) {
		t, x := sort.SearchStrings(names, name)+1, make([]float32, Product(shape))
		factor := float32(math.Sqrt(6 / float64(Product(shape[1:]))))
		for i := range x {
			switch u := made.Number(t, i); {
			case strings.HasSuffix(name, "running_var"):
				x[i] = 0.5 + u
			case strings.HasSuffix(name, "running_mean"), strings.HasSuffix(name, ".bias"):
				x[i] = u - 0.5
			case len(shape) == 1:
				x[i] = 0.75 + 0.5*u
			default:
				x[i] = (2*u - 1) * factor
			}
		}
		return x, nil
	}, err
}

// Product multiplies the sides of a shape.
func Product(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}
