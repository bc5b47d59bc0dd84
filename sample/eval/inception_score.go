// The inception score of images whose classes a network scores, with probabilities p_i = softmax(scores of image i):
//
//	IS = exp(mean over i of sum over classes of p_i log(p_i / p)),   p = mean over i of p_i
//
// It is high where each image is of one class for certain and all classes are there; it knows no reference. As in the paper
// (Salimans et al., "Improved techniques for training GANs", 2016), it is taken of equal parts of the samples, and the mean
// and the deviation over the parts are told.

package eval

import (
	"fmt"
	"math"
)

// InceptionParts is the number of parts that papers take.
const InceptionParts = 10

// InceptionScore returns the mean of the inception score over parts of the samples, and its deviation over them. The parts
// are made in an order drawn from seed, so that samples of one class that stand together are spread.
func InceptionScore(scores Rows, parts int, seed uint64) (mean, deviation float64, err error) {
	if err := check(parts, scores); err != nil {
		return 0, 0, err
	}
	if parts < 1 {
		return 0, 0, fmt.Errorf("eval: expected at least 1 part, found %d", parts)
	}
	mixed := shuffled(scores, seed)
	all := make([]float64, parts)
	for k := range all {
		first, last := k*scores.N/parts, (k+1)*scores.N/parts
		of, entropy := make([]float64, scores.D), 0.0
		p := make([]float64, scores.D)
		for i := first; i < last; i++ {
			row := mixed.Row(i)
			top, sum := math.Inf(-1), 0.0
			for _, v := range row {
				top = max(top, float64(v))
			}
			for c, v := range row {
				p[c] = math.Exp(float64(v) - top)
				sum += p[c]
			}
			for c, v := range row {
				p[c] /= sum
				of[c] += p[c]
				entropy += p[c] * (float64(v) - top - math.Log(sum))
			}
		}
		n := float64(last - first)
		for _, v := range of {
			if v > 0 {
				entropy -= v * math.Log(v/n)
			}
		}
		all[k] = math.Exp(entropy / n)
		mean += all[k] / float64(parts)
	}
	for _, v := range all {
		deviation += (v - mean) * (v - mean) / float64(parts)
	}
	return mean, math.Sqrt(deviation), nil
}
