package rendezvous

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// port listens for rank 0 on this machine.
func port(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// configs are those of a run of this process's goroutines.
func configs(t *testing.T, size int) (all []Config) {
	l := port(t)
	for rank := range size {
		c := Config{Rank: rank, Size: size, Address: l.Addr().String(), Run: t.Name(), Wait: time.Minute, Silence: 2 * time.Second}
		if rank == 0 {
			c.Listener = l
		}
		all = append(all, c)
	}
	return all
}

// each joins and does something as each rank.
func each(t *testing.T, all []Config, do func(r *Room)) {
	t.Helper()
	var ranks sync.WaitGroup
	for _, c := range all {
		ranks.Go(func() {
			r, err := Join(t.Context(), c)
			if err != nil {
				t.Errorf("rank %d: %v", c.Rank, err)
				return
			}
			do(r)
		})
	}
	ranks.Wait()
}

func TestAllGather(t *testing.T) {
	for _, size := range []int{1, 2, 5} {
		each(t, configs(t, size), func(r *Room) {
			if r.Size() != size {
				t.Errorf("size %d, expected %d", r.Size(), size)
			}
			part := func(rank, round int) []byte { return bytes.Repeat([]byte{byte(rank + round)}, rank*round) }
			for round := range 100 {
				all, err := r.AllGather(part(r.Rank(), round))
				if err != nil || len(all) != size {
					t.Errorf("rank %d: %d parts, %v", r.Rank(), len(all), err)
					break
				}
				for rank, got := range all {
					if want := part(rank, round); !bytes.Equal(got, want) {
						t.Errorf("rank %d has %v of rank %d, expected %v", r.Rank(), got, rank, want)
					}
				}
			}
			large := make([]byte, MaxMessage)
			if all, err := r.AllGather(large); err != nil || len(all[size-1]) != len(large) {
				t.Errorf("the longest message: %v", err)
			}
			if _, err := r.AllGather(append(large, 0)); err == nil {
				t.Error("a longer one is taken")
			}
			time.Sleep(time.Duration(r.Rank()) * 20 * time.Millisecond)
			if err := r.Close(nil); err != nil {
				t.Errorf("rank %d takes leave: %v", r.Rank(), err)
			}
			if err := r.Err(); err != nil {
				t.Errorf("rank %d has lost one: %v", r.Rank(), err)
			}
		})
	}
}

// Nobody leaves before the others do.
func TestCloseWaits(t *testing.T) {
	var mu sync.Mutex
	var left []int
	each(t, configs(t, 3), func(r *Room) {
		if r.Rank() == 1 {
			time.Sleep(300 * time.Millisecond)
			mu.Lock()
			left = append(left, -1)
			mu.Unlock()
		}
		if err := r.Close(nil); err != nil {
			t.Error(err)
		}
		mu.Lock()
		left = append(left, r.Rank())
		mu.Unlock()
	})
	if len(left) != 4 || left[0] != -1 {
		t.Errorf("took leave: %v, expected the slow one (-1) to let the others wait", left)
	}
}

// where is what a sentence says of a process, which differs.
var where = regexp.MustCompile(` on \S+ \(process \d+\)`)

func said(err error) string {
	if err == nil {
		return ""
	}
	return where.ReplaceAllString(err.Error(), "")
}

// die ends a rank's connections as the end of its process does.
func die(r *Room) {
	r.closing.Store(true)
	for _, p := range r.all() {
		p.conn.Close()
	}
}

// A rank that is lost is named by all others, in whatever they do.
func TestLost(t *testing.T) {
	const size = 4
	for _, test := range []struct {
		name string
		bad  int
		do   func(r *Room)
		want string // of the others
	}{
		{"killed", 2, func(r *Room) { die(r) }, "rank 2 has ended without a word: it was killed, or its machine has failed"},
		{"killed 0", 0, func(r *Room) { die(r) }, "rank 0 has ended without a word: it was killed, or its machine has failed"},
		{"fails", 3, func(r *Room) { r.Close(errors.New("no memory")) }, "rank 3 failed: no memory"},
		{"fails 0", 0, func(r *Room) { r.Close(errors.New("no memory")) }, "rank 0 failed: no memory"},
		{"leaves", 1, func(r *Room) { r.Close(nil) }, "rank 1 has left, and others wait for it"},
		{"half a frame", 1, func(r *Room) {
			p := r.all()[0]
			p.sending.Lock() // no beat between
			p.conn.Write([]byte{kindPart, 100, 0, 0, 0, 1, 2, 3})
			die(r)
		}, "rank 1 has ended without a word: it was killed, or its machine has failed"},
		{"too long", 1, func(r *Room) { r.all()[0].send([]byte{kindPart, 255, 255, 255, 255}, time.Second) },
			"the connection to rank 1 has failed: a message of 4294967295 bytes, expected at most 1048576"},
		{"garbage", 1, func(r *Room) { r.all()[0].send([]byte("GET / HTTP/1.1"), time.Second) },
			"the connection to rank 1 has failed: it sends what is no message"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var well sync.WaitGroup
			well.Add(size)
			each(t, configs(t, size), func(r *Room) {
				for range 3 {
					if _, err := r.AllGather(nil); err != nil {
						t.Error(err)
					}
				}
				well.Done()
				well.Wait()
				if r.Rank() == test.bad {
					test.do(r)
					return
				}
				if r.Rank() == 3 { // waits for no message
					<-r.Lost()
				}
				_, err := r.AllGather([]byte("word"))
				if got := said(err); got != test.want {
					t.Errorf("rank %d: %q, expected %q", r.Rank(), got, test.want)
				}
				if _, again := r.AllGather(nil); again == nil || again.Error() != err.Error() {
					t.Errorf("rank %d: then %v", r.Rank(), again)
				}
				if got := said(r.Err()); got != test.want {
					t.Errorf("rank %d: Err is %q", r.Rank(), got)
				}
				if err := r.Close(nil); said(err) != test.want {
					t.Errorf("rank %d takes leave: %v", r.Rank(), err)
				}
			})
		})
	}
}

