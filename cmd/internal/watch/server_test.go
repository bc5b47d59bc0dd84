// The server: what it answers, to whom, and that nobody holds up a training.

package watch

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"sigmaz/cmd/internal/httpd"
	"sigmaz/model"
	"sigmaz/train"
)

// testRun is a run in a new folder.
func testRun(t *testing.T, levels int) Run {
	t.Helper()
	c := train.Presets[0].Config
	sigmas := make(model.Ladder, levels)
	for i := range sigmas {
		sigmas[i] = 10 / float32(i+1)
	}
	dir := filepath.Join(t.TempDir(), "run<1>")
	if err := os.MkdirAll(filepath.Join(dir, "samples"), 0o777); err != nil {
		t.Fatal(err)
	}
	return Run{Folder: dir, Config: &c, Sigmas: sigmas, About: [][2]string{{"data", "</script><script>alert(1)</script>"}}}
}

// trained tells a watcher of a step with a line.
func trained(to train.Events, r Run, step, steps uint64) {
	to(train.Progress{Step: step, Steps: steps, Loss: 38.91, Relative: 0.0992, Unit: "D/2", Rows: "images", ImagesPerS: 390,
		Left: 130 * time.Second})
	to(train.Wrote{Line: fmt.Appendf(nil, `{"step":%d,"loss":%g,"loss_relative":0.1,"loss_per_level":{"level":[0,%d],"count":[3,1],`+
		`"loss":[1.23456,%g]},"images_per_s":390,"time":"2026-01-02T03:04:05Z"}`, step, 100/float64(step), len(r.Sigmas)-1,
		float64(step))})
}

// evaluated tells a watcher of a held-out loss.
func evaluated(to train.Events, r Run, step uint64) {
	text := strings.Repeat("2.5,", len(r.Sigmas)-1) + "2.5"
	to(train.Wrote{Line: fmt.Appendf(nil, `{"step":%d,"held_out_loss":2.5,"held_out_per_level":[%s],"time":"2026-01-02T03:04:05Z"}`,
		step, text)})
	to(train.HeldOut{Step: step, Loss: 2.5, Relative: 0.25, Unit: "D/2"})
}

