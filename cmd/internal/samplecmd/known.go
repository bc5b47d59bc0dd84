// What is known of the samples: from flags and files to a measurement y = A x + n of the network's values, and what the
// samples say of a truth that is given.

package samplecmd

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

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
			"image, with -operator or -fourier as what is measured; NPY (H, W, C) or a picture. For vectors a table of one row with " +
			"blanks for what is not known", Value: &k.known},
		{Name: "mask", Arg: "FILE", Help: "picture of the images' size: white is known, black is to be drawn", Value: &k.mask},
		{Name: "colourise", Arg: "FILE", Help: "grey image whose colours are to be drawn: it is taken for the mean of the channels",
			Value: &k.colourise},
		{Name: "upscale", Arg: "K", Unit: "pixels", Help: "-known is an image K times smaller, whose pixels are the means of K x K; of " +
			"an image of full size the means are taken", Value: &k.upscale},
		{Name: "operator", Arg: "A.npy", Help: "matrix (M, D) or (M, H, W, C) of what is measured, y = A x", Value: &k.operator},
		{Name: "fourier", Arg: "FILE", Help: "picture of the images' size: white frequencies of the unitary Fourier transform are " +
			"measured, (0, 0) in the upper left corner; for images of 1 channel, or of 2, which are complex", Value: &k.fourier},
		{Name: "measurement", Arg: "y.npy", Help: "what was measured: with -operator (M), with -fourier (H, W, 2), real and imaginary",
			Value: &k.measurement},
		{Name: "measurement-sigma", Arg: "S", Help: "noise in what is known, a deviation in the data's units", Value: &k.sigma},
		{Name: "method", Arg: "NAME", Help: "langevin, with -T 20 at the epsilon of the run's own T; repaint, which is faster; or pigdm, " +
			"for networks that are told sigma. All are approximate", Value: &k.method, Known: sample.Methods()},
		{Name: "resample", Arg: "R", Unit: "times", Help: "of -method repaint: how often each level is left", Value: &o.set.Resample},
		{Name: "sigma-data", Arg: "S", Help: "of -method pigdm: deviation of the data, in the units that the network has them in",
			Value: &o.set.SigmaData, Default: "of vectors as measured, of images 0.25, or 0.5 in [-1, 1]"},
		{Name: "truth", Arg: "FILE", Help: "the whole image, for PSNR and SSIM of the samples", Value: &k.truth},
		{Name: "mean", Arg: "FILE.png", Help: "picture of the mean of all samples", Value: &k.mean},
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
	if (k.deviation != "" || k.mean != "") && j.n < 2 {
		return errors.New("-n is 1: expected 2 samples or more, which have a mean and a deviation; 64 or more are better")
	}
	return nil
}

// settleKnown reads what is known and makes it a part of the plan.
func (j *job) settleKnown() error {
	k, net := &j.given, j.cfg.Network
	if err := j.checkPictures(); err != nil {
		return err
	}
	if k.truth != "" {
		var err error
		if j.truth, err = j.readImage("truth", k.truth, net.Height, net.Width); err != nil {
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
	case !j.vectors() && len(kinds) == 0:
		return errors.New("-known is an image, and nothing says what of it is known: give -mask FILE with white where it is, or one of " +
			"-upscale, -operator and -fourier")
	}
	var rows []sample.Terms
	var y []float64
	var err error
	file := k.known
	switch {
	case len(kinds) == 0:
		rows, y, err = j.knownColumns()
	case kinds[0] == "-mask":
		rows, y, err = j.knownPixels()
	case kinds[0] == "-colourise":
		file = k.colourise
		rows, y, err = j.knownGrey()
	case kinds[0] == "-upscale":
		rows, y, err = j.knownBlocks()
	default:
		if file = k.operator; file == "" {
			file = k.fourier
		}
		rows, y, err = j.knownProducts()
	}
	if err != nil {
		return err
	}
	sigma := k.sigma
	rows, y = j.inNetworkUnits(rows, y)
	measure := sample.Linear
	if k.fourier != "" && net.Channels == 2 { // the rows of a unitary matrix
		measure = sample.Orthogonal
	}
	m, err := measure(net.D(), rows, y, sigma)
	if err != nil {
		return fmt.Errorf("%s %w", file, err)
	}
	if m.Len() == 0 {
		return fmt.Errorf("%s says nothing about the samples: expected a matrix with values other than 0", file)
	}
	j.plan.Given(m)
	return nil
}

// inNetworkUnits makes a measurement of the data one of what the network has for it: x = shift + scale x'.
func (j *job) inNetworkUnits(rows []sample.Terms, y []float64) ([]sample.Terms, []float64) {
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
		return rows, y
	}
	out, moved := make([]sample.Terms, len(rows)), slices.Clone(y)
	for k, row := range rows {
		for _, e := range row {
			moved[k] -= e.Weight * shift(e.At)
			for _, f := range scale(e.At) {
				out[k] = append(out[k], sample.Term{At: f.At, Weight: e.Weight * f.Weight})
			}
		}
	}
	return out, moved
}

