// Command sigmas is one command of sigmaz as a program of its own, for go run ./cmd/sigmas; package sigmascmd says
// what it does.
package main

import "sigmaz/cmd/internal/commands"

func main() { commands.Program("sigmas") }
