// The trial of vectors: train on each set from several seeds, draw by each sampler, compare with fresh draws, print a
// table for each distance.

package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"

	"sigmaz/train/dataset"
)

// vectorSamplers are those that are compared where none are named.
const vectorSamplers = "langevin, dpm++-2m-sde -eta 0.5, dpm++-2m-sde -eta 0.5 -nfe 18, dpm++-2m-sde -eta 1, " +
	"dpm++-2m-sde -eta 1 -nfe 18, dpm++-2m-sde -eta 3, dpm++-2m-sde -eta 3 -nfe 18, dpm++-2m, dpm++-2m -nfe 18, heun, rk45"

const (
	tableRows    = 20_000 // of a table that is learned
	freshVectors = 5000   // that stand for the distribution
	// Runs are trained on draws of their own seeds, 1, 2, ..., which are not these.
	freshSeed, floorSeed = 1001, 2001
)

// vectorSet is a distribution to learn.
type vectorSet struct {
	name string
	spec func(t *trial, seed uint64) (string, error) // of the data of a run
	draw func(seed uint64, n int) (*mat.Dense, error)
}

func vectorSets() (sets []vectorSet) {
	for _, toy := range dataset.Toys() {
		sets = append(sets, vectorSet{toy,
			func(*trial, uint64) (string, error) { return "toy:" + toy, nil }, // drawn from the seed of the run
			func(seed uint64, n int) (*mat.Dense, error) {
				x, err := dataset.ToySample(toy, seed, n)
				if err != nil {
					return nil, err
				}
				return rowsOf(x, n), nil
			}})
	}
	return append(sets, vectorSet{"table",
		func(t *trial, seed uint64) (string, error) {
			path := filepath.Join(t.out, fmt.Sprintf("table-%d.csv", seed))
			return path, writeTable(path, drawTable(seed, tableRows))
		},
		func(seed uint64, n int) (*mat.Dense, error) { return drawTable(seed, n), nil }})
}

// rowsOf makes a matrix of n rows.
func rowsOf(x []float32, n int) *mat.Dense {
	data := make([]float64, len(x))
	for i, v := range x {
		data[i] = float64(v)
	}
	return mat.NewDense(n, len(x)/n, data)
}

// unit is what brings columns to mean 0 and deviation 1.
type unit struct{ mean, sd []float64 }

func unitOf(x *mat.Dense) (u unit) {
	_, d := x.Dims()
	for j := range d {
		mean, sd := stat.MeanStdDev(mat.Col(nil, j, x), nil)
		u.mean, u.sd = append(u.mean, mean), append(u.sd, sd)
	}
	return u
}

func (u unit) of(x *mat.Dense) *mat.Dense {
	y := mat.DenseCopyOf(x)
	y.Apply(func(_, j int, v float64) float64 { return (v - u.mean[j]) / u.sd[j] }, y)
	return y
}

// ruler is a fresh draw, with what other draws are compared with it by.
type ruler struct {
	unit  unit
	lines *reference
	pairs *cloud
}

func newRuler(x *mat.Dense) *ruler {
	u := unitOf(x)
	x = u.of(x)
	return &ruler{u, newReference(x), newCloud(x)}
}

// vectorDistances names the columns of distances, with the factor that they are printed with.
var vectorDistances = []struct {
	name  string
	scale float64
}{{"sliced Wasserstein x 1000", 1000}, {"energy distance x 1000", 1000}, {"MMD^2 x 10,000, wide", 1e4}, {"MMD^2 x 10,000, narrow", 1e4}}

func (r *ruler) compare(x *mat.Dense) []estimate {
	x = r.unit.of(x)
	p := r.pairs.compare(x)
	return []estimate{r.lines.sliced(product(r.lines.centred(x), r.lines.lines)), p.energy, p.mmd[0], p.mmd[1]}
}

// cell is what the runs of a set say of a sampler.
type cell []estimate

// String has the mean over the runs with its standard error by the groups of samples, and how far the runs are apart.
func (c cell) String(scale float64) string {
	mean, square, low, high := 0.0, 0.0, math.Inf(1), math.Inf(-1)
	for _, e := range c {
		mean += e.value / float64(len(c))
		square += e.err * e.err
		low, high = min(low, e.value), max(high, e.value)
	}
	return fmt.Sprintf("%.1f ± %.1f (%.1f to %.1f)", scale*mean, scale*math.Sqrt(square)/float64(len(c)), scale*low, scale*high)
}

