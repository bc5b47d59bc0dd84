// Sample: from the command line to pictures and arrays.

package samplecmd

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"image/png"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"sigmaz/cmd/internal/cli"
	"sigmaz/cmd/internal/modelfile"
	"sigmaz/cmd/internal/preview"
	"sigmaz/cmd/internal/progress"
	"sigmaz/cmd/internal/share"
	"sigmaz/internal/atomicfile"
	"sigmaz/internal/npy"
	"sigmaz/internal/picture"
	"sigmaz/kernels"
	"sigmaz/model"
	"sigmaz/sample"
	"sigmaz/train"
	"sigmaz/train/dataset"
)

// New makes the command.
func New() *cli.Command { return newOptions().Command }

// options is what the command line sets.
type options struct {
	*cli.Command
	path           string
	n              int
	seed           uint64
	set            sample.Settings
	anyway         bool
	verbose        bool
	batch, workers int
	device         cli.Device

	out, images, npy, csv, gif string

	given   knownOptions
	guide   guideOptions
	classes classOptions
	between betweenOptions
	file    modelfile.Options
}

// newOptions makes the command line, before it is parsed.
func newOptions() *options {
	o := &options{set: sample.Defaults(sample.Langevin, false)}
	run := modelfile.Arg
	run.Default = modelfile.Digits
	o.Command = &cli.Command{
		Name: "sample",
		About: "Draws samples from a trained network and writes a picture of them. " +
			"Sample k is the same for any -n and -batch. Ctrl-C writes the samples that are finished.",
		Args: []cli.Arg{run},
		Groups: []cli.Group{
			{Name: "Samples", Flags: []cli.Flag{
				{Name: "n", Arg: "N", Unit: "samples", Help: "how many to draw", Value: &o.n,
					Default: "64 images, or 2,000 points; one for each of several images that are known in part"},
				{Name: "seed", Arg: "S", Help: "seed of the start and of the noise", Value: &o.seed},
			}},
			{Name: "Weights", Flags: o.file.WeightFlags()},
			{Name: "Sampler", Note: "Each takes the flags that name it, and -sampler -anyway -v are for all.", Flags: []cli.Flag{
				{Name: "sampler", Arg: "NAME", Help: "one of " + strings.Join(sample.SamplerNames(), ", "), Value: &o.set.Sampler,
					Default: sample.Recommended + " for runs of ncsnv2, ncsnv2deeper and ncsnv2deepest, " + sample.RecommendedSeeing +
						" for mlp; langevin for ncsn, for weights of other programs and runs begun by -init or -continue, and with -T, " +
						"-epsilon or -denoise",
					Known: sample.SamplerNames()},
				{Name: "anyway", Help: "take a sampler that does not suit the network, and say how much noise is predicted to stay",
					Value: &o.anyway},
				{Name: "v", Help: "print how much noise a sample of a network that does not see sigma will hold on its way",
					Value: &o.verbose},
				{Name: "nfe", Arg: "N", Unit: "evaluations", Help: "evaluations of the network for a sample, at most; not of langevin and rk45",
					Value: &o.set.NFE, Default: "35; of consistent and pc by the run's levels"},
				{Name: "schedule", Arg: "NAME", Help: "noise levels from sigma_1 to sigma_L: karras, geometric or ladder, the run's own; " +
					"not of langevin and rk45", Value: &o.set.Schedule, Known: sample.Schedules(),
					Default: "karras; of consistent and pc ladder, or with -nfe geometric"},
				{Name: "rho", Arg: "R", Help: "of -schedule karras: how many of the levels are small", Value: &o.set.Rho},
				{Name: "eta", Arg: "E", Help: "of consistent, euler-ancestral, dpm++-2s, dpm++-2m-sde, dpm++-sde, pigdm: how much of the noise is " +
					"drawn anew; 0: none", Value: &o.set.Eta, Default: "by the sampler and the network"},
				{Name: "T", Arg: "T", Unit: "steps", Help: "of langevin: steps at each noise level", Value: &o.set.T, Default: "the run's"},
				{Name: "epsilon", Arg: "E", Help: "of langevin: step size at the last level, in a_i = E sigma_i^2/sigma_L^2; 0: by " +
					"Technique 4 of Song and Ermon 2020", Value: &o.set.Epsilon, Default: "the run's; with another -T than the run's, 0"},
				{Name: "denoise", Help: "of langevin, consistent, rk45: end with the step x + sigma_L^2 s(x, sigma_L); -denoise=false " +
					"leaves it out", Value: &o.set.Denoise, Default: "of langevin the run's"},
				{Name: "predictor", Arg: "NAME", Help: "of pc: reverse (diffusion), ancestral or em (Euler-Maruyama)",
					Value: &o.set.Predictor, Known: sample.Predictors()},
				{Name: "corrector-steps", Arg: "N", Unit: "steps", Help: "of pc: Langevin steps before each predictor",
					Value: &o.set.CorrectorSteps},
				{Name: "snr", Arg: "S", Help: "of pc: size of the corrector's steps, the ratio of signal to noise", Value: &o.set.SNR},
				{Name: "churn", Arg: "C", Help: "of euler and heun: noise added before the steps, over the run; 0: none", Value: &o.set.Churn},
				{Name: "churn-min", Arg: "SIGMA", Help: "of -churn: no noise below this level", Value: &o.set.ChurnMin},
				{Name: "churn-max", Arg: "SIGMA", Help: "of -churn: no noise above this level", Value: &o.set.ChurnMax, Default: "no bound"},
				{Name: "churn-noise", Arg: "F", Help: "of -churn: factor of that noise", Value: &o.set.ChurnNoise},
				{Name: "tolerance", Arg: "TOL", Help: "of rk45: error of a step, relative and absolute", Value: &o.set.Tolerance},
			}},
			{Name: "Known parts", Note: "Samples of which something is known, y = A x + noise: docs/known-parts.md.", Flags: o.knownFlags()},
			{Name: "From an image", Flags: o.guideFlags()},
			{Name: "Classes", Note: "Of networks that are told the class of a sample: docs/classes.md.", Flags: o.classFlags()},
			{Name: "Between two samples", Flags: o.betweenFlags()},
			{Name: "Output", Note: "Files that are there already are replaced, once the new ones are whole. - stands for standard output.", Flags: []cli.Flag{
				{Name: "o", Arg: "FILE.png", Help: "picture of all samples; for points in the plane two more beside it, " +
					"FILE-fields.png and FILE-noise.png, show the score", Value: &o.out, Default: "RUN/samples/sample-STEP-seedS.png; " +
					"of digits and of files in this folder"},
				{Name: "images", Arg: "DIR", Help: "new or empty folder for every sample as a PNG of its own, 00000.png on",
					Value: &o.images},
				{Name: "npy", Arg: "FILE", Help: "the samples for numpy.load: images (N, H, W, C) as float32, not clamped; " +
					"vectors (N, D), as float64 in the data's own units where training standardised them", Value: &o.npy},
				{Name: "csv", Arg: "FILE", Help: "vectors as a table in the data's own units, with its columns' names",
					Value: &o.csv},
				{Name: "gif", Arg: "FILE", Help: "the annealing as a film; with -interpolate the frames", Value: &o.gif},
			}},
			o.file.Group(),
			{Name: "Machine", Flags: append(o.device.Flags("run"),
				o.device.GPUsFlag("samples"),
				o.device.PrecisionFlag("the run's"),
				cli.Flag{Name: "batch", Arg: "B", Unit: "samples", Help: "samples drawn together; the result does not depend on it",
					Value: &o.batch, Default: "by the image size"},
				cli.Flag{Name: "workers", Arg: "W", Unit: "goroutines",
					Help: "worker goroutines on the CPU, which change no result; 0: one a core", Value: &o.workers})},
		},
		Examples: []cli.Example{
			{Line: "sample digits", What: "handwritten digits, by the model that is in the program; sample alone does the same"},
			{Line: "sample runs/glyphs-1", What: "64 new images, as one picture in the run's folder"},
			{Line: "sample runs/glyphs-1 -n 100 -seed 7 -images out -gif out.gif",
				What: "others: each as a PNG, and a film of how they came to be"},
			{Line: "sample runs/glyphs-1/checkpoints/step-0009000.safetensors -raw -o raw.png",
				What: "from one checkpoint, with its raw weights"},
			{Line: "sample checkpoint_300000.pth -net ncsnv2 -size 32",
				What: "from a checkpoint of the original repository, with its moving average"},
			{Line: "sample runs/glyphs-1 -known digit.png -mask half.png -mean mean.png",
				What: "what may stand where the mask is black, and the mean of it"},
			{Line: "sample runs/glyphs-1 -interpolate 0:5 -frames 24 -gif film.gif", What: "from one sample to another"},
			{Line: "sample runs/swissroll-1 -n 10000 -npy points.npy", What: "numbers for numpy.load"},
			{Line: "sample runs/iris-1 -n 500 -csv new.csv", What: "rows like those of the table that was learned"},
		},
		Notes: []string{"Exit codes: 0 done; 1 failed, or interrupted after the finished samples were written; " +
			"2 wrong usage; 130 quit by a second Ctrl-C."},
		Alone:    true,
		Stopping: cli.Stops,
		Unread:   cli.GoesOn, // the files are written all the same
		Check:    o.checkFlags,
		Run:      func(ctx context.Context, s cli.Streams) error { return draw(ctx, o, s) },
	}
	return o
}

