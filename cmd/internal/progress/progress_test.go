package progress

import (
	"bytes"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"sigmaz/train"
	"sigmaz/train/dataset"
)

// In a window of 40 columns the text leaves the 14 that percent, bar and spaces take at least.
func TestProgressFits(t *testing.T) {
	for _, p := range []train.Progress{
		{Step: 1, Steps: 300_001, Loss: 1536.123, Relative: 1.000123, Unit: "D/2", Rows: "images", ImagesPerS: 12345.6, Left: 27*time.Hour + 59*time.Minute},
		{Step: 1, Steps: 3000, Loss: 38.91234, Relative: 0.0992, Unit: "D/2", Rows: "images", ImagesPerS: 0.123, Left: 59*time.Minute + 59*time.Second},
	} {
		if text := progressText(p, 40); utf8.RuneCountInString(text) > 26 {
			t.Errorf("%q has %d columns", text, len(text))
		}
		if text := progressText(p, 80); utf8.RuneCountInString(text) > 66 {
			t.Errorf("%q has %d columns", text, len(text))
		}
	}
}

// quietFor lets as much time go by as a display without a terminal stays silent.
func quietFor(d *Display) { d.next = time.Now() }

// Without a terminal everything is a line, and what changes all the time is one now and then.
func TestPlainTraining(t *testing.T) {
	var b bytes.Buffer
	d := New(&b)
	p := train.Progress{Step: 3, Steps: 10, Loss: 38.9, Relative: 0.099, Unit: "D/2", Rows: "images", ImagesPerS: 390,
		Left: 130 * time.Second}
	d.Event(train.Training{Steps: 10})
	d.Event(p) // not long enough since the start
	d.Event(train.Logged{Progress: p})
	d.Event(train.Evaluating{Step: 3})
	d.Event(train.HeldOut{Step: 3, Loss: 12345.6, Relative: 0.5, Unit: "D/2"})
	d.Event(train.Drawing{Step: 3})
	d.Event(train.Picture{Step: 3, Path: "runs/x/samples/step-0000003.png"})
	d.Event(train.Saved{Step: 3, Path: "x"})
	quietFor(d)
	d.Event(p)
	d.Event(p) // not long enough since the last line
	d.Close()
	line := "step 3/10  loss 38.9 (0.099 of D/2)  390 images/s  2m10s left\n"
	want := line + "step 3  held-out loss 12346 (0.500 of D/2)\nstep 3  runs/x/samples/step-0000003.png\n" + line
	if got := b.String(); got != want {
		t.Errorf("printed\n%q\nexpected\n%q", got, want)
	}
}

func TestPlacementText(t *testing.T) {
	var b bytes.Buffer
	d := New(&b)
	d.Event(train.DataOnHost{Placement: train.Placement{Host: true, Data: 3 << 30, Free: -5, Step: 1536, Window: 1 << 20}})
	d.Close()
	want := "data     stays on the host: 3.00 GiB, and the device has 0.0 KiB free for it; 1.5 KiB a step are copied " +
		"ahead, through 1.0 MiB there\n"
	if got := b.String(); got != want {
		t.Errorf("printed\n%q\nexpected\n%q", got, want)
	}
	text := PlacementText(train.Placement{Data: 2048, Free: 4096})
	if text != "on the device: 2.0 KiB of the 4.0 KiB that are free for it" {
		t.Error(text)
	}
}

