package cli

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigmaz/internal/setting"
)

// values are the flags of a command for tests.
type values struct {
	n       int
	seed    uint64
	lr      float64
	out     string
	layout  string
	denoise bool
	device  Device
}

func command(v *values, args ...Arg) *Command {
	v.n, v.denoise, v.layout = 64, true, "nchw"
	return &Command{Name: "sample", About: "Draws.", Args: args, Others: []string{"train", "bench"}, Groups: []Group{
		{Name: "What", Note: "All of it.", Flags: []Flag{
			{Name: "n", Arg: "N", Unit: "samples", Help: "how many", Value: &v.n},
			{Name: "seed", Arg: "S", Help: "seed of the noise", Value: &v.seed},
			{Name: "lr", Arg: "LR", Help: "a rate", Value: &v.lr, Default: "by the size"},
			{Name: "o", Arg: "FILE", Help: "the picture", Value: &v.out, Default: Required},
			{Name: "layout", Arg: "NAME", Help: "order of the axes", Value: Choice{&v.layout, []string{"nchw", "nhwc"}}, Known: []string{"nchw", "nhwc"}, Synonym: "order"},
			{Name: "denoise", Help: "end with the last step", Value: &v.denoise},
		}},
		{Name: "Machine", Flags: v.device.Flags("draw")},
	}, Examples: []Example{{"sample", "1"}, {"sample -n 2", "2"}, {"sample -seed 3", "3"}}}
}

var run = Arg{Name: "RUN", Help: "a run folder"}

func TestParse(t *testing.T) {
	for _, test := range []struct {
		args string
		want string // values and operands, or the error
	}{
		{"r", "64 0 0  nchw true [r]"},
		{"r -n 5", "5 0 0  nchw true [r]"},
		{"-n 5 r", "5 0 0  nchw true [r]"},
		{"--n=5 r -denoise=false", "5 0 0  nchw false [r]"},
		{"-denoise r", "64 0 0  nchw true [r]"},
		{"-n 5 -n 6 r", "6 0 0  nchw true [r]"},
		{"-n -5 r", "-5 0 0  nchw true [r]"},
		{"-o - r", "64 0 0 - nchw true [r]"},
		{"-o a -- -r", "64 0 0 a nchw true [-r]"},
		{"-o -- r", "64 0 0 -- nchw true [r]"},
		{"- -lr 1e-4 -layout nhwc", "64 0 0.0001  nhwc true [-]"},
		{"-gpu r -device 1", "64 0 0  nchw true [r]"},

		{"r -order nhwc", "64 0 0  nhwc true [r]"},

		{"-n", "-n needs a value after it: -n N"},
		{"-n -order nhwc r", "-n needs a value after it: -n N, and -order is another flag"},
		{"-order nhcw r", `-order is "nhcw": expected one of nchw, nhwc; did you mean nchw?`},
		{"-checkpoint r", "unknown flag -checkpoint"},
		{"-o -n 5 r", "-o needs a value after it: -o FILE, and -n is another flag"},
		{"-n= r", "-n is empty: expected N, or leave it out"},
		{"-denoise= r", "-denoise is empty: expected true or false, or leave it out"},
		{"-n many r", `-n is "many": expected a whole number`},
		{"-n 1e3 r", `-n is "1e3": expected a whole number in plain digits, such as 1000`},
		{"-n 60,000 r", `-n is "60,000": expected a whole number in plain digits, such as 60000`},
		{"-n 1.5 r", `-n is "1.5": expected a whole number`},
		{"-n 99999999999999999999 r", `-n is "99999999999999999999": expected a whole number that fits 64 bits`},
		{"-seed -1 r", "-seed is -1: expected a whole number that is not negative"},
		{"-lr small r", `-lr is "small": expected a number`},
		{"-lr 1e999 r", `-lr is "1e999": expected a number below 1.8e308`},
		{"-layout nhcw r", `-layout is "nhcw": expected one of nchw, nhwc; did you mean nchw?`},
		{"-denoise=ture r", `-denoise is "ture": expected true or false; did you mean true?`},
		{"-denoise false r", `unexpected argument "false" after -denoise: write -denoise=false`},
		{"-sed 1 r", "unknown flag -sed; did you mean -seed?"},
		{"-T 5 r", "unknown flag -T"},
		{"-LR 5 r", "unknown flag -LR; did you mean -lr?"},
		{"-layouts 5 r", "unknown flag -layouts; did you mean -layout?"},
		{"-a\nb r", `unknown flag "-a\nb"`},
		{"---n 5 r", "unknown flag ---n; did you mean -n?"},
		{"-=5 r", "unknown flag -"},
		{"-device 1 r", "-device 1 names a GPU: give -gpu too, or leave it out to sample on the CPU"},
		{"-gpu -device -1 r", "-device is -1: expected the number of a GPU, counted from 0"},
		{"", "no RUN given: expected a run folder"},
		{"-n 5", "no RUN given: expected a run folder"},
		{"a b c", `3 arguments besides flags ("a", "b", "c"): expected only RUN`},
		{"a seed 5", `3 arguments besides flags ("a", "seed", "5"): expected only RUN; did you mean -seed?`},
		{"a train", `2 arguments besides flags ("a", "train"): expected only RUN: train is a program of its own, not an argument of sample`},
		{"a -n x -h", "flag: help requested"},
		{"-nonsense --help", "flag: help requested"},
	} {
		v := &values{}
		c := command(v, run)
		err := c.Parse(strings.FieldsFunc(test.args, func(r rune) bool { return r == ' ' }))
		if err == nil {
			err = v.device.Check(c)
		}
		got := fmt.Sprintln(v.n, v.seed, v.lr, v.out, v.layout, v.denoise, c.Operands)
		var usage *UsageError
		if errors.As(err, &usage) {
			got = usage.Text
		} else if err != nil {
			got = err.Error()
		}
		if strings.TrimSpace(got) != test.want {
			t.Errorf("%q\ngot      %s\nexpected %s", test.args, got, test.want)
		}
	}
}

