// Command evaltable prints what KID-digits and its neighbours say of sets that are known: digits that were held out, the same
// blurred, the same with noise, and digits drawn from fonts; and between them of models, whose numbers eval has written:
//
//	go run -tags nocuda ./cmd/eval RUN TRAIN -json run.json
//	go run -tags nocuda ./cmd/internal/evaltable -train TRAIN -test TEST run.json
//
// TRAIN and TEST are the images of MNIST's two parts. It fails where the order is not the expected one, held-out digits
// first, then the models, then the spoilt digits and the glyphs, with gaps above two standard errors: by KID, or where two
// sets are nearer to each other than that by coverage. Models that learned other digits are given by -beside run.json, and
// have no place in the order.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sigmaz/kernels"
	"sigmaz/sample/eval"
	"sigmaz/sample/eval/digits"
	"sigmaz/train/dataset"
)

func main() {
	train := flag.String("train", "", "images that KID-digits was trained on: the reference")
	test := flag.String("test", "", "images that were held out")
	n := flag.Int("n", 1000, "samples of each set")
	against := flag.Int("against", 10_000, "images of the reference, as of eval")
	var beside []string
	flag.Func("beside", "numbers of a model that learned other digits; it may be given again", func(path string) error {
		beside = append(beside, path)
		return nil
	})
	flag.Parse()
	if err := run(*train, *test, *n, *against, flag.Args(), beside); err != nil {
		fmt.Fprintln(os.Stderr, "evaltable:", err)
		os.Exit(1)
	}
}

// row is a set and its numbers.
type row struct {
	name    string
	samples int
	kid     eval.Estimate
	rest    [3]eval.Estimate // precision, recall, coverage
	class   int              // its place in the order
}

// coverage is its place in row.rest.
const coverage = 2

// The classes of sets, nearest first.
const (
	held = iota
	model
	spoilt
	without // a place
)

// neighbours makes the balls of precision, recall and coverage, as eval does unless it is told otherwise.
const neighbours = 5

func run(train, test string, n, against int, models, beside []string) error {
	if train == "" || test == "" {
		return errors.New("-train or -test is missing: expected the images of both parts of MNIST")
	}
	w := eval.Workers{Ctx: context.Background()}
	learned, err := read(train, against)
	if err != nil {
		return err
	}
	reference, err := digits.Of(w, learned)
	if err != nil {
		return err
	}
	fresh, err := read(test, n)
	if err != nil {
		return err
	}
	glyphs, err := read("glyphs", n)
	if err != nil {
		return err
	}
	var rows []row
	add := func(name string, class int, images []byte) error {
		x, err := digits.Of(w, images)
		if err != nil {
			return err
		}
		kid, err := eval.KID(w, x, reference)
		if err != nil {
			return err
		}
		some, data := eval.Balanced(x, reference)
		p, err := eval.PRDCOf(w, data, some, neighbours)
		if err != nil {
			return err
		}
		rows = append(rows, row{name, x.N, kid, [3]eval.Estimate{p.Precision, p.Recall, p.Coverage}, class})
		return nil
	}
	if err := add("held-out digits", held, fresh); err != nil {
		return err
	}
	for i, path := range slices.Concat(models, beside) {
		r, err := written(path, reference.N)
		if err != nil {
			return err
		}
		if i >= len(models) {
			r.class = without
		}
		rows = append(rows, r)
	}
	for _, s := range []struct {
		name   string
		images []byte
	}{{"the same, blurred by [1 2 1]/4 both ways", blurred(fresh)}, {"the same, noise of 0.1", noised(fresh, 0.1)}, {"glyphs", glyphs}} {
		if err := add(s.name, spoilt, s.images); err != nil {
			return err
		}
	}
	fmt.Printf("| samples | n | KID-digits x 1000 | precision | recall | coverage |\n|---|---|---|---|---|---|\n")
	for _, r := range rows {
		fmt.Printf("| %s | %d | %.2f ± %.2f |", r.name, r.samples, 1000*r.kid.Value, 1000*r.kid.SE)
		for _, e := range r.rest {
			fmt.Printf(" %.3f ± %.3f |", e.Value, e.SE)
		}
		fmt.Println()
	}
	fmt.Printf("\nagainst %d of %s, k = %d\n", reference.N, filepath.Base(train), neighbours)
	return inOrder(rows)
}

