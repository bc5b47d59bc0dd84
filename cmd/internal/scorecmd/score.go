// Score: from an array of points to an array of scores.

package scorecmd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"sigmaz/cmd/internal/cli"
	"sigmaz/cmd/internal/httpd"
	"sigmaz/cmd/internal/modelfile"
	"sigmaz/cmd/internal/preview"
	"sigmaz/cmd/internal/share"
	"sigmaz/internal/npy"
	"sigmaz/kernels"
	"sigmaz/model"
)

// New makes the command.
func New() *cli.Command { return newOptions().Command }

// options is what the command line sets.
type options struct {
	*cli.Command
	input, out, layout string
	level              int
	sigma              float64
	levelFile, class   string
	denoised           bool
	serve              httpd.Address
	batch, workers     int
	device             cli.Device
	file               modelfile.Options
	untilEOF           bool // the server ends with standard input
}

const (
	nchw = "nchw"
	nhwc = "nhwc"
)

func newOptions() *options {
	o := &options{layout: nchw}
	layouts := []string{nchw, nhwc}
	run := modelfile.Arg
	run.Flag = "checkpoint" // as scripts have it from the time when it was a flag
	o.Command = &cli.Command{
		Name: "score",
		About: "Evaluates a network as a function: reads x from an NPY array and writes the score s(x, sigma), an estimate " +
			"of the gradient of the log density of the data with noise of deviation sigma, as another. " +
			"With -serve it answers requests for many arrays, in one process.",
		Args: []cli.Arg{run},
		Groups: []cli.Group{
			{Name: "Weights", Flags: o.file.WeightFlags()},
			{Name: "Arrays", Note: "- is standard input or output; messages then go to standard error.", Flags: []cli.Flag{
				{Name: "input", Arg: "FILE.npy",
					Help:  "x, float32 or float64: images, or vectors (N, D), in the units that the network was trained in",
					Value: &o.input, Default: cli.Required},
				{Name: "layout", Arg: "NAME",
					Help:  "axes of images: nchw is (N, C, H, W) as in PyTorch, nhwc is (N, H, W, C) as sample writes them",
					Value: cli.Choice{To: &o.layout, Words: layouts}, Known: layouts},
				{Name: "o", Arg: "FILE.npy", Help: "the score, float32 in the shape of x; " +
					"a file that is there already is replaced, once the new one is whole", Value: &o.out, Default: cli.Required},
				{Name: "denoised", Help: "write x + sigma^2 s instead, the mean of what x may be without its noise", Value: &o.denoised},
			}},
			{Name: "Noise", Note: "One of the three.", Flags: []cli.Flag{
				{Name: "level", Arg: "I", Help: "noise level of all rows, 0 for the largest sigma", Value: &o.level,
					Default: "none"},
				{Name: "sigma", Arg: "S", Help: "standard deviation of the noise of all rows; " +
					"a network that takes levels has it at those of its ladder alone", Value: &o.sigma, Default: "none"},
				{Name: "level-file", Arg: "FILE.npy", Help: "a noise level for each row, (N) whole numbers", Value: &o.levelFile,
					Default: "none"},
			}},
			{Name: "Class", Flags: []cli.Flag{
				{Name: "class", Arg: "NAME", Help: "of networks that are told classes: the class of all rows, by name or number, or none",
					Value: &o.class, Default: modelfile.NoClass},
			}},
			{Name: "Server", Flags: []cli.Flag{
				{Name: "serve", Arg: "HOST:PORT", Help: "answer requests over HTTP until Ctrl-C, in place of -input and -o, such as " +
					"127.0.0.1:8788; a port alone is on this machine, to be asked by it alone; port 0 is any that is free", Value: &o.serve,
					Default: "none"},
				{Name: "until-eof", Help: "end the server when standard input ends, too, so that it does not outlive a program that started it",
					Value: &o.untilEOF},
			}},
			o.file.Group(),
			{Name: "Machine", Flags: append(o.device.Flags("run"),
				o.device.GPUsFlag("rows, or the requests of a server,"),
				o.device.PrecisionFlag("the run's"),
				cli.Flag{Name: "batch", Arg: "B", Unit: "rows",
					Help: "rows that go through the network together; the result does not depend on it", Value: &o.batch,
					Default: "by the image size"},
				cli.Flag{Name: "workers", Arg: "W", Unit: "goroutines",
					Help: "worker goroutines on the CPU, which change no result; 0: one a core", Value: &o.workers})},
		},
		Bare: func(arg string) string {
			if strings.HasSuffix(arg, ".npy") {
				return "input"
			}
			return ""
		},
		Examples: []cli.Example{
			{Line: "score runs/glyphs-1 -input x.npy -level 0 -o s.npy", What: "the score at the largest noise"},
			{Line: "score runs/glyphs-1 -input x.npy -layout nhwc -level-file levels.npy -o s.npy",
				What: "images as sample writes them, each at a level of its own"},
			{Line: "score checkpoint.pth -preset cifar10 -input - -sigma 0.5 -o -",
				What: "a published network between two other programs"},
			{Line: "score runs/glyphs-1 -input x.npy -sigma 0.5 -denoised -o d.npy", What: "the denoiser D(x, sigma)"},
			{Line: "score runs/glyphs-1 -serve 8788", What: "a server for many arrays"},
		},
		Notes:    []string{"Exit codes: 0 done; 1 failed; 2 wrong usage; 130 quit by a second Ctrl-C."},
		Alone:    true,
		Stopping: cli.Stops,
		Check:    o.checkFlags,
		Run: func(ctx context.Context, s cli.Streams) error {
			if o.serve != "" {
				return serve(ctx, o, s)
			}
			return score(ctx, o, s)
		},
	}
	return o
}

