// From a network to an ONNX file. Its inputs and its output are
//
//	x      (N, C, H, W) float32, of vectors (N, D)      the noisy data, in the network's units
//	sigma  (N) float32                                  the noise of each row, of a network that sees it
//	level  (N) int64                                    its level in the ladder, 0 for the largest, of the others
//	class  (N) int64                                    of a network that is told classes, K being none
//	score  like x                                       s(x, sigma)
//
// N is any number of rows. Parameters have their names and shapes in a state_dict, but for the linear maps of pixels
// (NIN), which are 1x1 convolutions (O, I, 1, 1) here. The file's metadata has the ladder and the run's configuration.

package onnx

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"gorgonia.org/gorgonia"

	"sigmaz/kernels"
	"sigmaz/model"
	"sigmaz/model/checkpoint"
	"sigmaz/model/graph"
)

// Write writes the score of a network with the weights called prefix+NAME in set. Of f it takes the network, its ladder, the
// configuration and the step.
func Write(w io.Writer, f checkpoint.StateFile, set model.TensorSet, prefix string) error {
	t, net, err := translate(f.Network, f.Sigmas)
	if err != nil {
		return err
	}
	t.about = append(t.about, [2]string{"network", f.Network.Net}, [2]string{"sigmas", sigmasText(f.Sigmas)},
		[2]string{"config", f.Config})
	if f.Stepped {
		t.about = append(t.about, [2]string{"step", strconv.FormatUint(f.Step, 10)})
	}
	return t.write(w, func(put func([]float32) error) error {
		var torch []float32
		return model.ReadParams(net.Params, set, prefix, func(i int, words []float32) error {
			p := net.Params[i]
			switch {
			case !t.used[p]:
				return nil
			case len(p.Shape) == 4:
				torch = append(torch[:0], words...)
				p.ToTorch(torch, words)
				words = torch
			}
			return put(words)
		})
	})
}

// InputsOf lists the inputs of a network's file by name: x, "sigma" or "level", and where the network is told classes "class".
// It is the level where the network has scores at the levels of its ladder alone or does not see the noise.
func InputsOf(c model.Config) []string {
	names := []string{xInput, sigmaInput}
	if c.TakesLevels() || !c.SeesSigma() {
		names[1] = levelInput
	}
	if c.Classes > 0 {
		names = append(names, classInput)
	}
	return names
}

// The names of inputs and output.
const xInput, sigmaInput, levelInput, classInput, scoreOutput = "x", "sigma", "level", "class", "score"

// sigmasText is a ladder as the metadata has it: a JSON array, from the largest sigma down.
func sigmasText(l model.Ladder) string {
	words := make([]string, len(l))
	for i, s := range l {
		words[i] = strconv.FormatFloat(float64(s), 'g', -1, 32)
	}
	return "[" + strings.Join(words, ", ") + "]"
}

// translator writes the graph of a network, node by node.
type translator struct {
	file
	values  map[*gorgonia.Node]string        // names of the nodes' values in the file
	late    map[*gorgonia.Node]func() string // of values that are added where they are first asked for
	params  map[*gorgonia.Node]*model.Param
	used    map[*model.Param]bool
	shapes  map[*model.Param][]int // of parameters whose shape is not that of the state_dict
	names   map[string]int         // how often a name was asked for
	known   map[string]string      // names of constants by their values
	numbers map[numberOf]string    // of rows: see told.go
}

