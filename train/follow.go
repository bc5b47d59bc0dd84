// A run of several processes, as each of them sees it. Rank 0 leads: it reports, draws, evaluates and writes all files. The
// others follow: they do their parts of each step and see to it, where the run begins and at every checkpoint, that all hold the
// same. What decides how the run goes on (that it stops) all of them agree on, between two steps.

package train

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/bits"
	"os"
	"slices"
	"time"
)

// ShareOut completes the configuration of a new run by the number of processes that it starts on: without a number of shards it
// gets as many, rounded up to a power of two.
func (c *Config) ShareOut(processes int) {
	if c.Shards == 0 && processes > 1 {
		c.Shards = 1 << bits.Len(uint(processes-1))
	}
}

// CheckRanks judges whether so many processes can share the parts of a batch. The error is a [*setting.Error].
func (c *Config) CheckRanks(processes int) error { return checkRanks(processes, max(1, c.Shards)) }

// leads says whether this process is the one that reports and writes.
func (r *run) leads() bool { return r.o.Ranks == nil || r.o.Ranks.Rank() == 0 }

// stops says whether the run is to stop here: where one process was asked to, all do.
func (r *run) stops(ctx context.Context) (bool, error) {
	asked := ctx.Err() != nil
	if g := r.o.Ranks; g != nil {
		own := binary.LittleEndian.AppendUint32([]byte{0}, uint32(min(r.pace.own.Microseconds(), math.MaxUint32)))
		if asked {
			own[0] = 1
		}
		all, err := g.Agree(own)
		if err != nil {
			return false, &ranksError{err}
		}
		p := &r.pace
		if p.busy == nil {
			p.busy, p.line = make([]time.Duration, len(all)), make([]time.Duration, len(all))
		}
		for rank, said := range all {
			asked = asked || said[0] == 1
			took := time.Duration(binary.LittleEndian.Uint32(said[1:])) * time.Microsecond
			p.busy[rank] += took
			p.line[rank] += took
		}
	}
	r.stopped = asked
	return asked, nil
}

// pace is how long ranks were busy with steps: what they waited for each other does not count.
type pace struct {
	own  time.Duration   // of this rank at the last step, on a GPU the one before: it may still be under way
	busy []time.Duration // of each rank since the last progress; empty in one process
	line []time.Duration // since the last line of the metrics
}

// advance does a step, and measures it.
func (r *run) advance() error {
	g := r.o.Ranks
	if g == nil {
		return r.trainer.Step()
	}
	begun, waited := time.Now(), g.Waited
	err := g.Step(r.trainer.Step)
	if r.pace.own = r.trainer.arrival.took; r.o.Backend.Multiprocessors() == 0 {
		r.pace.own = time.Since(begun) - (g.Waited - waited)
	}
	return err
}

// uneven is the share of a step from which on it is said that ranks wait for one of them.
const uneven = 0.15

// slowest returns the rank that the others wait for, and for which share of the time the one in the middle does: 0 where that is
// not worth a word.
func (p *pace) slowest() (rank int, waiting float64) {
	if rank, waiting = slowest(p.busy); waiting < uneven {
		waiting = 0
	}
	return rank, waiting
}

// slowest is that of some times, each of a rank: 0 where there are none.
func slowest(busy []time.Duration) (rank int, waiting float64) {
	for i, b := range busy {
		if b > busy[rank] {
			rank = i
		}
	}
	if len(busy) < 2 || busy[rank] == 0 {
		return rank, 0
	}
	sorted := slices.Sorted(slices.Values(busy))
	return rank, float64(busy[rank]-sorted[(len(sorted)-1)/2]) / float64(busy[rank])
}

// inLine is what a line of the metrics says of ranks: nothing where nothing was measured.
func (p *pace) inLine() (rank *int, waiting *float64) {
	if slices.Max(append([]time.Duration{0}, p.line...)) == 0 {
		return nil, nil
	}
	i, share := slowest(p.line)
	clear(p.line)
	share = math.Round(1000*share) / 1000
	return &i, &share
}

// ranksError is one of what ranks say to each other, or do not any more: whoever tried to save would wait for the others.
type ranksError struct{ err error }

func (e *ranksError) Error() string { return e.err.Error() }
func (e *ranksError) Unwrap() error { return e.err }

// same is something that must be the same everywhere: its SHA-256, and what to say of a rank with another.
type same struct {
	sum   [sha256.Size]byte
	other string
}

// compare fails where a rank has another sum than rank 0. It also waits until all are here.
func (r *run) compare(all ...same) error {
	g := r.o.Ranks
	if g == nil {
		return nil
	}
	var own []byte
	for _, s := range all {
		own = append(own, s.sum[:]...)
	}
	said, err := g.Agree(own)
	if err != nil {
		return &ranksError{err}
	}
	for rank, sums := range said {
		for i, s := range all {
			if at := i * sha256.Size; !bytes.Equal(sums[at:at+sha256.Size], said[0][at:at+sha256.Size]) {
				return &ranksError{fmt.Errorf("rank %d %s", rank, s.other)}
			}
		}
	}
	return nil
}

// compareSettings fails where ranks were started with different programs, settings or data.
func (r *run) compareSettings() error {
	if r.o.Ranks == nil {
		return nil
	}
	program := sha256.New()
	if path, err := os.Executable(); err == nil {
		if f, err := os.Open(path); err == nil {
			io.Copy(program, f) // what cannot be read is told apart by what it computes
			f.Close()
		}
	}
	c := *r.c
	c.Workers, c.Cache, c.Computed, c.Data = 0, "", "", "" // of each machine; what the data is, its checksum says
	return r.compare(
		same{[sha256.Size]byte(program.Sum(nil)), "runs another program than rank 0: start all ranks with the same file"},
		same{sha256.Sum256([]byte(c.YAML())), "has other settings or other data than rank 0: start all ranks with the same, and see that " +
			"they read the same data"},
		same{sha256.Sum256([]byte(r.o.Backend.Arithmetic())), "computes with other instructions than rank 0 (" + r.o.Backend.Arithmetic() +
			" here), which have other bits: use machines of one kind"},
	)
}

// compareState fails where a rank holds other parameters, average or moments than rank 0.
func (r *run) compareState() error {
	if r.o.Ranks == nil {
		return nil
	}
	sum, err := r.trainer.sum()
	if err != nil {
		return err
	}
	return r.compare(same{sum, fmt.Sprintf("holds other weights than rank 0 at step %d: its memory or its processor has failed", r.step())})
}

// sum returns the SHA-256 of the step and of all that a checkpoint keeps.
func (t *Trainer) sum() (sum [sha256.Size]byte, err error) {
	h := sha256.New()
	binary.Write(h, binary.LittleEndian, t.steps)
	for _, prefix := range append(t.kept(), "") {
		b := t.layout.frozen
		if prefix != "" {
			b = t.layout.group(prefix)
		}
		words := make([]float32, b.N)
		if b.N > 0 {
			err = t.fetch(words, b)
		}
		if err != nil {
			return sum, err
		}
		binary.Write(h, binary.LittleEndian, words)
	}
	return [sha256.Size]byte(h.Sum(nil)), nil
}
