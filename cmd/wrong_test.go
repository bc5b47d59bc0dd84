// Everything people get wrong: a table of calls over all commands. Each is one process in a folder with two good
// runs, good data and a collection of damaged files. It must end with the expected exit code and one sentence that
// names the offender and what to do, and no file in the folder may have changed.

package cmd_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

// wrong is a call that must fail. In args, words are separated by spaces; "_" stands for a space within a word and "”"
// for an empty word.
type wrong struct {
	args     string
	code     int
	offender string // what is wrong, as the sentence names it
	advice   string // what it says to do, or what was expected
	sigmaz   bool   // the program is a command of sigmaz
	prepare  func(t *testing.T, dir string)
	env      []string
	as       func(*exec.Cmd) // who runs it; nil: the user of the test
}

func (w wrong) words() []string {
	words := strings.Fields(w.args)
	for i, word := range words {
		if words[i] = strings.NewReplacer("_", " ", "␤", "\n").Replace(word); word == "''" {
			words[i] = ""
		}
	}
	return words
}

// progress is what a program prints at its work: nothing of it may show where a call is refused.
var progress = regexp.MustCompile(`(?m)^(step \d+/|done |stopped |weights )| in [0-9.]+m?s, .* evaluations a second`)

// goValue matches what only a programmer can read.
var goValue = regexp.MustCompile(
	`panic|goroutine \d|runtime error|\.go:\d|0x[0-9a-f]{6}|%!|<nil>|\*[a-z]+\.[A-Z]|[a-z]+\.[A-Z]\w*Error|\binterface \{|\bstruct \{|map\[|\[\]byte`)

// faults is what keeps the text on stderr from being one sentence of a program.
func faults(program, stderr string) (all []string) {
	say := func(format string, a ...any) { all = append(all, fmt.Sprintf(format, a...)) }
	line, rest, whole := strings.Cut(stderr, "\n")
	if !whole || rest != "" {
		say("it is not exactly one line")
	}
	if !strings.HasPrefix(line, program+": ") {
		say("it does not begin with %q", program+": ")
	}
	if m := goValue.FindString(line); m != "" {
		say("it holds %q", m)
	}
	if !utf8.ValidString(line) || strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }) {
		say("it holds bytes that are not printable text")
	}
	parts := strings.Split(line, ": ")
	for i := 1; i < len(parts); i++ {
		if parts[i] == parts[i-1] {
			say("%q is there twice", parts[i])
		}
	}
	if len(strings.Fields(line)) < 5 {
		say("it is no sentence")
	}
	if len(line) > 700 {
		say("it has %d characters, more than anybody reads", len(line))
	}
	return all
}

// file is what a snapshot knows of a file. Folders have a mode only: a temporary file in one changes its time.
type file struct {
	mode    fs.FileMode
	size    int64
	changed time.Time
	content string // hash, or where a link leads
}

