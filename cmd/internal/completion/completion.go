// What the scripts for all shells have in common.

package completion

import (
	"fmt"
	"slices"
	"strings"

	"sigmaz/cmd/internal/cli"
)

// Command is a command and what it does, in a line.
type Command struct {
	*cli.Command
	What string
}

// Shells lists the shells that there are scripts for.
var Shells = []string{"bash", "zsh", "fish"}

// Script returns the script for a shell, one of [Shells].
func Script(shell, program string, all []Command) (string, error) {
	switch shell {
	case "bash":
		return bash(program, all), nil
	case "zsh":
		return zsh(program, all), nil
	case "fish":
		return fish(program, all), nil
	}
	return "", fmt.Errorf("no completion for shell %q", shell)
}

// offer is what is offered as a value.
type offer struct {
	words []string
	files bool
}

// after returns what is offered as the value of a flag.
func after(f cli.Flag) offer {
	o := offer{words: f.Known, files: isPath(f.Arg)}
	if c, ok := f.Value.(cli.Choice); ok {
		o.words = c.Words
	}
	return o
}

// isPath tells whether a placeholder stands for a file or a folder: FILE, FILE.png, DIR, RUN, or data in files (SPEC).
func isPath(placeholder string) bool {
	name, _, _ := strings.Cut(placeholder, ".")
	switch name {
	case "FILE", "DIR", "RUN", "SPEC":
		return true
	}
	return false
}

// operand returns what is offered as the argument of a command, nothing where it takes none.
func operand(c Command) offer {
	if len(c.Args) == 0 {
		return offer{}
	}
	a := c.Args[0]
	o := offer{words: a.Known, files: a.Known == nil}
	if a.Default != "" {
		o.words = append(slices.Clone(o.words), a.Default)
	}
	return o
}

// brief returns the beginning of a help text, which says what the flag is, without quotes and brackets.
func brief(help string) string {
	if i := strings.IndexAny(help, ";:(['"); i > 0 {
		help = help[:i]
	}
	return strings.TrimSpace(help)
}

func flagsOf(c Command) []cli.Flag {
	var all []cli.Flag
	for _, g := range c.Groups {
		all = append(all, g.Flags...)
	}
	return all
}

func names(all []Command) string {
	var words []string
	for _, c := range all {
		words = append(words, c.Name)
	}
	return strings.Join(words, " ")
}
