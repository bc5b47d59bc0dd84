// Measuring on request (-stdin), in turn with another program.

package benchcmd

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"time"

	"sigmaz/kernels"
	"sigmaz/model"
)

// answer is a line of JSON for a request.
type answer struct {
	Rate float64 // images/s; of peak FLOP/s
	Runs int     // steps or evaluations timed
}

// requests measures what lines of in ask for, for as long as somebody else times something in turn with it:
//
//	train NGF SIZE CHANNELS BATCH SECONDS    training steps of NCSNv2
//	score NGF SIZE CHANNELS BATCH SECONDS    evaluations of its score
//	peak SECONDS                             multiply-adds of the host, by as many goroutines as the backend has
//
// Each takes the time it is given and a little more, and answers with one line. Networks are kept for the next request,
// and run once before they are first timed.
func (b *bench) requests(in io.Reader) error {
	type key struct {
		what string
		n    network
	}
	kept := map[key]func() error{}
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		var what string
		n := network{precision: b.device.Precision}
		var seconds float64
		if _, err := fmt.Sscan(lines.Text(), &what); err != nil {
			continue // an empty line
		}
		out := answer{}
		if what == "peak" {
			if _, err := fmt.Sscan(lines.Text(), &what, &seconds); err != nil || !(seconds > 0) {
				return fmt.Errorf("standard input: %q: expected peak SECONDS", lines.Text())
			}
			out = answer{kernels.PeakFLOPS(b.cores(), time.Duration(seconds*float64(time.Second))), 1}
		} else {
			if _, err := fmt.Sscan(lines.Text(), &what, &n.ngf, &n.size, &n.channels, &n.batch, &seconds); err != nil ||
				!(seconds > 0) || what != "train" && what != "score" {
				return fmt.Errorf("standard input: %q: expected train or score, NGF SIZE CHANNELS BATCH SECONDS", lines.Text())
			}
			run := kept[key{what, n}]
			if run == nil {
				var err error
				if run, err = b.runnable(what, n); err == nil {
					err = run()
				}
				if err != nil {
					return fmt.Errorf("%s %s: %w", what, n, err)
				}
				kept[key{what, n}] = run
			}
			start := time.Now()
			for time.Since(start).Seconds() < seconds {
				if err := run(); err != nil {
					return fmt.Errorf("%s %s: %w", what, n, err)
				}
				out.Runs++
			}
			out.Rate = float64(out.Runs*n.batch) / time.Since(start).Seconds()
		}
		text, err := json.Marshal(out)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(b.out, "%s\n", text); err != nil {
			return err
		}
	}
	return lines.Err()
}

// runnable prepares one training step, or one evaluation of the score; it has ended when the function returns.
func (b *bench) runnable(what string, n network) (func() error, error) {
	if what == "train" {
		t, _, err := n.trainer(b.backend)
		if err != nil {
			return nil, err
		}
		records, err := t.Losses(nil)
		return func() error {
			err := t.Step()
			if err == nil {
				records, err = t.Losses(records[:0])
			}
			return err
		}, err
	}
	s, err := n.untrained(b.backend)
	if err != nil {
		return nil, err
	}
	p, err := b.backend.Compile(s.Arena, s.Ops)
	var word [1]float32
	return func() error {
		err := p.Run()
		if err == nil {
			err = s.Arena.Read(word[:], s.S.Slice(0, 1))
		}
		return err
	}, err
}

// untrained makes the score of a network as it is initialised, at sigma 1.
func (n network) untrained(b kernels.Backend) (*model.Score, error) {
	t, _, err := n.trainer(b)
	if err != nil {
		return nil, err
	}
	weights, err := t.Named("param.")
	if err != nil {
		return nil, err
	}
	s, err := model.NewScore(b, n.config(), n.precision, n.batch, 0)
	if err != nil {
		return nil, err
	}
	if err := s.Load(weights, "param."); err != nil {
		return nil, err
	}
	ones := make([]float32, s.Sigma.N)
	for i := range ones {
		ones[i] = 1
	}
	if err := s.Arena.Write(s.Sigma, ones); err != nil {
		return nil, err
	}
	return s, normals(s.Arena, s.X)
}

// cores returns the number of goroutines of the CPU backend.
func (o *options) cores() int {
	if o.workers == 0 {
		return runtime.GOMAXPROCS(0)
	}
	return o.workers
}
