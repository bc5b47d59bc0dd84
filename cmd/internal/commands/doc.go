// Package commands has the table of all commands, and runs them: as words of the program sigmaz, or each as a program
// of its own.
//
//	sigmaz train -data toy:moons       go run ./cmd/sigmaz train -data toy:moons
//	train -data toy:moons              go run ./cmd/train -data toy:moons
//
// A new command is a package with a function New() *cli.Command and a row in the table here; its help text, the list
// that sigmaz prints, the spelling help and the completion scripts follow from these. Begin reading at commands.go.
package commands
