// The one program: what it says for itself, how a command is chosen, and that its commands are those of the other
// programs.

package cmd_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// commit is what the programs of the tests are told of theirs.
const commit = "0123abc"

func TestSigmaz(t *testing.T) {
	dir := world(t)
	const list, image = "\nCommands:\n", "SIGMAZ_DEFAULT=train -gpu"
	for _, test := range []struct {
		args, env string
		code      int
		said      string // on standard output, or, where it fails, on standard error
	}{
		{"", "", 0, "usage: sigmaz COMMAND\n"},
		{"", "", 0, list},
		{"-h", "", 0, list},
		{"--help extra", "", 0, list},
		{"help", "", 0, list},
		{"help -h", "", 0, list},
		{"help help", "", 0, list},
		{"help sample", "", 0, "usage: sigmaz sample [flags] [RUN]\n"},
		{"sample -h", "", 0, "\n  sigmaz sample runs/glyphs-1 -n 100"},
		{"help sampel", "", 2, `unknown command "sampel"; did you mean sample? (-h lists the commands)`},
		{"help sample train", "", 2, `2 arguments of help ("sample", "train")`},
		{"trian -steps 5", "", 2, `unknown command "trian"; did you mean train? (-h lists the commands)`},
		{"hepl", "", 2, "did you mean help?"},
		{"xyzzy", "", 2, `unknown command "xyzzy"; -h lists the commands`},
		{"''", "", 2, `unknown command ""; -h lists the commands`},
		{"a␤b", "", 2, `unknown command "a\nb"`},
		{"runs/toy", "", 2, "did you mean sample runs/toy?"},
		{"toy -n 5", "", 2, "did you mean sample toy?"},
		{"-data toy:moons", "", 2, "-data stands where a command is expected, such as sigmaz train -data; -h lists the commands"},
		{"-", "", 2, "- stands where a command is expected"},
		{"version extra", "", 2, `unexpected argument "extra": expected none`},
		{"completion", "", 2, "no SHELL given: expected bash, zsh or fish"},
		{"completion bsh", "", 2, `SHELL is "bsh": expected bash, zsh, fish; did you mean bash? (-h says more)`},
		{"train sample runs/toy", "", 2, "sample is a command of its own, sigmaz sample, not an argument of train"},

		// as in the image
		{"-h", image, 0, "Without a command, flags are those of sigmaz train -gpu"},
		{"help", image, 0, list},
		{"-version", image, 0, "commit "},
		{"sample runs/toy -n 2", image, 0, "2 samples"},
		{"-stpes 5", image, 2, "unknown flag -stpes; did you mean -steps?"},
		{"-stpes 5 -h", image, 0, "usage: sigmaz train [flags]"},
		{"runs/toy", image, 2, "did you mean sample runs/toy?"},
		{"smaple runs/toy", image, 2, "did you mean sample?"},
		{"-dry-run", "SIGMAZ_DEFAULT=train -data toy:moons", 0, "data: toy:moons"},
		{"-dry-run -data toy:swissroll", "SIGMAZ_DEFAULT=train -data toy:moons", 0, "data: toy:swissroll"},
		{"", "SIGMAZ_DEFAULT=version", 0, "commit "},
		{"", "SIGMAZ_DEFAULT= ", 0, list},
		{"", "SIGMAZ_DEFAULT=tarin -gpu", 2, `SIGMAZ_DEFAULT is "tarin -gpu": expected a command and flags of it, such as train -gpu`},
		{"sample -h", "SIGMAZ_DEFAULT=tarin -gpu", 0, "usage: sigmaz sample"},
	} {
		var env []string
		if test.env != "" {
			env = []string{test.env}
		}
		words := wrong{args: "sigmaz " + test.args}.words()
		code, stdout, stderr := start(t, dir, env, words...)
		said, silent := stdout, stderr
		if test.code != 0 {
			said, silent = stderr, stdout
			title := "sigmaz"
			if !strings.HasPrefix(stderr, "sigmaz: ") {
				title, _, _ = strings.Cut(stderr, ":")
			}
			if f := faults(title, stderr); len(f) > 0 || !strings.HasPrefix(title, "sigmaz") {
				t.Errorf("%s: %q, faults %q", test.args, stderr, f)
			}
		}
		if code != test.code || !strings.Contains(said, test.said) || silent != "" {
			t.Errorf("%s (%s): code %d, stdout %q, stderr %q\nexpected %d and %q", test.args, test.env, code, stdout, stderr,
				test.code, test.said)
		}
	}
}

