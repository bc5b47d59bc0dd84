// Every branch of the class of NCSN++.

package golden

import "sigmaz/model"

// UNetBranches lists U-Nets of two levels that go through every branch of their class: blocks, resampling and pyramids in
// all combinations, other choices in turns.
func UNetBranches() (list []model.UNet) {
	type block struct {
		name string
		conv bool
	}
	for _, b := range []block{{"biggan", false}, {"ddpm", false}, {"ddpm", true}} {
		for _, fir := range []bool{false, true} {
			for _, progressive := range model.Progressives() {
				for _, input := range append(model.ProgressiveInputs(), "cat") {
					i := len(list)
					u := model.UNet{ChMult: "1,2", ResBlocks: 1 + i/2%2, ResBlock: b.name, ResampWithConv: b.conv, FIR: fir,
						SkipRescale: i%2 == 0, Progressive: progressive, ProgressiveInput: input,
						Embedding: model.Embeddings()[i/3%2], Unconditional: i%10 == 9, InitScale: 1, ScaleBySigma: i%4 < 3}
					if input == "cat" {
						u.ProgressiveInput, u.Combine = "input_skip", "cat"
					}
					if i%5 < 3 {
						u.Attention = "1/2"
					}
					if i%7 == 0 {
						u.FIRKernel = "1,2,3,4"
					}
					list = append(list, u)
				}
			}
		}
	}
	return list
}