// readImage reads an image of the network's channels and returns it as (H, W, C) in [0, 1]. h and w are the size that it
// must have; 0: any.
func (j *job) readImage(flag, path string, h, w int) ([]float64, error) {
	x, gh, gw, err := readAnyImage(flag, path, j.cfg.Network.Channels)
	if err == nil && (gh != h || gw != w) {
		err = fmt.Errorf("-%s %s is an image of %dx%d: expected %dx%d, the size of the samples; scale or crop it first", flag, path, gh, gw,
			h, w)
	}
	return x, err
}

// readAnyImage reads an image of c channels. Pictures become grey or coloured as c asks; arrays must have c.
func readAnyImage(flag, path string, c int) (x []float64, h, w int, err error) {
	if strings.EqualFold(filepath.Ext(path), ".npy") {
		x, shape, err := readArray(flag, path)
		if err != nil {
			return nil, 0, 0, err
		}
		if len(shape) == 4 && shape[0] == 1 {
			shape = shape[1:]
		}
		if len(shape) == 2 && c == 1 {
			shape = append(shape, 1)
		}
		if len(shape) != 3 || shape[2] != c {
			return nil, 0, 0, fmt.Errorf("-%s %s is an array of shape %s: expected (H, W, %d), an image of as many channels as the samples",
				flag, path, (&npy.Header{Shape: shape}).ShapeText(), c)
		}
		return x, shape[0], shape[1], nil
	}
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
		return nil, 0, 0, fmt.Errorf("-%s %s is no image: expected a picture, such as a PNG, or an array (H, W, %d) of numpy.save", flag, path, c)
	}
	if err != nil {
		return nil, 0, 0, fmt.Errorf("-%s: %w", flag, err)
	}
	if data.U8 == nil || data.N != 1 {
		return nil, 0, 0, fmt.Errorf("-%s %s is %s: expected a single image, such as a PNG", flag, path, data.Name)
	}
	x = make([]float64, len(data.U8))
	for i, v := range data.U8 {
		x[i] = float64(v) / 255
	}
	return x, data.H, data.W, nil
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

// readMask reads a picture of the samples' size; white is true.
func (j *job) readMask(flag, path string) ([]bool, error) {
	net := j.cfg.Network
	x, h, w, err := readAnyImage(flag, path, 1)
	if err != nil {
		return nil, err
	}
	if h != net.Height || w != net.Width {
		return nil, fmt.Errorf("-%s %s is %dx%d: expected %dx%d, the size of the samples", flag, path, h, w, net.Height, net.Width)
	}
	mask := make([]bool, len(x))
	white := 0
	for i, v := range x {
		if mask[i] = v >= 0.5; mask[i] {
			white++
		}
	}
	switch {
	case white == 0:
		return nil, fmt.Errorf("-%s %s is all black: expected white where something is known", flag, path)
	case white == len(mask) && flag == "mask":
		return nil, fmt.Errorf("-%s %s is all white: nothing is left to draw; expected black where samples may differ", flag, path)
	}
	return mask, nil
}

func (j *job) knownPixels() ([]sample.Terms, []float64, error) {
	net := j.cfg.Network
	x, err := j.readImage("known", j.given.known, net.Height, net.Width)
	if err != nil {
		return nil, nil, err
	}
	mask, err := j.readMask("mask", j.given.mask)
	if err != nil {
		return nil, nil, err
	}
	known := make([]bool, len(x))
	var y []float64
	for i, v := range x {
		if known[i] = mask[i/net.Channels]; known[i] {
			y = append(y, v)
		}
	}
	return sample.KnownRows(known), y, nil
}

