// Folders in the form of diffusers, the library of Hugging Face:
//
//	FOLDER/config.json                                the settings of a UNet2DModel, in a pipeline under FOLDER/unet
//	FOLDER/diffusion_pytorch_model.safetensors|.bin   its weights
//	FOLDER/model_index.json                           marks a pipeline
//	FOLDER/scheduler/scheduler_config.json            its noise: sigma_min, sigma_max, num_train_timesteps
//
// A UNet2DModel of Skip blocks is NCSN++ with input_skip and output_skip, as google/ncsnpp-* were published. Its modules
// have names instead of numbers, and its attention has linear layers (out, in) where NCSN++ has NIN (in, out).

package checkpoint

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"gorgonia.org/tensor"

	"sigmaz/internal/atomicfile"
	"sigmaz/internal/ownfile"
	"sigmaz/model"
)

// The files of a folder.
const (
	diffusersConfigFile = "config.json"
	diffusersIndexFile  = "model_index.json"
	diffusersUNet       = "unet"
	diffusersWeights    = "diffusion_pytorch_model"
	diffusersScheduler  = "scheduler"
	schedulerConfigFile = "scheduler_config.json"
)

// The classes of diffusers.
const (
	diffusersModelClass     = "UNet2DModel"
	diffusersPipelineClass  = "ScoreSdeVePipeline"
	diffusersSchedulerClass = "ScoreSdeVeScheduler"
	diffusersVersion        = "0.21.4" // whose names and settings these are
)

// Types of the blocks of a UNet2DModel.
const (
	skipDown, attnSkipDown = "SkipDownBlock2D", "AttnSkipDownBlock2D"
	skipUp, attnSkipUp     = "SkipUpBlock2D", "AttnSkipUpBlock2D"
)

// Group norms of NCSN++ have min(C/4, 32) groups with this epsilon; those of the attention in a level of a UNet2DModel
// always have 32.
const diffusersGroups, diffusersNormEps = 32, 1e-6

// diffusersConfig is the settings of a UNet2DModel that decide what it computes.
type diffusersConfig struct {
	Class               string    `json:"_class_name"`
	Version             string    `json:"_diffusers_version"`
	ActFn               string    `json:"act_fn"`
	AddAttention        bool      `json:"add_attention"`
	AttentionHeadDim    *int      `json:"attention_head_dim"`
	BlockOutChannels    []int     `json:"block_out_channels"`
	CenterInputSample   bool      `json:"center_input_sample"`
	ClassEmbedType      *string   `json:"class_embed_type"`
	DownBlockTypes      []string  `json:"down_block_types"`
	DownsamplePadding   int       `json:"downsample_padding"`
	Dropout             float64   `json:"dropout"`
	FlipSinToCos        bool      `json:"flip_sin_to_cos"`
	FreqShift           float64   `json:"freq_shift"`
	InChannels          int       `json:"in_channels"`
	LayersPerBlock      int       `json:"layers_per_block"`
	MidBlockScaleFactor float64   `json:"mid_block_scale_factor"`
	NormEps             float64   `json:"norm_eps"`
	NormNumGroups       *int      `json:"norm_num_groups"`
	NumClassEmbeds      *int      `json:"num_class_embeds"`
	OutChannels         int       `json:"out_channels"`
	TimeScaleShift      string    `json:"resnet_time_scale_shift"`
	SampleSize          pixelSize `json:"sample_size"`
	TimeEmbeddingType   string    `json:"time_embedding_type"`
	UpBlockTypes        []string  `json:"up_block_types"`
}

// defaultDiffusersConfig is what a UNet2DModel takes for settings that are not there.
func defaultDiffusersConfig() diffusersConfig {
	headDim, groups := 8, 32
	return diffusersConfig{ActFn: "silu", AddAttention: true, AttentionHeadDim: &headDim, DownsamplePadding: 1,
		FlipSinToCos: true, InChannels: 3, LayersPerBlock: 2, MidBlockScaleFactor: 1, NormEps: 1e-5, NormNumGroups: &groups,
		OutChannels: 3, TimeScaleShift: "default", TimeEmbeddingType: "positional"}
}

// pixelSize is the height and width of images, 0 where they are not known. In JSON it is one number for both, a list of
// two, or null.
type pixelSize struct{ h, w int }

