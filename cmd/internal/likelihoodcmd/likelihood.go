// Likelihood: from a run and data to the mean log density.

package likelihoodcmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"sigmaz/cmd/internal/cli"
	"sigmaz/cmd/internal/modelfile"
	"sigmaz/cmd/internal/preview"
	"sigmaz/cmd/internal/share"
	"sigmaz/internal/setting"
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
	set            sample.LikelihoodSettings
	split, json    string
	n              int
	batch, workers int
	device         cli.Device
	file           modelfile.Options
}

// The parts of a run's own data.
const (
	heldOut  = "held-out"
	training = "train"
	all      = "all"
)

func newOptions() *options {
	o := &options{set: sample.DefaultLikelihood(1), n: 1000}
	o.set.Probe, o.set.Probes = "", 0
	parts := []string{heldOut, training, all}
	o.Command = &cli.Command{
		Name: "likelihood",
		About: "Computes how probable data is under a network that is told sigma: the mean log density of the rows, in nats, by " +
			"the probability flow ODE. It is the density of data with noise sigma_L, the ladder's last. Compare networks of " +
			"one sigma_L on the same rows.",
		Args: []cli.Arg{modelfile.Arg, {Name: "DATA", Help: "data as the network was trained on: images as train -data takes them, " +
			"toy:NAME, a table (CSV) or an NPY array of vectors; it is read, and vectors standardised, as the run's own data was"}},
		Groups: []cli.Group{
			{Name: "Weights", Flags: o.file.WeightFlags()},
			{Name: "Rows", Flags: []cli.Flag{
				{Name: "n", Arg: "N", Unit: "rows", Help: "the first rows to take, at most; 0: all", Value: &o.n},
				{Name: "split", Arg: "PART", Help: "of the run's own data: " + strings.Join(parts, ", "),
					Value: cli.Choice{To: &o.split, Words: parts}, Known: parts,
					Default: "held-out where the run holds rows out, else all"},
			}},
			{Name: "Method", Flags: []cli.Flag{
				{Name: "probe", Arg: "NAME", Help: "the trace of ds/dx: exact, with D products an evaluation, or an estimate from " +
					"rademacher (random signs) or hadamard (orthogonal ones)",
					Value: cli.Choice{To: &o.set.Probe, Words: sample.Probes()}, Known: sample.Probes(),
					Default: "exact up to 64 values, else hadamard"},
				{Name: "probes", Arg: "N", Help: "probes of each row, for an estimate", Value: &o.set.Probes, Default: "4"},
				{Name: "tolerance", Arg: "TOL", Help: "of the adaptive Runge-Kutta method, relative and absolute",
					Value: &o.set.Tolerance},
				{Name: "seed", Arg: "SEED", Help: "of the probes; row k has the same at any -n and -batch", Value: &o.set.Seed},
			}},
			{Name: "Output", Flags: []cli.Flag{
				{Name: "json", Arg: "FILE", Help: "write the numbers, and those of each row, to this file as well; one that is " +
					"there is replaced", Value: &o.json},
			}},
			o.file.Group(),
			{Name: "Machine", Flags: append(o.device.Flags("run"),
				o.device.GPUsFlag("rows"),
				cli.Flag{Name: "batch", Arg: "B", Unit: "rows", Help: "rows that go through the network together", Value: &o.batch,
					Default: "by their size"},
				cli.Flag{Name: "workers", Arg: "W", Unit: "goroutines",
					Help: "worker goroutines on the CPU, which change no result; 0: one a core", Value: &o.workers})},
		},
		Examples: []cli.Example{
			{Line: "likelihood runs/moons-1 toy:moons", What: "the points that the training held out"},
			{Line: "likelihood runs/iris-1 new.csv -json new.json", What: "rows of another table with the same columns"},
			{Line: "likelihood runs/moons-1 toy:moons -split train -n 0 -probe rademacher -probes 1",
				What: "all rows that it was trained on, with one product an evaluation"},
		},
		Notes: []string{"Networks that do not see sigma (ncsnv2 without -parameterization edm or -sde vp) or know it only as a level " +
			"(ncsn) have no likelihood.",
			"Exit codes: 0 done; 1 failed or interrupted; 2 wrong usage; 130 quit by a second Ctrl-C."},
		Alone:    true,
		Stopping: cli.Stops,
		Check:    o.checkFlags,
		Run:      func(ctx context.Context, s cli.Streams) error { return likelihood(ctx, o, s) },
	}
	return o
}