func (j *job) knownGrey() ([]sample.Terms, []float64, error) {
	net := j.cfg.Network
	if net.Channels < 2 {
		return nil, nil, errors.New("-colourise: the samples are grey and have no colours to draw; take a run of colour images")
	}
	x, err := j.readImage("colourise", j.given.colourise, net.Height, net.Width)
	if err != nil {
		return nil, nil, err
	}
	rows := sample.GreyRows(net.Height*net.Width, net.Channels)
	return rows, products(rows, x), nil
}

func (j *job) knownBlocks() ([]sample.Terms, []float64, error) {
	net, k := j.cfg.Network, j.given.upscale
	if net.Height%k != 0 || net.Width%k != 0 {
		return nil, nil, fmt.Errorf("-upscale is %d: expected a number that divides both sides of the samples, %dx%d", k, net.Height, net.Width)
	}
	x, h, w, err := readAnyImage("known", j.given.known, net.Channels)
	if err != nil {
		return nil, nil, err
	}
	rows := sample.BlockRows(net.Height, net.Width, net.Channels, k)
	switch {
	case h == net.Height && w == net.Width:
		return rows, products(rows, x), nil
	case h*k == net.Height && w*k == net.Width:
		return rows, x, nil
	}
	return nil, nil, fmt.Errorf("-known %s is %dx%d: with -upscale %d expected %dx%d, or %dx%d of which the means are taken", j.given.known, h,
		w, k, net.Height/k, net.Width/k, net.Height, net.Width)
}

// knownProducts is what -operator and -fourier measure.
func (j *job) knownProducts() (rows []sample.Terms, y []float64, err error) {
	k, net := &j.given, j.cfg.Network
	if k.operator != "" {
		if rows, err = j.operatorRows(); err != nil {
			return nil, nil, err
		}
	} else {
		if net.Channels > 2 {
			return nil, nil, fmt.Errorf("-fourier: the samples have %d channels: expected 1, or 2, the parts of complex values", net.Channels)
		}
		mask, err := j.readMask("fourier", k.fourier)
		if err != nil {
			return nil, nil, err
		}
		rows = sample.FourierRows(net.Height, net.Width, net.Channels, mask)
		if k.measurement != "" {
			x, shape, err := readArray("measurement", k.measurement)
			if err != nil {
				return nil, nil, err
			}
			if !slices.Equal(shape, []int{net.Height, net.Width, 2}) {
				return nil, nil, fmt.Errorf("-measurement %s has the shape %s: expected (%d, %d, 2), real and imaginary parts of all "+
					"frequencies, of which those of -fourier count", k.measurement, (&npy.Header{Shape: shape}).ShapeText(), net.Height,
					net.Width)
			}
			for f, m := range mask {
				if m {
					y = append(y, x[2*f], x[2*f+1])
				}
			}
			return rows, y, nil
		}
	}
	if k.measurement == "" {
		x, err := j.readImage("known", k.known, net.Height, net.Width)
		return rows, products(rows, x), err
	}
	y, shape, err := readArray("measurement", k.measurement)
	if err == nil && (len(shape) != 1 || len(y) != len(rows)) {
		err = fmt.Errorf("-measurement %s has the shape %s: expected (%d,), a value for each row of -operator", k.measurement,
			(&npy.Header{Shape: shape}).ShapeText(), len(rows))
	}
	return rows, y, err
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

// products is A x.
func products(rows []sample.Terms, x []float64) []float64 {
	if x == nil {
		return nil
	}
	y := make([]float64, len(rows))
	for j, row := range rows {
		for _, e := range row {
			y[j] += e.Weight * x[e.At]
		}
	}
	return y
}

// knownColumns reads a table of one row: of all columns in their order, or with names above it of some. Blanks are not
// known.
func (j *job) knownColumns() ([]sample.Terms, []float64, error) {
	path, d, names := j.given.known, j.cfg.Network.D(), j.names()
	bad := func(format string, a ...any) ([]sample.Terms, []float64, error) {
		return nil, nil, fmt.Errorf("-known "+path+" "+format, a...)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("-known: cannot read the table: %w", err)
	}
	defer f.Close()
	r := csv.NewReader(io.LimitReader(f, 1<<26))
	r.FieldsPerRecord, r.TrimLeadingSpace, r.Comment = -1, true, '#'
	records, err := r.ReadAll()
	if err != nil {
		return bad("is no table with commas between its values (%w): expected one row of numbers, blank where nothing is known", err)
	}
	columns := make([]int, 0, d)
	switch {
	case len(records) == 1 && len(records[0]) == d:
		for i := range d {
			columns = append(columns, i)
		}
	case len(records) == 2 && len(records[0]) == len(records[1]):
		for _, name := range records[0] {
			i := slices.Index(names, strings.TrimSpace(name))
			if i < 0 {
				return bad("names the column %q: expected some of those of the run, %s%s", name, strings.Join(names, ", "),
					nearest.DidYouMean(name, names))
			}
			if slices.Contains(columns, i) {
				return bad("names the column %q twice: expected each once", name)
			}
			columns = append(columns, i)
		}
	case len(records) == 1:
		return bad("has %d values: expected %d with blanks for those that are not known, or names above them", len(records[0]), d)
	default:
		return bad("has %d lines: expected one row of %d values, with or without names above it", len(records), d)
	}
	known, values := make([]bool, d), make([]float64, d)
	for k, text := range records[len(records)-1] {
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		v, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
			return bad("has %q in column %d: expected a number, or nothing where it is not known", text, k+1)
		}
		known[columns[k]], values[columns[k]] = true, v
	}
	rows := sample.KnownRows(known)
	switch len(rows) {
	case 0:
		return bad("is all blank: expected a number for one column or more")
	case d:
		return bad("has a number for each of the %d columns: nothing is left to draw; leave blank what samples may differ in", d)
	}
	var y []float64
	for i, v := range values {
		if known[i] {
			y = append(y, v)
		}
	}
	return rows, y, nil
}

