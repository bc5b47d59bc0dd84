// The page in Chromium: what it shows, that it follows a run and survives a reload, in a window of 400 pixels, light and
// dark, and that it asks nobody else for anything.

package watch

import (
	"bytes"
	"fmt"
	"image/color"
	"image/png"
	"io"
	"strings"
	"testing"
	"time"

	"sigmaz/cmd/internal/httpd"
	"sigmaz/model"
	"sigmaz/train"
)

// expressions about the page.
const (
	chartsDrawn = `document.querySelectorAll('.chart canvas').length === 4 && ` +
		`[...document.querySelectorAll('.chart canvas')].every(` + inked + `)`
	heatDrawn = `(` + inked + `)(document.getElementById('heat'))`
	// inked tells whether something is drawn on a canvas.
	inked = `c => c.width > 0 && new Set(new Uint32Array(c.getContext('2d').getImageData(0, 0, c.width, c.height).data.buffer)).size > 2`
	// tooWide lists what sticks out of the window.
	tooWide = `[...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1 && ` +
		`!e.closest('.scroll')).map(e => e.tagName + '#' + e.id).slice(0, 5).join(' ') + ` +
		`(document.documentElement.scrollWidth > innerWidth ? ' scrolls' : '')`
	shown = `document.getElementById('shot').complete && document.getElementById('shot').naturalWidth`
)

func text(b *browser, id string) string {
	b.t.Helper()
	return eval[string](b, `document.getElementById('`+id+`').textContent`)
}

// background returns the colour of a corner of a screenshot.
func background(t *testing.T, b []byte) color.Color {
	t.Helper()
	m, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return color.RGBAModel.Convert(m.At(1, 1))
}

func TestExtrasPage(t *testing.T) {
	w, to, url := watched(t)
	r := testRun(t, 5)
	b := open(t, 1280, 900, url)
	b.until(`document.getElementById('phase').textContent === 'starting'`) // a page of a run that reads its data
	w.Begin(r)
	to(train.Training{Steps: 100})
	for step := uint64(10); step <= 50; step += 10 {
		trained(to, r, step, 100)
	}
	evaluated(to, r, 40)
	to(drew(t, r, 20, 40, 30))
	to(drew(t, r, 40, 40, 30))

	b.until(chartsDrawn)
	b.until(heatDrawn)
	b.until(shown + ` === 40`)
	for id, want := range map[string]string{"name": "run<1>", "phase": "training", "steps": "step 50/100", "n-loss": "38.9 (0.099 of D/2)",
		"n-held": "2.5 (0.250 of D/2)", "n-rate": "390 images/s", "n-left": "2m10s", "which-step": "40", "heat-top": "level 0",
		"heat-bottom": "level 4"} {
		b.until(`document.getElementById('` + id + `').textContent === ` + "`" + want + "`")
	}
	if title := eval[string](b, `document.title`); title != "50 % run<1>" {
		t.Errorf("the title is %q", title)
	}

	// It follows the run, without a reload, and nothing jumps.
	const places = `JSON.stringify([...document.querySelectorAll('h1, h2, dt, .chart, canvas, summary')].map(e => {
		const r = e.getBoundingClientRect();
		return [r.x, r.y, r.width, r.height].map(Math.round);
	}))`
	b.until(`document.querySelectorAll('.u-value').length > 0`)
	time.Sleep(300 * time.Millisecond)
	before := eval[string](b, places)
	trained(to, r, 60, 100)
	evaluated(to, r, 60)
	to(drew(t, r, 60, 40, 30))
	b.until(`document.getElementById('steps').textContent === 'step 60/100' && document.getElementById('which-step').textContent === '60'`)
	b.until(shown)
	if after := eval[string](b, places); after != before {
		t.Errorf("the page jumps from\n%s\nto\n%s", before, after)
	}
	if n := eval[int](b, `document.getElementById('rows').children.length`); n != 6 {
		t.Errorf("the table has %d rows, expected 6", n)
	}

	// By keyboard: the cursor of a chart, a cell of the heat map, an older preview, the scale.
	press := func(id, name string) {
		t.Helper()
		eval[any](b, `{ const e = document.getElementById('`+id+`'); e.focus();
			e.dispatchEvent(new KeyboardEvent('keydown', { key: '`+name+`', bubbles: true, cancelable: true })); }`)
		if eval[string](b, `document.activeElement.id`) != id {
			t.Errorf("#%s cannot have the focus", id)
		}
	}
	press("loss", "ArrowRight")
	b.until(`document.querySelector('#loss .u-value').textContent === '10'`)
	press("heat", "ArrowRight")
	press("heat", "ArrowUp")
	if got := text(b, "heat-text"); got != "step 20, level 0, sigma 10: loss 1.24" {
		t.Errorf("the heat map says %q", got)
	}
	eval[any](b, `{ const e = document.getElementById('which'); e.value = 0; e.dispatchEvent(new Event('input')); }`)
	if got := text(b, "which-step"); got != "20" {
		t.Errorf("the preview is of step %s", got)
	}
	to(drew(t, r, 70, 40, 30))
	trained(to, r, 70, 100)
	b.until(`document.getElementById('steps').textContent === 'step 70/100'`)
	if got := text(b, "which-step"); got != "20" {
		t.Errorf("a new preview took the place of the one that somebody looks at: step %s", got)
	}
	eval[any](b, `document.getElementById('log').click()`)
	b.until(`document.getElementById('log').getAttribute('aria-pressed') === 'true'`)
	b.until(chartsDrawn)

	// A reload shows all of it again.
	b.call("Page.reload", nil, nil)
	b.until(`document.getElementById('steps') && document.getElementById('steps').textContent === 'step 70/100'`)
	b.until(chartsDrawn)
	b.until(heatDrawn)
	if n := eval[int](b, `document.getElementById('rows').children.length`); n != 7 {
		t.Errorf("after a reload the table has %d rows, expected 7", n)
	}

	// Light and dark, wide and narrow.
	eval[any](b, `document.querySelectorAll('details').forEach(e => { e.open = true; })`)
	for _, size := range [][2]int{{1280, 900}, {400, 800}} {
		b.size(size[0], size[1])
		for scheme, want := range map[string]color.Color{"light": color.RGBA{255, 255, 255, 255}, "dark": color.RGBA{0x12, 0x16, 0x1c, 255}} {
			b.scheme(scheme)
			time.Sleep(300 * time.Millisecond)
			b.until(chartsDrawn)
			if got := background(t, b.picture("test-"+scheme, false)); got != want {
				t.Errorf("%s: the ground is %v", scheme, got)
			}
			if got := eval[string](b, tooWide); got != "" {
				t.Errorf("%d pixels, %s: too wide: %s", size[0], scheme, got)
			}
		}
	}

	// The end of the run, and of the server: the page keeps what it has.
	if _, err := w.End("done"); err != nil {
		t.Fatal(err)
	}
	b.until(`document.getElementById('phase').textContent === 'done'`)
	time.Sleep(300 * time.Millisecond)
	if got := text(b, "phase"); got != "done" {
		t.Errorf("after the end it says %q", got)
	}
	for _, u := range b.asked() {
		if !strings.HasPrefix(u, url) {
			t.Errorf("the page asks for %s", u)
		}
	}
	if c := b.complained(); len(c) > 0 {
		t.Errorf("the browser complains: %q", c)
	}
}

