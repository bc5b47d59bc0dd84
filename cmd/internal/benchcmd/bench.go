// Bench: the command line, and the tables one after the other.

package benchcmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"

	"sigmaz/cmd/internal/cli"
	"sigmaz/internal/nearest"
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
	device             cli.Device
	workers            int
	quick, check, info bool
	stdin              bool
	json, data         string
	mostRows           int // of the data; 0: as many as are usual
	sizeText, tables   string
	size               network // of sizeText; zero: those of networks
}

// What -tables names, in the order in which they are measured.
var tableNames = []string{"memory", "network", "kernels", "convolution", "distances", "tune"}

// wants tells whether a table is measured. Without -tables all are but tune, which is about the rule and not about the
// device's speed.
func (o *options) wants(name string) bool {
	if o.tables == "" {
		return name != "tune"
	}
	return slices.Contains(strings.Split(o.tables, ","), name)
}

// newOptions makes the command line, before it is parsed.
func newOptions() *options {
	o := &options{}
	o.Command = &cli.Command{
		Name: "bench",
		About: "Measures how fast a device trains, samples and moves memory, after a check of the results against the " +
			"plain Go reference. " +
			"Each number is the median of several repetitions, with the one furthest from it.",
		Groups: []cli.Group{
			{Name: "What is done", Flags: []cli.Flag{
				{Name: "quick", Help: "small sizes and short measurements", Value: &o.quick},
				{Name: "check", Help: "compare with the reference, measure nothing", Value: &o.check},
				{Name: "info", Help: "name the device and stop", Value: &o.info},
				{Name: "tables", Arg: "NAME,...", Help: "these tables alone; network: training and sampling, whose largest network " +
					"kernels and convolution are about; tune, on a GPU: every way to share out a convolution's work",
					Default: "all but tune", Value: &o.tables, Known: tableNames},
				{Name: "size", Arg: "NGF,SIZE,CHANNELS,BATCH", Help: "measure this NCSNv2 alone: 128,32,3,128 is published for CIFAR-10",
					Default: "by the device", Value: &o.sizeText},
				{Name: "stdin", Help: "measure what lines of standard input ask for; pytorch/compare.py does", Value: &o.stdin},
			}},
			{Name: "Data", Flags: []cli.Flag{
				{Name: "data", Arg: "SPEC",
					Help:    "data set whose distances are measured, as train -data takes it",
					Default: "made images", Value: &o.data},
				{Name: "rows", Arg: "N", Unit: "rows", Help: "compare the first N rows of -data, or all where it has fewer",
					Default: "10,000, with -quick 2,500", Value: &o.mostRows},
			}},
			{Name: "Output", Flags: []cli.Flag{
				{Name: "json", Arg: "FILE", Help: "write the numbers to this file as well; one that is there is replaced",
					Value: &o.json},
			}},
			{Name: "Machine", Flags: append(o.device.Flags("measure"),
				o.device.PrecisionFlag("tf32 with -gpu, float32 on the CPU"),
				cli.Flag{Name: "workers", Arg: "W", Unit: "goroutines", Help: "worker goroutines on the CPU; 0: one a core",
					Value: &o.workers})},
		},
		Examples: []cli.Example{
			{Line: "bench -quick", What: "the CPU, in short"},
			{Line: "bench -gpu -json gpu.json", What: "a GPU, with the numbers in a file"},
			{Line: "bench -check -workers 1", What: "are the results right on one core?"},
			{Line: "bench -tables distances -data data/mnist -rows 60000", What: "how fast sigmas compares all of MNIST"},
		},
		Notes: []string{"Exit codes: 0 done; 1 failed; 2 wrong usage."},
		Check: o.checkFlags,
		Run:   func(_ context.Context, s cli.Streams) error { return measure(o, s) },
	}
	return o
}

