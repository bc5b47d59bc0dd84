// Export: from a run or a checkpoint to a state_dict.

package exportcmd

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"sigmaz/cmd/internal/cli"
	"sigmaz/cmd/internal/modelfile"
	"sigmaz/model/checkpoint"
)

// New makes the command.
func New() *cli.Command { return newOptions().Command }

// options is what the command line sets.
type options struct {
	*cli.Command
	out, prefix string
	file        modelfile.Options
}

func newOptions() *options {
	o := &options{}
	o.Command = &cli.Command{
		Name: "export",
		About: "Writes a network's weights as a PyTorch state_dict in safetensors, with the original class's names " +
			"and shapes: " +
			"net.load_state_dict(load_file(FILE), strict=True), with load_file of safetensors.torch, takes it. " +
			"Checkpoints of PyTorch are converted so, too.",
		Args: []cli.Arg{modelfile.Arg},
		Groups: []cli.Group{
			{Name: "Weights", Flags: o.file.WeightFlags()},
			{Name: "Output", Flags: []cli.Flag{
				{Name: "o", Arg: "FILE.safetensors",
					Help: "file to write; one that is there already is replaced, once the new one is whole", Value: &o.out,
					Default: cli.Required},
				{Name: "prefix", Arg: "TEXT", Help: "before every name, such as module. for a network in DataParallel",
					Value: &o.prefix, Default: "none"},
			}},
			o.file.Group(),
		},
		Examples: []cli.Example{
			{Line: "export runs/glyphs-1 -o glyphs.safetensors", What: "the averaged weights of the newest checkpoint"},
			{Line: "export runs/glyphs-1 -raw -prefix module. -o glyphs.safetensors",
				What: "the raw weights, for a network in DataParallel"},
			{Line: "export checkpoint_300000.pth -preset cifar10 -o cifar10.safetensors",
				What: "from a checkpoint of the original repository"},
		},
		Notes: []string{"Exit codes: 0 done; 1 failed; 2 wrong usage."},
		Check: o.checkFlags,
		Run:   func(_ context.Context, s cli.Streams) error { return export(o, s) },
	}
	return o
}

// checkFlags finds what is wrong as far as that is known without the files.
func (o *options) checkFlags() error {
	if err := o.Need("o"); err != nil {
		return err
	}
	if err := o.file.Check(); err != nil {
		return err
	}
	if o.out != cli.Stdout && !strings.EqualFold(filepath.Ext(o.out), ".safetensors") {
		return cli.Usagef("-o is %s: expected a file name that ends in .safetensors, or - for standard output", cli.Line(o.out))
	}
	return nil
}

func export(o *options, s cli.Streams) error {
	out, messages := cli.Output{Flag: "-o", Path: o.out}, s.Messages(o.out)
	if err := out.Check(s, o.Operands[0]); err != nil {
		return err
	}
	f, err := modelfile.Open(o.Operands[0], &o.file, o.Command)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := out.Check(s, f.Path); err != nil {
		return err
	}
	net := f.Config.Network
	state := checkpoint.StateFile{Network: net, Sigmas: f.Sigmas, Prefix: o.prefix, Step: f.Step, Config: f.Config.YAML()}
	write := func(w io.Writer) error { return checkpoint.WriteStateDict(w, state, f, f.Prefix()) }
	if err := out.Write(s, write); err != nil {
		return err
	}
	for _, note := range f.Notes {
		fmt.Fprintf(messages, "%s: %s\n", f.Path, note)
	}
	entries, err := net.StateDict(len(f.Sigmas))
	if err != nil {
		return err
	}
	values := 0
	for _, e := range entries {
		values += e.Shape.TotalSize()
	}
	buffer := ""
	if net.HasSigmas() {
		buffer = fmt.Sprintf(", the buffer sigmas of %d levels among them", len(f.Sigmas))
	}
	fmt.Fprintf(messages, "%s: %s%s of %s, %s, as a state_dict: %d values in %d tensors%s\n", out, f.At(), f.Which(),
		f.Path, net.Net, values, len(entries), buffer)
	return nil
}