// checkFlags finds what is wrong as far as that is known without the files.
func (o *options) checkFlags() error {
	if err := o.file.Check(); err != nil {
		return err
	}
	if err := cli.CheckWorkers(o.workers); err != nil {
		return err
	}
	if o.Given("batch") && o.batch < 1 {
		return cli.Usagef("-batch is %d: expected at least 1 row at a time", o.batch)
	}
	if o.untilEOF && o.serve == "" {
		return cli.Usagef("-until-eof is for a server: give -serve HOST:PORT too, or leave it out")
	}
	if o.serve != "" {
		for _, name := range []string{"input", "o", "layout", "level", "sigma", "level-file", "class", "denoised"} {
			if o.Given(name) {
				return cli.Usagef("-%s and -serve are both given, and what is asked for comes with each request: leave -%[1]s out", name)
			}
		}
		return o.device.Check(o.Command)
	}
	if err := o.Need("input", "o"); err != nil {
		return err
	}
	var noise []string
	for _, name := range []string{"level", "sigma", "level-file"} {
		if o.Given(name) {
			noise = append(noise, "-"+name)
		}
	}
	switch {
	case len(noise) == 0:
		return cli.Usagef("the noise is missing: expected -level I, -sigma S or -level-file FILE.npy")
	case len(noise) > 1:
		return cli.Usagef("%s are given together: expected one of -level, -sigma and -level-file",
			strings.Join(noise, " and "))
	case o.input == "-" && o.levelFile == "-":
		return cli.Usagef("-input and -level-file are both standard input: expected a file for one of them")
	}
	if o.Given("sigma") {
		if err := model.CheckSigma("sigma", o.sigma); err != nil {
			return cli.UsageOf(err)
		}
	}
	return o.device.Check(o.Command)
}

