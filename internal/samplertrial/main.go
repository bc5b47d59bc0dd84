// The trial: draw by each sampler, compare, print the table.

package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/image/font"
	"golang.org/x/image/font/basicfont"
	"golang.org/x/image/math/fixed"

	"sigmaz/internal/npy"
	"sigmaz/internal/picture"
	"sigmaz/train/dataset"
)

// trial is what the command line asks for.
type trial struct {
	bin, run, out string
	n             int
}

// imageSamplers are those that are compared where none are named.
const imageSamplers = "langevin, dpm++-2m-sde, dpm++-2m-sde -nfe 18, heun -anyway, consistent, pc"

func main() {
	var t trial
	flag.StringVar(&t.bin, "bin", "./sigmaz", "the program sigmaz")
	runs := flag.String("run", "", "run, or checkpoint, to draw from; or several, commas between, whose samples have a folder each")
	flag.StringVar(&t.out, "out", "", "folder for the samples")
	flag.IntVar(&t.n, "n", 0, "samples of each sampler (default 1500, of vectors 2000)")
	samplers := flag.String("samplers", "", "samplers with their flags, commas between (default: "+imageSamplers+
		"; of vectors: "+vectorSamplers+")")
	learned := flag.String("learned", "glyphs", "the data that was learned")
	fresh := flag.String("fresh", "glyphs", "the same kind of data, not learned; data that is made has another seed")
	file := flag.String("picture", "", "picture of the first samples of each, side by side")
	vectors := flag.Bool("vectors", false, "the trial of vectors, which trains by itself")
	sets := flag.String("sets", allSets(), "of -vectors: the sets that are learned, commas between")
	seeds := flag.Int("seeds", 3, "of -vectors: runs of each set")
	flag.Parse()
	do := func() error {
		if !*vectors {
			t.n = cmp.Or(t.n, 1500)
			return t.do(strings.Split(*runs, ","), strings.Split(cmp.Or(*samplers, imageSamplers), ","), *learned, *fresh, *file)
		}
		t.n = cmp.Or(t.n, 2000)
		return t.vectors(strings.Split(cmp.Or(*samplers, vectorSamplers), ","), strings.Split(*sets, ","), *seeds)
	}
	if err := do(); err != nil {
		fmt.Fprintln(os.Stderr, "samplertrial:", err)
		os.Exit(1)
	}
}

// freshImages is how many images stand for the distribution that samples are compared with.
const freshImages = 10_000

func (t *trial) do(runs, samplers []string, learned, fresh, file string) error {
	if runs[0] == "" || t.out == "" {
		return errors.New("-run or -out is missing: expected a run to draw from, and a folder for the samples")
	}
	if t.n < 10*groups {
		return fmt.Errorf("-n is %d: expected at least %d samples, for errors", t.n, 10*groups)
	}
	floor, err := readImages(learned, 1, t.n)
	if err != nil {
		return err
	}
	truth, err := readImages(fresh, 2, freshImages)
	if err != nil {
		return err
	}
	r := newReference(matrix(truth))
	fmt.Println("| sampler | evaluations | sliced Wasserstein x 1000 | Fréchet | noise: median | 99 % | above 0.1 |")
	fmt.Println("|---|---|---|---|---|---|---|")
	fmt.Println(r.compare(floor).row("images that were learned", 0))
	var panels []panel
	out := t.out
	for _, t.run = range runs {
		of, title := "", "" // the run, where there are several
		if len(runs) > 1 {
			name := filepath.Base(t.run)
			t.out, of, title = filepath.Join(out, name), "`"+name+"`, ", name+", "
		}
		if err := os.MkdirAll(t.out, 0o777); err != nil {
			return err
		}
		for _, s := range samplers {
			flags := strings.Fields(s)
			m, nfe, err := t.drawImages(flags)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", t.run, strings.Join(flags, " "), err)
			}
			if m.H*m.W*m.C != truth.H*truth.W*truth.C {
				return fmt.Errorf("samples are %dx%dx%d, and images of -fresh %s %dx%dx%d", m.H, m.W, m.C, fresh, truth.H, truth.W,
					truth.C)
			}
			fmt.Println(r.compare(m).row(of+"`"+strings.Join(flags, " ")+"`", nfe))
			panels = append(panels, panel{fmt.Sprintf("%s%s: %d evaluations", title, flags[0], nfe), m})
		}
	}
	if file == "" {
		return nil
	}
	return picture.WritePNG(file, sideBySide(panels))
}

// row writes a comparison as a row of the table; nfe 0: nothing was evaluated.
func (c comparison) row(name string, nfe int) string {
	evaluations := ""
	if nfe > 0 {
		evaluations = strconv.Itoa(nfe)
	}
	with := func(e estimate, scale float64, digits int) string {
		return fmt.Sprintf("%.*f ± %.*f", digits, scale*e.value, digits, scale*e.err)
	}
	return fmt.Sprintf("| %s | %s | %s | %s | %s | %s | %.1f %% |", name, evaluations, with(c.sliced, 1000, 1),
		with(c.frechet, 1, 2), with(c.noise, 1, 4), with(c.most, 1, 3), 100*c.noisy)
}