func (o *options) checkFlags() error {
	for _, name := range strings.Split(o.tables, ",") {
		if o.tables != "" && !slices.Contains(tableNames, name) {
			return cli.Usagef("-tables names %q: expected one or more of %s, with commas between%s", name,
				strings.Join(tableNames, ", "), nearest.DidYouMean(name, tableNames))
		}
	}
	if o.tables != "" && o.wants("tune") && !o.device.GPU {
		return cli.Usagef("-tables tune is about a GPU: give -gpu too")
	}
	if o.sizeText != "" {
		n := &o.size
		if _, err := fmt.Sscanf(o.sizeText+"\n", "%d,%d,%d,%d\n", &n.ngf, &n.size, &n.channels, &n.batch); err != nil ||
			min(n.ngf, n.channels, n.batch) < 1 {
			return cli.Usagef("-size is %q: expected four whole numbers, such as 128,32,3,128", o.sizeText)
		}
		if _, err := model.Describe(n.config()); err != nil {
			return cli.Usagef("-size is %q: %v", o.sizeText, err)
		}
	}
	switch {
	case o.Given("rows") && o.data == "":
		return cli.Usagef("-rows is of -data: give that, or leave -rows out")
	case o.Given("rows") && o.mostRows < 2:
		return cli.Usagef("-rows is %d: expected at least 2 rows", o.mostRows)
	}
	if err := cli.CheckWorkers(o.workers); err != nil {
		return err
	}
	if err := o.device.Check(o.Command); err != nil {
		return err
	}
	if o.device.Precision == "" {
		if o.device.Precision = kernels.Float32; o.device.GPU {
			o.device.Precision = kernels.TF32
		}
	}
	return cli.UsageOf(train.CheckPrecision(o.device.Precision, o.device.GPU))
}

// Report is what -json writes.
type Report struct {
	Device string // the backend's name
	// Precision is what convolutions with channels in multiples of 32 compute in; the others compute in float32. In
	// bf16 activations of such channels are kept in it, too.
	Precision kernels.Precision
	Standin   bool   // the device stands in for a GPU: nothing was timed
	Go        string // "go1.26.8 linux/amd64"
	Quick     bool
	Checked   int     // results compared with the reference
	Worst     float64 // the largest error among them, relative to the largest element
	Peaks     Peaks
	Rows      []Row
}

// bench is one run of the command.
type bench struct {
	*options
	backend *counting
	streams cli.Streams
	out     io.Writer // of the tables
	watch   stopwatch
	set     *dataset.Set // of -data, where distances are measured; nil: made images
	report  Report
}

func measure(o *options, s cli.Streams) error {
	stdin, stdout := s.In, s.Messages(o.json)
	if o.json != "" { // before minutes of measuring
		if err := o.output().Check(s); err != nil {
			return err
		}
	}
	backend, err := kernels.Open(o.device.GPU, o.device.N, o.workers)
	if err != nil {
		return err
	}
	defer backend.Close()
	b := &bench{options: o, backend: &counting{Backend: backend}, streams: s, out: stdout, watch: thorough}
	if o.quick {
		b.watch = quick
	}
	// A driver that runs kernels on the host shows that they are right and not how fast they are.
	b.watch.dry = strings.Contains(backend.Name(), "stand-in")
	b.report = Report{Device: backend.Name(), Precision: o.device.Precision, Standin: b.watch.dry, Quick: o.quick,
		Go: fmt.Sprintf("%s %s/%s", runtime.Version(), runtime.GOOS, runtime.GOARCH)}
	if o.stdin {
		return b.requests(stdin)
	}
	fmt.Fprintf(stdout, "device   %s\n", backend.Name())
	if o.device.Precision != kernels.Float32 {
		fmt.Fprintf(stdout, "compute  convolutions in %s\n", o.device.Precision)
	}
	if b.watch.dry {
		fmt.Fprintln(stdout, "         stands in for a GPU: everything runs once, nothing is timed")
	}
	if o.info {
		return nil
	}
	if o.data != "" && !o.check { // before minutes of measuring, too
		if b.set, err = dataset.Open(o.data, 1); err != nil {
			return fmt.Errorf("-data: %w", err)
		}
	}
	if err := b.checkAll(); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "checked  %d results against the reference, largest error %.1e\n", b.report.Checked,
		b.report.Worst)
	if !o.check {
		b.measurePeaks()
		if err := b.measureAll(); err != nil {
			return err
		}
	}
	if b.json == "" {
		return nil
	}
	return b.save()
}

