// Checkpoints in the forms in which people save them, made here: what torch.save would write for a tree of dicts, lists
// and tensors, and safetensors files of other programs.

package checkpoint

import (
	"archive/zip"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What a tree is made of, beside strings, ints, float64, bools and nil.
type (
	dict   []any // keys and values, in turn
	list   []any
	tuple  []any
	object struct { // of a class that no checkpoint needs, called with args
		module, name string
		args         tuple
	}
	array struct { // a tensor
		class  string // of its storage, such as Float
		shape  []int
		values []byte
	}
)

// float32s is a tensor of float32.
func float32s(shape []int, values ...float32) array {
	a := array{class: "Float", shape: shape}
	for _, v := range values {
		a.values = binary.LittleEndian.AppendUint32(a.values, math.Float32bits(v))
	}
	return a
}

// scalar is a tensor of one float32.
func scalar(v float32) array { return float32s(nil, v) }

// save writes a tree as torch.save does, in protocol 2.
func save(t *testing.T, root any) (path string) {
	t.Helper()
	var storages [][]byte
	var write func(v any) string
	text := func(s string) string {
		return "X" + string(binary.LittleEndian.AppendUint32(nil, uint32(len(s)))) + s
	}
	write = func(v any) (s string) {
		switch v := v.(type) {
		case nil:
			return "N"
		case bool:
			return map[bool]string{false: "\x89", true: "\x88"}[v]
		case int:
			return "J" + string(binary.LittleEndian.AppendUint32(nil, uint32(v)))
		case float64:
			return "G" + string(binary.BigEndian.AppendUint64(nil, math.Float64bits(v)))
		case string:
			return text(v)
		case dict:
			s = "}("
			for _, item := range v {
				s += write(item)
			}
			return s + "u"
		case list:
			s = "]("
			for _, item := range v {
				s += write(item)
			}
			return s + "e"
		case tuple:
			s = "("
			for _, item := range v {
				s += write(item)
			}
			return s + "t"
		case object:
			return "c" + v.module + "\n" + v.name + "\n" + write(v.args) + "R"
		case array:
			key, n := fmt.Sprint(len(storages)), 1
			size, stride := tuple{}, tuple{}
			for i, d := range v.shape {
				step := 1
				for _, d := range v.shape[i+1:] {
					step *= d
				}
				size, stride, n = append(size, d), append(stride, step), n*d
			}
			storages = append(storages, v.values)
			return "ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage") + "ctorch\n" + v.class + "Storage\n" + text(key) +
				text("cpu") + write(n) + "tQ" + write(0) + write(size) + write(stride) + "\x89" + "ccollections\nOrderedDict\n)RtR"
		}
		t.Fatalf("%T has no place in a tree", v)
		return ""
	}
	entries := []string{"a/data.pkl", "\x80\x02" + write(root) + "."}
	for i, b := range storages {
		entries = append(entries, fmt.Sprintf("a/data/%d", i), string(b))
	}
	path = filepath.Join(t.TempDir(), "a.pth")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z := zip.NewWriter(f)
	for i := 0; i < len(entries); i += 2 {
		b := []byte(entries[i+1])
		e, err := z.CreateRaw(&zip.FileHeader{Name: entries[i], CRC32: crc32.ChecksumIEEE(b),
			CompressedSize64: uint64(len(b)), UncompressedSize64: uint64(len(b))})
		if err != nil {
			t.Fatal(err)
		}
		e.Write(b)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// A network of two tensors in every form that programs save it in.
func TestSavedForms(t *testing.T) {
	state := func(prefix string, more float32) dict {
		return dict{prefix + "w", float32s([]int{1, 2}, 1+more, 2+more), prefix + "b", float32s([]int{2}, 3+more, 4+more)}
	}
	shadow := dict{"decay", 0.999, "num_updates", 3, "shadow_params", list{float32s([]int{1, 2}, 1.5, 2.5), float32s([]int{2}, 3.5, 4.5)}}
	namespace := object{"argparse", "Namespace", tuple{}}
	numpy := func(module string) object {
		return object{module + ".multiarray", "scalar", tuple{object{"numpy", "dtype", tuple{"f8", false, true}}, "\x00\x00\x00\x00\x00\x00\xe0?"}}
	}
	for _, c := range []struct {
		name   string
		root   any
		ema    bool
		step   int
		passed []string
	}{
		{"alone", state("", 0), false, -1, nil},
		{"PyTorch's tutorial", dict{"epoch", 7, "model_state_dict", state("", 0), "optimizer_state_dict", dict{"state", dict{}, "param_groups", list{}}, "loss", scalar(1)}, false, -1, []string{"epoch", "loss"}},
		{"Lightning", dict{"epoch", 1, "global_step", 12, "pytorch-lightning_version", "2", "state_dict", state("model.", 0), "optimizer_states", list{dict{"state", dict{}, "param_groups", list{}}}, "callbacks", dict{}}, false, 12, []string{"epoch", "pytorch-lightning_version", "callbacks"}},
		{"net", dict{"net", state("", 0)}, false, -1, nil},
		{"params", dict{"params", state("", 0), "params_ema", state("", 0.5)}, true, -1, nil},
		{"a name of somebody's own", dict{"generator", state("", 0), "note", "x"}, false, -1, []string{"note"}},
		{"ema_state_dict", dict{"state_dict", state("", 0), "ema_state_dict", state("", 0.5), "iteration", 5}, true, 5, nil},
		{"a list as the average", dict{"model", state("module.", 0), "ema", shadow, "step", 3}, true, 3, nil},
		{"the average alone", dict{"ema", state("", 0)}, false, -1, nil},
		{"an average of another class", dict{"model", state("", 0), "ema", object{"torch_ema", "ExponentialMovingAverage", tuple{}}}, false, -1, []string{"ema (an object of torch_ema.ExponentialMovingAverage)"}},
		{"a rate called ema", dict{"model", state("", 0), "ema", 0.999}, false, -1, []string{"ema"}},
		{"torch.compile", state("_orig_mod.", 0), false, -1, nil},
		{"DataParallel twice", state("module.module.", 0), false, -1, nil},
		{"compiled in DataParallel in Lightning", state("model.module._orig_mod.", 0), false, -1, nil},
		{"an attribute", state("score_net.", 0), false, -1, nil},
		{"Namespace", dict{"model", state("", 0), "args", namespace}, false, -1, []string{"args (an object of argparse.Namespace)"}},
		{"NumPy 1", dict{"model", state("", 0), "best", numpy("numpy.core")}, false, -1, []string{"best (an object of numpy.core.multiarray.scalar)"}},
		{"NumPy 2", dict{"model", state("", 0), "best", numpy("numpy._core")}, false, -1, []string{"best (an object of numpy._core.multiarray.scalar)"}},
		{"device, dtype and a set", dict{"model", state("", 0), "device", object{"torch", "device", tuple{"cuda", 0}}, "x", object{"__builtin__", "set", tuple{list{1}}}}, false, -1, []string{"device (an object of torch.device)", "x (an object of __builtin__.set)"}},
		{"a function to call", dict{"model", state("", 0), "x", object{"os", "system", tuple{"exit 1"}}}, false, -1, []string{"x (an object of os.system)"}},
		{"numbers beside tensors", append(state("", 0), "version", 2, "n", array{class: "Long", shape: []int{}, values: make([]byte, 8)}), false, -1, []string{"version (a whole number)", "n (int64 [])"}},
		{"empty and whole tensors", dict{"model", append(state("", 0), "mask", array{class: "Byte", shape: []int{3}, values: []byte{1, 2, 3}}, "none", float32s([]int{0, 2}))}, false, -1, []string{"mask (uint8 [3])", "none (float32 [0, 2])"}},
		{"keys that are no texts", dict{"model", state("", 0), 0.5, "x", true, "y", 3, "z"}, false, -1, []string{"3"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, err := OpenWeights(save(t, c.root))
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			for prefix, more := range map[string]float32{ParamPrefix: 0, EMAPrefix: 0.5} {
				if prefix == EMAPrefix && !c.ema {
					if w.Has(prefix) {
						t.Error("there is a moving average")
					}
					continue
				}
				for name, want := range map[string][]float32{"w": {1, 2}, "b": {3, 4}} {
					got := make([]float32, 2)
					if err := w.ReadTensor(prefix+name, got); err != nil || got[0] != want[0]+more || got[1] != want[1]+more {
						t.Errorf("%s%s is %v, %v; expected %v + %g", prefix, name, got, err, want, more)
					}
				}
			}
			if w.Stepped != (c.step >= 0) || w.Stepped && w.Step != uint64(c.step) {
				t.Errorf("step %d, %t; expected %d", w.Step, w.Stepped, c.step)
			}
			if !slices.Equal(w.PassedOver, c.passed) {
				t.Errorf("passed over: %q, expected %q", w.PassedOver, c.passed)
			}
		})
	}
	for _, c := range []struct {
		root any
		want string
	}{
		{dict{"a", state("", 0), "b", state("", 1)}, "a (a dict), b (a dict)"},
		{dict{"epoch", 3}, "with the keys epoch (a whole number)"},
		{dict{}, "a dict without weights"},
		{object{"models.ncsnv2", "NCSNv2", tuple{}}, "holds an object of models.ncsnv2.NCSNv2, which is code and not weights: save its state_dict() instead"},
		{scalar(2), "(it is a tensor)"},
		{dict{"x", array{class: "Long", shape: []int{2}, values: make([]byte, 16)}}, "holds no weights: its tensors are empty or of whole numbers: x (int64 [2])"},
	} {
		if _, err := OpenWeights(save(t, c.root)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, expected %q", c.root, err, c.want)
		}
	}
}

// Adam's settings, found, absent and unreadable, are three things.
func TestSavedAdam(t *testing.T) {
	state := dict{"a", float32s([]int{2}, 1, 2), "b", float32s([]int{1}, 3)}
	moments := func(i int) dict {
		return dict{"step", 4, "exp_avg", state[2*i+1], "exp_avg_sq", state[2*i+1]}
	}
	group := func(params list, more ...any) dict { return append(dict{"params", params}, more...) }
	usual := []any{"lr", 1e-3, "betas", tuple{0.9, 0.999}, "eps", 1e-8}
	with := func(lr any, betas any) []any { return []any{"lr", lr, "betas", betas, "eps", 1e-8} }
	numpy := object{"numpy._core.multiarray", "scalar", tuple{object{"numpy", "dtype", tuple{"f8", false, true}}, "\x00\x00\x00\x00\x00\x00\xe0?"}}
	for _, c := range []struct {
		name   string
		groups list
		want   AdamSettings
		absent []string
		err    string
	}{
		{"usual", list{group(list{0, 1}, usual...)}, AdamSettings{1e-3, 0.9, 0.999, 1e-8}, nil, ""},
		{"lr as a tensor", list{group(list{0, 1}, with(scalar(1e-4), tuple{0.9, 0.999})...)}, AdamSettings{1e-4, 0.9, 0.999, 1e-8}, nil, ""},
		{"lr of NumPy", list{group(list{0, 1}, with(object{numpy.module, "scalar", tuple{numpy.args[0], object{"_codecs", "encode", tuple{"\x00\x00\x00\x00\x00\x00\u00e0?", "latin1"}}}}, tuple{0.9, 0.999})...)}, AdamSettings{0.5, 0.9, 0.999, 1e-8}, nil, ""},
		{"betas as a list", list{group(list{0, 1}, with(1e-3, list{0.5, 0.9})...)}, AdamSettings{1e-3, 0.5, 0.9, 1e-8}, nil, ""},
		{"betas as tensors", list{group(list{0, 1}, with(1e-3, tuple{scalar(0.5), scalar(0.9)})...)}, AdamSettings{1e-3, 0.5, 0.9, 1e-8}, nil, ""},
		{"lr and beta1 of 0 are found", list{group(list{0, 1}, with(0, tuple{0, 0.9})...)}, AdamSettings{0, 0, 0.9, 1e-8}, nil, ""},
		{"absent", list{group(list{0, 1}, "lr", 1e-3)}, AdamSettings{LR: 1e-3}, []string{"betas", "eps"}, ""},
		{"lr as a text", list{group(list{0, 1}, with("1e-3", tuple{0.9, 0.999})...)}, AdamSettings{}, nil, "has a text as lr: expected a number"},
		{"lr as two values", list{group(list{0, 1}, with(float32s([]int{2}, 1, 2), tuple{0.9, 0.999})...)}, AdamSettings{}, nil, "has a tensor as lr"},
		{"three betas", list{group(list{0, 1}, with(1e-3, tuple{0.9, 0.99, 0.999})...)}, AdamSettings{}, nil, "has 3 betas: expected 2"},
		{"betas as a number", list{group(list{0, 1}, with(1e-3, 0.9)...)}, AdamSettings{}, nil, "has 1 betas: expected 2"},
		{"eps as nothing", list{group(list{0, 1}, "lr", 1e-3, "betas", tuple{0.9, 0.999}, "eps", nil)}, AdamSettings{}, nil, "has None as eps"},
		{"two groups alike", list{group(list{0}, usual...), group(list{1}, usual...)}, AdamSettings{1e-3, 0.9, 0.999, 1e-8}, nil, ""},
		{"two rates", list{group(list{0}, usual...), group(list{1}, with(1e-5, tuple{0.9, 0.999})...)}, AdamSettings{}, nil, "2 groups of parameters of different lr (0.001 and 1e-05)"},
		{"two beta2", list{group(list{0}, usual...), group(list{1}, with(1e-3, list{0.9, 0.99})...)}, AdamSettings{}, nil, "different beta2 (0.999 and 0.99)"},
		{"decay in the second", list{group(list{0}, usual...), group(list{1}, append(slices.Clone(usual), "weight_decay", 0.1)...)}, AdamSettings{}, nil, "weight decay 0.1"},
		{"decay in the first", list{group(list{0}, append(slices.Clone(usual), "weight_decay", 0.1)...), group(list{1}, usual...)}, AdamSettings{}, nil, "weight decay 0.1"},
		{"amsgrad", list{group(list{0, 1}, append(slices.Clone(usual), "amsgrad", true)...)}, AdamSettings{}, nil, "Adam with amsgrad,"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, err := OpenWeights(save(t, dict{"model", state, "optimizer", dict{"state", dict{0, moments(0), 1, moments(1)}, "param_groups", c.groups}}))
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			err = w.CheckAdam()
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) || !strings.Contains(err.Error(), "`init`") {
					t.Errorf("%v, expected %q", err, c.err)
				}
				return
			}
			if err != nil || w.Adam.AdamSettings != c.want || !slices.Equal(w.Adam.Absent, c.absent) || w.Step != 4 {
				t.Errorf("%+v at step %d, %v; expected %+v", w.Adam, w.Step, err, c.want)
			}
		})
	}
}

