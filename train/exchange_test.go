// Ranks against one process: the same bits for any number of them, from nothing but their own rows, passes and bytes.

package train

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"sigmaz/kernels"
	"sigmaz/model"
	"sigmaz/train/ranks"
	"sigmaz/train/ranks/rankstest"
)

// trainRanks does steps of c with a trainer for each transport and returns the sum of the state that all came to.
func trainRanks(t *testing.T, c *Config, d func(rank int) *Splits, steps int, transports []ranks.Transport) string {
	t.Helper()
	sums := make([]string, len(transports))
	var all sync.WaitGroup
	for i, transport := range transports {
		all.Go(func() {
			g := &ranks.Group{Transport: transport}
			b := kernels.NewCPU(1)
			defer b.Close()
			sum, err := trainRank(b, c, d(g.Rank()), steps, g)
			if err != nil {
				t.Error(err)
			}
			transport.Close(err)
			sums[i] = sum
		})
	}
	all.Wait()
	for _, s := range sums {
		if s != sums[0] {
			t.Errorf("ranks hold %v", sums)
		}
	}
	return sums[0]
}

// trainRank is that of one rank, which looks at what it did and sent: its passes, and 2 (R-1)/R of the gradient and what is
// said of the losses, by slices.
func trainRank(b kernels.Backend, c *Config, d *Splits, steps int, g *ranks.Group, change ...func(*TrainerConfig)) (string, error) {
	tc, err := c.Trainer(d)
	if err != nil {
		return "", err
	}
	tc.Ranks, tc.HeldOut = g, nil
	tc.leastBucket = 500 // of small networks, too, there are several
	for _, f := range change {
		f(&tc)
	}
	if err := g.Bind(b); err != nil {
		return "", err
	}
	defer g.Release()
	tr, err := NewTrainer(b, tc)
	if err != nil {
		return "", err
	}
	for range steps {
		if err := tr.Step(); err != nil {
			return "", err
		}
		if _, err := tr.Losses(nil); err != nil {
			return "", err
		}
	}
	if want := uint64(steps * c.Shards / g.Size()); tr.passes != want {
		return "", fmt.Errorf("rank %d did %d passes, expected %d", g.Rank(), tr.passes, want)
	}
	if g.Size() > 1 {
		words := (g.Size() - 1) * (2*tr.layout.slice + 2*c.Batch/g.Size())
		if want := int64(4 * steps * words); g.Sent != want {
			return "", fmt.Errorf("rank %d sent %d bytes, expected %d", g.Rank(), g.Sent, want)
		}
	}
	sum, err := tr.sum()
	return fmt.Sprintf("%x", sum), err
}

// Every network and every way to draw has the same bits with any number of ranks up to the shards.
func TestRanksHaveTheSameBits(t *testing.T) {
	for name, make := range parted8(t) {
		t.Run(name, func(t *testing.T) {
			c, d := make()
			c.Shards = 4
			of := func(int) *Splits { return d }
			one := trainRanks(t, c, of, 4, rankstest.Local(1))
			for _, size := range []int{2, 4} {
				if got := trainRanks(t, c, of, 4, rankstest.Local(size)); got != one {
					t.Errorf("%d ranks come to %s, one process to %s", size, got, one)
				}
			}
		})
	}
}

// rowsOfRanks makes a training of so many parts and steps, and the data of a rank of some: garbage but for the rows of its own
// places.
func rowsOfRanks(shards, steps int) (c *Config, rows func(rank, size int) *Splits) {
	c, d := tiny("mlp")
	c.Batch, c.Shards = 8, shards
	n, width := d.Train.N*3, d.Train.C
	all := make([]float32, n*width)
	kernels.Stream{Seed: 3, Purpose: kernels.PurposeData}.Normals(all)
	return c, func(rank, size int) *Splits {
		own := slices.Repeat([]float32{1e30}, len(all))
		for step := range steps {
			for place := rank * c.Batch / size; place < (rank+1)*c.Batch/size; place++ {
				i := kernels.Permutation(c.Seed, uint64(n), uint64(step*c.Batch+place))
				copy(own[i*width:(i+1)*width], all[i*width:])
			}
		}
		return &Splits{Name: "test", Train: &kernels.Data{N: n, H: 1, W: 1, C: width, F32: own}}
	}
}

// A rank needs no rows but those of its own places: with garbage in the others it comes to the same.
func TestRanksReadTheirRows(t *testing.T) {
	const steps, size = 2, 4
	c, rows := rowsOfRanks(4, steps)
	want := trainRanks(t, c, func(int) *Splits { return rows(0, 1) }, steps, rankstest.Local(1))
	if got := trainRanks(t, c, func(rank int) *Splits { return rows(rank, size) }, steps, rankstest.Local(size)); got != want {
		t.Errorf("with their own rows ranks come to %s, with all to %s", got, want)
	}
}

