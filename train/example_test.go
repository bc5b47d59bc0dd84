// An example of training.

package train_test

import (
	"context"
	"fmt"
	"log"

	"sigmaz/kernels"
	"sigmaz/train"
)

// Trains a small network on points in the plane. Run does more: it logs, saves checkpoints and draws previews into a
// folder.
func ExampleNewTrainer() {
	preset, err := train.FindPreset("toy")
	if err != nil {
		log.Fatal(err)
	}
	config := preset.Config
	config.Network.Hidden, config.Batch, config.HeldOut = 32, 128, 0
	data, err := config.Resolve(context.Background(), nil, nil)
	if err != nil {
		log.Fatal(err)
	}
	settings, err := config.Trainer(data)
	if err != nil {
		log.Fatal(err)
	}
	trainer, err := train.NewTrainer(kernels.NewCPU(0), settings)
	if err != nil {
		log.Fatal(err)
	}

	// The mean loss of 50 steps, before and after others.
	mean := func() (sum float64) {
		for range 50 {
			if err := trainer.Step(); err != nil {
				log.Fatal(err)
			}
		}
		losses, err := trainer.Losses(nil)
		if err != nil {
			log.Fatal(err)
		}
		for _, l := range losses {
			sum += l.Mean() / float64(len(losses))
		}
		return sum
	}
	first := mean()
	for range 5 {
		mean()
	}
	last := mean()
	fmt.Println("steps:", trainer.StepsDone())
	fmt.Println("loss fell by a fifth:", last < 0.8*first)
	// Output:
	// steps: 350
	// loss fell by a fifth: true
}
