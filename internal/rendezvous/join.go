// How ranks come together. Rank 0 lets in who is of its run, and turns away or leaves unanswered who is not: another run's rank
// at the same port, another version, a program that looks what listens there. The others try again until rank 0 is there.

package rendezvous

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Config is what a rank knows before it has met the others.
type Config struct {
	Rank, Size int
	Address    string       // HOST:PORT, where rank 0 listens and the others come
	Spare      []string     // where rank 0 listens if it cannot there, the first that is free; the others come there, too
	Listener   net.Listener // of rank 0, where it listens already, and then Address is what it tells people; nil: there is none
	// Run tells this run from others: a rank comes in if it has the same text. It is no secret, and no password.
	Run     string
	Wait    time.Duration // for all to come; 0: DefaultWait
	Silence time.Duration // after which a rank counts as lost; 0: DefaultSilence
	Stall   time.Duration // for which all may wait for each other; 0: DefaultStall
	// Late, where it is not nil, is told once, in a sentence, whom this rank waits for when it has done so for LateTime.
	Late func(who string)
}

// What holds where a Config says nothing.
const (
	DefaultWait    = 5 * time.Minute
	DefaultSilence = 15 * time.Second
	DefaultStall   = 5 * time.Minute // a slow network may take long
	LateTime       = 10 * time.Second
)

// MaxSize is the largest number of ranks.
const MaxSize = 4096

const (
	handshakeTime = 5 * time.Second // for who came to say who it is
	handshakes    = 64              // at a time
	retryTime     = 200 * time.Millisecond
)

func (c Config) sum() string { return fmt.Sprintf("%x", sha256.Sum256([]byte(c.Run))) }

// check finds what is wrong, and fills in what is not said.
func (c *Config) check() error {
	switch {
	case c.Size < 1 || c.Rank < 0 || c.Rank >= c.Size:
		return fmt.Errorf("rank %d of %d: expected a rank from 0 to below the number of ranks", c.Rank, c.Size)
	case c.Size > MaxSize:
		return fmt.Errorf("rank %d of %d: expected at most %d ranks", c.Rank, c.Size, MaxSize)
	}
	if c.Wait == 0 {
		c.Wait = DefaultWait
	}
	c.Stall = cmp.Or(c.Stall, DefaultStall)
	if c.Silence == 0 {
		c.Silence = DefaultSilence
	}
	if c.Size == 1 || c.Listener != nil {
		return nil
	}
	for _, a := range c.addresses() {
		if err := CheckAddress(a); err != nil {
			return err
		}
	}
	return nil
}

// CheckAddress refuses what is no address.
func CheckAddress(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err == nil && host != "" {
		var n int
		if n, err = net.LookupPort("tcp", port); err == nil && n > 0 {
			return nil
		}
	}
	return fmt.Errorf("%q is no address: expected HOST:PORT of rank 0, such as node1:29500 or [fd00::1]:29500", address)
}

func (c Config) addresses() []string { return append([]string{c.Address}, c.Spare...) }

// Join meets the other ranks of a run: it returns when all are there. It fails where one does not come in time, was started
// for another number of ranks, or is there already, and when ctx is done.
func Join(ctx context.Context, c Config) (*Room, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	r := newRoom(c)
	if c.Size == 1 {
		r.start()
		return r, nil
	}
	wait, cancel := context.WithTimeout(ctx, c.Wait)
	defer cancel()
	r.start()
	var err error
	if c.Rank == 0 {
		err = r.receive(wait, c)
	} else {
		err = r.come(wait, c)
	}
	if err == nil {
		err = r.introduce(ctx) // however long rank 0 waits for the rest
	}
	why := err
	if stopped := ctx.Err(); err != nil && stopped != nil {
		err, why = stopped, errors.New("it was stopped before all ranks were there")
	}
	if err != nil {
		r.Close(why)
		return nil, err
	}
	return r, nil
}

// listen returns a listener of rank 0. It takes all of the machine's addresses, as the one by which others come may be that of
// something in between, unless others of this machine alone can come.
func (c Config) listen() (net.Listener, error) {
	if c.Listener != nil {
		return c.Listener, nil
	}
	var first error
	for _, a := range c.addresses() {
		host, port, _ := net.SplitHostPort(a)
		if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
			host = ""
		}
		l, err := net.Listen("tcp", net.JoinHostPort(host, port))
		if err == nil {
			return l, nil
		}
		if first == nil {
			first = fmt.Errorf("rank 0 cannot listen at %s: %w", a, plain(err))
			if errors.Is(err, syscall.EADDRINUSE) {
				first = fmt.Errorf("rank 0 cannot listen at %s: another program has port %s on this machine; choose another port, for all ranks",
					a, port)
			}
		}
	}
	return nil, first
}

