// Transforms: how a decoded picture becomes an image of the data set, in this order.
//
//	values   255 v / white of each value v (values.go), where the setting white says which one is white
//	white    laid over white where it is transparent
//	upright  turned and mirrored by its EXIF orientation
//	crop     cut to the middle HxW pixels, at the offsets (h-H)/2 and (w-W)/2 rounded down (the setting crop)
//	size     the largest centred rectangle of the aspect of HxW is scaled to HxW (the setting size), by the cubic of
//	         Catmull and Rom (1974), widened where it shrinks an image so that nothing aliases
//	grey     Y = 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601, as in JPEG)
//
// Of 16 bits a channel the upper 8 are kept.

package dataset

import (
	"bytes"
	"fmt"
	"image"
	"math"
	"slices"
	"sync"

	"golang.org/x/image/draw"
)

// transform makes images of one size and number of channels.
type transform struct {
	crop, size size    // the settings; the zero value: not given
	c          int     // channels of the result, 1 or 3
	white      float64 // the setting; 0: not given
	scalers    sync.Map
}

func newTransform(set Settings, c int) (*transform, error) {
	t := &transform{c: c}
	var err error
	if t.crop, err = parseSize("crop", set.Crop); err != nil {
		return nil, err
	}
	if t.size, err = parseSize("size", set.Size); err != nil {
		return nil, err
	}
	t.white, err = parseWhite(set.White)
	return t, err
}

// applyToPicture decodes the file of a picture and writes its image to row, (H, W, C). It returns which values it has.
func (t *transform) applyToPicture(row, data []byte, of surveyed) (has values, err error) {
	img, err := of.encoding.decode(bytes.NewReader(data))
	if err != nil {
		return has, of.encoding.damaged(of.path, err)
	}
	var flat *image.RGBA
	if t.white > 0 {
		if has = valuesOf(img, nil); has.Largest > t.white {
			return has, fmt.Errorf("%s: %w", of.path, beyondWhite(has.Largest, t.white))
		}
		img, has.White = whitened(img, has.White, t.white), t.white
		flat = onWhite(img)
	} else {
		flat = onWhite(img)
		has = valuesOf(img, flat)
	}
	turned := of.encoding.orientation(data)
	rgba := upright(flat, turned)
	switch got := (size{rgba.Rect.Dy(), rgba.Rect.Dx()}); {
	case got == of.shape:
	case turned >= 5 && got == size{of.shape.w, of.shape.h}:
		// A PNG may say after its pixels how it is turned. The survey, which read only the header, did not see that
		// and took the picture for one of the other shape, which matters unless it is scaled.
		if t.size == (size{}) || t.crop != (size{}) {
			return has, fmt.Errorf("%s: expected an EXIF orientation before the pixels, found one after them, "+
				"by which it is %v and not %v; give `size` without `crop`, or save it upright", of.path, got, of.shape)
		}
	default:
		return has, fmt.Errorf("%s: expected a file that stays as it is, but it changed while it was read (%v pixels, "+
			"then %v); start again when it is complete", of.path, of.shape, got)
	}
	t.apply(row, rgba)
	return has, nil
}

// onWhite returns the image as RGBA, laid over white where it is transparent.
func onWhite(img image.Image) *image.RGBA {
	b := img.Bounds()
	dst := image.NewRGBA(image.Rect(0, 0, b.Dx(), b.Dy()))
	op := draw.Src
	if o, ok := img.(interface{ Opaque() bool }); !ok || !o.Opaque() {
		op = draw.Over
		for i := range dst.Pix {
			dst.Pix[i] = 255
		}
	}
	draw.Draw(dst, dst.Rect, img, b.Min, op)
	return dst
}

// upright turns and mirrors an image by its EXIF orientation (CIPA DC-008, tag 0x0112). The orientation says on which
// side of the picture, as one looks at it, row 0 and column 0 of the stored image are:
//
//	1 top left    2 top right    3 bottom right    4 bottom left
//	5 left top    6 right top    7 right bottom    8 left bottom
func upright(src *image.RGBA, orientation int) *image.RGBA {
	if orientation <= 1 || orientation > 8 {
		return src
	}
	w, h := src.Rect.Dx(), src.Rect.Dy()
	dw, dh := w, h
	if orientation >= 5 {
		dw, dh = h, w
	}
	dst := image.NewRGBA(image.Rect(0, 0, dw, dh))
	for y := range h {
		for x := range w {
			dx, dy := x, y
			switch orientation {
			case 2:
				dx = w - 1 - x
			case 3:
				dx, dy = w-1-x, h-1-y
			case 4:
				dy = h - 1 - y
			case 5:
				dx, dy = y, x
			case 6:
				dx, dy = h-1-y, x
			case 7:
				dx, dy = h-1-y, w-1-x
			case 8:
				dx, dy = y, w-1-x
			}
			copy(dst.Pix[dst.PixOffset(dx, dy):][:4], src.Pix[src.PixOffset(x, y):][:4])
		}
	}
	return dst
}