// checkFlags finds what is wrong as far as that is known without the checkpoint.
func (o *options) checkFlags() error {
	o.path = o.Operands[0]
	bad := func(name string, v any, expected string) error {
		return cli.Usagef("-%s is %v: expected %s", name, v, expected)
	}
	switch {
	case o.Given("n") && o.n < 1:
		return bad("n", o.n, "at least 1 sample")
	case o.n > math.MaxInt32:
		return bad("n", o.n, fmt.Sprintf("at most %d samples; draw more with other seeds", math.MaxInt32))
	case o.Given("batch") && o.batch < 1:
		return bad("batch", o.batch, "at least 1 sample at a time")
	case o.Given("o") && o.out != cli.Stdout && !strings.EqualFold(filepath.Ext(o.out), ".png"):
		return bad("o", o.out, "a file name that ends in .png, or - for standard output")
	case o.Given("gif") && o.gif != cli.Stdout && !strings.EqualFold(filepath.Ext(o.gif), ".gif"):
		return bad("gif", o.gif, "a file name that ends in .gif, or - for standard output")
	case o.images == cli.Stdout:
		return bad("images", o.images, "a folder: one stream holds no folder")
	}
	if o.Given("T") {
		if err := model.CheckT(o.set.T); err != nil {
			return cli.UsageOf(err)
		}
	}
	if err := model.CheckEpsilon(o.set.Epsilon); err != nil {
		return cli.UsageOf(err)
	}
	if err := o.set.Check(); err != nil {
		return cli.UsageOf(err)
	}
	if err := o.checkGuide(); err != nil {
		return err
	}
	if err := o.checkKnown(); err != nil {
		return err
	}
	if _, err := o.guidance(); err != nil {
		return err
	}
	if err := o.checkBetween(); err != nil {
		return err
	}
	if o.chooseLangevin() {
		if err := o.checkSampler(); err != nil {
			return err
		}
	}
	if err := o.file.Check(); err != nil {
		return err
	}
	if err := cli.CheckWorkers(o.workers); err != nil {
		return err
	}
	return o.device.Check(o.Command)
}

