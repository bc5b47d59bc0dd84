// Files with weights: opening them, and finding out what they do not say.

package modelfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"sigmaz/cmd/internal/cli"
	"sigmaz/internal/nearest"
	"sigmaz/kernels"
	"sigmaz/model"
	"sigmaz/model/checkpoint"
	"sigmaz/train"
	"sigmaz/train/dataset"
)

// Arg is the argument of all commands that open a file with weights.
var Arg = cli.Arg{Name: "RUN", Help: "a run folder, such as runs/glyphs-1, whose newest checkpoint is taken, " +
	"or a checkpoint file, also one of PyTorch (.pth), or a folder of diffusers or of Hugging Face's hub; " + Digits +
	" is a model in the program"}

// Options is what the flags of these commands say about the file: which of its weights are taken, and what a file
// without a configuration does not tell.
type Options struct {
	ema, raw bool

	preset, net, size string
	nonlinearity      string
	rescaled          bool
	begin, end        float64
	levels            levels
	spacing           string
}

// levels is a number of noise levels.
type levels int

func (l *levels) String() string { return strconv.Itoa(int(*l)) }

func (l *levels) Set(text string) error {
	err := cli.Set((*int)(l), text)
	if err != nil && (text == "-" || strings.HasSuffix(text, ".npy")) {
		return fmt.Errorf("%w of noise levels; a file with a level for each row is for score's -level-file", err)
	}
	return err
}

// WeightFlags choose between the weights in the file.
func (o *Options) WeightFlags() []cli.Flag {
	return []cli.Flag{
		{Name: "ema", Help: "use the moving average of the weights (EMA)", Value: &o.ema, Default: "where there is one"},
		{Name: "raw", Help: "use the weights themselves", Value: &o.raw, Default: "where there is no moving average"},
	}
}

// Check refuses flags that contradict each other.
func (o *Options) Check() error {
	if o.ema && o.raw {
		return cli.Usagef("-ema and -raw are both given: expected one of them")
	}
	return nil
}

// Group is the flags about files without a configuration.
func (o *Options) Group() cli.Group {
	var presets []string
	for _, p := range train.Presets {
		presets = append(presets, p.Name)
	}
	choice := func(to *string, words []string) cli.Choice { return cli.Choice{To: to, Words: words} }
	return cli.Group{
		Name: "Files without a configuration",
		Note: "Checkpoints of PyTorch (.pth) and state_dicts (.safetensors) of other programs hold weights alone. " +
			"Network, channels, width and norm are found in them, and so is the ladder where the file keeps it; " +
			"the published ones are known by these.",
		Flags: []cli.Flag{
			{Name: "preset", Arg: "NAME", Help: "what the file was trained with, as far as it is not found in it; " +
				"the flags below come before it", Value: choice(&o.preset, presets),
				Default: "the one whose network and ladder the file has", Known: presets},
			{Name: "net", Arg: "NAME", Help: "network", Value: choice(&o.net, model.ImageNetworks()),
				Default: "found in the file", Known: model.ImageNetworks()},
			{Name: "size", Arg: "HxW", Unit: "pixels", Help: "height and width of the images, or one number for both",
				Value: &o.size, Default: "the preset's"},
			{Name: "sigma-begin", Arg: "SIGMA", Help: "the largest noise", Value: &o.begin,
				Default: "the file's or the preset's"},
			{Name: "sigma-end", Arg: "SIGMA", Help: "the smallest noise", Value: &o.end, Default: "the file's or the preset's"},
			{Name: "levels", Arg: "L", Unit: "levels", Help: "number of noise levels", Value: &o.levels,
				Default: "the file's or the preset's", Synonym: "L"},
			{Name: "spacing", Arg: "HOW", Help: "of the levels: " + strings.Join(model.Spacings(), " or "),
				Value: choice(&o.spacing, model.Spacings()), Default: "found in the file's ladder, or " + model.GeometricSpacing,
				Known: model.Spacings()},
			{Name: "nonlinearity", Arg: "NAME", Help: "activation: " + strings.Join(model.Nonlinearities(), ", "),
				Value: choice(&o.nonlinearity, model.Nonlinearities()), Default: model.Nonlinearities()[0],
				Known: model.Nonlinearities()},
			{Name: "rescaled", Help: "the network was trained on images in [-1, 1], not [0, 1]", Value: &o.rescaled},
		},
	}
}

