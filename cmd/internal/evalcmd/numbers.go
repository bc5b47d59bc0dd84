// Which measures are taken, of what.

package evalcmd

import (
	"cmp"
	"fmt"
	"image"
	"io"
	"math"
	"runtime"
	"slices"
	"time"

	"sigmaz/cmd/internal/progress"
	"sigmaz/internal/picture"
	"sigmaz/internal/terminal"
	"sigmaz/kernels"
	"sigmaz/sample/eval"
	"sigmaz/sample/eval/inception"
	"sigmaz/train/dataset"
)

// frechetValues is up to how many values FD is taken: beyond that it takes minutes, and more samples than there are.
const frechetValues = 2048

// fewestFID is the samples, and the points of the reference, from which on the Frechet distance is called FID. Papers take
// 50,000.
const fewestFID = 10_000

// takesFrechet tells whether there are enough points for FD: with fewer it is nearly all bias.
func takesFrechet(n, m, d int) bool { return d <= frechetValues && min(n, m) > 2*d }

// announce says what the evaluation costs, before it begins.
func (j *job) announce(e network) error {
	r := &j.report
	r.Samples, r.Reference = setOf(j.samples), setOf(j.reference)
	j.printf("samples: %d, %s, %s", j.samples.n, j.samples.what, j.samples.shape())
	j.printf("reference: %d, %s, %s", j.reference.n, j.reference.what, j.reference.split)
	learned := 0
	if j.learned != nil {
		s := setOf(j.learned)
		r.Learned = &s
		learned = j.learned.n
		j.printf("learned: %d, %s", learned, j.learned.what)
	}
	drawing, embedding := int64(0), int64(0)
	parts := ""
	if d := j.samples.drawn; d != nil {
		drawing = int64(j.samples.n) * int64(d.NFE) * d.macs
		parts = fmt.Sprintf("%d evaluations of the network, ", int64(j.samples.n)*int64(d.NFE))
	}
	d := int64(j.reference.d())
	if e != nil {
		r.Features = e.Name()
		images := int64(j.samples.n + j.reference.n + learned)
		if embedding = images * e.MACs(); embedding > 0 {
			parts += fmt.Sprintf("features of %d images by %s, ", images, e.Name())
		}
	}
	frechet := int64(0)
	values := int(d) // of features
	if e != nil {
		values = e.D()
	}
	if (e != nil || j.features) && takesFrechet(j.samples.n, j.reference.n, values) {
		frechet = doubleCost * eval.FrechetMACs(j.samples.n, j.reference.n, values)
	}
	d = max(d, int64(values))
	if e != nil && e.Name() == inceptionName {
		j.report.note(j.messages, "features: FID's Inception network, images of 8 bits scaled to %dx%d by bilinear interpolation "+
			"without a filter, as pytorch-fid does; another scaling gives another FID", inception.Side, inception.Side)
		if min(j.samples.n, j.reference.n) < fewestFID {
			j.report.note(j.messages, "no number here is called FID: it is of at least %d samples and as many of the reference, "+
				"and these are %d and %d", fewestFID, j.samples.n, j.reference.n)
		}
	}
	n, m := int64(j.samples.n), int64(j.reference.n)
	pairs := 3*(n+m)*(n+m) + 2*(n+m)*int64(learned)
	j.printf("cost: %s%.2g pairs of %d values; about %s", parts, float64(pairs), d, j.seconds(drawing, embedding+pairs*d+frechet))
	return nil
}

// doubleCost is about how many multiply-adds of float32 take the time of one of those in float64 that FD is made of.
const doubleCost = 20

// seconds estimates how long multiply-adds take, at a third of the machine's peak; on a GPU that draws the samples nobody
// has measured what drawing takes.
func (j *job) seconds(drawing, rest int64) string {
	const probe = 20 * time.Millisecond
	workers := j.workers
	if workers == 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	flops := kernels.PeakFLOPS(workers, probe)
	if j.device.GPU {
		return fmt.Sprintf("%s here, beside drawing on the GPU", roughly(2*float64(rest)/(flops/3)))
	}
	return fmt.Sprintf("%s here", roughly(2*float64(drawing+rest)/(flops/3)))
}

