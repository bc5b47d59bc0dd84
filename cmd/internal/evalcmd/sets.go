// The sets of points: where samples, reference and training data come from.

package evalcmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sigmaz/cmd/internal/cli"
	"sigmaz/cmd/internal/modelfile"
	"sigmaz/cmd/internal/preview"
	"sigmaz/cmd/internal/progress"
	"sigmaz/cmd/internal/share"
	"sigmaz/cmd/internal/traincmd"
	"sigmaz/internal/npy"
	"sigmaz/internal/picture"
	"sigmaz/internal/setting"
	"sigmaz/internal/terminal"
	"sigmaz/kernels"
	"sigmaz/model"
	"sigmaz/model/checkpoint"
	"sigmaz/sample"
	"sigmaz/sample/eval"
	"sigmaz/train"
	"sigmaz/train/dataset"
)

// set is points of one kind: images as bytes, or vectors.
type set struct {
	spec    string // as it was given
	what    string // for people
	split   string // which part of it
	n       int
	h, w, c int
	bytes   []byte    // (n, h, w, c); nil: vectors
	floats  []float32 // (n, c); what is missing is NaN
	drawn   *Drawn    // nil: the samples were there
}

func (s *set) images() bool { return s.floats == nil && (s.h > 1 || s.w > 1) }
func (s *set) d() int       { return s.h * s.w * s.c }

// shape names the points: "28x28x1", "vectors of 4".
func (s *set) shape() string {
	if !s.images() {
		return cli.Count(s.d(), "value") + " each"
	}
	return fmt.Sprintf("%dx%dx%d", s.h, s.w, s.c)
}

// missing tells whether some value is.
func missing(row []float32) bool {
	return slices.ContainsFunc(row, func(v float32) bool { return v != v })
}

// whole is how many points have all their values.
func (s *set) whole() int {
	n := s.n
	if missing(s.floats) {
		for row := range slices.Chunk(s.floats, s.d()) {
			if missing(row) {
				n--
			}
		}
	}
	return n
}

// rows returns the points as numbers: images in [0, 1]; of vectors those that have all their values.
func (s *set) rows() eval.Rows {
	r := eval.Rows{N: s.n, D: s.d(), X: s.floats}
	if missing(s.floats) {
		r.N, r.X = s.whole(), nil
		for row := range slices.Chunk(s.floats, r.D) {
			if !missing(row) {
				r.X = append(r.X, row...)
			}
		}
	}
	if s.bytes != nil {
		r.X = make([]float32, len(s.bytes))
		for i, b := range s.bytes {
			r.X[i] = float32(b) / 255
		}
	}
	return r
}

// isModel tells whether an argument is a run or a file with weights, not data.
func isModel(path string) bool {
	if train.IsRun(path) || modelfile.Means(path) || checkpoint.IsModelFolder(path) {
		return true
	}
	ext := strings.ToLower(filepath.Ext(path))
	return slices.Contains([]string{".safetensors", ".pth", ".pt", ".ckpt"}, ext)
}

// open opens both arguments and -train. Samples of a run are not drawn yet.
func (j *job) open(ctx context.Context) (err error) {
	first, second := j.Operands[0], j.Operands[1]
	if j.features {
		return j.openFeatures(first, second)
	}
	var run, other *modelfile.File // of SAMPLES, of REFERENCE
	if isModel(first) {
		if run, err = j.openRun(first, &j.file); err != nil {
			return err
		}
		defer func() {
			if err != nil || j.draw == nil {
				run.Close()
			}
		}()
	} else if err := j.refuseDrawing(); err != nil {
		return err
	}
	from := run // whose own data the reference may be
	if isModel(second) && second != first {
		if other, err = j.openRun(second, &modelfile.Options{}); err != nil {
			return err
		}
		defer other.Close()
		from = other
	}
	var cfg *train.Config
	if from != nil {
		if cfg = from.Config; cfg.Data == "" && isModel(second) {
			return fmt.Errorf("%s does not say what it was trained on: give data as REFERENCE", cli.Line(second))
		}
	}
	spec := second
	if isModel(second) {
		spec = cfg.Data
	}
	data, err := j.openData(ctx, spec, cfg, nil)
	if err != nil && spec != second && ctx.Err() == nil {
		err = fmt.Errorf("%s as REFERENCE stands for the data that it was trained on, which cannot be read here: give data as REFERENCE (%w)",
			cli.Line(second), err)
	}
	if err != nil {
		return err
	}
	j.scaler = data.Scaler
	own := cfg != nil && (spec == cfg.Data || data.Sum == cfg.DataSum)
	if own && cfg.DataSum != "" && data.Sum != cfg.DataSum {
		return fmt.Errorf("%s is not what the run was trained on (checksum %s, expected %s): give the same data, or a copy under another "+
			"name to take it as other data", cli.Line(spec), data.Sum, cfg.DataSum)
	}
	held, learned, split, err := j.part(data, cfg, own)
	if err != nil {
		return err
	}
	if j.reference, err = take(held, second, split, fewest, j.most(j.against)); err != nil {
		return err
	}
	if run != nil {
		err = j.prepareDraw(ctx, run)
	} else {
		err = j.openSamples(ctx, first, data)
	}
	if err != nil {
		return err
	}
	return j.openLearned(ctx, learned, run, data)
}

