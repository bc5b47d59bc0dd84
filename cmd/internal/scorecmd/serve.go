// The server: one process that answers many requests over HTTP, with arrays of NPY as bodies.
//
//	GET  /model                       what the network is, in JSON
//	POST /score?sigma=S|level=I       x to its score
//	POST /denoise?sigma=S|level=I     x to x + sigma^2 s
//	POST /sample?n=N&seed=K           N samples by the run's sampler, in the network's units
//
// Where rows have noise of their own, a second array comes after x in the body, (N) sigmas, or levels as whole numbers,
// and the query names none. class=NAME is the class of all rows, layout=nhwc the order of their axes. A device works on
// one request at a time, with a network of its own, and answers do not depend on which it is; other requests wait for their
// turn, as many as their number and the memory for their arrays allow. A request that cannot be answered gets one sentence
// with a status of 4xx, or 503 where it can be later.

package scorecmd

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"sigmaz/cmd/internal/cli"
	"sigmaz/cmd/internal/httpd"
	"sigmaz/cmd/internal/modelfile"
	"sigmaz/cmd/internal/preview"
	"sigmaz/cmd/internal/share"
	"sigmaz/cuda"
	"sigmaz/internal/npy"
	"sigmaz/kernels"
	"sigmaz/sample"
)

const (
	mostBody    = 1 << 28          // bytes of a request, and of an answer
	mostMemory  = 8 * mostBody     // bytes of the arrays of all requests: twice what the largest one takes
	mostWaiting = 64               // requests that are read, wait for their turn or have it
	patience    = 30 * time.Second // with somebody who begins to ask and does not go on
	slowest     = 1 << 17          // bytes a second of an answer that somebody takes
	farewell    = 5 * time.Second  // for answers that are on their way when the server ends
)

// server answers requests about one network.
type server struct {
	f         *modelfile.File
	precision kernels.Precision
	batch     int // rows that go through a network together at most
	devices   cli.Devices
	hosts     httpd.Hosts
	free      chan *unit      // those that no request has
	lost      chan error      // of units that no request will have any more
	waiting   chan struct{}   // a token for each request that is read, waits or has its turn
	refused   chan struct{}   // a token for each body that is read away
	memory    atomic.Int64    // bytes of the arrays of all requests
	ends      context.Context // when the server is to end
}

// unit is a device with its networks. One request has it at a time.
type unit struct {
	n       int // the device's number
	backend kernels.Backend
	of      map[int]*evaluator // by their rows, at most two
}

// newServer makes a server with a unit for each of the devices. What is wrong with the weights is known now.
func newServer(f *modelfile.File, devices cli.Devices, precision kernels.Precision, batch int) (*server, error) {
	v := &server{f: f, precision: precision, batch: batch, devices: devices, free: make(chan *unit, len(devices)),
		lost: make(chan error, len(devices)), waiting: make(chan struct{}, mostWaiting), refused: make(chan struct{}, mostWaiting),
		ends: context.Background()}
	units, err := share.OnEach(devices, func(b kernels.Backend) (*unit, error) {
		u := &unit{backend: b, of: map[int]*evaluator{}}
		_, err := v.evaluator(u, 1)
		return u, err
	})
	for i, u := range units {
		u.n = i
		v.free <- u
	}
	return v, err
}

