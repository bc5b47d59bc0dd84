// Package clitest checks the command line of a command: that its help text is complete and fits the terminal, and that
// its examples are right.
package clitest
