//go:build !unix

package cli

// unread says whether nobody reads the output any more, of which the signal is the one sign there is.
func unread() bool { return true }
