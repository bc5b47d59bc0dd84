//go:build !linux

// Where there is no ptrace of this kind.

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "killtest: expected Linux, whose ptrace it uses")
	os.Exit(1)
}
