package train

import (
	"fmt"
	"strings"
	"testing"

	"sigmaz/kernels"
	"sigmaz/model"
)

// withMultiprocessors is the CPU with as many multiprocessors as a GPU.
type withMultiprocessors struct {
	kernels.Backend
	n int
}

func (b withMultiprocessors) Multiprocessors() int { return b.n }

// A run that starts on a GPU records its multiprocessors, one that starts on a CPU writes what it always wrote, and a
// number that a configuration names stays.
func TestRecordMultiprocessors(t *testing.T) {
	for _, c := range []struct{ named, device, want int }{{0, 0, 0}, {0, 132, 132}, {108, 132, 108}, {108, 0, 108}} {
		config := valid(t, "glyphs")
		if err := config.ResolveShape(nil); err != nil {
			t.Fatal(err)
		}
		before := config.YAML()
		config.Multiprocessors = c.named
		config.RecordMultiprocessors(withMultiprocessors{kernels.NewCPU(1), c.device})
		stored := config.YAML()
		line := fmt.Sprintf("\nmultiprocessors: %d\n", c.want)
		if c.want == 0 && stored != before || c.want != 0 && !strings.Contains(stored, line) {
			t.Errorf("%+v: configuration\n%s", c, stored)
		}
		again, err := ParseConfig(stored)
		if err != nil || again.Multiprocessors != c.want {
			t.Errorf("%+v: read again it is %d (%v)", c, again.Multiprocessors, err)
		}
		if tc, err := config.Trainer(nil); err != nil || tc.Multiprocessors != c.want {
			t.Errorf("%+v: a trainer of it has %d (%v)", c, tc.Multiprocessors, err)
		}
	}
	if n := kernels.NewCPU(1).Multiprocessors(); n != 0 {
		t.Errorf("the CPU has %d multiprocessors", n)
	}
}

// All gradients of weights are cut for the multiprocessors of the configuration.
func TestPlansAreCut(t *testing.T) {
	for _, multiprocessors := range []int{0, 132} {
		p, err := newPlans(TrainerConfig{Network: model.Config{Net: "ncsnv2", Height: 8, Width: 8, Channels: 1, NGF: 4},
			Multiprocessors: multiprocessors, Batch: 2, Sigmas: model.Ladder{1, 0.5}, HeldOut: bars()})
		if err != nil {
			t.Fatal(err)
		}
		count := 0
		for _, op := range p.train.Ops {
			if g, ok := op.(kernels.ConvGradWeight); ok {
				count++
				if g.Multiprocessors != multiprocessors {
					t.Fatalf("a sum is cut for %d multiprocessors, expected %d", g.Multiprocessors, multiprocessors)
				}
			}
		}
		if count < 70 {
			t.Errorf("%d gradients of weights, expected those of a whole network", count)
		}
	}
}
