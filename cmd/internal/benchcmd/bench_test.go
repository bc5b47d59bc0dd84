package benchcmd

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"sigmaz/cmd/internal/cli"
	"sigmaz/cmd/internal/cli/clitest"
	"sigmaz/kernels"
	"sigmaz/train/dataset"
)

// dry is a bench on the CPU that runs everything once and small.
func dry(backend kernels.Backend, out io.Writer) *bench {
	return &bench{options: &options{}, backend: &counting{Backend: backend}, out: out, watch: stopwatch{dry: true}}
}

func TestEverythingRuns(t *testing.T) {
	var out bytes.Buffer
	b := dry(kernels.NewCPU(0), &out)
	if err := b.checkAll(); err != nil {
		t.Fatal(err)
	}
	if err := b.measureAll(); err != nil {
		t.Fatal(err)
	}
	tables := map[string]int{}
	for _, r := range b.report.Rows {
		tables[r.Table]++
		for _, v := range r.Values {
			if v.Median != 0 {
				t.Errorf("%s, %s: %g %s, and nothing was timed", r.Table, r.Name, v.Median, v.Unit)
			}
		}
	}
	if tables["training"] != 1 || tables["sampling"] != 1 || tables["memory"] != 3 || tables["convolution"] < 5 ||
		tables["kernels of a training step"] < 15 || tables["distances of all pairs"] != 1 {
		t.Errorf("rows: %v", tables)
	}
	if b.report.Checked < 20 || !(b.report.Worst < 1e-4) {
		t.Errorf("%d results checked, worst error %g", b.report.Checked, b.report.Worst)
	}
}

// Of the data as many rows are compared as were asked for, all where it has fewer.
func TestRows(t *testing.T) {
	for asked, want := range map[int]string{0: "300 rows of 2", 500: "500 rows of 2", 70_000: "50000 rows of 2"} {
		b := dry(kernels.NewCPU(0), io.Discard)
		b.mostRows = asked
		var err error
		if b.set, err = dataset.Open("toy:moons", 1); err != nil {
			t.Fatal(err)
		}
		table, err := b.measureDistances()
		if err != nil {
			t.Fatal(err)
		}
		if name := table.rows[0].Name; !strings.HasSuffix(name, want) {
			t.Errorf("-rows %d: %q, expected %s", asked, name, want)
		}
	}
}

// forgetful leaves out the last operation of every program.
type forgetful struct{ kernels.Backend }

func (f forgetful) Compile(a kernels.Arena, ops []kernels.Op) (kernels.Program, error) {
	return f.Backend.Compile(a, ops[:len(ops)-1])
}

func TestWrongResultsEndIt(t *testing.T) {
	b := dry(forgetful{kernels.NewCPU(0)}, io.Discard)
	if err := b.checkAll(); err == nil || !strings.Contains(err.Error(), "perturb, result 0") {
		t.Errorf("error %v, expected one of perturb", err)
	}
}

// small is a device with little memory.
type small struct{ kernels.Backend }

type fullError struct{}

func (fullError) Error() string              { return "out of device memory" }
func (fullError) Memory() (need, free int64) { return 2, 1 }

func (s small) Alloc(words int, programs ...[]kernels.Op) (kernels.Arena, error) {
	if words > 100_000 {
		return nil, fullError{}
	}
	return s.Backend.Alloc(words, programs...)
}

func TestNetworksThatDoNotFit(t *testing.T) {
	var out bytes.Buffer
	b := dry(small{kernels.NewCPU(0)}, &out)
	if err := b.measureAll(); !errors.Is(err, fullError{}) {
		t.Errorf("error %v, expected that nothing fits", err)
	}
}

func TestStopwatch(t *testing.T) {
	runs := 0
	s, err := stopwatch{reps: 3, target: 1}.time(func() error { runs++; return nil }, func() error { return nil })
	if err != nil || runs < 5 || !(s.fastest <= s.median && s.median <= s.slowest) {
		t.Errorf("%+v after %d runs, error %v", s, runs, err)
	}
	v := seconds{median: 0.5, fastest: 0.4, slowest: 1}.value("", "B/s", 2)
	if v.Median != 4 || v.Low != 2 || v.High != 5 {
		t.Errorf("%+v", v)
	}
}

