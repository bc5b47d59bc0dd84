// Images as PNG files: grids and numbered single pictures. Files are written whole or not at all.

package picture

import (
	"bufio"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
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

// WritePNG writes a picture to path as [WriteFile] does.
func WritePNG(path string, m image.Image) error {
	return WriteFile(path, func(w io.Writer) error { return png.Encode(w, m) })
}

// WriteImages writes every image, pixel for pixel, to dir/00000.png, dir/00001.png, and so on. Numbers begin at
// first. It makes dir if it is missing.
func WriteImages(dir string, m Images, first int) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return cannotWrite(dir, err)
	}
	for n := range m.N {
		if err := WritePNG(filepath.Join(dir, fmt.Sprintf("%05d.png", first+n)), Single(m, n)); err != nil {
			return err
		}
	}
	return nil
}

// WriteFile replaces the file at path: write fills a temporary file beside it, which is renamed when it is all on
// disk. After an error path is as it was and the temporary file is gone. A symbolic link stays, and the file that it
// names is replaced; anything else that is not a regular file is refused. An error that write made itself, without
// one of the file, is returned as it is.
func WriteFile(path string, write func(io.Writer) error) (err error) {
	path, err = follow(path)
	if err != nil {
		return err
	}
	f, err := createTemp(path)
	if err != nil {
		return cannotWrite(path, err)
	}
	own := false // the error is write's own
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
			if !own {
				err = cannotWrite(path, err)
			}
		}
	}()
	b := bufio.NewWriter(f)
	if err = write(b); err != nil {
		own = b.Flush() == nil // it remembers the file's first error
		return err
	}
	if err = b.Flush(); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// CheckWritable returns the error that WriteFile to path would meet, so that an hour of sampling is not lost to a
// mistyped folder.
func CheckWritable(path string) error {
	path, err := follow(path)
	if err != nil {
		return err
	}
	f, err := createTemp(path)
	if err != nil {
		return cannotWrite(path, err)
	}
	f.Close()
	return os.Remove(f.Name())
}

// follow returns the file to replace in order to write path: path itself, or the end of its symbolic links, which
// need not exist yet. A rename onto path itself would replace the link. It would replace a device or a pipe too; these
// are refused.
func follow(path string) (string, error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		what := "not a regular file"
		switch mode := info.Mode(); {
		case mode.IsDir():
			what = "a folder"
		case mode&fs.ModeNamedPipe != 0:
			what = "a pipe"
		case mode&fs.ModeDevice != 0:
			what = "a device"
		}
		return "", fmt.Errorf("cannot write %s: it is %s; choose the name of a new file or of a regular file to replace",
			path, what)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", cannotWrite(path, err)
	}
	// Stat returned without an error of links that form a loop, so this ends.
	for {
		info, err := os.Lstat(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", cannotWrite(path, err)
		}
		if err != nil || info.Mode()&fs.ModeSymlink == 0 {
			return path, nil
		}
		link, err := os.Readlink(path)
		if err != nil {
			return "", cannotWrite(path, err)
		}
		if !filepath.IsAbs(link) {
			// not filepath.Join, which shortens x/.. even where x is a link
			dir, _ := filepath.Split(path)
			link = dir + link
		}
		path = link
	}
}

// createTemp makes a new file beside path. os.CreateTemp is not used because only the owner can read its files.
func createTemp(path string) (*os.File, error) {
	dir, base := filepath.Split(path)
	for {
		f, err := os.OpenFile(fmt.Sprintf("%s.%s.%08x.tmp", dir, base, rand.Uint32()), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
		if !errors.Is(err, fs.ErrExist) {
			return f, err
		}
	}
}

// cannotWrite returns the error of writing path. The system's own error would name the temporary file.
func cannotWrite(path string, err error) error {
	var pathErr *fs.PathError
	var linkErr *os.LinkError
	switch {
	case errors.As(err, &pathErr):
		err = pathErr.Err
	case errors.As(err, &linkErr):
		err = linkErr.Err
	}
	return fmt.Errorf("cannot write %s: %w; choose a place that can be written, "+
		"or check that its folder exists and has room", path, err)
}
