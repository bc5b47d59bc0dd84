// Package cli reads the command lines of all commands and writes their help texts, so that they look and behave alike.
//
// A [Command] is a table: flags in groups, each with placeholder, unit and default, the arguments that are no flags, and
// examples. Flags follow package flag, which is underneath: -n 5, -n=5 and --n 5 are the same, a boolean flag is set by
// its name alone or by -flip=false, -- ends the flags, and of a flag that is given twice the last one counts. Beyond
// package flag, flags may stand before or after the arguments, an empty value is refused (it is most often a shell
// variable that is not set), and a name that is not known is answered with the nearest one that is.
//
//	o := options{}
//	c := &cli.Command{Name: "export", About: "Writes ...", Args: []cli.Arg{{Name: "RUN", Help: "a run folder"}},
//		Groups: []cli.Group{{Name: "Output", Flags: []cli.Flag{
//			{Name: "o", Arg: "FILE", Help: "file to write", Value: &o.out, Default: cli.Required},
//		}}}, Examples: ...}
//	err := c.Parse(os.Args[1:])
//	if err == nil {
//		err = export(c.Operands[0], &o)
//	}
//	os.Exit(c.Exit(err, os.Stdout, os.Stderr))
package cli

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"syscall"

	"sigmaz/internal/nearest"
	"sigmaz/internal/setting"
)

// Command is what a command line may hold, and after [Command.Parse] what it held.
type Command struct {
	Name     string
	About    string // what the command does, in one or two sentences
	Args     []Arg
	Groups   []Group
	Lists    []List // of names that flags take, below the flags in the help text
	Examples []Example
	Notes    []string // paragraphs at the end of the help text, such as what the exit codes are
	// Bare is the flag that an argument without one most likely belongs to, where there are no Args. nil: none.
	Bare func(arg string) string

	Operands []string // the arguments that are no flags
	given    map[string]bool
	set      *flag.FlagSet
}

// Arg is an argument that is no flag. All of them must be given.
type Arg struct {
	Name string // placeholder: RUN
	Help string // what is expected: "a run folder, such as runs/glyphs-1"
}

// Group is flags under a heading.
type Group struct {
	Name  string
	Note  string // on all of them, below the heading; may be ""
	Flags []Flag
}

// Flag is one flag.
type Flag struct {
	Name string
	Arg  string // placeholder of its value in the help text; "" for a boolean flag
	Unit string // of its value: "steps"; "" where it has none
	Help string
	// Value is where the value goes: a *string, *bool, *int, *uint64, *float64 or a flag.Value. What it holds before
	// Parse is the default.
	Value any
	// Default is the default as the help text shows it where that is not the value itself: Required, "by the image size".
	Default string
	Known   []string // values that are known by name, for the spelling help; others may be taken too
}

// Required is the Default of a flag that must be given. The command checks it, with [Command.Need].
const Required = "required"

// List is names and what they are.
type List struct {
	Name string
	Rows [][2]string
}

// Example is a command line and what it does.
type Example struct{ Line, What string }

// UsageError is a wrong command line: exit code 2.
type UsageError struct{ Text string }

func (e *UsageError) Error() string {
	if strings.HasSuffix(e.Text, "?") {
		return e.Text + " (-h lists the flags)"
	}
	return e.Text + "; -h lists the flags"
}

// Usagef is a [UsageError].
func Usagef(format string, a ...any) error { return &UsageError{fmt.Sprintf(format, a...)} }

// UsageOf returns an error about a setting as wrong usage of the setting's flag, and any other error as it is.
func UsageOf(err error) error {
	var bad *setting.Error
	if errors.As(err, &bad) {
		return &UsageError{Text: "-" + bad.Error()}
	}
	return err
}

// Given tells whether a flag was given.
func (c *Command) Given(name string) bool { return c.given[name] }

