// What is known of the samples: from flags and files to a measurement y = A x + n of the network's values, and what the
// samples say of a truth that is given.

package samplecmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"gonum.org/v1/gonum/stat"

	"sigmaz/cmd/internal/cli"
	"sigmaz/internal/nearest"
	"sigmaz/internal/npy"
	"sigmaz/internal/picture"
	"sigmaz/internal/setting"
	"sigmaz/sample"
	"sigmaz/train/dataset"
)

// knownOptions is what the command line says about what is known.
type knownOptions struct {
	known, mask, colourise, operator, fourier, measurement, truth string
	upscale                                                       int
	sigma                                                         float64
	method                                                        string
	mean, deviation                                               string
}

// inputs are the files that are read.
func (k *knownOptions) inputs() []string {
	all := []string{k.known, k.mask, k.colourise, k.operator, k.fourier, k.measurement, k.truth}
	return slices.DeleteFunc(all, func(path string) bool { return path == "" })
}

// knownT is the number of Langevin steps a level for samples of which something is known: fewer leave them too far from
// what it implies.
const knownT = 20

func (o *options) knownFlags() []cli.Flag {
	k := &o.given
	k.method = sample.Langevin
	return []cli.Flag{
		{Name: "known", Arg: "FILE", Help: "the image that is known in part: with -mask where it is known, with -upscale as a small " +
			"image, with -operator or -fourier as what is measured; a picture or NPY (H, W, C), or N of them, a folder or (N, H, W, C), of " +
			"which sample k has number k mod N. For vectors a table with blanks (or NA) for what is not known, a row for each sample",
			Value: &k.known},
		{Name: "mask", Arg: "FILE", Help: "picture of the images' size: white is known, black is to be drawn; or one for each image of -known", Value: &k.mask},
		{Name: "colourise", Arg: "FILE", Help: "grey image whose colours are to be drawn: it is taken for the mean of the channels",
			Value: &k.colourise},
		{Name: "upscale", Arg: "K", Unit: "pixels", Help: "-known is an image K times smaller, whose pixels are the means of K x K; of " +
			"an image of full size the means are taken", Value: &k.upscale},
		{Name: "operator", Arg: "A.npy", Help: "matrix (M, D) or (M, H, W, C) of what is measured, y = A x", Value: &k.operator},
		{Name: "fourier", Arg: "FILE", Help: "picture of the images' size: white frequencies of the unitary Fourier transform are " +
			"measured, (0, 0) in the upper left corner; for images of 1 channel, or of 2, which are complex", Value: &k.fourier},
		{Name: "measurement", Arg: "y.npy", Help: "what was measured: with -operator (M), with -fourier (H, W, 2), real and imaginary; or N of them",
			Value: &k.measurement},
		{Name: "measurement-sigma", Arg: "S", Help: "noise in what is known, a deviation in the data's units", Value: &k.sigma},
		{Name: "method", Arg: "NAME", Help: "langevin, with -T 20 at the epsilon of the run's own T; repaint, which is faster; or pigdm, " +
			"for networks that are told sigma. All are approximate", Value: &k.method, Known: sample.Methods()},
		{Name: "resample", Arg: "R", Unit: "times", Help: "of -method repaint: how often each level is left", Value: &o.set.Resample},
		{Name: "sigma-data", Arg: "S", Help: "of -method pigdm: deviation that the data is taken to have, in the network's " +
			"units; less follows what is known more closely, until it runs away", Value: &o.set.SigmaData},
		{Name: "truth", Arg: "FILE", Help: "the whole image, for PSNR and SSIM of the samples; or one for each that is known in part", Value: &k.truth},
		{Name: "mean", Arg: "FILE.png", Help: "picture of the mean of all samples, of each image that is known in part", Value: &k.mean},
		{Name: "deviation", Arg: "FILE.png", Help: "picture of their deviation, white at the largest", Value: &k.deviation},
	}
}

// kinds are the flags that say what is measured, with whether each is given.
func (o *options) kinds() (given []string) {
	for _, name := range []string{"mask", "colourise", "upscale", "operator", "fourier"} {
		if o.Given(name) {
			given = append(given, "-"+name)
		}
	}
	return given
}

