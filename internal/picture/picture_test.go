package picture

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/gif"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func grey(img image.Image, x, y int) uint8 {
	return color.GrayModel.Convert(img.At(x, y)).(color.Gray).Y
}

func TestGrid(t *testing.T) {
	nan := float32(math.NaN())
	m := Images{Pix: []float32{0, 1, 0.5, -3 /**/, 7, nan, 0.25, 1}, N: 2, H: 2, W: 2, C: 1}
	g := Grid(m, 0, 3)
	if g.Bounds() != image.Rect(0, 0, 2*7+1, 8) {
		t.Fatalf("size %v", g.Bounds())
	}
	for _, c := range []struct {
		x, y int
		want uint8
	}{{0, 0, gap}, {1, 1, 0}, {3, 3, 0}, {4, 1, 255}, {1, 4, 128}, {4, 6, 0}, {7, 3, gap}, {8, 1, 255}, {11, 1, 0},
		{8, 4, 64}, {13, 6, 255}, {14, 7, gap}} {
		if got := grey(g, c.x, c.y); got != c.want {
			t.Errorf("pixel (%d, %d) is %d, want %d", c.x, c.y, got, c.want)
		}
	}
	if s := AutoScale(28, 28); s < 2 {
		t.Errorf("28x28 is scaled by %d, want at least 2", s)
	}
	rgb := Grid(Images{Pix: []float32{1, 0.5, 0}, N: 1, H: 1, W: 1, C: 3}, 1, 1)
	if got := rgb.At(1, 1); got != (color.RGBA{255, 128, 0, 255}) {
		t.Errorf("RGB pixel is %v", got)
	}
	if got := rgb.At(0, 0); got != (color.RGBA{gap, gap, gap, 255}) {
		t.Errorf("gap is %v", got)
	}
	// Other channels stand side by side, in grey, eight of them at most.
	for _, c := range []int{2, 4, 5, 8, 10} {
		m := Images{N: 2, H: 3, W: 2, C: c}
		for i := range m.N * m.H * m.W * c {
			m.Pix = append(m.Pix, float32(i)/255)
		}
		tiles := min(c, 8)
		one, grid := Single(m, 1), Grid(m, 2, 1)
		if one.Bounds() != image.Rect(0, 0, 2*tiles, 3) || grid.Bounds() != image.Rect(0, 0, 2*(2*tiles+1)+1, 5) {
			t.Fatalf("%d channels are shown in %v and %v", c, one.Bounds(), grid.Bounds())
		}
		for k := range tiles {
			for y := range 3 {
				for x := range 2 {
					want := uint8(((3+y)*2+x)*c + k)
					if at := k*2 + x; grey(one, at, y) != want || grey(grid, 2*tiles+2+at, 1+y) != want {
						t.Errorf("channel %d of %d at (%d, %d) is %d and %d, expected %d", k, c, y, x, grey(one, at, y),
							grey(grid, 2*tiles+2+at, 1+y), want)
					}
				}
			}
		}
		if text := ChannelsText(c); !strings.Contains(text, fmt.Sprint(c, " channels in grey")) {
			t.Errorf("%d channels: %q", c, text)
		}
	}
	if ChannelsText(1)+ChannelsText(3) != "" {
		t.Error("grey or colours are told")
	}
	// a last row that is not full, and no image at all
	if got := Grid(Images{Pix: make([]float32, 3), N: 3, H: 1, W: 1, C: 1}, 2, 1).Bounds(); got != image.Rect(0, 0, 5, 5) {
		t.Errorf("three in two columns: %v", got)
	}
	Grid(Images{N: 0, H: 1, W: 1, C: 1}, 0, 0)
}

func TestWritePNG(t *testing.T) {
	dir := t.TempDir()
	m := Images{Pix: []float32{0, 0.2, 0.4, 0.6, 0.8, 1}, N: 1, H: 2, W: 3, C: 1}
	if err := WriteImages(filepath.Join(dir, "new"), m, 7); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "new", "00007.png"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []uint8{0, 51, 102, 153, 204, 255} {
		if g := grey(got, i%3, i/3); g != want {
			t.Errorf("pixel %d is %d, want %d", i, g, want)
		}
	}
}

