// Sigmas: from a data set to the noise of a training on it.

package sigmascmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sigmaz/cmd/internal/cli"
	"sigmaz/cmd/internal/progress"
	"sigmaz/cmd/internal/traincmd"
	"sigmaz/internal/mapped"
	"sigmaz/internal/terminal"
	"sigmaz/kernels"
	"sigmaz/model"
	"sigmaz/train"
	"sigmaz/train/dataset"
)

// New makes the command.
func New() *cli.Command { return newOptions().Command }

// options is what the command line sets.
type options struct {
	*cli.Command
	wish       wish
	preset     string
	ngf, n     int
	reading    train.Config // how data is read
	json, yaml string
	picture    string
	device     cli.Device
}

// sampledRows is how many rows are compared for the median of the distances: 8 million pairs.
const sampledRows = 4000

func newOptions() *options {
	o := &options{n: 64, wish: wish{begin: train.SigmaEnd{Rule: train.RuleData}}}
	o.reading.Seed = train.Presets[0].Config.Seed
	var presets []string
	for _, p := range train.Presets {
		presets = append(presets, p.Name)
	}
	o.Command = &cli.Command{
		Name: "sigmas",
		About: "Looks at a data set and chooses the noise of a training on it: both ends of the ladder from the distances between all pairs, " +
			"the number of levels, T and epsilon. Each line says what a choice rests on; the last one has the flags for train.",
		Args: []cli.Arg{{Name: "DATA", Help: "data as train -data takes it, such as a folder of pictures, glyphs or toy:moons",
			Known: dataset.MadeSpecs()}},
		Groups: []cli.Group{
			{Name: "Noise", Note: "SIGMA is a standard deviation per value, in the units of the data: images are in [0, 1].", Flags: []cli.Flag{
				{Name: "sigma-begin", Arg: "SIGMA", Help: "largest noise: a number, or data: the largest distance", Value: &o.wish.begin,
					Known: []string{train.RuleData}},
				{Name: "sigma-end", Arg: "SIGMA", Help: "smallest noise: a number, data (d_min/(2 sqrt D), for images from 0.004 to 0.03) or " +
					"data-literal (d_min)", Value: &o.wish.end, Default: "the preset's, 0.01 for images",
					Known: []string{train.RuleData, train.RuleLiteral}},
				{Name: "levels", Arg: "L", Unit: "levels", Help: "number of noise levels", Value: &o.wish.levels,
					Default: "by Technique 2; for vectors the preset's"},
				{Name: "T", Arg: "N", Unit: "steps", Help: "Langevin steps at each level", Value: &o.wish.t,
					Default: "the preset's, or the least that is safe"},
				{Name: "nfe", Arg: "N", Unit: "evaluations", Help: "T by a budget: evaluations of the network for a sample of annealed Langevin " +
					"dynamics, at most", Value: &o.wish.nfe, Default: "none"},
			}},
			{Name: "Data", Flags: traincmd.ReadingFlags(&o.reading)},
			{Name: "Network", Note: "What samples cost is measured on it.", Flags: []cli.Flag{
				{Name: "preset", Arg: "NAME", Help: "whose network it is; train -h lists them", Value: &o.preset, Default: "by the data",
					Known: presets},
				{Name: "ngf", Arg: "N", Unit: "channels", Help: "width of the networks for images", Value: &o.ngf, Default: "the preset's"},
				{Name: "n", Arg: "N", Unit: "samples", Help: "how many samples the cost is that of", Value: &o.n},
			}},
			{Name: "Output", Note: "- is standard output; the lines then go to standard error. Files that are there are replaced.", Flags: []cli.Flag{
				{Name: "picture", Arg: "FILE.png", Help: "draw the distances with the ladder, the overlap, an image down the levels and the extreme " +
					"pairs; beside it FILE-stacked.png, how noise makes a Gaussian of the data", Value: &o.picture, Default: "none"},
				{Name: "yaml", Arg: "FILE.yaml", Help: "write the settings for train -config", Value: &o.yaml, Default: "none"},
				{Name: "json", Arg: "FILE", Help: "write all numbers; images are counted from 0", Value: &o.json, Default: "none"},
			}},
			{Name: "Machine", Flags: o.device.Flags("compare the rows and time the network")},
		},
		Examples: []cli.Example{
			{Line: "sigmas data/mnist", What: "the noise for MNIST"},
			{Line: "sigmas data/mnist -nfe 1000 -yaml noise.yaml", What: "T for 1,000 evaluations a sample; then train -config noise.yaml"},
			{Line: "sigmas pictures -size 64 -picture noise.png", What: "pictures of the noise, beside the lines"},
			{Line: "sigmas toy:swissroll -json -", What: "all numbers of points in the plane"},
		},
		Notes:    []string{"Exit codes: 0 done; 1 failed, or a plan that is not stable was asked for; 2 wrong usage; 130 interrupted."},
		Alone:    true,
		Stopping: cli.Stops,
		Check:    o.checkFlags,
		Run:      func(ctx context.Context, s cli.Streams) error { return o.stopped(ctx, look(ctx, o, s)) },
	}
	return o
}

