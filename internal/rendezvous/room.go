// The room in which the ranks of a run are, and the pulse by which each knows that the others live. Rank 0 hears all ranks, and
// each other rank hears rank 0. A connection that ends without goodbye, and a rank that was silent for too long, is a lost rank:
// whoever notices tells rank 0, rank 0 tells all, and everybody ends. A process may beat though its work hangs: so a beat says
// what the rank thinks of its own work, and one that hangs while another waits is lost, too.

package rendezvous

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Room is the ranks of a run, as one of them sees it.
type Room struct {
	rank, size int
	silence    time.Duration
	stall      time.Duration
	who        []hello // by rank; only Rank is known of those that have not been introduced

	mu    sync.Mutex
	peers []*peer // of rank 0 all others; of the others rank 0
	err   error   // why the room is lost

	state   atomic.Pointer[func() State] // what this rank says with each beat; nil: Well
	stalled time.Duration                // of rank 0: for how long, in beats, all have waited for each other

	failing atomic.Bool // it is being lost, and others are told
	lost    chan struct{}
	closing atomic.Bool // this rank takes leave: what ends now may
	done    chan struct{}
	leaving sync.Once
	work    sync.WaitGroup
}

// State is what a rank says of its work with a beat.
type State int32

const (
	Well  State = iota
	Waits       // for others, for long
	Hangs       // it has not come on for far longer than its work ever takes, and does not wait for others
)

// kinds of beats that say so.
var kinds = [...]byte{Well: kindBeat, Waits: kindWaits, Hangs: kindHangs}

// Watch has each beat say what state returns. It is called with every beat, about 15 times in the silence after which a rank
// counts as lost: it must return at once.
func (r *Room) Watch(state func() State) { r.state.Store(&state) }

// peer is the other end of a connection.
type peer struct {
	conn  net.Conn
	who   hello
	limit int // of what it may send at once
	start time.Time
	heard atomic.Int64  // when it was heard last, after start
	state atomic.Int32  // the State that it said last
	in    chan []byte   // what it sent
	left  chan struct{} // closed when it has taken leave
	ended chan struct{} // closed when nothing more comes

	sending sync.Mutex
}

func newRoom(c Config) *Room {
	r := &Room{rank: c.Rank, size: c.Size, silence: c.Silence, stall: c.Stall, lost: make(chan struct{}), done: make(chan struct{})}
	for rank := range c.Size {
		r.who = append(r.who, hello{Rank: rank})
	}
	r.who[c.Rank] = self(c)
	return r
}

// newPeer makes the other end of a connection. A rank is at most one call ahead of another, so two messages may lie unread.
func newPeer(conn net.Conn, who hello, limit int) *peer {
	return &peer{conn: conn, who: who, limit: limit, start: time.Now(), in: make(chan []byte, 2), left: make(chan struct{}),
		ended: make(chan struct{})}
}

// limit is what a peer may send at once.
func (r *Room) limit() int {
	if r.rank == 0 {
		return MaxMessage
	}
	return r.size * (4 + MaxMessage)
}

// Rank is the number of this process, from 0 on.
func (r *Room) Rank() int { return r.rank }

// Size is the number of processes.
func (r *Room) Size() int { return r.size }

// Lost is closed when a rank is lost, and the run with it. [Room.Err] then says which.
func (r *Room) Lost() <-chan struct{} { return r.lost }

// Err names the rank that is lost, in a sentence; nil as long as none is.
func (r *Room) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// add takes a peer in.
func (r *Room) add(p *peer) {
	r.mu.Lock()
	r.peers = append(r.peers, p)
	r.mu.Unlock()
	r.work.Go(func() {
		defer close(p.ended)
		r.listen(p)
	})
}

func (r *Room) all() []*peer {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.peers
}

