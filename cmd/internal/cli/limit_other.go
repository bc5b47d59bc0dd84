//go:build !linux

// Where limits of a process are not looked for.

package cli

func (c *Command) runLimited() (code int, ran bool) { return 0, false }
