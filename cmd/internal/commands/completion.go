// The command completion, which needs the whole table.

package commands

import (
	"context"
	"io"
	"strings"

	"sigmaz/cmd/internal/cli"
	"sigmaz/cmd/internal/completion"
	"sigmaz/cmd/internal/versioncmd"
	"sigmaz/internal/nearest"
)

func completionCommand(b versioncmd.Build) *cli.Command {
	c := &cli.Command{
		Name:  "completion",
		About: "Prints a script that makes a shell complete commands, flags, values that are known by name, and files.",
		Args:  []cli.Arg{{Name: "SHELL", Help: "bash, zsh or fish", Known: completion.Shells}},
		Examples: []cli.Example{
			{Line: "completion bash", What: "for bash: source <(" + program + " completion bash), in ~/.bashrc"},
			{Line: "completion zsh", What: "for zsh: source <(" + program + " completion zsh), in ~/.zshrc after compinit"},
			{Line: "completion fish", What: "for fish: " + program + " completion fish | source, in ~/.config/fish/config.fish"},
		},
	}
	c.Run = func(_ context.Context, s cli.Streams) error {
		script, err := completion.Script(c.Operands[0], program, forCompletion(b))
		if err != nil {
			return cli.Usagef("SHELL is %q: expected %s%s", c.Operands[0], strings.Join(completion.Shells, ", "),
				nearest.DidYouMean(c.Operands[0], completion.Shells))
		}
		_, err = io.WriteString(s.Out, script)
		return err
	}
	return c
}

// forCompletion returns the table of commands, help included, as package completion takes it.
func forCompletion(b versioncmd.Build) []completion.Command {
	var all []completion.Command
	entries := table(b)
	for _, e := range entries {
		all = append(all, completion.Command{Command: e.new(), What: e.what})
	}
	about := &cli.Command{Name: help.name, Args: []cli.Arg{{Name: "COMMAND", Known: others(entries, "")}}}
	return append(all, completion.Command{Command: about, What: help.what})
}
