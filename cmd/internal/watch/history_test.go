// What a page shows of a run.

package watch

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigmaz/train"
)

// However long a run is, a page stays small, and what it shows are means over all lines.
func TestHistoryIsBounded(t *testing.T) {
	h := newHistory()
	r := testRun(t, 4)
	h.begin(r)
	h.event(train.Training{Steps: 1e6})
	const lines = 10_000
	at := &cursor{}
	for i := range lines {
		h.event(train.Wrote{Line: fmt.Appendf(nil, `{"step":%d,"loss":%d,"loss_per_level":{"level":[%d],"count":[2],"loss":[%d]},`+
			`"images_per_s":8,"time":"2026-01-02T03:04:05Z"}`,
			i+1, i%7, i%4, i%3)})
		h.event(train.Wrote{Line: fmt.Appendf(nil, `{"step":%d,"held_out_loss":%d,"held_out_per_level":[1,2,3,4],`+
			`"time":"2026-01-02T03:04:05Z"}`, i+1, i)})
		if i == 500 {
			h.since(at)
		}
	}
	u, _ := h.since(at)
	if !u.Whole {
		t.Error("a reader is not told that points were brought together")
	}
	if n := len(u.Points); n > maxPoints || n < maxPoints/2 || len(u.HeldOut) > maxHeldOut {
		t.Errorf("%d points, %d held-out losses", n, len(u.HeldOut))
	}
	if last := u.HeldOut[len(u.HeldOut)-1]; last.Step != lines {
		t.Errorf("the last held-out loss is of step %d", last.Step)
	}
	total, sum, images, levels := 0, 0.0, int64(0), 0.0
	for i, p := range u.Points {
		total += p.Lines
		sum += float64(p.Lines) * float64(p.Loss)
		for k, c := range p.count {
			images += c
			if c > 0 {
				levels += float64(c) * float64(p.Means[k])
			} else if !math.IsNaN(float64(p.Means[k])) {
				t.Fatalf("point %d has a mean of nothing", i)
			}
		}
		if i > 0 && p.Step <= u.Points[i-1].Step {
			t.Fatal("the steps do not rise")
		}
	}
	want, wantLevels := 0.0, 0.0
	for i := range lines {
		want += float64(i % 7)
		wantLevels += 2 * float64(i%3)
	}
	if total != lines || math.Abs(sum-want) > 1e-6*want || images != 2*lines || math.Abs(levels-wantLevels) > 1e-4*wantLevels {
		t.Errorf("%d lines with the sum %v, expected %v; %d images with %v, expected %v", total, sum, want, images, levels, wantLevels)
	}
	if p := u.Points[len(u.Points)-1]; p.Step != lines {
		t.Errorf("the last point is of step %d", p.Step)
	}
	b, err := json.Marshal(u)
	if err != nil || len(b) > 1<<20 {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}

// A line of a ladder that is not the run's takes no memory.
func TestStrangeLevels(t *testing.T) {
	h := newHistory()
	h.begin(testRun(t, 4))
	for _, line := range []string{
		`{"step":1,"loss":1,"loss_per_level":{"level":[0,1000000000],"count":[1,1],"loss":[1,1]}}`,
		`{"step":2,"loss":1,"loss_per_level":{"level":[-5],"count":[1],"loss":[1]}}`,
		`{"step":3,"loss":1,"loss_per_bin":{"ln_sigma":[-1e300,1e300],"count":[1,1],"loss":[1,1]}}`,
		`{"step":4,"loss":1,"loss_per_level":{"level":[0],"count":[],"loss":[]}}`, `{"step":5}`, `nonsense`, ``,
	} {
		h.event(train.Wrote{Line: []byte(line)})
	}
	u, _ := h.since(&cursor{})
	if len(u.Points) != 3 || len(u.Points[0].Means)+len(u.Points[1].Means) != 0 || len(u.Points[2].Means) != 2*mostBins+1 {
		t.Errorf("points %+v", u.Points)
	}
}

// A run that is gone on with shows what its folder holds, up to the step where it goes on.
func TestEarlier(t *testing.T) {
	r := testRun(t, 4)
	text := ""
	for step := 10; step <= 30; step += 10 {
		text += fmt.Sprintf(`{"step":%d,"loss":2,"loss_per_level":{"level":[1],"count":[1],"loss":[3]},"images_per_s":8,`+
			`"time":"2026-01-02T03:04:05Z"}`+"\n", step)
	}
	if err := os.WriteFile(filepath.Join(r.Folder, "metrics.jsonl"), []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	drew(t, r, 10, 3, 3)
	drew(t, r, 30, 3, 3)
	h := newHistory()
	h.begin(r)
	h.event(train.Training{Step: 20, Steps: 40})
	u, _ := h.since(&cursor{})
	if len(u.Points) != 2 || u.Points[1].Step != 20 || len(u.Pictures) != 1 || u.Pictures[0].Step != 10 || u.Now.Step != 20 {
		t.Errorf("it shows %+v", u)
	}
}

// The report is one file that names no other: the run is inside, and text of the run stays text.
func TestReport(t *testing.T) {
	r := testRun(t, 5)
	w, err := Start(Options{Report: true}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	to := w.Events(func(train.Event) {})
	w.Begin(r)
	to(train.Training{Steps: 100})
	for step := range uint64(20) {
		trained(to, r, step+1, 100)
		to(drew(t, r, step+1, 30, 20))
	}
	to(train.Warning{Text: "<!-- <script> --> {{data}}"})
	path, err := w.End("done")
	if err != nil || path != filepath.Join(r.Folder, "report.html") {
		t.Fatalf("%s: %v", path, err)
	}
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(page, []byte("<script")); n != 3 ||
		len(regexp.MustCompile(`\{\{[a-z.]+\}\}`).FindAll(page, -1)) != 1 { // that of the note
		t.Errorf("the page has %d scripts, or places that were not filled", n)
	}
	for _, m := range regexp.MustCompile(`(?:src|href)="([^"]*)"|url\(([^)]*)\)|@import`).FindAllStringSubmatch(string(page), -1) {
		if m[1] != "data:," {
			t.Errorf("the page names %q", m[0])
		}
	}
	if !bytes.Contains(page, []byte(`http-equiv="Content-Security-Policy" content="default-src 'none'`)) ||
		!bytes.Contains(page, []byte("The MIT License (MIT)")) {
		t.Error("the page lacks its policy, or uPlot's licence")
	}
	text := regexp.MustCompile(`(?s)<script type="application/json" id="data">(.*?)</script>`).FindSubmatch(page)
	var u update
	if err := json.Unmarshal(text[1], &u); err != nil {
		t.Fatal(err)
	}
	if !u.Whole || !u.Now.Over || u.Now.Phase != "done" || len(u.Points) != 20 || u.About.Lines[0] != r.About[0] ||
		!slices.Equal(u.Notes, []string{"<!-- <script> --> {{data}}"}) {
		t.Errorf("the page holds %+v", u)
	}
	if len(u.Pictures) != reportPictures || u.Pictures[0].Step != 1 || u.Pictures[reportPictures-1].Step != 20 ||
		!strings.HasPrefix(u.Pictures[0].URL, "data:image/png;base64,") {
		t.Errorf("the page has %d pictures", len(u.Pictures))
	}
	left, _ := filepath.Glob(filepath.Join(r.Folder, ".*"))
	if len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}

	// Where the folder cannot be written, that is an error of its own.
	os.RemoveAll(r.Folder)
	if _, err := writeReport(w.history); err == nil || !strings.Contains(err.Error(), "cannot write the report: ") {
		t.Errorf("without a folder: %v", err)
	}
}

// Before a run has begun there is nothing to report.
func TestNoReport(t *testing.T) {
	r := testRun(t, 5)
	w, err := Start(Options{Report: true}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	w.Begin(r)
	if path, err := w.End("failed"); path != "" || err != nil {
		t.Errorf("%s: %v", path, err)
	}
}

func TestNumber(t *testing.T) {
	b, err := json.Marshal(numbers{1.234567, 0, float32(math.NaN()), float32(math.Inf(1)), 1e30, 123456, 1e-20, -0.5})
	if want := "[1.235,0,null,null,1e+30,123500,1e-20,-0.5]"; err != nil || string(b) != want {
		t.Errorf("%s: %v, expected %s", b, err, want)
	}
}