// fail makes the room one that has lost a rank. The others are told before this rank knows it itself, as it may end at once.
func (r *Room) fail(rank int, text string) {
	if !r.failing.CompareAndSwap(false, true) {
		return
	}
	r.tell(loss{rank, text})
	if rank == r.rank {
		text = "the other ranks have ended without this one: " + text
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = errors.New(text)
	close(r.lost)
}

// tell sends a loss to all peers at once: one that hangs keeps none from hearing it.
func (r *Room) tell(l loss) {
	var sent sync.WaitGroup
	for _, p := range r.all() {
		sent.Go(func() { p.send(word(kindLoss, l), tellTime) })
	}
	told := make(chan struct{})
	go func() {
		sent.Wait()
		close(told)
	}()
	select {
	case <-told:
	case <-time.After(tellTime): // something else is being sent to one that hangs
	}
}

const tellTime = time.Second

// send writes a frame whole, or fails.
func (p *peer) send(frame []byte, within time.Duration) error {
	p.sending.Lock()
	defer p.sending.Unlock()
	p.conn.SetWriteDeadline(time.Now().Add(within))
	_, err := p.conn.Write(frame)
	return err
}

// beat sends a sign of life, unless something else is being sent. It is one byte: where the peer takes no more, nothing is cut.
func (p *peer) beat(s State, within time.Duration) {
	if p.sending.TryLock() {
		defer p.sending.Unlock()
		p.conn.SetWriteDeadline(time.Now().Add(within))
		p.conn.Write([]byte{kinds[s]}) // whether it arrives, the other end judges
	}
}

// Read reads from the connection and notes that the peer was heard.
func (p *peer) Read(b []byte) (int, error) {
	n, err := p.conn.Read(b)
	if n > 0 {
		p.hear()
	}
	return n, err
}

func (p *peer) hear() { p.heard.Store(int64(time.Since(p.start))) }

// quiet is how long the peer has been silent.
func (p *peer) quiet() time.Duration { return time.Since(p.start) - time.Duration(p.heard.Load()) }

// start begins the pulse of this rank, and its watch over the others. A rank that was stopped for a while itself knows nothing
// of what came meanwhile: it hears the others out before it judges.
func (r *Room) start() {
	r.work.Go(func() {
		every := max(r.silence/15, time.Millisecond)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for last := time.Now(); ; last = time.Now() {
			select {
			case <-r.done:
				return
			case <-tick.C:
			}
			slept := time.Since(last) > r.silence/3
			own := Well
			if state := r.state.Load(); state != nil {
				own = (*state)()
			}
			for _, p := range r.all() {
				if slept {
					p.hear()
				}
				p.beat(own, every)
				if quiet := p.quiet(); quiet > r.silence && !p.gone() {
					r.fail(p.who.Rank, fmt.Sprintf("%s has been silent for %v: it was stopped, or its machine or network hangs", p.who.name(),
						quiet.Round(time.Second)))
				}
			}
			if r.rank == 0 {
				r.judge(own, every)
			}
		}
	})
}

// judge looks for a rank that hangs while another waits. Where all say that they hang, what they share does, such as a disk, and
// none of them is to blame; where all wait for each other for long, what carries windows between them hangs.
func (r *Room) judge(own State, every time.Duration) {
	hangs, of := -1, map[State]int{own: 1}
	if own == Hangs {
		hangs = 0
	}
	for _, p := range r.all() {
		s := State(p.state.Load())
		of[s]++
		if s == Hangs {
			hangs = p.who.Rank
		}
	}
	if hangs >= 0 && of[Waits] > 0 {
		r.fail(hangs, r.who[hangs].name()+" hangs: it beats, but has not come on in a step for far longer than its steps take, "+
			"and others wait for it")
	}
	if of[Waits] < r.size {
		r.stalled = 0
	} else if r.stalled += every; r.stalled > r.stall {
		r.fail(-1, "all ranks wait for each other: what carries gradients between them hangs, such as a network or its driver")
	}
}

// gone says whether the peer has taken leave.
func (p *peer) gone() bool {
	select {
	case <-p.left:
		return true
	default:
		return false
	}
}

// listen reads what a peer sends until its connection ends.
func (r *Room) listen(p *peer) {
	for {
		kind, err := readKind(p)
		var body []byte
		if err == nil {
			switch kind {
			case kindBeat, kindWaits, kindHangs:
				p.state.Store(int32(bytes.IndexByte(kinds[:], kind)))
			case kindBye:
				if !p.gone() {
					close(p.left)
				}
			case kindPart, kindAll:
				if body, err = readBody(p, p.limit); err == nil {
					select {
					case p.in <- body:
					default:
						err = errors.New("it sends what nobody asked for")
					}
				}
			case kindLoss:
				var l loss
				if body, err = readBody(p, maxWord); err == nil {
					if err = json.Unmarshal(body, &l); err == nil {
						r.fail(l.Rank, l.Text)
						shut(p.conn)
						return
					}
				}
			default:
				err = errors.New("it sends what is no message")
			}
		}
		switch {
		case err == nil:
			continue
		case r.closing.Load() || p.gone():
		case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET):
			r.fail(p.who.Rank, p.who.name()+" has ended without a word: it was killed, or its machine has failed")
		default:
			r.fail(p.who.Rank, fmt.Sprintf("the connection to %s has failed: %v", p.who.name(), plain(err)))
		}
		return
	}
}

// shut says that nothing more is sent.
func shut(conn net.Conn) {
	if c, ok := conn.(interface{ CloseWrite() error }); ok {
		c.CloseWrite()
	}
}

