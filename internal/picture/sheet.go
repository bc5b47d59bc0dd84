// Sheets: plots, small pictures and text at their places on one page. Places are in pixels from the top left corner.

package picture

import (
	"image"
	"image/color"
	stddraw "image/draw"
	"math"

	xdraw "golang.org/x/image/draw"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

// Sizes of letters, in points.
const (
	smallText  = 8
	normalText = 9
	headText   = 10.5
)

type sheet struct {
	canvas *vgimg.Canvas
	height int
	// Pictures are put on the page at the end, pixel for pixel.
	pictures []placed
}

type placed struct {
	at      image.Point
	picture image.Image
}

// px is a number of pixels as a length.
func px(n int) vg.Length { return vg.Length(n) * vg.Inch / vgimg.DefaultDPI }

func newSheet(w, h int) *sheet {
	return &sheet{canvas: vgimg.NewWith(vgimg.UseWH(px(w), px(h)), vgimg.UseBackgroundColor(color.White)), height: h}
}

// plot draws a plot.
func (s *sheet) plot(p *plot.Plot, x, y, w, h int) {
	c := draw.New(s.canvas)
	c.Min, c.Max = vg.Point{X: px(x), Y: px(s.height - y - h)}, vg.Point{X: px(x + w), Y: px(s.height - y)}
	p.Draw(c)
}

// text writes a line of text whose top is y. align is where x is in it: 0 at its left, 0.5 in the middle, 1 at its right.
func (s *sheet) text(line string, x, y int, size float64, align float64, ink color.Color) {
	style := text.Style{Color: ink, Font: plot.New().Title.TextStyle.Font, XAlign: text.XAlignment(-align), YAlign: text.YTop,
		Handler: plot.DefaultTextHandler}
	style.Font.Variant, style.Font.Size = "Sans", font.Length(size)
	c := draw.New(s.canvas)
	c.FillText(style, vg.Point{X: px(x), Y: px(s.height - y)}, line)
}

// picture puts a picture with its left top corner at a place.
func (s *sheet) picture(m image.Image, x, y int) {
	s.pictures = append(s.pictures, placed{image.Pt(x, y), m})
}

// image returns the page.
func (s *sheet) image() image.Image {
	page := s.canvas.Image()
	for _, p := range s.pictures {
		b := p.picture.Bounds()
		stddraw.Draw(page, image.Rectangle{p.at, p.at.Add(b.Size())}, p.picture, b.Min, stddraw.Src)
	}
	return page
}

// tileSide is the longer side that an image is brought to.
const tileSide = 96

// Tile returns image n at a size for a sheet: a small one enlarged by a whole factor, pixels as squares, a large one
// made smaller.
func Tile(m Images, n int) image.Image {
	one := Single(m, n)
	w, h := one.Bounds().Dx(), one.Bounds().Dy()
	var scaler xdraw.Scaler = xdraw.NearestNeighbor
	factor := float64(AutoScale(h, w))
	if longer := max(w, h); longer > tileSide {
		scaler, factor = xdraw.CatmullRom, float64(tileSide)/float64(longer)
	}
	out := image.NewRGBA(image.Rect(0, 0, max(1, int(math.Round(float64(w)*factor))), max(1, int(math.Round(float64(h)*factor)))))
	scaler.Scale(out, out.Bounds(), one, one.Bounds(), xdraw.Src, nil)
	return out
}

// CloudTile draws points (n, 2) as a small square that shows -half to half in both directions.
func CloudTile(points []float32, half float64) image.Image {
	out := image.NewRGBA(image.Rect(0, 0, tileSide, tileSide))
	stddraw.Draw(out, out.Bounds(), image.White, image.Point{}, stddraw.Src)
	for i := range tileSide {
		for _, at := range []image.Point{{i, 0}, {i, tileSide - 1}, {0, i}, {tileSide - 1, i}} {
			out.Set(at.X, at.Y, faintColor)
		}
	}
	cell := func(v float64) int { return int(math.Floor((v + half) / (2 * half) * tileSide)) }
	for i := 0; i+1 < len(points); i += 2 {
		x, y := cell(float64(points[i])), tileSide-1-cell(float64(points[i+1]))
		if x >= 0 && x < tileSide && y >= 0 && y < tileSide {
			out.Set(x, y, sampleColor)
		}
	}
	return out
}
