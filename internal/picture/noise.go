// Pictures of a choice of noise: the ladder among the distances of the data, and how noise makes a Gaussian of it.

package picture

import (
	"fmt"
	"image"
	"image/color"
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

var (
	levelColor  = color.RGBA{R: 214, G: 104, B: 0, A: 255}  // sigma_i
	lengthColor = color.RGBA{R: 31, G: 102, B: 178, A: 255} // sigma_i sqrt D
	markColor   = color.RGBA{R: 190, G: 30, B: 45, A: 255}
	barColor    = color.RGBA{R: 196, G: 200, B: 208, A: 255}
)

// Shown is a small picture with what stands below it.
type Shown struct {
	Picture image.Image
	Lines   []string
}

// Extremes are the two rows furthest apart and the two nearest: pictures, or vectors, of which the first two columns
// are drawn.
type Extremes struct {
	Farthest, Nearest [2]Shown
	Texts             [2]string // on the pair furthest apart and on the nearest

	Points []float32        // (n, 2) of vectors; nil: pictures
	Ends   [2][2][2]float32 // of the two pairs, two points each
}

// Ladder is what [NoiseLadder] draws.
type Ladder struct {
	Distances            []float32 // of some pairs
	Min, Median, Max     float64   // of all
	Sigmas               []float64
	D                    int
	Overlap              func(g float64) float64
	Ratio, Usual         float64 // the ladder's g; the overlap that Technique 2 asks for
	Levels               []Shown
	Extremes             Extremes
	Counted, LevelsTitle string // how many rows Distances are of; what Levels are
}

// NoiseLadder draws the distances between rows with the ladder on the same axis, once as deviations sigma_i per value and
// once as the length sigma_i sqrt D of such noise, which is what compares with a distance; the overlap of neighbouring
// levels against their ratio; data at some levels; the two extreme pairs.
func NoiseLadder(l Ladder) (image.Image, error) {
	const w, margin, plotH = 1180, 12, 370
	distances, err := l.distances()
	if err != nil {
		return nil, fmt.Errorf("picture: %w", err)
	}
	overlap, err := l.overlap()
	if err != nil {
		return nil, fmt.Errorf("picture: %w", err)
	}
	levels := arrange(l.Levels, w-2*margin)
	extremes := 120
	if l.Extremes.Points != nil {
		extremes = 300
	} else if b := l.Extremes.Farthest[0].Picture; b != nil {
		extremes = b.Bounds().Dy()
	}
	yLevels := margin + plotH + 34
	yPairs := yLevels + 26 + levels.height + 10
	s := newSheet(w, yPairs+26+extremes+26+margin)

	s.plot(distances, margin, margin, 700, plotH)
	s.plot(overlap, margin+716, margin, w-2*margin-716, plotH)
	const right = margin + 690
	s.text("sigma_i: deviations per value", margin+62, margin+plotH+4, normalText, 0, levelColor)
	s.text("sigma_i sqrt D: the length of such noise, which compares with a distance", right, margin+plotH+4, normalText, 1, lengthColor)

	s.text(l.LevelsTitle, margin, yLevels, headText, 0, color.Black)
	levels.draw(s, margin, yLevels+26)

	s.text("The two rows that are furthest apart, and the two nearest ones", margin, yPairs, headText, 0, color.Black)
	if err := l.Extremes.draw(s, margin, yPairs+26, extremes); err != nil {
		return nil, err
	}
	return s.image(), nil
}

// labelled sets the letters of a plot.
func labelled(p *plot.Plot, title string) {
	p.Title.Text = title
	for _, f := range []*font.Font{&p.Title.TextStyle.Font, &p.X.Tick.Label.Font, &p.Y.Tick.Label.Font, &p.X.Label.TextStyle.Font,
		&p.Y.Label.TextStyle.Font} {
		f.Variant, f.Size = "Sans", font.Length(normalText)
	}
	p.Title.TextStyle.Font.Size = headText
	p.Title.Padding = 2 * vg.Millimeter
	p.X.Padding, p.Y.Padding = 0, 0
}

// distances plots the histogram with logarithmic axes, with the ladder below the counts.
func (l *Ladder) distances() (*plot.Plot, error) {
	p := plot.New()
	labelled(p, fmt.Sprintf("Distances between pairs (%s), and the ladder", l.Counted))
	p.X.Label.Text, p.Y.Label.Text = "distance", "pairs"
	length := math.Sqrt(float64(l.D))
	first, last := l.Sigmas[0], l.Sigmas[len(l.Sigmas)-1]
	lo, hi := min(last, l.Min)/1.4, max(first*length, l.Max)*1.4
	const bins = 240
	at := func(bin int) float64 { return lo * math.Pow(hi/lo, float64(bin)/bins) }
	count := make([]float64, bins)
	for _, d := range l.Distances {
		if v := float64(d); v >= lo && v <= hi {
			count[min(bins-1, int(bins*math.Log(v/lo)/math.Log(hi/lo)))]++
		}
	}
	top := slices.Max(count)
	const floor, least = 0.02, 0.8 // the ladder is drawn between them
	for b, n := range count {
		if n == 0 {
			continue
		}
		bar, err := plotter.NewPolygon(plotter.XYs{{X: at(b), Y: least}, {X: at(b), Y: n}, {X: at(b + 1), Y: n}, {X: at(b + 1), Y: least}})
		if err != nil {
			return nil, err
		}
		bar.Color, bar.LineStyle.Width = dataColor, 0
		p.Add(only{bar})
	}
	var levels, lengths []float64
	for _, sigma := range l.Sigmas {
		levels, lengths = append(levels, sigma), append(lengths, sigma*length)
	}
	p.Add(only{strokes{levels, 0.025, 0.09, levelColor, 0.6}}, only{strokes{lengths, 0.15, 0.55, lengthColor, 0.6}})
	ceiling := 100 * max(top, 1) // with room for three lines of text
	for _, m := range []struct {
		at    float64
		text  string
		row   float64 // of text from the top
		align float64
	}{{l.Min, fmt.Sprintf("d_min %.4g ", l.Min), 1, 1}, {l.Median, fmt.Sprintf("median %.4g ", l.Median), 2, 1},
		{l.Max, fmt.Sprintf(" d_max %.4g", l.Max), 1, 0}} {
		if !(m.at > 0) {
			continue
		}
		if m.align == 1 && m.at/lo < math.Pow(hi/lo, 0.2) { // no room at its left
			m.text, m.align = " "+m.text, 0
		}
		if m.align == 0 && hi/m.at < math.Pow(hi/lo, 0.2) { // none at its right
			m.text, m.align, m.row = m.text+" ", 1, 3
		}
		p.Add(only{strokes{[]float64{m.at}, least, ceiling, markColor, 1}})
		p.Add(only{label{m.at, ceiling, m.row, m.text, m.align, markColor}})
	}
	p.X.Scale, p.Y.Scale = plot.LogScale{}, plot.LogScale{}
	p.X.Tick.Marker, p.Y.Tick.Marker = plot.LogTicks{Prec: -1}, counts{}
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = lo, hi, floor, ceiling
	return p, nil
}

// counts are the ticks of a logarithmic axis of counts: powers of ten from 1 on.
type counts struct{}

func (counts) Ticks(_, hi float64) (ticks []plot.Tick) {
	for v := 1.0; v <= hi; v *= 10 {
		text := fmt.Sprintf("%g", v)
		switch {
		case v >= 1e6:
			text = fmt.Sprintf("%g M", v/1e6)
		case v >= 1e3:
			text = fmt.Sprintf("%g k", v/1e3)
		}
		ticks = append(ticks, plot.Tick{Value: v, Label: text})
	}
	return ticks
}

// ratioTicks are the usual ticks with all the digits that tell ratios near 1 apart: the usual labels have two.
func ratioTicks(min, max float64) []plot.Tick {
	ticks := plot.DefaultTicks{}.Ticks(min, max)
	for i, t := range ticks {
		if t.Label != "" {
			ticks[i].Label = fmt.Sprintf("%.4g", t.Value)
		}
	}
	return ticks
}

// overlap plots C against g.
func (l *Ladder) overlap() (*plot.Plot, error) {
	p := plot.New()
	labelled(p, fmt.Sprintf("Overlap C of neighbouring levels, D = %d", l.D))
	p.X.Label.Text, p.Y.Label.Text = "ratio g = sigma_i / sigma_(i+1)", "C"
	hi := 1 + 2.6*(l.Ratio-1)
	var xy plotter.XYs
	const points = 300
	for i := range points {
		g := 1 + (hi-1)*float64(i)/(points-1)
		xy = append(xy, plotter.XY{X: g, Y: l.Overlap(g)})
	}
	curve, err := plotter.NewLine(xy)
	if err != nil {
		return nil, err
	}
	curve.Color, curve.Width = dataColor, vg.Points(1.5)
	usual, err := plotter.NewLine(plotter.XYs{{X: 1, Y: l.Usual}, {X: hi, Y: l.Usual}})
	if err != nil {
		return nil, err
	}
	usual.Color, usual.Dashes = faintColor, []vg.Length{vg.Points(4), vg.Points(3)}
	chosen, err := plotter.NewScatter(plotter.XYs{{X: l.Ratio, Y: l.Overlap(l.Ratio)}})
	if err != nil {
		return nil, err
	}
	chosen.GlyphStyle = draw.GlyphStyle{Color: markColor, Radius: vg.Points(4), Shape: draw.CircleGlyph{}}
	p.Add(only{usual}, only{curve}, only{chosen})
	c, row := l.Overlap(l.Ratio), -2.2 // above the curve, or below it where that is at the top
	if c > 0.8 {
		row = 1.6
	}
	for i, text := range []string{fmt.Sprintf("   g = %.5g, C = %.2f", l.Ratio, c), fmt.Sprintf("   %d levels", len(l.Sigmas))} {
		p.Add(only{label{l.Ratio, c, float64(i) + row, text, 0, markColor}})
	}
	p.Add(only{label{hi, l.Usual, -0.4, fmt.Sprintf("C = %g ", l.Usual), 1, dataColor}})
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = 1, hi, 0, 1.08
	p.X.Tick.Marker = plot.TickerFunc(ratioTicks)
	return p, nil
}

// strokes are upright lines from one height to another.
type strokes struct {
	x        []float64
	from, to float64
	ink      color.Color
	width    float64 // in points
}

func (s strokes) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	for _, v := range s.x {
		c.StrokeLine2(draw.LineStyle{Color: s.ink, Width: vg.Points(s.width)}, x(v), y(s.from), x(v), y(s.to))
	}
}