// drew draws a preview in the run's folder and returns the event.
func drew(t *testing.T, r Run, step uint64, width, height int) train.Picture {
	t.Helper()
	picture := image.NewGray(image.Rect(0, 0, width, height))
	for i := range picture.Pix {
		picture.Pix[i] = uint8(i * int(step))
	}
	var b bytes.Buffer
	if err := png.Encode(&b, picture); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(r.Folder, "samples", fmt.Sprintf("step-%07d.png", step))
	if err := os.WriteFile(path, b.Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
	return train.Picture{Step: step, Path: path}
}

// watched starts a page at a free port and returns its URL.
func watched(t *testing.T) (w *Watch, to train.Events, url string) {
	t.Helper()
	var out bytes.Buffer
	w, err := Start(Options{Listen: "127.0.0.1:0"}, &out)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	url, ok := strings.CutPrefix(strings.TrimSuffix(out.String(), "\n"), "page     ")
	if !ok {
		t.Fatalf("it says %q", &out)
	}
	return w, w.Events(func(train.Event) {}), url
}

// get asks for a URL.
func get(t *testing.T, url string) (*http.Response, string) {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r, string(b)
}

func TestServer(t *testing.T) {
	t.Parallel()
	w, to, url := watched(t)
	r := testRun(t, 5)
	w.Begin(r)
	to(train.Training{Steps: 100})
	trained(to, r, 10, 100)
	evaluated(to, r, 10)
	p := drew(t, r, 10, 30, 20)
	to(p)

	answer, page := get(t, url)
	h := answer.Header
	if answer.StatusCode != 200 || h.Get("Content-Type") != "text/html; charset=utf-8" || !strings.Contains(page, `<h1 id="name">`) {
		t.Errorf("the page: %s, %v", answer.Status, h)
	}
	if c := h.Get("Content-Security-Policy"); !strings.HasPrefix(c, "default-src 'none'; script-src 'sha256-") ||
		strings.Contains(c, "unsafe") || strings.Contains(c, "http") || !strings.Contains(c, "frame-ancestors 'none'") {
		t.Errorf("the policy is %q", c)
	}
	if h.Get("Access-Control-Allow-Origin") != "" || h.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("the headers are %v", h)
	}
	want, err := os.ReadFile(p.Path)
	if err != nil {
		t.Fatal(err)
	}
	if answer, got := get(t, url+"samples/step-0000010.png"); got != string(want) || answer.Header.Get("Content-Type") != "image/png" {
		t.Errorf("the preview: %s", answer.Status)
	}
	if err := os.WriteFile(filepath.Join(r.Folder, "config.yaml"), []byte("seed: 1"), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"samples/step-0000011.png", "samples/..%2fconfig.yaml", "samples/../config.yaml", "config.yaml", "x", "samples/"} {
		if answer, text := get(t, url+path); answer.StatusCode != 404 || strings.Contains(text, "seed") {
			t.Errorf("%s: %s", path, answer.Status)
		}
	}
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS", "PATCH"} {
		q, _ := http.NewRequest(method, url, strings.NewReader("x"))
		answer, err := http.DefaultClient.Do(q)
		if err != nil || answer.StatusCode != 405 {
			t.Errorf("%s: %v %v", method, answer.Status, err)
		}
	}
	for host, code := range map[string]int{"localhost": 200, "LOCALHOST:99": 200, "127.0.0.1": 200, "127.9.9.9:1": 200, "[::1]:80": 200,
		"evil.example": 403, "evil.example:8787": 403, "localhost.evil.example": 403, "192.168.1.2": 403, "": 400} {
		for _, path := range []string{"", "events", "metrics", "samples/step-0000010.png"} {
			q, _ := http.NewRequest("HEAD", url+path, nil)
			q.Host = host
			if host == "" {
				continue // Go's client would put its own
			}
			answer, err := http.DefaultClient.Do(q)
			if err != nil || answer.StatusCode != code {
				t.Errorf("Host %q, /%s: %v %v, expected %d", host, path, answer.Status, err, code)
			}
		}
	}
}

// follow reads updates until done says so.
func follow(t *testing.T, url string, done func(update) bool) {
	t.Helper()
	r, err := http.Get(url + "events")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	timer := time.AfterFunc(20*time.Second, func() { r.Body.Close() })
	defer timer.Stop()
	lines := bufio.NewScanner(r.Body)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		if text, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			var u update
			if err := json.Unmarshal([]byte(text), &u); err != nil {
				t.Fatalf("%v: %s", err, text)
			}
			if done(u) {
				return
			}
		}
	}
	t.Errorf("the updates ended: %v", lines.Err())
}

// A reader gets everything at once and what comes then, and the end of the run ends it.
func TestUpdates(t *testing.T) {
	t.Parallel()
	w, to, url := watched(t)
	r := testRun(t, 5)
	w.Begin(r)
	to(train.Training{Steps: 100})
	trained(to, r, 10, 100)
	seen, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		<-seen
		trained(to, r, 20, 100)
		evaluated(to, r, 20)
		to(train.Warning{Text: "take `net` mlp"})
		w.End("done")
	}()
	var steps []uint64
	var held int
	var notes []string
	n := 0
	follow(t, url, func(u update) bool {
		if n++; n == 1 && (!u.Whole || u.About.Folder != r.Folder || u.Now.Loss != "38.9 (0.099 of D/2)" || u.Now.Left != "2m10s" ||
			u.Now.Rate != "390 images/s" || u.Now.Phase != "training" || !strings.HasSuffix(u.Now.Memory, "iB")) {
			t.Errorf("the first update is %+v", u)
		}
		if n == 1 {
			close(seen)
		}
		if n > 1 && u.Whole {
			t.Error("all came again")
		}
		for _, p := range u.Points {
			steps = append(steps, p.Step)
		}
		held += len(u.HeldOut)
		notes = append(notes, u.Notes...)
		return u.Now.Over
	})
	<-ended
	if fmt.Sprint(steps) != "[10 20]" || held != 1 || fmt.Sprint(notes) != "[take -net mlp]" {
		t.Errorf("steps %v, %d held-out losses, notes %q", steps, held, notes)
	}
}