func (p pixelSize) MarshalJSON() ([]byte, error) {
	switch {
	case p.h == 0:
		return []byte("null"), nil
	case p.h == p.w:
		return strconv.AppendInt(nil, int64(p.h), 10), nil
	}
	return json.Marshal([]int{p.h, p.w})
}

func (p *pixelSize) UnmarshalJSON(text []byte) error {
	var one *int
	if json.Unmarshal(text, &one) == nil {
		*p = pixelSize{}
		if one != nil {
			*p = pixelSize{*one, *one}
		}
		return nil
	}
	var two []int
	if err := json.Unmarshal(text, &two); err != nil || len(two) != 2 {
		return errors.New("sample_size is neither a number nor a height and a width")
	}
	*p = pixelSize{two[0], two[1]}
	return nil
}

// schedulerConfig is the noise of a pipeline: sigma_max to sigma_min in a geometric ladder.
type schedulerConfig struct {
	Class        string  `json:"_class_name"`
	Version      string  `json:"_diffusers_version"`
	CorrectSteps int     `json:"correct_steps"`
	Steps        int     `json:"num_train_timesteps"`
	SamplingEps  float64 `json:"sampling_eps"`
	SigmaMax     float64 `json:"sigma_max"`
	SigmaMin     float64 `json:"sigma_min"`
	SNR          float64 `json:"snr"`
}