// roughly writes seconds.
func roughly(s float64) string {
	if s < 1 {
		return "a second"
	}
	return time.Duration(math.Ceil(s) * float64(time.Second)).String()
}

// measure takes all measures and prints each as it is known.
func (j *job) measure(e network) error {
	switch {
	case j.features:
		return j.measureFeatures("features", j.samples.rows(), j.reference.rows(), j.learned.rowsOrNone())
	case e == nil:
		return j.measureVectors()
	}
	features := func(s *set) (eval.Rows, error) {
		if s == nil {
			return eval.Rows{}, nil
		}
		return j.featuresOf(e, s)
	}
	x, err := features(j.samples)
	if err != nil {
		return err
	}
	y, err := features(j.reference)
	if err != nil {
		return err
	}
	learned, err := features(j.learned)
	if err != nil {
		return err
	}
	if err := j.measureFeatures(e.Name(), x, y, learned); err != nil {
		return err
	}
	if c, ok := e.(classifier); ok {
		if err := j.inceptionScore(c, x); err != nil {
			return err
		}
	}
	pixels := learned
	if e.MACs() > 0 {
		if pixels = j.learned.rowsOrNone(); pixels.N > 0 {
			if err := j.nearness("pixels", j.samples.rows(), j.reference.rows(), pixels); err != nil {
				return err
			}
		}
	}
	return j.findNearest(e, x, y, learned)
}

// featuresOf makes the features of images, some at a time so that progress is seen.
func (j *job) featuresOf(e network, s *set) (eval.Rows, error) {
	to := j.streams.Err
	if !terminal.Redraws(to) {
		to = io.Discard
	}
	display := progress.New(to)
	defer display.Close()
	display.StartWork("features", s.n)
	together := max(128, int(lookMACs/(e.MACs()+1)))
	out := eval.Rows{D: e.D(), X: make([]float32, 0, s.n*e.D())}
	for out.N < s.n {
		n := min(together, s.n-out.N)
		part, err := e.Features(j.work, s.bytes[out.N*s.d():(out.N+n)*s.d()])
		if err != nil {
			return eval.Rows{}, err
		}
		out.N, out.X = out.N+n, append(out.X, part.X...)
		display.Sampled(out.N)
	}
	return out, nil
}

// lookMACs is how many multiply-adds are done between two looks at the display.
const lookMACs = 200e9

// rowsOrNone is rows of a set that may not be there.
func (s *set) rowsOrNone() eval.Rows {
	if s == nil {
		return eval.Rows{}
	}
	return s.rows()
}

// measureFeatures takes the measures of features.
func (j *job) measureFeatures(name string, x, y, learned eval.Rows) error {
	kid, err := eval.KID(j.work, x, y)
	if err != nil {
		return err
	}
	j.add("KID-"+name, kid, "")
	some, data := eval.Balanced(x, y)
	p, err := eval.PRDCOf(j.work, data, some, j.k)
	if err != nil {
		return err
	}
	for _, part := range []struct {
		name string
		eval.Estimate
	}{{"precision", p.Precision}, {"recall", p.Recall}, {"density", p.Density}, {"coverage", p.Coverage}} {
		j.addOf(fmt.Sprintf("%s-%s k=%d", part.name, name, j.k), part.Estimate, some.N, data.N, "")
	}
	if err := j.frechet(name, x, y, learned); err != nil {
		return err
	}
	if learned.N > 0 {
		return j.nearness(name, x, y, learned)
	}
	return nil
}

// frechetNames are what the Frechet distance of some features and its limit are called: FID for FID's network and enough
// images.
func (j *job) frechetNames(features string) (name, infinity string) {
	if features == inceptionName && min(j.samples.n, j.reference.n) >= fewestFID {
		return "FID", "FID-infinity"
	}
	return "FD-" + features, "FD-infinity-" + features
}

