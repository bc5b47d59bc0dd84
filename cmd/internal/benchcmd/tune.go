// The table of the ways to share out a convolution's work on a GPU (-tables tune): which one the rule chooses, and which
// is the fastest.

package benchcmd

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"sigmaz/internal/approx"
	"sigmaz/kernels"
)

// choiceTolerance is for results that differ in the order of sums of 32,768 terms, in any precision: a wrong one is off
// by much more. The kernels' own tests are stricter.
const choiceTolerance = 1e-2

// tunedShape is the convolution with most of the work of a training step of the published CIFAR-10 model, at its batch.
func (b *bench) tunedShape() kernels.ConvShape {
	switch {
	case b.watch.dry:
		return kernels.ConvShape{N: 16, H: 8, W: 8, Cin: 32, Cout: 64, K: 3, Dilation: 1}
	case b.quick:
		return kernels.ConvShape{N: 16, H: 16, W: 16, Cin: 64, Cout: 64, K: 3, Dilation: 1}
	}
	return kernels.ConvShape{N: 128, H: 16, W: 16, Cin: 256, Cout: 256, K: 3, Dilation: 1}
}

// measureChoices prints every choice for the three operations of tunedShape, and which is the fastest.
func (b *bench) measureChoices() error {
	t, err := b.choices()
	if err != nil {
		return err
	}
	if err := b.print(t); err != nil {
		return err
	}
	for _, line := range verdicts(t) {
		fmt.Fprintln(b.out, line)
	}
	return nil
}

// choices measures every choice. Each must have the rule's results, but for the order of their sums.
func (b *bench) choices() (table, error) {
	s := b.tunedShape()
	t := table{title: "tune", note: fmt.Sprintf("%s, %s", shapeText(s), b.device.Precision)}
	tuner, ok := b.backend.Backend.(kernels.Tuner)
	if !ok {
		return t, errors.New("-tables tune needs a GPU: give -gpu too")
	}
	c, a, err := b.arenaOf(s)
	if err != nil {
		return t, err
	}
	flop := 2 * float64(s.MACs()) * float64(s.N)
	for i, op := range c.ops {
		choices, err := tuner.Choices(a, op)
		if err != nil {
			return t, err
		}
		var want [][]float32 // the rule's results
		for k, choice := range choices {
			name := fmt.Sprintf("%s %s", convolutionNames[i], choice.Tile)
			if _, sum := op.(kernels.ConvGradWeight); sum {
				name += fmt.Sprintf(" in %d", choice.Parts)
			}
			p, err := tuner.CompileWith(a, op, choice)
			if err != nil {
				return t, err
			}
			if err := poison(a, op); err != nil {
				return t, err
			}
			took, err := b.briefly().time(p.Run, waitFor(a))
			if err != nil {
				return t, fmt.Errorf("%s: %w", name, err)
			}
			got, err := results(a, op)
			if err != nil {
				return t, fmt.Errorf("%s: %w", name, err)
			}
			if k == 0 {
				want = got
			}
			for r := range got {
				if err := b.compared(name, got[r], want[r], approx.RelMax(choiceTolerance)); err != nil {
					return t, err
				}
			}
			row := Row{Name: name, Rule: k == 0, Values: []Value{
				{Name: "time", Unit: "ms", Median: 1e3 * took.median}, b.flops(took, "", flop)}}
			t.rows = append(t.rows, row)
		}
	}
	return t, nil
}

// poison fills what an operation writes with NaN, in float32 and in bfloat16, so that what was there before is no
// result.
func poison(a kernels.Arena, op kernels.Op) error {
	_, writes := op.Operands()
	for _, w := range writes {
		words := slices.Repeat([]float32{math.Float32frombits(math.MaxUint32)}, w.Words())
		if err := a.Write(kernels.Buf{Off: w.Off, N: len(words)}, words); err != nil {
			return err
		}
	}
	return nil
}

// results reads what an operation has written.
func results(a kernels.Arena, op kernels.Op) (all [][]float32, err error) {
	_, writes := op.Operands()
	for _, w := range writes {
		words := make([]float32, w.Words())
		if err := a.Read(words, kernels.Buf{Off: w.Off, N: len(words)}); err != nil {
			return nil, err
		}
		w.Off = 0
		all = append(all, w.Load(words))
	}
	return all, nil
}

// verdicts says for each operation of a table of choices which is the fastest, and what the rule loses.
func verdicts(t table) (lines []string) {
	for i := 0; i < len(t.rows); {
		rule := t.rows[i]
		best := rule
		for i++; i < len(t.rows) && !t.rows[i].Rule; i++ {
			if t.rows[i].Values[0].Median < best.Values[0].Median {
				best = t.rows[i]
			}
		}
		switch took := best.Values[0].Median; {
		case took == 0:
		case best.Name == rule.Name:
			lines = append(lines, fmt.Sprintf("the rule's %s is the fastest", rule.Name))
		default:
			lines = append(lines, fmt.Sprintf("%s is the fastest: the rule's %s takes %.0f%% longer", best.Name, rule.Name,
				100*(rule.Values[0].Median/took-1)))
		}
	}
	return lines
}