// measures tells whether something is known of the samples.
func (o *options) measures() bool { return o.Given("known") || len(o.kinds()) > 0 }

// checkKnown finds what is wrong with the flags as far as that is known without the checkpoint.
func (o *options) checkKnown() error {
	k, kinds := &o.given, o.kinds()
	if !o.measures() {
		for _, name := range []string{"measurement", "measurement-sigma", "method", "resample", "sigma-data", "truth"} {
			if o.Given(name) {
				return cli.Usagef("-%s is for samples of which something is known: give -known with -mask or -upscale, -colourise, "+
					"-operator or -fourier, or leave -%s out", name, name)
			}
		}
		if sample.SamplerOf(o.set.Sampler).Conditional {
			return cli.Usagef("-sampler is %s, which is for samples of which something is known: expected one of %s", o.set.Sampler,
				strings.Join(sample.SamplerNames(), ", "))
		}
		return nil
	}
	needs := map[string]string{"-mask": "the image that is known in part", "-upscale": "the small image",
		"-operator": "what is measured, or -measurement y.npy", "-fourier": "what is measured, or -measurement y.npy"}
	matrix := o.Given("operator") || o.Given("fourier")
	switch {
	case len(kinds) > 1:
		return cli.Usagef("%s and %s both say what is known: leave one of the two out", kinds[0], kinds[1])
	case o.Given("sampler"):
		return cli.Usagef("-sampler is for samples of which nothing is known: name one of %s with -method instead",
			strings.Join(sample.Methods(), ", "))
	case !slices.Contains(sample.Methods(), k.method):
		return cli.Usagef("-method is %q: expected one of %s%s", k.method, strings.Join(sample.Methods(), ", "),
			nearest.DidYouMean(k.method, sample.Methods()))
	case o.Given("measurement") && !matrix:
		return cli.Usagef("-measurement is of -operator and -fourier: give one of them, or leave -measurement out")
	case o.Given("measurement") && o.Given("known"):
		return cli.Usagef("-measurement and -known both are what is measured: leave one of the two out")
	case o.Given("colourise") && o.Given("known"):
		return cli.Usagef("-colourise names the grey image itself: leave -known out")
	case len(kinds) == 1 && needs[kinds[0]] != "" && !o.Given("known") && !o.Given("measurement"):
		return cli.Usagef("%s says what is known of an image, and none is given: give -known FILE, %s", kinds[0], needs[kinds[0]])
	case o.Given("upscale") && k.upscale < 2:
		return cli.Usagef("-upscale is %d: expected 2 or more, the pixels of the sample along the side of one that is known", k.upscale)
	case !(k.sigma >= 0) || math.IsInf(k.sigma, 0):
		return cli.Usagef("-measurement-sigma is %g: expected 0, no noise, or a positive deviation", k.sigma)
	}
	o.set.Sampler = k.method
	return o.checkSampler()
}

// checkPictures finds pictures of the mean and the deviation that cannot be.
func (j *job) checkPictures() error {
	k := &j.given
	for _, f := range []struct{ name, path string }{{"mean", k.mean}, {"deviation", k.deviation}, {"truth", k.truth}} {
		if f.path != "" && j.vectors() {
			return fmt.Errorf("-%s: vectors have no picture; leave it out, and write the samples with -npy FILE or -csv FILE", f.name)
		}
	}
	return nil
}

// checkMoments finds too few samples for a mean and a deviation of each image that is known in part.
func (j *job) checkMoments() error {
	if j.given.deviation == "" && j.given.mean == "" || j.n >= 2*j.parts() {
		return nil
	}
	if n := j.parts(); n > 1 {
		return fmt.Errorf("-n is %d: expected 2 samples of each of the %d images or more, %d, which have a mean and a deviation; 64 of each are "+
			"better", j.n, n, 2*n)
	}
	return errors.New("-n is 1: expected 2 samples or more, which have a mean and a deviation; 64 or more are better")
}

// parts is how many images are known in part, 1 where nothing is known.
func (j *job) parts() int { return max(1, len(j.known)) }

