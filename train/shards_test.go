// Batches in parts: against the batch in one piece, against the tree by its definition, for any number of workers and
// across a stop.

package train

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"sigmaz/kernels"
	"sigmaz/model"
)

// parted8 are configurations with a batch of 8: everything that depends on the place of a row in it, and every network.
func parted8(t *testing.T) map[string]func() (*Config, *Splits) {
	of := func(net string, change func(c *Config, d *Splits)) func() (*Config, *Splits) {
		return func() (*Config, *Splits) {
			c, d := tiny(net)
			c.Batch = 8
			if change != nil {
				change(c, d)
			}
			return c, d
		}
	}
	all := map[string]func() (*Config, *Splits){
		"ncsnv2":     of("ncsnv2", nil),
		"ncsn":       of("ncsn", func(c *Config, d *Splits) { c.Loss.LevelsPerStep = 3 }),
		"ncsnpp":     of("ncsnpp", func(c *Config, d *Splits) { c.Loss.Stratified = true }), // with dropout and clipping
		"mlp":        of("mlp", func(c *Config, d *Splits) { labelled(c, d, 0.3) }),
		"lognormal":  of("mlp", func(c *Config, d *Splits) { withNoise(t, c, model.LogNormal) }),
		"levels-too": of("mlp", func(c *Config, d *Splits) { c.Loss.Stratified, c.Loss.LevelsPerStep = true, 5 }),
	}
	for _, small := range smallConfigs {
		if all[small.Net] != nil {
			continue
		}
		all[small.Net] = of("ncsnv2", func(c *Config, d *Splits) {
			c.Network, c.Sigma.Levels = small, len(smallLadder)
			for _, data := range []*kernels.Data{d.Train, d.HeldOut} {
				data.H, data.W, data.C = small.Height, small.Width, small.Channels
				data.U8 = make([]byte, data.N*data.D())
				for i := range data.U8 {
					data.U8[i] = byte(kernels.Stream{Seed: 2, Purpose: kernels.PurposeData}.Word(i) >> 24)
				}
			}
		})
	}
	return all
}

