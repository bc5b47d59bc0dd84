// Flags: from the command line to the configuration of a run.

package traincmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"sigmaz/cmd/internal/cli"
	"sigmaz/cmd/internal/modelfile"
	"sigmaz/cmd/internal/watch"
	"sigmaz/internal/rendezvous"
	"sigmaz/internal/setting"
	"sigmaz/model"
	"sigmaz/train"
	"sigmaz/train/dataset"
	"sigmaz/train/ranks"
)

// flags is a parsed command line.
type flags struct {
	*cli.Command
	texts map[string]string // of the settings that were given, by name

	preset, config, resume string
	init, goOn             string // -init and -continue
	goesOn                 bool   // -continue goes on from a checkpoint of this program
	runs, name             string
	dryRun, listPresets    bool
	gpus                   cli.GPUs // that train, or that -dry-run shows the gain of
	device                 cli.Device
	dataMemory             train.DataMemory
	cpuProfile             string
	watching               watch.Options
	watch                  *watch.Watch // from start on
	launch                 ranks.Launch // how the process was started
	rendezvous             meeting      // where the ranks meet
	group                  *ranks.Group // of the processes that train together; nil: there is one
}

// value is a setting as the parser sees it: it checks that the text can be parsed, and keeps it.
type value struct {
	s settingFlag
	f *flags
}

// String returns the value in the default preset.
func (v value) String() string {
	def := train.Presets[0].Config
	return cli.Text(v.s.Field(&def))
}

func (v value) IsBoolFlag() bool {
	_, ok := v.s.Field(new(train.Config)).(*bool)
	return ok
}

func (v value) Set(text string) error {
	if err := cli.Set(v.s.Field(new(train.Config)), text); err != nil {
		return err
	}
	v.f.texts[v.s.Name] = text
	return nil
}

