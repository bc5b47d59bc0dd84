// Plots of points and of score fields in the plane, with gonum/plot. Points are (n, 2), flat.

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

var (
	dataColor   = color.RGBA{R: 70, G: 70, B: 78, A: 255}
	faintColor  = color.RGBA{R: 150, G: 150, B: 158, A: 255} // the data, under arrows
	sampleColor = color.RGBA{R: 31, G: 102, B: 178, A: 255}
	noisyColor  = color.RGBA{R: 246, G: 200, B: 150, A: 255}
	arrowColor  = color.RGBA{R: 20, G: 60, B: 130, A: 255}
)

// side is the width of one panel with its labels.
const side = 11 * vg.Centimeter

// Box is a square window of the plane.
type Box struct{ X, Y, Half float64 } // centre, half the side

// BoxOf returns the smallest square around the points, with a tenth of its side added on each side. It ignores values
// that are not finite.
func BoxOf(points []float32) Box {
	lo := [2]float64{math.Inf(1), math.Inf(1)}
	hi := [2]float64{math.Inf(-1), math.Inf(-1)}
	for i := 0; i+1 < len(points); i += 2 {
		for j := range 2 {
			if v := float64(points[i+j]); !math.IsNaN(v) && !math.IsInf(v, 0) {
				lo[j], hi[j] = min(lo[j], v), max(hi[j], v)
			}
		}
	}
	if !(hi[0] >= lo[0]) || !(hi[1] >= lo[1]) {
		return Box{Half: 1}
	}
	b := Box{X: (lo[0] + hi[0]) / 2, Y: (lo[1] + hi[1]) / 2, Half: 0.6 * max(hi[0]-lo[0], hi[1]-lo[1])}
	if b.Half == 0 {
		b.Half = 1
	}
	return b
}

// Outside counts the points that lie outside the box or are not finite.
func (b Box) Outside(points []float32) int {
	n := 0
	for i := 0; i+1 < len(points); i += 2 {
		if !(math.Abs(float64(points[i])-b.X) <= b.Half && math.Abs(float64(points[i+1])-b.Y) <= b.Half) {
			n++
		}
	}
	return n
}

// Lattice returns the centres of the cells x cells equal squares that fill the box, (cells*cells, 2), x fastest.
func (b Box) Lattice(cells int) []float32 {
	points := make([]float32, 0, 2*cells*cells)
	for j := range cells {
		for i := range cells {
			points = append(points, float32(b.center(b.X, i, cells)), float32(b.center(b.Y, j, cells)))
		}
	}
	return points
}

// center returns a coordinate of the centre of square i along one axis; c is that coordinate of the box's own centre.
func (b Box) center(c float64, i, cells int) float64 {
	return c + b.Half*((2*float64(i)+1)/float64(cells)-1)
}

// Panel is one square plot.
type Panel struct {
	Title  string
	Data   []float32 // (n, 2) points of the data, small and dark; may be nil
	Noisy  []float32 // (n, 2) perturbed points x + sigma z, faint, behind everything; may be nil
	Sample []float32 // (n, 2) samples; may be nil
	// Arrows are vectors at the points of Box.Lattice(Cells), (Cells*Cells, 2), such as sigma s(x, sigma), which has
	// no unit. A vector v is drawn with a length proportional to |v| / (1 + |v|), so that short and long ones can be
	// seen in one picture; the longest fills its cell.
	Arrows []float32
	Cells  int
}

