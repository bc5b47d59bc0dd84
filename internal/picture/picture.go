// Images as PNG files: grids and numbered single pictures. Files are written whole or not at all.

package picture

import (
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"math"
	"os"
	"path/filepath"

	"sigmaz/internal/atomicfile"
)

// Images holds N pictures in one slice.
type Images struct {
	Pix        []float32 // (N, H, W, C)
	N, H, W, C int
}

// check panics if the slice does not fit the shape.
func (m Images) check() {
	if m.N < 0 || m.H < 1 || m.W < 1 || m.C < 1 || len(m.Pix) != m.N*m.H*m.W*m.C {
		panic(fmt.Sprintf("picture: %d values for images of shape (%d, %d, %d, %d)", len(m.Pix), m.N, m.H, m.W, m.C))
	}
}

// byteOf maps [0, 1] to 0..255 as torchvision.utils.save_image does: 255 v + 0.5, clamped and truncated. NaN is
// black.
func byteOf(v float32) uint8 {
	switch v = v*255 + 0.5; {
	case !(v > 0):
		return 0
	case v > 255:
		return 255
	}
	return uint8(v)
}

// Bytes rounds values as pictures have them.
func Bytes(x []float32) []byte {
	b := make([]byte, len(x))
	for i, v := range x {
		b[i] = byteOf(v)
	}
	return b
}

// blank returns a picture of w x h pixels filled with grey g, in the colour model for C channels.
func blank(w, h, c int, g uint8) interface {
	image.Image
	Set(x, y int, c color.Color)
} {
	if c == 3 {
		m := image.NewRGBA(image.Rect(0, 0, w, h))
		for i := range m.Pix {
			m.Pix[i] = g
			if i%4 == 3 {
				m.Pix[i] = 255
			}
		}
		return m
	}
	m := image.NewGray(image.Rect(0, 0, w, h))
	for i := range m.Pix {
		m.Pix[i] = g
	}
	return m
}

// at returns the colour of pixel (y, x) of image n.
func (m Images) at(n, y, x int) color.Color {
	p := m.Pix[((n*m.H+y)*m.W+x)*m.C:]
	if m.C == 3 {
		return color.RGBA{byteOf(p[0]), byteOf(p[1]), byteOf(p[2]), 255}
	}
	return color.Gray{byteOf(p[0])}
}

// maxTiles is how many channels an image is shown with at most.
const maxTiles = 8

// ChannelsText says for people how images of c channels are shown; "" for grey and colours.
func ChannelsText(c int) string {
	switch {
	case c == 1 || c == 3:
		return ""
	case c > maxTiles:
		return fmt.Sprintf("each as the first %d of its %d channels in grey, side by side", maxTiles, c)
	}
	return fmt.Sprintf("each as its %d channels in grey, the first channel at the left", c)
}

// shown returns the images as they are shown: those of neither 1 nor 3 channels as grey ones, in which the channels
// stand side by side.
func (m Images) shown() Images {
	m.check()
	if m.C == 1 || m.C == 3 {
		return m
	}
	tiles := min(m.C, maxTiles)
	out := Images{N: m.N, H: m.H, W: tiles * m.W, C: 1}
	out.Pix = make([]float32, 0, out.N*out.H*out.W)
	for line := range m.N * m.H {
		pixels := m.Pix[line*m.W*m.C : (line+1)*m.W*m.C]
		for k := range tiles {
			for x := range m.W {
				out.Pix = append(out.Pix, pixels[x*m.C+k])
			}
		}
	}
	return out
}

// AutoScale returns the largest whole factor by which an image stays within 96 x 96 pixels, and at least 1: 3 for
// 28x28 and 32x32, 1 from 49 pixels on.
func AutoScale(h, w int) int { return max(1, 96/max(h, w)) }

// AutoColumns returns the number of columns of the squarest grid of n images.
func AutoColumns(n int) int { return max(1, int(math.Ceil(math.Sqrt(float64(n))))) }

// gap is the grey of the lines between images. Most pictures' own edges are black or white, so grey stands out from
// them.
const gap = 96

// Grid draws the images row by row in the given number of columns (0: [AutoColumns]). Each of their pixels becomes a
// square of scale x scale (0: [AutoScale]). One pixel of grey lies between neighbours and around all.
func Grid(m Images, columns, scale int) image.Image {
	if scale < 1 {
		scale = AutoScale(m.H, m.W)
	}
	m = m.shown()
	if columns < 1 {
		columns = AutoColumns(m.N)
	}
	rows := max(1, (m.N+columns-1)/columns)
	out := blank(columns*(m.W*scale+1)+1, rows*(m.H*scale+1)+1, m.C, gap)
	for n := range m.N {
		x0, y0 := 1+n%columns*(m.W*scale+1), 1+n/columns*(m.H*scale+1)
		for y := range m.H * scale {
			for x := range m.W * scale {
				out.Set(x0+x, y0+y, m.at(n, y/scale, x/scale))
			}
		}
	}
	return out
}

// Single returns image n, pixel for pixel.
func Single(m Images, n int) image.Image {
	size := m.H * m.W * m.C
	m = Images{m.Pix[n*size : (n+1)*size], 1, m.H, m.W, m.C}.shown()
	out := blank(m.W, m.H, m.C, 0)
	for y := range m.H {
		for x := range m.W {
			out.Set(x, y, m.at(0, y, x))
		}
	}
	return out
}

// WritePNG writes a picture to path as [atomicfile.WriteFile] does.
func WritePNG(path string, m image.Image) error {
	return atomicfile.WriteFile(path, func(w io.Writer) error { return png.Encode(w, m) })
}

// WriteImages writes every image, pixel for pixel, to dir/00000.png, dir/00001.png, and so on. Numbers begin at
// first. It makes dir if it is missing.
func WriteImages(dir string, m Images, first int) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return fmt.Errorf("cannot make the folder for images: %w; choose a place that can be written", err)
	}
	for n := range m.N {
		if err := WritePNG(filepath.Join(dir, fmt.Sprintf("%05d.png", first+n)), Single(m, n)); err != nil {
			return err
		}
	}
	return nil
}