// measuredBy is what was measured by one matrix, of one image or several.
type measuredBy struct {
	rows []sample.Terms
	ys   [][]float64
}

// settleKnown reads what is known and makes it a part of the plan.
func (j *job) settleKnown() error {
	k, net := &j.given, j.cfg.Network
	if err := j.checkPictures(); err != nil {
		return err
	}
	if k.truth != "" {
		var err error
		if j.truth, err = j.readImages("truth", k.truth); err != nil {
			return err
		}
	}
	if !j.measures() {
		return nil
	}
	kinds := j.kinds()
	switch {
	case j.vectors() && len(kinds) > 0 && kinds[0] != "-operator":
		return fmt.Errorf("%s is for images, and the samples are vectors of %d values: use -known ROW.csv or -operator A.npy", kinds[0],
			net.D())
	case j.vectors() && len(kinds) > 0 && j.cfg.Scaler != nil && !j.cfg.Scaler.Plain():
		return errors.New("-operator is for vectors of plain numbers, and columns of the run's table are categories or bounded: use " +
			"-known ROWS.csv, with blanks for what is not known")
	case j.vectors() && k.sigma > 0 && j.cfg.Scaler != nil && !j.cfg.Scaler.Plain():
		return errors.New("-measurement-sigma is of numbers in the data's units, and columns of the run's table are categories or bounded: " +
			"leave it out")
	case !j.vectors() && len(kinds) == 0:
		return errors.New("-known is an image, and nothing says what of it is known: give -mask FILE with white where it is, or one of " +
			"-upscale, -operator and -fourier")
	}
	var all []measuredBy
	var one measuredBy
	var err error
	file := k.known
	switch {
	case len(kinds) == 0:
		all, err = j.knownColumns()
	case kinds[0] == "-mask":
		all, err = j.knownPixels()
	case kinds[0] == "-colourise":
		file = k.colourise
		one, err = j.knownGrey()
	case kinds[0] == "-upscale":
		one, err = j.knownBlocks()
	default:
		if file = k.operator; file == "" {
			file = k.fourier
		}
		one, err = j.knownProducts()
	}
	if err != nil {
		return err
	}
	if one.ys != nil {
		all = []measuredBy{one}
	}
	measure := sample.Linear
	if k.fourier != "" && net.Channels == 2 { // the rows of a unitary matrix
		measure = sample.Orthogonal
	}
	for _, by := range all {
		by = j.inNetworkUnits(by)
		m, err := measure(net.D(), by.rows, by.ys, k.sigma)
		if err != nil {
			return fmt.Errorf("%s %w", file, err)
		}
		if m[0].Len() == 0 {
			return fmt.Errorf("%s says nothing about the samples: expected a matrix with values other than 0", file)
		}
		j.known = append(j.known, m...)
	}
	if err := sample.CheckTogether(j.known); err != nil {
		return fmt.Errorf("%s: its parts that are known %w", file, err)
	}
	if n := len(j.truth); n > 1 && n != len(j.known) {
		return fmt.Errorf("-truth %s holds %d images, and %s: expected one, or one for each", k.truth, n,
			cli.Count(len(j.known), "image")+" known in part")
	}
	j.plan.Given(j.known...)
	return nil
}

// inNetworkUnits makes a measurement of the data one of what the network has for it: x = shift + scale x'.
func (j *job) inNetworkUnits(by measuredBy) measuredBy {
	var shift func(i int) float64
	var scale func(i int) sample.Terms
	switch s := j.cfg.Scaler; {
	case s != nil:
		shift = func(i int) float64 { return s.Mean[i] }
		scale = func(i int) (of sample.Terms) {
			if s.Root == nil {
				return sample.Terms{{At: i, Weight: s.SD[i]}}
			}
			d := len(s.Mean)
			for k, l := range s.Root[i*d : (i+1)*d] {
				of = append(of, sample.Term{At: k, Weight: s.SD[i] * l})
			}
			return of
		}
	case j.cfg.Network.Rescaled: // from [-1, 1]
		shift = func(int) float64 { return 0.5 }
		scale = func(i int) sample.Terms { return sample.Terms{{At: i, Weight: 0.5}} }
	default:
		return by
	}
	out, shifts := make([]sample.Terms, len(by.rows)), make([]float64, len(by.rows))
	for k, row := range by.rows {
		for _, e := range row {
			shifts[k] += e.Weight * shift(e.At)
			for _, f := range scale(e.At) {
				out[k] = append(out[k], sample.Term{At: f.At, Weight: e.Weight * f.Weight})
			}
		}
	}
	moved := measuredBy{rows: out}
	for _, y := range by.ys {
		y = slices.Clone(y)
		for k, v := range shifts {
			y[k] -= v
		}
		moved.ys = append(moved.ys, y)
	}
	return moved
}