// readImages reads the first n images of data, or as many as there are.
func readImages(spec string, seed uint64, n int) (picture.Images, error) {
	set, err := dataset.Source{Spec: spec, Seed: seed}.Open(context.Background())
	if err != nil {
		return picture.Images{}, err
	}
	if set.U8 == nil {
		return picture.Images{}, fmt.Errorf("%s holds vectors: expected images", spec)
	}
	m := picture.Images{N: min(n, set.N), H: set.H, W: set.W, C: set.C}
	for i := range m.N {
		for _, b := range set.Bytes(i) {
			m.Pix = append(m.Pix, float32(b)/255)
		}
	}
	return m, nil
}

// nfeOf finds in the program's output how often the network was evaluated for a sample.
var nfeOf = regexp.MustCompile(`= (\d+) evaluations of the network each|, up to (\d+) a sample`)

// drawImages draws images from the run.
func (t *trial) drawImages(flags []string) (m picture.Images, nfe int, err error) {
	base := filepath.Join(t.out, strings.Join(flags, "_"))
	shape, x, nfe, err := t.draw(base, flags)
	if err != nil {
		return m, 0, err
	}
	if len(shape) != 4 {
		return m, 0, fmt.Errorf("%s.npy has the shape %v: expected images", base, shape)
	}
	return picture.Images{N: t.n, H: shape[1], W: shape[2], C: shape[3], Pix: x}, nfe, nil
}

// draw draws samples into files that begin with base, unless they are there, and reads them.
func (t *trial) draw(base string, flags []string) (shape []int, x []float32, nfe int, err error) {
	text, err := os.ReadFile(base + ".log")
	if errors.Is(err, fs.ErrNotExist) {
		args := append([]string{"sample", t.run, "-n", strconv.Itoa(t.n), "-npy", base + ".npy", "-o", base + ".png", "-sampler"}, flags...)
		if text, err = exec.Command(t.bin, args...).CombinedOutput(); err != nil {
			return nil, nil, 0, fmt.Errorf("%w\n%s", err, text)
		}
		err = os.WriteFile(base+".log", text, 0o666)
	}
	if err != nil {
		return nil, nil, 0, err
	}
	for _, number := range nfeOf.FindStringSubmatch(string(text)) {
		if v, err := strconv.Atoi(number); err == nil {
			nfe = v
		}
	}
	f, err := os.Open(base + ".npy")
	if err != nil {
		return nil, nil, 0, err
	}
	defer f.Close()
	a, err := npy.NewReader(f.Name(), f, -1)
	if err != nil {
		return nil, nil, 0, err
	}
	if len(a.Shape) < 2 || a.Shape[0] < t.n {
		return nil, nil, 0, fmt.Errorf("%s has the shape %v: expected %d samples or more; empty the folder of -out, or give -n", f.Name(),
			a.Shape, t.n)
	}
	if x, err = npy.ReadAll[float32](a); err != nil {
		return nil, nil, 0, err
	}
	return a.Shape, x[:t.n*len(x)/a.Shape[0]], nfe, nil
}

// panel is a grid of samples with a line above it.
type panel struct {
	title  string
	images picture.Images
}

// shown is how many samples of each a picture shows, columns how many in a row.
const (
	shown   = 64
	columns = 8
)

// sideBySide draws panels from left to right on white.
func sideBySide(panels []panel) image.Image {
	const margin, line = 12, 20
	var grids []image.Image
	width, height := margin, 0
	for _, p := range panels {
		m := p.images
		m.N = min(m.N, shown)
		m.Pix = m.Pix[:m.N*m.H*m.W*m.C]
		g := picture.Grid(m, columns, 2)
		grids = append(grids, g)
		width, height = width+g.Bounds().Dx()+margin, max(height, g.Bounds().Dy())
	}
	bounds := image.Rect(0, 0, width, line+height+margin)
	var all draw.Image = image.NewGray(bounds)
	if len(panels) > 0 && panels[0].images.C == 3 {
		all = image.NewRGBA(bounds)
	}
	draw.Draw(all, bounds, image.White, image.Point{}, draw.Src)
	x := margin
	for i, g := range grids {
		d := font.Drawer{Dst: all, Src: image.NewUniform(color.Black), Face: basicfont.Face7x13, Dot: fixed.P(x, line-6)}
		d.DrawString(panels[i].title)
		draw.Draw(all, g.Bounds().Add(image.Pt(x, line)), g, g.Bounds().Min, draw.Src)
		x += g.Bounds().Dx() + margin
	}
	return all
}