// label is text some lines below a place. align is where the place is in the text, 0 at its left and 1 at its right.
type label struct {
	x, y  float64
	row   float64
	text  string
	align float64
	ink   color.Color
}

func (l label) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	style := p.Title.TextStyle
	style.Color, style.Font.Size = l.ink, font.Length(normalText)
	style.XAlign, style.YAlign = draw.XAlignment(-l.align), draw.YTop
	c.FillText(style, vg.Point{X: x(l.x), Y: y(l.y) - vg.Points(1.25*normalText*(l.row-0.8))}, l.text)
}

// arrangement is small pictures in rows.
type arrangement struct {
	shown                  []Shown
	columns, width, height int // of a column; of all
	row                    int // height of a row
}

const lineHeight = 15

// arrange puts pictures in rows of at most w pixels.
func arrange(shown []Shown, w int) (a arrangement) {
	a.shown = shown
	lines := 0
	for _, s := range shown {
		a.width, a.row, lines = max(a.width, s.Picture.Bounds().Dx()), max(a.row, s.Picture.Bounds().Dy()), max(lines, len(s.Lines))
	}
	a.width = max(a.width, 76) + 10
	a.row += lines*lineHeight + 12
	a.columns = max(1, (w+10)/a.width)
	a.height = (len(shown) + a.columns - 1) / a.columns * a.row
	return a
}

