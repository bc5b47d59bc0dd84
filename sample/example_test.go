package sample_test

import (
	"fmt"
	"math"

	"sigmaz/model"
	"sigmaz/sample"
)

// A score known in closed form takes the place of a network: that of data N(2, 0.5^2) under noise of deviation sigma,
// which is N(2, 0.5^2 + sigma^2). The samples have the data's mean and deviation.
func ExampleAnneal() {
	const n, d = 4096, 1
	ladder, err := model.Geometric(5, 0.02, 30)
	if err != nil {
		fmt.Println(err)
		return
	}
	score, err := model.ScoreFunc(n, d, sample.WorkWords(len(ladder)), func(dst, x []float32, sigma float32) {
		for i := range x {
			dst[i] = (2 - x[i]) / (0.25 + sigma*sigma)
		}
	})
	if err != nil {
		fmt.Println(err)
		return
	}

	opt := sample.Options{T: 10, Epsilon: sample.Epsilon(ladder, 10), Denoise: true, Seed: 1}
	if err := sample.Start(score, ladder, opt.Seed, opt.FirstImage, sample.Gaussian); err != nil {
		fmt.Println(err)
		return
	}
	evaluations := 0
	err = sample.Anneal(score, ladder, opt, func(s sample.Step) error {
		evaluations = s.NFE
		return nil
	})
	if err != nil {
		fmt.Println(err)
		return
	}

	x := make([]float32, n*d)
	if err := score.Arena.Read(x, score.X); err != nil {
		fmt.Println(err)
		return
	}
	var mean, square float64
	for _, v := range x {
		mean += float64(v) / n
		square += float64(v) * float64(v) / n
	}
	fmt.Printf("mean %.1f, deviation %.1f, %d evaluations of the score\n", mean, math.Sqrt(square-mean*mean), evaluations)
	// Output: mean 2.0, deviation 0.5, 301 evaluations of the score
}

// The schedule of NCSNv2 on CIFAR-10: a ladder of 232 levels, 5 steps each, the step size by Technique 4. The published
// step size is 6.2e-6.
func ExampleEpsilon() {
	ladder, err := model.Geometric(50, 0.01, 232)
	if err != nil {
		fmt.Println(err)
		return
	}
	const T = 5
	epsilon := sample.Epsilon(ladder, T)
	alphas := sample.Alphas(ladder, epsilon)
	verdict, margin := sample.JudgeStability(false, ladder, T, epsilon)
	opt := sample.Options{T: T, Epsilon: epsilon, Denoise: true}

	fmt.Printf("ratio of neighbouring levels %.4f\n", ladder.Ratio())
	fmt.Printf("epsilon %.2e, step sizes from %.3g to %.2e\n", epsilon, alphas[0], alphas[len(alphas)-1])
	fmt.Printf("stable: %t, margin %.2f\n", verdict == sample.Stable, margin)
	fmt.Println(opt.NFE(len(ladder)), "evaluations of the score", opt.Check(ladder))
	// Output:
	// ratio of neighbouring levels 1.0376
	// epsilon 6.18e-06, step sizes from 155 to 6.18e-06
	// stable: true, margin 2.06
	// 1161 evaluations of the score <nil>
}

// The score of a Gaussian in the plane, with deviation 1 and noise of deviation 1, at two points.
func ExampleEvaluateField() {
	score, err := model.ScoreFunc(16, 2, 0, func(dst, x []float32, sigma float32) {
		for i := range x {
			dst[i] = -x[i] / (1 + sigma*sigma)
		}
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	s, err := sample.EvaluateField(score, []float32{2, 1, 3, -4}, 1, 0)
	fmt.Printf("%.1f %v\n", s, err)
	// Output: [-1.0 -0.5 -1.5 2.0] <nil>
}
