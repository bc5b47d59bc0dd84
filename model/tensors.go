// Tensors by name, in memory or still in a file, and how a network takes its parameters from them.

package model

import (
	"fmt"
	"sort"
	"strings"

	"gorgonia.org/tensor"
)

// Named is a tensor under the name that it has in a file. The dtype is float32, float64 or int64; the shape is
// PyTorch's, for convolutions (Cout, Cin, kH, kW).
type Named struct {
	Name string
	T    *tensor.Dense
}

// TensorSet holds tensors by name, in memory or in a file.
type TensorSet interface {
	// Described lists the tensors whose names start with prefix.
	Described(prefix string) []Described
	// ReadTensor fills dst with the values of the tensor of that full name, last index fastest, in PyTorch's layout.
	ReadTensor(name string, dst []float32) error
}

// Described is a tensor without its values.
type Described struct {
	Name  string // in full
	Shape tensor.Shape
	DType string // PyTorch's name, such as float32
}

func (d Described) String() string { return fmt.Sprintf("%s %s", d.DType, ShapeText(d.Shape)) }

// ShapeText writes a shape as PyTorch prints it: [128, 3, 3, 3].
func ShapeText(s tensor.Shape) string {
	return strings.ReplaceAll(fmt.Sprint([]int(s)), " ", ", ")
}

// IsFloat says whether the values may be a parameter's.
func (d Described) IsFloat() bool { return strings.Contains(d.DType, "float") }

// NamedSet is a [TensorSet] in memory.
type NamedSet []Named

// Described lists the tensors whose names start with prefix.
func (s NamedSet) Described(prefix string) []Described {
	var list []Described
	for _, n := range s {
		if strings.HasPrefix(n.Name, prefix) {
			list = append(list, Described{n.Name, n.T.Shape(), n.T.Dtype().String()})
		}
	}
	return list
}

// ReadTensor fills dst with the values of the tensor of that full name.
func (s NamedSet) ReadTensor(name string, dst []float32) error {
	for _, n := range s {
		if n.Name == name {
			switch v := n.T.Data().(type) {
			case []float32:
				copy(dst, v)
			case []float64:
				for i := range dst {
					dst[i] = float32(v[i])
				}
			case float32:
				dst[0] = v
			case float64:
				dst[0] = float32(v)
			default:
				return fmt.Errorf("tensor %s is %v: expected float32", name, n.T.Dtype())
			}
			return nil
		}
	}
	return fmt.Errorf("there is no tensor %s", name)
}

// mostListed bounds how many tensors an error lists: a sentence that can be read.
const mostListed = 6

// Fit compares the tensors called prefix+NAME with a network's parameters. The error lists the missing, the surplus and
// the misshaped ones by name, with the shapes found and expected. Surplus tensors of whole numbers are counters and masks
// beside the weights, and no fault.
func Fit(params []*Param, set TensorSet, prefix string) error {
	found := map[string]Described{}
	for _, d := range set.Described(prefix) {
		found[strings.TrimPrefix(d.Name, prefix)] = d
	}
	var missing, misshaped, surplus []string
	for _, p := range params {
		expected := "float32 " + ShapeText(p.TorchShape())
		switch d, ok := found[p.Name]; {
		case !ok:
			missing = append(missing, fmt.Sprintf("missing %s%s, %s", prefix, p.Name, expected))
		case !d.IsFloat() || !d.Shape.Eq(p.TorchShape()):
			misshaped = append(misshaped, fmt.Sprintf("%s is %v, expected %s", d.Name, d, expected))
		}
		delete(found, p.Name)
	}
	for _, d := range found {
		if !d.IsFloat() {
			continue
		}
		surplus = append(surplus, fmt.Sprintf("unexpected %s, %v", d.Name, d))
	}
	sort.Strings(surplus)
	all := len(missing) + len(misshaped) + len(surplus)
	if all == 0 {
		return nil
	}
	// Some of each kind: a name that is missing and one that is too much may be the same tensor.
	var listed []string
	for i := 0; len(listed) < min(all, mostListed); i++ {
		for _, kind := range [][]string{misshaped, missing, surplus} {
			if i < len(kind) && len(listed) < mostListed {
				listed = append(listed, kind[i])
			}
		}
	}
	count := fmt.Sprintf("%d of them do not", all)
	if all == 1 {
		count = "one does not"
	}
	if more := all - len(listed); more > 0 {
		listed = append(listed, fmt.Sprintf("and %d more", more))
	}
	return fmt.Errorf("the tensors do not fit the network, %s: %s", count, strings.Join(listed, "; "))
}

// ReadParams reads the tensors called prefix+NAME of all parameters, and gives each to put, in the parameters' order
// and in memory order. It holds the values of one parameter at a time.
func ReadParams(params []*Param, set TensorSet, prefix string, put func(i int, words []float32) error) error {
	if err := Fit(params, set, prefix); err != nil {
		return err
	}
	largest := 0
	for _, p := range params {
		largest = max(largest, p.Shape.TotalSize())
	}
	torch, words := make([]float32, largest), make([]float32, largest)
	for i, p := range params {
		n := p.Shape.TotalSize()
		if err := set.ReadTensor(prefix+p.Name, torch[:n]); err != nil {
			return err
		}
		p.fromTorch(words, torch[:n])
		if err := put(i, words[:n]); err != nil {
			return err
		}
	}
	return nil
}
