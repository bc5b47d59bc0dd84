package traincmd

import (
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"
)

// A listener that a child is handed is the one that its parent has, and nothing else is taken for one.
func TestHandOver(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f, err := handOver(l)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n, err := syscall.Dup(int(f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(listenerVariable, fmt.Sprint(n))
	taken, err := handedOver()
	if err != nil || taken.Addr().String() != l.Addr().String() {
		t.Fatalf("%v, %v", taken, err)
	}
	taken.Close()
	for _, text := range []string{"1", "x", "999"} {
		t.Setenv(listenerVariable, text)
		if _, err := handedOver(); err == nil || !strings.Contains(err.Error(), listenerVariable) {
			t.Errorf("%q: %v", text, err)
		}
	}
	t.Setenv(listenerVariable, "")
	if l, err := handedOver(); l != nil || err != nil {
		t.Errorf("without one: %v, %v", l, err)
	}
}