// partedTrainer makes a trainer of c in so many parts.
func partedTrainer(t *testing.T, c *Config, d *Splits, shards, workers int) *Trainer {
	t.Helper()
	tc, err := c.Trainer(d)
	if err != nil {
		t.Fatal(err)
	}
	tc.Shards = shards
	b := kernels.NewCPU(workers)
	t.Cleanup(func() { b.Close() })
	tr, err := NewTrainer(b, tc)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// The parts of a batch draw what the batch in one piece draws, row by row, and their losses are the same to the bit; the
// gradient of the tree is that of the batch within rounding, which is what distinguishes it.
func TestShardsAgreeWithTheWholeBatch(t *testing.T) {
	for name, make := range parted8(t) {
		t.Run(name, func(t *testing.T) {
			const begin = 6 // a step of the second epoch
			var first LossRecord
			var whole []model.Named
			var heldOut float64
			for _, shards := range []int{1, 2, 4, 8} {
				c, d := make()
				tr := partedTrainer(t, c, d, shards, 2)
				held, _, err := tr.HeldOutLoss(t.Context())
				if err == nil {
					err = tr.setStep(begin)
				}
				if err == nil {
					err = tr.Step()
				}
				if err != nil {
					t.Fatal(err)
				}
				records, err := tr.Losses(nil)
				if err != nil || len(records) != 1 {
					t.Fatalf("%d records, error %v", len(records), err)
				}
				grads, err := tr.Named(gradPrefix)
				if err != nil {
					t.Fatal(err)
				}
				if shards == 1 {
					first, whole, heldOut = records[0], grads, held
					continue
				}
				if r := records[0]; fmt.Sprint(r.Step, r.Level, bitsOf(r.Sigma), bitsOf(r.Loss)) !=
					fmt.Sprint(first.Step, first.Level, bitsOf(first.Sigma), bitsOf(first.Loss)) {
					t.Errorf("%d parts have the rows %+v, expected %+v", shards, r, first)
				}
				if held != heldOut {
					t.Errorf("%d parts have the held-out loss %v, expected %v", shards, held, heldOut)
				}
				for i, g := range grads {
					got, want := g.T.Data().([]float32), whole[i].T.Data().([]float32)
					most, apart := 0.0, 0.0
					for j, v := range want {
						most, apart = max(most, math.Abs(float64(v))), max(apart, math.Abs(float64(v-got[j])))
					}
					if apart > 2e-5*most+1e-7 {
						t.Errorf("%d parts: %s is apart by %.3g, the largest being %.3g", shards, g.Name, apart, most)
					}
				}
			}
		})
	}
}

// The programs of the tree compute it as it is defined, and leave its root where Adam reads the gradient.
func TestTreeOfGradients(t *testing.T) {
	const values = 37
	b := kernels.NewCPU(2)
	defer b.Close()
	for height := 1; height <= 4; height++ {
		parts := 1 << height
		group := func(i int) kernels.Buf { return kernels.Buf{Off: 48 * i, N: values} }
		l := layout{grads: group(0)}
		for i := range height {
			l.sums = append(l.sums, group(i+1))
		}
		a, err := b.Alloc(48 * (height + 1))
		if err != nil {
			t.Fatal(err)
		}
		leaves := make([][]float32, parts)
		for p := range leaves {
			leaves[p] = make([]float32, values)
			kernels.Stream{Seed: 7, Purpose: kernels.PurposeData, N: uint64(p)}.Normals(leaves[p])
		}
		var node func(lo, hi, i int) float32
		node = func(lo, hi, i int) float32 {
			if hi-lo == 1 {
				return leaves[lo][i]
			}
			middle := (lo + hi) / 2
			return (node(lo, middle, i) + node(middle, hi, i)) / 2
		}
		for p, leaf := range leaves {
			if err := a.Write(l.grads, leaf); err != nil {
				t.Fatal(err)
			}
			ones := 0
			for q := p; q&1 == 1; q >>= 1 {
				ones++
			}
			program, err := b.Compile(a, l.fold(ones, l.all()))
			if err == nil {
				err = program.Run()
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		got := make([]float32, values)
		if err := a.Read(got, l.grads); err != nil {
			t.Fatal(err)
		}
		for i, v := range got {
			if want := node(0, parts, i); math.Float32bits(v) != math.Float32bits(want) {
				t.Fatalf("%d parts: value %d is %v, the tree gives %v", parts, i, v, want)
			}
		}
	}
}

// A run in parts is the same to the bit for any number of workers and however it is stopped, and its configuration and its
// checkpoints say in how many it is.
func TestShardsResume(t *testing.T) {
	run := func(shards, workers int, stops ...uint64) string {
		c, d := tiny("ncsnpp")
		c.Batch, c.Shards, c.Steps = 8, shards, 40
		dir := t.TempDir()
		for i, stop := range append(stops, 0) {
			trial(t, c, d, dir, i > 0, stop, workers)
		}
		return dir
	}
	whole := run(4, 1)
	sameRun(t, run(4, 3, 7, 30), whole)
	stored, err := Load(whole, "")
	if err != nil {
		t.Fatal(err)
	}
	if stored.Config.Shards != 4 {
		t.Errorf("the configuration says %d shards", stored.Config.Shards)
	}
	if c, err := ParseConfig(stored.Checkpoint.Config); err != nil || c.Shards != 4 {
		t.Errorf("the checkpoint says %v, error %v", c, err)
	}
}

// One part is the batch in one piece, and a configuration says nothing of it.
func TestOneShard(t *testing.T) {
	c, _ := tiny("mlp")
	without := c.YAML()
	c.Shards = 1
	if err := c.complete(nil); err != nil {
		t.Fatal(err)
	}
	if c.Shards != 0 || strings.Contains(without, "shards") {
		t.Errorf("one part is kept as %d, and a configuration without says %s", c.Shards, without)
	}
}

func TestShardsRefused(t *testing.T) {
	for _, test := range []struct {
		shards, batch int
		want          string
	}{
		{0, 7, ""}, {1, 7, ""}, {4, 12, ""}, {128, 128, ""},
		{-2, 8, "shards is -2: expected a power of two, or 1 for a batch in one piece"},
		{3, 8, "shards is 3: expected a power of two that divides the 8 of `batch`, such as 2 or 4"},
		{8, 12, "shards is 8: expected a power of two that divides the 12 of `batch`, such as 4, or `batch` 8 or 16"},
		{6, 12, "shards is 6: expected a power of two that divides the 12 of `batch`, such as 4"},
		{2, 7, "shards is 2: expected a power of two that divides the 7 of `batch`, such as 1, or `batch` 6 or 8"},
		{64, 6, "shards is 64: expected a power of two that divides the 6 of `batch`, such as 2, or `batch` 64"},
	} {
		got := ""
		if err := checkShards(test.shards, test.batch); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%d parts of %d: %q, expected %q", test.shards, test.batch, got, test.want)
		}
	}
	c, d := tiny("mlp")
	c.Batch = 8
	tr := partedTrainer(t, c, d, 2, 1)
	if _, err := tr.Gradients(); err == nil || err.Error() != "trainer: a batch in 2 parts cannot be given by hand" {
		t.Errorf("a batch by hand in two parts: error %v", err)
	}
}