// frechet takes FD where there are more points than values.
func (j *job) frechet(name string, x, y, learned eval.Rows) error {
	name, infinity := j.frechetNames(name)
	if !takesFrechet(x.N, y.N, x.D) {
		j.printf("%-28s not taken: with %d values it needs more than %d samples and as many of the reference", name, x.D, 2*x.D)
		return nil
	}
	my, err := eval.MomentsOf(y)
	if err != nil {
		return err
	}
	of := func(x eval.Rows, what string) error {
		m, err := eval.MomentsOf(x)
		if err != nil {
			return err
		}
		fd, err := eval.Frechet(m, my)
		if err != nil {
			return err
		}
		j.add(name, eval.Estimate{Value: fd, SE: math.NaN()}, what)
		return j.work.Ctx.Err()
	}
	if err := of(x, ""); err != nil {
		return err
	}
	limit, err := eval.FrechetInfinity(j.work, x, my, 0)
	if err != nil {
		return err
	}
	j.add(infinity, limit, "")
	if learned.N >= x.N {
		return of(learned.Some(x.N), "data")
	}
	return nil
}

// inceptionScore takes the inception score of samples; it knows no reference.
func (j *job) inceptionScore(c classifier, x eval.Rows) error {
	mean, deviation, err := eval.InceptionScore(c.Scores(x), eval.InceptionParts, 0)
	if err != nil {
		return err
	}
	j.add("IS", eval.Estimate{Value: mean, SE: math.NaN()}, "")
	j.add(fmt.Sprintf("IS, deviation of %d parts", eval.InceptionParts), eval.Estimate{Value: deviation, SE: math.NaN()}, "")
	return nil
}

// nearness says whether samples are copies.
func (j *job) nearness(name string, x, y, learned eval.Rows) error {
	if j.seen { // nothing to compare with
		return nil
	}
	a, err := eval.Nearest(j.work, x, learned, 1)
	if err != nil {
		return err
	}
	b, err := eval.Nearest(j.work, y, learned, 1)
	if err != nil {
		return err
	}
	n := eval.NearnessOf(a, b)
	j.add("distance to learned-"+name, n.Sample, "")
	j.add("nearness-"+name, n.Ratio, "")
	return nil
}

// widthFactors are what the median distance is multiplied by for the widths of MMD.
var widthFactors = []float64{0.25, 0.5, 1, 2, 4}

// measureVectors takes the measures of vectors.
func (j *job) measureVectors() error {
	x, y := j.samples.rows(), j.reference.rows()
	if x.N < j.samples.n || y.N < j.reference.n {
		j.report.note(j.messages, "cells are missing: distances are of the rows without, %d of %d samples and %d of %d of REFERENCE; "+
			"columns are of the cells that are there, and correlations of the rows that have both", x.N, j.samples.n, y.N, j.reference.n)
	}
	if x.N < fewest || y.N < fewest {
		j.report.note(j.messages, "distances are left out: expected at least %d rows without missing cells", fewest)
		return j.measureColumns()
	}
	median := eval.MedianDistance(y)
	var widths []float64
	for _, f := range widthFactors {
		if f*median > 0 {
			widths = append(widths, f*median)
		}
	}
	mmd, err := eval.MMD(j.work, x, y, widths)
	if err != nil {
		return err
	}
	for i, e := range mmd {
		j.add(fmt.Sprintf("MMD^2 width %.3g", widths[i]), e, "")
	}
	energy, err := eval.EnergyDistance(j.work, x, y)
	if err != nil {
		return err
	}
	j.add("energy distance", energy, "")
	sliced := func(x eval.Rows, of string) error {
		e, err := eval.SlicedWasserstein(j.work, x, y, 0)
		if err == nil {
			j.add("sliced Wasserstein", e, of)
		}
		return err
	}
	if err := sliced(x, ""); err != nil {
		return err
	}
	learned := j.learned.rowsOrNone()
	if learned.N >= x.N {
		if err := sliced(learned.Some(x.N), "data"); err != nil {
			return err
		}
	}
	if learned.N > 0 {
		if err := j.nearness("vectors", x, y, learned); err != nil {
			return err
		}
	}
	return j.measureColumns()
}

// printedColumns is how many columns are printed; JSON has all.
const printedColumns = 20