// A rank whose machine says nothing any more is named by all others, and by itself where it comes back.
func TestSilent(t *testing.T) {
	all := configs(t, 3)
	for i := range all {
		all[i].Silence = 500 * time.Millisecond
	}
	each(t, all, func(r *Room) {
		if r.Rank() == 1 {
			r.all()[0].sending.Lock() // no beat goes out
		}
		since := time.Now()
		select {
		case <-r.Lost():
		case <-time.After(10 * time.Second):
			t.Errorf("rank %d has not noticed", r.Rank())
		}
		want := "rank 1 has been silent for 1s: it was stopped, or its machine or network hangs"
		if r.Rank() == 1 {
			want = "the other ranks have ended without this one: " + want
			r.all()[0].sending.Unlock()
		}
		if got := said(r.Err()); got != want || time.Since(since) > 5*time.Second {
			t.Errorf("rank %d: %q after %v, expected %q", r.Rank(), got, time.Since(since), want)
		}
		r.Close(r.Err())
	})
}

// A rank that says that it hangs is lost where another waits, and not where all do.
func TestHangs(t *testing.T) {
	for _, test := range []struct {
		states []State
		lost   int // -1: none; -2: what is between them
	}{
		{[]State{Waits, Well, Hangs}, 2}, {[]State{Hangs, Well, Waits}, 0}, {[]State{Well, Hangs, Waits}, 1},
		{[]State{Hangs, Hangs, Hangs}, -1}, {[]State{Well, Hangs, Well}, -1}, {[]State{Waits, Waits, Well}, -1},
		{[]State{Waits, Waits, Waits}, -2},
	} {
		var mu sync.Mutex
		heard := map[int]string{}
		all := configs(t, len(test.states))
		for i := range all {
			all[i].Silence, all[i].Stall = time.Second, 200*time.Millisecond // a beat is a fifteenth
		}
		each(t, all, func(r *Room) {
			r.Watch(func() State { return test.states[r.Rank()] })
			select {
			case <-r.Lost():
			case <-time.After(600 * time.Millisecond):
			}
			mu.Lock()
			heard[r.Rank()] = said(r.Err())
			mu.Unlock()
			r.Close(nil)
		})
		for rank := range test.states {
			want := ""
			if test.lost >= 0 {
				want = fmt.Sprintf("rank %d hangs: it beats, but has not come on in a step for far longer than its steps take, and others wait for it", test.lost)
			}
			if test.lost == -2 {
				want = "all ranks wait for each other: what carries gradients between them hangs, such as a network or its driver"
			}
			if rank == test.lost {
				want = "the other ranks have ended without this one: " + want
			}
			if heard[rank] != want {
				t.Errorf("%v: rank %d hears %q, expected %q", test.states, rank, heard[rank], want)
			}
		}
	}
}