// job is what a checkpoint and the flags ask for.
type job struct {
	*options
	streams cli.Streams
	in      *modelfile.File // the checkpoint
	cfg     *train.Config
	sigmas  model.Ladder
	plan    *sample.Plan
	stays   float64               // predicted noise that stays in a sample, as a multiple of sigma_L; 0: none is predicted
	unfit   error                 // why the sampler should not be used
	chosen  bool                  // the sampler is the default, and it is another than it was once
	known   []*sample.Measurement // what is known of samples, of each in turn
	cells   [][]string            // of bounded columns and categories what is known as it was given, "" where nothing is; likewise
	truth   [][]float64           // the whole images, where they are given
	passed  []string              // columns of -known that the run has not learned
	begin   []float32             // the image that samples begin at, in the network's units; nil: none
	classes []uint32              // of the samples, in turn; none: the network is told none
	mixed   *sample.Guidance      // by the class; nil: none
	n       int
	out     string // the picture
}

// plan reads the checkpoint and settles every choice.
func plan(o *options, s cli.Streams) (*job, error) {
	in, err := modelfile.Open(o.path, &o.file, o.Command)
	if err != nil {
		return nil, err
	}
	j := &job{options: o, streams: s, in: in, cfg: in.Config, sigmas: in.Sigmas}
	if err := j.settle(); err != nil {
		in.Close()
		return nil, err
	}
	return j, nil
}

