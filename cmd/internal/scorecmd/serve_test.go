// The server, asked by this program and by Python.

package scorecmd

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gorgonia.org/tensor"

	"sigmaz/cmd/internal/cli"
	"sigmaz/cmd/internal/httpd"
	"sigmaz/cmd/internal/modelfile"
	"sigmaz/cuda"
	"sigmaz/internal/extras"
	"sigmaz/internal/npy"
	"sigmaz/kernels"
	"sigmaz/model"
	"sigmaz/model/checkpoint"
	"sigmaz/model/golden"
	"sigmaz/train"
)

// asProgram makes this test binary the program sigmaz, for tests that start one.
const asProgram = "SIGMAZ_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		New().Main(os.Args[2:]) // after "score"
		return
	}
	os.Exit(m.Run())
}

// vectors writes a checkpoint of a network for vectors that can be sampled.
func vectors(t *testing.T) string {
	t.Helper()
	net := model.Config{Net: "mlp", Height: 1, Width: 1, Channels: 2, Hidden: 4, DataSD: 1, Classes: 2}
	c := &train.Config{Network: net, Sampling: train.Sampling{T: 2, Denoise: true}, Sigma: train.Sigma{
		Begin: train.SigmaEnd{Value: 2}, End: train.SigmaEnd{Value: 0.1}, Levels: 6, Spacing: "geometric"}}
	params, err := net.Params()
	if err != nil {
		t.Fatal(err)
	}
	ck := &checkpoint.Checkpoint{Config: c.YAML(), Step: 3}
	for i, p := range params {
		values := make([]float32, p.Shape.TotalSize())
		p.Init(values, kernels.Stream{Seed: 1, N: uint64(i)})
		ck.Tensors = append(ck.Tensors, model.Named{Name: "param." + p.Name,
			T: tensor.New(tensor.WithShape(p.TorchShape()...), tensor.WithBacking(values))})
	}
	path := filepath.Join(t.TempDir(), "v.safetensors")
	if err := ck.Write(path); err != nil {
		t.Fatal(err)
	}
	return path
}

// running is a server in this process.
type running struct {
	url   string
	stop  func() (code int, said string)
	ended chan struct{}
}

// start starts a server and waits until it says where it is.
func start(t *testing.T, args ...string) *running { t.Helper(); return startWith(t, nil, args...) }

// startWith is start with a standard input.
func startWith(t *testing.T, in io.Reader, args ...string) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	read, write := io.Pipe()
	code := make(chan int, 1)
	go func() {
		code <- New().Execute(ctx, append(args, "-serve", "0"), cli.Streams{In: in, Out: write, Err: write})
		write.Close()
	}()
	var said bytes.Buffer
	var mu sync.Mutex
	told, ended := make(chan struct{}, 1<<10), make(chan struct{})
	go func() {
		buf := make([]byte, 1<<10)
		for {
			n, err := read.Read(buf)
			mu.Lock()
			said.Write(buf[:n])
			mu.Unlock()
			if told <- struct{}{}; err != nil {
				close(ended)
				return
			}
		}
	}()
	text := func() string { mu.Lock(); defer mu.Unlock(); return said.String() }
	s := &running{stop: func() (int, string) { cancel(); <-ended; return <-code, text() }, ended: ended}
	t.Cleanup(cancel)
	for deadline := time.After(2 * time.Minute); s.url == ""; {
		if m := regexp.MustCompile(`(http://\S+)/: `).FindStringSubmatch(text()); m != nil {
			s.url = m[1]
			break
		}
		select {
		case <-told:
		case <-ended:
			t.Fatalf("it ended: %s", text())
		case <-deadline:
			t.Fatalf("it says %q", text())
		}
	}
	return s
}

