// The table of commands, and how a command line chooses one.

package commands

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"sigmaz/cmd/internal/benchcmd"
	"sigmaz/cmd/internal/cli"
	"sigmaz/cmd/internal/evalcmd"
	"sigmaz/cmd/internal/exportcmd"
	"sigmaz/cmd/internal/likelihoodcmd"
	"sigmaz/cmd/internal/samplecmd"
	"sigmaz/cmd/internal/scorecmd"
	"sigmaz/cmd/internal/sigmascmd"
	"sigmaz/cmd/internal/traincmd"
	"sigmaz/cmd/internal/versioncmd"
	"sigmaz/internal/nearest"
	"sigmaz/train"
)

// program is the one program that has all commands.
const program = "sigmaz"

// DefaultVariable names an environment variable with the command, and flags of it, that is run where no command word is
// given: "train -gpu" in the image, so that its arguments may be those of a training.
const DefaultVariable = "SIGMAZ_DEFAULT"

// entry is a command.
type entry struct {
	name string
	what string // what it does, in a line
	new  func() *cli.Command
}

// table lists all commands.
func table(b versioncmd.Build) []entry {
	return []entry{
		{name: "sigmas", what: "chooses the noise of a training from its data", new: sigmascmd.New},
		{name: "train", what: "trains a network and leaves it in a run folder", new: traincmd.New},
		{name: "sample", what: "draws samples from a trained network", new: samplecmd.New},
		{name: "score", what: "evaluates a network as a function, from NumPy array to NumPy array", new: scorecmd.New},
		{name: "likelihood", what: "computes how probable data is under a network that is told sigma", new: likelihoodcmd.New},
		{name: "eval", what: "measures how far samples are from data, and whether they are copies", new: evalcmd.New},
		{name: "export", what: "writes a network's weights as a PyTorch state_dict", new: exportcmd.New},
		{name: "bench", what: "measures how fast a device trains, samples and moves memory", new: benchcmd.New},
		{name: "version", what: "prints version, commit, Go, build tags and instruction set",
			new: func() *cli.Command { return versioncmd.New(b) }},
		{name: "completion", what: "prints a script that completes commands and flags in a shell",
			new: func() *cli.Command { return completionCommand(b) }},
	}
}

// help is the one command that the table does not have: the command that it is about answers it.
var help = entry{name: "help", what: "shows what a command does, its flags and examples"}

// Main runs the program sigmaz, and ends the process.
func Main(b versioncmd.Build) {
	c, args, err := choose(b, os.Args[1:], os.Getenv(DefaultVariable))
	if err != nil {
		os.Exit(c.Exit(err, os.Stdout, os.Stderr))
	}
	c.Main(args)
}

// Program runs one command as a program of its own, and ends the process.
func Program(name string) {
	all := table(versioncmd.Build{})
	i := slices.IndexFunc(all, func(e entry) bool { return e.name == name })
	if i < 0 {
		panic("commands: there is no command " + name)
	}
	c := all[i].new()
	c.Others = others(all, name)
	c.Main(os.Args[1:])
}

// others lists the names of all commands but one.
func others(all []entry, name string) (names []string) {
	for _, e := range all {
		if e.name != name {
			names = append(names, e.name)
		}
	}
	return names
}

// choose finds the command that the arguments of sigmaz ask for, and returns the arguments that are left for it.
// standard is the value of DefaultVariable. An error, also flag.ErrHelp, which asks for the help text, is for c.Exit.
func choose(b versioncmd.Build, args []string, standard string) (c *cli.Command, rest []string, err error) {
	all := table(b)
	find := func(name string) *cli.Command {
		for _, e := range all {
			if e.name == name {
				c := e.new()
				c.Program, c.Others = program, others(all, name)
				return c
			}
		}
		return nil
	}
	top := overview(all, standard)
	usage := func(format string, a ...any) (*cli.Command, []string, error) {
		return top, nil, &cli.UsageError{Text: fmt.Sprintf(format, a...), Help: "-h lists the commands"}
	}

	noCommand := len(args) == 0 || strings.HasPrefix(args[0], "-") && !slices.Contains(own, undashed(args[0]))
	if words := strings.Fields(standard); len(words) > 0 && noCommand {
		if find(words[0]) == nil {
			return usage("%s is %q: expected a command and flags of it, such as train -gpu", DefaultVariable, standard)
		}
		args = append(words, args...)
	}
	if len(args) == 0 {
		return top, nil, flag.ErrHelp
	}
	word, rest := args[0], args[1:]
	if strings.HasPrefix(word, "-") {
		switch name := undashed(word); {
		case name == "version":
			return find(name), rest, nil
		case slices.Contains(own, name):
			return top, nil, flag.ErrHelp
		}
		return usage("%s stands where a command is expected, such as %s train %[1]s", cli.Shell(word), program)
	}
	if word == help.name {
		switch {
		case len(rest) == 0 || rest[0] == help.name || slices.Contains(own, undashed(rest[0])):
			return top, nil, flag.ErrHelp
		case len(rest) > 1:
			quoted := make([]string, len(rest))
			for i, word := range rest {
				quoted[i] = strconv.Quote(word)
			}
			return usage("%d arguments of help (%s): expected one command", len(rest), strings.Join(quoted, ", "))
		}
		word, rest = rest[0], []string{"-h"}
	}
	if c := find(word); c != nil {
		return c, rest, nil
	}
	meant := nearest.DidYouMean(word, append(others(all, ""), help.name))
	switch ext := filepath.Ext(word); {
	case meant != "":
	case train.IsRun(word) || train.IsRun(filepath.Join("runs", word)) || ext == ".safetensors" || ext == ".pth":
		meant = "; did you mean sample " + cli.Shell(word) + "?"
	}
	return usage("unknown command %q%s", word, meant)
}

// own lists the flags of sigmaz itself, without their dashes.
var own = []string{"h", "help", "version"}

// undashed returns a flag without its dash or two, and "" for a word that is no flag.
func undashed(word string) string {
	name, ok := strings.CutPrefix(word, "-")
	if !ok {
		return ""
	}
	return strings.TrimPrefix(name, "-")
}

// overview makes the command for sigmaz without a command word: its help text lists the commands.
func overview(all []entry, standard string) *cli.Command {
	commands := cli.List{Name: "Commands"}
	for _, e := range append(all, help) {
		commands.Rows = append(commands.Rows, [2]string{e.name, e.what})
	}
	notes := []string{fmt.Sprintf("Flags come after the command: %s help COMMAND and %[1]s COMMAND -h list them. "+
		"-version is short for version.", program)}
	if words := strings.Fields(standard); len(words) > 0 {
		notes = append(notes, fmt.Sprintf("Without a command, flags are those of %s %s, by the environment variable %s.",
			program, strings.Join(words, " "), DefaultVariable))
	} else {
		notes = append(notes, fmt.Sprintf("The environment variable %s may hold a command with flags, such as train -gpu, "+
			"that is run where none is given.", DefaultVariable))
	}
	return &cli.Command{
		Name:  program,
		About: "Trains noise-conditional score networks and draws samples from them.",
		Args:  []cli.Arg{{Name: "COMMAND", Help: "one of the commands below, with flags and arguments of its own behind it"}},
		Lists: []cli.List{commands},
		Examples: []cli.Example{
			{Line: program + " train", What: "digits drawn from fonts, two to four minutes on two cores"},
			{Line: program + " sample runs/glyphs-1", What: "64 new ones, as one picture in the run's folder"},
			{Line: program + " help sample", What: "what else sample can do"},
		},
		Notes: notes,
	}
}
