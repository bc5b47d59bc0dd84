// The checks of one command line.

package clitest

import (
	"errors"
	"flag"
	"strings"
	"testing"
	"unicode/utf8"

	"sigmaz/cmd/internal/cli"
)

// Check checks the command line that command makes, a fresh one at each call.
func Check(t *testing.T, command func() *cli.Command) {
	t.Helper()
	c := command()
	if c.Name == "" || c.About == "" {
		t.Error("the command has no name or does not say what it does")
	}
	if len(c.Examples) < 3 && len(c.Groups)+len(c.Args) > 0 {
		t.Errorf("%d examples, expected at least 3", len(c.Examples))
	}
	for _, e := range c.Examples {
		fields := strings.Fields(e.Line)
		if fields[0] != c.Name || e.What == "" {
			t.Errorf("example %q: expected a call of %s, and what it does", e.Line, c.Name)
		}
		if err := command().Parse(fields[1:]); err != nil {
			t.Errorf("example %q: %v", e.Line, err)
		}
	}
	if err := command().Parse([]string{"-h"}); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("-h: %v", err)
	}
	for _, g := range c.Groups {
		if g.Name == "" || len(g.Flags) == 0 {
			t.Errorf("group %q with %d flags", g.Name, len(g.Flags))
		}
		for _, f := range g.Flags {
			checkFlag(t, f)
		}
	}
	for _, cols := range []int{40, 63, 64, 80, 200} {
		text := c.HelpText(cols)
		for line := range strings.Lines(text) {
			line = strings.TrimSuffix(line, "\n")
			if n := utf8.RuneCountInString(line); n > cols && strings.ContainsRune(strings.TrimSpace(line), ' ') {
				t.Errorf("%d columns in a terminal of %d: %q", n, cols, line)
			}
			if strings.TrimRight(line, " ") != line {
				t.Errorf("spaces at the end of %q", line)
			}
		}
		for _, g := range c.Groups {
			for _, f := range g.Flags {
				if !strings.Contains(text, "\n  -"+f.Name) {
					t.Errorf("-h does not show -%s", f.Name)
				}
			}
		}
	}
}

// checkFlag holds a flag to the style of the help texts: it has a placeholder where it takes a value, what it is, and
// a unit or a default where it is a number.
func checkFlag(t *testing.T, f cli.Flag) {
	t.Helper()
	isBool := false
	switch v := f.Value.(type) {
	case *bool:
		isBool = true
	case interface{ IsBoolFlag() bool }:
		isBool = v.IsBoolFlag()
	}
	if isBool != (f.Arg == "") {
		t.Errorf("-%s has the placeholder %q", f.Name, f.Arg)
	}
	if f.Help == "" || strings.HasSuffix(f.Help, ".") {
		t.Errorf("-%s: the help %q is empty or ends with a full stop", f.Name, f.Help)
	}
	switch f.Value.(type) {
	case *int, *uint64, *float64:
		if f.Unit == "" && f.Default == "" && cli.Text(f.Value) == "" {
			t.Errorf("-%s is a number without unit and default", f.Name)
		}
	}
}
