//go:build !cgo || nocuda

package cuda

import (
	"errors"
	"testing"
)

func TestNotBuilt(t *testing.T) {
	if err := Available(); !errors.Is(err, ErrNotBuilt) {
		t.Errorf("Available: %v", err)
	}
	if n, err := Count(); n != 0 || !errors.Is(err, ErrNotBuilt) {
		t.Errorf("Count: %d, %v", n, err)
	}
	if d, err := Open(0); d != nil || !errors.Is(err, ErrNotBuilt) {
		t.Errorf("Open: %v, %v", d, err)
	}
	_ = NewArgs().Ptr(1).I32(2).U32(3).U64(4).F32(5)
}