// settle fills in every choice that the command line left open.
func (j *job) settle() error {
	o := j.options
	if j.cfg.Scaler != nil {
		if err := j.cfg.Scaler.Check(j.cfg.Network.D()); err != nil {
			return fmt.Errorf("%s: %w", j.in.Path, err)
		}
	}
	if err := j.checkLevel(); err != nil {
		return err
	}
	if err := j.settleSampler(); err != nil {
		return err
	}
	if err := j.settleGuide(); err != nil {
		return err
	}

	if err := j.settleKnown(); err != nil {
		return err
	}
	if err := j.settleClasses(); err != nil {
		return err
	}
	if j.n = o.n; j.n == 0 {
		if j.n = j.sampleCount(); len(j.known) > 1 {
			j.n = len(j.known)
		}
	}
	if o.guide.denoise != "" {
		j.n = 1
	}
	if err := j.settleBetween(); err != nil {
		return err
	}
	if err := j.checkMoments(); err != nil {
		return err
	}
	if int64(j.n)*int64(j.cfg.Network.D()) > math.MaxInt32 {
		return fmt.Errorf("-n is %d: expected at most %d samples of %d values, which are held in memory; "+
			"draw more with other seeds", j.n, math.MaxInt32/j.cfg.Network.D(), j.cfg.Network.D())
	}
	if j.out = o.out; j.out == "" {
		of := fmt.Sprintf("%07d", j.in.Step)
		if !j.in.Stepped || j.in.BuiltIn {
			base := filepath.Base(j.in.Path)
			of = strings.TrimSuffix(base, filepath.Ext(base))
		}
		name := fmt.Sprintf("sample-%s-seed%d.png", of, o.seed)
		if o.between.ends != "" {
			name = fmt.Sprintf("between-%s-seed%d-%d-%d.png", of, o.seed, o.between.a, o.between.b)
		}
		if j.in.Folder != "" {
			name = filepath.Join(o.path, "samples", name)
		}
		j.out = name
	}
	return j.check()
}

// vectors tells whether samples are vectors, not images.
func (j *job) vectors() bool { return j.cfg.Network.Vectors() }

// plane tells whether samples are points in the plane.
func (j *job) plane() bool { return j.vectors() && j.cfg.Network.D() == 2 }

// beside names a further picture after the first: a.png gives a-fields.png.
func (j *job) beside(what string) string {
	ext := filepath.Ext(j.out)
	return strings.TrimSuffix(j.out, ext) + "-" + what + ext
}

// outputs lists every file to be written but those of -images.
func (j *job) outputs() []cli.Output {
	o := "-o"
	if !j.Given("o") {
		o = "the default of -o"
	}
	all := []cli.Output{{Flag: o, Path: j.out}, {Flag: "-npy", Path: j.npy}, {Flag: "-csv", Path: j.csv},
		{Flag: "-gif", Path: j.gif}, {Flag: "-mean", Path: j.given.mean}, {Flag: "-deviation", Path: j.given.deviation}}
	if j.fields() {
		all = append(all, cli.Output{Flag: "the -fields.png beside " + o, Path: j.beside("fields")})
		if len(j.sigmas) >= 3 {
			all = append(all, cli.Output{Flag: "the -noise.png beside " + o, Path: j.beside("noise")})
		}
	}
	return slices.DeleteFunc(all, func(o cli.Output) bool { return o.Path == "" })
}