// Who comes to the port and is not of the run changes nothing, and is told why where it is one of us.
func TestStrangers(t *testing.T) {
	all := configs(t, 3)
	address := all[0].Address
	var ranks sync.WaitGroup
	join := func(c Config) {
		ranks.Go(func() {
			r, err := Join(t.Context(), c)
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := r.AllGather([]byte{1}); err != nil {
				t.Error(err)
			}
			if err := r.Close(nil); err != nil {
				t.Error(err)
			}
		})
	}
	join(all[0])
	join(all[1])
	for _, send := range []string{"", "GET / HTTP/1.1\r\n\r\n", "\x00\x00\x00\x00", magic[:7], magic, magic + "h", magic + "h\xff\xff\xff\xff",
		magic + "h\x02\x00\x00\x00{", magic + "h\x02\x00\x00\x00[]", magic + "q", magic + "l\x02\x00\x00\x00{}"} {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(conn, send)
		if send != "" && send != magic+"h" { // some stay
			conn.(*net.TCPConn).CloseWrite()
			conn.SetDeadline(time.Now().Add(10 * time.Second))
			if got, _ := io.ReadAll(conn); len(got) > 0 {
				t.Errorf("%q is answered %q", send, got)
			}
		}
		defer conn.Close()
	}
	for _, test := range []struct {
		change func(c *Config)
		want   string
	}{
		{func(c *Config) { c.Run = "other" }, "rank 2 did not reach rank 0 at ADDRESS within 1s: another run has this port; see that rank 0 was " +
			"started, and that this machine reaches the address"},
		{func(c *Config) { c.Size = 4 }, "rank 0 at ADDRESS turned rank 2 away: it was started as one of 4 ranks, and rank 0 as one of 3: start " +
			"all with the same number"},
		{func(c *Config) { c.Rank = 1 }, "rank 0 at ADDRESS turned rank 1 away: there is a rank 1 already: start each rank once"},
	} {
		c := all[2]
		c.Wait = time.Second
		test.change(&c)
		for {
			_, err := Join(t.Context(), c)
			got := strings.ReplaceAll(said(err), address, "ADDRESS")
			if got == test.want {
				break
			}
			if c.Rank == 1 && err == nil { // it was there before the other
				t.Fatal("two of a rank are let in")
			}
			t.Errorf("%q, expected %q", got, test.want)
			break
		}
	}
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, brand+"0\n")
	conn.(*net.TCPConn).CloseWrite()
	if got, err := io.ReadAll(conn); err != nil || string(got) != magic {
		t.Errorf("another version is answered %q, %v", got, err)
	}
	join(all[2])
	ranks.Wait()
}

// A rank that gives up waiting for an answer, as where strangers keep rank 0 busy, comes again and is let in: what it left at the
// port is no rank that has died.
func TestComesAgain(t *testing.T) {
	all := configs(t, 3)
	for range 3 {
		conn, err := net.Dial("tcp", all[0].Address)
		if err != nil {
			t.Fatal(err)
		}
		conn.Write(append([]byte(magic), word(kindHello, self(all[1]))...))
		conn.Close()
	}
	each(t, all, func(r *Room) {
		if said, err := r.AllGather([]byte{byte(r.Rank())}); err != nil || len(said) != 3 {
			t.Errorf("rank %d: %v, %v", r.Rank(), said, err)
		}
		if err := r.Close(nil); err != nil {
			t.Errorf("rank %d: %v", r.Rank(), err)
		}
	})
}