// newFlags makes the command line, before it is parsed.
func newFlags() *flags {
	f := &flags{texts: map[string]string{}, runs: "runs", dataMemory: train.AutoMemory, rendezvous: meeting{wait: rendezvous.DefaultWait}}
	def := train.Presets[0].Name
	c := &cli.Command{
		Name: "train",
		About: "Trains a noise-conditional score network and leaves it in a run folder, runs/NAME. " +
			"Ctrl-C finishes the step at hand, saves and stops; a second one quits at once. " +
			"The defaults below are those of preset " + def + ".",
		Bare: func(arg string) string {
			switch ext := filepath.Ext(arg); {
			case train.IsRun(arg) || train.IsRun(filepath.Join("runs", arg)):
				return "resume"
			case ext == ".yaml" || ext == ".yml":
				return "config"
			}
			return "data"
		},
		Examples: []cli.Example{
			{Line: "train", What: "digits drawn from fonts, two to four minutes on two cores"},
			{Line: "train -data toy:swissroll", What: "points in the plane, with pictures of the learned score field"},
			{Line: "train -preset fashion-mnist -data DIR -ngf 8 -batch 32 -steps 2000",
				What: "image files, at a size for two cores"},
			{Line: "train -preset cifar10 -dry-run", What: "what the published settings are and cost"},
			{Line: "train -resume runs/glyphs-1 -steps 6000", What: "go on with a run, to more steps"},
			{Line: "train -continue checkpoint_5000.pth -preset cifar10 -data DIR",
				What: "go on with a run of the original repository"},
		},
		Notes: []string{"Exit codes: 0 done, or stopped and saved; 1 failed; 2 wrong usage; 130 quit before saving."},
	}
	for _, g := range groups {
		group := cli.Group{Name: g.Name, Note: g.Note}
		for _, s := range g.Settings {
			if w, ok := s.Field(new(train.Config)).(word); ok {
				s.Known = w.all()
			}
			group.Flags = append(group.Flags, cli.Flag{Name: s.Name, Arg: s.Arg, Unit: s.Unit, Help: s.Help, Value: value{s, f},
				Default: s.Default, Known: s.Known})
		}
		c.Groups = append(c.Groups, group)
	}
	machine := &c.Groups[len(c.Groups)-1]
	machine.Flags = append(f.device.Flags("train"), machine.Flags...)
	machine.Flags = append(machine.Flags, cli.Flag{Name: "data-memory", Arg: "WHERE", Help: "where the data lies with -gpu, " +
		"which changes no result: on the device; on the host, which copies the rows of each step; auto: on the device if " +
		"it fits there", Value: cli.Choice{To: (*string)(&f.dataMemory), Words: train.DataMemories()},
		Known: train.DataMemories()})
	presets := cli.List{Name: "Presets (-preset NAME)"}
	var names []string
	for _, p := range train.Presets {
		names = append(names, p.Name)
		presets.Rows = append(presets.Rows, [2]string{p.Name, p.What})
	}
	c.Lists = []cli.List{presets}
	c.Groups = append(c.Groups, watchGroup(&f.watching))
	c.Groups = append([]cli.Group{{Name: "Run", Flags: []cli.Flag{
		{Name: "preset", Arg: "NAME", Help: "settings to start from", Value: &f.preset, Default: "by -data", Known: names},
		{Name: "list-presets", Help: "print the presets with the sources of their numbers and the data they expect, and stop",
			Value: &f.listPresets},
		{Name: "config", Arg: "FILE", Help: "settings in YAML, over the preset's and under the flags'", Value: &f.config},
		{Name: "init", Arg: "FILE", Help: "start from the weights of a run or a file: a checkpoint, " +
			"a state_dict (.safetensors), one of PyTorch (.pth) or a folder of diffusers; network and width are the file's",
			Value: &f.init},
		{Name: "continue", Arg: "FILE", Help: "go on from a checkpoint of PyTorch or of another run in a new run: weights, " +
			"moving average, Adam's moments and settings, step and ladder", Value: &f.goOn},
		{Name: "name", Arg: "NAME", Help: "name of this run's folder", Value: &f.name,
			Default: "preset or data and a number"},
		{Name: "runs", Arg: "DIR", Help: "folder of all runs", Value: &f.runs},
		{Name: "resume", Arg: "RUN", Help: "go on with a run: its folder, name, or a checkpoint", Value: &f.resume},
		{Name: "dry-run", Help: "print the resolved settings, sizes and costs, and stop", Value: &f.dryRun},
		{Name: "gpus", Arg: "N", Help: "train on N GPUs of this machine, or all, with a process for each; with -dry-run: what up to N GPUs " +
			"would gain, expected from the size of the gradient and links of usual speed, not measured", Value: &f.gpus, Default: "one process",
			Known: []string{"all"}},
		{Name: "rendezvous", Arg: "HOST:PORT", Help: "where rank 0 of several processes listens, for launchers that do not name it",
			Value: &f.rendezvous.address, Default: "by the launcher"},
		{Name: "rendezvous-wait", Arg: "TIME", Help: "how long ranks wait for each other at the start: 90s, 10m",
			Value: &f.rendezvous},
		{Name: "cpuprofile", Arg: "FILE", Help: "write a CPU profile for go tool pprof to this new file", Value: &f.cpuProfile},
	}}}, c.Groups...)
	c.Stopping, c.Unread, c.Notice = cli.Stops, cli.StopsUnread, "stopping after this step"
	if f.isChild() {
		c.Notice = "" // which the process that stands for it says
		speakFromGroup()
	}
	c.Check = func() error {
		if err := cmp.Or(f.checkGPUs(), f.device.Check(c)); err != nil {
			return err
		}
		if c.Given("data-memory") && !f.device.GPU {
			return cli.Usagef("-data-memory %s is about a GPU's memory: give -gpu too, or leave it out to train on the CPU",
				f.dataMemory)
		}
		if c.Given("shards") && f.texts["shards"] == "0" {
			return cli.Usagef("-shards is 0: expected a power of two, or 1 for a batch in one piece")
		}
		return nil
	}
	c.Run = func(ctx context.Context, s cli.Streams) error {
		if err := f.readLaunch(); err != nil {
			return err
		}
		run := start
		if f.startsRanks() {
			run = startRanks
		}
		err := run(ctx, f, s)
		if ctx.Err() != nil && errors.Is(err, context.Canceled) {
			return &cli.StoppedError{Text: "stopped before the first step; nothing was written"}
		}
		return err
	}
	f.Command = c
	return f
}

// setsNothing tells whether a configuration has blank lines and comments alone.
func setsNothing(text string) bool {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			return false
		}
	}
	return true
}