func TestParseWithoutOperands(t *testing.T) {
	for args, want := range map[string]string{
		"seed":      `unexpected argument "seed"; did you mean -seed?`,
		"nhwc":      `unexpected argument "nhwc"; did you mean -layout nhwc?`,
		"bench":     `unexpected argument "bench": bench is a program of its own, not an argument of sample`,
		"somewhere": `unexpected argument "somewhere": every setting is a flag, such as -o somewhere`,
	} {
		c := command(&values{})
		c.Bare = func(string) string { return "o" }
		var usage *UsageError
		if err := c.Parse(strings.Fields(args)); !errors.As(err, &usage) || usage.Text != want {
			t.Errorf("%s: %v\nexpected %s", args, err, want)
		}
	}
	if err := command(&values{}, run).Parse([]string{""}); err == nil || !strings.Contains(err.Error(), "RUN is empty") {
		t.Errorf("an empty operand: %v", err)
	}
}

// An argument that was a flag once may be given by it, and then not by itself.
func TestArgumentByFlag(t *testing.T) {
	for args, want := range map[string]string{
		"-checkpoint r":        "[r]",
		"r":                    "[r]",
		"-checkpoint=r -n 5":   "[r]",
		"-checkpoint r s":      `RUN ("s") and -checkpoint are both given: expected one of them`,
		"-checkpoint r x.npy":  `RUN ("x.npy") and -checkpoint are both given: expected one of them; did you mean -o x.npy?`,
		"r x.npy":              `2 arguments besides flags ("r", "x.npy"): expected only RUN; did you mean -o x.npy?`,
		"-checkpont r":         "unknown flag -checkpont; did you mean -checkpoint?",
		"-checkpoint":          "-checkpoint needs a value after it: -checkpoint RUN",
		"-checkpoint= r":       "-checkpoint is empty: expected RUN, or leave it out",
		"-n 5":                 "no RUN given: expected a run folder",
		"-o -checkpoint r s":   "-o needs a value after it: -o FILE, and -checkpoint is another flag",
		"-checkpoint r -- -s":  `RUN ("-s") and -checkpoint are both given: expected one of them`,
		"-checkpoint r -T 5 s": "unknown flag -T",
	} {
		c := command(&values{}, Arg{Name: "RUN", Help: "a run folder", Flag: "checkpoint"})
		c.Bare = func(arg string) string {
			if strings.HasSuffix(arg, ".npy") {
				return "o"
			}
			return ""
		}
		got := ""
		var usage *UsageError
		if err := c.Parse(strings.Fields(args)); errors.As(err, &usage) {
			got = usage.Text
		} else {
			got = fmt.Sprint(c.Operands)
		}
		if got != want {
			t.Errorf("%s\ngot      %s\nexpected %s", args, got, want)
		}
		if strings.Contains(c.HelpText(80), "checkpoint") {
			t.Error("the help text shows the flag of before")
		}
	}
}

