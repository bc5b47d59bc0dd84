// Glyphs: the digits 0 to 9 of the Go fonts, at random height, width, slant, turn, weight, place and ink: a data set
// like MNIST where no file is at hand.
//
// Image i is a function of (seed, i), and its digit is i mod 10. The outline of the digit is moved by an affine map
// and its edges along their normals, in float64 with every product rounded before it is added;
// golang.org/x/image/vector fills it. Of that package only straight lines are used. They, unlike its curves, leave
// the compiler nothing to fuse, and images of this size it fills in fixed point. So the bytes are the same on every
// machine.

package dataset

import (
	"cmp"
	"fmt"
	"image"
	"image/draw"
	"math"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/gobolditalic"
	"golang.org/x/image/font/gofont/goitalic"
	"golang.org/x/image/font/gofont/gomedium"
	"golang.org/x/image/font/gofont/gomediumitalic"
	"golang.org/x/image/font/gofont/gomono"
	"golang.org/x/image/font/gofont/gomonobold"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"
	"golang.org/x/image/vector"

	"sigmaz/kernels"
)

const (
	glyphCount = 20_000
	glyphSide  = 28
)

// makeGlyphs makes the data set of n digits (n, 28, 28, 1), ink on 0, with the digits as classes where these are asked for.
func makeGlyphs(seed uint64, n int, classes bool) (*Set, error) {
	faces, err := glyphFaces()
	if err != nil {
		return nil, err
	}
	const d = glyphSide * glyphSide
	s := &Set{
		Data: kernels.Data{N: n, H: glyphSide, W: glyphSide, C: 1, U8: make([]byte, n*d)},
		Name: fmt.Sprintf("glyphs: %d digits %dx%dx1 from seed %d", n, glyphSide, glyphSide, seed),
	}
	var wg sync.WaitGroup
	workers := runtime.GOMAXPROCS(0)
	for w := range workers {
		wg.Go(func() {
			r := vector.NewRasterizer(glyphSide, glyphSide)
			for i := w; i < n; i += workers {
				drawGlyph(s.U8[i*d:(i+1)*d], r, faces, seed, i)
			}
		})
	}
	wg.Wait()
	if classes {
		l := labelling{byteNames[:10], make([]uint32, n)}
		for i := range l.Labels {
			l.Labels[i] = uint32(i % 10)
		}
		s.label(l)
	}
	return s, nil
}

// drawGlyph draws glyph i of seed into the 28x28 bytes dst. r is a rasteriser, which is reset.
//
// A point p of the outline, in units of the digit's height and with the digit's middle at 0, moves to
//
//	R(turn) Slant(slant) diag(width, 1) height p + stroke normal(p) + place
func drawGlyph(dst []byte, r *vector.Rasterizer, faces [][10]outline, seed uint64, i int) {
	var u [12]float32
	kernels.Stream{Seed: seed, Purpose: kernels.PurposeData, N: uint64(i)}.Uniforms(u[:])
	in := func(k int, lo, hi float64) float64 { return lo + float64(float64(u[k])*(hi-lo)) }
	// The sum of two uniforms has the density of a triangle: the middle is common, the ends are rare.
	around := func(k int, spread float64) float64 {
		return float64((float64(u[k]) + float64(u[k+1]) - 1) * spread)
	}

	face := min(int(u[0]*float32(len(faces))), len(faces)-1)
	height := 19.5 + around(1, 1.75)   // px
	width := in(3, 0.9, 1.12)          // of the font's
	slant := around(4, 0.22)           // tan of the angle, forward positive
	halfTurn := around(6, 0.07)        // tan(angle/2): up to 8 degrees
	stroke := in(8, 0.05, 0.5)         // px that each edge moves outward
	x0 := 14 + in(9, -1.5, 1.5)        // px
	y0 := 14 + in(10, -1.25, 1.25)     // px
	ink := uint32(208 + int(48*u[11])) // 208..256

	// From t = tan(angle/2), cosine (1 - t^2)/(1 + t^2) and sine 2t/(1 + t^2) need no library function, whose last bit
	// could differ between machines.
	t2 := float64(halfTurn * halfTurn)
	cos, sin := (1-t2)/(1+t2), float64(2*halfTurn)/(1+t2)
	// The rows of the map. y runs down, so a forward slant moves what is above (y < 0) to the right.
	a := float64(height * width)
	b := float64(-height * slant)
	mxx, mxy := float64(cos*a), float64(cos*b)-float64(sin*height)
	myx, myy := float64(sin*a), float64(sin*b)+float64(cos*height)

	r.Reset(glyphSide, glyphSide)
	var moved []point
	for _, contour := range faces[face][i%10] {
		moved = moved[:0]
		for _, p := range contour {
			moved = append(moved, point{
				float64(mxx*p.x) + float64(mxy*p.y) + x0,
				float64(myx*p.x) + float64(myy*p.y) + y0,
			})
		}
		for j, p := range moved {
			n := normal(moved[(j+len(moved)-1)%len(moved)], p, moved[(j+1)%len(moved)])
			x, y := float32(p.x+float64(stroke*n.x)), float32(p.y+float64(stroke*n.y))
			if j == 0 {
				r.MoveTo(x, y)
			} else {
				r.LineTo(x, y)
			}
		}
		r.ClosePath()
	}
	r.DrawOp = draw.Src
	canvas := image.Alpha{Pix: dst, Stride: glyphSide, Rect: image.Rect(0, 0, glyphSide, glyphSide)}
	r.Draw(&canvas, canvas.Rect, image.Opaque, image.Point{})
	for j, coverage := range dst {
		dst[j] = byte((uint32(coverage)*min(ink, 255) + 127) / 255)
	}
}

