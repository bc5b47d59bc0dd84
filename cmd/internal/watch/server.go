// The server of the page, which reads and changes nothing:
//
//	/              the page
//	/events        what it shows, as Server-Sent Events: an update at once, and one whenever there is more
//	/samples/X     a preview
//	/metrics       numbers in Prometheus' text format
//
// Each reader has a goroutine and a cursor of its own. One that is slow gets fewer and larger updates, and one that takes
// nothing for a while is left; the training waits for none.

package watch

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"sigmaz/cmd/internal/httpd"
)

const (
	patience   = 10 * time.Second       // with a reader that takes nothing
	updateTime = 250 * time.Millisecond // between two updates
	quietTime  = 15 * time.Second       // without news, after which a comment is sent: whoever is gone is found by it
	maxReaders = 64
	maxConns   = 256         // of anybody, so that the training has file descriptors left
	farewell   = time.Second // for the last update, at the end of the run
)

// server serves the page of a history.
type server struct {
	h       *history
	hosts   httpd.Hosts
	l       net.Listener
	http    *http.Server
	readers chan struct{} // a token for each that follows the run
	conns   atomic.Int64
	patient time.Duration // patience, but for tests
	page    []byte
	closing chan struct{}
}

// serve begins to serve at a listener.
func serve(h *history, a httpd.Address, l net.Listener) (*server, error) {
	page, err := document("", nil)
	if err != nil {
		return nil, err
	}
	s := &server{h: h, hosts: httpd.HostsOf(a, l), l: l, page: page, readers: make(chan struct{}, maxReaders), patient: patience,
		closing: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("/{$}", s.servePage)
	mux.HandleFunc("/events", s.serveEvents)
	mux.HandleFunc("/samples/{name}", s.servePicture)
	mux.HandleFunc("/metrics", s.serveMetrics)
	s.http = &http.Server{Handler: s.guard(mux), ReadHeaderTimeout: patience, IdleTimeout: time.Minute,
		MaxHeaderBytes: 1 << 14, ErrorLog: log.New(io.Discard, "", 0), ConnState: s.count}
	go s.http.Serve(l)
	return s, nil
}

// close ends the server, after the readers had a moment for the last update.
func (s *server) close() {
	close(s.closing)
	ctx, cancel := context.WithTimeout(context.Background(), farewell)
	defer cancel()
	if s.http.Shutdown(ctx) != nil {
		s.http.Close()
	}
}

// count counts connections, and closes those that are too many.
func (s *server) count(c net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		if s.conns.Add(1) > maxConns {
			c.Close()
		}
	case http.StateClosed:
		s.conns.Add(-1)
	}
}

// guard refuses what is no reading of this machine's page, and sets the headers that all answers have.
func (s *server) guard(next http.Handler) http.Handler {
	connect := policy("'self'") + "; frame-ancestors 'none'"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", connect)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		switch {
		case !s.hosts.Allows(r.Host):
			http.Error(w, "This page is served to this machine by its own name alone: ask for "+httpd.URLOf(s.l), http.StatusForbidden)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			h.Set("Allow", "GET, HEAD")
			http.Error(w, "This page can only be read.", http.StatusMethodNotAllowed)
		default:
			http.NewResponseController(w).SetWriteDeadline(time.Now().Add(s.patient))
			next.ServeHTTP(w, r)
		}
	})
}

func (s *server) servePage(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Write(s.page)
}

func (s *server) servePicture(w http.ResponseWriter, r *http.Request) {
	path, ok := s.h.picture(r.PathValue("name"))
	if !ok {
		http.NotFound(w, r)
		return
	}
	b, err := readFile(path)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "image/png")
	w.Write(b)
}

func (s *server) serveMetrics(w http.ResponseWriter, _ *http.Request) {
	u, _ := s.h.since(&cursor{})
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	writeMetrics(w, u)
}

func (s *server) serveEvents(w http.ResponseWriter, r *http.Request) {
	select {
	case s.readers <- struct{}{}:
		defer func() { <-s.readers }()
	default:
		http.Error(w, fmt.Sprintf("%d readers follow this run already.", maxReaders), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	if r.Method == http.MethodHead {
		return
	}
	c := http.NewResponseController(w)
	send := func(text string) bool {
		c.SetWriteDeadline(time.Now().Add(s.patient))
		_, err := io.WriteString(w, text)
		return err == nil && c.Flush() == nil
	}
	if !send("retry: 2000\n\n") {
		return
	}
	at := &cursor{}
	for {
		last := false // the server is closing, and what is there now is all
		select {
		case <-s.closing:
			last = true
		default:
		}
		u, changed := s.h.since(at)
		b, err := json.Marshal(u)
		if err != nil || !send("data: "+string(b)+"\n\n") || u.Now.Over || last {
			return
		}
		select { // no more often than this, but at the end at once
		case <-time.After(updateTime):
		case <-s.closing:
		case <-r.Context().Done():
			return
		}
		for waits := true; waits; {
			select {
			case <-changed:
				waits = false
			case <-time.After(quietTime):
				if !send(":\n\n") {
					return
				}
			case <-s.closing:
				waits = false
			case <-r.Context().Done():
				return
			}
		}
	}
}