// fields tells whether the score of points in the plane is drawn too, which needs a name to stand beside.
// They are of one class, and left out where several are drawn.
func (j *job) fields() bool { return j.plane() && j.out != cli.Stdout && len(j.classes) < 2 }

// check finds now what would keep the results from being written later.
func (j *job) check() error {
	if j.gif != "" && j.between.ends == "" && j.plan.Adaptive() {
		return fmt.Errorf("-gif: %s chooses its steps as it goes, for each sample its own: there are no noise levels to show; "+
			"leave it out, or use another -sampler", j.plan.Settings.Sampler)
	}
	if j.gif != "" && j.vectors() && !j.plane() {
		return fmt.Errorf("-gif: expected images or points in the plane, found samples of %d values; leave it out",
			j.cfg.Network.D())
	}
	if j.csv != "" && !j.vectors() {
		return errors.New("-csv: images are no rows of a table; leave it out, or write them with -npy FILE")
	}
	if j.images != "" && j.vectors() {
		return errors.New("-images: points have no images; leave it out, or write them with -npy FILE")
	}
	outputs := j.outputs()
	if err := cli.CheckDistinct(outputs); err != nil {
		return err
	}
	if j.out != "" && !j.Given("o") {
		if err := os.MkdirAll(filepath.Dir(j.out), 0o777); err != nil {
			return fmt.Errorf("cannot make the folder for the picture: %w; choose another place with -o FILE.png", err)
		}
	}
	if j.images != "" {
		if err := os.MkdirAll(j.images, 0o777); err != nil {
			return fmt.Errorf("cannot make the folder of -images: %w; choose another", err)
		}
		entries, err := os.ReadDir(j.images)
		if err != nil {
			return fmt.Errorf("cannot read the folder of -images: %w; choose another", err)
		}
		if len(entries) > 0 {
			return fmt.Errorf("-images %s is not empty: expected a new or empty folder, so that no older image is mixed in; "+
				"choose another or empty it", j.images)
		}
		if err := atomicfile.CheckWritable(filepath.Join(j.images, "00000.png")); err != nil {
			return err
		}
	}
	inputs := []string{j.in.Path}
	if spec, err := dataset.ParseSpec(j.cfg.Data); err == nil {
		inputs = append(inputs, spec.Paths...)
	}
	inputs = append(inputs, j.given.inputs()...)
	for _, path := range []string{j.guide.denoise, j.guide.from} {
		if path != "" {
			inputs = append(inputs, path)
		}
	}
	for _, o := range outputs {
		if err := o.Check(j.streams, inputs...); err != nil {
			return err
		}
	}
	return nil
}

