// Package cli reads the command lines of all commands, runs the commands and writes their help texts, so that they look
// and behave alike.
//
// A [Command] is a table: flags in groups, each with placeholder, unit and default, the arguments that are no flags,
// and examples; and a function that does the work. Flags follow package flag, which is underneath: -n 5, -n=5 and --n
// 5 are the same, a boolean flag is set by its name alone or by -flip=false, -- ends the flags, and of a flag that is
// given twice the last one counts. Beyond package flag, flags may stand before or after the arguments, an empty value
// is refused (it is most often a shell variable that is not set), and a name that is not known is answered with the
// nearest one that is.
//
//	o := options{}
//	c := &cli.Command{Name: "export", About: "Writes ...", Args: []cli.Arg{{Name: "RUN", Help: "a run folder"}},
//		Groups: []cli.Group{{Name: "Output", Flags: []cli.Flag{
//			{Name: "o", Arg: "FILE", Help: "file to write", Value: &o.out, Default: cli.Required},
//		}}}, Examples: ...}
//	c.Run = func(ctx context.Context, s cli.Streams) error { return export(c.Operands[0], &o, s.Out) }
//	c.Main(os.Args[1:])
//
// Exit codes: 0 done, 1 failed, 2 wrong usage, 130 stopped before anything was done.
//
// Begin reading at [Command]; process.go has signals and exit codes, help.go the help text, value.go what a value may
// be.
package cli