// most is how many points are taken at most.
func (j *job) most(given int) int {
	if given > 0 {
		return given
	}
	return defaultMost
}

// openRun opens a run or a checkpoint of this program, which says all that there is to know for drawing samples.
func (j *job) openRun(path string, o *modelfile.Options) (*modelfile.File, error) {
	file, err := modelfile.Find(path)
	if err != nil {
		return nil, err
	}
	w, err := modelfile.OpenWeights(file)
	if err != nil {
		return nil, err
	}
	w.Close()
	if w.Config == "" {
		return nil, fmt.Errorf("%s holds no configuration: expected a run or a checkpoint of it; draw samples with sample %s -images DIR, "+
			"and give DIR", path, cli.Shell(path))
	}
	return modelfile.Open(path, o, j.Command)
}

// refuseDrawing refuses flags that say how samples are drawn, where they are not.
func (j *job) refuseDrawing() error {
	for _, name := range []string{"seed", "ema", "raw", "batch", "gpu", "gpus", "device", "precision"} {
		if j.Given(name) {
			return cli.Usagef("-%s is of samples that are drawn, and %s is no run: leave it out", name, cli.Line(j.Operands[0]))
		}
	}
	return nil
}

// openData opens data: as a run opened its own, where there is one.
func (j *job) openData(ctx context.Context, spec string, cfg *train.Config, scaler *dataset.Scaler) (*dataset.Set, error) {
	c := train.Config{Seed: train.Presets[0].Config.Seed}
	if cfg != nil {
		c = train.Config{Seed: cfg.Seed, Reading: cfg.Reading, Cache: cfg.Cache, Scaler: cfg.Scaler}
		if spec != cfg.Data { // other data need not have labels, but for a table's, which are a column beside its values
			c.Reading.Classes = false
			if !dataset.IsVectors(spec) {
				c.Reading.Label = ""
			}
		}
	}
	given := func(name string) bool { return name != "seed" && j.Given(name) } // -seed is that of samples
	if err := traincmd.CopyReading(&c, &j.reading, given); err != nil {
		return nil, err
	}
	if scaler != nil {
		c.Scaler = scaler
	}
	source := c.SourceFor(spec)
	if cfg == nil && scaler == nil { // no run says how vectors are standardised
		source.Standardize = c.Reading.Standardize
	}
	set, err := source.Open(ctx)
	var bad *setting.Error
	if errors.As(err, &bad) {
		return nil, fmt.Errorf("-%s %s", bad.Key, bad.Text)
	}
	if err != nil && ctx.Err() == nil {
		if set := j.clipped(spec); set != nil {
			return set, nil
		}
	}
	return set, err
}

// part returns the part of the reference that is taken, and the rows that were learned where that is known.
func (j *job) part(data *dataset.Set, cfg *train.Config, own bool) (part, learned *dataset.Set, split string, err error) {
	if !own {
		if j.split != "" {
			return nil, nil, "", cli.Usagef("-split is of a run's own data, and REFERENCE is other: leave it out")
		}
		return data, nil, "all", nil
	}
	parts := divided(cfg)
	split = j.split
	if split == "" {
		if split = whole; parts {
			split = heldOut
		}
	}
	if split != whole && !parts {
		return nil, nil, "", fmt.Errorf("-split is %s, and it is not known which rows the run held out, if any: expected -split all", split)
	}
	if learned = data; parts {
		learned, part = data.Split(cfg.Seed, cfg.HeldOut)
	}
	switch split {
	case heldOut:
		return part, learned, "held out", nil
	case training:
		j.seen = true
		return learned, learned, "trained on", nil
	}
	j.seen = true
	return data, learned, "all, also what was trained on", nil
}

// divided tells whether it is known which rows a run holds out.
func divided(c *train.Config) bool { return c.HeldOut > 0 && c.Split == train.SplitByContent }

// chooseSeed draws the points that are taken of a larger set.
const chooseSeed = 0

