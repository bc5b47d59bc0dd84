package commands

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"sigmaz/cmd/internal/cli"
	"sigmaz/cmd/internal/cli/clitest"
	"sigmaz/cmd/internal/completion"
	"sigmaz/cmd/internal/versioncmd"
)

// Each row of the table is a command of its own name, and its line and its help text fit the others.
func TestTable(t *testing.T) {
	all := table(versioncmd.Build{})
	seen := map[string]bool{}
	for _, e := range append(all, help) {
		if seen[e.name] {
			t.Errorf("%s is there twice", e.name)
		}
		seen[e.name] = true
		if first := []rune(e.what + " ")[0]; !unicode.IsLower(first) || strings.HasSuffix(e.what, ".") || len(e.what) > 76 {
			t.Errorf("%s: the line is %q", e.name, e.what)
		}
		if e.new == nil {
			continue
		}
		if c := e.new(); c.Name != e.name {
			t.Errorf("the command %s says that it is %s", e.name, c.Name)
		}
		clitest.Check(t, e.new)
	}
}

// Each program beside sigmaz is the command of its name.
func TestPrograms(t *testing.T) {
	programs, err := filepath.Glob("../../*/*.go")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, path := range programs {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(filepath.Dir(path))
		if !strings.Contains(string(b), "\npackage main\n") || name == program {
			continue
		}
		n++
		if c, _, err := choose(versioncmd.Build{}, []string{name}, ""); err != nil || c.Name != name ||
			!strings.Contains(string(b), `commands.Program("`+name+`")`) {
			t.Errorf("%s does not run the command %s: %v", path, name, err)
		}
	}
	if n < 5 {
		t.Errorf("%d programs", n)
	}
}

func TestChoose(t *testing.T) {
	for _, test := range []struct {
		args, standard string
		want           string // the command and its arguments, or the error
	}{
		{"", "", "help"},
		{"-h", "", "help"},
		{"--help", "train", "help"},
		{"train -gpu", "", "train [-gpu]"},
		{"train -gpu", "sample x", "train [-gpu]"},
		{"-gpu", "train -data toy:moons", "train [-data toy:moons -gpu]"},
		{"", "train -gpu", "train [-gpu]"},
		{"-version", "train -gpu", "version []"},
		{"help export", "", "export [-h]"},
		{"help version", "", "version [-h]"},
		{"-gpu", "", "-gpu stands where a command is expected, such as sigmaz train -gpu"},
		{"-gpu", "trian", `SIGMAZ_DEFAULT is "trian": expected a command and flags of it, such as train -gpu`},
		{"exprot x", "train -gpu", `unknown command "exprot"; did you mean export?`},
		{"net.pth", "", `unknown command "net.pth"; did you mean sample net.pth?`},
	} {
		c, rest, err := choose(versioncmd.Build{}, strings.Fields(test.args), test.standard)
		got := ""
		var usage *cli.UsageError
		switch {
		case errors.Is(err, flag.ErrHelp):
			got = "help"
		case errors.As(err, &usage):
			got = usage.Text
		case err == nil:
			got = c.Name + " [" + strings.Join(rest, " ") + "]"
			if c.Program != program || len(c.Others) < 6 {
				t.Errorf("%s: program %q, others %q", test.args, c.Program, c.Others)
			}
		}
		if got != test.want {
			t.Errorf("%q (%s)\ngot      %s\nexpected %s", test.args, test.standard, got, test.want)
		}
	}
}

// What the scripts offer are words that no shell takes apart.
func TestCompletionWords(t *testing.T) {
	plain := func(r rune) bool {
		return unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("+-:._", r)
	}
	n := 0
	for _, c := range forCompletion(versioncmd.Build{}) {
		for _, g := range c.Groups {
			for _, f := range g.Flags {
				for _, word := range f.Known {
					if n++; word == "" || strings.ContainsFunc(word, func(r rune) bool { return !plain(r) }) {
						t.Errorf("%s -%s %q", c.Name, f.Name, word)
					}
				}
			}
		}
	}
	if n < 50 {
		t.Errorf("%d words", n)
	}
	for _, shell := range completion.Shells {
		script, err := completion.Script(shell, program, forCompletion(versioncmd.Build{}))
		if err != nil || len(script) < 5000 || strings.Contains(script, "PROGRAM") || !strings.HasSuffix(script, "\n") {
			t.Errorf("%s: %v, %d bytes", shell, err, len(script))
		}
	}
	if _, err := completion.Script("tcsh", program, nil); err == nil {
		t.Error("there is a script for tcsh")
	}
}
