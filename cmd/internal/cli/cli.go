// Command lines: the table of a command, and the parser that reads arguments by it.

package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"

	"sigmaz/internal/nearest"
	"sigmaz/internal/setting"
)

// Command is a command: what its command line may hold, and what it does. After [Command.Parse] it also has what the
// command line held.
type Command struct {
	Name     string
	About    string // what the command does, in one or two sentences
	Args     []Arg
	Groups   []Group
	Lists    []List // of names that flags take, below the flags in the help text
	Examples []Example
	Notes    []string // paragraphs at the end of the help text, such as what the exit codes are
	// Bare is the flag that an argument too many most likely belongs to; "" for none, where there are Args. nil: none.
	Bare func(arg string) string

	Check func() error // finds what is wrong with the flags taken together, after Parse; nil: nothing can be
	Run   func(ctx context.Context, s Streams) error

	Stopping Stopping
	Unread   Unread
	// Alone says that several processes, as mpirun starts them, would all do the same and write the same files: they are
	// refused.
	Alone  bool
	Notice string // what is said when the command is asked to stop: "stopping after this step"; "" says nothing

	Program string   // which program this is a command of, "sigmaz"; "" where it is a program of its own
	Others  []string // names of the other commands, for the spelling help

	Operands []string // the arguments that are no flags, with the defaults of those that were left out
	typed    int      // how many of them the command line held
	given    map[string]bool
	set      *flag.FlagSet
}

// Title returns the command as it is typed: "sigmaz train", or "train" where it is a program of its own.
func (c *Command) Title() string { return strings.TrimSpace(c.Program + " " + c.Name) }

// Arg is an argument that is no flag. Those without a default must be given.
type Arg struct {
	Name string // placeholder: RUN
	Help string // what is expected: "a run folder, such as runs/glyphs-1"
	// Default is what is taken where the argument is left out, which the last ones may be; "" where it must be given.
	Default string
	Known   []string // all that may be given, for completion; nil: a file or a folder
	Flag    string   // a flag by which it may be given as well, as it once was; not shown; "" where there is none

	byFlag string
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
	// Default is the default as the help text shows it where that is not the value itself: Required, "by the image
	// size".
	Default string
	Known   []string // values that are known by name, for spelling help and completion; others may be taken too
	Synonym string   // an older name that is still taken and not shown; "" where there is none
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
type UsageError struct {
	Text string
	Help string // where more is said; "": -h lists the flags
}

func (e *UsageError) Error() string {
	help := e.Help
	if help == "" {
		help = "-h lists the flags"
	}
	if strings.HasSuffix(e.Text, "?") {
		return e.Text + " (" + help + ")"
	}
	return e.Text + "; " + help
}

// Usagef makes a [UsageError].
func Usagef(format string, a ...any) error { return &UsageError{Text: fmt.Sprintf(format, a...)} }

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

// Defaulted tells whether the i-th argument was left out, so that its default is taken.
func (c *Command) Defaulted(i int) bool { return i >= c.typed }

// GivenNames lists the flags that were given, in alphabetical order.
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
			return Usagef("-%s is missing: expected -%[1]s %s, %s", name, f.Arg, f.Help)
		}
	}
	return nil
}

// HasValue tells whether a value follows the flag's name.
func (f *Flag) HasValue() bool { return !isBool(valueOf(f.Value)) }

// flags lists all flags in the order of the help text, and behind them those by which arguments may be given.
func (c *Command) flags() []*Flag {
	var all []*Flag
	for _, g := range c.Groups {
		for i := range g.Flags {
			all = append(all, &g.Flags[i])
		}
	}
	for i := range c.Args {
		if a := &c.Args[i]; a.Flag != "" {
			all = append(all, &Flag{Name: a.Flag, Arg: a.Name, Help: a.Help, Value: &a.byFlag})
		}
	}
	return all
}

// flag finds the flag of that name or synonym, nil if there is none.
func (c *Command) flag(name string) *Flag {
	for _, f := range c.flags() {
		if f.Name == name || name != "" && f.Synonym == name {
			return f
		}
	}
	return nil
}

// flagNames lists the names of all flags, each after a dash.
func (c *Command) flagNames() []string {
	var names []string
	for _, f := range c.flags() {
		names = append(names, "-"+f.Name)
	}
	return names
}

// register gives the flags to package flag, which refuses a name that is there twice.
func (c *Command) register() {
	c.set = flag.NewFlagSet(c.Name, flag.ContinueOnError)
	c.set.SetOutput(io.Discard)
	for _, f := range c.flags() {
		c.set.Var(valueOf(f.Value), f.Name, f.Help)
		if f.Synonym != "" {
			c.set.Var(valueOf(f.Value), f.Synonym, f.Help)
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
				if len(args) == 0 || strings.HasPrefix(args[0], "-") && c.flag(args[0][1:]) != nil {
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
	c.given[f.Name] = true
	return nil
}

// withoutValue makes the error for a flag whose value is not there.
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

// checkOperands compares the operands with Args. hints has, by the number of the operand, the boolean flag before it.
func (c *Command) checkOperands(hints map[int]string) error {
	for i, o := range c.Operands {
		if b := hints[i]; b != "" && (o == "true" || o == "false") {
			return Usagef("unexpected argument %q after -%s: write -%[2]s=%[1]s", o, b)
		}
	}
	for i, a := range c.Args {
		switch {
		case a.Flag == "" || !c.given[a.Flag]:
		case len(c.Operands) >= len(c.Args):
			return Usagef("%s (%s) and -%s are both given: expected one of them%s", a.Name, quoteArg(c.Operands[i]), a.Flag,
				c.meant(c.Operands[i]))
		default:
			c.Operands = slices.Insert(c.Operands, i, a.byFlag)
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
			return Usagef("%d arguments besides flags (%s): expected only %s%s", len(c.Operands), strings.Join(quoted, ", "),
				strings.Join(names, " and "), c.meant(extra))
		}
		if hint := c.meant(extra); hint != "" {
			return Usagef("unexpected argument %s%s", quoteArg(extra), hint)
		}
		if c.Bare != nil {
			return Usagef("unexpected argument %s: every setting is a flag, such as -%s %s", quoteArg(extra), c.Bare(extra),
				Shell(extra))
		}
		if len(c.Groups) == 0 {
			return Usagef("unexpected argument %s: expected none", quoteArg(extra))
		}
		return Usagef("unexpected argument %s: everything is a flag", quoteArg(extra))
	}
	c.typed = len(c.Operands)
	for i, a := range c.Args {
		if i >= len(c.Operands) && a.Default != "" {
			c.Operands = append(c.Operands, a.Default)
		}
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
	if slices.Contains(c.Others, arg) {
		if c.Program != "" {
			return fmt.Sprintf(": %s is a command of its own, %s %[1]s, not an argument of %[3]s", arg, c.Program, c.Name)
		}
		return fmt.Sprintf(": %s is a program of its own, not an argument of %s", arg, c.Name)
	}
	if len(c.Args) > 0 && c.Bare != nil {
		if name := c.Bare(arg); name != "" {
			return fmt.Sprintf("; did you mean -%s %s?", name, Shell(arg))
		}
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
		for _, f := range c.flags() {
			if word := fits(f.Known); word != "" {
				return fmt.Sprintf("; did you mean -%s %s?", f.Name, word)
			}
			if fits([]string{f.Name}) != "" {
				return fmt.Sprintf("; did you mean -%s?", f.Name)
			}
		}
	}
	return ""
}
