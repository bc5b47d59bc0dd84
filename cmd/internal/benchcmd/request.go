// Measuring on request (-stdin), in turn with another program.

package benchcmd

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"strings"
	"time"

	"sigmaz/kernels"
	"sigmaz/model"
	"sigmaz/train"
)

// answer is a line of JSON for a request.
type answer struct {
	Rate float64 // images/s; of peak FLOP/s
	Runs int     // steps or evaluations timed
}

// requests measures what lines of in ask for, for as long as somebody else times something in turn with it:
//
//	train NGF SIZE CHANNELS BATCH SECONDS    training steps of NCSNv2, or of the network of the preset named before NGF
//	score NGF SIZE CHANNELS BATCH SECONDS    evaluations of its score
//	peak SECONDS                             multiply-adds of the host, by as many goroutines as the backend has
//
// Each takes the time it is given and a little more, and answers with one line. Networks are kept for the next request,
// and run once before they are first timed. The device is waited for a few times in a window, as it is between the
// repetitions of the tables: a network whose step is shorter than a wait is not measured by its waits.
func (b *bench) requests(in io.Reader) error {
	type key struct {
		what string
		n    network
	}
	type runner struct{ run, wait func() error }
	kept := map[key]runner{}
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
			words := strings.Fields(lines.Text())[1:]
			if len(words) > 0 {
				if _, err := train.FindPreset(words[0]); err == nil {
					n.preset, words = words[0], words[1:]
				}
			}
			if _, err := fmt.Sscan(strings.Join(words, " "), &n.ngf, &n.size, &n.channels, &n.batch, &seconds); err != nil ||
				!(seconds > 0) || what != "train" && what != "score" {
				return fmt.Errorf("standard input: %q: expected train or score, a preset or nothing, NGF SIZE CHANNELS BATCH SECONDS",
					lines.Text())
			}
			r, ok := kept[key{what, n}]
			together := func(times int) error {
				for range times {
					if err := r.run(); err != nil {
						return err
					}
				}
				return r.wait()
			}
			var err error
			if !ok {
				if r.run, r.wait, err = b.runnable(what, n); err == nil {
					err = together(1)
				}
				kept[key{what, n}] = r
			}
			start := time.Now()
			for times := 1; err == nil && time.Since(start).Seconds() < seconds; {
				before := time.Now()
				err = together(times)
				out.Runs += times
				if time.Since(before).Seconds() < seconds/16 {
					times *= 2
				}
			}
			if err != nil {
				return fmt.Errorf("%s %s: %w", what, n, err)
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

// runnable prepares one training step, or one evaluation of the score, and what waits for all that were started.
func (b *bench) runnable(what string, n network) (run, wait func() error, err error) {
	if what == "train" {
		_, run, wait, err = n.stepper(b.backend)
		return run, wait, err
	}
	s, err := n.untrained(b.backend)
	if err != nil {
		return nil, nil, err
	}
	p, err := b.backend.Compile(s.Arena, s.Ops)
	if err != nil {
		return nil, nil, err
	}
	return p.Run, waitFor(s.Arena), nil
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