// Panels draws panels in rows of the given number of columns (0: all in one row). All show the same box, with equal
// axes.
func Panels(panels []Panel, b Box, columns int) (image.Image, error) {
	if len(panels) == 0 {
		panic("picture: no panels")
	}
	if columns < 1 {
		columns = len(panels)
	}
	rows := (len(panels) + columns - 1) / columns
	plots := make([][]*plot.Plot, rows)
	for r := range plots {
		plots[r] = make([]*plot.Plot, columns)
		for c := range plots[r] {
			if i := r*columns + c; i < len(panels) {
				var err error
				if plots[r][c], err = panels[i].plot(b); err != nil {
					return nil, err
				}
			}
		}
	}
	w, h := side*vg.Length(columns), side*vg.Length(rows)
	tiles := draw.Tiles{Rows: rows, Cols: columns, PadX: 4 * vg.Millimeter, PadY: 4 * vg.Millimeter,
		PadTop: 2 * vg.Millimeter, PadBottom: 2 * vg.Millimeter, PadLeft: 2 * vg.Millimeter, PadRight: 4 * vg.Millimeter}
	layout := func() (*vgimg.Canvas, [][]draw.Canvas) {
		c := vgimg.New(w, h)
		return c, plot.Align(plots, tiles, draw.New(c))
	}
	// Labels take room from the width and other room from the height. A first layout shows by how much the panels
	// miss being square, and the height is changed by that.
	_, tile := layout()
	d := plots[0][0].DataCanvas(tile[0][0])
	h += vg.Length(rows) * ((d.Max.X - d.Min.X) - (d.Max.Y - d.Min.Y))
	c, tile := layout()
	for r := range plots {
		for k, p := range plots[r] {
			if p != nil {
				p.Draw(tile[r][k])
			}
		}
	}
	return c.Image(), nil
}

func (p Panel) plot(b Box) (*plot.Plot, error) {
	pl := plot.New()
	pl.Title.Text = p.Title
	for _, f := range []*font.Font{&pl.Title.TextStyle.Font, &pl.X.Tick.Label.Font, &pl.Y.Tick.Label.Font} {
		f.Variant = "Sans"
		f.Size = font.Length(9)
	}
	pl.Title.Padding = 2 * vg.Millimeter
	pl.X.Padding, pl.Y.Padding = 0, 0
	ink := dataColor
	if len(p.Arrows) > 0 {
		ink = faintColor
	}
	for _, set := range []struct {
		points []float32
		color  color.Color
		radius vg.Length
	}{{p.Noisy, noisyColor, 0.9}, {p.Data, ink, 0.7}, {p.Sample, sampleColor, 0.7}} {
		if len(set.points) == 0 {
			continue
		}
		xy := make(plotter.XYs, 0, len(set.points)/2)
		for i := 0; i+1 < len(set.points); i += 2 {
			q := plotter.XY{X: float64(set.points[i]), Y: float64(set.points[i+1])}
			if b.Outside(set.points[i:i+2]) == 0 {
				xy = append(xy, q)
			}
		}
		if len(xy) == 0 {
			continue // gonum/plot takes no empty scatter
		}
		s, err := plotter.NewScatter(xy)
		if err != nil {
			return nil, fmt.Errorf("picture: %w", err)
		}
		s.GlyphStyle = draw.GlyphStyle{Color: set.color, Radius: set.radius, Shape: draw.CircleGlyph{}}
		pl.Add(only{s})
	}
	if len(p.Arrows) > 0 {
		if len(p.Arrows) != 2*p.Cells*p.Cells {
			panic(fmt.Sprintf("picture: %d values for %d x %d arrows", len(p.Arrows), p.Cells, p.Cells))
		}
		f := plotter.NewField(lattice{p.Arrows, p.Cells, b})
		f.LineStyle = draw.LineStyle{Color: arrowColor, Width: vg.Points(0.7)}
		f.DrawGlyph = drawArrow
		pl.Add(only{f})
	}
	pl.X.Min, pl.X.Max = b.X-b.Half, b.X+b.Half
	pl.Y.Min, pl.Y.Max = b.Y-b.Half, b.Y+b.Half
	return pl, nil
}

// only hides all methods of a plotter but Plot. Otherwise gonum/plot makes room for glyphs that stick out at an edge,
// and the size of a picture depends on where its points lie.
type only struct{ plot.Plotter }

// lattice is a field of arrows in the form that gonum/plot takes (plotter.FieldXY).
type lattice struct {
	v     []float32
	cells int
	box   Box
}

