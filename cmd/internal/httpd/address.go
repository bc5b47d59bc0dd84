// Where something is served: who may ask for it, and what is wrong with an address.

package httpd

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

// Loopback is the address that stands where none is given: this machine alone reaches it.
const Loopback = "127.0.0.1"

// Address is the flag's value, HOST:PORT; "" serves nothing. A port alone is one on this machine's loopback.
type Address string

func (a *Address) String() string { return string(*a) }

// Set takes HOST:PORT, :PORT or PORT.
func (a *Address) Set(text string) error {
	expected := func(what string) error {
		return fmt.Errorf("is %q: %s; expected HOST:PORT or a port alone, such as 127.0.0.1:8787", text, what)
	}
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		host, port = "", text
		switch {
		case strings.Contains(text, "/"):
			return expected("this is no address and port")
		case strings.Count(text, ":") > 1:
			return expected("an IPv6 address stands in brackets before its port, [::1]:8787")
		case strings.ContainsFunc(text, func(r rune) bool { return r < '0' || r > '9' }):
			return expected("the port is missing")
		}
	}
	if n, err := strconv.ParseUint(port, 10, 64); err != nil || n > 65535 {
		if port == "" {
			return expected("the port is missing")
		}
		return expected("a port is a number from 0 to 65535")
	}
	if host == "" {
		host = Loopback
	}
	*a = Address(net.JoinHostPort(host, port))
	return nil
}

// Listen begins to listen, for a flag. The error is a sentence.
func (a Address) Listen(flag string) (net.Listener, error) {
	l, err := net.Listen("tcp", string(a))
	host, port, _ := net.SplitHostPort(string(a))
	var dns *net.DNSError
	switch {
	case err == nil:
		return l, nil
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s %s: another program listens there already: choose another port, or port 0 for one that is "+
			"free", flag, a)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("%s %s: this machine does not have the address %s: expected one of its own, such as %s:%s",
			flag, a, host, Loopback, port)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("%s %s: the system does not let this user listen at port %s: choose one from 1024 on, such as "+
			"8787", flag, a, port)
	case errors.As(err, &dns):
		return nil, fmt.Errorf("%s %s: no address is known for the name %s: expected an address of this machine, such as %s:%s",
			flag, a, host, Loopback, port)
	}
	return nil, fmt.Errorf("%s %s: cannot listen there: %w; choose another address, such as %s:8787", flag, a, err, Loopback)
}

// IsLoopback tells whether only this machine reaches a listener.
func IsLoopback(l net.Listener) bool {
	at, ok := l.Addr().(*net.TCPAddr)
	return ok && at.IP.IsLoopback()
}

// Hosts judges the header Host. A page of somebody else whose name was made to mean this machine must not read the run
// through the visitor's browser (DNS rebinding), so names are refused but those that mean this machine anyway.
type Hosts struct {
	names    []string
	loopback bool // addresses, too, are this machine's own alone
}

// HostsOf returns who may be asked for at a listener of an address.
func HostsOf(a Address, l net.Listener) Hosts {
	h := Hosts{names: []string{"localhost"}, loopback: IsLoopback(l)}
	if h.loopback {
		return h
	}
	if name, _, err := net.SplitHostPort(string(a)); err == nil {
		h.names = append(h.names, name)
	}
	if name, err := os.Hostname(); err == nil {
		h.names = append(h.names, name)
	}
	return h
}

// Allows judges a header. Its port may be another, since somebody may reach this machine through a tunnel.
func (h Hosts) Allows(header string) bool {
	name, _, err := net.SplitHostPort(header)
	if err != nil {
		name = header
	}
	name = strings.TrimSuffix(strings.TrimSuffix(strings.TrimPrefix(name, "["), "]"), ".")
	if ip, err := netip.ParseAddr(name); err == nil {
		return !h.loopback || ip.Unmap().IsLoopback()
	}
	for _, n := range h.names {
		if strings.EqualFold(name, n) {
			return true
		}
	}
	return false
}

// URLOf returns the URL of a listener, by an address that a browser takes.
func URLOf(l net.Listener) string {
	at, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		return "http://" + l.Addr().String() + "/"
	}
	host := at.IP.String()
	if at.IP.IsUnspecified() {
		host = Loopback
		if name, err := os.Hostname(); err == nil && runtime.GOOS != "windows" {
			host = name
		}
	}
	return "http://" + net.JoinHostPort(host, strconv.Itoa(at.Port)) + "/"
}