// apply cuts and scales an opaque image and writes the result to row, (H, W, C).
func (t *transform) apply(row []byte, src *image.RGBA) {
	r := src.Rect
	if t.crop != (size{}) {
		r = centred(r, t.crop.h, t.crop.w)
	}
	if want := t.size; want != (size{}) && (r.Dy() != want.h || r.Dx() != want.w) {
		r = largest(r, want)
		dst := image.NewRGBA(image.Rect(0, 0, want.w, want.h))
		t.scaler(r, want).Scale(dst, dst.Rect, src, r, draw.Src, nil)
		src, r = dst, dst.Rect
	}
	i := 0
	for y := r.Min.Y; y < r.Max.Y; y++ {
		line := src.Pix[src.PixOffset(r.Min.X, y):][:4*r.Dx()]
		for ; len(line) > 0; line = line[4:] {
			if t.c == 3 {
				copy(row[i:i+3], line)
			} else {
				// The weights of color.GrayModel, whose sum is 65,536, on values of 16 bits.
				row[i] = byte((19595*uint32(line[0])*257 + 38470*uint32(line[1])*257 + 7471*uint32(line[2])*257 + 1<<15) >> 24)
			}
			i += t.c
		}
	}
}

// scaler returns the weights that scale r to a size. Most images share them, so they are kept.
func (t *transform) scaler(r image.Rectangle, to size) draw.Scaler {
	key := [2]size{{r.Dy(), r.Dx()}, to}
	if s, ok := t.scalers.Load(key); ok {
		return s.(draw.Scaler)
	}
	s := draw.CatmullRom.NewScaler(to.w, to.h, r.Dx(), r.Dy())
	t.scalers.Store(key, s)
	return s
}

// centred returns the middle h x w of r.
func centred(r image.Rectangle, h, w int) image.Rectangle {
	x, y := r.Min.X+(r.Dx()-w)/2, r.Min.Y+(r.Dy()-h)/2
	return image.Rect(x, y, x+w, y+h)
}

// largest returns the largest centred rectangle in r with the aspect of a size.
func largest(r image.Rectangle, to size) image.Rectangle {
	h, w := r.Dy(), r.Dx()
	if w*to.h > h*to.w {
		w = max(1, int(math.Round(float64(h)*float64(to.w)/float64(to.h))))
	} else {
		h = max(1, int(math.Round(float64(w)*float64(to.h)/float64(to.w))))
	}
	return centred(r, h, w)
}

// applyToArray writes the result for an image (h, w, c) to row, (H, W, C).
func (t *transform) applyToArray(row, values []byte, h, w, c int) {
	rgba := image.NewRGBA(image.Rect(0, 0, w, h))
	for p := range h * w {
		v := values[p*c : (p+1)*c]
		if c == 1 {
			v = []byte{v[0], v[0], v[0]}
		}
		copy(rgba.Pix[4*p:], v)
		rgba.Pix[4*p+3] = 255
	}
	t.apply(row, rgba)
}

// changes tells the size that images of h x w and c channels get, and whether they are changed at all.
func (t *transform) changes(h, w, c int) (size, bool) {
	to := size{h, w}
	if t.crop != (size{}) {
		to = t.crop
	}
	if t.size != (size{}) {
		to = t.size
	}
	return to, to != size{h, w} || t.c != c
}

// channelsOf is the number of channels for each value of the setting channels.
var channelsOf = map[string]int{"grey": 1, "colour": 3}

// arrayTransform returns the transform of images of h x w and c channels from the file at path.
func arrayTransform(set Settings, path string, h, w, c int) (*transform, error) {
	to := c
	if set.Channels != "" {
		to = channelsOf[set.Channels]
	}
	t, err := newTransform(set, to)
	if err != nil {
		return nil, err
	}
	if _, changes := t.changes(h, w, c); changes && !slices.Contains([]int{1, 3}, c) {
		return nil, fmt.Errorf("%s: expected images of 1 or 3 channels to cut, scale or turn grey, found %d; "+
			"leave `crop`, `size` and `channels` out", path, c)
	}
	if t.crop.h > h || t.crop.w > w {
		return nil, fmt.Errorf("%s: expected images of at least %v pixels (height x width) to cut that out, found %v; "+
			"give a smaller `crop`", path, t.crop, size{h, w})
	}
	return t, nil
}
