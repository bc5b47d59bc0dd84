package train

import (
	"bytes"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// In a window of 40 columns the text leaves the 14 that percent, bar and spaces take at least.
func TestStatusFits(t *testing.T) {
	for _, s := range []status{
		{step: 1, steps: 300_001, loss: 1536.123, relative: 1.000123, unit: "D/2", imagesPerS: 12345.6, left: 27*time.Hour + 59*time.Minute},
		{step: 1, steps: 3000, loss: 38.91234, relative: 0.0992, unit: "D/2", imagesPerS: 0.123, left: 59*time.Minute + 59*time.Second},
	} {
		if text := s.text(40); utf8.RuneCountInString(text) > 26 {
			t.Errorf("%q has %d columns", text, len(text))
		}
		if text := s.text(80); utf8.RuneCountInString(text) > 66 {
			t.Errorf("%q has %d columns", text, len(text))
		}
	}
}

func TestPlainProgress(t *testing.T) {
	var b bytes.Buffer
	p := newProgress(&b, 10)
	s := status{step: 3, steps: 10, loss: 38.9, relative: 0.099, unit: "D/2", imagesPerS: 390, left: 130 * time.Second}
	p.show(s) // not long enough since the start
	p.log(s)
	p.busy("preview ...")
	p.line("a line")
	p.last = time.Now().Add(-quietTime)
	p.show(s)
	p.close()
	want := "step 3/10  loss 38.9 (0.099 of D/2)  390 images/s  2m10s left\n"
	if got := b.String(); got != want+"a line\n"+want {
		t.Errorf("printed %q", got)
	}
	if strings.Contains(b.String(), "\r") {
		t.Error("a plain line holds a carriage return")
	}
}

func TestShortTime(t *testing.T) {
	for d, want := range map[time.Duration]string{8 * time.Second: "8s", 130 * time.Second: "2m10s", 11100 * time.Second: "3h05m", 26 * time.Hour: "1d02h", 0: "0s"} {
		if got := shortTime(d); got != want {
			t.Errorf("%v is %s, expected %s", d, got, want)
		}
	}
}
