// The numbers of a row by which a network is wrapped or told the noise (kernels.Precondition), from sigma or the level. They
// are computed in float64, as there: a phase of an embedding reaches 1000 rad, and shows the last bits.

package onnx

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"

	"gorgonia.org/gorgonia"

	"sigmaz/kernels"
	"sigmaz/model/graph"
)

// numberOf names one of the numbers of a layer.
type numberOf struct {
	of    *gorgonia.Node
	which int
}

// double is a value in float64, (N), in an expression.
type double string

func (t *translator) doubles(v float64) double {
	raw := binary.LittleEndian.AppendUint64(nil, math.Float64bits(v))
	return double(t.constant(strconv.FormatFloat(v, 'g', 6, 64), doubles, nil, raw))
}

// expression writes operators on doubles under a path.
type expression struct {
	*translator
	path string
}

func (e expression) of(op string, in ...double) double {
	names := make([]string, len(in))
	for i, n := range in {
		names[i] = string(n)
	}
	return double(e.op(op, e.path, names))
}

func (e expression) cast(name string, to element) string {
	return e.op("Cast", e.path, []string{name}, attribute{"to", int(to)})
}

func (e expression) widen(name string) double { return double(e.cast(name, doubles)) }

// numberAt returns the name of one of the numbers of the layer at n, (N) float32.
func (t *translator) numberAt(n *gorgonia.Node, which int) (string, error) {
	key := numberOf{n, which}
	if name, ok := t.numbers[key]; ok {
		return name, nil
	}
	l, path, in, _ := graph.Source(n)
	p, ok := l.(graph.Precondition)
	if !ok {
		return "", fmt.Errorf("cannot write the numbers of %v in ONNX", l)
	}
	e := expression{t, path}
	told := in[0]
	if p.Level {
		told = in[1]
	}
	name, err := t.value(told)
	if err != nil {
		return "", err
	}
	value := e.widen(name)
	switch {
	case p.Betas != kernels.Betas{}:
		value, err = e.preserving(p, value, in, which)
	case p.SD != 0:
		value, err = e.edm(p, value, which)
	case which != kernels.PreconditionCond:
		err = fmt.Errorf("cannot write number %d of %v in ONNX", which, p)
	}
	if err != nil {
		return "", err
	}
	t.numbers[key] = e.cast(string(value), float32s)
	return t.numbers[key], nil
}

// edm are the numbers of edm.
func (e expression) edm(p graph.Precondition, sigma double, which int) (double, error) {
	if which == kernels.PreconditionCond {
		if p.Root {
			return e.of("Sqrt", e.of("Sqrt", sigma)), nil
		}
		return e.of("Mul", e.of("Log", sigma), e.doubles(0.25)), nil
	}
	variance := e.of("Add", e.of("Mul", sigma, sigma), e.doubles(p.SD*p.SD))
	switch which {
	case kernels.PreconditionIn:
		return e.of("Div", e.doubles(1), e.of("Sqrt", variance)), nil
	case kernels.PreconditionX:
		return e.of("Div", e.doubles(-1), variance), nil
	}
	return e.of("Div", e.doubles(p.SD), e.of("Mul", sigma, e.of("Sqrt", variance))), nil
}

// preserving are the numbers of vp and subvp.
func (e expression) preserving(p graph.Precondition, sigma double, in gorgonia.Nodes, which int) (double, error) {
	b := p.Betas
	square := func(x double) double { return e.of("Mul", x, x) }
	switch which {
	case kernels.PreconditionF:
		return e.of("Div", e.doubles(-1), sigma), nil
	case kernels.PreconditionIn:
		if b.Sub {
			return e.of("Div", e.doubles(2), e.of("Add", e.of("Sqrt", e.of("Add", square(sigma), e.doubles(4))), sigma)), nil
		}
		return e.of("Div", e.doubles(1), e.of("Sqrt", e.of("Add", square(sigma), e.doubles(1)))), nil
	case kernels.PreconditionX:
		return e.of("Mul", sigma, e.doubles(0)), nil
	}
	if p.Table {
		table, err := e.value(in[1])
		return e.step(sigma, e.widen(table), in[1].Shape()[0]), err
	}
	var half double
	if b.Sub {
		h := e.of("Mul", sigma, e.doubles(0.5))
		half = e.of("Log", e.of("Add", h, e.of("Sqrt", e.of("Add", square(h), e.doubles(1)))))
	} else {
		half = e.of("Mul", e.of("Log", e.of("Add", square(sigma), e.doubles(1))), e.doubles(0.5))
	}
	root := e.of("Sqrt", e.of("Add", e.doubles(b.Min*b.Min), e.of("Mul", half, e.doubles((b.Max-b.Min)*4))))
	time := e.of("Div", e.of("Mul", half, e.doubles(4)), e.of("Add", root, e.doubles(b.Min)))
	return e.of("Mul", time, e.doubles(999)), nil
}

// step is the step of a table of n sigmas, from the largest down, counted from the smallest and between two linear in
// ln sigma: the last of those that are not below sigma is where the interval begins.
func (e expression) step(sigma, table double, n int) double {
	if n == 1 {
		return e.of("Mul", sigma, e.doubles(0))
	}
	column := double(e.op("Unsqueeze", e.path, []string{string(sigma), e.ints(1)}))
	above := e.cast(string(e.of("GreaterOrEqual", table, column)), int64s) // (N, n)
	count := e.op("ReduceSum", e.path, []string{above, e.ints(1)}, attribute{"keepdims", 0})
	low := e.op("Sub", e.path, []string{count, e.ints(1)})
	low = e.op("Max", e.path, []string{low, e.ints(0)})
	low = e.op("Min", e.path, []string{low, e.ints(n - 2)})
	high := e.op("Add", e.path, []string{low, e.ints(1)})
	at := func(i string) double { return double(e.op("Gather", e.path, []string{string(table), i})) }
	top, bottom := at(low), at(high)
	part := e.of("Div", e.of("Log", e.of("Div", top, sigma)), e.of("Log", e.of("Div", top, bottom)))
	part = e.of("Min", e.of("Max", part, e.doubles(0)), e.doubles(1))
	return e.of("Sub", e.of("Sub", e.doubles(float64(n-1)), e.widen(low)), part)
}