// A training that was killed is waited for, and one that goes on at the same address is followed.
func TestExtrasPageReconnects(t *testing.T) {
	w, to, url := watched(t)
	r := testRun(t, 5)
	w.Begin(r)
	to(train.Training{Steps: 100})
	trained(to, r, 10, 100)
	b := open(t, 1280, 900, url)
	b.until(`document.getElementById('steps').textContent === 'step 10/100'`)
	address := httpd.Address(strings.TrimSuffix(strings.TrimPrefix(url, "http://"), "/"))
	w.server.http.Close() // as if it were killed: no last update
	b.until(`document.getElementById('phase').textContent.startsWith('no connection to the training')`)
	w2, err := Start(Options{Listen: address}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	defer w2.Close()
	to = w2.Events(func(train.Event) {})
	w2.Begin(r)
	to(train.Training{Step: 5, Steps: 100})
	trained(to, r, 7, 100)
	b.until(`document.getElementById('steps').textContent === 'step 7/100'`)
	if n := eval[int](b, `document.getElementById('rows').children.length`); n != 1 {
		t.Errorf("the table has %d rows, expected that of the second process", n)
	}
}

// The report draws from a file, and asks for nothing.
func TestExtrasReport(t *testing.T) {
	for _, bins := range []bool{false, true} {
		r := testRun(t, 5)
		if bins {
			c := *r.Config
			c.Noise.Density = model.LogUniform
			r.Config = &c
		}
		w, err := Start(Options{Report: true}, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		to := w.Events(func(train.Event) {})
		w.Begin(r)
		to(train.Training{Steps: 30})
		for step := uint64(10); step <= 30; step += 10 {
			if bins {
				to(train.Wrote{Line: fmt.Appendf(nil, `{"step":%d,"loss":3,"loss_per_bin":{"ln_sigma":[-4.5,-4,2.5],`+
					`"count":[1,2,3],"loss":[4,5,6]},"images_per_s":9,"time":"2026-01-02T03:04:05Z"}`, step)})
			} else {
				trained(to, r, step, 30)
			}
			to(drew(t, r, step, 40, 30))
		}
		path, err := w.End("done")
		if err != nil {
			t.Fatal(err)
		}
		file := "file://" + strings.ReplaceAll(path, "<", "%3C")
		b := open(t, 1280, 900, file)
		b.until(chartsDrawn)
		b.until(heatDrawn)
		b.until(shown + ` === 40`)
		if got := text(b, "phase") + ", " + text(b, "name"); got != "done, run<1>" {
			t.Errorf("it says %q", got)
		}
		if want := map[bool]string{false: "level 0", true: "ln σ 3"}[bins]; text(b, "heat-top") != want {
			t.Errorf("the heat map begins with %q, expected %q", text(b, "heat-top"), want)
		}
		eval[any](b, `{ const e = document.getElementById('which'); e.value = 0; e.dispatchEvent(new Event('input')); }`)
		if got := text(b, "which-step"); got != "10" {
			t.Errorf("the preview is of step %s", got)
		}
		if asked := b.asked(); len(asked) != 1 {
			t.Errorf("the report asks for %q", asked)
		}
		if c := b.complained(); len(c) > 0 {
			t.Errorf("the browser complains: %q", c)
		}
	}
}