// readImage reads one image, as readImages does.
func (j *job) readImage(flag, path string) ([]float64, error) {
	all, err := j.readImages(flag, path)
	if err == nil && len(all) > 1 {
		err = fmt.Errorf("-%s %s holds %d images: expected a single image, such as a PNG", flag, path, len(all))
	}
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// readImages reads images of the samples' size and returns them as (H, W, C) in [0, 1].
func (j *job) readImages(flag, path string) ([][]float64, error) {
	net := j.cfg.Network
	all, h, w, err := readAnyImages(flag, path, net.Channels)
	if err == nil && (h != net.Height || w != net.Width) {
		err = fmt.Errorf("-%s %s is an image of %dx%d: expected %dx%d, the size of the samples; scale or crop it first", flag, path, h, w,
			net.Height, net.Width)
	}
	return all, err
}

// maxImages is how many images may be known in part.
const maxImages = 1 << 16

// readAnyImages reads one image or more, all of one size and of c channels. Pictures become grey or coloured as c asks;
// arrays must have c.
func readAnyImages(flag, path string, c int) (all [][]float64, h, w int, err error) {
	var x []float64
	if strings.EqualFold(filepath.Ext(path), ".npy") {
		var shape []int
		if x, shape, err = readArray(flag, path); err != nil {
			return nil, 0, 0, err
		}
		was := (&npy.Header{Shape: shape}).ShapeText()
		if c == 1 && (len(shape) == 2 || len(shape) == 3 && shape[2] != 1) {
			shape = append(shape, 1)
		}
		if len(shape) == 3 {
			shape = append([]int{1}, shape...)
		}
		if len(shape) != 4 || shape[3] != c || shape[0] == 0 || shape[0] > maxImages {
			return nil, 0, 0, fmt.Errorf("-%s %s is an array of shape %s: expected (H, W, %d), an image of as many channels as the samples, or "+
				"(N, H, W, %d), up to %d of them", flag, path, was, c, c, maxImages)
		}
		h, w = shape[1], shape[2]
	} else {
		set := dataset.Settings{Channels: map[int]string{1: "grey", 3: "colour"}[c]}
		if set.Channels == "" {
			return nil, 0, 0, fmt.Errorf("-%s %s: pictures have 1 or 3 channels, and the samples have %d; give an array (H, W, %d) of numpy.save",
				flag, path, c, c)
		}
		if _, err := os.Stat(path); err != nil {
			return nil, 0, 0, fmt.Errorf("-%s: cannot read the image: %w", flag, err)
		}
		data, err := dataset.Source{Spec: path, Settings: set}.Open(context.Background())
		var unused *setting.Error
		if errors.As(err, &unused) {
			return nil, 0, 0, fmt.Errorf("-%s %s is no image: expected a picture, such as a PNG, or an array (H, W, %d) of numpy.save", flag,
				path, c)
		}
		if err != nil {
			return nil, 0, 0, fmt.Errorf("-%s: %w", flag, err)
		}
		if data.U8 == nil || data.N > maxImages {
			return nil, 0, 0, fmt.Errorf("-%s %s is %s: expected an image, such as a PNG, or up to %d of them", flag, path, data.Name, maxImages)
		}
		x = make([]float64, len(data.U8))
		for i, v := range data.U8 {
			x[i] = float64(v) / 255
		}
		h, w = data.H, data.W
	}
	for size := h * w * c; len(x) > 0; x = x[size:] {
		all = append(all, x[:size:size])
	}
	return all, h, w, nil
}

// readArray reads an NPY file of finite numbers.
func readArray(flag, path string) ([]float64, []int, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("-%s: cannot read the array: %w", flag, err)
	}
	defer f.Close()
	size := int64(-1)
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
		size = info.Size()
	}
	a, err := npy.NewReader(path, f, size)
	if err != nil {
		return nil, nil, fmt.Errorf("-%s: %w", flag, err)
	}
	if a.Fortran && len(a.Shape) > 1 {
		return nil, nil, fmt.Errorf("-%s %s has its first index fastest: save it again as numpy.ascontiguousarray(a)", flag, path)
	}
	x, err := npy.ReadAll[float64](a)
	if err != nil {
		return nil, nil, fmt.Errorf("-%s: %w", flag, err)
	}
	for i, v := range x {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, nil, fmt.Errorf("-%s %s holds %g as value %d: expected finite numbers", flag, path, v, i)
		}
	}
	return x, a.Shape, nil
}

