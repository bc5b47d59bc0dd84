// Runs on data with missing values.

package train

import (
	"context"
	"math"
	"slices"
	"testing"

	"sigmaz/kernels"
	"sigmaz/model"
	"sigmaz/model/graph"
)

// maskedTrainer makes a trainer of rows of two values: of even rows the second is missing, of odd ones the first, or always
// the second.
func maskedTrainer(t *testing.T, always bool) (*Trainer, *kernels.Data) {
	const rows = 37
	data := &kernels.Data{N: rows - 5, H: 1, W: 1, C: 2, F32: make([]float32, 2*rows), Masks: []float32{1, 0, 0, 1}, Mask: make([]uint32, rows)}
	kernels.Stream{Seed: 3, Purpose: kernels.PurposeData}.Normals(data.F32)
	for i := range rows {
		if !always {
			data.Mask[i] = uint32(i % 2)
		}
		if i >= 5 {
			data.Rows = append(data.Rows, uint32(i))
		}
	}
	held := *data
	held.N, held.Rows = 5, []uint32{0, 1, 2, 3, 4}
	sigmas, err := model.Geometric(2, 0.1, 4)
	if err != nil {
		t.Fatal(err)
	}
	tr, err := NewTrainer(kernels.NewCPU(2), TrainerConfig{Network: model.Config{Net: "mlp", Height: 1, Width: 1, Channels: 2, Hidden: 8, DataSD: 1},
		Batch: 16, Sigmas: sigmas, AnnealPower: 2, Adam: Adam{LR: 1e-2, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8}, EMARate: 0.9, Data: data,
		HeldOut: &held, Seed: 5})
	if err != nil {
		t.Fatal(err)
	}
	return tr, data
}

// A coordinate that is always missing has no gradient at all: what makes its score stays to the bit, and all else is learned.
func TestMissingValuesTeachNothing(t *testing.T) {
	tr, _ := maskedTrainer(t, true)
	before, err := tr.Named("param.")
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if err := tr.Step(); err != nil {
			t.Fatal(err)
		}
		if _, err := tr.Losses(nil); err != nil {
			t.Fatal(err)
		}
	}
	after, err := tr.Named("param.")
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range after {
		was, is := before[i].T.Data().([]float32), p.T.Data().([]float32)
		switch p.Name {
		case "param.layers.3.weight":
			if !slices.Equal(was[8:], is[8:]) || slices.Equal(was[:8], is[:8]) {
				t.Errorf("%s was %v and is %v", p.Name, was, is)
			}
		case "param.layers.3.bias":
			if was[1] != is[1] || was[0] == is[0] {
				t.Errorf("%s was %v and is %v", p.Name, was, is)
			}
		default:
			if slices.Equal(was, is) {
				t.Errorf("%s is as it was", p.Name)
			}
		}
	}
}

// The loss of each row is that of its own values that are there, of training and of held-out rows.
func TestMasksAreOfTheirRows(t *testing.T) {
	tr, data := maskedTrainer(t, false)
	check := func(net *model.Network, plan *graph.Plan, sigmas, losses []float32, row func(r int) int) {
		t.Helper()
		s, z := make([]float32, 32), make([]float32, 32)
		if tr.arena.Read(s, plan.Buf(net.Score)) != nil || tr.arena.Read(z, plan.Buf(net.Z)) != nil {
			t.Fatal("no score")
		}
		for r := range 16 {
			k := 2*r + int(data.Mask[row(r)])
			e := float64(sigmas[r]*s[k]) + float64(z[k])
			if want := 0.5 * e * e; math.Abs(float64(losses[r])-want) > 1e-4*(1+want) {
				t.Errorf("row %d has the loss %g, not %g", r, losses[r], want)
			}
		}
	}
	for step := range 3 {
		if err := tr.Step(); err != nil {
			t.Fatal(err)
		}
		records, err := tr.Losses(nil)
		if err != nil {
			t.Fatal(err)
		}
		sigmas := make([]float32, 16)
		for r, level := range records[0].Level {
			sigmas[r] = tr.c.Sigmas[level]
		}
		check(tr.net, tr.plan, sigmas, records[0].Loss, func(r int) int {
			return data.Row(kernels.Permutation(5, uint64(data.N), uint64(16*step+r)))
		})
	}
	full, _, err := tr.HeldOutLoss(context.Background())
	if err != nil || !(full > 0 && full < 20) {
		t.Errorf("held-out loss %g, %v", full, err)
	}
}