// serve does the work of the command with -serve.
func serve(ctx context.Context, o *options, s cli.Streams) error {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	if o.untilEOF {
		go func() {
			io.Copy(io.Discard, s.In)
			end(nil)
		}()
	}
	f, err := modelfile.Open(o.Operands[0], &o.file, o.Command)
	if err != nil {
		return err
	}
	defer f.Close()
	precision, err := f.Precision(o.device)
	if err != nil {
		return err
	}
	devices, err := o.device.Open(o.workers)
	if err != nil {
		return err
	}
	defer devices.Close()
	l, err := o.serve.Listen("-serve")
	if err != nil {
		return err
	}
	v, err := newServer(f, devices, precision, o.batchFor(f))
	if err != nil {
		l.Close()
		return err
	}
	v.hosts, v.ends = httpd.HostsOf(o.serve, l), ctx
	for _, note := range f.Notes {
		fmt.Fprintf(s.Out, "%s: %s\n", f.Path, note)
	}
	fmt.Fprintf(s.Out, "%s: %s%s of %s, %s, on %s; Ctrl-C ends it\n", httpd.URLOf(l), f.At(), f.Which(), f.Path,
		f.Config.Network.Net, devices.Name())
	if !httpd.IsLoopback(l) {
		fmt.Fprintf(s.Out, "warning: the server has no password: whoever reaches this machine at %s may use it; %s:PORT is for this "+
			"machine alone\n", l.Addr(), httpd.Loopback)
	}
	h := &http.Server{Handler: v.handler(), ReadHeaderTimeout: patience, IdleTimeout: time.Hour, MaxHeaderBytes: 1 << 14,
		ErrorLog: log.New(io.Discard, "", 0), BaseContext: func(net.Listener) context.Context { return ctx }}
	failed := make(chan error, 1)
	go func() { failed <- h.Serve(l) }()
	left := len(devices)
	for ctx.Err() == nil {
		select {
		case err := <-failed:
			return fmt.Errorf("-serve %s: cannot go on: %w", o.serve, err)
		case err := <-v.lost:
			if left--; left == 0 {
				end(err)
				break
			}
			fmt.Fprintf(s.Out, "%v; requests go to %s\n", err, cli.Count(left, "other GPU"))
		case <-ctx.Done():
		}
	}
	last, cancel := context.WithTimeout(context.Background(), farewell)
	defer cancel()
	if h.Shutdown(last) != nil {
		h.Close()
	}
	for range left { // no request has a device any more
		select {
		case <-v.free:
		case <-v.lost:
		}
	}
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	fmt.Fprintln(s.Out, "stopped")
	return nil
}

// refusal is an error of whoever asks, with a status.
type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string { return r.text }

func refusef(format string, a ...any) error {
	return &refusal{http.StatusBadRequest, fmt.Sprintf(format, a...)}
}

// handler returns what answers requests.
func (v *server) handler() http.Handler {
	type answers = func(w http.ResponseWriter, r *http.Request, q *query) error
	evaluates := func(denoised bool) answers {
		return func(w http.ResponseWriter, r *http.Request, q *query) error { return v.evaluate(w, r, q, denoised) }
	}
	routes := map[string]struct {
		method string
		answer answers
	}{
		"/model":   {http.MethodGet, v.model},
		"/score":   {http.MethodPost, evaluates(false)},
		"/denoise": {http.MethodPost, evaluates(true)},
		"/sample":  {http.MethodPost, v.sample},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		route, ok := routes[r.URL.Path]
		err := v.guard(r)
		switch {
		case err != nil:
		case !ok:
			err = &refusal{http.StatusNotFound, fmt.Sprintf("there is no %s: expected /model, /score, /denoise or /sample",
				cli.Line(r.URL.Path))}
		case r.Method != route.method:
			w.Header().Set("Allow", route.method)
			err = &refusal{http.StatusMethodNotAllowed, fmt.Sprintf("%s is asked for by %s: expected %s", r.URL.Path, cli.Line(r.Method),
				route.method)}
		default:
			var values url.Values
			if values, err = url.ParseQuery(r.URL.RawQuery); err != nil {
				err = refusef("the query is %q: expected NAME=VALUE with & between, and %%HH for other characters", cli.Line(r.URL.RawQuery))
				break
			}
			whole := r.Body
			r.Body = http.MaxBytesReader(w, patient{whole, http.NewResponseController(w)}, mostBody)
			if err = v.admitted(route.method, func() error { return route.answer(w, r, &query{values: values}) }); err != nil {
				v.drain(w, whole)
			}
		}
		v.fail(w, err)
	})
}

// admitted does what a request asks for, where there are not too many. Only those with a body count.
func (v *server) admitted(method string, answer func() error) error {
	if method != http.MethodPost {
		return answer()
	}
	select {
	case v.waiting <- struct{}{}:
		defer func() { <-v.waiting }()
		return answer()
	default:
		return &refusal{http.StatusServiceUnavailable, fmt.Sprintf("%d requests wait already: ask again later", mostWaiting)}
	}
}

