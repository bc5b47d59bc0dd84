// Flags for those who watch a training from outside. They change nothing of the run, so no configuration has them.

package traincmd

import (
	"cmp"
	"fmt"
	"io"

	"sigmaz/cmd/internal/cli"
	"sigmaz/cmd/internal/watch"
	"sigmaz/kernels"
	"sigmaz/model"
	"sigmaz/train"
)

// watchGroup is these flags.
func watchGroup(o *watch.Options) cli.Group {
	return cli.Group{Name: "Watching", Flags: []cli.Flag{
		{Name: "tensorboard", Help: "write TensorBoard's event files into the run folder: losses, that of each level, previews",
			Value: &o.TensorBoard},
		{Name: "listen", Arg: "HOST:PORT", Help: "serve a page that follows the run, such as 127.0.0.1:8787; a port alone is on " +
			"this machine, to be read by it alone; port 0 is any that is free. It has /metrics for Prometheus", Value: &o.Listen,
			Default: "none"},
		{Name: "report", Help: "write that page into the run folder at the end, as report.html with the run inside; -listen " +
			"writes it, too", Value: &o.Report},
	}}
}

// watchFlags lists their names.
func watchFlags() (names []string) {
	for _, f := range watchGroup(new(watch.Options)).Flags {
		names = append(names, f.Name)
	}
	return names
}

// watchAgain writes those that were given, for the line that says how to go on.
func watchAgain(f *flags) (text string) {
	for _, g := range f.Groups {
		for _, flag := range g.Flags {
			if g.Name == "Watching" && f.Given(flag.Name) {
				text += " -" + flag.Name
				if flag.HasValue() {
					text += " " + cli.Shell(cli.Text(flag.Value))
				}
			}
		}
	}
	return text
}

// startWatching begins to watch, unless nothing will be trained.
func (f *flags) startWatching(out io.Writer) (err error) {
	o := f.watching
	if f.dryRun {
		o = watch.Options{}
	}
	f.watch, err = watch.Start(o, out)
	return err
}

// stopWatching says how a run ended, and where the report is. It returns the run's error, or its own.
func (f *flags) stopWatching(r *train.Result, err error, out io.Writer) error {
	phase := "done"
	switch {
	case err != nil:
		phase = "failed: " + cli.Flags(err.Error())
	case r.Stopped:
		phase = "stopped and saved"
	}
	report, failed := f.watch.End(phase)
	if report != "" {
		fmt.Fprintf(out, "report   %s\n", report)
	}
	return cmp.Or(err, failed)
}

// aboutText is what a page says of a run, in the words of the lines at its start.
func aboutText(c *train.Config, sigmas model.Ladder, b kernels.Backend) [][2]string {
	about := [][2]string{
		{"preset", c.Preset}, {"data", c.Data}, {"network", c.Network.Net}, {"device", b.Name()},
		{"batch", fmt.Sprint(c.Batch)}, {"ladder", ladderText(c, sigmas)},
	}
	if c.Noise.Continuous() {
		about = append(about, [2]string{"noise", noiseText(c, sigmas)})
	}
	return append(about, [2]string{"adam", fmt.Sprintf("learning rate %.4g%s", c.Adam.LR, limitsText(c.Adam))})
}
