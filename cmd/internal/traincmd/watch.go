// Flags for those who watch a training from outside. They change nothing of the run, so no configuration has them.

package traincmd

import (
	"sigmaz/cmd/internal/cli"
	"sigmaz/cmd/internal/watch"
)

// watchGroup is these flags.
func watchGroup(o *watch.Options) cli.Group {
	return cli.Group{Name: "Watching", Flags: []cli.Flag{
		{Name: "tensorboard", Help: "write TensorBoard's event files into the run folder: losses, that of each level, previews",
			Value: &o.TensorBoard},
	}}
}

// watchFlags lists their names.
func watchFlags() (names []string) {
	for _, f := range watchGroup(new(watch.Options)).Flags {
		names = append(names, f.Name)
	}
	return names
}

// watchAgain writes those that were given, for the line that says how to go on.
func watchAgain(f *flags) (text string) {
	for _, g := range f.Groups {
		for _, flag := range g.Flags {
			if g.Name == "Watching" && f.Given(flag.Name) {
				text += " -" + flag.Name
				if flag.HasValue() {
					text += " " + cli.Shell(cli.Text(flag.Value))
				}
			}
		}
	}
	return text
}