// rankTrial runs c on so many ranks in folder, or goes on with the run there, until the last of them is asked to stop after some
// steps (0: to the end), by which the run is at the given one.
func rankTrial(t *testing.T, c *Config, d *Splits, folder string, resume bool, stopAt, step uint64, size int) []error {
	t.Helper()
	failed := make([]error, size)
	stored := make([]*Stored, size)
	for i := range size {
		if resume {
			var err error
			if stored[i], err = Load(folder, ""); err != nil {
				t.Fatal(err)
			}
		}
	}
	var all sync.WaitGroup
	for i, transport := range rankstest.Local(size) {
		all.Go(func() {
			local := *c
			b := kernels.NewCPU(1)
			defer b.Close()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			o := Options{Backend: b, Ranks: &ranks.Group{Transport: transport}, From: stored[i]}
			if o.From != nil {
				local = *o.From.Config
			}
			if i == 0 {
				o.Folder = folder
				o.Hooks.Preview = func(_ context.Context, step uint64, _ []model.Named, path string) error {
					return os.WriteFile(path, []byte("picture"), 0o666)
				}
			}
			if stopAt > 0 && i == size-1 { // the last is asked, while it waits for the others
				transport = stopper{transport, stopAt, new(uint64), cancel}
				o.Ranks = &ranks.Group{Transport: transport}
			}
			r, err := Run(ctx, &local, d, o)
			if failed[i] = err; err == nil && stopAt > 0 && (r.Step != step || !r.Stopped) {
				t.Errorf("rank %d ended at step %d (stopped: %t), expected %d", i, r.Step, r.Stopped, step)
			}
			transport.Close(err)
		})
	}
	all.Wait()
	return failed
}

// stopper cancels after some exchanges: one is made in each step.
type stopper struct {
	ranks.Transport
	at     uint64
	steps  *uint64
	cancel func()
}

func (s stopper) Exchange(a kernels.Arena, send, recv kernels.Buf) error {
	if *s.steps++; *s.steps == s.at {
		s.cancel()
	}
	return s.Transport.Exchange(a, send, recv)
}

// A run that stops on four ranks, goes on with two and ends on one is that of one process.
func TestRanksChange(t *testing.T) {
	c, d := tiny("ncsnv2")
	c.Batch, c.Shards, c.Steps = 8, 4, 40
	whole, parts := t.TempDir(), t.TempDir()
	trial(t, c, d, whole, false, 0, 1)
	for i, part := range []struct {
		size   int
		stopAt uint64 // counted from where it goes on
		step   uint64
	}{{4, 7, 7}, {2, 13, 20}, {1, 0, 0}} {
		for rank, err := range rankTrial(t, c, d, parts, i > 0, part.stopAt, part.step, part.size) {
			if err != nil {
				t.Fatalf("rank %d of %d: %v", rank, part.size, err)
			}
		}
	}
	sameRun(t, parts, whole)
	for folder, ranks := range map[string]bool{parts: true, whole: false} {
		lines, err := os.ReadFile(filepath.Join(folder, metricsFile))
		if err != nil || strings.Contains(string(lines), `"slowest_rank":`) != ranks || strings.Contains(string(lines), `"waiting":`) != ranks {
			t.Errorf("the metrics say which rank is slowest, expected %t: %s, %v", ranks, lines, err)
		}
	}
}

// A rank with other settings, or whose memory has failed, is named, and no checkpoint is written of what differs.
func TestRanksDiffer(t *testing.T) {
	c, d := tiny("mlp")
	c.Batch, c.Shards, c.Steps = 8, 2, 20
	of := func(change func(r *run)) (said string, folder string) {
		folder = t.TempDir()
		var all sync.WaitGroup
		errs := make([]error, 2)
		for i, transport := range rankstest.Local(2) {
			all.Go(func() {
				local := *c
				if i == 1 && change == nil {
					local.Adam.LR = 1
				}
				b := kernels.NewCPU(1)
				defer b.Close()
				r, err := openRun(&local, d, Options{Backend: b, Folder: folder, Ranks: &ranks.Group{Transport: transport}})
				if err == nil {
					defer r.close()
					if i == 1 {
						change(r)
					}
					_, err = r.train(t.Context())
				}
				errs[i] = err
				transport.Close(err)
			})
		}
		all.Wait()
		return fmt.Sprint(errs[0]), folder
	}
	if said, _ := of(nil); !strings.HasPrefix(said, "rank 1 has other settings or other data than rank 0") {
		t.Errorf("another learning rate: %s", said)
	}
	said, folder := of(func(r *run) {
		p := r.trainer.layout.params
		p.Of(r.trainer.arena.Host())[3] += 1e-3
	})
	if !strings.HasPrefix(said, "rank 1 holds other weights than rank 0 at step 20: ") {
		t.Errorf("another weight: %s", said)
	}
	if _, err := Latest(folder); !errors.Is(err, ErrNoCheckpoint) {
		t.Errorf("another weight: a checkpoint was written (%v)", err)
	}
}

func TestCheckRanks(t *testing.T) {
	for _, test := range []struct {
		size, shards int
		want         string
	}{
		{1, 1, ""}, {1, 8, ""}, {2, 8, ""}, {8, 8, ""},
		{2, 1, "shards is 1, and 2 processes share the parts: expected a power of two of processes up to that; start 1, such as by `gpus`"},
		{3, 4, "shards is 4, and 3 processes share the parts: expected a power of two of processes up to that; start 2, such as by `gpus`"},
		{16, 8, "shards is 8, and 16 processes share the parts: expected a power of two of processes up to that; start 8, such as by `gpus`"},
	} {
		got := ""
		if err := checkRanks(test.size, test.shards); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%d ranks of %d parts: %q, expected %q", test.size, test.shards, got, test.want)
		}
	}
	var got []int
	for n := range 9 {
		var c Config
		c.ShareOut(n)
		got = append(got, c.Shards)
	}
	if want := []int{0, 0, 2, 4, 4, 8, 8, 8, 8}; !slices.Equal(got, want) {
		t.Errorf("processes get %v shards, expected %v", got, want)
	}
}