// checkFlags finds what is wrong as far as that is known without the files.
func (o *options) checkFlags() error {
	switch {
	case o.n < 0:
		return cli.Usagef("-n is %d: expected a number of rows, or 0 for all", o.n)
	case o.Given("batch") && o.batch < 1:
		return cli.Usagef("-batch is %d: expected at least 1 row at a time", o.batch)
	case o.Given("probes") && o.set.Probe == "":
		return cli.Usagef("-probes is for estimates: expected -probe rademacher or hadamard beside it")
	}
	set := o.set // the number of values is not known yet
	if set.Probes == 0 && !o.Given("probes") {
		set.Probes = 1
	}
	if err := set.Check(math.MaxInt32); err != nil {
		return cli.UsageOf(err)
	}
	if err := o.file.Check(); err != nil {
		return err
	}
	if err := cli.CheckWorkers(o.workers); err != nil {
		return err
	}
	return o.device.Check(o.Command)
}

// settle fills in what the command line left open, for rows of d values.
func (o *options) settle(d int) error {
	usual := sample.DefaultLikelihood(d)
	switch {
	case o.set.Probe == "":
		o.set.Probe, o.set.Probes = usual.Probe, usual.Probes
	case o.set.Probe == sample.ExactTrace:
		o.set.Probes = 1
	case !o.Given("probes"):
		o.set.Probes = min(4, max(1, d))
	}
	return cli.UsageOf(o.set.Check(d))
}

// Report is what -json writes.
type Report struct {
	Run     string  `json:"run"`
	Step    uint64  `json:"step"`
	Weights string  `json:"weights"`
	Data    string  `json:"data"`
	Split   string  `json:"split"`
	Rows    int     `json:"rows"`
	Values  int     `json:"values"`
	Nats    float64 `json:"nats"`

	BitsPerDim *float64 `json:"bits_per_dim,omitempty"` // of images of 8 bits

	OfRows    *float64  `json:"standard_error_rows,omitempty"`
	OfProbes  *float64  `json:"standard_error_probes,omitempty"`
	Probe     string    `json:"probe"`
	Probes    int       `json:"probes"`
	Seed      uint64    `json:"seed"`
	NFE       int       `json:"nfe"`
	Tolerance float64   `json:"tolerance"`
	SigmaL    float64   `json:"sigma_end"`
	Sigma1    float64   `json:"sigma_begin"`
	Device    string    `json:"device"`
	Seconds   float64   `json:"seconds"`
	LogP      []float64 `json:"log_p"`
}