// GivenNames are the flags that were given, in alphabetical order.
func (c *Command) GivenNames() []string {
	var names []string
	for name := range c.given {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Need refuses a command line without one of the flags.
func (c *Command) Need(names ...string) error {
	for _, name := range names {
		if f := c.flag(name); !c.given[name] {
			return Usagef("-%s is missing: expected -%s %s, %s", name, name, f.Arg, f.Help)
		}
	}
	return nil
}

// flag is the flag of that name, nil if there is none.
func (c *Command) flag(name string) *Flag {
	for _, g := range c.Groups {
		for i := range g.Flags {
			if g.Flags[i].Name == name {
				return &g.Flags[i]
			}
		}
	}
	return nil
}

// flagNames are the names of all flags, each after a dash.
func (c *Command) flagNames() []string {
	var names []string
	for _, g := range c.Groups {
		for _, f := range g.Flags {
			names = append(names, "-"+f.Name)
		}
	}
	return names
}

// register gives the flags to package flag, which refuses a name that is there twice.
func (c *Command) register() {
	c.set = flag.NewFlagSet(c.Name, flag.ContinueOnError)
	c.set.SetOutput(io.Discard)
	for _, g := range c.Groups {
		for _, f := range g.Flags {
			c.set.Var(valueOf(f.Value), f.Name, f.Help)
		}
	}
}

// Parse reads the arguments. The error is flag.ErrHelp where one of them is -h, whatever else is there, or a
// [*UsageError].
func (c *Command) Parse(args []string) error {
	c.register()
	c.given, c.Operands = map[string]bool{}, nil
	var first error
	before := "" // the boolean flag before an operand
	hints := map[int]string{}
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		if arg == "--" {
			c.Operands = append(c.Operands, args...)
			break
		}
		if len(arg) < 2 || arg[0] != '-' {
			hints[len(c.Operands)] = before
			before = ""
			c.Operands = append(c.Operands, arg)
			continue
		}
		name, text, hasText := strings.Cut(strings.TrimPrefix(arg[1:], "-"), "=")
		if name == "h" || name == "help" {
			return flag.ErrHelp
		}
		var err error
		switch f := c.set.Lookup(name); {
		case f == nil:
			typed, _, _ := strings.Cut(arg, "=")
			err = Usagef("unknown flag %s%s", bare(typed), nearest.DidYouMean(typed, c.flagNames()))
		case isBool(f.Value) && !hasText:
			text, before = "true", name
			err = c.assign(name, text)
		default:
			before = ""
			if !hasText {
				if len(args) == 0 || slices.Contains(c.flagNames(), args[0]) {
					err = c.withoutValue(name, args)
					break
				}
				text, args = args[0], args[1:]
			}
			err = c.assign(name, text)
		}
		if first == nil {
			first = err
		}
	}
	if first != nil {
		return first
	}
	return c.checkOperands(hints)
}

// assign sets a flag to a value.
func (c *Command) assign(name, text string) error {
	f := c.flag(name)
	if text == "" {
		return Usagef("-%s is empty: expected %s, or leave it out", name, placeholder(f))
	}
	if err := c.set.Set(name, text); err != nil {
		return Usagef("-%s %v", name, err)
	}
	c.given[name] = true
	return nil
}

// withoutValue is the error for a flag whose value is not there.
func (c *Command) withoutValue(name string, rest []string) error {
	what := placeholder(c.flag(name))
	if len(rest) == 0 {
		return Usagef("-%s needs a value after it: -%[1]s %s", name, what)
	}
	return Usagef("-%s needs a value after it: -%[1]s %s, and %s is another flag", name, what, rest[0])
}

func placeholder(f *Flag) string {
	if f.Arg == "" {
		return "true or false"
	}
	return f.Arg
}

// programs are all commands of sigmaz.
var programs = []string{"train", "sample", "score", "export", "bench"}

// checkOperands compares the operands with Args. hints has, by the number of the operand, the boolean flag before it.
func (c *Command) checkOperands(hints map[int]string) error {
	for i, o := range c.Operands {
		if b := hints[i]; b != "" && (o == "true" || o == "false") {
			return Usagef("unexpected argument %q after -%s: write -%[2]s=%[1]s", o, b)
		}
	}
	if len(c.Operands) > len(c.Args) {
		extra := c.Operands[len(c.Args)]
		if len(c.Args) > 0 {
			var quoted, names []string
			for _, o := range c.Operands {
				quoted = append(quoted, quoteArg(o))
			}
			for _, a := range c.Args {
				names = append(names, a.Name)
			}
			return Usagef("%d arguments besides flags (%s): expected only %s%s", len(c.Operands), strings.Join(quoted, ", "), strings.Join(names, " and "), c.meant(extra))
		}
		if hint := c.meant(extra); hint != "" {
			return Usagef("unexpected argument %s%s", quoteArg(extra), hint)
		}
		if c.Bare != nil {
			return Usagef("unexpected argument %s: every setting is a flag, such as -%s %s", quoteArg(extra), c.Bare(extra), Shell(extra))
		}
		return Usagef("unexpected argument %s: everything is a flag", quoteArg(extra))
	}
	for i, a := range c.Args {
		if i >= len(c.Operands) {
			return Usagef("no %s given: expected %s", a.Name, a.Help)
		}
		if c.Operands[i] == "" {
			return Usagef("%s is empty: expected %s", a.Name, a.Help)
		}
	}
	return nil
}

// meant says what an argument that is too much was meant to be, "" where nothing is near: a flag without its dash, a
// value without its flag, another program.
func (c *Command) meant(arg string) string {
	if arg == "help" {
		return "; did you mean -h?"
	}
	if slices.Contains(programs, arg) && arg != c.Name {
		return fmt.Sprintf(": %s is a program of its own, not an argument of %s", arg, c.Name)
	}
	if strings.ContainsAny(arg, `/\`) {
		return "" // a path
	}
	for _, exact := range []bool{true, false} {
		fits := func(known []string) string {
			if exact && !slices.Contains(known, arg) {
				return ""
			}
			return nearest.Word(arg, known)
		}
		for _, g := range c.Groups {
			for _, f := range g.Flags {
				if word := fits(f.Known); word != "" {
					return fmt.Sprintf("; did you mean -%s %s?", f.Name, word)
				}
				if fits([]string{f.Name}) != "" {
					return fmt.Sprintf("; did you mean -%s?", f.Name)
				}
			}
		}
	}
	return ""
}

// Exit says how the command ended and returns its exit code: 0 without an error and after the help text, which
// flag.ErrHelp asks for, 2 for a [*UsageError], 1 for any other. An error is one line, whatever names it holds.
func (c *Command) Exit(err error, stdout, stderr io.Writer) int {
	var usage *UsageError
	if errors.Is(err, flag.ErrHelp) {
		if err = c.Help(stdout); errors.Is(err, syscall.EPIPE) {
			return 0 // the reader has seen enough
		}
		if err != nil {
			err = fmt.Errorf("cannot write the help text: %w", err)
		}
	}
	if err == nil {
		return 0
	}
	fmt.Fprintf(stderr, "%s: %s\n", c.Name, shorten(Line(Flags(err.Error()))))
	if errors.As(err, &usage) {
		return 2
	}
	return 1
}