// receive is rank 0's part: it lets the others in.
func (r *Room) receive(ctx context.Context, c Config) error {
	l, err := c.listen()
	if err != nil {
		return err
	}
	d := &door{room: r, own: self(c), in: map[int]*peer{}, full: make(chan struct{})}
	var open sync.WaitGroup
	defer open.Wait()
	door, shut := context.WithCancel(ctx)
	defer shut()
	defer l.Close() // nobody comes in after all are there
	open.Go(func() { d.keep(door, l) })
	defer c.late(func() string { return fmt.Sprintf("%s of %d to come to %s", d.missing(c), c.Size, c.Address) })()
	select {
	case <-d.full:
		return nil
	case <-r.lost:
		return r.Err()
	case <-ctx.Done():
		return d.absent(c)
	}
}

// late has it said whom this rank waits for, after a while; the function that it returns takes that back.
func (c Config) late(who func() string) (stop func()) {
	if c.Late == nil {
		return func() {}
	}
	said := make(chan struct{})
	t := time.AfterFunc(LateTime, func() {
		defer close(said)
		c.Late(fmt.Sprintf("it waits for %s, %v in all", who(), c.Wait))
	})
	return func() {
		if !t.Stop() {
			<-said
		}
	}
}

// door is who came to rank 0.
type door struct {
	room *Room
	own  hello
	full chan struct{} // closed when all are in

	mu     sync.Mutex
	in     map[int]*peer
	turned string // who was turned away last, and why
}

// keep answers who comes until the listener is closed and ctx done.
func (d *door) keep(ctx context.Context, l net.Listener) {
	var busy sync.WaitGroup
	defer busy.Wait()
	free := make(chan struct{}, handshakes)
	for {
		conn, err := l.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			time.Sleep(retryTime) // out of files, or the like
			continue
		}
		free <- struct{}{}
		busy.Go(func() {
			defer func() { <-free }()
			if !d.answer(ctx, conn) {
				conn.Close()
			}
		})
	}
}

// answer says who came whether it may come in, and whether it did.
func (d *door) answer(ctx context.Context, conn net.Conn) bool {
	conn.SetDeadline(time.Now().Add(handshakeTime))
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Now()) })
	defer stop()
	switch err := readMagic(conn); {
	case errors.Is(err, errVersion):
		d.note(fmt.Sprintf("%s, which is %v", conn.RemoteAddr(), err))
		away(conn, nil)
		return false
	case err != nil:
		return false
	}
	var h hello
	if kind, err := readKind(conn); err != nil || kind != kindHello || readWord(conn, &h) != nil {
		return false
	}
	if h.Run != d.own.Run {
		away(conn, word(kindRefusal, refusal{"another run has this port", true}))
		return false
	}
	p := newPeer(conn, h, d.room.limit())
	if no := d.admit(p); no != nil {
		if !no.Again {
			d.note(fmt.Sprintf("%s, as %s", h.name(), no.Text))
		}
		away(conn, word(kindRefusal, no))
		return false
	}
	_, err := conn.Write(append([]byte(magic), word(kindWelcome, d.own)...))
	if err == nil {
		_, err = readKind(conn) // a beat
	}
	if err != nil || !stop() { // it had given up waiting for this answer, and comes again; or not all came
		d.forget(h.Rank)
		return false
	}
	conn.SetDeadline(time.Time{})
	d.room.add(p)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.in[h.Rank] = p; len(d.in) == d.own.Size-1 && !slices.Contains(d.ranks(), nil) {
		close(d.full)
	}
	return true
}

// away answers one that is turned away, and hears it out: a connection with unread bytes would be cut off before it has read
// the answer.
func away(conn net.Conn, answer []byte) {
	conn.Write(append([]byte(magic), answer...))
	shut(conn)
	io.CopyN(io.Discard, conn, maxWord)
}

// ranks lists who is in, nil for each whose welcome is still on its way.
func (d *door) ranks() (all []*peer) {
	for _, p := range d.in {
		all = append(all, p)
	}
	return all
}

// admit takes down that a rank is on its way in, or says why not.
func (d *door) admit(p *peer) (no *refusal) {
	d.mu.Lock()
	defer d.mu.Unlock()
	h := p.who
	in, coming := d.in[h.Rank]
	switch {
	case h.Size != d.own.Size:
		return &refusal{Text: fmt.Sprintf("it was started as one of %d ranks, and rank 0 as one of %d: start all with the same number",
			h.Size, d.own.Size)}
	case h.Rank == 0 || in != nil:
		return &refusal{Text: fmt.Sprintf("there is a rank %d already: start each rank once", h.Rank)}
	case h.Rank < 0 || h.Rank >= h.Size:
		return &refusal{Text: fmt.Sprintf("there is no rank %d of %d: start ranks 0 to %d", h.Rank, h.Size, h.Size-1)}
	case coming: // perhaps this one, which gave up and has come again
		return &refusal{fmt.Sprintf("a rank %d is on its way in", h.Rank), true}
	}
	d.in[h.Rank] = nil
	return nil
}

