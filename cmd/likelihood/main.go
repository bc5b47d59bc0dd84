// Command likelihood is one command of sigmaz as a program of its own, for go run ./cmd/likelihood; package likelihoodcmd
// says what it does.
package main

import "sigmaz/cmd/internal/commands"

func main() { commands.Program("likelihood") }