// stopped says that the command was interrupted.
func (o *options) stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return &cli.StoppedError{Text: "interrupted; nothing was written"}
	}
	return err
}

// checkFlags finds what is wrong as far as that is known without the data.
func (o *options) checkFlags() error {
	switch w := &o.wish; {
	case w.begin.Rule == train.RuleLiteral:
		return cli.Usagef("-sigma-begin is %s: expected a number or %q; %[1]s is a rule for -sigma-end", train.RuleLiteral, train.RuleData)
	case w.begin.Rule == "" && model.CheckSigma("sigma-begin", w.begin.Value) != nil:
		return cli.UsageOf(model.CheckSigma("sigma-begin", w.begin.Value))
	case o.Given("sigma-end") && w.end.Rule == "" && model.CheckSigma("sigma-end", w.end.Value) != nil:
		return cli.UsageOf(model.CheckSigma("sigma-end", w.end.Value))
	case w.begin.Rule == "" && o.Given("sigma-end") && w.end.Rule == "" && w.begin.Value <= w.end.Value:
		return cli.UsageOf(model.CheckLadder("", w.begin.Value, w.end.Value, 2))
	case o.Given("levels") && w.levels < 2:
		return cli.Usagef("-levels is %d: expected at least 2 noise levels", w.levels)
	case o.Given("levels") && model.CheckLevels(w.levels) != nil:
		return cli.UsageOf(model.CheckLevels(w.levels))
	case o.Given("T") && model.CheckT(w.t) != nil:
		return cli.UsageOf(model.CheckT(w.t))
	case o.Given("T") && o.Given("nfe"):
		return cli.Usagef("-T and -nfe are both given: -nfe chooses T; leave one of them out")
	case o.Given("nfe") && w.nfe < 1:
		return cli.Usagef("-nfe is %d: expected at least 1 evaluation", w.nfe)
	case o.n < 1:
		return cli.Usagef("-n is %d: expected at least 1 sample", o.n)
	case o.picture != "" && o.picture != cli.Stdout && !strings.EqualFold(filepath.Ext(o.picture), ".png"):
		return cli.Usagef("-picture is %s: expected a name that ends in .png", cli.Line(o.picture))
	}
	if err := o.device.Check(o.Command); err != nil {
		return err
	}
	_, err := o.configuration()
	return cli.UsageOf(err)
}