// Without a command word the images train: that of the Dockerfile's end on a GPU, which is said where there is none,
// and the other on the CPU.
func TestImages(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("..", "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	set := regexp.MustCompile(`(?m)^ENV SIGMAZ_DEFAULT="(.*)"$`).FindAllStringSubmatch(string(b), -1)
	if n := strings.Count(string(b), "\nENTRYPOINT [\"sigmaz\"]\n"); len(set) != 2 || n != 2 {
		t.Fatalf("%q and %d entry points, expected two of each: the CPU's and the GPU's", set, n)
	}
	cpu, gpu := "SIGMAZ_DEFAULT="+set[0][1], "SIGMAZ_DEFAULT="+set[1][1]
	dir := t.TempDir()
	for _, args := range [][]string{{"sigmaz"}, {"sigmaz", "-data", "toy:moons"}} {
		code, stdout, stderr := start(t, dir, []string{gpu, "SIGMAZ_SIM_FAULT=no-device"}, args...)
		if code != 1 || stdout != "" || len(faults("sigmaz train", stderr)) > 0 {
			t.Errorf("%q: code %d, %q, %q", args, code, stdout, stderr)
		}
	}
	args := strings.Fields("sigmaz -data toy:moons -name a -hidden 4 -batch 4 -steps 4 -levels 3 -T 2 -held-out 0 " +
		"-preview-n 0")
	code, stdout, stderr := start(t, dir, []string{cpu}, args...)
	if code != 0 || stderr != "" || !strings.Contains(stdout, "done     4 steps") {
		t.Errorf("%q: code %d, %q, %q", args, code, stdout, stderr)
	}
	if code, stdout, stderr = start(t, dir, []string{gpu}, "sigmaz", "sample", "runs/a", "-n", "2"); code != 0 ||
		stderr != "" {
		t.Errorf("sample: code %d, %q, %q", code, stdout, stderr)
	}
}

func TestVersion(t *testing.T) {
	tag := "nocuda"
	if withCUDA {
		tag = "cuda"
	}
	want := regexp.MustCompile(`\Asigmaz \S+\ncommit ` + commit + `\ngo     go1\.\S+ \w+/\w+\ntags   ` + tag +
		`\nisa    (avx512|avx2|go)\n\z`)
	for _, word := range []string{"version", "-version", "--version"} {
		if out := must(t, t.TempDir(), "sigmaz", word); !want.MatchString(out) {
			t.Errorf("%s: %q", word, out)
		}
	}
}

// What a command says about the next one can be typed as it is.
func TestNextCommand(t *testing.T) {
	dir := world(t)
	for _, test := range []struct{ call, next string }{
		{"train -resume runs/toy", " -resume runs/toy -steps 8 trains on"},
		{"sigmaz train -resume runs/toy", " -resume runs/toy -steps 8 trains on"},
	} {
		words := strings.Fields(test.call)
		self, sample := filepath.Join(bin, "train"), filepath.Join(bin, "sample")
		if words[0] == "sigmaz" {
			self, sample = filepath.Join(bin, "sigmaz")+" train", filepath.Join(bin, "sigmaz")+" sample"
		}
		out := must(t, dir, words...)
		for _, want := range []string{self + test.next, "sample   " + sample + " runs/toy\n"} {
			if !strings.Contains(out, want) {
				t.Errorf("%s does not say %q:\n%s", test.call, want, out)
			}
		}
		// and is what it says
		_, line, _ := strings.Cut(out, "\nsample   ")
		c := exec.Command(strings.Fields(line)[0], append(strings.Fields(line)[1:], "-n", "2", "-o", "a.png")...)
		c.Dir = dir
		if text, err := c.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", line, err, text)
		}
	}
}

// A command of sigmaz is the program of its name: the same run, the same samples, the same files.
func TestOneProgram(t *testing.T) {
	dir := t.TempDir()
	files := map[string][]string{}
	for i, by := range [][]string{{}, {"sigmaz"}} {
		call := func(args string) { must(t, dir, append(by[:len(by):len(by)], strings.Fields(args)...)...) }
		run := fmt.Sprintf("runs/r%d", i)
		call(fmt.Sprintf("train -name r%d -data toy:moons -hidden 4 -batch 4 -steps 4 -levels 3 -T 2 -held-out 0 "+
			"-preview-n 4", i))
		call("sample " + run + fmt.Sprintf(" -n 3 -o s%d.png -npy x%d.npy", i, i))
		call("score " + run + fmt.Sprintf(" -input x%d.npy -level 1 -o s%d.npy", i, i))
		call("export " + run + fmt.Sprintf(" -o e%d.safetensors", i))
		for _, name := range []string{"runs/r%d/samples/step-0000004.png", "s%d.png", "x%d.npy", "s%d.npy",
			"e%d.safetensors"} {
			b, err := os.ReadFile(filepath.Join(dir, fmt.Sprintf(name, i)))
			if err != nil {
				t.Fatal(err)
			}
			files[name] = append(files[name], string(b))
		}
	}
	for name, both := range files {
		if len(both) != 2 || both[0] != both[1] {
			t.Errorf("%s: %d files that differ", name, len(both))
		}
	}
	if out := must(t, dir, "sigmaz", "bench", "-info"); !strings.HasPrefix(out, "device   cpu (") {
		t.Errorf("bench -info: %q", out)
	}
}