// snapshot looks at everything in dir.
func snapshot(t *testing.T, dir string) map[string]file {
	t.Helper()
	files := map[string]file{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		f := file{mode: info.Mode()}
		switch {
		case info.Mode().IsRegular():
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			f.size, f.changed, f.content = info.Size(), info.ModTime(), fmt.Sprintf("%x", sha256.Sum256(b))
		case info.Mode()&fs.ModeSymlink != 0:
			f.content, err = os.Readlink(path)
		}
		files[path[len(dir):]] = f
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// changes are the files in which two snapshots differ.
func changes(before, after map[string]file) (names []string) {
	for name, f := range before {
		if g, ok := after[name]; !ok {
			names = append(names, name+" is gone")
		} else if f != g {
			names = append(names, name+" has changed")
		}
	}
	for name := range after {
		if _, ok := before[name]; !ok {
			names = append(names, name+" is new")
		}
	}
	slices.Sort(names)
	return names
}

// start runs a program in dir with next to no environment: no HOME, no TERM.
func start(t *testing.T, dir string, env []string, words ...string) (code int, stdout, stderr string) {
	t.Helper()
	return startAs(t, nil, dir, env, words...)
}

func startAs(t *testing.T, as func(*exec.Cmd), dir string, env []string, words ...string) (code int, stdout,
	stderr string) {
	t.Helper()
	sources()
	c := exec.Command(filepath.Join(bin, words[0]), words[1:]...)
	var out, errs bytes.Buffer
	c.Dir, c.Stdout, c.Stderr, c.Env = dir, &out, &errs, append(bare(), env...)
	if as != nil {
		as(c)
	}
	timer := time.AfterFunc(time.Minute, func() { c.Process.Kill() })
	defer timer.Stop()
	err := c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%q: %v", words, err)
	}
	for line := range strings.Lines(errs.String()) {
		if !strings.HasPrefix(line, "sigmaz stand-in:") {
			stderr += line
		}
	}
	return c.ProcessState.ExitCode(), out.String(), stderr
}

// bare is the least environment that a program starts with: where the system finds its libraries.
func bare() []string {
	var env []string
	for _, name := range []string{"LD_LIBRARY_PATH", "SystemRoot", "TMP", "TEMP"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// judge runs a call and says what is wrong with how it fails.
func judge(t *testing.T, dir string, w wrong) (all []string) {
	t.Helper()
	say := func(format string, a ...any) { all = append(all, fmt.Sprintf(format, a...)) }
	words := w.words()
	title := words[0]
	if w.sigmaz {
		title = "sigmaz " + title
		words = append([]string{"sigmaz"}, words...)
	}
	before := snapshot(t, dir)
	code, stdout, stderr := startAs(t, w.as, dir, w.env, words...)
	if code != w.code {
		say("exit code %d, expected %d", code, w.code)
	}
	for _, f := range faults(title, stderr) {
		say("the message is bad: %s", f)
	}
	for _, part := range []string{w.offender, w.advice} {
		if part == "" {
			say("the row does not say what is expected")
		}
		if !strings.Contains(stderr, part) {
			say("the message does not say %q", part)
		}
	}
	if m := progress.FindString(stdout); m != "" {
		say("it went to work before it found the mistake: %q", m)
	}
	for _, c := range changes(before, snapshot(t, dir)) {
		say("%s", c)
	}
	if len(all) > 0 {
		say("stderr: %s", stderr)
	}
	return all
}

func TestWrongCalls(t *testing.T) {
	wrongCalls := slices.Concat(wrongCalls, wrongData, wrongWeights, wrongKnown, wrongWatch, wrongClasses)
	if len(wrongCalls) < 120 {
		t.Errorf("%d rows", len(wrongCalls))
	}
	// Rows take turns in a few copies of the world, which none of them may change.
	free := make(chan string, runtime.GOMAXPROCS(0))
	for range cap(free) {
		free <- world(t)
	}
	seen := map[string]bool{}
	for _, w := range wrongCalls {
		if seen[w.args] && w.prepare == nil {
			t.Errorf("row %q is there twice", w.args)
		}
		seen[w.args] = true
	}
	var group sync.WaitGroup
	// Every eighth row is for the one program, too: that its commands are the same code is known.
	for i := range len(wrongCalls) / 8 {
		w := wrongCalls[8*i]
		w.sigmaz = true
		w.advice = strings.Replace(w.advice, "a program of its own", "a command of its own", 1)
		wrongCalls = append(wrongCalls, w)
	}
	for _, w := range wrongCalls {
		group.Go(func() {
			shared := <-free
			dir := shared
			defer func() { free <- shared }()
			if w.prepare != nil {
				dir = world(t)
				w.prepare(t, dir)
			}
			if all := judge(t, dir, w); len(all) > 0 {
				t.Errorf("%s (sigmaz: %t)\n\t%s", w.args, w.sigmaz, strings.Join(all, "\n\t"))
				shared = world(t)
			}
		})
	}
	group.Wait()
}

// The table can fail: calls that are right do not pass as wrong ones, and what they write is seen.
func TestRightCallsAreNotWrong(t *testing.T) {
	for args, want := range map[string]string{
		"train -data data/tiny-images-idx3-ubyte -ngf 2 -batch 2 -steps 1 -levels 2 -held-out 0 -preview-n 0": "runs/tiny-images-idx3-ubyte-1/config.yaml is new",
		"train -resume runs/toy -steps 5":                                      "runs/toy/metrics.jsonl has changed",
		"sample runs/toy -n 3":                                                 "runs/toy/samples/sample-0000004-seed0.png is new",
		"score runs/images -input x/images.npy -level 0 -o s.npy":              "s.npy is new",
		"score -checkpoint runs/images -input x/images.npy -sigma 50 -o s.npy": "s.npy is new",
		"export runs/images -o a.safetensors":                                  "a.safetensors is new",
		"sample -n 1 -nfe 2":                                                   "sample-digits-seed0.png is new",
		"sample digits -n 1 -nfe 2 -class 7 -guidance 2 -o seven.png":          "seven.png is new",
		"export digits -o a.safetensors":                                       "a.safetensors is new",
		"sample runs/images -n 1 -T 128 -epsilon 9e-5 -images folder":          "folder/00000.png is new",
		"sample runs/images -n 2 -known known/a.png -mask known/half.png -method repaint -nfe 11 -mean m.png":                   "m.png is new",
		"sample runs/images -known known/a.png -mask known/mask3.npy -method repaint -nfe 11":                                   "sample-0000004-seed0.png is new",
		"sample runs/images -n 1 -operator known/three.npy -measurement known/y3.npy -measurement-sigma 1 -T 128 -epsilon 9e-5": "sample-0000004-seed0.png is new",
		"sample runs/images -n 1 -known known/small.png -upscale 2 -truth known/a.png -epsilon 9e-5 -T 128":                     "sample-0000004-seed0.png is new",
		"sample runs/images -denoise-image known/a.png -sigma 1 -npy d.npy":                                                     "d.npy is new",
		"sample runs/images -n 2 -from known/a.png -level 1 -npy f.npy -T 128 -epsilon 9e-5":                                    "f.npy is new",
		"sample runs/images -interpolate 0:3 -frames 3 -T 128 -epsilon 9e-5 -gif film.gif":                                      "film.gif is new",
		"sample runs/toy -n 2 -known known/row.csv -method pigdm -npy new.npy":                                                  "new.npy is new",
		"sample runs/toy -n 2 -known known/row.csv -csv new.csv":                                                                "new.csv is new",
		"sigmas data/tiny-images-idx3-ubyte -yaml noise.yaml":                                                                   "noise.yaml is new",
	} {
		all := judge(t, world(t), wrong{args: args, code: 1, offender: "nothing", advice: "nothing"})
		for _, w := range []string{"exit code 0, expected 1", "it is not exactly one line", "does not say", want} {
			if !slices.ContainsFunc(all, func(s string) bool { return strings.Contains(filepath.ToSlash(s), w) }) {
				t.Errorf("%s: %q is not among what is wrong with it: %q", args, w, all)
			}
		}
	}
	for text, want := range map[string]string{
		"train: -steps is 0: expected at least 1 optimiser step; -h lists the flags\n": "",
		"":                              "not exactly one line",
		"train: one sentence on a line": "not exactly one line",
		"sigmaz train: this is said by another\n":               "does not begin",
		"train: one sentence\nand another\n":                    "not exactly one line",
		"sample: this is said by another\n":                     "does not begin",
		"train: open a b c: open a b c: no\n":                   "twice",
		"train: train: no such file or so\n":                    "twice",
		"train: panic: index out of range, in all that\n":       "panic",
		"train: it failed with *fs.PathError in the middle\n":   "*fs.P",
		"train: expected <nil> and found 5 of something else\n": "<nil>",
		"train: a name with \x1b[31m colour in its middle\n":    "not printable",
		"train: no\n": "no sentence",
	} {
		all := strings.Join(faults("train", text), "; ")
		if want == "" && all != "" || !strings.Contains(all, want) {
			t.Errorf("%q: faults %q, expected %q", text, all, want)
		}
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "a")
	when := time.Now().Add(-time.Hour)
	for what, change := range map[string]func() error{
		"/a has changed": func() error { // one byte, and the time put back
			if err := os.WriteFile(path, []byte("B"), 0o666); err != nil {
				return err
			}
			return os.Chtimes(path, when, when)
		},
		"/a is gone": func() error { return os.Remove(path) },
		"/b is new":  func() error { return os.Mkdir(filepath.Join(dir, "b"), 0o777) },
	} {
		if err := os.WriteFile(path, []byte("A"), 0o666); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, when, when); err != nil {
			t.Fatal(err)
		}
		before := snapshot(t, dir)
		if err := change(); err != nil {
			t.Fatal(err)
		}
		if got := changes(before, snapshot(t, dir)); len(got) != 1 || filepath.ToSlash(got[0]) != what {
			t.Errorf("changes %q, expected %q", got, what)
		}
	}
}

// original is the world that the copies are made of.
var original = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp(bin, "world-") // bin is removed at the end
	if err != nil {
		return "", err
	}
	return dir, furnish(dir)
})

