package setting

import (
	"errors"
	"fmt"
	"testing"
)

func TestError(t *testing.T) {
	err := fmt.Errorf("a.csv: %w", Errorf("size", "is %q: expected sides of 1 to %d pixels", "0", 9))
	var bad *Error
	if !errors.As(err, &bad) || bad.Key != "size" || bad.Error() != `size is "0": expected sides of 1 to 9 pixels` {
		t.Errorf("got %+v", bad)
	}
}
