// Command eval is one command of sigmaz as a program of its own, for go run ./cmd/eval; package evalcmd says what it does.
package main

import "sigmaz/cmd/internal/commands"

func main() { commands.Program("eval") }
