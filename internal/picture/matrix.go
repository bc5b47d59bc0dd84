// Vectors of any dimension: a matrix of scatter plots, one for each pair of columns.

package picture

import (
	"fmt"
	"image"
	"image/color"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

const (
	// MatrixColumns is the most columns that a matrix shows: more cannot be looked at in one picture.
	MatrixColumns = 6
	matrixSide    = 4.5 * vg.Centimeter // of one cell
	matrixBins    = 40
)

// Matrix draws vectors (n, d) of the data and of samples as k x k cells, k = min(d, MatrixColumns). Cell (r, c) has
// column c across and column r up:
//
//	r > c   the data
//	r = c   the density of the column, data dark, samples blue
//	r < c   the samples: mirrored at the diagonal they should look like the data
//
// data and names, which are those of the columns, may be nil.
func Matrix(data, samples []float32, d int, names []string) (image.Image, error) {
	k := min(d, MatrixColumns)
	ranges := make([][2]float64, k)
	for c := range ranges {
		of := data
		if len(data) == 0 {
			of = samples
		}
		ranges[c] = rangeOf(of, d, c)
	}
	plots := make([][]*plot.Plot, k)
	for r := range plots {
		plots[r] = make([]*plot.Plot, k)
		for c := range plots[r] {
			p := plot.New()
			for _, f := range []*font.Font{&p.Title.TextStyle.Font, &p.X.Tick.Label.Font, &p.Y.Tick.Label.Font} {
				f.Variant, f.Size = "Sans", font.Length(7)
			}
			p.X.Padding, p.Y.Padding = 0, 0
			if r == 0 {
				p.Title.Text = fmt.Sprintf("column %d", c+1)
				if names != nil {
					p.Title.Text = names[c]
				}
			}
			var err error
			switch {
			case r == c:
				err = distribution(p, data, samples, d, c, ranges[c])
			case r > c:
				err = pair(p, data, d, c, r, ranges[c], ranges[r], dataColor)
			default:
				err = pair(p, samples, d, c, r, ranges[c], ranges[r], sampleColor)
			}
			if err != nil {
				return nil, fmt.Errorf("picture: %w", err)
			}
			plots[r][c] = p
		}
	}
	side := matrixSide * vg.Length(k)
	canvas := vgimg.New(side, side)
	const pad = 2 * vg.Millimeter
	tiles := draw.Tiles{Rows: k, Cols: k, PadX: pad, PadY: pad, PadTop: pad, PadBottom: pad, PadLeft: pad, PadRight: pad}
	tile := plot.Align(plots, tiles, draw.New(canvas))
	for r := range plots {
		for c, p := range plots[r] {
			p.Draw(tile[r][c])
		}
	}
	return canvas.Image(), nil
}

// rangeOf returns the smallest and the largest finite value of column c, with a tenth of their distance added at both
// ends.
func rangeOf(x []float32, d, c int) [2]float64 {
	lo, hi := math.Inf(1), math.Inf(-1)
	for i := c; i < len(x); i += d {
		if v := float64(x[i]); v-v == 0 { // finite
			lo, hi = min(lo, v), max(hi, v)
		}
	}
	if !(hi >= lo) {
		return [2]float64{-1, 1}
	}
	room := (hi - lo) / 10
	if room == 0 {
		room = max(1, math.Abs(lo))
	}
	return [2]float64{lo - room, hi + room}
}

func inside(v float64, r [2]float64) bool { return v >= r[0] && v <= r[1] }

// pair adds column a (across) and column b (up) of the points to a plot.
func pair(p *plot.Plot, x []float32, d, a, b int, ra, rb [2]float64, c color.Color) error {
	var xy plotter.XYs
	for i := 0; i+d <= len(x); i += d {
		u, v := float64(x[i+a]), float64(x[i+b])
		if inside(u, ra) && inside(v, rb) {
			xy = append(xy, plotter.XY{X: u, Y: v})
		}
	}
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = ra[0], ra[1], rb[0], rb[1]
	if len(xy) == 0 {
		return nil // gonum/plot takes no empty scatter
	}
	s, err := plotter.NewScatter(xy)
	if err != nil {
		return err
	}
	s.GlyphStyle = draw.GlyphStyle{Color: c, Radius: 0.6, Shape: draw.CircleGlyph{}}
	p.Add(only{s})
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = ra[0], ra[1], rb[0], rb[1]
	return nil
}

// distribution adds the densities of column c of data and samples to a plot, each as a histogram.
func distribution(p *plot.Plot, data, samples []float32, d, c int, r [2]float64) error {
	top := 0.0
	for i, x := range [][]float32{data, samples} {
		if len(x) == 0 {
			continue
		}
		count := make([]float64, matrixBins)
		for i := c; i < len(x); i += d {
			if v := float64(x[i]); inside(v, r) {
				count[min(matrixBins-1, int((v-r[0])/(r[1]-r[0])*matrixBins))]++
			}
		}
		var line plotter.XYs
		width := (r[1] - r[0]) / matrixBins
		for b, n := range count {
			density := n / (float64(len(x)/d) * width)
			top = max(top, density)
			from, to := r[0]+float64(b)*width, r[0]+float64(b+1)*width
			line = append(line, plotter.XY{X: from, Y: density}, plotter.XY{X: to, Y: density})
		}
		l, err := plotter.NewLine(line)
		if err != nil {
			return err
		}
		l.Color, l.Width = dataColor, vg.Points(1)
		if i == 1 {
			l.Color = sampleColor
		}
		p.Add(only{l})
	}
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = r[0], r[1], 0, 1.1*max(top, 1e-300)
	return nil
}