// File is an open file with everything that is known about the network in it.
type File struct {
	*checkpoint.Weights
	Folder string // of the run, "" for a file
	Config *train.Config
	Sigmas model.Ladder
	Notes  []string // what was found out or taken for granted, a line each

	BuiltIn bool // the file is the model in the program
	raw     bool // the weights themselves are asked for
}

// Find returns the file with weights that path names, for [OpenWeights]: the newest checkpoint of a run folder, or path
// itself, which may be a folder of diffusers or of the hub, or the name of the model in the program.
func Find(path string) (file string, err error) {
	info, err := os.Stat(path)
	switch {
	case IsBuiltIn(path):
		return path, nil
	case errors.Is(err, fs.ErrNotExist):
		if target, err := os.Readlink(path); err == nil {
			return "", fmt.Errorf("%s is a link to %s, which does not exist: mend the link, or name the run itself", path, cli.Line(target))
		}
		like := train.LikeRun(path, "runs")
		if like == "" {
			like = nearest.DidYouMean(path, []string{Digits})
		}
		return "", fmt.Errorf("%s does not exist: expected a run folder, a checkpoint or a .pth file; "+
			"training prints the folder of its run%s", path, like)
	case err != nil:
		return "", fmt.Errorf("cannot read the run: %w", err)
	case info.IsDir() && !checkpoint.IsModelFolder(path):
		return train.Latest(path)
	}
	return path, nil
}