// draw does the work of the command: it opens the checkpoint, draws and writes.
func draw(ctx context.Context, o *options, streams cli.Streams) error {
	stdout, stderr := streams.Messages(o.out, o.npy, o.csv, o.gif, o.given.mean, o.given.deviation),
		streams.Err
	devices, err := o.device.Open(o.workers)
	if err != nil {
		return err
	}
	defer devices.Close()
	j, err := plan(o, streams)
	if err != nil {
		return err
	}
	devices = share.Working(devices, j.n)
	precision, err := j.in.Precision(o.device)
	if err != nil {
		return err
	}
	net := j.cfg.Network
	if o.Defaulted(0) {
		fmt.Fprintf(stdout, "no RUN given: %s is taken; sample runs/NAME draws from a run of yours\n", o.path)
	}
	for _, note := range j.in.Notes {
		fmt.Fprintf(stdout, "%s: %s\n", j.in.Path, note)
	}
	fmt.Fprintf(stdout, "%s: %s%s, %dx%dx%d, %s, on %s\n", j.in.Path, j.in.At(), net.Net, net.Height, net.Width,
		net.Channels, j.in.Which(), devices.Name())
	if o.guide.denoise != "" {
		return j.denoiseImage(devices, precision, stdout, stderr)
	}
	fmt.Fprintln(stdout, j.says()+j.saysClasses())
	if j.guide.from != "" {
		fmt.Fprintf(stdout, "from %s with noise of level %d, sigma %.3g\n", j.guide.from, j.guide.level, j.sigmas[j.guide.level])
	}
	if o.between.ends != "" {
		fmt.Fprintln(stdout, j.saysBetween())
	}
	if j.chosen {
		fmt.Fprintln(stdout, j.choice())
	}
	if len(j.known) > 0 {
		fmt.Fprintln(stdout, j.saysKnown())
	}
	for _, w := range j.warnings() {
		fmt.Fprintf(stderr, "warning: %s\n", w)
	}
	if o.verbose {
		j.writeResiduals(stdout)
	}

	team, err := j.team(devices, precision)
	if err != nil {
		return err
	}
	p := progress.New(stderr)
	p.StartSampling(team.Batches(j.n) * j.work())
	film := newFilm(j, team[0])
	start := time.Now()
	worked, nfe := preview.NewTally(team.Batches(j.n)), preview.NewTally(team.Batches(j.n)) // for the progress; evaluations
	x, err := team.Draw(ctx, j.n, func(b preview.Batch) error {
		batch := b.First / team.Batch()
		nfe.Set(batch, b.NFE)
		p.Sampled(worked.Set(batch, j.worked(b)))
		return film.record(b)
	})
	p.Close()
	drawn := len(x) / net.D()
	if err != nil && !(errors.Is(err, context.Canceled) && drawn > 0) {
		if errors.Is(err, context.Canceled) {
			return errors.New("interrupted before any sample was finished: nothing was written")
		}
		return err
	}
	interrupted := err != nil
	took := time.Since(start)
	fmt.Fprintf(stdout, "%s in %s, %.3g evaluations a second", cli.Count(drawn, "sample"), took.Round(10*time.Millisecond),
		float64(nfe.Sum*team.Batch())/took.Seconds())
	if j.plan.Adaptive() {
		fmt.Fprintf(stdout, ", up to %d a sample", slices.Max(nfe.Of))
	}
	fmt.Fprintln(stdout)
	if err := j.write(team[0], x, film, stdout, stderr); err != nil {
		return err
	}
	if interrupted {
		return fmt.Errorf("interrupted: %s finished and written, %d missing", cli.Count(drawn, "sample"), j.n-drawn)
	}
	return nil
}

// team makes the job's samplers, of the weights that were given, whose file it closes.
func (j *job) team(devices cli.Devices, precision kernels.Precision) (preview.Team, error) {
	batch := j.batch
	if batch == 0 {
		batch = preview.BatchFor(j.cfg.Network)
	}
	team, err := preview.NewTeam(devices, j.cfg.Network, precision, j.sigmas, j.plan, j.seed, j.n, batch)
	if err != nil {
		return nil, err
	}
	if err := team.LoadFrom(j.in, j.in.Prefix()); err != nil {
		return nil, fmt.Errorf("%s: %w", j.in.Path, err)
	}
	for _, s := range team {
		s.Guide, s.Classes = j.begin, j.classes
	}
	return team, j.in.Close()
}

// denoiseImage takes the noise off an image and writes it.
func (j *job) denoiseImage(devices cli.Devices, precision kernels.Precision, stdout, stderr io.Writer) error {
	team, err := j.team(devices, precision)
	if err != nil {
		return err
	}
	s := team[0]
	fmt.Fprintf(stdout, "%s without noise of sigma %g, by one evaluation of the network\n", j.guide.denoise, j.guide.sigma)
	x, err := s.Denoised(j.begin, j.sigmaOfNoise(), j.sigmas.Nearest(j.sigmaOfNoise()))
	if err != nil {
		return err
	}
	return j.write(s, x, newFilm(j, s), stdout, stderr)
}

// gridMax is how many images the picture shows at most: more cannot be looked at in one.
const gridMax = 400