// configuration returns the settings of a training on the data: a preset's, with what the flags say about the data and
// the network.
func (o *options) configuration() (*train.Config, error) {
	data := o.Operands[0]
	name := o.preset
	if name == "" {
		name = train.DefaultPreset(data)
	}
	preset, err := train.FindPreset(name)
	if err != nil {
		return nil, err
	}
	c := preset.Config
	if ext := strings.ToLower(filepath.Ext(data)); ext == ".npy" || ext == ".npz" {
		c.Reading = dataset.Settings{} // what a preset says about image files
	}
	c.Data, c.Sigma.Begin = data, train.SigmaEnd{Rule: train.RuleData}
	if err := traincmd.CopyReading(&c, &o.reading, o.Given); err != nil {
		return nil, err
	}
	if o.Given("ngf") {
		if c.Network.NGF = o.ngf; !c.Network.Uses("ngf") {
			return nil, cli.Usagef("-ngf is for networks for images, and this is %s: leave it out", c.Network.Net)
		}
	}
	return &c, c.Validate()
}

// beside names the second picture; "" where there is none.
func (o *options) beside() string {
	if o.picture == "" || o.picture == cli.Stdout {
		return ""
	}
	ext := filepath.Ext(o.picture)
	return strings.TrimSuffix(o.picture, ext) + "-stacked" + ext
}

const stackedFlag = "the -stacked.png beside -picture"

// outputs lists the files to be written.
func (o *options) outputs() []cli.Output {
	all := []cli.Output{{Flag: "-picture", Path: o.picture}, {Flag: stackedFlag, Path: o.beside()}, {Flag: "-yaml", Path: o.yaml},
		{Flag: "-json", Path: o.json}}
	return slices.DeleteFunc(all, func(o cli.Output) bool { return o.Path == "" })
}

// open opens the data and shows how far that is. notes are what there is to say about the data, a line each.
func open(ctx context.Context, c *train.Config, display *progress.Display) (set *dataset.Set, notes []string, err error) {
	display.Event(train.Opening{})
	start := time.Now()
	source := c.Source()
	source.Note = func(line string) { notes = append(notes, line) }
	source.Progress = func(done, total int) {
		if total == 0 {
			start = time.Now() // looking at files says nothing about how long reading them takes
		}
		display.Event(train.Reading{Done: done, Total: total, Left: timeLeft(start, int64(done), int64(total))})
	}
	if set, err = source.Open(ctx); err != nil {
		return nil, nil, err
	}
	return set, append(notes, set.Notes...), nil
}

// timeLeft estimates how long the rest takes, when done of total were done since start.
func timeLeft(start time.Time, done, total int64) time.Duration {
	if done == 0 {
		return 0
	}
	return time.Duration(float64(time.Since(start)) * float64(total-done) / float64(done))
}

// look does the work of the command.
func look(ctx context.Context, o *options, s cli.Streams) error {
	outputs := o.outputs()
	if err := cli.CheckDistinct(outputs); err != nil {
		return err
	}
	var inputs []string
	if spec, err := dataset.ParseSpec(o.Operands[0]); err == nil {
		inputs = spec.Paths
	}
	for _, out := range outputs {
		if err := out.Check(s, inputs...); err != nil {
			return err
		}
	}
	c, err := o.configuration()
	if err != nil {
		return err
	}
	b, err := kernels.Open(o.device.GPU, o.device.N, 0)
	if err != nil {
		return err
	}
	defer b.Close()

	// How far it is, is for somebody who looks on: elsewhere the lines and an error stay alone.
	to := s.Err
	if !terminal.Redraws(s.Err) {
		to = io.Discard
	}
	display := progress.New(to)
	defer display.Close()
	set, notes, err := open(ctx, c, display)
	if err != nil {
		return err
	}
	r, w := &Report{}, s.Messages(o.picture, o.yaml, o.json)
	spread, err := r.look(ctx, c, set, b, display)
	if err != nil {
		return err
	}
	display.Close()
	r.printData(w, notes)
	if err := r.choose(c, o.wish, w); err != nil {
		return err
	}
	perSecond, err := measure(b, c, o.device.GPU)
	if err != nil {
		return err
	}
	r.Sampling.Cost = &Cost{Samples: o.n, Network: networkText(c.Network), Device: b.Name(), PerSecond: perSecond,
		Seconds:         float64(o.n*r.Sampling.NFE) / perSecond,
		LangevinSeconds: float64(o.n*r.Langevin.NFE) / perSecond}
	r.printSampling(w)
	r.check(&spread)
	r.Flags = r.flags()
	r.printEnd(w)
	return o.write(r, c, set, &spread, s)
}

