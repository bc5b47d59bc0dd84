package mapped

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestGuard(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	if err := os.WriteFile(path, make([]byte, 100_000), 0o666); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, isMapped, err := File(f, 100_000, "the name")
	if err != nil || len(b) != 100_000 || isMapped != Mapping {
		t.Fatalf("%d bytes, mapped %v, error %v", len(b), isMapped, err)
	}
	sum := func(b []byte) (n int, err error) {
		defer Guard(&err)()
		for _, v := range b {
			n += int(v)
		}
		return n, nil
	}
	if _, err := sum(b); err != nil {
		t.Errorf("a whole file: %v", err)
	}
	var fault *Error
	if Mapping {
		if err := os.Truncate(path, 10); err != nil {
			t.Fatal(err)
		}
		if _, err := sum(b); !errors.As(err, &fault) || fault.Path != "the name" || !strings.Contains(err.Error(), "cut it short") {
			t.Errorf("a file that was cut short: %v", err)
		}
		if n, err := sum(b[:4096]); n != 0 || err != nil {
			t.Errorf("the page that is left: %d, %v", n, err)
		}
	}

	passed := func() (err error) {
		defer Guard(&err)()
		panic(&Error{"other"})
	}
	if err := passed(); !errors.As(err, &fault) || fault.Path != "other" {
		t.Errorf("an error of another goroutine: %v", err)
	}
	for name, wrong := range map[string]func(){
		"text":    func() { panic("text") },
		"index":   func() { _ = b[len(b):][0] },
		"address": func() { var p *[1 << 20]int; p[1<<19]++ }, // not mapped from anything
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: the panic is gone", name)
				}
			}()
			var err error
			defer Guard(&err)()
			wrong()
		}()
	}
}
