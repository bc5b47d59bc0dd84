// Films: a GIF of an annealing, one frame a moment.

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

// Times in hundredths of a second. The last frame stays longer: it is the one to look at.
const (
	gifDelay = 8
	gifHold  = 250
)

// WriteGIF writes the frames to w as a GIF that repeats. All get the size of the first. Grey frames keep all 256 greys;
// coloured ones are reduced to the fixed palette of Plan 9. With dither, the error of each pixel is passed on to its
// neighbours (Floyd and Steinberg), which suits photographs but not plots.
func WriteGIF(w io.Writer, frames []image.Image, dither bool) error {
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
	return gif.EncodeAll(w, out)
}

// paletted returns frame f in colours of a palette, cropped or extended to size.
func paletted(f image.Image, size image.Rectangle, greys color.Palette, dither bool) *image.Paletted {
	if g, ok := f.(*image.Gray); ok && g.Rect == size {
		// The index in this palette is the grey value, so no nearest colour has to be searched for.
		return &image.Paletted{Pix: g.Pix, Stride: g.Stride, Rect: g.Rect, Palette: greys}
	}
	p := image.NewPaletted(size, palette.Plan9)
	if dither {
		draw.FloydSteinberg.Draw(p, size, f, f.Bounds().Min)
		return p
	}
	// A plot has few colours: each is searched for once, where draw.Src would search for every pixel.
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
