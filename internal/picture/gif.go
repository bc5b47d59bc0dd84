// GIF of an annealing, one frame a moment.
package picture

import (
	"image"
	"image/color"
	"image/color/palette"
	"image/draw"
	"image/gif"
	"io"
	"sync"
)

// Times in hundredths of a second: a frame, and the last one, which is what the eye should rest on.
const (
	gifDelay = 8
	gifHold  = 250
)

// WriteGIF writes the frames, of the size of the first, as a GIF that repeats. Grey frames keep all 256 greys. Coloured ones go to
// the fixed palette of Plan 9; with dither the error of each pixel is passed on to its neighbours (Floyd and Steinberg),
// which suits photographs and not plots.
func WriteGIF(path string, frames []image.Image, dither bool) error {
	greys := make(color.Palette, 256)
	for i := range greys {
		greys[i] = color.Gray{uint8(i)}
	}
	out := &gif.GIF{Image: make([]*image.Paletted, len(frames))}
	var wait sync.WaitGroup
	for i, f := range frames {
		wait.Go(func() { out.Image[i] = paletted(f, frames[0].Bounds(), greys, dither) })
		out.Delay = append(out.Delay, gifDelay)
	}
	wait.Wait()
	if len(frames) > 0 {
		out.Delay[len(frames)-1] = gifHold
	}
	return WriteFile(path, func(w io.Writer) error { return gif.EncodeAll(w, out) })
}

// paletted is frame f on a palette, cut to or filled up to size.
func paletted(f image.Image, size image.Rectangle, greys color.Palette, dither bool) *image.Paletted {
	if g, ok := f.(*image.Gray); ok && g.Rect == size {
		// index is grey value: no search for the nearest colour
		return &image.Paletted{Pix: g.Pix, Stride: g.Stride, Rect: g.Rect, Palette: greys}
	}
	p := image.NewPaletted(size, palette.Plan9)
	if dither {
		draw.FloydSteinberg.Draw(p, size, f, f.Bounds().Min)
		return p
	}
	// a plot has few colours: each is looked up once, where draw.Src would search for every pixel
	index := map[color.RGBA]uint8{}
	for y := size.Min.Y; y < size.Max.Y; y++ {
		for x := size.Min.X; x < size.Max.X; x++ {
			c := color.RGBAModel.Convert(f.At(x, y)).(color.RGBA)
			i, ok := index[c]
			if !ok {
				i = uint8(p.Palette.Index(c))
				index[c] = i
			}
			p.SetColorIndex(x, y, i)
		}
	}
	return p
}
