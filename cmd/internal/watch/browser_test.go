// Chromium without a window, driven through its DevTools protocol over a pair of pipes: JSON messages that end in NUL.

package watch

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sigmaz/internal/extras"
)

// browser is a page in Chromium.
type browser struct {
	t       *testing.T
	to      *os.File
	session string

	mu      sync.Mutex
	id      int
	answers map[int]chan json.RawMessage
	// what went wrong in the page: exceptions, refusals by its policy; and what it asked for
	complaints, requests []string
}

// open starts Chromium and opens a page of the given size.
func open(t *testing.T, width, height int, url string) *browser {
	t.Helper()
	path := extras.Chromium(t)
	in, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	from, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(path, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
		"--user-data-dir="+t.TempDir(), "--remote-debugging-pipe", "--force-color-profile=srgb", "about:blank")
	c.ExtraFiles = []*os.File{in, out} // 3 and 4
	c.WaitDelay = time.Second
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	in.Close()
	out.Close()
	b := &browser{t: t, to: to, answers: map[int]chan json.RawMessage{}}
	t.Cleanup(func() {
		b.send("Browser.close", nil) // ends all its processes
		done := make(chan error, 1)
		go func() { done <- c.Wait() }()
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			c.Process.Kill()
			<-done
		}
		to.Close()
		from.Close()
	})
	go b.read(from)
	var target struct{ TargetID string }
	b.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	b.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	b.session = attached.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log", "Network"} {
		b.call(domain+".enable", nil, nil)
	}
	b.size(width, height)
	b.call("Page.navigate", map[string]any{"url": url}, nil)
	return b
}

// read takes answers and events.
func (b *browser) read(from *os.File) {
	r := bufio.NewReader(from)
	for {
		text, err := r.ReadBytes(0)
		if err != nil {
			return
		}
		var m struct {
			ID     int
			Result json.RawMessage
			Error  *struct{ Message string }
			Method string
			Params struct {
				ExceptionDetails json.RawMessage
				Entry            struct{ Level, Text, URL string }
				Request          struct{ URL string }
				Response         struct{ URL string }
			}
		}
		if json.Unmarshal(text[:len(text)-1], &m) != nil {
			continue
		}
		b.mu.Lock()
		switch m.Method {
		case "Runtime.exceptionThrown":
			b.complaints = append(b.complaints, string(m.Params.ExceptionDetails))
		case "Log.entryAdded":
			if m.Params.Entry.Level == "error" {
				b.complaints = append(b.complaints, m.Params.Entry.Text+" "+m.Params.Entry.URL)
			}
		case "Network.requestWillBeSent":
			b.requests = append(b.requests, m.Params.Request.URL)
		case "":
			if m.Error != nil {
				m.Result, _ = json.Marshal(map[string]string{"error": m.Error.Message})
			}
			if a := b.answers[m.ID]; a != nil {
				a <- m.Result
				delete(b.answers, m.ID)
			}
		}
		b.mu.Unlock()
	}
}

// send sends a command and returns where its answer comes.
func (b *browser) send(method string, params map[string]any) <-chan json.RawMessage {
	b.mu.Lock()
	b.id++
	a := make(chan json.RawMessage, 1)
	b.answers[b.id] = a
	m := map[string]any{"id": b.id, "method": method, "params": params}
	if params == nil {
		m["params"] = map[string]any{}
	}
	if b.session != "" && !strings.HasPrefix(method, "Target.") && !strings.HasPrefix(method, "Browser.") {
		m["sessionId"] = b.session
	}
	b.mu.Unlock()
	text, _ := json.Marshal(m)
	b.to.Write(append(text, 0))
	return a
}

// call sends a command and waits for its answer.
func (b *browser) call(method string, params map[string]any, result any) {
	b.t.Helper()
	select {
	case a := <-b.send(method, params):
		if strings.HasPrefix(string(a), `{"error":`) {
			b.t.Fatalf("%s: %s", method, a)
		}
		if result != nil {
			if err := json.Unmarshal(a, result); err != nil {
				b.t.Fatalf("%s: %v", method, err)
			}
		}
	case <-time.After(30 * time.Second):
		b.t.Fatalf("%s: Chromium does not answer", method)
	}
}

func (b *browser) size(width, height int) {
	b.t.Helper()
	b.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": 1,
		"mobile": false}, nil)
}

// scheme makes the page dark or light.
func (b *browser) scheme(name string) {
	b.t.Helper()
	b.call("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme",
		"value": name}}}, nil)
}

// eval evaluates an expression in the page.
func eval[T any](b *browser, expression string) (v T) {
	b.t.Helper()
	var r struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails *struct {
			Text      string
			Exception struct{ Description string }
		}
	}
	b.call("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "awaitPromise": true}, &r)
	if e := r.ExceptionDetails; e != nil {
		b.t.Fatalf("%s: %s %s", expression, e.Text, e.Exception.Description)
	}
	if len(r.Result.Value) > 0 {
		if err := json.Unmarshal(r.Result.Value, &v); err != nil {
			b.t.Fatalf("%s: %v", expression, err)
		}
	}
	return v
}

// until waits until an expression is true. While the page is loading, it may be an error.
func (b *browser) until(expression string) {
	b.t.Helper()
	for end := time.Now().Add(30 * time.Second); !eval[bool](b, "(() => { try { return Boolean("+expression+") } catch { return false } })()"); {
		if time.Now().After(end) {
			b.t.Fatalf("waited in vain for %s; the page says %q, complaints %q", expression,
				eval[string](b, "document.body ? document.body.innerText.slice(0, 300) : ''"), b.complained())
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (b *browser) complained() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.complaints...)
}

// asked returns the URLs that were loaded, data: apart.
func (b *browser) asked() (urls []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, u := range b.requests {
		if !strings.HasPrefix(u, "data:") {
			urls = append(urls, u)
		}
	}
	return urls
}

// picture takes a screenshot. With SIGMAZ_SCREENSHOTS it is kept in that folder.
func (b *browser) picture(name string, whole bool) []byte {
	b.t.Helper()
	var r struct{ Data string }
	b.call("Page.captureScreenshot", map[string]any{"format": "png", "captureBeyondViewport": whole, "optimizeForSpeed": false}, &r)
	png, err := base64.StdEncoding.DecodeString(r.Data)
	if err != nil {
		b.t.Fatal(err)
	}
	if dir := os.Getenv("SIGMAZ_SCREENSHOTS"); dir != "" {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%s.png", name)), png, 0o666); err != nil {
			b.t.Fatal(err)
		}
	}
	return png
}