// Open opens a run folder, which stands for its newest checkpoint, a checkpoint or another file with weights. c tells
// which flags were given.
func Open(path string, o *Options, c *cli.Command) (*File, error) {
	f := &File{}
	file, err := Find(path)
	if err != nil {
		return nil, hidden(path, err)
	}
	if file != path {
		f.Folder = path
	}
	f.BuiltIn = IsBuiltIn(file)
	if f.Weights, err = OpenWeights(file); err != nil {
		return nil, hidden(path, err)
	}
	if f.Weights.Config != "" {
		err = f.readConfig(o, c)
	} else {
		err = f.inferConfig(o, c)
	}
	switch {
	case err != nil:
	case f.BuiltIn && o.raw:
		err = fmt.Errorf("%s, the model in the program, holds the moving average of its weights (EMA) alone: leave -raw out",
			f.Path)
	case o.ema && !f.BuiltIn && !f.Has(checkpoint.EMAPrefix):
		err = fmt.Errorf("%s holds no moving average (EMA): leave -ema out to take its weights", f.Path)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	f.raw = o.raw
	switch {
	case f.BuiltIn:
		f.Notes = append(f.Notes, "the model in the program, trained on the handwritten digits of MNIST (docs/digits.md)")
	case path == Digits:
		f.Notes = append(f.Notes, "a file or folder of this name is here, and taken in place of the model in the program")
	}
	f.Notes = append(f.Notes, Notes(f.Weights)...)
	return f, nil
}

// Notes says what a reader of a file with weights would not see otherwise, a line each: what was passed over, and a
// ladder that is known to a few digits alone.
func Notes(w *checkpoint.Weights) (notes []string) {
	if text := checkpoint.ListPassedOver(w.PassedOver); text != "" {
		notes = append(notes, "passed over in it: "+cli.Line(text))
	}
	if l := w.Ladder; l.Sigmas != nil && l.Bits < model.SingleBits {
		notes = append(notes, fmt.Sprintf("its ladder is kept to %d bits, one part in %d: sigma-begin %g and sigma-end %g are "+
			"the shortest decimals that round to it", l.Bits, 1<<l.Bits, l.Decimal(0), l.Decimal(len(l.Sigmas)-1)))
	}
	return notes
}

// Ours tells whether the file is a checkpoint of this program, which holds its configuration.
func (f *File) Ours() bool { return f.Weights.Config != "" }

// Prefix returns the prefix of the weights to take: the moving average, unless the raw weights are asked for or the
// file has no other.
func (f *File) Prefix() string {
	if f.raw || !f.Has(checkpoint.EMAPrefix) {
		return checkpoint.ParamPrefix
	}
	return checkpoint.EMAPrefix
}

// Which says for messages which weights those are.
func (f *File) Which() string {
	switch {
	case f.Prefix() == checkpoint.EMAPrefix, f.BuiltIn:
		return "EMA weights"
	case f.raw:
		return "raw weights"
	case f.Kind == checkpoint.KindStateDict || f.Kind == checkpoint.KindDiffusers:
		return "weights"
	case len(f.PassedOver) > 0: // an average may be among it
		return "raw weights"
	}
	return "raw weights (it holds no EMA)"
}

// Precision returns what the network's convolutions are to compute in: what was asked for, or else the run's, which is
// noted where they differ. A file without a configuration leaves it to the device.
func (f *File) Precision(d cli.Device) (p kernels.Precision, err error) {
	p = d.Precision
	switch ours := f.Weights.Config != ""; {
	case ours && p == "":
		p = f.Config.StoredPrecision()
	case ours && p != f.Config.StoredPrecision():
		f.Notes = append(f.Notes, fmt.Sprintf("trained in %s, computed in %s", f.Config.StoredPrecision(), p))
	case p == "":
		if p, err = train.DefaultPrecision(f.Config.Network, d.GPU); err != nil {
			return p, err
		}
	}
	if err = train.CheckPrecision(p, d.GPU); d.Precision != "" {
		return p, cli.UsageOf(err)
	} else if err != nil {
		return p, fmt.Errorf("%s: %w", f.Path, err)
	}
	return p, nil
}

// At returns "step N, " for messages, or "" where the file does not tell its step.
func (f *File) At() string {
	if !f.Stepped {
		return ""
	}
	return fmt.Sprintf("step %d, ", f.Step)
}

// readConfig reads the configuration in a checkpoint of this program.
func (f *File) readConfig(o *Options, c *cli.Command) (err error) {
	for _, flag := range o.Group().Flags {
		if c.Given(flag.Name) {
			return cli.Usagef("-%s: %s holds its configuration; leave the flag out", flag.Name, f.Path)
		}
	}
	if f.Config, err = train.ParseConfig(f.Weights.Config); err != nil {
		return fmt.Errorf("%s holds a configuration that cannot be read: %w; it may come from another version of the program",
			f.Path, err)
	}
	if err := f.Config.Network.Validate(); err != nil {
		return fmt.Errorf("%s: %w", f.Path, err)
	}
	if f.Sigmas, err = f.Config.Ladder(); err != nil {
		return fmt.Errorf("%s: %w", f.Path, err)
	}
	if i := f.Sigmas.DiffersFrom(f.Weights.Ladder); f.Weights.Ladder.Sigmas != nil && i >= 0 {
		return fmt.Errorf("%s has a buffer sigmas that is not the ladder of its configuration from level %d on: "+
			"write it again with export", f.Path, i)
	}
	return nil
}

// inferConfig finds out what there is to know about a file without a configuration.
func (f *File) inferConfig(o *Options, c *cli.Command) error {
	net, err := f.inferNetwork(o)
	if err != nil {
		return fmt.Errorf("%s: %w", f.Path, err)
	}
	preset, err := f.preset(o, net)
	if err != nil {
		return err
	}
	cfg := preset.Config // its sampling and image size; the rest is the file's
	if net.Net != cfg.Network.Net && preset.Name != "" {
		return cli.Usagef("-preset %s is of network %s, and %s holds %s; choose another, or leave it out", preset.Name,
			cfg.Network.Net, f.Path, net.Net)
	}
	if f.Network == nil || net.Height == 0 {
		net.Height, net.Width = cfg.Network.Height, cfg.Network.Width
	}
	if o.size != "" {
		if net.Height, net.Width, err = dataset.ParseSize("size", o.size); err != nil {
			return cli.Usagef("-%v", err)
		}
	}
	if net.Height == 0 {
		return fmt.Errorf("%s says nothing about the size of its images: give -size HxW, such as -size 32x32, "+
			"or -preset NAME", f.Path)
	}
	if f.Network == nil { // what leaves no mark on parameters
		net.Nonlinearity, net.Rescaled = cfg.Network.Nonlinearity, cfg.Network.Rescaled
		net.SDE, net.Parameterization, net.SigmaData = cfg.Network.SDE, cfg.Network.Parameterization, cfg.Network.SigmaData
		if net.Uses("unet") && model.SameParameters(cfg.Network, net) {
			net.UNet = cfg.Network.UNet
		}
		net.CompleteWrap(cfg.Noise.Density)
	}
	if o.nonlinearity != "" {
		net.Nonlinearity = o.nonlinearity
	}
	if c.Given("rescaled") {
		net.Rescaled = o.rescaled
	}
	cfg.Network = net
	f.Config = &cfg
	if err := f.ladder(o, c); err != nil {
		return err
	}
	if f.Config.Network.NeedsLevels() {
		if have := f.Config.Network.Levels; have > 1 && have != len(f.Sigmas) {
			return fmt.Errorf("%s is of a network for %d noise levels, and the ladder has %d: "+
				"give -levels %[2]d with its sigma-begin and sigma-end", f.Path, have, len(f.Sigmas))
		}
		f.Config.Network.Levels = len(f.Sigmas)
	}
	if err := f.Config.Network.Validate(); err != nil {
		return fmt.Errorf("%s: %w", f.Path, err)
	}
	if preset.Name == "" {
		t, denoise := net.PublishedSampling() // the step size is left to Technique 4
		f.Config.Sampling = train.Sampling{T: t, Denoise: denoise}
	}
	if o.preset == "" && preset.Name != "" {
		f.Notes = append(f.Notes, fmt.Sprintf("network and ladder are those of preset %s: its image size and sampling are "+
			"taken", preset.Name))
	}
	return nil
}

// inferNetwork finds out the network: that of the preset that was asked for where the file can be of it, since two networks
// may have the same parameters.
func (f *File) inferNetwork(o *Options) (model.Config, error) {
	if p, err := train.FindPreset(o.preset); o.net == "" && o.preset != "" && err == nil {
		if net, err := f.Infer(f.Prefix(), p.Config.Network.Net); err == nil {
			return net, nil
		}
	}
	return f.Infer(f.Prefix(), o.net)
}

// preset finds the preset that was asked for, or else the one whose network and ladder the file has. Where there is
// none the result has no name. A U-Net that is told steps may be of any process, which leaves no mark on the file, and
// files of all processes keep the ladder of VE: which one it is has to be said.
func (f *File) preset(o *Options, net model.Config) (train.Preset, error) {
	if o.preset != "" {
		return train.FindPreset(o.preset)
	}
	anyProcess := net.ToldSteps()
	var names []string
	for _, p := range train.Presets {
		sigmas, err := p.Config.Ladder()
		n := p.Config.Network
		switch {
		case err != nil || n.NGF != net.NGF || n.Channels != net.Channels || n.Net != net.Net && !anyProcess:
		case net.Uses("unet") && !model.SameParameters(n, net):
		case anyProcess:
			names = append(names, p.Name)
		case f.Weights.Ladder.Sigmas != nil && sigmas.DiffersFrom(f.Weights.Ladder) < 0:
			return train.FindPreset(p.Name)
		}
	}
	if anyProcess {
		which := "expected the -preset of a network with these settings"
		if len(names) > 0 {
			which = "give the right -preset: " + strings.Join(names, " or ")
		}
		return train.Preset{}, fmt.Errorf("%s holds a network that is told steps, and nothing in it says how its data was noised: %s",
			f.Path, which)
	}
	return train.Preset{Config: train.Config{Network: model.Config{Net: net.Net}}}, nil
}

// errNoLadder makes the error for a file without a ladder when none is given.
func errNoLadder(path string) error {
	return fmt.Errorf("%s keeps no ladder of noise levels: give -sigma-begin, -sigma-end and -levels, or -preset NAME",
		path)
}

// ladder takes the file's ladder, or the one given, and holds the two against each other where both are there.
func (f *File) ladder(o *Options, c *cli.Command) (err error) {
	s := &f.Config.Sigma
	buffer := f.Weights.Ladder.Sigmas
	if f.Config.Network.SDE.Preserving() { // it is that of VE all the same
		buffer = nil
	}
	if !c.Given("sigma-begin") && !c.Given("sigma-end") && !c.Given("levels") && !c.Given("spacing") && o.preset == "" {
		if buffer == nil {
			return errNoLadder(f.Path)
		}
		*s, f.Sigmas, err = sigmaOf(f.Path, f.Weights.Ladder)
		return err
	}
	end := func(flag string, v float64, e *train.SigmaEnd, i int) error {
		switch {
		case c.Given(flag):
			*e = train.SigmaEnd{Value: v}
			return cli.UsageOf(model.CheckSigma(flag, v))
		case e.Value == 0 && buffer != nil:
			*e = train.SigmaEnd{Value: f.Weights.Ladder.Decimal(i)}
		case e.Value == 0:
			return errNoLadder(f.Path)
		}
		return nil
	}
	if err := end("sigma-begin", o.begin, &s.Begin, 0); err != nil {
		return err
	}
	if err := end("sigma-end", o.end, &s.End, len(buffer)-1); err != nil {
		return err
	}
	switch {
	case c.Given("levels"):
		if err := model.CheckLevels(int(o.levels)); err != nil {
			return cli.UsageOf(err)
		}
		s.Levels = int(o.levels)
	case s.Levels == 0 && buffer != nil:
		s.Levels = len(buffer)
	case s.Levels == 0:
		s.Levels = f.Config.Network.Levels
	}
	if o.spacing != "" {
		s.Spacing = o.spacing
	}
	if s.Levels == 0 {
		return errNoLadder(f.Path)
	}
	if f.Sigmas, err = f.Config.Ladder(); err != nil {
		return cli.UsageOf(err)
	}
	if i := f.Sigmas.DiffersFrom(f.Weights.Ladder); buffer != nil && i >= 0 {
		have, want := "none", "none"
		if i < len(buffer) {
			have = fmt.Sprintf("%.7g", buffer[i])
		}
		if i < len(f.Sigmas) {
			want = fmt.Sprintf("%.7g", f.Sigmas[i])
		}
		return fmt.Errorf("%s keeps another ladder than the one given: sigma of level %d is %s in it (%d levels) and %s by "+
			"-preset or the flags of the ladder (%d levels); leave those out", f.Path, i, have, len(buffer), want, len(f.Sigmas))
	}
	return nil
}

// sigmaOf finds the settings of a ladder, which must be a geometric or a linear one but for its rounding.
func sigmaOf(path string, kept model.KeptLadder) (train.Sigma, model.Ladder, error) {
	last := len(kept.Sigmas) - 1
	begin, end := train.SigmaEnd{Value: kept.Decimal(0)}, train.SigmaEnd{Value: kept.Decimal(last)}
	at, text := 0, ""
	for _, spacing := range model.Spacings() {
		l, err := model.NewLadder(spacing, begin.Value, end.Value, last+1)
		if err != nil {
			return train.Sigma{}, nil, fmt.Errorf("%s keeps a ladder that is none: %w", path, err)
		}
		i := l.DiffersFrom(kept)
		if i < 0 {
			return train.Sigma{Begin: begin, End: end, Levels: last + 1, Spacing: spacing}, l, nil
		}
		if i > at {
			at, text = i, fmt.Sprintf("as a %s one it would be %.7g", spacing, l[i])
		}
	}
	return train.Sigma{}, nil, fmt.Errorf("%s keeps a ladder that is neither geometric nor linear: "+
		"sigma of level %d is %.7g, and %s", path, at, kept.Sigmas[at], text)
}

// Start is how a run starts from a file.
type Start struct {
	GoOn bool   // with the file's state of Adam
	Net  string // the network that was asked for, "" where none was
	LR   bool   // whether a learning rate was asked for, which comes before the file's
}

// Prepare sets in c what a run has from the file that it starts from: the network, and where it goes on the ladder and
// Adam's settings too. ours tells whether the file is a checkpoint of this program.
func Prepare(c *train.Config, path string, s Start) (ours bool, err error) {
	if IsBuiltIn(path) { // a run names the file that it starts from
		return false, fmt.Errorf("%s is the model in the program, and a run starts from a file: write it to one by "+
			"export %[1]s -o %[1]s.safetensors", path)
	}
	w, err := checkpoint.OpenWeights(path)
	if err != nil {
		return false, err
	}
	defer w.Close()
	if s.GoOn {
		if err := w.CheckAdam(); err != nil {
			return false, err
		}
	}
	var of train.Config // what the file says
	if w.Config != "" {
		stored, err := train.ParseConfig(w.Config)
		if err == nil {
			err = stored.Network.Validate()
		}
		if err != nil {
			return false, fmt.Errorf("%s holds a configuration that cannot be read: %w; "+
				"it may come from another version of the program", path, err)
		}
		of = *stored
	} else {
		if of.Network, err = w.Infer(checkpoint.ParamPrefix, ""); err != nil {
			return false, fmt.Errorf("%s: %w", path, err)
		}
		if w.Network == nil {
			of.Network.Nonlinearity, of.Network.Rescaled = c.Network.Nonlinearity, c.Network.Rescaled
		}
		of.Sigma.Levels = of.Network.Levels
		if w.Ladder.Sigmas != nil {
			if of.Sigma, _, err = sigmaOf(path, w.Ladder); err != nil && s.GoOn {
				return false, err
			}
		}
	}
	if s.Net != "" && s.Net != of.Network.Net {
		return false, fmt.Errorf("%s holds network %s, and %s was asked for: leave -net out, or give another file", path,
			of.Network.Net, s.Net)
	}
	c.SetNetwork(of.Network.Net)
	h, width, channels := c.Network.Height, c.Network.Width, c.Network.Channels // the data's
	c.Network, c.ClassNames = of.Network, of.ClassNames
	c.Network.Height, c.Network.Width, c.Network.Channels = h, width, channels
	switch {
	case s.GoOn && of.Sigma.Begin.Value > 0:
		c.Sigma = of.Sigma
	case of.Network.NeedsLevels():
		c.Sigma.Levels = of.Sigma.Levels
	}
	if s.GoOn {
		switch {
		case w.Adam != nil:
			if err := takeAdam(&c.Adam, w, s.LR); err != nil {
				return false, err
			}
		case w.Config != "":
			c.Adam, c.EMA, c.Seed, c.Noise = of.Adam, of.EMA, of.Seed, of.Noise
			c.Precision, c.Multiprocessors = of.StoredPrecision(), of.Multiprocessors
		}
	}
	return w.Config != "", nil
}

// takeAdam sets Adam's settings to those of the file w. What it does not name stays as it is.
func takeAdam(a *train.Adam, w *checkpoint.Weights, lr bool) error {
	saved, of := w.Adam.AdamSettings, *a
	of.LR, of.Beta1, of.Beta2, of.Eps = saved.LR, saved.Beta1, saved.Beta2, saved.Eps
	for _, key := range w.Adam.Absent {
		switch key {
		case "lr":
			of.LR = a.LR
		case "betas":
			of.Beta1, of.Beta2 = a.Beta1, a.Beta2
		case "eps":
			of.Eps = a.Eps
		}
	}
	switch {
	case lr || slices.Contains(w.Adam.Absent, "lr"):
	case of.LR == 0: // auto, in a configuration
		return fmt.Errorf("%s was saved with Adam's learning rate at 0, as at the end of a schedule: give `lr`, or start a "+
			"new run from its weights with `init`", w.Path)
	}
	*a = of
	return nil
}