// saysKnown is the line about what is known.
func (j *job) saysKnown() string {
	what := fmt.Sprintf("known: %s of %d values", cli.Count(j.plan.Known(), "coordinate"), j.cfg.Network.D())
	if j.given.sigma > 0 {
		what += fmt.Sprintf(", noise %g", j.given.sigma)
	}
	return what + "; " + j.given.method + " draws approximately from what it leaves open"
}

// moments returns the mean and the deviation of samples (n, d).
func moments(x []float32, d int) (mean, deviation []float32) {
	n := len(x) / d
	mean, deviation = make([]float32, d), make([]float32, d)
	for i := range d {
		var sum, square float64
		for k := range n {
			sum += float64(x[k*d+i])
		}
		m := sum / float64(n)
		for k := range n {
			off := float64(x[k*d+i]) - m
			square += off * off
		}
		mean[i], deviation[i] = float32(m), float32(math.Sqrt(square/float64(max(n-1, 1))))
	}
	return mean, deviation
}

// writeMoments writes the pictures of mean and deviation, and says how near the truth the samples are.
func (j *job) writeMoments(x []float32, stdout io.Writer, put func(path string, img picture.Images) error) error {
	k, net := &j.given, j.cfg.Network
	mean, deviation := moments(x, net.D())
	one := func(v []float32) picture.Images {
		return picture.Images{Pix: v, N: 1, H: net.Height, W: net.Width, C: net.Channels}
	}
	if k.mean != "" {
		if err := put(k.mean, one(mean)); err != nil {
			return err
		}
		fmt.Fprintf(stdout, "%s: the mean of %d samples\n", cli.Output{Path: k.mean}, len(x)/net.D())
	}
	if k.deviation != "" {
		most := slices.Max(deviation)
		shown := make([]float32, len(deviation))
		for i, v := range deviation {
			shown[i] = v / max(most, 1e-12)
		}
		if err := put(k.deviation, one(shown)); err != nil {
			return err
		}
		fmt.Fprintf(stdout, "%s: their deviation, %.3g where it is white\n", cli.Output{Path: k.deviation}, most)
	}
	if j.truth == nil {
		return nil
	}
	truth := make([]float32, len(j.truth))
	for i, v := range j.truth {
		truth[i] = float32(v)
	}
	var psnr, ssim float64
	n := len(x) / net.D()
	for i := range n {
		of := one(x[i*net.D() : (i+1)*net.D()])
		psnr += picture.PSNR(of, one(truth)) / float64(n)
		ssim += picture.SSIM(of, one(truth)) / float64(n)
	}
	fmt.Fprintf(stdout, "against the truth: samples PSNR %.2f dB, SSIM %.3f on average; their mean PSNR %.2f dB, SSIM %.3f\n", psnr, ssim,
		picture.PSNR(one(mean), one(truth)), picture.SSIM(one(mean), one(truth)))
	return nil
}