// IsDiffusers says whether a path is a folder in the form of diffusers.
func IsDiffusers(path string) bool {
	if isFile(filepath.Join(path, diffusersIndexFile)) {
		return true
	}
	var class struct {
		Name string `json:"_class_name"`
	}
	return readJSON(filepath.Join(path, diffusersConfigFile), &class) == nil && class.Name != ""
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// mostJSON bounds the files of settings, in bytes.
const mostJSON = 1 << 20

// readJSON reads a file of settings into v. The error names the file.
func readJSON(path string, v any) error {
	f, err := ownfile.OpenPlain(path)
	if err != nil {
		return fmt.Errorf("cannot read the settings of the network: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, mostJSON))
	if err != nil {
		return fmt.Errorf("cannot read %s: %w", path, err)
	}
	err = json.Unmarshal(text, v)
	if wrong := new(json.UnmarshalTypeError); errors.As(err, &wrong) && wrong.Field != "" {
		return fmt.Errorf("%s has a %s as %s: expected what diffusers writes there; copy the folder again", path, wrong.Value,
			wrong.Field)
	}
	if err != nil {
		return fmt.Errorf("%s is no file of settings in JSON (%w): copy the folder again", path, err)
	}
	return nil
}

// openDiffusers opens a folder.
func openDiffusers(folder string) (*Weights, error) {
	unet := folder
	if isFile(filepath.Join(folder, diffusersIndexFile)) {
		unet = filepath.Join(folder, diffusersUNet)
	}
	settings := filepath.Join(unet, diffusersConfigFile)
	c := defaultDiffusersConfig()
	if err := readJSON(settings, &c); err != nil {
		return nil, err
	}
	net, err := c.network()
	if err != nil {
		return nil, fmt.Errorf("%s %w", settings, err)
	}
	inner, err := openDiffusersWeights(unet)
	if err != nil {
		return nil, err
	}
	w := &Weights{Path: folder, File: inner.File, Kind: KindDiffusers, Config: inner.Config, Step: inner.Step, Stepped: inner.Stepped,
		Network: &net, PassedOver: inner.PassedOver, close: inner.Close}
	if err := w.addDiffusers(inner, net); err != nil {
		inner.Close()
		return nil, fmt.Errorf("%s %w", inner.Path, err)
	}
	if err := w.addScheduler(folder); err != nil {
		inner.Close()
		return nil, err
	}
	return w, nil
}

// openDiffusersWeights opens the weights of a model's folder.
func openDiffusersWeights(unet string) (*Weights, error) {
	for _, ext := range []string{".safetensors", ".bin"} {
		path := filepath.Join(unet, diffusersWeights+ext)
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			return OpenWeights(path)
		}
	}
	return nil, fmt.Errorf("%s holds no weights: expected %s.safetensors or .bin beside %s", unet, diffusersWeights,
		diffusersConfigFile)
}

// network returns the network that the settings describe. The error says what is not one of this program's.
func (c diffusersConfig) network() (model.Config, error) {
	fail := func(format string, a ...any) (model.Config, error) {
		return model.Config{}, fmt.Errorf("describes a network that this program does not have ("+format+"): expected a "+
			"UNet2DModel of Skip blocks, as google/ncsnpp-* are", a...)
	}
	levels := len(c.BlockOutChannels)
	switch {
	case c.Class != diffusersModelClass:
		return fail("_class_name is %.60q", c.Class)
	case levels < 1 || slices.Min(c.BlockOutChannels) < 1 || c.BlockOutChannels[0] < 1:
		return fail("block_out_channels is %v", c.BlockOutChannels)
	case len(c.DownBlockTypes) != levels || len(c.UpBlockTypes) != levels:
		return fail("%d down_block_types and %d up_block_types for %d block_out_channels", len(c.DownBlockTypes),
			len(c.UpBlockTypes), levels)
	case c.TimeEmbeddingType != "fourier":
		return fail("time_embedding_type is %.60q", c.TimeEmbeddingType)
	case c.ActFn != "silu" && c.ActFn != "swish":
		return fail("act_fn is %.60q", c.ActFn)
	case c.TimeScaleShift != "default":
		return fail("resnet_time_scale_shift is %.60q", c.TimeScaleShift)
	case math.Abs(c.MidBlockScaleFactor-math.Sqrt2) > 1e-6:
		return fail("mid_block_scale_factor is %g, not sqrt 2", c.MidBlockScaleFactor)
	case c.NormEps != diffusersNormEps:
		return fail("norm_eps is %g, not %g", c.NormEps, diffusersNormEps)
	case !c.AddAttention:
		return fail("add_attention is false")
	case c.InChannels != 3 || c.OutChannels != 3: // Skip blocks have no other
		return fail("in_channels is %d and out_channels %d", c.InChannels, c.OutChannels)
	case c.ClassEmbedType != nil || c.NumClassEmbeds != nil:
		return fail("it has an embedding of classes")
	}
	ngf := c.BlockOutChannels[0]
	var mult, widths []string
	for l, channels := range c.BlockOutChannels {
		if channels%ngf != 0 {
			return fail("block_out_channels are %v, no multiples of the first", c.BlockOutChannels)
		}
		mult = append(mult, strconv.Itoa(channels/ngf))
		down, up := c.DownBlockTypes[l], c.UpBlockTypes[levels-1-l]
		switch {
		case down == skipDown && up == skipUp:
		case down == attnSkipDown && up == attnSkipUp:
			widths = append(widths, fmt.Sprintf("1/%d", 1<<l))
		default:
			return fail("level %d goes down by %.60q and up by %.60q", l, down, up)
		}
	}
	net := model.Config{Net: model.NCSNPP, Height: c.SampleSize.h, Width: c.SampleSize.w, Channels: c.InChannels, NGF: ngf,
		Nonlinearity: "swish", Rescaled: !c.CenterInputSample, UNet: skipUNet()}
	net.UNet.ChMult, net.UNet.Attention = strings.Join(mult, ","), strings.Join(widths, ",")
	net.UNet.ResBlocks, net.UNet.Dropout = c.LayersPerBlock, c.Dropout
	if err := net.ValidateSettings(); err != nil {
		return model.Config{}, fmt.Errorf("describes a network that this program does not have: %w", err)
	}
	// What the settings leave open decides numbers of groups and of heads, which must be those of NCSN++.
	_, ours, err := namesFor(net)
	if err != nil {
		return model.Config{}, err
	}
	for _, level := range []int{0, levels - 1} {
		if g := c.NormNumGroups; g != nil && *g != normGroups(c.BlockOutChannels[level]) {
			return fail("norm_num_groups is %d, and the norms of %d channels have %d", *g, c.BlockOutChannels[level],
				normGroups(c.BlockOutChannels[level]))
		}
	}
	for l, channels := range c.BlockOutChannels {
		attends := ours.DownBlockTypes[l] == attnSkipDown || l == levels-1
		if d := c.AttentionHeadDim; attends && d != nil && *d != channels {
			return fail("attention_head_dim is %d, which makes %d heads of %d channels", *d, channels / *d, channels)
		}
	}
	return net, nil
}

// normGroups is how many groups a norm of NCSN++ has.
func normGroups(channels int) int { return min(channels/4, diffusersGroups) }

// skipUNet is what all networks of Skip blocks have in common.
func skipUNet() model.UNet {
	return model.UNet{ResBlock: "biggan", FIR: true, FIRKernel: "1,3,3,1", SkipRescale: true, Progressive: "output_skip",
		ProgressiveInput: "input_skip", Combine: "sum", Embedding: "fourier", FourierScale: 16, ScaleBySigma: true}
}

// diffusersOf returns the settings by which a UNet2DModel computes what the network does. The error says what it cannot.
func diffusersOf(c model.Config) (d diffusersConfig, err error) {
	fail := func(format string, a ...any) (diffusersConfig, error) {
		return diffusersConfig{}, fmt.Errorf("diffusers has no network for this one (%s): its UNet2DModel takes ncsnpp as "+
			"published for images of 256 pixels, with input_skip and output_skip, FIR and a Fourier embedding; write a "+
			"state_dict instead", fmt.Sprintf(format, a...))
	}
	u, ok := c.NamedUNet()
	same := skipUNet()
	same.ChMult, same.ResBlocks, same.Attention, same.Dropout, same.InitScale = u.ChMult, u.ResBlocks, u.Attention, u.Dropout,
		u.InitScale
	same.FourierScale, same.ResampWithConv = u.FourierScale, u.ResampWithConv // neither changes what is computed
	switch {
	case !ok:
		return fail("it is network %s", c.Net)
	case u != same:
		return fail("its settings are others")
	case c.Channels != 3:
		return fail("its images have %d channels, not 3", c.Channels)
	case c.Nonlinearity != "" && c.Nonlinearity != "swish":
		return fail("its activation is %s", c.Nonlinearity)
	}
	d = defaultDiffusersConfig()
	d.Class, d.Version, d.TimeEmbeddingType = diffusersModelClass, diffusersVersion, "fourier"
	d.CenterInputSample, d.Dropout, d.LayersPerBlock = !c.Rescaled, u.Dropout, u.ResBlocks
	d.MidBlockScaleFactor, d.NormEps, d.NormNumGroups, d.AttentionHeadDim = math.Sqrt2, diffusersNormEps, nil, nil
	d.SampleSize = pixelSize{c.Height, c.Width}
	mult := u.Mult()
	below := mult[len(mult)-1] * c.NGF // channels that come up to a level
	d.UpBlockTypes = make([]string, len(mult))
	for l, m := range mult {
		d.BlockOutChannels = append(d.BlockOutChannels, m*c.NGF)
		down, up := skipDown, skipUp
		if u.Attends(c.Width>>l, c.Width) {
			down, up = attnSkipDown, attnSkipUp
		}
		d.DownBlockTypes, d.UpBlockTypes[len(mult)-1-l] = append(d.DownBlockTypes, down), up
	}
	for l := len(mult) - 1; l >= 0; l-- {
		own := d.BlockOutChannels[l]
		if kept := d.BlockOutChannels[max(l-1, 0)]; d.DownBlockTypes[l] == attnSkipDown {
			// The first and the last block of the level take the channels from below and those kept from above it.
			for _, in := range [][2]int{{below, own}, {own, own}, {own, kept}} {
				if min(in[0]+in[1]/4, diffusersGroups) != normGroups(in[0]+in[1]) || normGroups(own) != diffusersGroups {
					return fail("a level of %d channels has attention, which in a UNet2DModel has norms of %d groups: at least 128 "+
						"channels are needed", own, diffusersGroups)
				}
			}
		}
		below = own
	}
	return d, nil
}

// diffusersName is a parameter's name here and there.
type diffusersName struct {
	ours   string
	theirs []string // the first one is written; the others are of older files
	turned bool     // theirs has the two dimensions the other way around
}

// diffusersNames lists the names of a network that [diffusersOf] takes, and some of parameters that it may not have.
func diffusersNames(d diffusersConfig) (list []diffusersName) {
	modules := 0
	next := func() string {
		modules++
		return fmt.Sprintf("all_modules.%d", modules-1)
	}
	both := func(ours, theirs string) { // a layer's weight and bias
		for _, name := range []string{".weight", ".bias"} {
			list = append(list, diffusersName{ours: ours + name, theirs: []string{theirs + name}})
		}
	}
	block := func(theirs string) {
		ours := next()
		for _, of := range [][2]string{{"GroupNorm_0", "norm1"}, {"Conv_0", "conv1"}, {"Dense_0", "time_emb_proj"},
			{"GroupNorm_1", "norm2"}, {"Conv_1", "conv2"}, {"Conv_2", "conv_shortcut"}} {
			both(ours+"."+of[0], theirs+"."+of[1])
		}
	}
	attention := func(theirs string) {
		ours := next()
		both(ours+".GroupNorm_0", theirs+".group_norm")
		for i, of := range [][2]string{{"to_q", "query"}, {"to_k", "key"}, {"to_v", "value"}, {"to_out.0", "proj_attn"}} {
			nin := fmt.Sprintf("%s.NIN_%d", ours, i)
			list = append(list,
				diffusersName{nin + ".W", []string{theirs + "." + of[0] + ".weight", theirs + "." + of[1] + ".weight"}, true},
				diffusersName{nin + ".b", []string{theirs + "." + of[0] + ".bias", theirs + "." + of[1] + ".bias"}, false})
		}
	}
	levels := len(d.BlockOutChannels)
	list = append(list, diffusersName{ours: next() + ".W", theirs: []string{"time_proj.weight", "time_proj.W"}})
	both(next(), "time_embedding.linear_1")
	both(next(), "time_embedding.linear_2")
	both(next(), "conv_in")
	for l := range levels {
		at := fmt.Sprintf("down_blocks.%d.", l)
		for i := range d.LayersPerBlock {
			block(fmt.Sprintf("%sresnets.%d", at, i))
			if d.DownBlockTypes[l] == attnSkipDown {
				attention(fmt.Sprintf("%sattentions.%d", at, i))
			}
		}
		if l < levels-1 {
			block(at + "resnet_down")
			both(next()+".Conv_0", at+"skip_conv")
		}
	}
	block("mid_block.resnets.0")
	attention("mid_block.attentions.0")
	block("mid_block.resnets.1")
	for i := range levels {
		at := fmt.Sprintf("up_blocks.%d.", i)
		for k := range d.LayersPerBlock + 1 {
			block(fmt.Sprintf("%sresnets.%d", at, k))
		}
		if d.UpBlockTypes[i] == attnSkipUp {
			attention(at + "attentions.0")
		}
		norm, conv := at+"skip_norm", at+"skip_conv"
		if i == levels-1 {
			norm, conv = "conv_norm_out", "conv_out"
		}
		both(next(), norm)
		both(next(), conv)
		if i < levels-1 {
			block(at + "resnet_up")
		}
	}
	return list
}

// namesFor returns the names of a network's parameters in diffusers, by their names here.
func namesFor(c model.Config) (map[string]diffusersName, diffusersConfig, error) {
	if c.Height == 0 { // not known: names do not depend on it
		c.Height, c.Width = anySize, anySize
	}
	d, err := diffusersOf(c)
	if err != nil {
		return nil, d, err
	}
	names := map[string]diffusersName{}
	for _, n := range diffusersNames(d) {
		names[n.ours] = n
	}
	return names, d, nil
}

// addDiffusers adds the tensors of the file with a folder's weights by their names here.
func (w *Weights) addDiffusers(inner *Weights, net model.Config) error {
	names, _, err := namesFor(net)
	if err != nil {
		return err
	}
	params, err := paramsOf(net)
	if err != nil {
		return err
	}
	unused := map[string]bool{}
	found := map[string]model.Described{}
	for _, d := range inner.Described(ParamPrefix) {
		name := strings.TrimPrefix(d.Name, ParamPrefix)
		found[name], unused[name] = d, true
	}
	for _, p := range params {
		n := names[p.Name]
		at := slices.IndexFunc(n.theirs, func(name string) bool { _, ok := found[name]; return ok })
		if at < 0 {
			return fmt.Errorf("has no tensor %s, which its %s asks for", n.theirs[0], diffusersConfigFile)
		}
		for _, name := range n.theirs {
			delete(unused, name)
		}
		d := found[n.theirs[at]]
		read := func(dst []float32) error { return inner.ReadTensor(d.Name, dst) }
		shape := d.Shape.Clone()
		if n.turned {
			if len(shape) != 2 {
				return fmt.Errorf("has a tensor %s that is %v: expected two dimensions", n.theirs[at], d)
			}
			shape[0], shape[1] = shape[1], shape[0]
			read = turned(shape, read)
		}
		if err := w.add(ParamPrefix+p.Name, d.DType, shape, read); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(unused)) {
		if found[name].IsFloat() {
			return fmt.Errorf("has a tensor %s that its %s does not ask for", name, diffusersConfigFile)
		}
	}
	return nil
}

// turned returns a function that reads what read reads with its two dimensions the other way around; shape is the shape
// then.
func turned(shape tensor.Shape, read func([]float32) error) func([]float32) error {
	return func(dst []float32) error {
		rows, columns := shape[0], shape[1]
		src := make([]float32, len(dst))
		if err := read(src); err != nil {
			return err
		}
		for i := range rows {
			for j := range columns {
				dst[i*columns+j] = src[j*rows+i]
			}
		}
		return nil
	}
}

// addScheduler takes the ladder from a pipeline's scheduler, where there is one that has it.
func (w *Weights) addScheduler(folder string) error {
	path := filepath.Join(folder, diffusersScheduler, schedulerConfigFile)
	if !isFile(path) {
		return nil
	}
	var s schedulerConfig
	if err := readJSON(path, &s); err != nil {
		return err
	}
	if s.SigmaMax == 0 && s.SigmaMin == 0 {
		w.PassedOver = append(w.PassedOver, fmt.Sprintf("its %s, %.60s, which keeps no sigmas", diffusersScheduler, s.Class))
		return nil
	}
	l, err := model.NewLadder(model.GeometricSpacing, s.SigmaMax, s.SigmaMin, s.Steps)
	if err != nil {
		return fmt.Errorf("%s has no ladder of noise levels: %w", path, err)
	}
	w.Ladder = model.KeptLadder{Bits: model.SingleBits}
	for _, sigma := range l {
		w.Ladder.Sigmas = append(w.Ladder.Sigmas, float64(sigma))
	}
	return nil
}

// WriteDiffusers writes the weights called prefix+NAME in set as a new folder: a pipeline of diffusers. Nothing is left
// where it fails.
func WriteDiffusers(folder string, f StateFile, set model.TensorSet, prefix string) error {
	names, d, err := namesFor(f.Network)
	if err != nil {
		return err
	}
	params, err := f.Network.Params()
	if err != nil {
		return err
	}
	if err := model.Fit(params, set, prefix); err != nil {
		return err
	}
	var entries []stateEntry
	for _, p := range params {
		e := stateEntry{name: names[p.Name].theirs[0], shape: p.TorchShape().Clone(),
			read: func(dst []float32) error { return set.ReadTensor(prefix+p.Name, dst) }}
		if names[p.Name].turned {
			e.shape[0], e.shape[1] = e.shape[1], e.shape[0]
			e.read = turned(e.shape, e.read)
		}
		entries = append(entries, e)
	}
	return inNewFolder(folder, func() error {
		for _, sub := range []string{diffusersUNet, diffusersScheduler} {
			if err := os.Mkdir(filepath.Join(folder, sub), 0o777); err != nil {
				return err
			}
		}
		weights := filepath.Join(folder, diffusersUNet, diffusersWeights+".safetensors")
		if err := atomicfile.Write(weights, func(to *os.File) error { return writeState(to, entries, f.meta()) }); err != nil {
			return err
		}
		library := func(class string) [2]string { return [2]string{"diffusers", class} }
		for _, file := range []struct {
			path string
			v    any
		}{
			{filepath.Join(diffusersUNet, diffusersConfigFile), d},
			{filepath.Join(diffusersScheduler, schedulerConfigFile), schedulerConfig{Class: diffusersSchedulerClass,
				Version: diffusersVersion, CorrectSteps: 1, Steps: len(f.Sigmas), SamplingEps: 1e-5,
				SigmaMax: f.Begin, SigmaMin: f.End, SNR: 0.15}},
			{diffusersIndexFile, struct {
				Class     string    `json:"_class_name"`
				Version   string    `json:"_diffusers_version"`
				Scheduler [2]string `json:"scheduler"`
				UNet      [2]string `json:"unet"`
			}{diffusersPipelineClass, diffusersVersion, library(diffusersSchedulerClass), library(diffusersModelClass)}},
		} {
			text, err := json.MarshalIndent(file.v, "", "  ")
			if err != nil {
				return err
			}
			if err := atomicfile.Write(filepath.Join(folder, file.path), func(to *os.File) error {
				_, err := to.Write(append(text, '\n'))
				return err
			}); err != nil {
				return err
			}
		}
		return nil
	})
}