// patient reads a body whose sender must go on.
type patient struct {
	io.ReadCloser
	c *http.ResponseController
}

func (p patient) Read(b []byte) (int, error) {
	p.c.SetReadDeadline(time.Now().Add(patience))
	n, err := p.ReadCloser.Read(b)
	if err != nil { // what comes next on the connection has all the time
		p.c.SetReadDeadline(time.Time{})
	}
	return n, err
}

// mostDrained is how much of a body is read for an answer that does not need it.
const mostDrained = 4 * mostBody

// drain reads the rest of a body that is refused. Most clients send all of it before they read the answer, and a connection
// that is closed before that is reset, answer and all. Where as many are read away as may wait, it is.
func (v *server) drain(w http.ResponseWriter, body io.Reader) {
	select {
	case v.refused <- struct{}{}:
		defer func() { <-v.refused }()
	default:
		w.Header().Set("Connection", "close")
		return
	}
	c := http.NewResponseController(w)
	c.SetReadDeadline(time.Now().Add(patience))
	io.Copy(io.Discard, io.LimitReader(body, mostDrained))
	c.SetReadDeadline(time.Time{})
}

// reserve takes memory for the arrays of a request of so many values: what came, in the network's order, the result, and that
// in the order of the file. The caller gives it back by release.
func (v *server) reserve(values int) (release func(), err error) {
	bytes := 4 * 4 * int64(values)
	if v.memory.Add(bytes) > mostMemory {
		v.memory.Add(-bytes)
		return nil, &refusal{http.StatusServiceUnavailable, fmt.Sprintf("the requests that are worked on fill the %d MiB that there are for "+
			"them: ask again later, or send fewer rows", mostMemory>>20)}
	}
	return func() { v.memory.Add(-bytes) }, nil
}

// guard refuses what another page asks for through somebody's browser.
func (v *server) guard(r *http.Request) error {
	if !v.hosts.Allows(r.Host) {
		return &refusal{http.StatusForbidden, "the server answers this machine by its own name alone"}
	}
	if origin := r.Header.Get("Origin"); origin != "" {
		if u, err := url.Parse(origin); err != nil || !v.hosts.Allows(u.Host) {
			return &refusal{http.StatusForbidden, "the server answers no page of another site"}
		}
	}
	return nil
}

// fail answers with an error, nil being none.
func (v *server) fail(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	var bad *refusal
	var large *http.MaxBytesError
	switch {
	case err == nil:
		return
	case errors.As(err, &large):
		status, err = http.StatusRequestEntityTooLarge, fmt.Errorf("the body is too long: expected at most %d MiB; send fewer rows",
			mostBody>>20)
	case errors.As(err, &bad):
		if status = bad.status; status == http.StatusServiceUnavailable {
			w.Header().Set("Retry-After", "1")
		}
	case v.ends.Err() != nil:
		status, err = http.StatusServiceUnavailable, errors.New("the server was asked to stop")
	}
	http.Error(w, err.Error(), status)
}

// query is the settings of a request, of which all must be known.
type query struct {
	values url.Values
	known  []string
}

// text returns a setting, "" where it is not given.
func (q *query) text(name string) string {
	q.known = append(q.known, name)
	return q.values.Get(name)
}