// inOrder fails where a set of an earlier class is not nearer than one of a later class.
func inOrder(rows []row) error {
	var wrong []string
	for _, a := range rows {
		for _, b := range rows {
			if a.class >= b.class || b.class == without {
				continue
			}
			order := compare(b.kid, a.kid)
			if order == 0 {
				order = compare(a.rest[coverage], b.rest[coverage])
			}
			if order <= 0 {
				wrong = append(wrong, fmt.Sprintf("%s before %s", a.name, b.name))
			}
		}
	}
	if wrong != nil {
		return fmt.Errorf("expected by more than two standard errors: %s", strings.Join(wrong, "; "))
	}
	return nil
}

// compare returns 1 where a is larger than b by more than two standard errors of the difference, -1 where it is so much
// smaller, and 0 where neither can be told.
func compare(a, b eval.Estimate) int {
	switch gap, most := a.Value-b.Value, 2*math.Hypot(a.SE, b.SE); {
	case gap > most:
		return 1
	case gap < -most:
		return -1
	}
	return 0
}

// read reads n images of data of digits.
func read(spec string, n int) ([]byte, error) {
	set, err := dataset.Open(spec, 1)
	if err != nil {
		return nil, err
	}
	if set.U8 == nil || set.D() != digits.Side*digits.Side {
		return nil, fmt.Errorf("%s: expected grey images of %dx%d, found %s", spec, digits.Side, digits.Side, set.Name)
	}
	var images []byte
	for _, i := range eval.Choose(n, set.N, 0) {
		images = append(images, set.Bytes(i)...)
	}
	return images, nil
}

// blurred takes the mean of 3x3 pixels with weights 1, 2, 1 in both directions.
func blurred(images []byte) []byte {
	const side = digits.Side
	out := make([]byte, len(images))
	at := func(p, i, j int) int { return int(images[p+min(side-1, max(0, i))*side+min(side-1, max(0, j))]) }
	for p := 0; p < len(images); p += side * side {
		for i := range side {
			for j := range side {
				sum := 0
				for u := -1; u <= 1; u++ {
					line := at(p, i+u, j-1) + 2*at(p, i+u, j) + at(p, i+u, j+1)
					sum += line
					if u == 0 {
						sum += line
					}
				}
				out[p+i*side+j] = byte((sum + 8) / 16)
			}
		}
	}
	return out
}

// noised adds normal noise of deviation sigma, in units of white.
func noised(images []byte, sigma float64) []byte {
	z := make([]float32, len(images))
	kernels.Stream{Seed: 1, Purpose: kernels.PurposeData}.Normals(z)
	out := make([]byte, len(images))
	for i, v := range images {
		out[i] = byte(min(255, max(0, float64(v)+255*sigma*float64(z[i]))) + 0.5)
	}
	return out
}

// written reads the numbers that eval has written.
func written(path string, against int) (r row, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return r, err
	}
	var report struct {
		Samples struct {
			What, Sampler string
			NFE           int
			Seed          uint64
		}
		Numbers []struct {
			Name               string
			Value              *float64
			StandardError      *float64 `json:"standard_error"`
			Samples, Reference int
			Of                 string
		}
	}
	if err := json.Unmarshal(text, &report); err != nil {
		return r, fmt.Errorf("%s: %w", path, err)
	}
	r.class = model
	r.name = fmt.Sprintf("%s: %s, %s, NFE %d, seed %d", strings.TrimSuffix(filepath.Base(path), ".json"), report.Samples.What,
		report.Samples.Sampler, report.Samples.NFE, report.Samples.Seed)
	found := 0
	for _, n := range report.Numbers {
		for i, name := range []string{"KID-digits", "precision-digits k=5", "recall-digits k=5", "coverage-digits k=5"} {
			if n.Name != name || n.Of != "" || n.Value == nil || n.StandardError == nil {
				continue
			}
			if i == 0 && n.Reference != against {
				return r, fmt.Errorf("%s is against %d images, and the other sets against %d: give eval -against %[3]d", path, n.Reference, against)
			}
			e := eval.Estimate{Value: *n.Value, SE: *n.StandardError}
			if found++; i == 0 {
				r.kid, r.samples = e, n.Samples
			} else {
				r.rest[i-1] = e
			}
		}
	}
	if found != 4 {
		return r, fmt.Errorf("%s: expected KID, precision, recall and coverage of digits with k = 5, as eval -json writes them", path)
	}
	return r, nil
}