// take takes at most n points of data, drawn by [eval.Choose], and at least so many.
func take(data *dataset.Set, spec, split string, least, n int) (*set, error) {
	s := &set{spec: spec, what: data.Name, split: split, n: min(n, data.N), h: data.H, w: data.W, c: data.C}
	if s.n < least {
		return nil, fmt.Errorf("%s: expected at least %d points (%s), found %d: give more", cli.Line(spec), least, split, data.N)
	}
	for _, row := range eval.Choose(s.n, data.N, chooseSeed) {
		if data.U8 != nil {
			s.bytes = append(s.bytes, data.Bytes(row)...)
		} else {
			s.floats = append(s.floats, data.Floats(row)...)
			for k, there := range data.MaskOf(row) {
				if there == 0 {
					s.floats[len(s.floats)-data.D()+k] = float32(math.NaN())
				}
			}
		}
	}
	return s, nil
}

// openLearned takes what was learned: -train, or what the run of the samples was trained on. learned is what the
// reference's run was.
func (j *job) openLearned(ctx context.Context, learned *dataset.Set, run *modelfile.File, reference *dataset.Set) (err error) {
	spec := j.train
	switch {
	case spec != "":
		if j.learned, err = j.openPoints(ctx, spec, "learned", math.MaxInt, reference); err != nil {
			return err
		}
	case run != nil && isModel(j.Operands[1]) && j.Operands[1] != j.Operands[0], run != nil && learned == nil:
		spec = run.Config.Data
		if spec == "" {
			return nil
		}
		data, err := j.openData(ctx, spec, run.Config, nil)
		if err == nil && data.Sum != run.Config.DataSum {
			err = fmt.Errorf("%s is not what the run was trained on", cli.Line(spec))
		}
		if err != nil {
			j.report.note(j.messages, "what was learned is not there (%v): how near samples are to it is not measured; give it with -train", err)
			return ctx.Err()
		}
		if learned = data; divided(run.Config) {
			learned, _ = data.Split(run.Config.Seed, run.Config.HeldOut)
		}
	case learned != nil:
		spec = j.Operands[1]
	default:
		return nil
	}
	if j.learned == nil {
		j.learned, err = take(learned, spec, "learned", 1, learned.N)
	}
	if err == nil && j.learned.shape() != j.reference.shape() {
		err = fmt.Errorf("what was learned is %s, and REFERENCE %s: give data of one size, or -size", j.learned.shape(), j.reference.shape())
	}
	return err
}

// openSamples opens samples that are there.
func (j *job) openSamples(ctx context.Context, spec string, reference *dataset.Set) (err error) {
	if j.samples, err = j.openPoints(ctx, spec, "all", j.most(j.n), reference); err != nil {
		return err
	}
	if j.samples.shape() != j.reference.shape() {
		return fmt.Errorf("SAMPLES are %s, and REFERENCE %s: give data of one size, or bring both to one with -size and -channels",
			j.samples.shape(), j.reference.shape())
	}
	return nil
}

// openPoints opens data that no run knows, and takes at most so many points of it.
func (j *job) openPoints(ctx context.Context, spec, split string, most int, reference *dataset.Set) (*set, error) {
	data, err := j.openData(ctx, spec, nil, reference.Scaler)
	if err != nil {
		return nil, err
	}
	return take(data, spec, split, fewest, most)
}

// clipped reads images that sample -npy has written, some of whose values lie outside [0, 1], as the pictures of them that
// sample writes: with 0 below and 1 above. It returns nil for anything else, and for values that are plainly of another range.
func (j *job) clipped(spec string) *dataset.Set {
	f, err := os.Open(spec)
	if err != nil {
		return nil
	}
	defer f.Close()
	a, err := npy.NewReader(spec, f, -1)
	if err != nil || a.Kind() != 'f' || len(a.Shape) != 4 || a.Shape[3] != 1 && a.Shape[3] != 3 || a.Shape[0] == 0 {
		return nil
	}
	x, err := npy.ReadAll[float32](a)
	if err != nil {
		return nil
	}
	low, high := float32(math.Inf(1)), float32(math.Inf(-1))
	for _, v := range x {
		if v != v {
			return nil
		}
		low, high = min(low, v), max(high, v)
	}
	if !(low > -1 && high < 2) {
		return nil
	}
	j.report.note(j.messages, "%s: values from %.3g to %.3g are brought into 0 to 1, as a picture has them", cli.Line(spec), low, high)
	return &dataset.Set{Data: kernels.Data{N: a.Shape[0], H: a.Shape[1], W: a.Shape[2], C: a.Shape[3], U8: picture.Bytes(x)},
		Name: "NPY of " + a.Type(), Source: spec, Sum: "clipped"} // no run is trained on such
}