// number returns a whole number within bounds.
func (q *query) number(name string, usual, least, most uint64) (uint64, error) {
	text := q.text(name)
	if text == "" {
		return usual, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n < least || n > most {
		return 0, refusef("%s is %q: expected a whole number from %d to %d", name, text, least, most)
	}
	return n, nil
}

// check refuses settings that nothing asked for, and those that are there twice.
func (q *query) check(path string) error {
	for name, values := range q.values {
		switch {
		case !slices.Contains(q.known, name):
			return refusef("%s has no setting %q: expected %s", path, name, strings.Join(q.known, ", "))
		case len(values) > 1:
			return refusef("%s is given %d times: expected it once", name, len(values))
		}
	}
	return nil
}

// inTurn waits until a device is free and runs f, which alone has it. One that is lost gets no other request.
func (v *server) inTurn(ctx context.Context, f func(*unit) error) error {
	var u *unit
	select {
	case u = <-v.free:
	case <-ctx.Done():
		return ctx.Err()
	}
	lost := false
	defer func() { // also where f panics, which the server outlives
		if !lost {
			v.free <- u
		}
	}()
	err := f(u)
	var bad *refusal
	if err != nil && ctx.Err() == nil && !errors.As(err, &bad) {
		err = share.OnDevice(u.n, len(v.devices), err)
	}
	var driver *cuda.Error
	if errors.As(err, &driver) && driver.Lost() {
		lost = true
		v.lost <- err
		return &refusal{http.StatusServiceUnavailable, err.Error()}
	}
	return err
}

// evaluator returns a unit's network for n rows or more, in powers of two, so that few rows cost little.
func (v *server) evaluator(u *unit, n int) (*evaluator, error) {
	rows := 1
	for rows < min(n, v.batch) {
		rows = min(2*rows, v.batch)
	}
	if e := u.of[rows]; e != nil {
		return e, nil
	}
	if len(u.of) == 2 { // each holds the weights
		clear(u.of)
	}
	e, err := newEvaluator(u.backend, v.f, v.precision, v.f.Prefix(), rows)
	if err == nil {
		u.of[rows] = e
	}
	return e, err
}

// classes reads the setting class by [modelfile.File.Class], for one of all rows, or [modelfile.File.Classes].
func (v *server) classes(q *query, one bool) (classes []uint32, err error) {
	text := q.text("class")
	if text == "" {
		return nil, nil
	}
	if one {
		classes = make([]uint32, 1)
		classes[0], err = v.f.Class(text)
	} else {
		classes, err = v.f.Classes(text)
	}
	if err == nil {
		return classes, nil
	}
	said := err.Error()
	var usage *cli.UsageError
	if errors.As(err, &usage) {
		said = usage.Text
	}
	return nil, refusef("%s", strings.TrimPrefix(said, "-")) // which names a flag
}

// evaluate answers with the score of an array, or with what it denoises to.
func (v *server) evaluate(w http.ResponseWriter, r *http.Request, q *query, denoised bool) error {
	sigma, level, layout := q.text("sigma"), q.text("level"), q.text("layout")
	classes, err := v.classes(q, true)
	if err == nil {
		err = q.check(r.URL.Path)
	}
	if err != nil {
		return err
	}
	if layout == "" {
		layout = nchw
	}
	switch {
	case layout != nchw && layout != nhwc:
		return refusef("layout is %q: expected %s or %s", layout, nchw, nhwc)
	case sigma != "" && level != "":
		return refusef("sigma and level are both given: expected one of them")
	}
	x, rows, body, release, err := v.readRows(r, layout)
	if err != nil {
		return err
	}
	defer release()
	noise, err := v.noise(sigma, level, rows.n, body)
	if err != nil {
		return err
	}
	var out []float32
	err = v.inTurn(r.Context(), func(u *unit) (err error) {
		out, err = v.run(r.Context(), u, x, rows.n, denoised, classes, noise)
		return err
	})
	if err != nil {
		return err
	}
	return answer(w, rows.shape, rows.toFile(out))
}

// readRows reads x from the body of a request, in the network's order, and returns what follows it, and what gives back the
// memory that is reserved for the request.
func (v *server) readRows(r *http.Request, layout string) (x []float32, rows *rows, body *bufio.Reader, release func(), err error) {
	body = bufio.NewReaderSize(r.Body, 1<<16)
	a, err := npy.NewReader("the body", body, -1)
	if err != nil {
		return nil, nil, nil, nil, asRefusal(err)
	}
	if values := a.Count(); values > mostBody/4 {
		return nil, nil, nil, nil, refusef("the body has shape %s, of %d values: expected at most %d", a.ShapeText(), values, mostBody/4)
	}
	if release, err = v.reserve(a.Count()); err != nil {
		return nil, nil, nil, nil, err
	}
	rows, err = rowsOf(a, "the body", layout, "layout=", v.f.Config.Network)
	if err == nil && rows.whole == nil {
		rows.whole, err = npy.ReadAll[float32](a)
	}
	if err == nil {
		x = make([]float32, len(rows.whole))
		err = rows.read(x, rows.n)
	}
	if err != nil {
		release()
		return nil, nil, nil, nil, asRefusal(err)
	}
	return x, rows, body, release, nil
}

// asRefusal makes an error of reading a body one of whoever sent it.
func asRefusal(err error) error {
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return err
	}
	return refusef("%v", err)
}