type point struct{ x, y float64 }

// outline is the contours of a digit as polygons, outer ones and holes turning opposite ways.
type outline [][]point

// normal returns the move of corner p, between its neighbours before and after, that shifts both its edges outward by
// one:
//
//	(n1 + n2) / (1 + n1 n2)
//
// with the unit normals n1, n2 of the edges, as FreeType's FT_Outline_Embolden has it. At sharp corners the length is
// kept below 2.
func normal(before, p, after point) point {
	n1, ok1 := unitNormal(before, p)
	n2, ok2 := unitNormal(p, after)
	switch {
	case !ok1:
		n1 = n2
	case !ok2:
		n2 = n1
	}
	q := 1 + float64(n1.x*n2.x) + float64(n1.y*n2.y) // 2 cos^2 of half the angle between the normals
	q = max(q, 0.5)
	return point{(n1.x + n2.x) / q, (n1.y + n2.y) / q}
}

// unitNormal returns the direction at right angles to the edge from a to b, towards the outside: TrueType contours
// have the ink on their right, as one looks at the picture. ok is false if a and b are the same point.
func unitNormal(a, b point) (n point, ok bool) {
	dx, dy := b.x-a.x, b.y-a.y
	length := math.Sqrt(float64(dx*dx) + float64(dy*dy))
	if length == 0 {
		return point{}, false
	}
	return point{dy / length, -dx / length}, true
}

// glyphFaces returns the outlines of the digits in each face, each with its middle at 0 and scaled to height 1.
func glyphFaces() ([][10]outline, error) {
	files := [][]byte{
		goregular.TTF, gomedium.TTF, gobold.TTF, goitalic.TTF, gomediumitalic.TTF, gobolditalic.TTF,
		gomono.TTF, gomonobold.TTF,
	}
	faces := make([][10]outline, len(files))
	var buf sfnt.Buffer
	for f, file := range files {
		font, err := sfnt.Parse(file)
		if err != nil {
			return nil, fmt.Errorf("glyphs: expected the Go font %d, found an error: %w; "+
				"build again with a whole golang.org/x/image", f, err)
		}
		for digit := range 10 {
			o, err := digitOutline(font, &buf, rune('0'+digit))
			if digit == 0 && err == nil {
				o, err = withoutSlash(o)
			}
			faces[f][digit] = o
			if err != nil {
				return nil, fmt.Errorf("glyphs: expected digit %d in Go font %d, found an error: %w; "+
					"build again with a whole golang.org/x/image", digit, f, err)
			}
		}
	}
	return faces, nil
}

