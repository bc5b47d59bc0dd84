// Package weights opens what samples and scores are drawn from: a run, one of its checkpoints, or a file of another program
// that holds weights and no configuration, of which the rest is found out or given by flags.
package weights

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"sigmaz/internal/cli"
	"sigmaz/model"
	"sigmaz/train"
)

// Options is what may be said about a file without a configuration.
type Options struct {
	preset, net, size           string
	normalization, nonlinearity string
	rescaled                    bool
	begin, end                  float64
	levels                      int
	spacing                     string
}

// Group is the flags.
func (o *Options) Group() cli.Group {
	var presets []string
	for _, p := range train.Presets {
		presets = append(presets, p.Name)
	}
	choice := func(to *string, words []string) cli.Choice { return cli.Choice{To: to, Words: words} }
	return cli.Group{
		Name: "Files without a configuration",
		Note: "Checkpoints of PyTorch (.pth) and state_dicts (.safetensors) of other programs hold weights alone. Network, channels, width and norm are found in them, and so is the ladder where the file keeps it; " +
			"the published ones are known by these.",
		Flags: []cli.Flag{
			{Name: "preset", Arg: "NAME", Help: "what the file was trained with, as far as it is not found in it; the flags below come before it", Value: choice(&o.preset, presets), Default: "the one whose network and ladder the file has", Known: presets},
			{Name: "net", Arg: "NAME", Help: "network", Value: choice(&o.net, model.ImageNetworks()), Default: "found in the file", Known: model.ImageNetworks()},
			{Name: "size", Arg: "HxW", Unit: "pixels", Help: "height and width of the images, or one number for both", Value: &o.size, Default: "the preset's"},
			{Name: "sigma-begin", Arg: "SIGMA", Help: "the largest noise", Value: &o.begin, Default: "the file's or the preset's"},
			{Name: "sigma-end", Arg: "SIGMA", Help: "the smallest noise", Value: &o.end, Default: "the file's or the preset's"},
			{Name: "L", Arg: "L", Unit: "levels", Help: "number of noise levels", Value: &o.levels, Default: "the file's or the preset's"},
			{Name: "spacing", Arg: "HOW", Help: "of the levels: " + strings.Join(model.Spacings(), " or "), Value: choice(&o.spacing, model.Spacings()), Default: "found in the file's ladder, or " + model.GeometricSpacing, Known: model.Spacings()},
			{Name: "nonlinearity", Arg: "NAME", Help: "activation: " + strings.Join(model.Nonlinearities(), ", "), Value: choice(&o.nonlinearity, model.Nonlinearities()), Default: model.Nonlinearities()[0], Known: model.Nonlinearities()},
			{Name: "rescaled", Help: "the network was trained on images in [-1, 1], not [0, 1]", Value: &o.rescaled},
		},
	}
}

// File is an open file with everything that is known about the network in it.
type File struct {
	*model.Weights
	Folder string // of the run, "" for a file
	Config *train.Config
	Sigmas model.Ladder
	Notes  []string // what was found out or taken for granted, a line each
}