// readMasks reads pictures of the samples' size; white is true.
func (j *job) readMasks(flag, path string) (masks [][]bool, err error) {
	net := j.cfg.Network
	all, h, w, err := readAnyImages(flag, path, 1)
	if err != nil {
		return nil, err
	}
	if h != net.Height || w != net.Width {
		return nil, fmt.Errorf("-%s %s is %dx%d: expected %dx%d, the size of the samples", flag, path, h, w, net.Height, net.Width)
	}
	for k, x := range all {
		mask := make([]bool, len(x))
		white := 0
		for i, v := range x {
			if mask[i] = v >= 0.5; mask[i] {
				white++
			}
		}
		which := ""
		if len(all) > 1 {
			which = fmt.Sprintf(" (mask %d)", k)
		}
		switch {
		case white == 0:
			return nil, fmt.Errorf("-%s %s%s is all black: expected white where something is known", flag, path, which)
		case white == len(mask) && flag == "mask":
			return nil, fmt.Errorf("-%s %s%s is all white: nothing is left to draw; expected black where samples may differ", flag, path, which)
		}
		masks = append(masks, mask)
	}
	return masks, nil
}

func (j *job) knownPixels() (all []measuredBy, err error) {
	images, err := j.readImages("known", j.given.known)
	if err != nil {
		return nil, err
	}
	masks, err := j.readMasks("mask", j.given.mask)
	if err != nil {
		return nil, err
	}
	n := max(len(images), len(masks))
	if len(masks) != 1 && len(images) != 1 && len(masks) != len(images) {
		return nil, fmt.Errorf("-mask %s holds %d masks, and -known %s %d images: expected one mask, or one for each image", j.given.mask,
			len(masks), j.given.known, len(images))
	}
	c := j.cfg.Network.Channels
	for k := range n {
		x, mask := images[k%len(images)], masks[k%len(masks)]
		known := make([]bool, len(x))
		var y []float64
		for i, v := range x {
			if known[i] = mask[i/c]; known[i] {
				y = append(y, v)
			}
		}
		if k > 0 && len(masks) == 1 {
			all[0].ys = append(all[0].ys, y)
			continue
		}
		all = append(all, measuredBy{sample.KnownRows(known), [][]float64{y}})
	}
	return all, nil
}

func (j *job) knownGrey() (measuredBy, error) {
	net := j.cfg.Network
	if net.Channels < 2 {
		return measuredBy{}, errors.New("-colourise: the samples are grey and have no colours to draw; take a run of colour images")
	}
	images, err := j.readImages("colourise", j.given.colourise)
	return productsOf(sample.GreyRows(net.Height*net.Width, net.Channels), images), err
}