// world is a folder of its own with two good runs, good data and damaged files.
func world(t *testing.T) string {
	t.Helper()
	sources()
	from, err := original()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	err = filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		to := filepath.Join(dir, path[len(from):])
		switch {
		case d.IsDir():
			return os.MkdirAll(to, 0o777)
		case d.Type()&fs.ModeSymlink != 0:
			link, err := os.Readlink(path)
			if err != nil {
				return err
			}
			return os.Symlink(link, to)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(to, b, 0o666)
	})
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// furnish fills the world.
func furnish(dir string) error {
	at := func(name string) string { return filepath.Join(dir, filepath.FromSlash(name)) }
	for _, folder := range []string{"data", "empty", "full", "bad", "runs/empty", "folder with spaces"} {
		if err := os.MkdirAll(at(folder), 0o777); err != nil {
			return err
		}
	}
	idx := func(n, h, w int) []byte {
		b := []byte{0, 0, 8, 3}
		for _, v := range []int{n, h, w} {
			b = binary.BigEndian.AppendUint32(b, uint32(v))
		}
		for i := range n * h * w {
			b = append(b, byte(i*i+i/7))
		}
		return b
	}
	var bomb, half bytes.Buffer
	z := gzip.NewWriter(&bomb)
	z.Write([]byte{0, 0, 8, 3, 0, 0, 0xff, 0xff, 0, 0, 0x10, 0, 0, 0, 0x10, 0}) // a terabyte of pixels, says the header
	z.Write(make([]byte, 1<<20))
	z.Close()
	z = gzip.NewWriter(&half)
	z.Write(idx(8, 8, 8))
	z.Close()
	picture := func(w, h int) []byte {
		m := image.NewGray(image.Rect(0, 0, w, h))
		for i := range m.Pix {
			m.Pix[i] = byte(7 * i)
		}
		m.SetGray(0, 0, color.Gray{255})
		var b bytes.Buffer
		png.Encode(&b, m)
		return b.Bytes()
	}
	for name, b := range map[string][]byte{
		"data/tiny-images-idx3-ubyte": idx(16, 8, 8),
		"data/wide-images-idx3-ubyte": idx(16, 8, 12),
		"full/notes.txt":              []byte("mine"),

		"bad/nothing":              nil,
		"bad/text.txt":             []byte("these are no images\n"),
		"bad/labels-idx1-ubyte":    append([]byte{0, 0, 8, 1, 0, 0, 0, 16}, make([]byte, 16)...),
		"bad/floats-idx3":          append([]byte{0, 0, 13, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 2}, make([]byte, 16)...),
		"bad/short-idx3":           idx(16, 8, 8)[:500],
		"bad/long-idx3":            append(idx(2, 8, 8), 1, 2, 3),
		"bad/none-idx3":            idx(0, 8, 8),
		"bad/odd-idx3":             idx(16, 7, 8),
		"bad/small-idx3":           idx(16, 2, 2),
		"bad/bomb.gz":              bomb.Bytes(),
		"bad/half.gz":              half.Bytes()[:half.Len()/2],
		"bad/huge-idx3":            {0, 0, 8, 3, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		"bad/checkpoint.pt":        []byte("PK\x03\x04 no checkpoint of ours"),
		"bad/lying.safetensors":    append(binary.LittleEndian.AppendUint64(nil, 1<<62), "{}"...),
		"bad/unknown.yaml":         []byte("stpes: 3\n"),
		"bad/deep.yaml":            []byte("network:\n  ngff: 3\n"),
		"bad/twice.yaml":           []byte("steps: 3\nsteps: 4\n"),
		"bad/zero.yaml":            []byte("batch: 0\n"),
		"bad/word.yaml":            []byte("steps: many\n"),
		"bad/negative.yaml":        []byte("steps: -1\n"),
		"bad/fraction.yaml":        []byte("batch: 1.5\n"),
		"bad/nan.yaml":             []byte("adam:\n  lr: .nan\n"),
		"bad/list.yaml":            []byte("- steps\n- 3\n"),
		"bad/scalar.yaml":          []byte("steps\n"),
		"bad/tag.yaml":             []byte("steps: !!python/object:os.system 3\n"),
		"bad/broken.yaml":          []byte("steps: [3\n"),
		"bad/binary.yaml":          {0, 1, 2, 0xff, 0xfe},
		"bad/preset.yaml":          []byte("preset: glyph\n"),
		"bad/alias.yaml":           []byte("a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\ng: &g [*f,*f,*f,*f,*f,*f,*f,*f,*f]\nh: [*g,*g,*g,*g,*g,*g,*g,*g,*g]\n"),
		"bad/nested.yaml":          append(bytes.Repeat([]byte("["), 100_000), '\n'),
		"folder with spaces/a.png": picture(8, 8),
	} {
		if err := os.WriteFile(at(name), b, 0o666); err != nil {
			return err
		}
	}
	if err := furnishData(at, picture); err != nil {
		return err
	}
	if err := furnishKnown(at); err != nil {
		return err
	}
	if err := furnishClasses(at); err != nil {
		return err
	}
	for link, to := range map[string]string{"bad/loop": "loop", "bad/dangling": "nowhere", "pictures/endless/b/back": "..",
		"pictures/broken-link/b.png": "nowhere"} {
		if err := os.Symlink(to, at(link)); err != nil {
			return err
		}
	}
	for _, args := range []string{
		"-name toy -data toy:moons -hidden 4 -batch 4 -steps 4 -levels 3 -T 2 -held-out 0 -preview-n 0 -log-every 2 -checkpoint-every 2",
		"-name images -data data/tiny-images-idx3-ubyte -ngf 2 -batch 2 -steps 4 -levels 3 -T 2 -held-out 2 -preview-n 0 -log-every 2 -checkpoint-every 2",
		"-name pets -preset toy -data classes/pets.csv -label kind -hidden 4 -batch 4 -steps 4 -levels 3 -T 2 -held-out 0 -preview-n 0 -checkpoint-every 2",
		"-name told -preset toy -data toy:moons -classes -label-dropout 0 -hidden 4 -batch 4 -steps 4 -levels 3 -T 2 -held-out 0 -preview-n 0 -checkpoint-every 2",
	} {
		c := exec.Command(filepath.Join(bin, "train"), strings.Fields(args)...)
		c.Dir, c.Env = dir, bare()
		if out, err := c.CombinedOutput(); err != nil {
			return fmt.Errorf("train %s: %v\n%s", args, err, out)
		}
	}
	// Runs that were damaged afterwards.
	damaged := map[string]func(checkpoint []byte) []byte{
		"cut":     func(b []byte) []byte { return b[:len(b)/2] },
		"flipped": func(b []byte) []byte { b[len(b)-9] ^= 4; return b },
		"zeroed":  func(b []byte) []byte { clear(b[len(b)/2:]); return b },
		"emptied": func([]byte) []byte { return nil },
		"header":  func(b []byte) []byte { b[12] ^= 1; return b },
	}
	for _, name := range slices.Sorted(maps.Keys(damaged)) {
		if err := os.CopyFS(at("runs/"+name), os.DirFS(at("runs/toy"))); err != nil {
			return err
		}
		last := at("runs/" + name + "/checkpoints/step-0000004.safetensors")
		b, err := os.ReadFile(last)
		if err != nil {
			return err
		}
		if err := os.WriteFile(last, damaged[name](b), 0o666); err != nil {
			return err
		}
	}
	for name, change := range map[string][2]string{
		"edited":   {"hidden: 4", "hidden: 5"},
		"misspelt": {"batch:", "bacth:"},
		"nonsense": {"batch: 4", "batch: -4"},
		"added":    {"  denoise:", "  sampler: langevin\n  denoise:"},
	} {
		if err := os.CopyFS(at("runs/"+name), os.DirFS(at("runs/toy"))); err != nil {
			return err
		}
		config := at("runs/" + name + "/config.yaml")
		b, err := os.ReadFile(config)
		if err != nil {
			return err
		}
		if err := os.WriteFile(config, []byte(strings.Replace(string(b), change[0], change[1], 1)), 0o666); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(at("runs/nothing/checkpoints"), 0o777); err != nil {
		return err
	}
	return nil
}