// likelihood does the work of the command.
func likelihood(ctx context.Context, o *options, s cli.Streams) error {
	messages, out := s.Messages(o.json), cli.Output{Flag: "-json", Path: o.json}
	if o.json != "" {
		if err := out.Check(s, o.Operands...); err != nil {
			return err
		}
	}
	f, err := modelfile.Open(o.Operands[0], &o.file, o.Command)
	if err != nil {
		return err
	}
	defer f.Close()
	net := f.Config.Network
	if err := sample.JudgeLikelihood(net, f.Sigmas); err != nil {
		return fmt.Errorf("%s: %w", f.Path, err)
	}
	if f.Config.Scaler != nil {
		if err := f.Config.Scaler.Check(net.D()); err != nil {
			return fmt.Errorf("%s: %w", f.Path, err)
		}
		if f.Config.Scaler.HasCategories() {
			return fmt.Errorf("%s: the run's table has categories, whose values have no density: expected a run on numbers", f.Path)
		}
	}
	if err := o.settle(net.D()); err != nil {
		return err
	}
	set, split, err := o.open(ctx, f.Config)
	if err != nil {
		return err
	}
	if set.Masks != nil {
		return fmt.Errorf("%s has missing cells: expected whole rows, which have a likelihood; fill them in with sample %s -known TABLE.csv",
			cli.Line(o.Operands[1]), cli.Shell(o.Operands[0]))
	}
	rows := set.N
	if o.n > 0 {
		rows = min(rows, o.n)
	}
	given := ""
	if net.Classes > 0 {
		if o.set.Classes, err = classesOf(f, set); err != nil {
			return err
		}
		given = " given their classes"
	}
	x, span := points(set, net, rows, o.set.Seed)
	devices, err := o.device.Open(o.workers)
	if err != nil {
		return err
	}
	defer devices.Close()
	devices = share.Working(devices, rows*o.set.Probes)
	process := net.SDE.On(f.Sigmas)
	solvers, batch, err := o.solvers(devices, f, process, rows*o.set.Probes)
	if err != nil {
		return err
	}
	start := time.Now()
	r, err := compute(ctx, solvers, batch, x, rows*o.set.Probes)
	if errors.Is(err, context.Canceled) {
		return errors.New("interrupted")
	}
	if err != nil {
		return err
	}
	if s := f.Config.Scaler; s != nil {
		volume := s.LogVolume()
		for i := range r.LogP {
			row := i / o.set.Probes * net.D()
			r.LogP[i] -= volume + s.LogSlope(x[row:row+net.D()])
		}
	}
	sum := o.set.Summarize(r.LogP, net.D())
	report := Report{Run: o.Operands[0], Step: f.Step, Weights: f.Which(), Data: o.Operands[1], Split: split, Rows: rows,
		Values: net.D(), Nats: sum.Mean, OfRows: number(sum.OfRows), OfProbes: number(sum.OfProbe), Probe: o.set.Probe,
		Probes: o.set.Probes, Seed: o.set.Seed, NFE: r.NFE, Tolerance: o.set.Tolerance, SigmaL: process.Least(),
		Sigma1: f.Sigmas.Begin(), Device: devices.Name(), Seconds: time.Since(start).Seconds(),
		LogP: sample.RowMeans(r.LogP, o.set.Probes)}
	if span > 0 {
		bits := sample.BitsPerDim(sum.Mean, net.D(), span)
		report.BitsPerDim = &bits
	}
	if o.json != "" {
		err := out.Write(s, func(w io.Writer) error {
			e := json.NewEncoder(w)
			e.SetIndent("", "  ")
			return e.Encode(report)
		})
		if err != nil {
			return err
		}
	}
	fmt.Fprintf(messages, "log p %s; %d rows%s (%s) of %d values, %s, seed %d, NFE %d at tolerance %g\n", report.meanText(), rows,
		given, split, net.D(), report.probeText(), report.Seed, report.NFE, report.Tolerance)
	if report.BitsPerDim != nil {
		fmt.Fprintf(messages, "%.4f bits/dim of 8-bit images, dequantised: x = (X + u)/256\n", *report.BitsPerDim)
	}
	fmt.Fprintf(messages, "of data with noise sigma_L = %.4g, from N(0, sigma_1^2) with sigma_1 = %.4g; %s, %s%s, on %s, %s\n",
		report.SigmaL, report.Sigma1, net.Net, f.At(), f.Which(), devices.Name(), time.Since(start).Round(time.Millisecond))
	return nil
}

// solvers makes a solver on each of the devices, for batches of paths of the size that it returns.
func (o *options) solvers(devices cli.Devices, f *modelfile.File, process model.Process, paths int) (
	all []*sample.LikelihoodSolver, batch int, err error) {
	net := f.Config.Network
	if batch = o.batch; batch == 0 {
		batch = preview.BatchFor(net)
	}
	batch = share.Size(batch, paths, len(devices))
	all, err = share.OnEach(devices, func(b kernels.Backend) (*sample.LikelihoodSolver, error) {
		score, err := model.NewScoreFor(b, net, model.Jacobian, kernels.Float32, batch, o.set.WorkWords(batch, net.D()))
		if err != nil {
			return nil, err
		}
		if err := score.LoadFrom(f, f.Prefix()); err != nil {
			return nil, fmt.Errorf("%s: %w", f.Path, err)
		}
		return sample.NewLikelihoodSolver(score, process, o.set)
	})
	return all, batch, err
}

// compute computes the paths of rows x, a batch at a time on each device.
func compute(ctx context.Context, solvers []*sample.LikelihoodSolver, batch int, x []float32, paths int) (*sample.Likelihood, error) {
	all, nfe := &sample.Likelihood{LogP: make([]float64, paths)}, make([]int, len(solvers))
	_, err := share.Work{Do: func(ctx context.Context, b share.Batch) error {
		ended := func() error { return context.Cause(ctx) }
		r, err := solvers[b.Device].Run(x, 0, b.First, b.Rows, ended)
		switch {
		case err == nil:
		case err == ended():
			return err
		default:
			return share.OnDevice(b.Device, len(solvers), err)
		}
		copy(all.LogP[b.First:], r.LogP)
		nfe[b.Device] = max(nfe[b.Device], r.NFE)
		return nil
	}}.Share(ctx, len(solvers), paths, batch)
	all.NFE = slices.Max(nfe)
	return all, err
}