// safe writes a safetensors file of tensors: name, dtype, shape and bytes, in turn.
func safe(t *testing.T, meta map[string]string, tensors ...any) (path string) {
	t.Helper()
	header, values := map[string]any{}, []byte{}
	if meta != nil {
		header["__metadata__"] = meta
	}
	for i := 0; i < len(tensors); i += 4 {
		b := tensors[i+3].([]byte)
		header[tensors[i].(string)] = map[string]any{"dtype": tensors[i+1], "shape": tensors[i+2],
			"data_offsets": []int{len(values), len(values) + len(b)}}
		values = append(values, b...)
	}
	text, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "a.safetensors")
	file := append(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), text...)
	if err := os.WriteFile(path, append(file, values...), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

// State_dicts in safetensors of any type: weights in 16 bits are widened, a ladder is told to its precision, and what can
// be no weight is passed over by name.
func TestSavedSafetensors(t *testing.T) {
	one, two := []byte{0x00, 0x3c, 0x00, 0xc0}, []byte{0x80, 0x3f, 0x00, 0xc0} // 1 and -2
	path := safe(t, map[string]string{"format": "pt"},
		"_orig_mod.half", "F16", []int{2}, one,
		"_orig_mod.brain", "BF16", []int{1, 2}, two,
		"_orig_mod.sigmas", "F16", []int{2}, one[:4],
		"_orig_mod.mask", "BOOL", []int{4}, []byte{1, 0, 1, 0},
		"_orig_mod.count", "I32", []int{}, []byte{7, 0, 0, 0},
		"_orig_mod.bytes", "U8", []int{4}, []byte{1, 2, 3, 4},
		"_orig_mod.none", "F32", []int{0, 3}, []byte{})
	w, err := OpenWeights(path)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for _, name := range []string{"half", "brain"} {
		got := make([]float32, 2)
		if err := w.ReadTensor(ParamPrefix+name, got); err != nil || got[0] != 1 || got[1] != -2 {
			t.Errorf("%s is %v, %v", name, got, err)
		}
	}
	if w.Ladder.Bits != 11 || !slices.Equal(w.Ladder.Sigmas, []float64{1, -2}) {
		t.Errorf("ladder %+v", w.Ladder)
	}
	slices.Sort(w.PassedOver)
	if want := []string{"bytes (uint8 [4])", "count (int32 [])", "mask (bool [4])", "none (float32 [0, 3])"}; !slices.Equal(w.PassedOver, want) {
		t.Errorf("passed over %q, expected %q", w.PassedOver, want)
	}
	if err := w.ReadTensor(ParamPrefix+"count", make([]float32, 1)); err == nil || !strings.Contains(err.Error(), "int32") {
		t.Errorf("a counter as a weight: %v", err)
	}

	// A configuration is this program's where it says so, or where it is whole and stands beside a step, as in the files of
	// before it said so.
	ours := "preset: x\nnetwork:\n  net: ncsnv2\nsigma:\n  begin: 1\n"
	for _, c := range []struct {
		meta map[string]string
		ours bool
	}{
		{map[string]string{"format": "pt", "config": ours, "step": "7"}, true},
		{map[string]string{"format": "pt", "config": "x", "step": "7", "program": "sigmaz-1"}, true},
		{map[string]string{"format": "pt", "config": "learning_rate: 1\n"}, false},
		{map[string]string{"format": "pt", "config": `{"model_type": "unet"}`, "step": "7"}, false},
		{map[string]string{"format": "pt", "config": ours, "program": "other"}, false},
	} {
		w, err := OpenWeights(safe(t, c.meta, "a", "F32", []int{1}, make([]byte, 4)))
		if err != nil {
			t.Fatal(err)
		}
		if (w.Config != "") != c.ours || w.Stepped != c.ours || (len(w.PassedOver) == 1) == c.ours {
			t.Errorf("%v: config %q, step %d, passed over %q", c.meta, w.Config, w.Step, w.PassedOver)
		}
		w.Close()
	}
}