func (j *job) knownBlocks() (measuredBy, error) {
	net, k := j.cfg.Network, j.given.upscale
	if net.Height%k != 0 || net.Width%k != 0 {
		return measuredBy{}, fmt.Errorf("-upscale is %d: expected a number that divides both sides of the samples, %dx%d", k, net.Height,
			net.Width)
	}
	images, h, w, err := readAnyImages("known", j.given.known, net.Channels)
	if err != nil {
		return measuredBy{}, err
	}
	rows := sample.BlockRows(net.Height, net.Width, net.Channels, k)
	switch {
	case h == net.Height && w == net.Width:
		return productsOf(rows, images), nil
	case h*k == net.Height && w*k == net.Width:
		return measuredBy{rows, images}, nil
	}
	return measuredBy{}, fmt.Errorf("-known %s is %dx%d: with -upscale %d expected %dx%d, or %dx%d of which the means are taken",
		j.given.known, h, w, k, net.Height/k, net.Width/k, net.Height, net.Width)
}

// knownProducts is what -operator and -fourier measure.
func (j *job) knownProducts() (by measuredBy, err error) {
	k, net := &j.given, j.cfg.Network
	var mask []bool
	if k.operator != "" {
		by.rows, err = j.operatorRows()
	} else {
		if net.Channels > 2 {
			return by, fmt.Errorf("-fourier: the samples have %d channels: expected 1, or 2, the parts of complex values", net.Channels)
		}
		var masks [][]bool
		if masks, err = j.readMasks("fourier", k.fourier); len(masks) > 1 {
			err = fmt.Errorf("-fourier %s holds %d pictures: expected one, of the frequencies that are measured of all images", k.fourier,
				len(masks))
		} else if err == nil {
			mask = masks[0]
			by.rows = sample.FourierRows(net.Height, net.Width, net.Channels, mask)
		}
	}
	if err != nil {
		return by, err
	}
	if k.measurement == "" {
		images, err := j.readImages("known", k.known)
		return productsOf(by.rows, images), err
	}
	y, shape, err := readArray("measurement", k.measurement)
	if err != nil {
		return by, err
	}
	one := []int{len(by.rows)}
	if mask != nil {
		one = []int{net.Height, net.Width, 2}
	}
	if rest := len(shape) - len(one); rest < 0 || rest > 1 || !slices.Equal(shape[rest:], one) || shape[0] == 0 || rest == 1 &&
		shape[0] > maxImages {
		expected := fmt.Sprintf("(%d,), a value for each row of -operator, or (N, %d), up to %d of them", one[0], one[0], maxImages)
		if mask != nil {
			expected = fmt.Sprintf("(%d, %d, 2), real and imaginary parts of all frequencies, of which those of -fourier count, or (N, %d, %d, 2), "+
				"up to %d of them", net.Height, net.Width, net.Height, net.Width, maxImages)
		}
		return by, fmt.Errorf("-measurement %s has the shape %s: expected %s", k.measurement, (&npy.Header{Shape: shape}).ShapeText(),
			expected)
	}
	size := 1
	for _, n := range one {
		size *= n
	}
	for ; len(y) > 0; y = y[size:] {
		of := y[:size]
		if mask != nil {
			of = nil
			for f, m := range mask {
				if m {
					of = append(of, y[2*f], y[2*f+1])
				}
			}
		}
		by.ys = append(by.ys, of)
	}
	return by, nil
}