// AllGather sends own to all and returns what every rank has, by rank; it waits until all have come to it. All ranks call it
// equally often, one call at a time. It fails where a rank is lost or has taken leave, and then every later call does.
func (r *Room) AllGather(own []byte) (all [][]byte, err error) {
	if len(own) > MaxMessage {
		return nil, fmt.Errorf("rank %d has %d bytes for the others: expected at most %d", r.rank, len(own), MaxMessage)
	}
	if err := r.Err(); err != nil {
		return nil, err
	}
	if r.rank > 0 {
		p := r.all()[0]
		if err := p.send(frame(kindPart, own), r.silence); err != nil {
			return nil, r.broken(p, err)
		}
		body, err := r.take(p)
		if err != nil {
			return nil, err
		}
		if all, err = splitParts(body, r.size); err != nil {
			return nil, r.broken(p, err)
		}
		return all, nil
	}
	all = make([][]byte, r.size)
	all[0] = append([]byte(nil), own...)
	failed := make([]error, r.size)
	var came sync.WaitGroup
	for _, p := range r.all() { // of all at once: one that has left is noticed while another lets wait
		came.Go(func() { all[p.who.Rank], failed[p.who.Rank] = r.take(p) })
	}
	came.Wait()
	if err := cmp.Or(failed...); err != nil {
		return nil, err
	}
	answer := frame(kindAll, joinParts(all))
	for _, p := range r.all() {
		if err := p.send(answer, r.silence); err != nil {
			return nil, r.broken(p, err)
		}
	}
	return all, nil
}

// take waits for what a peer sends next.
func (r *Room) take(p *peer) ([]byte, error) {
	select {
	case body := <-p.in:
		return body, nil
	default:
	}
	select {
	case body := <-p.in:
		return body, nil
	case <-r.lost:
		return nil, r.Err()
	case <-p.left:
		select {
		case body := <-p.in: // it came before
			return body, nil
		default:
		}
		r.fail(p.who.Rank, p.who.name()+" has left, and others wait for it")
		<-r.lost
		return nil, r.Err()
	case <-r.done:
		return nil, errors.New("the ranks have taken leave of each other")
	}
}

// broken is the loss of a peer that cannot be written to or sends what is not understood.
func (r *Room) broken(p *peer, err error) error {
	if !timedOut(err) {
		select { // its end, of which the reader knows more
		case <-r.lost:
		case <-time.After(time.Second):
		}
	}
	r.fail(p.who.Rank, fmt.Sprintf("the connection to %s has failed: %v", p.who.name(), plain(err)))
	<-r.lost
	return r.Err()
}

// introduce tells everybody who the others are, and waits for all to be told.
func (r *Room) introduce(ctx context.Context) error {
	type answer struct {
		all [][]byte
		err error
	}
	came := make(chan answer, 1)
	own, err := json.Marshal(r.who[r.rank])
	if err != nil {
		return err
	}
	go func() {
		all, err := r.AllGather(own)
		came <- answer{all, err}
	}()
	select {
	case a := <-came:
		for rank, text := range a.all {
			if err := json.Unmarshal(text, &r.who[rank]); err != nil {
				return fmt.Errorf("rank %d does not say who it is: %w", rank, err)
			}
		}
		return a.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close takes leave of the others: in order where failed is nil, and then it waits until all do; else it tells them that this
// rank has failed, and why. It returns what is wrong with the others.
func (r *Room) Close(failed error) (err error) {
	r.leaving.Do(func() { err = r.leave(failed) })
	return err
}

func (r *Room) leave(failed error) (err error) {
	peers := r.all()
	switch {
	case r.Err() != nil: // everybody knows
		if err = r.Err(); failed != nil {
			err = nil
		}
	case failed != nil:
		r.closing.Store(true)
		r.tell(loss{r.rank, r.who[r.rank].name() + " failed: " + failed.Error()})
	default:
		err = r.goodbye(peers)
	}
	r.closing.Store(true)
	for _, p := range peers { // what was sent last must arrive: a connection with unread bytes is cut off
		shut(p.conn)
	}
	late := time.After(time.Second)
	for _, p := range peers {
		select {
		case <-p.ended:
		case <-late:
			late = closed
		}
	}
	close(r.done)
	for _, p := range peers {
		p.conn.Close()
	}
	r.work.Wait()
	return err
}

var closed = func() <-chan time.Time {
	c := make(chan time.Time)
	close(c)
	return c
}()

// goodbye is said to rank 0, which says it to all when all have said it.
func (r *Room) goodbye(peers []*peer) error {
	say := func() {
		for _, p := range peers {
			p.send([]byte{kindBye}, r.silence)
		}
	}
	if r.rank > 0 {
		say()
	}
	for _, p := range peers {
		select {
		case <-p.left:
		case <-r.lost:
			return r.Err()
		}
	}
	if r.rank == 0 {
		say()
	}
	return nil
}