// noise returns the noise of each row: that of the query, or of a second array in the body.
func (v *server) noise(sigma, level string, n int, body *bufio.Reader) ([]pair, error) {
	one := func(p pair, err error) ([]pair, error) {
		if err != nil {
			return nil, refusef("%v", err)
		}
		return slices.Repeat([]pair{p}, n), nil
	}
	if sigma != "" || level != "" {
		if _, err := body.Peek(1); err == nil {
			return nil, refusef("the body goes on after x, and the query names the noise: leave one of the two out")
		}
	}
	switch {
	case sigma != "":
		s, err := strconv.ParseFloat(sigma, 64)
		if err != nil {
			return nil, refusef("sigma is %q: expected a positive number", sigma)
		}
		return one(atSigma(v.f, s, "sigma", "level "))
	case level != "":
		i, err := strconv.Atoi(level)
		if err != nil {
			return nil, refusef("level is %q: expected a whole number", level)
		}
		return one(atLevel(v.f, i, "level"))
	}
	if _, err := body.Peek(1); err != nil {
		return nil, refusef("the noise is missing: expected sigma=S or level=I in the query, or a second array in the body, (%d,) sigmas "+
			"or levels", n)
	}
	a, err := npy.NewReader("the second array", body, -1)
	if err != nil {
		return nil, asRefusal(err)
	}
	if len(a.Shape) != 1 || a.Shape[0] != n {
		return nil, refusef("the second array has shape %s: expected (%d,), a sigma or a level for each row", a.ShapeText(), n)
	}
	list := make([]pair, n)
	if a.Kind() != 'f' {
		levels, err := npy.ReadAll[int](a)
		for row, level := range levels {
			if err == nil {
				list[row], err = atLevel(v.f, level, fmt.Sprintf("the level of row %d", row))
			}
		}
		if err != nil {
			return nil, asRefusal(err)
		}
		return list, atEnd(body)
	}
	sigmas, err := npy.ReadAll[float64](a)
	for row, sigma := range sigmas {
		if err == nil {
			list[row], err = atSigma(v.f, sigma, fmt.Sprintf("the sigma of row %d", row), "level ")
		}
	}
	if err != nil {
		return nil, asRefusal(err)
	}
	return list, atEnd(body)
}

// atEnd refuses a body that goes on after its second array.
func atEnd(body *bufio.Reader) error {
	if _, err := body.Peek(1); err == nil {
		return refusef("the body goes on after the second array: expected x and an array of noise, and nothing else")
	}
	return nil
}

// run computes the score of n rows, or what they denoise to, in the network's order.
func (v *server) run(ctx context.Context, u *unit, x []float32, n int, denoised bool, classes []uint32, noise []pair) ([]float32, error) {
	out := make([]float32, 0, len(x))
	if n == 0 {
		return out, nil
	}
	e, err := v.evaluator(u, n)
	if err != nil {
		return nil, err
	}
	if k := v.f.Config.Network.Classes; k > 0 {
		if classes == nil {
			classes = []uint32{uint32(k)}
			if err := v.f.CheckNoClass("class is missing, and"); err != nil {
				return nil, refusef("%v", err)
			}
		}
		if err := e.SetClasses(slices.Repeat(classes, e.N)); err != nil {
			return nil, err
		}
	}
	for first := 0; first < n; first += e.N {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		rows := min(e.N, n-first)
		copy(e.x, x[first*e.D:(first+rows)*e.D])
		s, err := e.evaluate(rows, denoised, func(row int) (int, float32) {
			p := noise[first+row]
			return p.level, p.sigma
		})
		if err != nil {
			return nil, err
		}
		out = append(out, s...)
	}
	return out, nil
}