// Open opens a run folder, of which it takes the newest checkpoint, a checkpoint or another file with weights. c tells
// which flags were given.
func Open(path string, o *Options, c *cli.Command) (*File, error) {
	f := &File{}
	file := path
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s does not exist: expected a run folder, a checkpoint or a .pth file; training prints the folder of its run", path)
	case err != nil:
		return nil, fmt.Errorf("cannot read the run: %w", err)
	case info.IsDir():
		f.Folder = path
		if file, err = train.Latest(path); err != nil {
			return nil, err
		}
	}
	if f.Weights, err = model.OpenWeights(file); err != nil {
		return nil, err
	}
	if f.Weights.Config != "" {
		err = f.configured(o, c)
	} else {
		err = f.found(o, c)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// Prefix is that of the weights to take: the moving average, unless the raw weights are asked for or the file has no other.
func (f *File) Prefix(raw bool) string {
	if raw || !f.Has(model.EMAPrefix) {
		return model.ParamPrefix
	}
	return model.EMAPrefix
}

// Which says which weights those are.
func (f *File) Which(raw bool) string {
	switch {
	case f.Prefix(raw) == model.EMAPrefix:
		return "EMA weights"
	case raw:
		return "raw weights"
	case f.Kind == model.KindStateDict:
		return "weights"
	}
	return "raw weights (it holds no EMA)"
}

// At is " step N, " or nothing, for messages.
func (f *File) At() string {
	if !f.Stepped {
		return ""
	}
	return fmt.Sprintf("step %d, ", f.Step)
}

// configured reads the configuration in a checkpoint of this program.
func (f *File) configured(o *Options, c *cli.Command) (err error) {
	for _, flag := range o.Group().Flags {
		if c.Given(flag.Name) {
			return cli.Usagef("-%s: %s holds its configuration; leave the flag out", flag.Name, f.Path)
		}
	}
	if f.Config, err = train.ParseConfig(f.Weights.Config); err != nil {
		return fmt.Errorf("%s holds a configuration that cannot be read: %w; it may come from another version of the program", f.Path, err)
	}
	if err := f.Config.Network.Validate(); err != nil {
		return fmt.Errorf("%s: %w", f.Path, err)
	}
	if f.Sigmas, err = f.Config.Ladder(); err != nil {
		return fmt.Errorf("%s: %w", f.Path, err)
	}
	if i := differ(f.Weights.Sigmas, f.Sigmas); f.Weights.Sigmas != nil && i >= 0 {
		return fmt.Errorf("%s has a buffer sigmas that is not the ladder of its configuration from level %d on: write it again with export", f.Path, i)
	}
	return nil
}

// found finds out what there is to know about a file without a configuration.
func (f *File) found(o *Options, c *cli.Command) error {
	net, err := model.Infer(f, f.Prefix(false), o.net, len(f.Weights.Sigmas))
	if err != nil {
		return fmt.Errorf("%s: %w", f.Path, err)
	}
	preset, err := f.preset(o, net)
	if err != nil {
		return err
	}
	cfg := preset.Config // its sampling and image size; the rest is the file's
	if net.Net != cfg.Network.Net && preset.Name != "" {
		return cli.Usagef("-preset %s is of network %s, and %s holds %s; choose another, or leave it out", preset.Name, cfg.Network.Net, f.Path, net.Net)
	}
	net.Height, net.Width = cfg.Network.Height, cfg.Network.Width
	if o.size != "" {
		if net.Height, net.Width, err = parseSize(o.size); err != nil {
			return err
		}
	}
	if net.Height == 0 {
		return fmt.Errorf("%s says nothing about the size of its images: give -size HxW, such as -size 32x32, or -preset NAME", f.Path)
	}
	net.Nonlinearity, net.Rescaled = cfg.Network.Nonlinearity, cfg.Network.Rescaled
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
			return fmt.Errorf("%s is of a network for %d noise levels, and the ladder has %d: give -L %[2]d with its sigma-begin and sigma-end", f.Path, have, len(f.Sigmas))
		}
		f.Config.Network.Levels = len(f.Sigmas)
	}
	if err := f.Config.Network.Validate(); err != nil {
		return fmt.Errorf("%s: %w", f.Path, err)
	}
	if preset.Name == "" {
		f.Config.Sampling = sampling(net.Net)
	}
	if o.preset == "" && preset.Name != "" {
		f.Notes = append(f.Notes, fmt.Sprintf("network and ladder are those of preset %s: its image size and sampling are taken", preset.Name))
	}
	return nil
}

// preset is the one that was asked for, or the one whose network and ladder the file has, or none, without a name.
func (f *File) preset(o *Options, net model.Config) (train.Preset, error) {
	if o.preset != "" {
		return train.FindPreset(o.preset)
	}
	for _, p := range train.Presets {
		sigmas, err := p.Config.Ladder()
		n := p.Config.Network
		if err != nil || n.Net != net.Net || n.NGF != net.NGF || n.Channels != net.Channels || f.Weights.Sigmas == nil || differ(f.Weights.Sigmas, sigmas) >= 0 {
			continue
		}
		return train.FindPreset(p.Name)
	}
	return train.Preset{Config: train.Config{Network: model.Config{Net: net.Net}}}, nil
}

// sampling is that of the published settings of a network, with the step size left to Technique 4.
func sampling(net string) train.Sampling {
	for _, p := range train.Presets {
		if p.Config.Network.Net == net {
			return train.Sampling{T: p.Config.Sampling.T, Denoise: p.Config.Sampling.Denoise}
		}
	}
	return train.Sampling{T: 5, Denoise: true}
}