// As a command of a program everything that is said names both.
func TestCommandOfProgram(t *testing.T) {
	c := command(&values{}, run)
	c.Program = "sigmaz"
	text := c.HelpText(80)
	for _, want := range []string{"usage: sigmaz sample [flags] RUN\n", "\n  sigmaz sample -n 2\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	var stderr bytes.Buffer
	if code := c.Exit(c.Parse([]string{"r", "train"}), io.Discard, &stderr); code != 2 ||
		stderr.String() != `sigmaz sample: 2 arguments besides flags ("r", "train"): expected only RUN: `+
			"train is a command of its own, sigmaz train, not an argument of sample; -h lists the flags\n" {
		t.Errorf("code %d, %q", code, &stderr)
	}
}

func TestGiven(t *testing.T) {
	c := command(&values{}, run)
	if err := c.Parse([]string{"-seed", "0", "r", "-n", "2"}); err != nil {
		t.Fatal(err)
	}
	if names := c.GivenNames(); !c.Given("seed") || c.Given("o") || strings.Join(names, " ") != "n seed" {
		t.Errorf("given: %v", names)
	}
	if err := c.Need("n", "o"); err == nil || err.Error() != "-o is missing: expected -o FILE, the picture; "+
		"-h lists the flags" {
		t.Errorf("the flag that must be given: %v", err)
	}
}

func TestHelpText(t *testing.T) {
	want := `usage: sample [flags] RUN

Draws.

  RUN
      a run folder

Examples:
  sample
      1
  sample -n 2
      2
  sample -seed 3
      3

What:
  All of it.
  -n N
      how many [default 64 samples]
  -seed S
      seed of the noise [default 0]
  -lr LR
      a rate [default by the size]
  -o FILE
      the picture [required]
  -layout NAME
      order of the axes [default nchw]
  -denoise
      end with the last step [default
      true; -denoise=false turns it off]

Machine:
  -gpu
      draw on a GPU, not on the CPU
      [default off]
  -device N
      which GPU, counted from 0; with
      -gpu [default 0]

Flags may stand before or after RUN; of
a flag given twice the last one counts.
`
	if got := command(&values{}, run).HelpText(40); got != want {
		t.Errorf("got\n%s", got)
	}
	if got := command(&values{}, run).HelpText(80); !strings.Contains(got,
		"\n  -n N                  how many [default 64 samples]\n") {
		t.Errorf("80 columns:\n%s", got)
	}
}

// failing is an output that takes nothing.
type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func TestExit(t *testing.T) {
	for _, test := range []struct {
		err            error
		code           int
		stdout, stderr string
	}{
		{nil, 0, "", ""},
		{flag.ErrHelp, 0, "usage: sample", ""},
		{Usagef("-n is 0: expected more"), 2, "", "sample: -n is 0: expected more; -h lists the flags\n"},
		{Usagef("unknown; did you mean -n?"), 2, "", "sample: unknown; did you mean -n? (-h lists the flags)\n"},
		{fmt.Errorf("later: %w", Usagef("both")), 2, "", "sample: later: both; -h lists the flags\n"},
		{&StoppedError{"stopped"}, 130, "", "sample: stopped\n"},
		{&UsageError{"unknown", "-h lists the commands"}, 2, "", "sample: unknown; -h lists the commands\n"},
		{errors.New("use `net` mlp"), 1, "", "sample: use -net mlp\n"},
		{UsageOf(setting.Errorf("lr", "is 0")), 2, "", "sample: -lr is 0; -h lists the flags\n"},
		{errors.New("a\nb\x1b[31m\xff\u202e: é"), 1, "", `sample: a\nb\x1b[31m\xff\u202e: é` + "\n"},
	} {
		var stdout, stderr bytes.Buffer
		code := command(&values{}).Exit(test.err, &stdout, &stderr)
		if code != test.code || !strings.HasPrefix(stdout.String(), test.stdout) ||
			(stdout.Len() > 0) != (test.stdout != "") || stderr.String() != test.stderr {
			t.Errorf("%v: code %d, %q, %q", test.err, code, &stdout, &stderr)
		}
	}
	var stderr bytes.Buffer
	if code := command(&values{}).Exit(flag.ErrHelp, failing{io.ErrShortWrite}, &stderr); code != 1 ||
		!strings.Contains(stderr.String(), "cannot write the help text") {
		t.Errorf("help that cannot be written: %d, %q", code, &stderr)
	}
}

func TestShell(t *testing.T) {
	for arg, want := range map[string]string{
		"runs/glyphs-1": "runs/glyphs-1",
		"":              "''",
		"my run":        "'my run'",
		"it's":          `'it'\''s'`,
		"$HOME":         "'$HOME'",
		"a\nb":          `$'a\nb'`,
		"é":             "'é'",
	} {
		if got := Shell(arg); got != want {
			t.Errorf("%q: got %s, expected %s", arg, got, want)
		}
	}
}

func TestCommandLine(t *testing.T) {
	self := os.Args[0]
	defer func() { os.Args[0] = self }()
	c := command(&values{})
	for _, test := range [][3]string{ // how this program was started, which program it is of, how another command is
		{"./train", "", "./sample -gpu -device 2"},
		{"/opt/my bin/train", "", "'/opt/my bin/sample' -gpu -device 2"},
		{"train", "", "sample -gpu -device 2"},
		{"sigmaz", "sigmaz", "sigmaz sample -gpu -device 2"},
		{"/opt/my bin/sigmaz", "sigmaz", "'/opt/my bin/sigmaz' sample -gpu -device 2"},
		{filepath.Join(t.TempDir(), "go-build1", "b001", "exe", "sigmaz"), "sigmaz",
			"go run " + buildTags() + "./cmd/sigmaz sample -gpu -device 2"},
		{filepath.Join(t.TempDir(), "go-build1", "b001", "exe", "train"), "",
			"go run " + buildTags() + "./cmd/sample -gpu -device 2"},
	} {
		os.Args[0], c.Program = test[0], test[1]
		if got := c.CommandLine("sample", Device{GPU: true, N: 2}); got != test[2] {
			t.Errorf("%s: got %s, expected %s", test[0], got, test[2])
		}
	}
}

// An argument with a default may be left out, and it can be told that it was.
func TestArgumentDefault(t *testing.T) {
	for args, want := range map[string]string{"": "[digits] true", "-n 5": "[digits] true", "r": "[r] false",
		"digits -n 5": "[digits] false"} {
		c := command(&values{}, Arg{Name: "RUN", Help: "a run folder", Default: "digits"})
		if err := c.Parse(strings.Fields(args)); err != nil || fmt.Sprint(c.Operands, c.Defaulted(0)) != want {
			t.Errorf("%q: %v %t, %v; expected %s", args, c.Operands, c.Defaulted(0), err, want)
		}
		if usage, _, _ := strings.Cut(c.HelpText(80), "\n"); !strings.HasSuffix(usage, "[RUN]") {
			t.Errorf("usage %q", usage)
		}
	}
	c := command(&values{}, Arg{Name: "RUN", Help: "a run folder", Default: "digits"})
	if err := c.Parse([]string{"a", "b"}); err == nil || !strings.Contains(err.Error(), "expected only RUN") {
		t.Errorf("two arguments: %v", err)
	}
}