// Readers that take nothing, and that are gone, hold up neither the run nor its end.
func TestSlowReaders(t *testing.T) {
	t.Parallel()
	w, to, url := watched(t)
	w.server.patient = time.Hour // so that what waits for a reader is not what waits for a busy machine
	const busy = time.Minute
	r := testRun(t, 400)
	w.Begin(r)
	to(train.Training{Steps: 100_000})
	for step := range uint64(maxPoints) {
		trained(to, r, step+1, 100_000)
	}
	at := strings.TrimSuffix(strings.TrimPrefix(url, "http://"), "/")
	for i := range 8 {
		c, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.(*net.TCPConn).SetReadBuffer(1 << 10)
		fmt.Fprintf(c, "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
		if i%2 == 1 {
			c.Close()
		}
	}
	for end := time.Now().Add(20 * time.Second); len(w.server.readers) < 4; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the readers do not come")
		}
	}
	for range 8 { // all of it again and again, until the system takes no more of it
		w.Begin(r)
		time.Sleep(updateTime + updateTime/4)
	}
	var longest time.Duration
	for step := range uint64(200) {
		before := time.Now()
		trained(to, r, maxPoints+step+1, 100_000)
		longest = max(longest, time.Since(before))
	}
	if len(w.server.readers) < 4 {
		t.Errorf("%d readers wait for their update, expected 4: the test shows nothing", len(w.server.readers))
	}
	t.Logf("at most %v for a line", longest)
	if longest > busy {
		t.Errorf("%v for a line: the readers hold it up", longest)
	}
	start := time.Now()
	if _, err := w.End("done"); err != nil {
		t.Error(err)
	}
	if took := time.Since(start); took > busy {
		t.Errorf("the end took %v", took)
	}
}

// There is an end to how many follow a run, and one who leaves makes room.
func TestMaxReaders(t *testing.T) {
	t.Parallel()
	w, _, url := watched(t)
	w.Begin(testRun(t, 5))
	var open []*http.Response
	for range maxReaders {
		r, err := http.Get(url + "events")
		if err != nil || r.StatusCode != 200 {
			t.Fatalf("%v %v", r, err)
		}
		open = append(open, r)
	}
	if r, text := get(t, url+"events"); r.StatusCode != 503 || !strings.Contains(text, "64 readers") {
		t.Errorf("one too many: %s %q", r.Status, text)
	}
	for _, r := range open {
		r.Body.Close()
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		r, err := http.Get(url + "events")
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		if r.StatusCode == 200 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("nobody gets in after all have left")
		}
	}
}