func (l lattice) Dims() (c, r int) { return l.cells, l.cells }
func (l lattice) X(c int) float64  { return l.box.center(l.box.X, c, l.cells) }
func (l lattice) Y(r int) float64  { return l.box.center(l.box.Y, r, l.cells) }
func (l lattice) Vector(c, r int) plotter.XY {
	x, y := float64(l.v[2*(r*l.cells+c)]), float64(l.v[2*(r*l.cells+c)+1])
	d := 1 + math.Hypot(x, y)
	if math.IsNaN(d) || math.IsInf(d, 0) {
		return plotter.XY{}
	}
	return plotter.XY{X: x / d, Y: y / d}
}

// drawArrow draws an arrow along the x axis from -1 to 1. The plotter has turned, scaled and moved the axes: the
// arrow is centred on its lattice point and at most a cell long.
func drawArrow(c vg.Canvas, sty draw.LineStyle, v plotter.XY) {
	if v.X == 0 && v.Y == 0 {
		return
	}
	c.SetColor(sty.Color)
	c.SetLineWidth(sty.Width)
	var shaft vg.Path
	shaft.Move(vg.Point{X: -0.9})
	shaft.Line(vg.Point{X: 0.4})
	c.Stroke(shaft)
	var head vg.Path
	head.Move(vg.Point{X: 0.95})
	head.Line(vg.Point{X: 0.3, Y: 0.28})
	head.Line(vg.Point{X: 0.3, Y: -0.28})
	head.Close()
	c.Fill(head)
}

// Scatter draws data and samples side by side in the data's box, or samples alone in their own box where there is no
// data.
func Scatter(data, samples []float32) (image.Image, error) {
	b := BoxOf(data)
	var panels []Panel
	if len(data) > 0 {
		panels = append(panels, Panel{Title: fmt.Sprintf("data (%d points)", len(data)/2), Data: data})
	} else {
		b = BoxOf(samples)
	}
	title := fmt.Sprintf("samples (%d points)", len(samples)/2)
	if n := b.Outside(samples); n > 0 {
		title = fmt.Sprintf("samples (%d points, %d outside this window)", len(samples)/2, n)
	}
	return Panels(append(panels, Panel{Title: title, Sample: samples}), b, 0)
}

// FieldPanel is a learned score field at one noise level.
type FieldPanel struct {
	Sigma  float64
	Arrows []float32 // sigma s(x, sigma) at Box.Lattice(cells)
	Noisy  []float32 // data perturbed at this sigma, which is where the field was learned; may be nil
}

// Fields draws a score field at several noise levels over the data, three panels a row.
func Fields(data []float32, fields []FieldPanel, b Box, cells int) (image.Image, error) {
	var panels []Panel
	for _, f := range fields {
		title := fmt.Sprintf("sigma = %.3g", f.Sigma)
		panels = append(panels, Panel{Title: title, Data: data, Arrows: f.Arrows, Cells: cells})
	}
	return Panels(panels, b, min(3, len(panels)))
}

// TooLittleTooMuch draws the picture that explains noise levels: one learned score field at too little noise, at
// enough and at too much, each over the data perturbed by that much, which is all that the network saw.
func TooLittleTooMuch(data []float32, little, enough, much FieldPanel, b Box, cells int) (image.Image, error) {
	var panels []Panel
	for i, f := range []FieldPanel{little, enough, much} {
		say := [...]string{
			"too little noise: nothing was learned away from the data",
			"enough: the gaps are filled, the shape is still there",
			"too much noise: all that is left is the middle",
		}[i]
		title := fmt.Sprintf("%s\nsigma = %.3g; orange: data + sigma z", say, f.Sigma)
		panels = append(panels, Panel{Title: title, Data: data, Noisy: f.Noisy, Arrows: f.Arrows, Cells: cells})
	}
	return Panels(panels, b, 0)
}

// Moment draws samples over the data at one moment of the annealing. A sigma of 0 stands for the end.
func Moment(data, samples []float32, sigma float64, b Box) (image.Image, error) {
	title := fmt.Sprintf("sigma = %.3g", sigma)
	if sigma == 0 {
		title = "the end: denoised" // has a letter below the line, as "sigma" has: a title's height comes from its letters
	}
	return Panels([]Panel{{Title: title, Noisy: data, Sample: samples}}, b, 0)
}
