// Export: from a run or a checkpoint to a state_dict.

package exportcmd

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"sigmaz/cmd/internal/cli"
	"sigmaz/cmd/internal/modelfile"
	"sigmaz/internal/picture"
	"sigmaz/model/checkpoint"
	"sigmaz/train"
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
		Run:   func(_ context.Context, s cli.Streams) error { return export(o, s.Out) },
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
	if !strings.EqualFold(filepath.Ext(o.out), ".safetensors") {
		return cli.Usagef("-o is %s: expected a file name that ends in .safetensors", cli.Line(o.out))
	}
	return nil
}

func export(o *options, stdout io.Writer) error {
	if err := train.CheckOutput(o.out); err != nil {
		return fmt.Errorf("-o: %w", err)
	}
	if err := picture.CheckWritable(o.out); err != nil {
		return err
	}
	f, err := modelfile.Open(o.Operands[0], &o.file, o.Command)
	if err != nil {
		return err
	}
	defer f.Close()
	if in, err1 := os.Stat(f.Path); err1 == nil {
		if out, err2 := os.Stat(o.out); err2 == nil && os.SameFile(in, out) {
			return cli.Usagef("-o is %s, which is the file that is read: choose another", cli.Line(o.out))
		}
	}
	net := f.Config.Network
	s := checkpoint.StateFile{Network: net, Sigmas: f.Sigmas, Prefix: o.prefix, Step: f.Step, Config: f.Config.YAML()}
	write := func(w io.Writer) error { return checkpoint.WriteStateDict(w, s, f, f.Prefix()) }
	if err := picture.WriteFile(o.out, write); err != nil {
		return err
	}
	for _, note := range f.Notes {
		fmt.Fprintf(stdout, "%s: %s\n", f.Path, note)
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
	fmt.Fprintf(stdout, "%s: %s%s of %s, %s, as a state_dict: %d values in %d tensors%s\n", o.out, f.At(), f.Which(),
		f.Path, net.Net, values, len(entries), buffer)
	return nil
}