// measureColumns compares columns and correlations in the data's own units.
func (j *job) measureColumns() error {
	d := j.reference.d()
	s := j.scaler
	if s == nil {
		s = dataset.NoScaler(d)
	}
	var of []int // which column of the table each value is of
	for c, f := range s.Table() {
		for range f.N {
			of = append(of, c)
		}
	}
	columns, rms, largest, err := eval.Columns(s.Undo(j.samples.floats), s.Undo(j.reference.floats), d, of)
	if err != nil {
		return err
	}
	add := func(name string, v float64) {
		j.addOf(name, eval.Estimate{Value: v, SE: math.NaN()}, j.samples.n, j.reference.n, "")
	}
	if d > 1 {
		add("correlations, rms difference", rms)
		add("correlations, largest", largest)
	}
	for _, f := range s.Table() {
		if !f.Category() {
			continue
		}
		apart := 0.0
		for _, c := range columns[f.At : f.At+f.N] {
			apart += math.Abs(c.Mean-c.OfMean) / 2
		}
		add(f.Name+", total variation", apart)
	}
	names := s.CoordinateNames()
	j.printf("%-20s %12s %12s %12s %12s  %s", "column", "mean", "reference", "deviation", "reference", "difference of means in deviations")
	for k, c := range columns {
		name := fmt.Sprint(k + 1)
		if len(names) > 0 {
			name = names[k]
		}
		j.report.Columns = append(j.report.Columns,
			Column{name, c.Mean, c.OfMean, c.SD, c.OfSD, orZero(c.Difference.Value), orZero(c.Difference.SE)})
		if k < printedColumns {
			j.printf("%-20s %12.5g %12.5g %12.5g %12.5g  %s", name, c.Mean, c.OfMean, c.SD, c.OfSD, text(c.Difference))
		}
	}
	if d > printedColumns {
		j.printf("and %d columns more, which -json has", d-printedColumns)
	}
	return nil
}

// orZero replaces what JSON does not have: the difference of a constant column, in deviations.
func orZero(v float64) float64 {
	if v-v != 0 {
		return 0
	}
	return v
}

// shown is a sample with its neighbours, in the picture.
type shown struct {
	sample             int
	byPixels, features []int
}

const (
	shownSamples    = 12
	shownNeighbours = 4
)

// findNearest finds what the picture shows: the samples that are nearest to what was learned, or to the reference.
func (j *job) findNearest(e network, x, y, learned eval.Rows) error {
	of := j.learned
	if of == nil {
		of, learned = j.reference, y
	}
	k := min(shownNeighbours, of.n)
	pixels, err := eval.Nearest(j.work, j.samples.rows(), of.rows(), k)
	if err != nil {
		return err
	}
	order := make([]int, len(pixels))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(pixels[a][0].Distance, pixels[b][0].Distance) })
	order = order[:min(shownSamples, len(order))]
	chosen := eval.Rows{N: len(order), D: x.D}
	for _, i := range order {
		chosen.X = append(chosen.X, x.Row(i)...)
	}
	var features [][]eval.Neighbour
	if e.MACs() > 0 {
		if features, err = eval.Nearest(j.work, chosen, learned, k); err != nil {
			return err
		}
	}
	index := func(list []eval.Neighbour) (out []int) {
		for _, n := range list {
			out = append(out, n.Index)
		}
		return out
	}
	j.report.NearestOf = of.what
	for t, i := range order {
		s := shown{sample: i, byPixels: index(pixels[i])}
		if features != nil {
			s.features = index(features[t])
		}
		j.report.neighbouring = append(j.report.neighbouring, s)
		j.report.Nearest = append(j.report.Nearest, Nearest{i, pixels[i][0].Index, pixels[i][0].Distance})
	}
	return nil
}

// picture draws what findNearest found.
func (j *job) picture() image.Image {
	of := j.learned
	if of == nil {
		of = j.reference
	}
	images := func(s *set) picture.Images { return picture.Images{Pix: s.rows().X, N: s.n, H: s.h, W: s.w, C: s.c} }
	a, b := images(j.samples), images(of)
	var rows []picture.Beside
	for _, s := range j.report.neighbouring {
		rows = append(rows, picture.Beside{Image: s.sample, Groups: [][]int{s.byPixels, s.features}})
	}
	heads := []string{"sample", "nearest in pixels", "nearest in " + j.report.Features}
	return picture.Neighbours(a, b, rows, heads)
}