// score does the work of the command.
func score(ctx context.Context, o *options, s cli.Streams) error {
	out, messages, stdin := cli.Output{Flag: "-o", Path: o.out}, s.Messages(o.out), s.In
	if err := out.Check(s, o.Operands[0], o.input, o.levelFile); err != nil {
		return err
	}
	f, err := modelfile.Open(o.Operands[0], &o.file, o.Command)
	if err != nil {
		return err
	}
	defer f.Close()
	rows, err := openRows(o, f.Config.Network, stdin)
	if err != nil {
		return err
	}
	defer rows.close()
	noise, err := o.noise(f, rows.n, stdin)
	if err != nil {
		return err
	}
	classes, err := o.classOf(f)
	if err != nil {
		return err
	}
	precision, err := f.Precision(o.device)
	if err != nil {
		return err
	}
	devices, err := o.device.Open(o.workers)
	if err != nil {
		return err
	}
	defer devices.Close()
	devices = share.Working(devices, rows.n)
	batch := share.Size(o.batchFor(f), rows.n, len(devices))
	evaluators, err := share.OnEach(devices, func(b kernels.Backend) (*evaluator, error) {
		e, err := newEvaluator(b, f, precision, f.Prefix(), batch)
		if err == nil && classes != nil {
			err = e.SetClasses(slices.Repeat(classes, batch))
		}
		return e, err
	})
	if err != nil {
		return err
	}
	for _, note := range f.Notes {
		fmt.Fprintf(messages, "%s: %s\n", f.Path, note)
	}
	start := time.Now()
	write := func(w io.Writer) error {
		if err := npy.WriteHeader[float32](w, rows.shape); err != nil {
			return err
		}
		scores := make([][]float32, len(devices))
		_, err := share.Work{
			Begin: func(b share.Batch) error { return rows.read(evaluators[b.Device].x, b.Rows) },
			Do: func(_ context.Context, b share.Batch) (err error) {
				scores[b.Device], err = evaluators[b.Device].evaluate(b.Rows, o.denoised, func(row int) (int, float32) {
					return noise(b.First + row)
				})
				return share.OnDevice(b.Device, len(devices), err)
			},
			End: func(b share.Batch) error { return npy.WriteValues(w, rows.toFile(scores[b.Device])) },
		}.Share(ctx, len(devices), rows.n, batch)
		if errors.Is(err, context.Canceled) {
			return errors.New("interrupted")
		}
		return err
	}
	if err := out.Write(s, write); err != nil {
		return err
	}
	net, noiseOf := f.Config.Network, o.noiseText(f)
	if classes != nil {
		noiseOf += ", class " + f.ClassName(classes[0])
	}
	what := "the score"
	if o.denoised {
		what = "the denoised data"
	}
	fmt.Fprintf(messages, "%s: %s of %d rows, %s, float32 %s; %s, %s%s, on %s, %s\n", out, what, rows.n, noiseOf,
		(&npy.Header{Shape: rows.shape}).ShapeText(),
		net.Net, f.At(), f.Which(), devices.Name(), time.Since(start).Round(time.Millisecond))
	return nil
}

// batchFor returns how many rows go through the network together at most.
func (o *options) batchFor(f *modelfile.File) int {
	if o.batch > 0 {
		return o.batch
	}
	return preview.BatchFor(f.Config.Network)
}

// classOf returns the one class of all rows, nil where the network is told none.
func (o *options) classOf(f *modelfile.File) ([]uint32, error) {
	if !o.Given("class") {
		if f.Config.Network.Classes == 0 {
			return nil, nil
		}
		o.class = modelfile.NoClass
	}
	class, err := f.Class(o.class)
	return []uint32{class}, err
}

// pair is the noise of a row: its level and sigma.
type pair struct {
	level int
	sigma float32
}

// atLevel returns the noise of a level; what names it.
func atLevel(f *modelfile.File, level int, what string) (pair, error) {
	if level < 0 || level >= len(f.Sigmas) {
		return pair{}, fmt.Errorf("%s is %d: expected a noise level from 0, the largest sigma, to %d", what, level, len(f.Sigmas)-1)
	}
	return pair{level, f.Sigmas[level]}, nil
}

// A score is z/sigma in the main, in float32.
const leastSigma, mostSigma = 1e-30, 1e30

// atSigma returns the noise of a sigma; what names it, and advice the way to a level of that number.
func atSigma(f *modelfile.File, sigma float64, what, advice string) (pair, error) {
	if !(sigma >= leastSigma && sigma <= mostSigma) {
		return pair{}, fmt.Errorf("%s is %g: expected a number from %g to %g", what, sigma, leastSigma, mostSigma)
	}
	level, exact := nearest(f.Sigmas, sigma)
	if exact {
		return pair{level, f.Sigmas[level]}, nil
	}
	if f.Config.Network.TakesLevels() {
		return pair{}, fmt.Errorf("%s is %g, which is no level of the ladder, and network %s takes levels alone: "+
			"the nearest is level %d with sigma %.7g, %s%[4]d", what, sigma, f.Config.Network.Net, level, f.Sigmas[level], advice)
	}
	return pair{level, float32(sigma)}, nil
}

