package benchcmd

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"sigmaz/kernels"
)

// tunable is a CPU that claims to have two ways to run a convolution. The second one leaves the operation out where
// wrong is set.
type tunable struct {
	kernels.Backend
	wrong bool
	asked *[]kernels.Choice
}

func (f tunable) Choices(kernels.Arena, kernels.Op) ([]kernels.Choice, error) {
	return []kernels.Choice{{Tile: "64x64", Parts: 1}, {Tile: "32x32", Parts: 3}}, nil
}

func (f tunable) CompileWith(a kernels.Arena, op kernels.Op, c kernels.Choice) (kernels.Program, error) {
	*f.asked = append(*f.asked, c)
	if f.wrong && c.Parts == 3 {
		reads, _ := op.Operands()
		op = kernels.Affine{N: 1, X: reads[0].Slice(0, 1), Y: reads[0].Slice(0, 1), Scale: 1}
	}
	return f.Backend.Compile(a, []kernels.Op{op})
}

func TestChoices(t *testing.T) {
	var out bytes.Buffer
	var asked []kernels.Choice
	b := dry(tunable{kernels.NewCPU(0), false, &asked}, &out)
	if err := b.measureChoices(); err != nil {
		t.Fatal(err)
	}
	if len(asked) != 6 || len(b.report.Rows) != 6 {
		t.Errorf("%d choices asked for, %d rows, expected 6", len(asked), len(b.report.Rows))
	}
	for i, want := range []string{"forward 64x64 (rule)", "forward 32x32 ", "d weight 64x64 in 1 (rule)", "d weight 32x32 in 3 "} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%d: no %q in\n%s", i, want, out.String())
		}
	}
	b = dry(tunable{kernels.NewCPU(0), true, &asked}, &out)
	if err := b.measureChoices(); err == nil || !strings.Contains(err.Error(), "forward 32x32") {
		t.Errorf("error %v, expected one about a choice with another result", err)
	}
}

func TestVerdicts(t *testing.T) {
	row := func(name string, rule bool, ms float64) Row {
		return Row{Name: name, Rule: rule, Values: []Value{{Unit: "ms", Median: ms}}}
	}
	got := verdicts(table{rows: []Row{row("a", true, 1), row("b", false, 2), row("c", true, 3), row("d", false, 2),
		row("e", true, 0)}})
	want := []string{"the rule's a is the fastest", "d is the fastest: the rule's c takes 50% longer"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, expected %q", got, want)
	}
}

// -tables and -size measure what they name and nothing else.
func TestTablesAndSize(t *testing.T) {
	var out bytes.Buffer
	b := dry(kernels.NewCPU(0), &out)
	b.tables, b.size = "network,memory", network{ngf: 2, size: 8, channels: 3, batch: 1}
	if err := b.measureAll(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range b.report.Rows {
		got = append(got, r.Table+": "+r.Name)
	}
	want := []string{"memory: perturb", "memory: langevin", "memory: copy (affine, 1x+0)",
		"training: ngf 2 8x8x3 b1", "sampling: ngf 2 8x8x3 b1"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, expected %q", got, want)
	}
}
