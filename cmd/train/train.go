// Command train is one command of sigmaz as a program of its own, for go run ./cmd/train; package traincmd says what it does.
package main

import "sigmaz/cmd/internal/traincmd"

func main() { traincmd.Main() }
