// The values of images: which of them is white. Bytes are 0 to 255 and PNG may have 0 to 65535, but masks have class
// numbers, binary images 0 and 1, and scans 12 bits in 16: as they are, these are all but black. The setting white says
// which value is white, and v becomes the byte
//
//	255 v / white, rounded

package dataset

import (
	"fmt"
	"image"
	"image/color"
	"math"
	"strconv"
)

// values says which values images have, before anything is done with them.
type values struct {
	Largest float64 `json:"largest"`
	White   float64 `json:"white"` // the value that becomes white; 0: nothing is known
}

// or returns which values two sets of images have together: those that come nearer to white.
func (v values) or(w values) values {
	if v.White == 0 || w.White > 0 && w.Largest/w.White > v.Largest/v.White {
		return w
	}
	return v
}

// note says for people that images are all but black, and what to do; "" if they are not.
func (v values) note() string {
	if v.White == 0 || 2*v.Largest > v.White {
		return ""
	}
	white := v.Largest
	if white == math.Floor(white) { // the most that its bits hold
		white = math.Exp2(math.Ceil(math.Log2(max(white, 1)+1))) - 1
	}
	what := ""
	if v.White == math.MaxUint16 {
		what = " in 16-bit pictures"
	}
	if v.Largest == 0 {
		return "all values are 0: the images are black"
	}
	return fmt.Sprintf("the values are 0 to %s of %g%s, so the images are all but black; `white` %s makes that value "+
		"white", short(v.Largest), v.White, what, short(white))
}

// short writes a float32 with as few digits as tell it from others.
func short(v float64) string { return strconv.FormatFloat(v, 'g', -1, 32) }

func beyondWhite(found, white float64) error {
	return fmt.Errorf("expected values up to `white` %g, found %g; give the largest that there can be", white, found)
}

// toByte returns 255 v / white, rounded. v is in [0, white].
func toByte(v, white float64) byte { return byte(float64(255*v)/white + 0.5) }

// whiteTable is toByte of each byte that is no larger than white.
func whiteTable(white float64) (table [256]byte) {
	for v := range table {
		if float64(v) <= white {
			table[v] = toByte(float64(v), white)
		}
	}
	return table
}

// valuesOf returns which values a decoded picture has. flat, unless nil, is the picture over white, and spares a look
// at one of 8 bits: where it is transparent it is white then.
func valuesOf(img image.Image, flat *image.RGBA) values {
	var pix []byte
	channels := 4 // of which the last is opacity
	switch img := img.(type) {
	case *image.Gray16:
		pix, channels = img.Pix, 1
	case *image.RGBA64:
		pix = img.Pix
	case *image.NRGBA64:
		pix = img.Pix
	default:
		if flat != nil {
			img = flat
		}
		return values{float64(largestByte(img)), math.MaxUint8}
	}
	largest := uint16(0)
	for i := 0; i+1 < len(pix); i += 2 {
		if channels == 1 || i/2%4 != 3 {
			largest = max(largest, uint16(pix[i])<<8|uint16(pix[i+1]))
		}
	}
	return values{float64(largest), math.MaxUint16}
}

// largestByte returns the largest value of a colour in a picture of 8 bits.
func largestByte(img image.Image) byte {
	var pix []byte
	switch img := img.(type) {
	case *image.Gray:
		return topByte(img.Pix)
	case *image.NRGBA:
		pix = img.Pix
	case *image.RGBA:
		pix = img.Pix
	case *image.Paletted:
		var used [256]bool
		for _, i := range img.Pix {
			used[i] = true
		}
		for i, c := range img.Palette {
			if c := color.NRGBAModel.Convert(c).(color.NRGBA); used[i] {
				pix = append(pix, c.R, c.G, c.B, c.A)
			}
		}
	default:
		pix = onWhite(img).Pix
	}
	top := byte(0)
	for i := 0; i+3 < len(pix) && top < 255; i += 4 {
		top = max(top, pix[i], pix[i+1], pix[i+2])
	}
	return top
}

// topByte returns the largest of some bytes.
func topByte(b []byte) byte {
	top := byte(0)
	for _, v := range b {
		if top = max(top, v); top == 255 {
			break
		}
	}
	return top
}

// whitened returns a picture whose values are scaled so that white is white. full is the value that is white in its
// type, 255 or 65535.
func whitened(img image.Image, full, white float64) image.Image {
	b := img.Bounds()
	dst := image.NewNRGBA(b)
	scaled := func(v uint16) uint8 { return toByte(math.Round(float64(v)*full/math.MaxUint16), white) }
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			c := color.NRGBA64Model.Convert(img.At(x, y)).(color.NRGBA64)
			dst.SetNRGBA(x, y, color.NRGBA{scaled(c.R), scaled(c.G), scaled(c.B), uint8(c.A >> 8)})
		}
	}
	return dst
}