// post asks with a body.
func (s *running) post(t *testing.T, path string, body []byte) (status int, answer []byte) {
	t.Helper()
	r, err := http.Post(s.url+path, "application/octet-stream", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	answer, err = io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, answer
}

func array[V npy.Written](t *testing.T, shape []int, values []V) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := npy.Write(&b, shape, values); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// What the server answers are the bytes that the command writes, in any batch, from many at once.
func TestServe(t *testing.T) {
	g := small(t)
	shape, x := load(t, g.x)
	body, err := os.ReadFile(g.x)
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "s.npy")
	wanted := func(args ...string) []byte {
		must(t, append([]string{g.checkpoint, "-input", g.x, "-o", out}, args...)...)
		b, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	score, denoised, other := wanted("-level", "1"), wanted("-level", "1", "-denoised"), wanted("-sigma", "0.3")
	s := start(t, g.checkpoint, "-batch", "2")
	sigmas := make([]float64, shape[0])
	levels := make([]int64, shape[0])
	for i := range sigmas {
		sigmas[i], levels[i] = 0.3, 1
	}
	var wait sync.WaitGroup
	for path, want := range map[string]struct{ body, answer []byte }{
		"/score?level=1":   {body, score},
		"/denoise?level=1": {body, denoised},
		"/score?sigma=0.3": {body, other},
		"/score":           {slices.Concat(body, array(t, []int{shape[0]}, sigmas)), other},
		"/denoise":         {slices.Concat(body, array(t, []int{shape[0]}, levels)), denoised},
	} {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for range 3 {
				if status, got := s.post(t, path, want.body); status != 200 || !bytes.Equal(got, want.answer) {
					t.Errorf("%s: status %d, %d bytes, expected %d; %.200q", path, status, len(got), len(want.answer), got)
				}
			}
		}()
	}
	wait.Wait()
	var about struct {
		Net    string
		Shape  []int
		Sigmas []float64
	}
	r, err := http.Get(s.url + "/model")
	if err != nil {
		t.Fatal(err)
	}
	err = json.NewDecoder(r.Body).Decode(&about)
	if r.Body.Close(); err != nil || about.Net != "ncsnv2" || !slices.Equal(about.Shape, shape[1:]) || len(about.Sigmas) < 2 {
		t.Errorf("%+v, %v", about, err)
	}
	// One image, one row of the batch's answer.
	d0 := len(x) / shape[0]
	if status, got := s.post(t, "/score?level=1", array(t, append([]int{1}, shape[1:]...), x[d0:2*d0])); status != 200 ||
		!bytes.Equal(got[len(got)-4*d0:], score[len(score)-4*d0*(shape[0]-1):][:4*d0]) {
		t.Errorf("one image: status %d, another score than among others", status)
	}
	if code, said := s.stop(); code != 0 || !strings.HasSuffix(said, "stopped\n") {
		t.Errorf("stopped, it has exit code %d and says %q", code, said)
	}
	if _, err := http.Get(s.url + "/model"); err == nil {
		t.Error("it answers after its end")
	}
}