// translate makes the file of a network, which lacks the values of its parameters.
func translate(c model.Config, sigmas model.Ladder) (t *translator, net *model.Network, err error) {
	net, err = model.Build(c, 1, model.ScoreOnly, kernels.Weight{})
	if err != nil {
		return nil, nil, err
	}
	t = &translator{values: map[*gorgonia.Node]string{}, late: map[*gorgonia.Node]func() string{},
		params: map[*gorgonia.Node]*model.Param{}, used: map[*model.Param]bool{}, shapes: map[*model.Param][]int{},
		names: map[string]int{}, known: map[string]string{}, numbers: map[numberOf]string{}}
	shape := []int{c.Channels, c.Height, c.Width}
	if c.Vectors() {
		shape = []int{c.D()}
	}
	t.inputs = []port{{xInput, float32s, shape}}
	t.values[net.XTilde] = xInput
	switch InputsOf(c)[1] {
	case levelInput:
		t.inputs = append(t.inputs, port{levelInput, int64s, nil})
		t.values[net.Level] = levelInput
		t.late[net.Sigma] = func() string {
			return t.op("Gather", sigmaInput, []string{t.floats("sigmas", []int{len(sigmas)}, sigmas...), levelInput})
		}
	default:
		t.inputs = append(t.inputs, port{sigmaInput, float32s, nil})
		t.values[net.Sigma] = sigmaInput
	}
	if net.Class != nil {
		t.inputs = append(t.inputs, port{classInput, int64s, nil})
		t.values[net.Class] = classInput
	}
	for _, k := range net.Constants {
		t.values[k.Node] = t.floats(k.Node.Name(), []int{len(k.Values)}, k.Values...)
	}
	for _, p := range net.Params {
		t.params[p.Node], t.values[p.Node] = p, p.Name
	}
	score, err := t.value(net.Score)
	if err != nil {
		return nil, nil, err
	}
	t.nodes = append(t.nodes, node{op: "Identity", name: scoreOutput, in: []string{score}})
	t.outputs = []port{{scoreOutput, float32s, shape}}
	for _, p := range net.Params {
		if t.used[p] {
			shape := t.shapes[p]
			if shape == nil {
				shape = p.TorchShape()
			}
			t.parameters = append(t.parameters, initializer{name: p.Name, of: float32s, shape: shape})
		}
	}
	return t, net, nil
}

// value returns the name of a node's value, and adds what computes it.
func (t *translator) value(n *gorgonia.Node) (string, error) {
	if name, ok := t.values[n]; ok {
		if p := t.params[n]; p != nil {
			t.used[p] = true
		}
		return name, nil
	}
	if add, ok := t.late[n]; ok {
		t.values[n] = add()
		return t.values[n], nil
	}
	l, path, in, ok := graph.Source(n)
	if !ok {
		return "", fmt.Errorf("cannot write %v in ONNX: it is no layer", n)
	}
	if _, ok := l.(graph.Precondition); ok {
		return "", nil // its numbers are written where they are asked for
	}
	c := call{path: path, in: in, out: n.Shape()}
	for _, child := range in {
		name, err := t.value(child)
		if err != nil {
			return "", err
		}
		c.names = append(c.names, name)
	}
	name, err := t.layer(l, c)
	if err != nil {
		return "", err
	}
	t.values[n] = name
	return name, nil
}

// call is a layer's inputs and output.
type call struct {
	path  string
	in    gorgonia.Nodes
	names []string // of the inputs' values
	out   []int    // the output's shape in the graph
}

// shape returns the shape of an input in the graph.
func (c call) shape(i int) []int { return c.in[i].Shape() }

// op adds an operator of a layer and returns the name of its output.
func (t *translator) op(op, path string, in []string, settings ...attribute) string {
	name := t.unique(path + "/" + op)
	t.nodes = append(t.nodes, node{op: op, name: name, in: in, settings: settings})
	return name
}

// unique returns a name that no other value has.
func (t *translator) unique(name string) string {
	t.names[name]++
	if n := t.names[name]; n > 1 {
		return fmt.Sprintf("%s.%d", name, n)
	}
	return name
}

// constant returns the name of a tensor of such values, which is written once.
func (t *translator) constant(name string, of element, shape []int, raw []byte) string {
	key := fmt.Sprint(of, shape, " ") + string(raw)
	if known, ok := t.known[key]; ok {
		return known
	}
	t.known[key] = t.unique("constant/" + name)
	t.constants = append(t.constants, initializer{t.known[key], of, shape, raw})
	return t.known[key]
}

// floats returns the name of a constant of float32 values; without a shape it is a number.
func (t *translator) floats(name string, shape []int, values ...float32) string {
	raw := []byte{}
	for _, v := range values {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
	}
	return t.constant(name, float32s, shape, raw)
}

// number returns the name of a constant float32.
func (t *translator) number(v float64) string {
	return t.floats(strconv.FormatFloat(v, 'g', 6, 64), nil, float32(v))
}

// ints returns the name of a constant vector of whole numbers.
func (t *translator) ints(values ...int) string {
	raw, text := []byte{}, ""
	for _, v := range values {
		raw = binary.LittleEndian.AppendUint64(raw, uint64(v))
		text += fmt.Sprintf(",%d", v)
	}
	return t.constant("["+strings.TrimPrefix(text, ",")+"]", int64s, []int{len(values)}, raw)
}