// Connections that ask for nothing are bounded, and when they are gone there is room again.
func TestMaxConnections(t *testing.T) {
	t.Parallel()
	w, _, url := watched(t)
	var idle []net.Conn
	for range maxConns + 20 {
		c, err := net.Dial("tcp", w.server.l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		idle = append(idle, c)
	}
	closed := 0
	for _, c := range idle {
		c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		if _, err := c.Read(make([]byte, 1)); err != nil && !os.IsTimeout(err) {
			closed++
		}
		c.Close()
	}
	if closed < 20 {
		t.Errorf("%d of %d connections were closed, expected 20", closed, len(idle))
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if r, err := http.Get(url); err == nil {
			r.Body.Close()
			break
		} else if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// Each line of /metrics is one of the format, and every sample has its help and type before it.
func TestMetrics(t *testing.T) {
	t.Parallel()
	w, to, url := watched(t)
	r := testRun(t, 5)
	w.Begin(r)
	read := func() string {
		answer, text := get(t, url+"metrics")
		if answer.Header.Get("Content-Type") != "text/plain; version=0.0.4; charset=utf-8" {
			t.Errorf("the headers are %v", answer.Header)
		}
		typed := ""
		for line := range strings.Lines(text) {
			line = strings.TrimSuffix(line, "\n")
			if name, ok := strings.CutPrefix(line, "# TYPE "); ok {
				typed = strings.TrimSuffix(name, " gauge")
			} else if !strings.HasPrefix(line, "# HELP sigmaz_") &&
				(!regexp.MustCompile(`^sigmaz_[a-z_]+(\{([a-z_]+="(\\.|[^"\\])*",?)+\})? [-+0-9.e]+$`).MatchString(line) ||
					typed == "" || !strings.HasPrefix(line, typed)) {
				t.Errorf("a line of /metrics is %q, of type %q", line, typed)
			}
		}
		return text
	}
	if text := read(); strings.Contains(text, "sigmaz_loss") {
		t.Errorf("before the first step: %s", text)
	}
	to(train.Training{Steps: 100})
	trained(to, r, 10, 100)
	evaluated(to, r, 10)
	text := read()
	for _, want := range []string{"sigmaz_step 10\n", "sigmaz_steps 100\n", "sigmaz_loss 38.91\n", "sigmaz_images_per_second 390\n",
		"sigmaz_left_seconds 130\n", "sigmaz_held_out_loss 2.5\n", `sigmaz_level_loss{level="4"} 10` + "\n", `run<1>",phase="training"} 1`} {
		if !strings.Contains(text, want) {
			t.Errorf("/metrics lacks %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, `level="2"`) {
		t.Error("/metrics has a level that no image had")
	}
}

func TestAddress(t *testing.T) {
	for text, want := range map[string]string{"8787": "127.0.0.1:8787", ":8787": "127.0.0.1:8787", "0": "127.0.0.1:0",
		"0.0.0.0:80": "0.0.0.0:80", "localhost:1": "localhost:1", "[::1]:8787": "[::1]:8787"} {
		var a httpd.Address
		if err := a.Set(text); err != nil || string(a) != want {
			t.Errorf("%s is %s, %v; expected %s", text, a, err, want)
		}
	}
	for text, want := range map[string]string{"localhost": "the port is missing", "127.0.0.1": "the port is missing",
		"127.0.0.1:": "the port is missing", "127.0.0.1:http": "a port is a number", "1:65536": "a port is a number",
		"::1:8787": "in brackets", "http://localhost:1/": "no address", "99999": "a port is a number"} {
		var a httpd.Address
		if err := a.Set(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, expected %q", text, err, want)
		}
	}
}

// What is wrong with an address is said in a sentence, and one that others reach comes with a warning.
func TestListen(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for a, want := range map[string]string{l.Addr().String(): "another program listens there already: choose another port",
		"203.0.113.7:8787": "this machine does not have the address 203.0.113.7: expected one of its own, such as 127.0.0.1:8787",
		"no.invalid:8787":  "no address is known for the name no.invalid"} {
		if _, err := Start(Options{Listen: httpd.Address(a)}, io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, expected %q", a, err, want)
		}
	}
	var out bytes.Buffer
	w, err := Start(Options{Listen: "0.0.0.0:0"}, &out)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if !strings.Contains(out.String(), "\nwarning  the page has no password") {
		t.Errorf("it says %q", &out)
	}
	h := w.server.hosts
	name, _ := os.Hostname()
	if !h.Allows("192.168.1.2:80") || !h.Allows(name) || h.Allows("evil.example") {
		t.Errorf("it allows others: %+v", h)
	}
}
