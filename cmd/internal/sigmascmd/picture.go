// The two pictures of -picture: the ladder in the data, and noise that makes a Gaussian of the data.

package sigmascmd

import (
	"fmt"
	"image"
	"io"
	"math"
	"slices"

	"image/png"

	"sigmaz/internal/picture"
	"sigmaz/kernels"
	"sigmaz/model"
	"sigmaz/train/dataset"
)

// noisy is the data with noise, as pictures show it.
type noisy struct {
	*dataset.Set
	spread *dataset.Spread
	seed   uint64
	rows   []int // that are shown, of images
}

const (
	shownRows   = 3    // images in a column of noise
	shownPoints = 1500 // vectors in a tile
	judgedRows  = 3000 // whose one value is compared with a normal distribution
	levelEvery  = 10
)

// newNoisy chooses the images to show: one of medium brightness from each third of the data, so that something is seen
// in it.
func newNoisy(set *dataset.Set, spread *dataset.Spread, seed uint64) *noisy {
	n := &noisy{Set: set, spread: spread, seed: seed}
	for i := range min(shownRows, set.N) {
		n.rows = append(n.rows, i*set.N/shownRows)
	}
	return n
}

// draw returns the noise of a row, unit size.
func (n *noisy) draw(row int) []float32 {
	z := make([]float32, n.D())
	kernels.ImageStream(n.seed, kernels.PurposeNoise, uint32(row), 0).Normals(z)
	return z
}

// at returns row i with noise sigma, about the mean and divided by sqrt(sd^2 + sigma^2): signal and noise stay as bright
// together, so that their proportion is seen.
func (n *noisy) at(i int, sigma, middle float64) []float32 {
	x, z := n.Values(i), n.draw(i)
	scale := 1 / math.Sqrt(n.spread.SD*n.spread.SD+sigma*sigma)
	for k := range x {
		x[k] = float32((float64(x[k]) + sigma*float64(z[k]) - middle) * scale)
	}
	return x
}

// tile draws the data at a noise level: one image, or the first two columns of vectors.
func (n *noisy) tile(row int, sigma float64) image.Image {
	if n.U8 != nil {
		// With no noise this is the image as it is.
		x := n.at(row, sigma, 0.5)
		for k := range x {
			x[k] = float32(0.5 + float64(x[k])*n.spread.SD)
		}
		return picture.Tile(picture.Images{Pix: x, N: 1, H: n.H, W: n.W, C: n.C}, 0)
	}
	var points []float32
	for i := range min(n.N, shownPoints) {
		i = i * n.N / min(n.N, shownPoints)
		x := n.at(i, sigma, 0)
		points = append(points, n.plane(x)...)
	}
	return picture.CloudTile(points, 3.5)
}

// plane returns a vector's place in the plane: its first two values, or its one value at height 0.
func (n *noisy) plane(x []float32) []float32 {
	if len(x) == 1 {
		return []float32{x[0], 0}
	}
	return x[:2]
}

// levels are the tiles of every tenth level, and the last one.
func (n *noisy) levels(sigmas []float64) (shown []picture.Shown, title string) {
	for i := 0; i < len(sigmas); i++ {
		if i%levelEvery == 0 && len(sigmas) > 2*levelEvery || i == len(sigmas)-1 || len(sigmas) <= 2*levelEvery {
			shown = append(shown, picture.Shown{Picture: n.tile(n.rows[0], sigmas[i]),
				Lines: []string{fmt.Sprintf("level %d", i+1), fmt.Sprintf("sigma %.3g", sigmas[i])}})
		}
	}
	title = "An image"
	if n.U8 == nil {
		title = "The data (two columns)"
	}
	every := "every tenth level"
	if len(sigmas) <= 2*levelEvery {
		every = "every level"
	}
	return shown, title + " with the noise of " + every + ", scaled to be seen: (x + sigma z)/sqrt(sd^2 + sigma^2)"
}

// extremes are the two pairs.
func (n *noisy) extremes(d *Distances, what string) (e picture.Extremes) {
	pairs := [2][2]int{d.Farthest, d.Nearest}
	for i, text := range []string{"furthest apart, %s: %s %d and %d", "nearest, %s: %s %d and %d"} {
		e.Texts[i] = fmt.Sprintf(text, decimals([]float64{d.Largest, d.Smallest}[i], 4), what, pairs[i][0], pairs[i][1])
	}
	if n.U8 == nil {
		for i := range min(n.N, shownPoints) {
			e.Points = append(e.Points, n.plane(n.Values(i*n.N/min(n.N, shownPoints)))...)
		}
		for i, pair := range pairs {
			for k, row := range pair {
				copy(e.Ends[i][k][:], n.plane(n.Values(row)))
			}
		}
		return e
	}
	for i, of := range []*[2]picture.Shown{&e.Farthest, &e.Nearest} {
		for k, row := range pairs[i] {
			of[k].Picture = picture.Tile(picture.Images{Pix: n.Values(row), N: 1, H: n.H, W: n.W, C: n.C}, 0)
		}
	}
	return e
}

