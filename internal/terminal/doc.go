// Package terminal finds out what the output of a command is shown on: how wide it is, and whether a line can be
// redrawn.
package terminal
