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
		own := binary.LittleEndian.AppendUint32([]byte{0}, uint32(min(r.pace.since(g.Busy()).Microseconds(), math.MaxUint32)))
		if asked {
			own[0] = 1
		}
		all, err := g.Agree(own)
		if err != nil {
			return false, &ranksError{err}
		}
		for rank, said := range all {
			asked = asked || said[0] == 1
			r.pace.add(rank, len(all), time.Duration(binary.LittleEndian.Uint32(said[1:]))*time.Microsecond)
		}
	}
	r.stopped = asked
	return asked, nil
}

// advance does a step.
func (r *run) advance() error {
	if g := r.o.Ranks; g != nil {
		return g.Step(r.trainer.Step)
	}
	return r.trainer.Step()
}

// pace is how long ranks were busy with steps: what they waited for each other does not count.
type pace struct {
	seen time.Duration // what this rank had been busy for when it last said so
	busy busy          // since the last progress
	line busy          // since the last line of metrics.jsonl
}

// busy is how long each rank was; empty in one process.
type busy []time.Duration

// since returns how long this rank was busy since it was last asked, where that is so long in all.
func (p *pace) since(all time.Duration) time.Duration {
	before := p.seen
	p.seen = all
	return all - before
}

// add counts what one of so many ranks has said.
func (p *pace) add(rank, size int, more time.Duration) {
	for _, b := range []*busy{&p.busy, &p.line} {
		*b = append(*b, make(busy, size-len(*b))...)
		(*b)[rank] += more
	}
}

// slowest returns the rank that the others wait for, and for which share of the time the one in the middle does.
func (b busy) slowest() (rank int, waiting float64) {
	for i, d := range b {
		if d > b[rank] {
			rank = i
		}
	}
	sorted := slices.Sorted(slices.Values(b))
	if len(b) < 2 || b[rank] == 0 {
		return 0, 0
	}
	return rank, float64(b[rank]-sorted[(len(sorted)-1)/2]) / float64(b[rank])
}

// uneven is the share of a step from which on it is said that ranks wait for one of them.
const uneven = 0.15

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
