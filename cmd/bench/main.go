// Command bench is one command of sigmaz as a program of its own, for go run ./cmd/bench; package benchcmd says what
// it does.
package main

import "sigmaz/cmd/internal/commands"

func main() { commands.Program("bench") }