// noise returns a function with the level and sigma of each row.
func (o *options) noise(f *modelfile.File, n int, stdin io.Reader) (func(row int) (level int, sigma float32), error) {
	same := func(p pair, err error) (func(int) (int, float32), error) {
		return func(int) (int, float32) { return p.level, p.sigma }, err
	}
	switch {
	case o.Given("level"):
		return same(atLevel(f, o.level, "-level"))
	case o.Given("sigma"):
		return same(atSigma(f, o.sigma, "-sigma", "-level "))
	}
	a, done, err := openArray(o.levelFile, stdin)
	if err != nil {
		return nil, err
	}
	defer done()
	if a.Count() != n || len(a.Shape) == 0 || a.Shape[0] != n {
		return nil, fmt.Errorf("%s has shape %s: expected (%d,), a noise level for each row of -input", o.levelFile,
			a.ShapeText(), n)
	}
	levels, err := npy.ReadAll[int](a)
	if err != nil {
		return nil, err
	}
	for row, level := range levels {
		if _, err := atLevel(f, level, fmt.Sprintf("row %d of %s", row, o.levelFile)); err != nil {
			return nil, err
		}
	}
	return func(row int) (int, float32) { return levels[row], f.Sigmas[levels[row]] }, nil
}

func (o *options) noiseText(f *modelfile.File) string {
	switch {
	case o.Given("level"):
		return fmt.Sprintf("level %d, sigma %.4g", o.level, f.Sigmas[o.level])
	case o.Given("sigma"):
		return fmt.Sprintf("sigma %.4g", o.sigma)
	}
	return "levels " + o.levelFile
}

// nearest finds the level whose sigma is nearest in ratio, and tells whether it is the same to one part in a million.
func nearest(sigmas model.Ladder, sigma float64) (level int, exact bool) {
	level = sigmas.Nearest(sigma)
	return level, math.Abs(math.Log(float64(sigmas[level])/sigma)) <= 1e-6
}

// evaluator is a network with its memory.
type evaluator struct {
	*model.Score
	program       kernels.Program
	x, s          []float32 // (N, D)
	sigmas, level []float32 // (N); levels by bit pattern
}

func newEvaluator(b kernels.Backend, f *modelfile.File, precision kernels.Precision, prefix string, batch int) (*evaluator, error) {
	s, err := model.NewScore(b, f.Config.Network, precision, batch, 0)
	if err != nil {
		return nil, err
	}
	if err := s.LoadFrom(f, prefix); err != nil {
		return nil, fmt.Errorf("%s: %w", f.Path, err)
	}
	e := &evaluator{Score: s, x: make([]float32, batch*s.D), s: make([]float32, batch*s.D), sigmas: make([]float32, batch),
		level: make([]float32, batch)}
	e.program, err = b.Compile(s.Arena, s.Ops)
	return e, err
}

// evaluate computes the score of the first n rows of e.x, or what it denoises them to. The next call overwrites the result.
func (e *evaluator) evaluate(n int, denoised bool, noise func(row int) (level int, sigma float32)) ([]float32, error) {
	for row := range e.N { // those beyond n are computed too, at a noise that is there, and not looked at
		level, sigma := noise(min(row, n-1))
		e.level[row], e.sigmas[row] = math.Float32frombits(uint32(level)), sigma
	}
	for _, in := range []struct {
		b kernels.Buf
		v []float32
	}{{e.X, e.x}, {e.Sigma, e.sigmas}, {e.Level, e.level}} {
		if err := e.Arena.Write(in.b, in.v); err != nil {
			return nil, err
		}
	}
	if err := e.program.Run(); err != nil {
		return nil, err
	}
	s := e.s[:n*e.D]
	err := e.Arena.Read(s, e.S.Slice(0, len(s)))
	if denoised {
		for i, x := range e.x[:len(s)] {
			s[i] = model.Denoised(x, s[i], float64(e.sigmas[i/e.D]))
		}
	}
	return s, err
}

// rows is the array of x, given row by row in the network's order, (H, W, C).
type rows struct {
	array   *npy.Reader
	close   func()
	n       int
	shape   []int
	nchw    bool
	c, area int // of an image
	whole   []float32
	in, out []float32 // in the order of the file; rows are read while others are put there
}