// forget takes back that a rank is on its way in.
func (d *door) forget(rank int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.in, rank)
}

func (d *door) note(who string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.turned = who
}

// missing lists who did not come.
func (d *door) missing(c Config) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var who []string
	for rank := 1; rank < c.Size; rank++ {
		if d.in[rank] == nil {
			who = append(who, fmt.Sprint(rank))
		}
	}
	switch len(who) {
	case 0: // the last one has come by now
		return "no rank"
	case 1:
		return "rank " + who[0]
	}
	return "ranks " + strings.Join(who[:len(who)-1], ", ") + " and " + who[len(who)-1]
}

// absent says who did not come.
func (d *door) absent(c Config) error {
	ranks := d.missing(c)
	d.mu.Lock()
	defer d.mu.Unlock()
	turned := ""
	if d.turned != "" {
		turned = "; turned away was " + d.turned
	}
	return fmt.Errorf("%s of %d did not come to %s within %v: see that all were started, and that their machines reach this address%s",
		ranks, c.Size, c.Address, c.Wait, turned)
}

// come is the part of the others: they look for rank 0 where it may be.
func (r *Room) come(ctx context.Context, c Config) error {
	addresses := c.addresses()
	last := make([]error, len(addresses))
	end, _ := ctx.Deadline() // which c.Wait sets
	defer c.late(func() string { return "rank 0 to answer at " + c.Address })()
	for {
		for i, a := range addresses {
			conn, rank0, again, err := visit(ctx, a, self(c))
			if err == nil {
				r.add(newPeer(conn, rank0, r.limit()))
				return nil
			}
			if last[i] == nil || ctx.Err() == nil && time.Now().Before(end) { // not that the time is over, which a connection may know first
				last[i] = err
			}
			if !again {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("rank %d did not reach rank 0 at %s within %v: %w; see that rank 0 was started, and that this machine reaches "+
				"the address", c.Rank, c.Address, c.Wait, last[0])
		case <-time.After(retryTime):
		}
	}
}

// visit asks rank 0 at an address to be let in. again says that it may be of use to ask once more.
func visit(ctx context.Context, address string, own hello) (conn net.Conn, rank0 hello, again bool, err error) {
	dial := net.Dialer{Timeout: handshakeTime}
	if conn, err = dial.DialContext(ctx, "tcp", address); err != nil {
		return nil, rank0, true, plain(err)
	}
	defer func() {
		if err != nil {
			conn.Close()
		}
	}()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Now()) })
	defer stop()
	conn.SetDeadline(time.Now().Add(handshakeTime))
	if _, err = conn.Write(append([]byte(magic), word(kindHello, own)...)); err != nil {
		return conn, rank0, true, plain(err)
	}
	switch err = readMagic(conn); {
	case errors.Is(err, errVersion):
		return conn, rank0, false, fmt.Errorf("rank 0 at %s is of %w: start all ranks with the same file", address, err)
	case err != nil:
		return conn, rank0, true, errStrangerAt
	}
	kind, err := readKind(conn)
	if err != nil {
		return conn, rank0, true, errStrangerAt
	}
	switch kind {
	case kindWelcome:
		if err = readWord(conn, &rank0); err != nil {
			return conn, rank0, true, errStrangerAt
		}
		if _, err = conn.Write([]byte{kindBeat}); err != nil {
			return conn, rank0, true, plain(err)
		}
		if !stop() { // the deadline of now is set, or will be
			return conn, rank0, true, ctx.Err()
		}
		conn.SetDeadline(time.Time{})
		return conn, rank0, false, nil
	case kindRefusal:
		var no refusal
		if err = readWord(conn, &no); err == nil {
			if err = fmt.Errorf("rank 0 at %s turned rank %d away: %s", address, own.Rank, no.Text); no.Again {
				err = errors.New(no.Text)
			}
			return conn, rank0, no.Again, err
		}
	}
	return conn, rank0, true, errStrangerAt
}

var errStrangerAt = errors.New("another program answers there")

// plain takes the names of calls off an error of the net: what is left is "connection refused" or the like.
func plain(err error) error {
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return fmt.Errorf("the name %s does not resolve (%s)", dns.Name, dns.Err)
	}
	var op *net.OpError
	if errors.As(err, &op) {
		var no syscall.Errno
		if errors.As(op.Err, &no) {
			return no
		}
		return op.Err
	}
	return err
}