// D is x + sigma^2 s.
func TestDenoised(t *testing.T) {
	g, out := small(t), filepath.Join(t.TempDir(), "s.npy")
	must(t, g.checkpoint, "-input", g.x, "-level", "1", "-o", out)
	_, s := load(t, out)
	if said := must(t, g.checkpoint, "-input", g.x, "-level", "1", "-denoised", "-o", out); !strings.Contains(said, "the denoised data of") {
		t.Errorf("it says %q", said)
	}
	_, d := load(t, out)
	_, x := load(t, g.x)
	c, err := model.Geometric(g.Number(t, "sigma_begin"), g.Number(t, "sigma_end"), g.Int(t, "levels"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range d {
		want := float64(x[i]) + float64(c[1])*float64(c[1])*float64(s[i])
		if math.Abs(float64(d[i])-want) > 1e-6*(1+math.Abs(want)) {
			t.Fatalf("value %d is %g, expected %g", i, d[i], want)
		}
	}
}

// Samples have the command's seeds: sample k is the same in any number, and in the network's units.
func TestServeSamples(t *testing.T) {
	s := start(t, vectors(t))
	status, three := s.post(t, "/sample?n=3&seed=5", nil)
	_, two := s.post(t, "/sample?n=2&seed=5", nil)
	_, other := s.post(t, "/sample?n=3&seed=6", nil)
	_, class := s.post(t, "/sample?n=3&seed=5&class=1", nil)
	if values := 4 * 2; status != 200 || !bytes.Equal(three[len(three)-3*values:][:2*values], two[len(two)-2*values:]) ||
		bytes.Equal(three, other) || bytes.Equal(three, class) || len(class) != len(three) {
		t.Errorf("status %d, %d and %d bytes: %.200q", status, len(three), len(two), three)
	}
	s.stop()
}

// Whatever is wrong with a request, the answer is a status and one sentence.
func TestServeRefuses(t *testing.T) {
	g := small(t)
	shape, x := load(t, g.x)
	good, err := os.ReadFile(g.x)
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, g.checkpoint)
	for _, c := range []struct {
		path   string
		body   []byte
		status int
		want   string
	}{
		{"/score", good, 400, "the noise is missing"},
		{"/score?sigma=0", good, 400, "sigma is 0: expected a number from 1e-30 to 1e+30"},
		{"/score?sigma=NaN", good, 400, "sigma is NaN: expected a number from 1e-30 to 1e+30"},
		{"/score?sigma=big", good, 400, `sigma is "big"`},
		{"/score?sigma=1&level=1", good, 400, "sigma and level are both given"},
		{"/score?level=99", good, 400, "level is 99: expected a noise level from 0"},
		{"/score?level=one", good, 400, `level is "one"`},
		{"/score?level=1&level=2", good, 400, "level is given 2 times"},
		{"/score?level=1&class=%zz", good, 400, "the query is \"level=1&class=%zz\": expected NAME=VALUE"},
		{"/score?sigma=1e300", good, 400, "sigma is 1e+300: expected a number from 1e-30 to 1e+30"},
		{"/score", slices.Concat(good, array(t, []int{3}, []float32{1, 1, 1}), []byte("junk")), 400, "goes on after the second array"},
		{"/score?level=1&sgma=2", good, 400, `/score has no setting "sgma"`},
		{"/score?level=1&class=3", good, 400, "class is for networks that are told classes, and"},
		{"/score?level=1&layout=chwn", good, 400, `layout is "chwn"`},
		{"/score?level=1", nil, 400, "the body"},
		{"/score?level=1", []byte("hello"), 400, "the body is no NPY array"},
		{"/score?level=1", good[:len(good)-5], 400, "truncated"},
		{"/score?level=1", array(t, []int{len(x)}, x), 400, "takes (N, "},
		{"/score?level=1", array(t, shape, make([]int64, len(x))), 400, "convert it with astype"},
		{"/score?level=1", slices.Concat(good, array(t, []int{3}, []float32{1, 1, 1})), 400, "goes on after x"},
		{"/score", slices.Concat(good, array(t, []int{2}, []float32{1, 1})), 400, "expected (3,), a sigma or a level"},
		{"/score", slices.Concat(good, array(t, []int{3}, []int64{0, 77, 1})), 400, "the level of row 1 is 77"},
		{"/score", slices.Concat(good, array(t, []int{3}, []float32{1, 1, -1})), 400, "the sigma of row 2 is -1"},
		{"/sample?n=0", nil, 400, `n is "0": expected a whole number from 1`},
		{"/sample?n=99999999999", nil, 400, "expected a whole number"},
		{"/nothing", nil, 404, "expected /model, /score, /denoise or /sample"},
		{"/model", nil, 405, "expected GET"},
	} {
		status, answer := s.post(t, c.path, c.body)
		if status != c.status || !strings.Contains(string(answer), c.want) || strings.Count(string(answer), "\n") != 1 {
			t.Errorf("%s: status %d, %.200q; expected %d and %q", c.path, status, string(answer), c.status, c.want)
		}
	}
	for header, value := range map[string]string{"Host": "evil.example", "Origin": "http://evil.example"} {
		q, err := http.NewRequest(http.MethodGet, s.url+"/model", nil)
		if err != nil {
			t.Fatal(err)
		}
		if q.Header.Set(header, value); header == "Host" {
			q.Host = value
		}
		r, err := http.DefaultClient.Do(q)
		if err != nil || r.StatusCode != http.StatusForbidden {
			t.Errorf("%s %s: %v, %v", header, value, r.Status, err)
		}
		r.Body.Close()
	}
	if status, _ := s.post(t, "/score?level=1", good); status != 200 {
		t.Errorf("after all of that status %d", status)
	}
	s.stop()
}

// With -until-eof a server ends when its standard input does, and not before.
func TestServeUntilEOF(t *testing.T) {
	in, out := io.Pipe()
	s := startWith(t, in, vectors(t), "-until-eof")
	if status, _ := s.post(t, "/sample?n=1", nil); status != 200 {
		t.Errorf("status %d", status)
	}
	out.Close()
	select {
	case <-s.ended:
	case <-time.After(time.Minute):
		t.Error("it goes on")
	}
	if code, said := s.stop(); code != 0 || !strings.Contains(said, "stopped") {
		t.Errorf("exit code %d: %s", code, said)
	}
}

// The Python file asks for the same scores, and its program does not outlive it.
func TestExtrasPythonModel(t *testing.T) {
	python := extras.Python(t, "numpy")
	g := small(t)
	out := filepath.Join(t.TempDir(), "s.npy")
	must(t, g.checkpoint, "-input", g.x, "-level", "1", "-o", out)
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(python, filepath.Join("testdata", "prior.py"), g.checkpoint, g.x, out, vectors(t))
	c.Env = append(os.Environ(), "PYTHONPATH="+filepath.Join(golden.Module(), "cmd", "sigmaz", "python"), "PYTHONDONTWRITEBYTECODE=1",
		"SIGMAZ="+program, asProgram+"=1", "http_proxy=http://127.0.0.1:9")
	said, err := c.CombinedOutput()
	child := regexp.MustCompile(`child (\d+)`).FindSubmatch(said)
	if err == nil || child == nil { // its last act is to kill itself
		t.Fatalf("%v: %s", err, said)
	}
	for _, want := range []string{"takes (N, 1, 12, 8)", "the noise is missing", "level is 99", "was trained without",
		"nowhere does not exist", "sigma and level are both given", "Cannot cast"} {
		if !strings.Contains(string(said), want) {
			t.Errorf("it says %q, expected %q", said, want)
		}
	}
	for range 100 {
		if _, err := os.Stat(fmt.Sprintf("/proc/%s", child[1])); err != nil {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Errorf("process %s goes on", child[1])
}

// A client that sends all of a large body before it reads finds the sentence, though the first bytes decide.
func TestLargeBadBody(t *testing.T) {
	s := start(t, vectors(t))
	host := strings.TrimPrefix(s.url, "http://")
	c, err := net.Dial("tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	const size = 24 << 20
	fmt.Fprintf(c, "POST /score?sigma=1 HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n", host, size)
	if _, err := c.Write(bytes.Repeat([]byte("no array "), size/9+1)[:size]); err != nil {
		t.Fatalf("the connection was cut: %v", err)
	}
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusBadRequest || !strings.Contains(string(text), "NPY") {
		t.Errorf("%d %q %v", r.StatusCode, text, err)
	}
}

// unserved is a server on so many devices, which httptest serves.
func unserved(t *testing.T, path string, devices int) (*server, *httptest.Server) {
	t.Helper()
	o := newOptions()
	f, err := modelfile.Open(path, &o.file, o.Command)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	var list cli.Devices
	for range devices {
		list = append(list, kernels.NewCPU(1))
	}
	v, err := newServer(f, list, kernels.Float32, 4)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(v.handler())
	t.Cleanup(s.Close)
	v.hosts = httpd.HostsOf("127.0.0.1:0", s.Listener)
	return v, s
}

// Each device gives the same answers, and a request that finds one free waits for no other.
func TestServeDevices(t *testing.T) {
	v, s := unserved(t, vectors(t), 3)
	on := &running{url: s.URL}
	x := array(t, []int{7, 2}, []float32{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14})
	for path, body := range map[string][]byte{"/score?sigma=0.5&class=1": x, "/denoise?level=2&class=0": x, "/sample?n=6&seed=4": nil} {
		var want []byte
		for device := range 3 {
			var held []*unit
			for range 2 {
				held = append(held, <-v.free)
			}
			status, got := on.post(t, path, body)
			if want == nil {
				want = got
			}
			if status != http.StatusOK || !bytes.Equal(got, want) {
				t.Errorf("%s, device %d: status %d, %.200q", path, device, status, got)
			}
			for _, u := range held { // the one that answered is the last to be held
				v.free <- u
			}
		}
	}
}

// A device that is lost gets no other request.
func TestServeLost(t *testing.T) {
	v, _ := unserved(t, vectors(t), 2)
	lost := fmt.Errorf("running: %w", &cuda.Error{Call: "cuGraphLaunch", Code: 719})
	ask := func(said error) (device int, err error) {
		err = v.inTurn(context.Background(), func(u *unit) error { device = u.n; return said })
		return device, err
	}
	first, err := ask(lost)
	var bad *refusal
	if want := fmt.Sprintf("GPU %d of -gpus 2: running: cuGraphLaunch", first); !errors.As(err, &bad) || bad.status != http.StatusServiceUnavailable ||
		!strings.HasPrefix(bad.text, want) || !strings.HasPrefix((<-v.lost).Error(), want) {
		t.Errorf("%v, expected %s", err, want)
	}
	for range 5 {
		if device, err := ask(errors.New("too many rows")); device == first || fmt.Sprintf("GPU %d of -gpus 2: too many rows", device) != err.Error() {
			t.Errorf("device %d: %v", device, err)
		}
	}
	if _, err := ask(refusef("no")); err.Error() != "no" {
		t.Errorf("a refusal became %q", err)
	}
	if len(v.free) != 1 {
		t.Errorf("%d devices are free", len(v.free))
	}
}

// Requests beyond what there is room for are told to come again, and the room is given back.
func TestFull(t *testing.T) {
	v, s := unserved(t, vectors(t), 1)
	x := array(t, []int{3, 2}, make([]float32, 6))
	ask := func(path string, body []byte) (status int, text, again string) {
		t.Helper()
		r, err := http.Post(s.URL+path, "", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return r.StatusCode, string(b), r.Header.Get("Retry-After")
	}
	asks := map[string][]byte{"/score?sigma=1&class=0": x, "/denoise?level=0&class=1": x, "/sample?n=3": nil}
	for path, body := range asks {
		v.memory.Store(mostMemory - 4*4*6 + 1)
		if status, text, again := ask(path, body); status != http.StatusServiceUnavailable || again != "1" ||
			!strings.Contains(text, "ask again later, or send fewer rows") {
			t.Errorf("%s without memory: %d %q %q", path, status, text, again)
		}
		if v.memory.Load() != mostMemory-4*4*6+1 {
			t.Errorf("%s takes memory though it is refused", path)
		}
		v.memory.Store(mostMemory - 4*4*6)
		if status, text, _ := ask(path, body); status != http.StatusOK {
			t.Errorf("%s with memory: %d %q", path, status, text)
		}
		if v.memory.Load() != mostMemory-4*4*6 {
			t.Errorf("%s keeps memory", path)
		}
		v.memory.Store(0)
		for range mostWaiting {
			v.waiting <- struct{}{}
		}
		if status, text, again := ask(path, body); status != http.StatusServiceUnavailable || again != "1" || !strings.Contains(text, "64 requests wait") {
			t.Errorf("%s in a queue: %d %q %q", path, status, text, again)
		}
		for range mostWaiting {
			<-v.waiting
		}
	}
	for path, want := range map[string]string{ // of one class or several, which all is a word for
		"/score?sigma=1&class=all":   "class is \"all\": expected one of the classes of " + v.f.Path + " (0, 1), or none\n",
		"/score?sigma=1&class=0%2C1": "class is \"0,1\": expected one class for all rows\n",
		"/sample?class=many":         "class is \"many\": expected one of the classes of " + v.f.Path + " (0, 1), or all or none\n",
	} {
		if status, text, _ := ask(path, x); status != http.StatusBadRequest || text != want {
			t.Errorf("%s: %d %q, expected %q", path, status, text, want)
		}
	}
	for range mostWaiting { // a bad request gives its place back
		ask("/score?sigma=1", []byte("no"))
	}
	for range mostWaiting { // nor is there room to read it away
		v.waiting <- struct{}{}
		v.refused <- struct{}{}
	}
	r, err := http.Post(s.URL+"/score?sigma=1", "", bytes.NewReader(x))
	if err != nil || r.StatusCode != http.StatusServiceUnavailable || !r.Close {
		t.Errorf("%+v %v", r, err)
	}
	r.Body.Close()
	for range mostWaiting {
		<-v.waiting
		<-v.refused
	}
	if len(v.waiting) != 0 || len(v.refused) != 0 || v.memory.Load() != 0 {
		t.Errorf("%d and %d places and %d bytes are kept", len(v.waiting), len(v.refused), v.memory.Load())
	}
}