// openArray opens an array in a file, or - for standard input.
func openArray(path string, stdin io.Reader) (*npy.Reader, func(), error) {
	if path == "-" {
		a, err := npy.NewReader("standard input", bufio.NewReaderSize(stdin, 1<<16), -1)
		return a, func() {}, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot read the array: %w", err)
	}
	size := int64(-1) // a pipe's is not known
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = fmt.Errorf("%s is a folder: expected an NPY array", path)
	}
	if err == nil && info.Mode().IsRegular() {
		size = info.Size()
	}
	var a *npy.Reader
	if err == nil {
		a, err = npy.NewReader(path, bufio.NewReaderSize(f, 1<<16), size)
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return a, func() { f.Close() }, nil
}

// openRows opens x and compares its shape with what the network takes.
func openRows(o *options, net model.Config, stdin io.Reader) (*rows, error) {
	a, done, err := openArray(o.input, stdin)
	if err != nil {
		return nil, err
	}
	name := o.input
	if name == "-" {
		name = "standard input"
	}
	r, err := rowsOf(a, name, o.layout, "-layout ", net)
	if err != nil {
		done()
		return nil, err
	}
	r.close = done
	return r, nil
}

// rowsOf compares the shape of an array with what the network takes. name is the array's, and setting what is before a layout
// where it is chosen.
func rowsOf(a *npy.Reader, name, layout, setting string, net model.Config) (r *rows, err error) {
	r = &rows{array: a, shape: a.Shape, nchw: layout == nchw, c: net.Channels, area: net.Height * net.Width}
	images := map[string][]int{nchw: {net.Channels, net.Height, net.Width}, nhwc: {net.Height, net.Width, net.Channels}}
	row := images[layout]
	fits := func(row []int) bool { return len(a.Shape) == len(row)+1 && slices.Equal(a.Shape[1:], row) }
	vector := []int{net.D()}
	switch ok := fits(row) || r.area == 1 && fits(vector); {
	case ok && a.Kind() == 'f' && a.Size() >= 4:
	case ok:
		err = fmt.Errorf("%s holds %s: expected float32 or float64; convert it with astype", name, a.Type())
	default:
		if r.area == 1 {
			row = vector
		}
		hint := ""
		for other, row := range images {
			if other != layout && fits(row) {
				hint = ", or " + setting + other + ", which it fits"
			}
		}
		if hint == "" && slices.Equal(a.Shape, row) {
			hint = ", with an axis before it, x[None]"
		}
		err = fmt.Errorf("%s has shape %s: network %s takes (N, %s) in layout %s%s", name, a.ShapeText(), net.Net,
			strings.Trim((&npy.Header{Shape: row}).ShapeText(), "(,)"), layout, hint)
		if r.area == 1 {
			err = fmt.Errorf("%s has shape %s: network %s takes vectors, (N, %d)", name, a.ShapeText(), net.Net, net.D())
		}
	}
	if err == nil {
		r.n = a.Shape[0]
		if a.Fortran { // the rows lie across the file: all of it is read
			r.whole, err = npy.ReadAll[float32](a)
		}
	}
	return r, err
}

// read fills the first n rows of dst with the next ones.
func (r *rows) read(dst []float32, n int) error {
	dst = dst[:n*r.c*r.area]
	var src []float32
	if r.whole != nil {
		src, r.whole = r.whole[:len(dst)], r.whole[len(dst):]
	} else {
		r.in = slices.Grow(r.in[:0], len(dst))
		src = r.in[:len(dst)]
		if err := npy.Read(r.array, src); err != nil {
			return err
		}
	}
	r.permute(len(dst), func(file, net int) { dst[net] = src[file] })
	return nil
}

// toFile puts values of the network's order into that of the file. The next call overwrites the result.
func (r *rows) toFile(s []float32) []float32 {
	r.out = slices.Grow(r.out[:0], len(s))
	dst := r.out[:len(s)]
	r.permute(len(s), func(file, net int) { dst[file] = s[net] })
	return dst
}

// permute calls f for each of n values with its place in the file and its place in the network.
func (r *rows) permute(n int, f func(file, net int)) {
	if !r.nchw {
		for i := range n {
			f(i, i)
		}
		return
	}
	d := r.c * r.area
	for first := 0; first < n; first += d {
		for c := range r.c {
			for p := range r.area {
				f(first+c*r.area+p, first+p*r.c+c)
			}
		}
	}
}