// write writes everything that was asked for, the numbers first.
func (j *job) write(s *preview.Sampler, x []float32, film *film, stdout, stderr io.Writer) error {
	net := j.cfg.Network
	say := func(path, what string) { fmt.Fprintf(stdout, "%s: %s\n", cli.Output{Path: path}, what) }
	put := func(path string, write func(io.Writer) error) error {
		return cli.Output{Path: path}.Write(j.streams, write)
	}
	n := len(x) / net.D()
	channels := picture.ChannelsText(net.Channels)
	if channels != "" {
		channels = ", " + channels
	}
	if j.npy != "" {
		shape, kind := []int{n, net.Height, net.Width, net.Channels}, "float32"
		if j.vectors() {
			shape = []int{n, net.D()}
		}
		if err := put(j.npy, func(w io.Writer) error {
			if s := j.cfg.Scaler; s != nil { // float32 would lose a small spread about a large mean
				kind = "float64"
				shape[1] = s.Fields()
				return npy.Write(w, shape, s.Decode(x))
			}
			return npy.Write(w, shape, x)
		}); err != nil {
			return err
		}
		say(j.npy, fmt.Sprintf("the samples, %s %v%s", kind, shape, j.units()))
	}
	if j.csv != "" {
		if err := put(j.csv, func(w io.Writer) error { return j.table(w, x) }); err != nil {
			return err
		}
		columns := j.fieldCount() + min(1, len(j.classes))
		say(j.csv, fmt.Sprintf("a table of %s and %s%s", cli.Count(n, "row"), cli.Count(columns, "column"), j.units()))
	}
	if j.images != "" {
		if err := picture.WriteImages(j.images, preview.Images(net, x), 0); err != nil {
			return err
		}
		say(j.images, cli.Count(n, "image")+channels)
	}
	if err := j.writeMoments(x, stdout, func(path string, m picture.Images) error {
		return put(path, func(w io.Writer) error { return png.Encode(w, picture.Grid(m, 0, 0)) })
	}); err != nil {
		return err
	}
	var data []float32
	if j.vectors() {
		data = j.data(stderr)
	}
	shown := x
	if !j.vectors() && n > gridMax {
		shown = x[:gridMax*net.D()]
	}
	img, err := preview.Picture(net, shown, data, j.coordinateNames(), len(j.classes))
	if err != nil {
		return err
	}
	if j.between.ends != "" && !j.vectors() {
		img = picture.Grid(preview.Images(net, shown), n, 0)
	}
	if err := put(j.out, func(w io.Writer) error { return png.Encode(w, img) }); err != nil {
		return err
	}
	switch {
	case j.vectors():
		what := "data and samples"
		if data == nil {
			what = "the samples"
		}
		if d := net.D(); d > picture.MatrixColumns {
			what += fmt.Sprintf(", the first %d of %d columns", picture.MatrixColumns, d)
		}
		if j.cfg.Scaler != nil {
			what += ", standardised"
		}
		say(j.out, what+j.saysRows(0))
	case j.between.ends != "":
		say(j.out, "the frames in a row"+channels)
	case len(shown) < len(x):
		say(j.out, fmt.Sprintf("grid of the first %d samples%s%s", gridMax, j.saysRows(gridMax), channels))
	default:
		say(j.out, "grid of the samples"+j.saysRows(n)+channels)
	}
	if j.gif != "" {
		frames, what := j.framesBetween(x), "the frames as a film"
		if j.between.ends == "" {
			if frames, err = film.frames(n, data); err != nil {
				return err
			}
			what = "the annealing"
		}
		if err := put(j.gif, func(w io.Writer) error { return picture.WriteGIF(w, frames, !j.vectors()) }); err != nil {
			return err
		}
		say(j.gif, what)
	}
	if j.fields() {
		over := data
		if over == nil {
			over = x
		}
		img, err := s.Fields(over)
		if err != nil {
			return err
		}
		if err := picture.WritePNG(j.beside("fields"), img); err != nil {
			return err
		}
		say(j.beside("fields"), "the learned score field, level by level")
		if len(j.sigmas) >= 3 {
			if img, err = s.TooLittleTooMuch(over); err != nil {
				return err
			}
			if err := picture.WritePNG(j.beside("noise"), img); err != nil {
				return err
			}
			say(j.beside("noise"), "the same field under too little, enough and too much noise")
		}
	}
	return nil
}