// points returns the first rows of the data in the network's units, images as points of a density, and how far the 256 values
// of a pixel span there; 0 for vectors.
func points(set *dataset.Set, net model.Config, rows int, seed uint64) (x []float32, span float64) {
	if set.F32 != nil {
		for i := range rows {
			x = append(x, set.Floats(i)...)
		}
		return x, 0
	}
	var pixels []uint8
	for i := range rows {
		pixels = append(pixels, set.Bytes(i)...)
	}
	x = sample.Dequantize(pixels, net.D(), 0, seed)
	if !net.Rescaled {
		return x, 1
	}
	for i, v := range x {
		x[i] = 2*v - 1
	}
	return x, 2
}

// number returns nil for what is not known.
func number(v float64) *float64 {
	if math.IsNaN(v) {
		return nil
	}
	return &v
}

// meanText is "-3.1410 +- 0.0120 nats (standard error over rows; 0.0030 over probes)".
func (r *Report) meanText() string {
	text := fmt.Sprintf("%.4f", r.Nats)
	var errs []string
	if r.OfRows != nil {
		text += fmt.Sprintf(" +- %.4f", *r.OfRows)
		errs = append(errs, "standard error over rows")
	}
	if r.OfProbes != nil {
		errs = append(errs, fmt.Sprintf("%.4f over probes", *r.OfProbes))
	}
	text += " nats"
	if len(errs) > 0 {
		text += " (" + strings.Join(errs, "; ") + ")"
	}
	return text
}

func (r *Report) probeText() string {
	switch {
	case r.Probe == sample.ExactTrace:
		return "exact trace"
	case r.Probes == 1:
		return "1 " + r.Probe + " probe"
	}
	return fmt.Sprintf("%d %s probes", r.Probes, r.Probe)
}

// classesOf returns the classes of rows as the run numbers them.
func classesOf(f *modelfile.File, set *dataset.Set) ([]uint32, error) {
	names := f.ClassNames()
	classes := make([]uint32, set.N)
	for i := range classes {
		class := slices.Index(names, set.Classes[set.Label(i)])
		if class < 0 {
			return nil, fmt.Errorf("%s: row %d is of class %s, and the run was trained on %s: give rows of its classes", cli.Line(set.Source),
				i, cli.Line(set.Classes[set.Label(i)]), cli.Line(strings.Join(names, ", ")))
		}
		classes[i] = uint32(class)
	}
	return classes, nil
}

// open opens DATA as the run opened its own, and takes the part of it that is asked for.
func (o *options) open(ctx context.Context, cfg *train.Config) (set *dataset.Set, split string, err error) {
	spec := o.Operands[1]
	own := spec == cfg.Data
	set, err = cfg.SourceFor(spec).Open(ctx)
	var bad *setting.Error
	switch {
	case errors.As(err, &bad):
		return nil, "", fmt.Errorf("%s is no such data as the run's own, %s: `%s` %s; give data of the same format", cli.Line(spec),
			cli.Line(cfg.Data), bad.Key, bad.Text)
	case err != nil:
		return nil, "", err
	}
	d := cfg.Network.D()
	switch n := cfg.Network; {
	case n.Vectors() && (set.F32 == nil || set.D() != d):
		return nil, "", fmt.Errorf("%s: expected vectors of %d values, as the network takes, found %s", cli.Line(spec), d, set.Name)
	case !n.Vectors() && (set.U8 == nil || set.H != n.Height || set.W != n.Width || set.C != n.Channels):
		return nil, "", fmt.Errorf("%s: expected images of %d x %d pixels and %d channels, as the network takes, found %s",
			cli.Line(spec), n.Height, n.Width, n.Channels, set.Name)
	}
	own = own || set.Sum == cfg.DataSum
	switch {
	case !own && o.split != "":
		return nil, "", cli.Usagef("-split is of the run's own data, %s, and DATA is other: leave it out", cli.Line(cfg.Data))
	case !own:
		return set, "all of other data than the run's", nil
	case set.Sum != cfg.DataSum:
		return nil, "", fmt.Errorf("%s is not what the run was trained on (checksum %s, expected %s): give a copy under another "+
			"name to take it as other data", cli.Line(spec), set.Sum, cfg.DataSum)
	}
	parts := cfg.HeldOut > 0 && cfg.Split == train.SplitByContent
	split = o.split
	if split == "" {
		if split = all; parts {
			split = heldOut
		}
	}
	if split == all {
		return set, "all of the run's data", nil
	}
	if !parts {
		return nil, "", fmt.Errorf("-split is %s, and it is not known which rows the run held out, if any: expected -split all",
			split)
	}
	rest, held := set.Split(cfg.Seed, cfg.HeldOut)
	if split == training {
		return rest, "trained on", nil
	}
	return held, "held out", nil
}