func TestTable(t *testing.T) {
	rows := table{title: "training", rows: []Row{
		{Name: "ngf 128 32x32x3 b128", Memory: 3 << 30, Values: []Value{{Unit: "images/s", Median: 1234.4, Low: 1200, High: 1240}, {Unit: "FLOP/s", Median: 7.3e13, Low: 7.2e13, High: 7.4e13, OfPeak: 81.5}}},
		{Name: "ngf 8", Memory: 5 << 20, Values: []Value{{Unit: "images/s"}, {Unit: "FLOP/s", Median: 1e11, Low: 1e11, High: 1e11}}}}}
	want := `training               images/s     TFLOP/s    memory
ngf 128 32x32x3 b128  1234 ±3%    73.0 ±1% (82%)  3.00 GiB
ngf 8                        -  0.100 ±0%  5.00 MiB`
	got := strings.Join(rows.lines(), "\n")
	if squeeze(got) != squeeze(want) {
		t.Errorf("got\n%s\nexpected\n%s", got, want)
	}
	width := utf8.RuneCountInString(rows.lines()[0])
	for _, l := range rows.lines() {
		if n := utf8.RuneCountInString(l); n != width || n > 80 {
			t.Errorf("%d characters, the heading has %d: %s", n, width, l)
		}
	}
}

func TestTablesFit(t *testing.T) {
	v := Value{Name: "d weight", Unit: "FLOP/s", Median: 1.234e12, Low: 1.1e12, High: 1.3e12, OfPeak: 151}
	convs := table{title: "convolution", note: "b16", rows: []Row{{Name: "32x32 256-256 k3 d2, 14x", Values: []Value{v, v, v}},
		{Name: "32x32 1-64 k3, 1x", Values: []Value{v, v, v}}}}
	lines := convs.lines()
	for _, l := range lines {
		if n := utf8.RuneCountInString(l); n > 80 {
			t.Errorf("%d characters: %s", n, l)
		}
	}
	if want := "convolution b16, TFLOP/s d weight d weight d weight"; squeeze(lines[0]) != want {
		t.Errorf("heading %q, expected %q", squeeze(lines[0]), want)
	}
}

// Requests are answered in order, and a wrong one ends the command with what was expected.
func TestRequests(t *testing.T) {
	var out bytes.Buffer
	b := dry(kernels.NewCPU(1), &out)
	if err := b.requests(strings.NewReader("peak 0.001\n\ntrain 4 12 1 2 0.001\nscore 4 12 1 2 0.001\nscore 4 12 1 2 " +
		"0.001\ntrain digits 4 28 1 2 0.001\nscore digits 4 28 1 2 0.001\n")); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 6 {
		t.Fatalf("%d answers: %s", len(lines), out.String())
	}
	for _, l := range lines {
		var a answer
		if err := json.Unmarshal([]byte(l), &a); err != nil || !(a.Rate > 0) || a.Runs < 1 {
			t.Errorf("%s: %v", l, err)
		}
	}
	for _, line := range []string{"peak", "peak x", "peak -1", "train 4 12 1 2", "fly 4 12 1 2 1",
		"train 4 13 1 2 0.001", "train digit 4 28 1 2 0.001", "train digits 4 28 1 2", "score digits 4 27 1 2 0.001"} {
		if err := b.requests(strings.NewReader(line)); err == nil {
			t.Errorf("%q: no error", line)
		} else {
			t.Log(err)
		}
	}
}

func squeeze(s string) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		lines[i] = strings.Join(strings.Fields(l), " ")
	}
	return strings.Join(lines, "\n")
}

func TestUsage(t *testing.T) {
	for args, want := range map[string]string{
		"-device 1":   "-device 1 names a GPU",
		"-workers -1": "-workers is -1",
		"all":         `unexpected argument "all"`,
		"-jsn x":      "did you mean -json?",
		"-fast":       "unknown flag -fast",
	} {
		var stderr bytes.Buffer
		if code := New().Execute(t.Context(), strings.Fields(args), cli.Streams{Out: io.Discard, Err: &stderr}); code != 2 ||
			!strings.Contains(stderr.String(), want) {
			t.Errorf("%s: exit code %d, %q", args, code, stderr.String())
		}
	}
}

// Data that is not there is known before anything is measured.
func TestDataIsLookedForFirst(t *testing.T) {
	var stdout, stderr bytes.Buffer
	code := New().Execute(t.Context(), []string{"-data", "nowhere"}, cli.Streams{Out: &stdout, Err: &stderr})
	if code != 1 || strings.Contains(stdout.String(), "checked") ||
		!strings.Contains(stderr.String(), "nowhere: expected a file") {
		t.Errorf("exit code %d, %q, %q", code, stdout.String(), stderr.String())
	}
}

func TestHelp(t *testing.T) { clitest.Check(t, New) }

func TestJSON(t *testing.T) {
	file := filepath.Join(t.TempDir(), "bench.json")
	var stderr bytes.Buffer
	if code := New().Execute(t.Context(), []string{"-check", "-json", file}, cli.Streams{Out: io.Discard,
		Err: &stderr}); code != 0 {
		t.Fatal(stderr.String())
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var r Report
	if err := json.Unmarshal(text, &r); err != nil || r.Checked == 0 || !strings.HasPrefix(r.Device, "cpu") {
		t.Errorf("%s: %v", text, err)
	}
}