// names returns the names of the columns of vectors, nil where they have none.
func (j *job) names() []string {
	if j.cfg.Scaler == nil || len(j.cfg.Scaler.Columns) == 0 {
		return nil
	}
	return j.cfg.Scaler.Columns
}

// coordinateNames returns the names of the values of vectors, nil where they have none.
func (j *job) coordinateNames() []string {
	if j.cfg.Scaler == nil {
		return nil
	}
	return j.cfg.Scaler.CoordinateNames()
}

// fieldCount is the number of columns of the table that samples are written as.
func (j *job) fieldCount() int {
	if j.cfg.Scaler == nil {
		return j.cfg.Network.D()
	}
	return j.cfg.Scaler.Fields()
}

// units says in which units numbers are written.
func (j *job) units() string {
	switch white := j.cfg.Reading.White; {
	case j.cfg.Scaler == nil && white != "":
		return ", where 1 is the value " + white + " of the data"
	case j.cfg.Scaler == nil:
		return ""
	}
	return ", in the data's own units"
}

// table writes vectors as CSV, with a header where the data has names for its columns.
func (j *job) table(w io.Writer, x []float32) error {
	out := csv.NewWriter(w)
	s := j.cfg.Scaler
	if s == nil {
		s = dataset.NoScaler(j.cfg.Network.D())
	}
	labelled := len(j.classes) > 0 // a column of them comes last
	if len(s.Columns) > 0 {
		header := s.Columns
		if labelled {
			header = append(slices.Clone(header), j.labelColumn())
		}
		if err := writeRow(w, out, header); err != nil {
			return err
		}
	}
	fields := s.Table()
	d := len(fields)
	values, row, digits := s.Decode(x), make([]string, d), make([]int, d)
	for k, f := range fields { // the nine of float32, in which samples are drawn, and as many as the mean is above the spread
		digits[k] = 9
		if f.Encoding == nil {
			digits[k] = min(17, 9+int(max(0, math.Ceil(math.Log10(max(1, math.Abs(s.Mean[f.At])/s.SD[f.At]))))))
		}
	}
	for i := 0; len(values) >= d; i, values = i+1, values[d:] {
		for k, v := range values[:d] {
			if n := len(j.cells); n > 0 && j.cells[i%n][k] != "" { // a bounded number near an end would become that end
				row[k] = j.cells[i%n][k]
				continue
			}
			if fields[k].Category() {
				row[k] = fields[k].Encoding.Categories[int(v)]
				continue
			}
			row[k] = strconv.FormatFloat(v, 'g', digits[k], 64)
		}
		if labelled {
			row = append(row[:d], j.className(i))
		}
		if err := writeRow(w, out, row); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// writeRow writes a row to out, which writes to w. A first cell that begins with # is put in quotes: it would be a comment.
func writeRow(w io.Writer, out *csv.Writer, row []string) error {
	if !strings.HasPrefix(row[0], "#") {
		return out.Write(row)
	}
	out.Flush()
	end := "\n"
	if len(row) > 1 {
		end = ","
	}
	if _, err := io.WriteString(w, `"`+strings.ReplaceAll(row[0], `"`, `""`)+`"`+end); err != nil || len(row) == 1 {
		return err
	}
	return out.Write(row[1:])
}

// shownData is how many points of the data are drawn.
const shownData = 2000

// data reads points of the run's data to show. Where it cannot be read any more it warns and returns nil.
func (j *job) data(stderr io.Writer) []float32 {
	set, err := j.cfg.Source().Open(context.Background())
	d := j.cfg.Network.D()
	if err == nil && (set.F32 == nil || set.D() != d) {
		err = fmt.Errorf("%s holds no vectors of %d values", j.cfg.Data, d)
	}
	if err != nil {
		fmt.Fprintf(stderr, "warning: the pictures go without the data: %v\n", err)
		return nil
	}
	var points []float32
	for i := 0; i < set.N && len(points) < d*shownData; i++ {
		if set.Labels == nil || j.draws(set.Label(i)) {
			points = append(points, set.Floats(i)...)
		}
	}
	return points
}