// vectors does the trial with so many runs of each set.
func (t *trial) vectors(samplers []string, names []string, runs int) error {
	switch {
	case t.out == "":
		return errors.New("-out is missing: expected a folder for runs and samples")
	case t.n < 10*groups:
		return fmt.Errorf("-n is %d: expected at least %d samples, for errors", t.n, 10*groups)
	case runs < 1:
		return fmt.Errorf("-seeds is %d: expected 1 run of each set or more", runs)
	}
	if err := os.MkdirAll(t.out, 0o777); err != nil {
		return err
	}
	var sets []vectorSet
	for _, s := range vectorSets() {
		for _, name := range names {
			if strings.TrimSpace(name) == s.name {
				sets = append(sets, s)
			}
		}
	}
	if len(sets) == 0 {
		return fmt.Errorf("-sets is %s: expected some of %s", strings.Join(names, ","), allSets())
	}
	// lines[k][i] are the cells of a row of distance k: those of the floor first.
	titles, evaluations := []string{"fresh draws"}, []string{""}
	for _, s := range samplers {
		titles, evaluations = append(titles, "`"+strings.Join(strings.Fields(s), " ")+"`"), append(evaluations, "")
	}
	table := make([][][]string, len(vectorDistances))
	for k := range table {
		table[k] = make([][]string, len(titles))
	}
	for _, s := range sets {
		truth, err := s.draw(freshSeed, freshVectors)
		if err != nil {
			return err
		}
		r := newRuler(truth)
		cells := make([][]cell, len(titles)) // by row and distance
		for i := range cells {
			cells[i] = make([]cell, len(vectorDistances))
		}
		add := func(i int, x *mat.Dense) {
			for k, e := range r.compare(x) {
				cells[i][k] = append(cells[i][k], e)
			}
		}
		for seed := range uint64(runs) {
			floor, err := s.draw(floorSeed+seed, t.n)
			if err != nil {
				return err
			}
			add(0, floor)
			if t.run, err = t.learn(s, 1+seed); err != nil {
				return err
			}
			for i, sampler := range samplers {
				x, nfe, err := t.drawVectors(s, 1+seed, strings.Fields(sampler))
				if err != nil {
					return fmt.Errorf("%s by %s: %w", s.name, sampler, err)
				}
				add(1+i, x)
				if e := strconv.Itoa(nfe); !strings.Contains(evaluations[1+i]+",", e+",") {
					evaluations[1+i] = strings.TrimPrefix(evaluations[1+i]+", "+e, ", ")
				}
			}
		}
		for i, of := range cells {
			for k, c := range of {
				table[k][i] = append(table[k][i], c.String(vectorDistances[k].scale))
			}
		}
	}
	for k, d := range vectorDistances {
		fmt.Printf("%s\n\n| sampler | evaluations |", d.name)
		for _, s := range sets {
			fmt.Printf(" %s |", s.name)
		}
		fmt.Printf("\n|---|---|%s\n", strings.Repeat("---|", len(sets)))
		for i, title := range titles {
			fmt.Printf("| %s | %s | %s |\n", title, evaluations[i], strings.Join(table[k][i], " | "))
		}
		fmt.Println()
	}
	return nil
}

// allSets names the sets, commas between.
func allSets() string {
	var names []string
	for _, s := range vectorSets() {
		names = append(names, s.name)
	}
	return strings.Join(names, ", ")
}

// learn trains with the program's own settings, unless that was done, and returns the run.
func (t *trial) learn(s vectorSet, seed uint64) (string, error) {
	name := fmt.Sprintf("%s-%d", s.name, seed)
	log := filepath.Join(t.out, name+".log")
	run := filepath.Join(t.out, "runs", name)
	if _, err := os.Stat(log); err == nil {
		return run, nil
	}
	spec, err := s.spec(t, seed)
	if err != nil {
		return "", err
	}
	text, err := exec.Command(t.bin, "train", "-data", spec, "-seed", strconv.FormatUint(seed, 10), "-runs", filepath.Join(t.out, "runs"),
		"-name", name, "-preview-every", "0").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("training on %s: %w\n%s", spec, err, text)
	}
	return run, os.WriteFile(log, text, 0o666)
}

// drawVectors draws from the run at hand.
func (t *trial) drawVectors(s vectorSet, seed uint64, flags []string) (*mat.Dense, int, error) {
	base := filepath.Join(t.out, fmt.Sprintf("%s-%d-%s", s.name, seed, strings.Join(flags, "_")))
	shape, x, nfe, err := t.draw(base, append(flags, "-seed", strconv.FormatUint(seed, 10)))
	if err != nil {
		return nil, 0, err
	}
	if len(shape) != 2 {
		return nil, 0, fmt.Errorf("%s.npy has the shape %v: expected vectors", base, shape)
	}
	return rowsOf(x, t.n), nfe, nil
}