// prepareDraw settles how samples are drawn.
func (j *job) prepareDraw(ctx context.Context, f *modelfile.File) error {
	net := f.Config.Network
	s := &set{spec: j.Operands[0], h: net.Height, w: net.Width, c: net.Channels, n: j.n}
	if s.n == 0 {
		s.n = defaultDrawn
	}
	s.what = fmt.Sprintf("%s, %s%s", net.Net, f.At(), f.Which())
	if net.Vectors() {
		s.floats = []float32{} // they come
	}
	if s.shape() != j.reference.shape() || s.images() != j.reference.images() {
		return fmt.Errorf("samples of %s are %s, and REFERENCE is %s: give data of one size, or bring it there with -size and -channels",
			cli.Line(s.spec), s.shape(), j.reference.shape())
	}
	precision, err := f.Precision(j.device)
	if err != nil {
		return err
	}
	set := preview.SettingsFor(f.Config, f.Sigmas, !f.Ours())
	plan, err := sample.NewPlan(set, f.Sigmas)
	if err != nil {
		return fmt.Errorf("%s: %w", f.Path, err)
	}
	s.drawn = &Drawn{Step: f.Step, Weights: f.Which(), Sampler: set.Sampler, NFE: plan.NFE(), Denoise: set.Denoise, Seed: j.seed,
		Precision: string(precision), Device: share.Working(j.devices, s.n).Name()}
	info, err := model.Describe(net)
	if err != nil {
		return err
	}
	s.drawn.macs = info.MACs
	j.samples = s
	for _, note := range f.Notes {
		j.report.note(j.messages, "%s: %s", f.Path, note)
	}
	j.draw = func() error {
		defer f.Close()
		batch := j.batch
		if batch == 0 {
			batch = preview.BatchFor(net)
		}
		team, err := preview.NewTeam(j.devices, net, precision, f.Sigmas, plan, j.seed, s.n, batch)
		if err != nil {
			return err
		}
		if err := team.LoadFrom(f, f.Prefix()); err != nil {
			return fmt.Errorf("%s: %w", f.Path, err)
		}
		to := j.streams.Err
		if !terminal.Redraws(to) {
			to = io.Discard
		}
		display := progress.New(to)
		defer display.Close()
		nfe, done := max(1, plan.NFE()), preview.NewTally(team.Batches(s.n))
		display.StartSampling(team.Batches(s.n) * nfe)
		x, err := team.Draw(ctx, s.n, func(b preview.Batch) error {
			display.Sampled(done.Set(b.First/team.Batch(), min(nfe, b.NFE)))
			return nil
		})
		if err != nil {
			return err
		}
		if net.Vectors() {
			s.floats = x
		} else {
			s.bytes = picture.Bytes(x)
		}
		return nil
	}
	return nil
}

// openFeatures reads arrays of features.
func (j *job) openFeatures(samples, reference string) (err error) {
	read := func(path, split string, most int) *set {
		if err != nil {
			return nil
		}
		var s *set
		s, err = readFeatures(path, split, most)
		return s
	}
	j.samples, j.reference = read(samples, "all", j.most(j.n)), read(reference, "all", j.most(j.against))
	if j.train != "" {
		j.learned = read(j.train, "learned", math.MaxInt)
	}
	if err != nil {
		return err
	}
	for _, s := range []*set{j.samples, j.learned} {
		if s != nil && s.c != j.reference.c {
			return fmt.Errorf("%s has %s a row, and %s has %d: expected features of one network", cli.Line(s.spec), cli.Count(s.c, "feature"),
				cli.Line(reference), j.reference.c)
		}
	}
	return nil
}

func readFeatures(path, split string, most int) (*set, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read features: %w; expected an NPY array (N, D)", err)
	}
	defer f.Close()
	size := int64(-1)
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
		size = info.Size()
	}
	a, err := npy.NewReader(path, f, size)
	if err != nil {
		return nil, err
	}
	if len(a.Shape) != 2 || a.Shape[0] < fewest || a.Shape[1] < 1 {
		return nil, fmt.Errorf("%s has the shape %s: expected features (N, D), of at least %d images", path, a.ShapeText(), fewest)
	}
	x, err := npy.ReadAll[float32](a)
	if err != nil {
		return nil, err
	}
	for i, v := range x {
		if v-v != 0 {
			return nil, fmt.Errorf("%s: expected finite values, found %v in row %d", path, v, i/a.Shape[1])
		}
	}
	s := &set{spec: path, what: "features", split: split, n: min(a.Shape[0], most), h: 1, w: 1, c: a.Shape[1]}
	for _, row := range eval.Choose(s.n, a.Shape[0], chooseSeed) {
		s.floats = append(s.floats, x[row*s.c:(row+1)*s.c]...)
	}
	return s, nil
}