// drawLadder draws the first picture.
func (r *Report) drawLadder(n *noisy) (image.Image, error) {
	l := picture.Ladder{Distances: n.spread.Distances, Min: r.Distances.Smallest, Median: r.Distances.Median, Max: r.Distances.Largest,
		Sigmas: r.Ladder.sigmas.Float64s(), D: r.Data.D, Ratio: r.Ladder.Ratio, Usual: model.Technique2C,
		Overlap: func(g float64) float64 { return model.Overlap(g, r.Data.D) }, Extremes: n.extremes(&r.Distances, r.rows()),
		Counted: fmt.Sprintf("of %s %s", grouped(int64(r.Distances.Sampled)), r.rows())}
	l.Levels, l.LevelsTitle = n.levels(l.Sigmas)
	return picture.NoiseLadder(l)
}

// stackedSigmas are the noise levels of the second picture for data of deviation sd: those that suit images, which have
// about 0.25, and sigma_1.
func stackedSigmas(images bool, sd, begin float64) (sigmas []float64) {
	unit := 1.0
	if !images {
		unit = sd / 0.25
	}
	for _, s := range []float64{0, 0.05, 0.1, 0.2, 0.5, 1, 2, 5} {
		if unit*s < 0.8*begin {
			sigmas = append(sigmas, unit*s)
		}
	}
	return append(sigmas, begin)
}

// standardised returns the value that varies most, of some rows with noise, about its mean and in units of its deviation.
func (n *noisy) standardised(sigma float64) []float64 {
	rows := min(n.N, judgedRows)
	values := make([]float64, rows)
	mean, variance := 0.0, 0.0
	for r := range values {
		i := r * n.N / rows
		values[r] = float64(n.Values(i)[n.spread.Most])
		mean += values[r] / float64(rows)
	}
	for _, v := range values {
		variance += (v - mean) * (v - mean) / float64(rows)
	}
	scale := 1 / math.Sqrt(variance+sigma*sigma)
	for r := range values {
		values[r] = (values[r] + sigma*float64(n.draw(r * n.N / rows)[n.spread.Most]) - mean) * scale
	}
	return values
}

// kolmogorov returns the largest distance between the distribution of values and the normal one.
func kolmogorov(values []float64) (most float64) {
	v := slices.Sorted(slices.Values(values))
	for i, x := range v {
		f := 0.5 * math.Erfc(-x/math.Sqrt2)
		if i+1 == len(v) || v[i+1] != x {
			most = max(most, float64(i+1)/float64(len(v))-f)
		}
		if i == 0 || v[i-1] != x {
			most = max(most, f-float64(i)/float64(len(v)))
		}
	}
	return most
}

// drawStacked draws the second picture.
func (r *Report) drawStacked(n *noisy) (image.Image, error) {
	var columns []picture.StackedColumn
	for _, sigma := range stackedSigmas(r.Data.Images, r.Data.SD, r.Ladder.Begin) {
		rows := n.rows
		if !r.Data.Images {
			rows = rows[:1]
		}
		c := picture.StackedColumn{Values: n.standardised(sigma)}
		for _, row := range rows {
			c.Pictures = append(c.Pictures, n.tile(row, sigma))
		}
		snr := "no noise"
		if sigma > 0 {
			snr = fmt.Sprintf("ln SNR %.1f", 2*math.Log(r.Data.SD/sigma))
		}
		name := fmt.Sprintf("sigma %.3g", sigma)
		if sigma == r.Ladder.Begin {
			name = fmt.Sprintf("sigma_1 = %.3g", sigma)
		}
		c.Lines = []string{name, snr, fmt.Sprintf("distance %.3f", kolmogorov(c.Values))}
		columns = append(columns, c)
	}
	what := map[bool]string{true: "pixel", false: "column"}[r.Data.Images]
	return picture.Stacked(columns, "Noise that is stacked becomes a Gaussian: (x + sigma z)/sqrt(sd^2 + sigma^2)",
		fmt.Sprintf("The %s that varies most, over %s %s, beside N(0, 1); SNR = sd^2/sigma^2; distance: Kolmogorov's", what,
			grouped(int64(min(n.N, judgedRows))), r.rows()))
}

// drawings are the pictures and their encoders.
func (o *options) drawings(r *Report, n *noisy) (all []file) {
	if o.picture == "" {
		return nil
	}
	encode := func(draw func(*noisy) (image.Image, error)) func(w io.Writer) error {
		return func(w io.Writer) error {
			m, err := draw(n)
			if err != nil {
				return err
			}
			return (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(w, m)
		}
	}
	all = append(all, file{"-picture", o.picture, encode(r.drawLadder)})
	if second := o.beside(); second != "" {
		all = append(all, file{stackedFlag, second, encode(r.drawStacked)})
	}
	return all
}