// output is where the report goes.
func (o *options) output() cli.Output { return cli.Output{Flag: "-json", Path: o.json} }

// saveSoFar writes the report to the file of -json before it is whole: what ends the command later does not cost the
// numbers it has. On standard output there is one report, at the end.
func (b *bench) saveSoFar() error {
	if b.json == "" || b.json == cli.Stdout {
		return nil
	}
	return b.save()
}

// save writes the report.
func (b *bench) save() error {
	text, err := json.MarshalIndent(&b.report, "", "  ")
	if err != nil {
		return err
	}
	return b.output().Write(b.streams, func(w io.Writer) error {
		_, err := w.Write(append(text, '\n'))
		return err
	})
}

// measureAll prints the tables one after the other. Networks that do not fit on the device are left out.
func (b *bench) measureAll() error {
	for _, m := range []struct {
		names   []string
		measure func() error
	}{
		// memory comes first: on a GPU the kernels' rates are seen as fractions of its copy's
		{[]string{"memory"}, b.printed(b.measureMemory)},
		{[]string{"network", "kernels", "convolution"}, b.measureNetworks},
		{[]string{"distances"}, b.printed(b.measureDistances)},
		{[]string{"tune"}, b.measureChoices},
	} {
		if !slices.ContainsFunc(m.names, b.wants) {
			continue
		}
		if err := m.measure(); err != nil {
			return fmt.Errorf("%s: %w", m.names[0], err)
		}
	}
	return nil
}

// printed makes a function that measures a table and prints it.
func (b *bench) printed(measure func() (table, error)) func() error {
	return func() error {
		t, err := measure()
		if err != nil {
			return err
		}
		return b.print(t)
	}
}

// measureNetworks prints the tables about networks: training and sampling, and of the largest one its kernels and its
// convolutions.
func (b *bench) measureNetworks() error {
	training, sampling := table{title: "training"}, table{title: "sampling"}
	var convs []kernels.Conv // of the last network that fits
	var step table           // its kernels
	var tooLarge []string
	var full kernels.OutOfMemory
	for _, n := range b.networks() {
		trained, sampled, k, c, err := b.measureNetwork(n)
		if errors.As(err, &full) {
			tooLarge = append(tooLarge, fmt.Sprintf("not measured: %s: %v", n, err))
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", n, err)
		}
		training.rows, sampling.rows = append(training.rows, trained), append(sampling.rows, sampled)
		convs, step = c, k
	}
	if convs == nil {
		return full
	}
	for _, t := range []table{training, sampling, step} {
		if err := b.print(t); err != nil {
			return err
		}
	}
	for _, line := range tooLarge {
		fmt.Fprintln(b.out, line)
	}
	if !b.wants("convolution") {
		return nil
	}
	shapes, err := b.measureConvolutions(convs)
	if err != nil {
		return err
	}
	return b.print(shapes)
}

// measureNetwork measures training, the kernels of a step and sampling, and lists the network's convolutions.
func (b *bench) measureNetwork(n network) (trained, sampled Row, step table, convs []kernels.Conv, err error) {
	trained, step, weights, err := b.measureTraining(n)
	if err != nil {
		return trained, sampled, step, nil, fmt.Errorf("training: %w", err)
	}
	if sampled, convs, err = b.measureSampling(n, weights); err != nil {
		err = fmt.Errorf("sampling: %w", err)
	}
	return trained, sampled, step, convs, err
}
