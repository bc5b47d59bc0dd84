package graph_test

import (
	"testing"

	"sigmaz/kernels"
	"sigmaz/model"
)

// Where a U-Net joins images of channels that tensor cores take to some that they do not, all that a kernel joins is of one
// kind; and there are some of each kind.
func TestConcatInBF16(t *testing.T) {
	net, _ := onceAndApart(t, model.Config{Net: "ncsnpp", Height: 8, Width: 8, Channels: 1, NGF: 16, UNet: model.UNet{ChMult: "1,2,4",
		ResBlocks: 1, Attention: "4", FIR: true, SkipRescale: true, InitScale: 1}}, kernels.BF16)
	kinds := map[string]int{}
	for _, op := range net.plan.Ops {
		if op.Name() != "concat" && op.Name() != "split" {
			continue
		}
		reads, writes := op.Operands()
		windows := append(reads, writes...)
		kinds[op.Name()+" "+windows[0].Element.String()]++
		for _, w := range windows {
			if w.Element != windows[0].Element {
				t.Errorf("%s has windows of %v and of %v", op.Name(), windows[0].Element, w.Element)
			}
		}
	}
	for _, kind := range []string{"concat float32", "concat bf16", "split float32", "split bf16"} {
		if kinds[kind] == 0 {
			t.Errorf("there is no %s: %v", kind, kinds)
		}
	}
}