// sample answers with samples by the run's sampler.
func (v *server) sample(w http.ResponseWriter, r *http.Request, q *query) error {
	net := v.f.Config.Network
	n, err := q.number("n", 1, 1, uint64(max(1, mostBody/4/net.D())))
	var seed uint64
	var classes []uint32
	if err == nil {
		seed, err = q.number("seed", 1, 0, 1<<64-1)
	}
	if err == nil {
		classes, err = v.classes(q, false)
	}
	if err == nil {
		err = q.check(r.URL.Path)
	}
	if err != nil {
		return err
	}
	plan, err := sample.NewPlan(preview.SettingsFor(v.f.Config, v.f.Sigmas, !v.f.Ours()), v.f.Sigmas)
	if err == nil {
		_, err = sample.Judge(net, plan, v.f.Sigmas)
	}
	if err != nil {
		return refusef("%s cannot be sampled as it is: %v; command sample has flags for it", v.f.Path, err)
	}
	release, err := v.reserve(int(n) * net.D())
	if err != nil {
		return err
	}
	defer release()
	var x []float32
	err = v.inTurn(r.Context(), func(u *unit) error {
		s, err := preview.NewSampler(u.backend, net, v.precision, v.f.Sigmas, plan, seed, min(int(n), v.batch))
		if err == nil {
			err = s.LoadFrom(v.f, v.f.Prefix())
		}
		if err != nil {
			return err
		}
		if s.NetworkUnits = true; classes != nil {
			s.Classes = classes
		}
		x, err = s.Draw(r.Context(), int(n), nil)
		return err
	})
	if err != nil {
		return err
	}
	shape := []int{int(n), net.Channels, net.Height, net.Width}
	if net.Vectors() {
		shape = []int{int(n), net.D()}
	}
	rows := rows{nchw: !net.Vectors(), c: net.Channels, area: net.Height * net.Width}
	return answer(w, shape, rows.toFile(x))
}

// answer answers with an array.
func answer(w http.ResponseWriter, shape []int, values []float32) error {
	var head bytes.Buffer
	if err := npy.WriteHeader[float32](&head, shape); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.Itoa(head.Len()+4*len(values)))
	c := http.NewResponseController(w)
	c.SetWriteDeadline(time.Now().Add(patience + time.Duration(len(values)*4/slowest)*time.Second))
	defer c.SetWriteDeadline(time.Time{})
	head.WriteTo(w)
	npy.WriteValues(w, values) // where the other side is gone, nobody is left to be told
	return nil
}

// model answers with what the network is.
func (v *server) model(w http.ResponseWriter, r *http.Request, q *query) error {
	if err := q.check(r.URL.Path); err != nil {
		return err
	}
	net := v.f.Config.Network
	about := struct {
		Net      string    `json:"net"`
		Shape    []int     `json:"shape"`  // of a row
		Sigmas   []float32 `json:"sigmas"` // from the largest down
		Levels   bool      `json:"levels"` // it has scores at these alone
		Rescaled bool      `json:"rescaled"`
		Classes  []string  `json:"classes"`
		Weights  string    `json:"weights"`
		File     string    `json:"file"`
		Step     *uint64   `json:"step"`
		Device   string    `json:"device"`
	}{net.Net, []int{net.Channels, net.Height, net.Width}, v.f.Sigmas, net.TakesLevels(), net.Rescaled, v.f.ClassNames(), v.f.Which(),
		v.f.Path, nil, v.devices.Name()}
	if net.Vectors() {
		about.Shape = []int{net.D()}
	}
	if v.f.Stepped {
		about.Step = &v.f.Step
	}
	text, err := json.MarshalIndent(about, "", "  ")
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(append(text, '\n'))
	return nil
}