func (a arrangement) draw(s *sheet, x, y int) {
	for i, one := range a.shown {
		at := image.Pt(x+i%a.columns*a.width, y+i/a.columns*a.row)
		b := one.Picture.Bounds()
		s.picture(one.Picture, at.X, at.Y)
		for k, text := range one.Lines {
			s.text(text, at.X+b.Dx()/2, at.Y+b.Dy()+3+k*lineHeight, smallText, 0.5, color.Black)
		}
	}
}

// draw draws the extreme pairs.
func (e *Extremes) draw(s *sheet, x, y, h int) error {
	if e.Points != nil {
		p, err := e.plot()
		if err != nil {
			return fmt.Errorf("picture: %w", err)
		}
		s.plot(p, x, y, 420, h)
		s.text(e.Texts[0], x+440, y+20, normalText, 0, markColor)
		s.text(e.Texts[1], x+440, y+40, normalText, 0, lengthColor)
		return nil
	}
	for i, pair := range [][2]Shown{e.Farthest, e.Nearest} {
		at, w := x+i*560, 0
		for k, one := range pair {
			w = one.Picture.Bounds().Dx()
			s.picture(one.Picture, at+k*(w+6), y)
		}
		s.text(e.Texts[i], at, y+pair[0].Picture.Bounds().Dy()+5, normalText, 0, color.Black)
	}
	return nil
}