func TestPlainData(t *testing.T) {
	var b bytes.Buffer
	d := New(&b)
	d.Event(train.Opening{})
	d.Event(train.Reading{Done: 9}) // not long enough
	quietFor(d)
	d.Event(train.Reading{Done: 9})
	quietFor(d)
	d.Event(train.Reading{Done: 30, Total: 60, Left: 3 * time.Second})
	d.Event(train.DataNote{Text: "cache    none; `cache` DIR names one"})
	d.Event(train.Opened{Name: "x.zip: 60 images", Mapped: true})
	d.Event(train.Comparing{N: 60})
	d.Event(train.Compared{Done: 1, Total: 1770, Left: time.Second}) // not long enough
	d.pairs = time.Now().Add(-2 * pairsTime)
	d.Event(train.Compared{Done: 177, Total: 1770, Left: time.Minute})
	d.Event(train.PairDistances{Distances: dataset.Distances{Max: 14.9, Min: 0.25, Duplicates: 2}, End: 0.0125, Touch: 0.0125})
	d.Event(train.PairDistances{Distances: dataset.Distances{Max: 14.9, Min: 0.25, Duplicates: 2}, End: 0.004, Touch: 0.001})
	d.Event(train.Diameter{Max: 7.5, N: 60})
	d.Event(train.Warning{Text: "take `net` mlp"})
	d.Event(train.StartedFrom{Path: "a.pth", Kind: "PyTorch checkpoint", Step: 7, Stepped: true,
		Average: train.AverageFromAverage})
	d.Event(train.StartedFrom{Path: "b.pth", Kind: "state_dict", Average: train.AverageFromWeights})
	d.Event(train.StartedFrom{Path: "c", Kind: "checkpoint", Step: 8, Stepped: true, GoesOn: true})
	d.Event(train.SetAside{Checkpoints: 3, Ext: ".aside"})
	d.Event(train.Picture{Step: 3, Path: "a\x1b]0;title\a\nb.png"})
	want := `looking  at file 9
reading  50 % of 60, 3s left
cache    none; -cache DIR names one
data     x.zip: 60 images, mapped from the cache
sigma    distances between all pairs of 60 ...
         10 % of the pairs, 1m00s left
         sigma-begin data = 14.9: d_max, the largest distance between two of them
         sigma-end data = 0.0125: d_min/(2 sqrt D), where noise about the two nearest (d_min = 0.25, over distinct ones; 2 duplicates) just touches
         sigma-end data-literal = 0.25: d_min itself, a distance used as a deviation per value
         sigma-begin data = 14.9: d_max, the largest distance between two of them
         sigma-end data = 0.004: d_min/(2 sqrt D), where noise about the two nearest (d_min = 0.25, over distinct ones; 2 duplicates) just touches; that is 0.001, kept within 0.004 and 0.03 of the images' range
         sigma-end data-literal = 0.25: d_min itself, a distance used as a deviation per value
sigma    sigma-begin data = 7.5: d_max, the largest distance between two of 60
warning  take -net mlp
init     weights of a.pth (PyTorch checkpoint, step 7); the moving average from its own
init     weights of b.pth (state_dict); the moving average starts at the weights
continue c (checkpoint, step 8) with Adam's moments
aside    later checkpoints (3) and a copy of the metrics now end in .aside
step 3  a\x1b]0;title\a\nb.png
`
	if got := b.String(); got != want {
		t.Errorf("printed\n%s\nexpected\n%s", got, want)
	}
}

func TestPlainSampling(t *testing.T) {
	var b bytes.Buffer
	d := New(&b)
	d.StartSampling(100)
	d.Sampled(1) // not long enough
	quietFor(d)
	d.Sampled(0)
	d.start = time.Now().Add(-30 * time.Second)
	d.Sampled(25)
	d.Sampled(26)
	d.Close()
	if got := b.String(); got != "step 25/100  1m30s left\n" {
		t.Errorf("printed %q", got)
	}
}

// On a terminal the text is written over, padded to what stood there, and taken away before a line that stays.
func TestTextOnTerminal(t *testing.T) {
	var b bytes.Buffer
	d := &Display{out: &b, redraws: true}
	d.Event(train.Opening{})
	d.Event(train.Reading{Done: 9}) // done before anybody waits
	quietFor(d)
	d.Event(train.Reading{Done: 1234})
	quietFor(d)
	d.Event(train.Reading{Done: 9})
	d.Event(train.Opened{Name: "data"})
	d.Close()
	want := "\rlooking  at file 1234" + "\rlooking  at file 9   " + "\r                  \rdata     data\n"
	if got := b.String(); got != want {
		t.Errorf("printed %q, expected %q", got, want)
	}
}

// A line that stays is printed where the bar was, and the bar comes again below it.
func TestBarOnTerminal(t *testing.T) {
	var b bytes.Buffer
	d := &Display{out: &b, redraws: true}
	d.Event(train.Training{Steps: 10})
	if b.Len() > 0 {
		t.Errorf("before the first step it shows %q", &b)
	}
	p := train.Progress{Step: 5, Steps: 10, Loss: 1.5, Relative: 0.5, Unit: "D/2", Rows: "images", ImagesPerS: 10, Left: time.Second}
	d.Event(p)
	d.Event(train.Logged{Progress: p})
	d.Event(train.Picture{Step: 5, Path: "p.png"})
	d.Event(train.Evaluating{Step: 5})
	d.Close()
	text := b.String()
	if strings.Count(text, "\n") != 1 || !strings.Contains(text, "\rstep 5  p.png\n") ||
		!strings.Contains(text, "loss 1.5 (0.500 of D/2)") {
		t.Errorf("shown %q", text)
	}
	if !strings.HasSuffix(text, "\r") ||
		strings.TrimSpace(text[strings.LastIndex(strings.TrimRight(text, "\r"), "\r"):]) != "" {
		t.Errorf("the bar stays in %q", text)
	}
}

func TestDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{8 * time.Second: "8s", 130 * time.Second: "2m10s",
		11100 * time.Second: "3h05m", 26 * time.Hour: "1d02h", 0: "0s"} {
		if got := Duration(d); got != want {
			t.Errorf("%v is %s, expected %s", d, got, want)
		}
	}
}
