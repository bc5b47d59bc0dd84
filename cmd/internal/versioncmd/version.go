// Version: what the linker and Go know of the program.

package versioncmd

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"sigmaz/cmd/internal/cli"
	"sigmaz/kernels"
)

// Build is what the linker was told about the program, "" where nothing was.
type Build struct{ Version, Commit string }

// New makes the command.
func New(b Build) *cli.Command {
	return &cli.Command{
		Name: "version",
		About: "Prints version and commit of the program, the Go that built it, its build tags, and the instruction set " +
			"that its kernels use on this CPU.",
		Run: func(_ context.Context, s cli.Streams) error {
			info, _ := debug.ReadBuildInfo()
			return write(s.Out, b.completed(info))
		},
	}
}

// completed fills in what Go has recorded of the module and its repository, and "unknown" where that is nothing.
func (b Build) completed(info *debug.BuildInfo) Build {
	if info == nil {
		info = &debug.BuildInfo{}
	}
	if b.Version == "" && info.Main.Version != "(devel)" {
		b.Version = info.Main.Version
	}
	if b.Commit == "" {
		changes := ""
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision":
				b.Commit = s.Value
			case s.Key == "vcs.modified" && s.Value == "true":
				changes = ", with changes"
			}
		}
		if b.Commit != "" {
			b.Commit += changes
		}
	}
	const unknown = "unknown"
	if b.Version == "" {
		b.Version = unknown
	}
	if b.Commit == "" {
		b.Commit = unknown
	}
	return b
}

func write(w io.Writer, b Build) error {
	_, err := fmt.Fprintf(w, "sigmaz %s\ncommit %s\ngo     %s %s/%s\ntags   %s\nisa    %s\n",
		b.Version, b.Commit, runtime.Version(), runtime.GOOS, runtime.GOARCH, tags, kernels.ISA())
	return err
}