func (j *job) operatorRows() (rows []sample.Terms, err error) {
	net, path := j.cfg.Network, j.given.operator
	a, shape, err := readArray("operator", path)
	if err != nil {
		return nil, err
	}
	d := net.D()
	if !(len(shape) == 2 && shape[1] == d) && !(len(shape) == 4 && slices.Equal(shape[1:], []int{net.Height, net.Width, net.Channels})) ||
		shape[0] == 0 {
		return nil, fmt.Errorf("-operator %s has the shape %s: expected (M, %d), rows of a value for each of a sample's",
			path, (&npy.Header{Shape: shape}).ShapeText(), d)
	}
	for j := range shape[0] {
		var row sample.Terms
		for i, v := range a[j*d : (j+1)*d] {
			if v != 0 {
				row = append(row, sample.Term{At: i, Weight: v})
			}
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// productsOf is A x of images.
func productsOf(rows []sample.Terms, images [][]float64) (by measuredBy) {
	by.rows = rows
	for _, x := range images {
		y := make([]float64, len(rows))
		for j, row := range rows {
			for _, e := range row {
				y[j] += e.Weight * x[e.At]
			}
		}
		by.ys = append(by.ys, y)
	}
	return by
}

// knownColumns reads a table with a row for each sample: of all columns in their order, or with names above it of some.
// Blanks are not known. Where the run has learned some columns of its table alone, or one is the class, a table with names may
// have the others, too: they are passed over.
func (j *job) knownColumns() (all []measuredBy, err error) {
	path, names, s := j.given.known, j.names(), j.cfg.Scaler
	if s == nil {
		s = dataset.NoScaler(j.cfg.Network.D())
	}
	fields := s.Table()
	d := len(fields)
	bad := func(format string, a ...any) ([]measuredBy, error) {
		return nil, fmt.Errorf("-known %s "+format, append([]any{path}, a...)...)
	}
	records, err := dataset.Cells(path)
	if err != nil {
		return nil, fmt.Errorf("-known: %w", err)
	}
	if len(records) == 0 {
		return bad("is empty: expected a row of %d values, with or without names above it", d)
	}
	var columns []int // of the samples; -1: passed over
	some := j.cfg.Reading.Columns != "" || j.cfg.Reading.Label != ""
	if j.namesColumns(records) {
		for _, name := range records[0] {
			i := slices.Index(names, strings.TrimSpace(name))
			if i < 0 && some && nearest.DidYouMean(name, names) == "" && slices.ContainsFunc(records[0], j.isName) {
				j.passed, columns = append(j.passed, strings.TrimSpace(name)), append(columns, -1)
				continue
			}
			if i < 0 {
				return bad("names the column %q: expected some of those of the run, %s%s", name, strings.Join(names, ", "),
					nearest.DidYouMean(name, names))
			}
			if slices.Contains(columns, i) {
				return bad("names the column %q twice: expected each once", name)
			}
			columns = append(columns, i)
		}
		records = records[1:]
	} else {
		for i := range d {
			columns = append(columns, i)
		}
	}
	if len(records) == 0 || len(records) > maxImages {
		return bad("has %s: expected 1 to %d", cli.Count(len(records), "row of values"), maxImages)
	}
	open := false // something is left to draw
	for n, record := range records {
		which := ""
		if len(records) > 1 {
			which = fmt.Sprintf(" in row %d", n+1)
		}
		if len(record) != len(columns) {
			learned := ""
			if some {
				learned = ", of the columns that the run has learned,"
			}
			return bad("has %d values%s: expected %d%s with blanks for those that are not known, or names above them", len(record), which,
				len(columns), learned)
		}
		known, values, cells := make([]bool, len(s.Mean)), make([]float64, len(s.Mean)), make([]string, d)
		for k, text := range record {
			if columns[k] < 0 || dataset.IsMissing(text) {
				continue
			}
			f := &fields[columns[k]]
			y, err := f.Encode(text)
			if err != nil {
				return bad("in column %d%s: %w, or nothing where it is not known", k+1, which, err)
			}
			for i, v := range y {
				known[f.At+i], values[f.At+i] = true, v
			}
			if f.Encoding != nil {
				cells[columns[k]] = strings.TrimSpace(text)
			}
		}
		j.cells = append(j.cells, cells)
		rows := sample.KnownRows(known)
		if len(rows) == 0 {
			return bad("is all blank%s: expected a value for one column or more", which)
		}
		open = open || len(rows) < len(known)
		var y []float64
		for i, v := range values {
			if known[i] {
				y = append(y, v)
			}
		}
		all = append(all, measuredBy{rows, [][]float64{y}})
	}
	if !open {
		return bad("has a value for each of the %d columns: nothing is left to draw; leave blank what samples may differ in", d)
	}
	return all, nil
}

// namesColumns tells whether the first of the records is names: those of the run, or text without a number.
func (j *job) namesColumns(records [][]string) bool {
	if len(records) < 2 {
		return false
	}
	all, text, number := true, false, false
	for _, v := range records[0] {
		all = all && j.isName(v)
		number = number || isNumber(v)
		text = text || strings.TrimSpace(v) != ""
	}
	return all || text && !number
}

// isName tells whether a text is the name of a column of the samples.
func (j *job) isName(text string) bool { return slices.Contains(j.names(), strings.TrimSpace(text)) }

// isNumber tells whether a text is a finite number.
func isNumber(text string) bool {
	v, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	return err == nil && !math.IsNaN(v) && !math.IsInf(v, 0)
}

// saysKnown is the line about what is known.
func (j *job) saysKnown() string {
	least, most := j.plan.Known()
	count := cli.Count(most, "coordinate")
	if least < most {
		count = fmt.Sprintf("%d to %s", least, count)
	}
	what := fmt.Sprintf("known: %s of %d values", count, j.cfg.Network.D())
	if n := len(j.known); n > 1 {
		what += fmt.Sprintf(", of %d in turn", n)
	}
	if j.given.sigma > 0 {
		what += fmt.Sprintf(", noise %g", j.given.sigma)
	}
	if len(j.passed) > 0 {
		what += ", columns passed over that the run has not learned: " + cli.Line(strings.Join(j.passed, ", "))
	}
	return what + "; " + j.given.method + " draws approximately from what it leaves open"
}

// moments returns the mean and the deviation of samples (n, d) of k images in turn, each (k, d).
func moments(x []float32, d, k int) (mean, deviation []float32) {
	mean, deviation = make([]float32, k*d), make([]float32, k*d)
	for at := range mean {
		var values []float64
		for i := at; i < len(x); i += k * d {
			values = append(values, float64(x[i]))
		}
		m, sd := stat.MeanStdDev(values, nil)
		if mean[at] = float32(m); len(values) > 1 {
			deviation[at] = float32(sd)
		}
	}
	return mean, deviation
}

// writeMoments writes the pictures of mean and deviation, and says how near the truth the samples are.
func (j *job) writeMoments(x []float32, stdout io.Writer, put func(path string, img picture.Images) error) error {
	k, net := &j.given, j.cfg.Network
	d, n := net.D(), len(x)/net.D()
	images := min(j.parts(), n)
	mean, deviation := moments(x, d, images)
	of := func(v []float32) picture.Images {
		return picture.Images{Pix: v, N: len(v) / d, H: net.Height, W: net.Width, C: net.Channels}
	}
	each := ""
	if images > 1 {
		each = fmt.Sprintf(", of each of %d images", images)
	}
	if k.mean != "" {
		if err := put(k.mean, of(mean)); err != nil {
			return err
		}
		fmt.Fprintf(stdout, "%s: the mean of %d samples%s\n", cli.Output{Path: k.mean}, n, each)
	}
	if k.deviation != "" {
		most := slices.Max(deviation)
		shown := make([]float32, len(deviation))
		for i, v := range deviation {
			shown[i] = v / max(most, 1e-12)
		}
		if err := put(k.deviation, of(shown)); err != nil {
			return err
		}
		fmt.Fprintf(stdout, "%s: their deviation%s, %.3g where it is white\n", cli.Output{Path: k.deviation}, each, most)
	}
	if j.truth == nil {
		return nil
	}
	against := func(x []float32, i int) (psnr, ssim float64) {
		truth := make([]float32, d)
		for p, v := range j.truth[i%len(j.truth)] {
			truth[p] = float32(v)
		}
		row := of(x[i*d : (i+1)*d])
		return picture.PSNR(row, of(truth)), picture.SSIM(row, of(truth))
	}
	average := func(x []float32, n int) (psnr, ssim float64) {
		for i := range n {
			p, s := against(x, i)
			psnr, ssim = psnr+p/float64(n), ssim+s/float64(n)
		}
		return psnr, ssim
	}
	psnr, ssim := average(x, n)
	meanPSNR, meanSSIM := average(mean, images)
	fmt.Fprintf(stdout, "against the truth: samples PSNR %.2f dB, SSIM %.3f on average; their mean PSNR %.2f dB, SSIM %.3f\n", psnr, ssim,
		meanPSNR, meanSSIM)
	return nil
}