// Of another version, of no version, and of none at all: what a rank says of who answers in the place of rank 0.
func TestAnotherAnswers(t *testing.T) {
	for answer, want := range map[string]string{
		brand + "0\n":                       "rank 0 at ADDRESS is of another version of this program: start all ranks with the same file",
		"SSH-2.0-OpenSSH\r\n":               "rank 1 did not reach rank 0 at ADDRESS within 300ms: another program answers there; see",
		magic + "w\xff\xff\xff\xff":         "rank 1 did not reach rank 0 at ADDRESS within 300ms: another program answers there; see",
		magic + "r\x02\x00\x00\x00{}":       "rank 0 at ADDRESS turned rank 1 away: ",
		magic + "w\x02\x00\x00\x00nothing?": "rank 1 did not reach rank 0 at ADDRESS within 300ms: another program answers there; see",
	} {
		l := port(t)
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				io.WriteString(conn, answer)
				io.CopyN(io.Discard, conn, 100)
				conn.Close()
			}
		}()
		_, err := Join(t.Context(), Config{Rank: 1, Size: 2, Address: l.Addr().String(), Wait: 300 * time.Millisecond})
		if got := strings.ReplaceAll(fmt.Sprint(err), l.Addr().String(), "ADDRESS"); !strings.HasPrefix(got, want) {
			t.Errorf("%q: %q, expected %q", answer, got, want)
		}
		l.Close()
	}
}

// What keeps ranks from coming together is said in a sentence, by those who are there, too.
func TestNotAllCome(t *testing.T) {
	all := configs(t, 5)
	for i := range all {
		all[i].Wait = time.Second
	}
	want := "ranks 1, 3 and 4 of 5 did not come to " + all[0].Address + " within 1s: see that all were started, and that their machines " +
		"reach this address"
	var ranks sync.WaitGroup
	for _, rank := range []int{0, 2} {
		ranks.Go(func() {
			_, err := Join(t.Context(), all[rank])
			want := want
			if rank == 2 {
				want = "rank 0 failed: " + want
			}
			if got := said(err); got != want {
				t.Errorf("rank %d: %q, expected %q", rank, got, want)
			}
		})
	}
	ranks.Wait()

	taken := port(t)
	defer taken.Close()
	free := port(t)
	free.Close()
	for _, test := range []struct {
		c    Config
		want string
	}{
		{Config{Rank: 0, Size: 2, Address: taken.Addr().String()}, "rank 0 cannot listen at " + taken.Addr().String() + ": another program has port "},
		{Config{Rank: 1, Size: 2, Address: free.Addr().String()}, "rank 1 did not reach rank 0 at " + free.Addr().String() +
			" within 300ms: connection refused; see that rank 0 was started, and that this machine reaches the address"},
		{Config{Rank: 1, Size: 2, Address: "no-such-host.invalid:29500"}, "rank 1 did not reach rank 0 at no-such-host.invalid:29500 within 300ms: " +
			"the name no-such-host.invalid does not resolve ("},
		{Config{Rank: 1, Size: 2, Address: "host"}, `"host" is no address: expected HOST:PORT of rank 0, such as node1:29500 or [fd00::1]:29500`},
		{Config{Rank: 1, Size: 2, Address: "host:0"}, `"host:0" is no address: `},
		{Config{Rank: 1, Size: 2, Address: ":29500"}, `":29500" is no address: `},
		{Config{Rank: 1, Size: 2, Address: "fd00::1:29500"}, `"fd00::1:29500" is no address: `},
		{Config{Rank: 2, Size: 1 << 40}, "rank 2 of 1099511627776: expected at most 4096 ranks"},
		{Config{Rank: 2, Size: 2}, "rank 2 of 2: expected a rank from 0 to below the number of ranks"},
	} {
		test.c.Wait = 300 * time.Millisecond
		if _, err := Join(t.Context(), test.c); !strings.HasPrefix(fmt.Sprint(err), test.want) {
			t.Errorf("%v: %v, expected %s", test.c, err, test.want)
		}
	}
}