// ladder takes the file's ladder, or the one given, and holds the two against each other where both are there.
func (f *File) ladder(o *Options, c *cli.Command) error {
	s := &f.Config.Sigma
	given := c.Given("sigma-begin") || c.Given("sigma-end") || c.Given("L") || c.Given("spacing")
	buffer := f.Weights.Sigmas
	switch {
	case given || o.preset != "":
	case buffer == nil:
		return fmt.Errorf("%s keeps no ladder of noise levels: give -sigma-begin, -sigma-end and -L, or -preset NAME", f.Path)
	default:
		*s = train.Sigma{}
	}
	number := func(flag string, v float64, e *train.SigmaEnd, i int) {
		switch {
		case c.Given(flag):
			*e = train.SigmaEnd{Value: v}
		case e.Value == 0 && buffer != nil:
			// The shortest decimal of the float32: 0.01, not 0.009999999776.
			e.Value, _ = strconv.ParseFloat(strconv.FormatFloat(buffer[i], 'g', -1, 32), 64)
		}
	}
	number("sigma-begin", o.begin, &s.Begin, 0)
	number("sigma-end", o.end, &s.End, len(buffer)-1)
	if c.Given("L") {
		s.Levels = o.levels
	} else if s.Levels == 0 {
		if s.Levels = len(buffer); buffer == nil {
			s.Levels = f.Config.Network.Levels
		}
	}
	s.Spacing = o.spacing
	for name, v := range map[string]float64{"sigma-begin": s.Begin.Value, "sigma-end": s.End.Value} {
		if !(v > 0) || math.IsInf(v, 0) {
			if !c.Given(name) {
				return fmt.Errorf("%s keeps no ladder of noise levels: give -sigma-begin, -sigma-end and -L, or -preset NAME", f.Path)
			}
			return cli.Usagef("-%s is %g: expected a positive number", name, v)
		}
	}
	if s.Levels < 1 || s.Levels > train.MaxLevels {
		return cli.Usagef("-L is %d: expected 1 to %d noise levels", s.Levels, train.MaxLevels)
	}
	var err error
	if f.Sigmas, err = f.Config.Ladder(); err != nil {
		return cli.Usagef("-%v", err)
	}
	if buffer == nil {
		return nil
	}
	i := differ(buffer, f.Sigmas)
	if i >= 0 && !given && o.preset == "" {
		s.Spacing = model.LinearSpacing
		if linear, err := f.Config.Ladder(); err == nil && differ(buffer, linear) < 0 {
			f.Sigmas = linear
			return nil
		}
		return fmt.Errorf("%s keeps a ladder that is neither geometric nor linear: its level %d is %g, and from %g to %g it would be %g", f.Path, i, buffer[i], buffer[0], buffer[len(buffer)-1], f.Sigmas[i])
	}
	if i >= 0 {
		have, want := "none", "none"
		if i < len(buffer) {
			have = fmt.Sprintf("%g", buffer[i])
		}
		if i < len(f.Sigmas) {
			want = fmt.Sprintf("%g", f.Sigmas[i])
		}
		return fmt.Errorf("the ladder that was given is not the one in %s: level %d is %s there (its buffer sigmas of %d levels) and %s here (%d levels); leave out the flags of the ladder", f.Path, i, have, len(buffer), want, len(f.Sigmas))
	}
	return nil
}

// differ is the first level at which two ladders differ by more than one part in a million, -1 where none does.
func differ(a []float64, b model.Ladder) int {
	for i := range min(len(a), len(b)) {
		if !(math.Abs(a[i]-float64(b[i])) <= 1e-6*math.Abs(float64(b[i]))) {
			return i
		}
	}
	if len(a) != len(b) {
		return min(len(a), len(b))
	}
	return -1
}

// parseSize reads 32 or 28x32.
func parseSize(text string) (h, w int, err error) {
	first, second, two := strings.Cut(text, "x")
	if !two {
		second = first
	}
	h, err1 := strconv.Atoi(first)
	w, err2 := strconv.Atoi(second)
	const most = 1 << 14
	if err1 != nil || err2 != nil || slices.Min([]int{h, w}) < 1 || max(h, w) > most {
		return 0, 0, cli.Usagef("-size is %q: expected height x width in pixels, such as 32x32, at most %d", text, most)
	}
	return h, w, nil
}
