package traincmd

import (
	"math"
	"strings"
	"testing"
)

// A gradient of 1 GB over 1 GB/s: two GPUs send half of it twice, which takes a second, as long as the step does.
func TestEfficiencies(t *testing.T) {
	for _, test := range []struct {
		gpus                     int
		latency                  float64
		exchange, fixed, growing float64
	}{
		{1, 1, 0, 1, 1}, {2, 0, 1, 1.0 / 3, 0.5}, {4, 0, 1.5, 1.0 / 7, 0.4}, {2, 0.5, 2, 0.2, 1.0 / 3},
	} {
		x := exchangeTime(test.gpus, 1e9, 1e9, test.latency)
		fixed, growing := efficiencies(test.gpus, 1, x)
		for i, pair := range [][2]float64{{x, test.exchange}, {fixed, test.fixed}, {growing, test.growing}} {
			if math.Abs(pair[0]-pair[1]) > 1e-12 {
				t.Errorf("%+v: number %d is %v", test, i, pair[0])
			}
		}
	}
}

func TestDryRunOfGPUs(t *testing.T) {
	code, stdout, stderr := command(t, "-preset", "cifar10", "-batch", "96", "-dry-run", "-gpus", "64")
	if code != 0 {
		t.Fatalf("code %d, stderr %q", code, stderr)
	}
	for _, want := range []string{"expected, not measured: a gradient of 113.3 MiB", "at the peak of an H200 in tf32",
		"\n               1           96     100 / 100     100 / 100     100 / 100\n", "\n              32            3 ", "\n              64            -        - / 96 "} {
		if !strings.Contains(stdout, want) {
			t.Errorf("does not say %q:\n%s", want, stdout)
		}
	}
}
