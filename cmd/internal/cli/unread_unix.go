//go:build unix

// Whether output is read, by poll.

package cli

import "golang.org/x/sys/unix"

// unread says whether nobody reads standard output or standard error any more. SIGPIPE comes of connections that another has
// closed, too, and those are no reason to stop.
func unread() bool {
	fds := []unix.PollFd{{Fd: 1, Events: unix.POLLOUT}, {Fd: 2, Events: unix.POLLOUT}}
	if _, err := unix.Poll(fds, 0); err != nil {
		return true
	}
	return (fds[0].Revents|fds[1].Revents)&unix.POLLERR != 0
}
