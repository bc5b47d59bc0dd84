// Export: from a run or a checkpoint to a state_dict, an ONNX file or a folder of diffusers.

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
	"sigmaz/model"
	"sigmaz/model/checkpoint"
	"sigmaz/model/onnx"
)

// The formats that are written.
const stateDict, onnxFile, diffusers, huggingFace = "state_dict", "onnx", "diffusers", "huggingface"

var formats = []string{stateDict, onnxFile, diffusers, huggingFace}

// endings are those of the formats that are one file; the others are folders.
var endings = map[string]string{stateDict: ".safetensors", onnxFile: ".onnx"}

// folders has what writes the others.
var folders = map[string]func(folder string, f checkpoint.StateFile, set model.TensorSet, prefix string) error{
	diffusers: checkpoint.WriteDiffusers, huggingFace: checkpoint.WriteHuggingFace}

// New makes the command.
func New() *cli.Command { return newOptions().Command }

// options is what the command line sets.
type options struct {
	*cli.Command
	out, prefix, format string
	half                bool
	file                modelfile.Options
}

func newOptions() *options {
	o := &options{format: stateDict}
	o.Command = &cli.Command{
		Name: "export",
		About: "Writes a network's weights as a PyTorch state_dict in safetensors, with the original class's names " +
			"and shapes: " +
			"net.load_state_dict(load_file(FILE), strict=True), with load_file of safetensors.torch, takes it. " +
			"With -format onnx it writes the score itself, which ONNX Runtime and others evaluate, and " +
			"with -format diffusers a folder for DiffusionPipeline.from_pretrained, with -format huggingface one for its hub. " +
			"Checkpoints of PyTorch are converted so, too.",
		Args: []cli.Arg{modelfile.Arg},
		Groups: []cli.Group{
			{Name: "Weights", Flags: o.file.WeightFlags()},
			{Name: "Output", Flags: []cli.Flag{
				{Name: "o", Arg: "FILE.safetensors",
					Help: "file to write, with -format " + onnxFile + " a FILE.onnx; one that is there already is replaced, " +
						"once the new one is whole; with -format " + diffusers + " and " + huggingFace + " a new folder",
					Value: &o.out, Default: cli.Required},
				{Name: "format", Arg: "NAME", Help: "what to write: " + strings.Join(formats[:3], ", ") + " or " + huggingFace,
					Value: cli.Choice{To: &o.format, Words: formats}, Default: stateDict, Known: formats},
				{Name: "prefix", Arg: "TEXT", Help: "before every name of a state_dict, such as module. for a network in DataParallel",
					Value: &o.prefix, Default: "none"},
				{Name: "float16", Help: "round the values of a state_dict to float16, 11 bits each: half the size", Value: &o.half},
			}},
			o.file.Group(),
		},
		Examples: []cli.Example{
			{Line: "export runs/glyphs-1 -o glyphs.safetensors", What: "the averaged weights of the newest checkpoint"},
			{Line: "export runs/glyphs-1 -raw -prefix module. -o glyphs.safetensors",
				What: "the raw weights, for a network in DataParallel"},
			{Line: "export checkpoint_300000.pth -preset cifar10 -o cifar10.safetensors",
				What: "from a checkpoint of the original repository"},
			{Line: "export runs/glyphs-1 -format onnx -o glyphs.onnx", What: "the score as a function for ONNX Runtime"},
			{Line: "export runs/ffhq-1 -format diffusers -o ffhq", What: "a folder for diffusers"},
			{Line: "export runs/glyphs-1 -format huggingface -o glyphs", What: "a folder with a model card, which sample reads, too"},
		},
		Notes: []string{"Exit codes: 0 done; 1 failed; 2 wrong usage."},
		Alone: true,
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
	if o.format != stateDict {
		switch {
		case o.Given("prefix"):
			return cli.Usagef("-prefix is for a state_dict: leave it out with -format %s", o.format)
		case o.half:
			return cli.Usagef("-float16 is for a state_dict: leave it out with -format %s", o.format)
		}
	}
	ending, file := endings[o.format]
	switch {
	case !file && o.out == cli.Stdout:
		return cli.Usagef("-o - is standard output, and -format %s writes a folder: expected the name of a new one", o.format)
	case file && o.out != cli.Stdout && !strings.EqualFold(filepath.Ext(o.out), ending):
		return cli.Usagef("-o is %s: expected a file name that ends in %s, or - for standard output%s", cli.Line(o.out), ending,
			formatHint(o.out))
	}
	return nil
}

// formatHint names the format of a file that is asked for by its ending.
func formatHint(out string) string {
	for format, ending := range endings {
		if strings.EqualFold(filepath.Ext(out), ending) {
			return "; -format " + format + " writes such a file"
		}
	}
	return ""
}

func export(o *options, s cli.Streams) error {
	out, messages := cli.Output{Flag: "-o", Path: o.out}, s.Messages(o.out)
	if _, file := endings[o.format]; !file {
		if _, err := os.Lstat(o.out); err == nil {
			return fmt.Errorf("-o: %s exists already: expected the name of a new folder; choose another, or delete it", o.out)
		}
	} else if err := out.Check(s, o.Operands[0]); err != nil {
		return err
	}
	f, err := modelfile.Open(o.Operands[0], &o.file, o.Command)
	if err != nil {
		return err
	}
	defer f.Close()
	net, sigma := f.Config.Network, f.Config.Sigma
	state := checkpoint.StateFile{Network: net, Sigmas: f.Sigmas, Prefix: o.prefix, Half: o.half, Begin: sigma.Begin.Value,
		End: sigma.End.Value, Step: f.Step, Stepped: f.Stepped, Config: f.Config.YAML()}
	if writeTo := folders[o.format]; writeTo != nil {
		if err := writeTo(o.out, state, f, f.Prefix()); err != nil {
			return fmt.Errorf("%s: %w", f.Path, err)
		}
		for _, note := range f.Notes {
			fmt.Fprintf(messages, "%s: %s\n", f.Path, note)
		}
		fmt.Fprintf(messages, "%s: %s%s of %s, %s, as a folder of %s\n", o.out, f.At(), f.Which(), f.Path, net.Net, o.format)
		return nil
	}
	if err := out.Check(s, f.Path); err != nil {
		return err
	}
	writeTo := checkpoint.WriteStateDict
	if o.format == onnxFile {
		writeTo = onnx.Write
	}
	write := func(w io.Writer) error { return writeTo(w, state, f, f.Prefix()) }
	if err := out.Write(s, write); err != nil {
		return err
	}
	for _, note := range f.Notes {
		fmt.Fprintf(messages, "%s: %s\n", f.Path, note)
	}
	if o.format == onnxFile {
		fmt.Fprintf(messages, "%s: %s%s of %s, %s, in ONNX, opset %d: score(x, %s)\n", out, f.At(), f.Which(), f.Path, net.Net,
			onnx.Opset, strings.Join(onnx.InputsOf(net)[1:], ", "))
		return nil
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
	kind := "values"
	if o.half {
		kind = "float16 values"
	}
	fmt.Fprintf(messages, "%s: %s%s of %s, %s, as a state_dict: %d %s in %d tensors%s\n", out, f.At(), f.Which(),
		f.Path, net.Net, values, kind, len(entries), buffer)
	return nil
}