// digitOutline loads one digit, cuts its curves into lines, and moves and scales it.
func digitOutline(font *sfnt.Font, buf *sfnt.Buffer, digit rune) (outline, error) {
	index, err := font.GlyphIndex(buf, digit)
	if err != nil {
		return nil, err
	}
	if index == 0 {
		return nil, sfnt.ErrNotFound
	}
	// At a size of one pixel for each unit of the font nothing is rounded.
	segments, err := font.LoadGlyph(buf, index, fixed.I(int(font.UnitsPerEm())), nil)
	if err != nil {
		return nil, err
	}
	const cuts = 5 // lines for a curve; the Go fonts use four curves and more for a bowl
	var out outline
	at := func(p fixed.Point26_6) point { return point{float64(p.X), float64(p.Y)} }
	for _, s := range segments {
		if s.Op == sfnt.SegmentOpMoveTo {
			out = append(out, []point{at(s.Args[0])})
			continue
		}
		if len(out) == 0 {
			return nil, fmt.Errorf("an outline that starts without a point")
		}
		c := &out[len(out)-1]
		switch from := (*c)[len(*c)-1]; s.Op {
		case sfnt.SegmentOpLineTo:
			*c = append(*c, at(s.Args[0]))
		case sfnt.SegmentOpQuadTo:
			// (1-t)^2 from + 2 t (1-t) p + t^2 q at t = k/cuts: the products are whole numbers, and exact.
			p, q := at(s.Args[0]), at(s.Args[1])
			for k := 1.0; k <= cuts; k++ {
				wa, wb, wc := (cuts-k)*(cuts-k), 2*k*(cuts-k), k*k
				*c = append(*c, point{(wa*from.x + wb*p.x + wc*q.x) / (cuts * cuts), (wa*from.y + wb*p.y + wc*q.y) / (cuts * cuts)})
			}
		default:
			return nil, fmt.Errorf("a cubic curve, which TrueType fonts do not have")
		}
	}

	lo, hi := point{math.Inf(1), math.Inf(1)}, point{math.Inf(-1), math.Inf(-1)}
	for i, c := range out {
		if len(c) > 1 && c[0] == c[len(c)-1] {
			c = c[:len(c)-1] // closed by itself
			out[i] = c
		}
		for _, p := range c {
			lo, hi = point{min(lo.x, p.x), min(lo.y, p.y)}, point{max(hi.x, p.x), max(hi.y, p.y)}
		}
	}
	height := hi.y - lo.y
	if !(height > 0) {
		return nil, fmt.Errorf("an empty outline")
	}
	for _, c := range out {
		for j, p := range c {
			c[j] = point{(p.x - (lo.x+hi.x)/2) / height, (p.y - (lo.y+hi.y)/2) / height}
		}
	}
	return out, nil
}

// withoutSlash takes the slash out of a zero, which the Go fonts have: it cuts the hole in two, and the convex hull
// of the two halves is the whole hole. A slash two pixels wide is more than a small network should have to learn.
func withoutSlash(zero outline) (outline, error) {
	if len(zero) != 3 {
		return nil, fmt.Errorf("%d contours where a slashed zero has 3", len(zero))
	}
	width := func(c []point) float64 {
		lo, hi := math.Inf(1), math.Inf(-1)
		for _, p := range c {
			lo, hi = min(lo, p.x), max(hi, p.x)
		}
		return hi - lo
	}
	rest := slices.Clone(zero)
	slices.SortFunc(rest, func(a, b []point) int { return cmp.Compare(width(b), width(a)) })
	return outline{rest[0], convexHull(slices.Concat(rest[1], rest[2]))}, nil
}

// convexHull returns the hull of points, turning as holes do, by Andrew's monotone chain ("Another efficient
// algorithm for convex hulls in two dimensions", 1979).
func convexHull(points []point) []point {
	points = slices.Clone(points)
	slices.SortFunc(points, func(a, b point) int { return cmp.Or(cmp.Compare(a.x, b.x), cmp.Compare(a.y, b.y)) })
	var hull []point
	for range 2 { // there and back
		start := len(hull)
		for _, p := range points {
			for len(hull) >= start+2 && turn(hull[len(hull)-2], hull[len(hull)-1], p) >= 0 {
				hull = hull[:len(hull)-1]
			}
			hull = append(hull, p)
		}
		hull = hull[:len(hull)-1] // the last point is also the first of the way back
		slices.Reverse(points)
	}
	return hull
}

// turn returns twice the area of the triangle a, b, c, positive where it turns from x towards y.
func turn(a, b, c point) float64 {
	return float64((b.x-a.x)*(c.y-a.y)) - float64((b.y-a.y)*(c.x-a.x))
}
