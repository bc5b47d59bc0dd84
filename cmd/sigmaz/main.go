// Command sigmaz trains noise-conditional score networks, draws samples from them, and whatever else there is a
// command for.
//
//	go build -tags nocuda -o sigmaz ./cmd/sigmaz    without the tag: with CUDA
//	./sigmaz                                        lists the commands
//	./sigmaz train                                  digits drawn from fonts, two to four minutes on two cores
//	./sigmaz help train                             every flag
//
// Exit codes of all commands: 0 done, 1 failed, 2 wrong usage, 130 stopped before anything was done.
package main

import (
	"sigmaz/cmd/internal/commands"
	"sigmaz/cmd/internal/versioncmd"
)

// Set by the linker, where Go's own record of them is not there: go build -ldflags "-X main.commit=$(git rev-parse
// HEAD)".
var version, commit string

func main() { commands.Main(versioncmd.Build{Version: version, Commit: commit}) }