func TestWriteGIF(t *testing.T) {
	for _, c := range []int{1, 3} {
		pix := make([]float32, 2*4*4*c)
		for i := range pix {
			pix[i] = float32(i) / float32(len(pix))
		}
		m := Images{Pix: pix, N: 2, H: 4, W: 4, C: c}
		frames := []image.Image{Grid(m, 0, 1), Grid(m, 0, 1), Grid(m, 0, 1)}
		var file bytes.Buffer
		if err := WriteGIF(&file, frames, true); err != nil {
			t.Fatal(err)
		}
		g, err := gif.DecodeAll(&file)
		if err != nil {
			t.Fatal(err)
		}
		if len(g.Image) != 3 || g.Delay[2] <= g.Delay[1] || g.LoopCount != 0 {
			t.Errorf("%d frames, delays %v, loop count %d", len(g.Image), g.Delay, g.LoopCount)
		}
		if c == 1 {
			for x := range frames[0].Bounds().Dx() {
				if grey(g.Image[0], x, 1) != grey(frames[0], x, 1) {
					t.Fatalf("a grey frame lost its greys at %d", x)
				}
			}
		}
	}
}

func TestBox(t *testing.T) {
	b := BoxOf([]float32{0, 0, 4, 2, float32(math.NaN()), 1})
	if b.X != 2 || b.Y != 1 || math.Abs(b.Half-2.4) > 1e-12 {
		t.Errorf("box %+v", b)
	}
	if n := b.Outside([]float32{2, 1, 9, 1, float32(math.Inf(1)), 0, float32(math.NaN()), 0}); n != 3 {
		t.Errorf("%d outside, want 3", n)
	}
	l := Box{X: 1, Y: 0, Half: 1}.Lattice(2)
	for i, want := range []float32{0.5, -0.5, 1.5, -0.5, 0.5, 0.5, 1.5, 0.5} {
		if l[i] != want {
			t.Fatalf("lattice %v", l)
		}
	}
	if got := BoxOf(nil); got.Half <= 0 {
		t.Errorf("box of nothing %+v", got)
	}
	if got := BoxOf([]float32{3, 3}); got.Half <= 0 {
		t.Errorf("box of one point %+v", got)
	}
}

// Plots are for eyes; here only that they are drawn whatever the numbers, and that axes are equal.
func TestPlots(t *testing.T) {
	nan := float32(math.NaN())
	points := []float32{0, 0, 1, 1, 2, 0.5, nan, 1}
	if _, err := Scatter(points, []float32{9, 9, 0, 0}); err != nil {
		t.Error(err)
	}
	if _, err := Scatter(nil, points); err != nil {
		t.Error(err)
	}
	b := BoxOf(points)
	v := make([]float32, 2*9)
	v[0], v[2], v[4], v[5] = nan, 1e30, 1, -2
	for _, v := range [][]float32{v, make([]float32, 2*9)} {
		f := FieldPanel{Sigma: 0.5, Arrows: v, Noisy: points}
		if _, err := Fields(points, []FieldPanel{f, f}, b, 3); err != nil {
			t.Error(err)
		}
		img, err := TooLittleTooMuch(points, f, f, f, b, 3)
		if err != nil {
			t.Error(err)
		} else if s := img.Bounds(); s.Dx() < 2*s.Dy() || s.Dx() > 4*s.Dy() {
			t.Errorf("three square panels are %v", s)
		}
	}
}

// Ticks of ratios near 1 have labels of their own.
func TestRatioTicks(t *testing.T) {
	for _, most := range []float64{1.2, 1.0976, 1.011} {
		seen := map[string]bool{}
		for _, tick := range ratioTicks(1, most) {
			if tick.Label != "" && seen[tick.Label] {
				t.Errorf("up to %g two ticks are called %s", most, tick.Label)
			}
			seen[tick.Label] = true
		}
		if len(seen) < 3 {
			t.Errorf("up to %g there are the labels %v", most, seen)
		}
	}
}