// look takes the distances and the moments of the data, and the network's size.
func (r *Report) look(ctx context.Context, c *train.Config, set *dataset.Set, b kernels.Backend, display *progress.Display) (
	spread dataset.Spread, _ error) {
	if err := c.TakeSize(&set.Data); err != nil {
		return spread, flagged(err)
	}
	display.Event(train.Comparing{N: set.N})
	start := time.Now()
	compared := func(done, total int64) {
		display.Event(train.Compared{Done: done, Total: total, Left: timeLeft(start, done, total)})
	}
	var d dataset.Distances
	var err error
	if b.Multiprocessors() > 0 {
		d, err = set.DistancesOn(ctx, b, compared)
	} else {
		d, err = set.Distances(ctx, compared)
	}
	if err != nil {
		return spread, err
	}
	took := time.Since(start)
	if spread, err = set.Spread(ctx, sampledRows); err != nil {
		return spread, err
	}
	r.Data = Data{Spec: c.Data, Name: set.Name, Images: set.U8 != nil, Rows: set.N, Height: set.H, Width: set.W, Channels: set.C,
		D: set.D(), SD: spread.SD, Duplicates: d.Duplicates}
	r.Distances = Distances{Largest: d.Max, Farthest: [2]int{d.Farthest.I, d.Farthest.J}, Smallest: d.Min,
		Nearest: [2]int{d.Nearest.I, d.Nearest.J}, Pairs: d.Pairs, Seconds: took.Seconds(), Device: b.Name(), Sampled: spread.Rows,
		Median: spread.Quantile(0.5), Most: spread.Quantile(0.999)}
	if c.Network.NeedsDataSD() {
		c.Network.DataSD = spread.SD
	}
	return spread, nil
}

// choose makes the design and prints each choice as it is made, so that what can be said is there when one fails.
func (r *Report) choose(c *train.Config, w wish, out io.Writer) error {
	if err := r.chooseLadder(c, w); err != nil {
		return flagged(err)
	}
	r.printLadder(out)
	if err := r.chooseSteps(c, w); err != nil {
		return flagged(err)
	}
	r.printSteps(out)
	if c.Network.Levels = 0; c.Network.NeedsLevels() {
		c.Network.Levels = r.Ladder.Levels
	}
	if err := c.Network.Validate(); err != nil {
		return flagged(err)
	}
	return r.chooseSampler(c)
}

// flagged writes the flag of a setting that an error names, where it is too late for wrong usage.
func flagged(err error) error {
	var usage *cli.UsageError
	if errors.As(cli.UsageOf(err), &usage) {
		return errors.New(usage.Text)
	}
	return err
}

// networkText names a network with its width.
func networkText(c model.Config) string {
	if c.Vectors() {
		return fmt.Sprintf("%s, hidden %d", c.Net, c.Hidden)
	}
	return fmt.Sprintf("%s, ngf %d", c.Net, c.NGF)
}

// file is a file to be written.
type file struct {
	flag, path string
	write      func(w io.Writer) error
}

// write writes the files that were asked for.
func (o *options) write(r *Report, c *train.Config, set *dataset.Set, spread *dataset.Spread, s cli.Streams) (err error) {
	defer mapped.Guard(&err)()
	f := fragment{Preset: o.preset}
	if o.Given("seed") {
		f.Seed = c.Seed
	}
	if o.reading.Reading != (dataset.Settings{}) {
		f.Reading = c.Reading
	}
	files := append(o.drawings(r, newNoisy(set, spread, c.Seed)),
		file{"-yaml", o.yaml, func(w io.Writer) error { return r.yaml(w, f) }}, file{"-json", o.json, r.json})
	for _, f := range files {
		if f.path != "" {
			if err := (cli.Output{Flag: f.flag, Path: f.path}).Write(s, f.write); err != nil {
				return err
			}
		}
	}
	return nil
}
