// WebP (RFC 9649): what golang.org/x/image/webp leaves to do. A file is a RIFF container:
//
//	"RIFF", length, "WEBP"
//	chunks: 4 letters, length in 4 bytes (little-endian), content, a zero where the length is odd
//
// The first chunk of an extended file, "VP8X", has flags. EXIF is in a chunk after the pixels. Lossy pictures are
// Y'CbCr of studio swing (ITU-R BT.601), where Y' is in [16, 235] and Cb and Cr about 128 in [16, 240]:
//
//	R = 255/219 (Y-16)                          + 255/112 (1-Kr) (Cr-128)
//	G = 255/219 (Y-16) - 255/112 (1-Kb) Kb/Kg (Cb-128) - 255/112 (1-Kr) Kr/Kg (Cr-128)
//	B = 255/219 (Y-16) + 255/112 (1-Kb) (Cb-128)

package dataset

import (
	"bytes"
	"encoding/binary"
	"errors"
	"image"
	"io"

	"golang.org/x/image/webp"
)

// studio is what each byte of a lossy picture adds to a colour.
var studio = func() (t struct{ y, redCr, greenCb, greenCr, blueCb [256]float64 }) {
	const kr, kb = 0.299, 0.114
	const kg = 1 - kr - kb
	for i := range 256 {
		chroma := 255. / 112 * float64(i-128)
		t.y[i] = 255. / 219 * float64(i-16)
		t.redCr[i] = (1 - kr) * chroma
		t.greenCr[i] = -(1 - kr) * kr / kg * chroma
		t.greenCb[i] = -(1 - kb) * kb / kg * chroma
		t.blueCb[i] = (1 - kb) * chroma
	}
	return t
}()

// fromStudio returns a lossy picture in colours. alpha may be nil.
func fromStudio(p *image.YCbCr, alpha func(x, y int) uint8) image.Image {
	b := p.Bounds()
	dst := image.NewNRGBA(b)
	clip := func(v float64) uint8 { return uint8(min(max(v, 0), 255) + 0.5) }
	for y := b.Min.Y; y < b.Max.Y; y++ {
		line := dst.Pix[dst.PixOffset(b.Min.X, y):]
		for x := b.Min.X; x < b.Max.X; x++ {
			j := p.COffset(x, y)
			luma, cb, cr := studio.y[p.Y[p.YOffset(x, y)]], p.Cb[j], p.Cr[j]
			line[0] = clip(luma + studio.redCr[cr])
			line[1] = clip(luma + studio.greenCb[cb] + studio.greenCr[cr])
			line[2] = clip(luma + studio.blueCb[cb])
			if line[3] = 255; alpha != nil {
				line[3] = alpha(x, y)
			}
			line = line[4:]
		}
	}
	return dst
}

// decodeWebP decodes a picture.
func decodeWebP(r io.Reader) (image.Image, error) {
	img, err := webp.Decode(r)
	switch img := img.(type) {
	case *image.YCbCr:
		return fromStudio(img, nil), err
	case *image.NYCbCrA:
		return fromStudio(&img.YCbCr, func(x, y int) uint8 { return img.A[img.AOffset(x, y)] }), err
	}
	return img, err
}

// hasFlagWebP tells whether an extended file has a flag.
func hasFlagWebP(head []byte, flag byte) bool {
	return len(head) > 20 && string(head[12:16]) == "VP8X" && head[20]&flag != 0
}

var errAnimated = errors.New("an animation")

func animatedWebP(head []byte) error {
	if hasFlagWebP(head, 2) {
		return errAnimated
	}
	return nil
}

// exifOfWebP returns the EXIF of a file, which begins as TIFF does; nil: it has none.
func exifOfWebP(data []byte) []byte {
	for at := 12; at+8 <= len(data); {
		size := int(binary.LittleEndian.Uint32(data[at+4:]))
		content := data[at+8:]
		if size > len(content) {
			return nil
		}
		if string(data[at:at+4]) == "EXIF" {
			return bytes.TrimPrefix(content[:size], []byte("Exif\x00\x00")) // as JPEG has it, some programs write it here
		}
		at += 8 + size + size%2
	}
	return nil
}