// configuration builds the settings of a new run: the preset, then the configuration file, then the flags.
func (f *flags) configuration() (*train.Config, train.Preset, error) {
	var file string
	wish := train.Config{} // what the file says about preset and data
	if f.config != "" {
		var err error
		if file, err = train.ReadConfig(f.config); err != nil {
			return nil, train.Preset{}, fmt.Errorf("-config: %w; give the name of a file with settings in YAML", err)
		}
		if err := wish.Merge(file); err != nil {
			return nil, train.Preset{}, fmt.Errorf("%s: %w", f.config, err)
		}
		if setsNothing(file) {
			return nil, train.Preset{}, fmt.Errorf("%s sets nothing: expected settings in YAML, such as steps: 2000; leave -config "+
				"out to train without", f.config)
		}
	}
	data := wish.Data
	if v, ok := f.texts["data"]; ok {
		data = v
	}
	name := f.preset
	if name == "" {
		name = wish.Preset
	}
	chosen := name != ""
	if !chosen {
		name = train.DefaultPreset(data)
	}
	preset, err := train.FindPreset(name)
	if err != nil {
		if f.preset == "" {
			return nil, preset, fmt.Errorf("%s: %w", f.config, err)
		}
		return nil, preset, cli.UsageOf(err)
	}
	c := preset.Config
	if spec, _ := dataset.ParseSpec(data); !chosen && data != "" && data != c.Data && spec.Kind != dataset.Toy {
		// The default preset's ladder is made for its own images; for others the largest distance is looked for.
		c.Sigma.Begin = train.SigmaEnd{Rule: train.RuleData}
	}
	if ext := strings.ToLower(filepath.Ext(data)); ext == ".npy" || ext == ".npz" {
		c.Reading = dataset.Settings{} // what a preset says about image files
	}
	net := wish.Network.Net
	if v, ok := f.texts["net"]; ok {
		net = v
	}
	if net != "" {
		c.SetNetwork(net)
	}
	// The file that the run starts from. What flags and -config say about network and ladder comes after it.
	start, goOn := wish.Init, wish.Continue
	if f.init != "" || f.goOn != "" {
		start, goOn = f.init, f.goOn
	}
	switch {
	case start != "" && goOn != "":
		return nil, preset, cli.Usagef("-init and -continue are both given: expected one of them; " +
			"-continue takes the weights too")
	case start != "":
		if start, err = modelfile.Find(start); err == nil {
			_, err = modelfile.Prepare(&c, start, modelfile.Start{Net: net})
		}
	case goOn != "":
		_, lr := f.texts["lr"]
		if goOn, err = modelfile.Find(goOn); err == nil {
			f.goesOn, err = modelfile.Prepare(&c, goOn, modelfile.Start{GoOn: true, Net: net, LR: lr || wish.Adam.LR != 0})
		}
	}
	if err != nil {
		return nil, preset, err
	}
	if err := c.Merge(file); err != nil {
		return nil, preset, fmt.Errorf("%s: %w", f.config, err)
	}
	if wish.DataSum != "" { // that of a run
		c.Precision = wish.StoredPrecision()
	}
	c.Init, c.Continue = start, goOn
	c.Preset = name
	c.DataSum, c.Split, c.Scaler, c.Sigma.Distances, c.StartSum, c.Computed = "", "", nil, nil, "", "" // they describe the run that a stored file is of
	if _, ok := f.texts["data"]; ok {
		c.Network.DataSD = 0 // of the file's data
	}
	before := c
	if err := f.apply(&c); err != nil {
		return nil, preset, err
	}
	if c.Sampling.Epsilon == preset.Config.Sampling.Epsilon && !f.Given("epsilon") &&
		(c.Sigma != before.Sigma || c.Sampling.T != before.Sampling.T) {
		c.Sampling.Epsilon = 0 // a published step size is of the published ladder and T
	}
	return &c, preset, f.validate(&c)
}

// apply sets what was given.
func (f *flags) apply(c *train.Config) error {
	for s := range settings() {
		if v, ok := f.texts[s.Name]; ok {
			if err := cli.Set(s.Field(c), v); err != nil {
				return cli.Usagef("-%s %v", s.Name, err)
			}
		}
	}
	_, t := f.texts["T"]
	_, epsilon := f.texts["epsilon"]
	if _, named := f.texts["sampler"]; (t || epsilon) && !named && c.Network.TakesImages() && !c.Network.SeesSigma() {
		c.Sampling.Sampler = model.Langevin // what they are settings of
	}
	return nil
}

// validate checks the settings; what is wrong by a flag is wrong usage.
func (f *flags) validate(c *train.Config) error {
	for s := range settings() {
		if f.Given(s.Name) && s.Unused != nil {
			if why := s.Unused(c); why != "" {
				return cli.Usagef("-%s %s: leave it out", s.Name, why)
			}
		}
	}
	err := c.Validate()
	var bad *setting.Error
	if errors.As(err, &bad) && f.config != "" && !f.Given(bad.Key) {
		return fmt.Errorf("%s: %w", f.config, err)
	}
	if err == nil {
		err = train.CheckPrecision(c.Precision, f.device.GPU)
		if from := cmp.Or(f.config, f.goOn, f.resume); err != nil && !f.Given("precision") {
			return fmt.Errorf("%s: %w", from, err)
		}
	}
	return cli.UsageOf(err)
}

// checkResume refuses flags that would make the resumed run another one.
func (f *flags) checkResume() error {
	allowed := append([]string{"resume", "runs", "gpu", "device", "data-memory", "cpuprofile", "dry-run", "gpus", "rendezvous", "rendezvous-wait"}, watchFlags()...)
	for s := range settings() {
		if may, _ := train.MayChange(s.Name); may {
			allowed = append(allowed, s.Name)
		}
	}
	var refused []string
	for _, name := range f.GivenNames() {
		if !slices.Contains(allowed, name) {
			refused = append(refused, "-"+name)
		}
	}
	if len(refused) == 0 {
		return nil
	}
	it := "it"
	if len(refused) > 1 {
		it = "them"
	}
	return cli.Usagef("%s cannot be changed with -resume, which goes on with the stored configuration: leave %s out, "+
		"or start a new run with -config RUN/config.yaml", strings.Join(refused, ", "), it)
}