// plot draws vectors and the two pairs among them.
func (e *Extremes) plot() (*plot.Plot, error) {
	p := plot.New()
	labelled(p, "")
	ra, rb := rangeOf(e.Points, 2, 0), rangeOf(e.Points, 2, 1)
	if err := pair(p, e.Points, 2, 0, 1, ra, rb, faintColor); err != nil {
		return nil, err
	}
	for i, ends := range e.Ends {
		xy := plotter.XYs{{X: float64(ends[0][0]), Y: float64(ends[0][1])}, {X: float64(ends[1][0]), Y: float64(ends[1][1])}}
		join, ends, err := plotter.NewLinePoints(xy)
		if err != nil {
			return nil, err
		}
		join.Color, join.Width = []color.Color{markColor, lengthColor}[i], vg.Points(1)
		ends.GlyphStyle = draw.GlyphStyle{Color: join.Color, Radius: vg.Points(3), Shape: draw.RingGlyph{}}
		p.Add(only{join}, only{ends})
	}
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = ra[0], ra[1], rb[0], rb[1]
	return p, nil
}

// StackedColumn is one noise level of [Stacked].
type StackedColumn struct {
	Pictures []image.Image // of some rows of the data, each with its noise
	Values   []float64     // of one value of many rows, about its mean and in units of its deviation
	Lines    []string
}

// Stacked draws how noise makes a Gaussian of the data: columns of more and more noise, and below each the histogram of
// one value with the normal density.
func Stacked(columns []StackedColumn, title, below string) (image.Image, error) {
	const margin, plotH, left = 12, 120, 4
	width, height := 0, 0
	lines := 0
	for _, c := range columns {
		lines = max(lines, len(c.Lines))
		for _, m := range c.Pictures {
			width, height = max(width, m.Bounds().Dx()), max(height, m.Bounds().Dy())
		}
	}
	columnW := max(width, 104) + 16
	rows := len(columns[0].Pictures)
	yPlots := margin + 30 + rows*(height+8) + 10 + 26
	w := max(2*margin+left+len(columns)*columnW, 700)
	s := newSheet(w, yPlots+plotH+8+lines*lineHeight+margin)
	s.text(title, margin, margin, headText, 0, color.Black)
	s.text(below, margin, yPlots-26, headText, 0, color.Black)
	for i, c := range columns {
		x := margin + left + i*columnW
		for k, m := range c.Pictures {
			s.picture(m, x+(columnW-16-m.Bounds().Dx())/2, margin+30+k*(height+8))
		}
		p, err := normalPlot(c.Values)
		if err != nil {
			return nil, fmt.Errorf("picture: %w", err)
		}
		s.plot(p, x-6, yPlots, columnW-4, plotH)
		for k, text := range c.Lines {
			s.text(text, x+(columnW-16)/2, yPlots+plotH+6+k*lineHeight, smallText, 0.5, color.Black)
		}
	}
	return s.image(), nil
}

// normalPlot draws the histogram of values with the normal density over it.
func normalPlot(values []float64) (*plot.Plot, error) {
	const span, bins, top = 3.5, 35, 1.0
	p := plot.New()
	labelled(p, "")
	count := make([]float64, bins)
	for _, v := range values {
		if math.Abs(v) <= span {
			count[min(bins-1, int((v+span)/(2*span)*bins))]++
		}
	}
	const width = 2 * span / bins
	for b, n := range count {
		density := min(top, n/float64(len(values))/width)
		if density == 0 {
			continue
		}
		from := -span + float64(b)*width
		to := from + width
		bar, err := plotter.NewPolygon(plotter.XYs{{X: from}, {X: from, Y: density}, {X: to, Y: density}, {X: to}})
		if err != nil {
			return nil, err
		}
		bar.Color, bar.LineStyle.Width = barColor, 0
		p.Add(only{bar})
	}
	var xy plotter.XYs
	for x := -span; x <= span; x += 0.05 {
		xy = append(xy, plotter.XY{X: x, Y: math.Exp(-x*x/2) / math.Sqrt(2*math.Pi)})
	}
	curve, err := plotter.NewLine(xy)
	if err != nil {
		return nil, err
	}
	curve.Color, curve.Width = markColor, vg.Points(1)
	p.Add(only{curve})
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = -span, span, 0, top
	p.HideY()
	p.X.Tick.Marker = plot.ConstantTicks{{Value: -2, Label: "-2"}, {Value: 0, Label: "0"}, {Value: 2, Label: "2"}}
	return p, nil
}