// A rank that is asked to stop while it waits does so at once, and the others hear of it.
// Whoever waits for long says for whom, once.
func TestLate(t *testing.T) {
	t.Parallel()
	all := configs(t, 3)
	address := all[0].Address
	said := make(chan string, 4)
	ctx, cancel := context.WithTimeout(t.Context(), LateTime+time.Second)
	defer cancel()
	var ranks sync.WaitGroup
	for _, c := range []Config{all[0], {Rank: 1, Size: 3, Run: "another", Address: address}} {
		ranks.Go(func() {
			c.Late = func(who string) { said <- fmt.Sprint(c.Rank, " ", who) }
			if r, err := Join(ctx, c); err == nil {
				t.Error("all ranks are said to be there")
				r.Close(nil)
			}
		})
	}
	ranks.Wait()
	close(said)
	var got []string
	for text := range said {
		got = append(got, text)
	}
	slices.Sort(got)
	want := []string{"0 it waits for ranks 1 and 2 of 3 to come to " + address + ", 1m0s in all",
		"1 it waits for rank 0 to answer at " + address + ", 5m0s in all"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, expected %q", got, want)
	}
}

func TestStopped(t *testing.T) {
	all := configs(t, 3)
	ctx, cancel := context.WithCancel(t.Context())
	var ranks sync.WaitGroup
	for rank := range 2 {
		ranks.Go(func() {
			of := t.Context()
			if rank == 1 {
				of = ctx
			}
			_, err := Join(of, all[rank])
			if rank == 1 && !errors.Is(err, context.Canceled) {
				t.Errorf("the one that is asked: %v", err)
			}
			if want := "rank 1 failed: it was stopped before all ranks were there"; rank == 0 && said(err) != want {
				t.Errorf("rank 0: %v, expected %s", err, want)
			}
		})
	}
	time.Sleep(300 * time.Millisecond)
	cancel()
	ranks.Wait()
}

// Rank 0 listens at a spare address where another program has the port, and the others find it there; ::1 is an address, too.
func TestAddresses(t *testing.T) {
	taken, free := port(t), port(t)
	defer taken.Close()
	go func() {
		for {
			conn, err := taken.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
	free.Close()
	six, err := net.Listen("tcp", "[::1]:0")
	if err == nil {
		six.Close()
	}
	for _, c := range []Config{
		{Address: taken.Addr().String(), Spare: []string{free.Addr().String()}},
		{Address: strings.Replace(free.Addr().String(), "127.0.0.1", "localhost", 1)},
		{Address: fmt.Sprint(six)},
	} {
		if six != nil {
			c.Address = strings.Replace(c.Address, fmt.Sprint(six), six.Addr().String(), 1)
		} else if strings.HasPrefix(c.Address, "<nil>") {
			continue // a machine without IPv6
		}
		var all []Config
		for c.Rank = range 3 {
			c.Size = 3
			all = append(all, c)
		}
		each(t, all, func(r *Room) {
			if _, err := r.AllGather(nil); err != nil {
				t.Error(err)
			}
			if err := r.Close(nil); err != nil {
				t.Error(err)
			}
		})
	}
}

// member is a rank in a process of its own, for the tests that stop and kill it.
func TestMain(m *testing.M) {
	address := os.Getenv("RENDEZVOUS_MEMBER")
	if address == "" {
		os.Exit(m.Run())
	}
	var c Config
	fmt.Sscan(address, &c.Rank, &c.Size, &c.Address)
	c.Run, c.Silence = "members", 2*time.Second
	r, err := Join(context.Background(), c)
	for err == nil {
		time.Sleep(10 * time.Millisecond)
		_, err = r.AllGather([]byte{byte(c.Rank)})
	}
	fmt.Println(err)
	r.Close(err)
	os.Exit(1)
}