// What shells offer with the scripts that sigmaz prints. A shell that is not installed is not asked.
func TestCompletion(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "weights.pth"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	script := map[string]string{}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		script[shell] = filepath.Join(dir, "completion."+shell)
		if err := os.WriteFile(script[shell], []byte(must(t, dir, "sigmaz", "completion", shell)), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	lines := []struct{ line, want, not string }{ // what is typed; a word that is offered, and one that is not
		{"sigmaz ", "train", "-steps"},
		{"sigmaz sc", "score", "train"},
		{"sigmaz help sc", "score", "bash"},
		{"sigmaz completion ", "zsh", "weights.pth"},
		{"sigmaz train -pre", "-preset", "-steps"},
		{"sigmaz train -gpu -see", "-seed", "-steps"},
		{"sigmaz train -preset cifar", "cifar10", "church"},
		{"sigmaz train -data toy:sw", "toy:swissroll", "toy:moons"},
		{"sigmaz train -net ncsnv2deepe", "ncsnv2deepest", "mlp"},
		{"sigmaz train -channels ", "grey", "nhwc"},
		{"sigmaz score x -layout n", "nhwc", "score"},
		{"sigmaz sample -l", "-levels", "-L"},
		{"sigmaz sample di", "digits", "train"},
		{"sigmaz sample -", "-csv", "-steps"},
	}
	for _, test := range []struct {
		shell  string
		script string // prints what is offered for $LINE, a word a line
		files  bool   // files are offered by the script and not by the shell behind it
	}{
		{"bash", `source "$SCRIPT"; COMP_LINE=$LINE COMP_POINT=${#LINE}; _sigmaz 2>/dev/null
			before=${LINE##* }; colon=${before%"${before##*:}"}; for w in "${COMPREPLY[@]}"; do echo "$colon$w"; done`, false},
		{"fish", `source $SCRIPT; complete -C "$LINE" | string replace -r "\t.*" ""; true`, true},
	} {
		if _, err := exec.LookPath(test.shell); err != nil {
			t.Logf("no %s here", test.shell)
			continue
		}
		offered := func(line string) []string {
			c := exec.Command(test.shell, "-c", test.script)
			c.Dir, c.Env = dir, append(os.Environ(), "HOME="+dir, "SCRIPT="+script[test.shell], "LINE="+line)
			var stderr bytes.Buffer
			c.Stderr = &stderr
			out, err := c.Output()
			if err != nil || stderr.Len() > 0 {
				t.Errorf("%s: %q: %v, %s", test.shell, line, err, &stderr)
			}
			return strings.Split(strings.TrimSpace(string(out)), "\n")
		}
		for _, l := range lines {
			words := offered(l.line)
			if !slices.Contains(words, l.want) || slices.Contains(words, l.not) {
				t.Errorf("%s: %q: %q; expected %s and not %s", test.shell, l.line, words, l.want, l.not)
			}
		}
		for line, want := range map[string]bool{"sigmaz sample w": true, "sigmaz train -init w": true,
			"sigmaz train -preset w": false, "sigmaz train -steps w": false} {
			if got := slices.Contains(offered(line), "weights.pth"); got != want && test.files {
				t.Errorf("%s: %q: files %t, expected %t", test.shell, line, got, want)
			}
		}
	}
	if _, err := exec.LookPath("zsh"); err == nil {
		// zsh completes at a terminal alone: here its own functions are replaced by ones that print what they are
		// asked for.
		c := exec.Command("zsh", "-f", "-c", `compdef() {}; source $SCRIPT; _describe() { print -l -- $commands }; _arguments() { print -rl -- "$@" }
			words=(sigmaz ''); CURRENT=2; _sigmaz; words=(sigmaz train ''); CURRENT=3; _sigmaz`)
		c.Env = append(os.Environ(), "SCRIPT="+script["zsh"])
		out, err := c.CombinedOutput()
		for _, want := range []string{"score:evaluates a network", "*-preset[settings to start from]:NAME:(glyphs toy ",
			`{compadd - glyphs toy\:`, "*-steps[optimiser steps of the whole run]:N: \n", "*-gpu[train on a GPU, not on the CPU]\n"} {
			if err != nil || !strings.Contains(string(out), want) {
				t.Errorf("zsh: no %q, %v, in\n%s", want, err, out)
			}
		}
	}
}
