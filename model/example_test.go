// Examples of ladders and of a trained network's score.

package model_test

import (
	"fmt"
	"log"

	"sigmaz/kernels"
	"sigmaz/model"
	"sigmaz/model/checkpoint"
)

// The ladder of NCSN: ten levels from 1 down to 0.01, each smaller than the one before by the same ratio.
func ExampleGeometric() {
	ladder, err := model.Geometric(1, 0.01, 10)
	if err != nil {
		log.Fatal(err)
	}
	for i, sigma := range ladder {
		fmt.Printf("level %d  sigma %.4f\n", i, sigma)
	}
	fmt.Printf("ratio %.4f\n", ladder.Ratio())
	// Output:
	// level 0  sigma 1.0000
	// level 1  sigma 0.5995
	// level 2  sigma 0.3594
	// level 3  sigma 0.2154
	// level 4  sigma 0.1292
	// level 5  sigma 0.0774
	// level 6  sigma 0.0464
	// level 7  sigma 0.0278
	// level 8  sigma 0.0167
	// level 9  sigma 0.0100
	// ratio 1.6681
}

// How many levels the ladder of CIFAR-10 needs, whose images have 3 x 32 x 32 values.
func ExampleTechnique2() {
	levels, ratio, err := model.Technique2(50, 0.01, 3*32*32)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%d levels, ratio %.4f\n", levels, ratio)
	// Output: 232 levels, ratio 1.0376
}

// Opens a checkpoint of the original PyTorch program and evaluates its score at a grey image, at three levels of its
// ladder. A checkpoint of this program has its configuration with it, in Weights.Config; this file has not, so its
// network is found by its parameters, and what leaves no mark on them is given here.
func ExampleNewScore() {
	weights, err := checkpoint.OpenWeights("testdata/golden/ncsnv2-10x8-swish-rescaled-linear.pth")
	if err != nil {
		log.Fatal(err)
	}
	defer weights.Close()
	config, err := checkpoint.Infer(weights, checkpoint.EMAPrefix, "", len(weights.Ladder.Sigmas))
	if err != nil {
		log.Fatal(err)
	}
	config.Height, config.Width, config.Nonlinearity, config.Rescaled = 10, 8, "swish", true

	const batch = 3
	score, err := model.NewScore(kernels.NewCPU(0), config, kernels.Float32, batch, 0)
	if err != nil {
		log.Fatal(err)
	}
	if err := score.LoadFrom(weights, checkpoint.EMAPrefix); err != nil {
		log.Fatal(err)
	}
	program, err := score.Backend.Compile(score.Arena, score.Ops)
	if err != nil {
		log.Fatal(err)
	}

	images := make([]float32, batch*score.D) // grey: 0 in [-1, 1]
	sigmas := make([]float32, batch)
	for i := range sigmas {
		sigmas[i] = float32(weights.Ladder.Sigmas[i])
	}
	result := make([]float32, batch*score.D)
	for _, step := range []func() error{
		func() error { return score.Arena.Write(score.X, images) },
		func() error { return score.Arena.Write(score.Sigma, sigmas) },
		program.Run,
		func() error { return score.Arena.Read(result, score.S) },
	} {
		if err := step(); err != nil {
			log.Fatal(err)
		}
	}

	fmt.Printf("%s, ngf %d, images of %dx%dx%d\n", config.Net, config.NGF, config.Height, config.Width, config.Channels)
	for i, sigma := range sigmas {
		fmt.Printf("sigma %.2f  score of the first pixel %+.3f\n", sigma, result[i*score.D])
	}
	// Output:
	// ncsnv2, ngf 3, images of 10x8x1
	// sigma 10.00  score of the first pixel -0.035
	// sigma 7.51  score of the first pixel -0.047
	// sigma 5.03  score of the first pixel -0.070
}
