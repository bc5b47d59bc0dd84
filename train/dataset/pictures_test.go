// Pictures: what becomes of each kind, where they may be, and every bad one with its sentence.

package dataset

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"sigmaz/kernels"
)

func pngOf(t *testing.T, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func jpegOf(t *testing.T, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 98}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// gradient is h x w pixels with red x, green y and blue k.
func gradient(h, w, k int) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			img.SetRGBA(x, y, color.RGBA{uint8(x), uint8(y), uint8(k), 255})
		}
	}
	return img
}

func open(t *testing.T, spec string, set Settings) *Set {
	t.Helper()
	s, err := Source{Spec: spec, Settings: set}.Open(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if len(s.U8) != s.N*s.D() {
		t.Fatalf("%s: %d bytes", s.Name, len(s.U8))
	}
	return s
}

// four pictures in folders, between files that are none.
func fourPictures(t *testing.T) map[string][]byte {
	return map[string][]byte{
		"b/2.png": pngOf(t, gradient(6, 8, 2)), "b/10.JPG": jpegOf(t, gradient(6, 8, 200)), "a/deep/er/x": pngOf(t, gradient(6, 8, 0)),
		"c.png": pngOf(t, gradient(6, 8, 3)), "notes.txt": []byte("hello"), ".DS_Store": []byte("x"), "__MACOSX/._c.png": []byte("x"), "b/._2.png": pngOf(t, gradient(9, 9, 9)),
	}
}

func zipOf(t *testing.T, files map[string][]byte, change func(h *zip.FileHeader)) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, name := range slices.Backward(slices.Sorted(maps.Keys(files))) { // not in order
		h := &zip.FileHeader{Name: name, Method: zip.Deflate}
		w, err := z.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		w.Write(files[name])
		if change != nil {
			change(h)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func tarOf(t *testing.T, files map[string][]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, name := range slices.Backward(slices.Sorted(maps.Keys(files))) {
		if err := w.WriteHeader(&tar.Header{Name: "./" + name, Size: int64(len(files[name])), Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
		w.Write(files[name])
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// inV7 makes a TAR one of the oldest form, whose headers have neither a mark nor what comes after it.
func inV7(b []byte) []byte {
	for at := 0; at+tarBlock <= len(b); at += tarBlock {
		if h := b[at : at+tarBlock]; string(h[257:262]) == "ustar" {
			clear(h[257:])
			copy(h[148:], fmt.Sprintf("%06o\x00 ", tarSum(h)))
		}
	}
	return b
}

// A folder and archives of it are the same data, in the order of the names; what is no picture is told.
func TestPicturesPlaces(t *testing.T) {
	files := fourPictures(t)
	folder := write(t, files)
	archives := write(t, map[string][]byte{"a.zip": zipOf(t, files, nil), "a.tar": tarOf(t, files), "v7.tar": inV7(tarOf(t, files)),
		"v7.tar.gz": gzipped(t, inV7(tarOf(t, files))),
		"a.tar.gz":  gzipped(t, tarOf(t, files)), "only/x.bin": zipOf(t, files, nil)})
	want := open(t, folder, Settings{})
	if want.N != 4 || shape(&want.Data) != "6x8x3" {
		t.Fatalf("got %s", want.Name)
	}
	for i, blue := range []byte{0, 200, 2, 3} { // a/deep/er/x, b/10.JPG, b/2.png, c.png
		if b := want.Bytes(i)[2]; b != blue && !(i == 1 && b > 190 && b < 210) {
			t.Errorf("image %d has blue %d, expected %d", i, b, blue)
		}
	}
	for _, place := range []string{"a.zip", "a.tar", "v7.tar", "v7.tar.gz", "a.tar.gz", "only", "only/x.bin"} {
		s, err := Open(filepath.Join(archives, place), 1)
		if err != nil {
			t.Error(err)
			continue
		}
		if s.Sum != want.Sum || !bytes.Equal(s.U8, want.U8) {
			t.Errorf("%s: other images than those of the folder", place)
		}
		if len(s.Notes) != 1 || !strings.Contains(s.Notes[0], "1 other files passed over, no PNG, JPEG or WebP (notes.txt)") {
			t.Errorf("%s: notes %q", place, s.Notes)
		}
	}
	some := open(t, filepath.Join(folder, "c.png")+","+filepath.Join(folder, "b", "2.png"), Settings{})
	if some.N != 2 || !bytes.Equal(some.U8[:len(some.U8)/2], want.Bytes(2)) && !bytes.Equal(some.U8[:len(some.U8)/2],
		want.Bytes(3)) {
		t.Errorf("two files: %s", some.Name)
	}
}

// Each kind of picture is what an independent reader (Pillow) made of it.
func TestPictureKinds(t *testing.T) {
	for _, c := range []struct {
		file               string
		channels           int
		left, right, above [3]byte // of the middle of the left and of the right half below, and of the upper left
		tolerance          int
	}{
		{"cmyk.jpg", 3, [3]byte{200, 40, 40}, [3]byte{40, 60, 180}, [3]byte{200, 40, 40}, 4},
		{"progressive.jpg", 3, [3]byte{200, 40, 40}, [3]byte{40, 60, 180}, [3]byte{200, 40, 40}, 4},
		{"grey.jpg", 1, [3]byte{88}, [3]byte{68}, [3]byte{88}, 2},
		{"palette.png", 3, [3]byte{200, 40, 40}, [3]byte{40, 60, 180}, [3]byte{200, 40, 40}, 2},
		{"grey16.png", 1, [3]byte{0x12}, [3]byte{0xfe}, [3]byte{0x12}, 0},
		{"alpha.png", 3, [3]byte{200, 40, 40}, [3]byte{147, 157, 217}, [3]byte{255, 255, 255}, 1},
		{"lossy.webp", 3, [3]byte{200, 40, 40}, [3]byte{40, 60, 180}, [3]byte{200, 40, 40}, 4},
		{"lossless.webp", 3, [3]byte{200, 40, 40}, [3]byte{40, 60, 180}, [3]byte{200, 40, 40}, 0},
		{"alpha.webp", 3, [3]byte{200, 40, 40}, [3]byte{147, 157, 217}, [3]byte{255, 255, 255}, 1},
		{"turned.webp", 3, [3]byte{200, 40, 40}, [3]byte{40, 60, 180}, [3]byte{200, 40, 40}, 0},
		{"greyalpha.png", 1, [3]byte{100}, [3]byte{100}, [3]byte{255}, 0},
	} {
		s := open(t, filepath.Join("testdata", c.file), Settings{})
		if s.N != 1 || s.H != 8 || s.W != 16 || s.C != c.channels {
			t.Errorf("%s: %s", c.file, s.Name)
			continue
		}
		for _, at := range []struct {
			y, x int
			want [3]byte
		}{{6, 3, c.left}, {6, 12, c.right}, {1, 3, c.above}} {
			got := s.U8[(at.y*16+at.x)*s.C:][:s.C]
			for k, v := range got {
				if d := int(v) - int(at.want[k]); d > c.tolerance || d < -c.tolerance {
					t.Errorf("%s at (%d, %d): %v, expected %v", c.file, at.y, at.x, got, at.want)
					break
				}
			}
		}
	}
	if s := open(t, "testdata", Settings{Channels: "grey", Size: "8x16"}); s.N != 12 || s.C != 1 {
		t.Errorf("all as grey: %s", s.Name)
	}
	if s := open(t, filepath.Join("testdata", "grey16.png"), Settings{Channels: "colour"}); s.C != 3 || s.U8[0] != 0x12 ||
		s.U8[2] != 0x12 {
		t.Errorf("grey as colour: %s", s.Name)
	}
}

// Blank pages of few bits a pixel, which deflate shrinks to next to nothing, are whole, and so is a blank WebP.
func TestBlankPages(t *testing.T) {
	palette := color.Palette{color.White, color.Black}
	for bits, colours := range map[int]int{1: 2, 2: 4, 4: 16} {
		for len(palette) < colours {
			palette = append(palette, color.Gray{uint8(len(palette))})
		}
		page := image.NewPaletted(image.Rect(0, 0, 2480, 1754), palette[:colours])
		b := pngOf(t, page)
		if b[24] != byte(bits) {
			t.Fatalf("%d bits", b[24])
		}
		file := filepath.Join(write(t, map[string][]byte{"page.png": b}), "page.png")
		if s := open(t, file, Settings{Size: "16"}); s.U8[0] != 255 {
			t.Errorf("%d bits, %d bytes: %s", bits, len(b), s.Name)
		}
	}
	// A lossless WebP of 2000x2000 pixels of one colour takes 38 bytes.
	if s := open(t, filepath.Join("testdata", "blank", "blank.webp"), Settings{Size: "16"}); s.N != 1 || s.U8[0] != 255 {
		t.Errorf("%s", s.Name)
	}
}

// withOrientation puts an EXIF segment behind a JPEG's first marker.
func withOrientation(b []byte, o int, order binary.AppendByteOrder, mark string) []byte {
	tiff := []byte(mark)
	tiff = order.AppendUint16(tiff, 42)
	tiff = order.AppendUint32(tiff, 8)
	tiff = order.AppendUint16(tiff, 1)
	tiff = order.AppendUint16(tiff, 0x0112)
	tiff = order.AppendUint16(tiff, 3) // SHORT
	tiff = order.AppendUint32(tiff, 1)
	tiff = order.AppendUint16(tiff, uint16(o))
	tiff = order.AppendUint16(tiff, 0)
	tiff = order.AppendUint32(tiff, 0)
	segment := append([]byte("Exif\x00\x00"), tiff...)
	out := append([]byte{}, b[:2]...)
	out = append(out, 0xff, 0xe1)
	out = binary.BigEndian.AppendUint16(out, uint16(2+len(segment)))
	return append(append(out, segment...), b[2:]...)
}

// The definition of the tag (CIPA DC-008): where the stored row 0 and column 0 are when one looks at the picture.
func TestOrientation(t *testing.T) {
	const h, w = 16, 32
	colours := map[string]color.RGBA{"top left": {220, 30, 30, 255}, "top right": {30, 200, 30, 255},
		"bottom left": {30, 30, 220, 255}, "bottom right": {220, 220, 30, 255}}
	sides := map[int][2]string{1: {"top", "left"}, 2: {"top", "right"}, 3: {"bottom", "right"}, 4: {"bottom", "left"},
		5: {"left", "top"}, 6: {"right", "top"}, 7: {"right", "bottom"}, 8: {"left", "bottom"}}
	opposite := map[string]string{"top": "bottom", "bottom": "top", "left": "right", "right": "left"}
	for o := range 10 { // 0 and 9 are none
		side, ok := sides[o]
		if !ok {
			side = sides[1]
		}
		sh, sw := h, w // as stored
		if o >= 5 && o <= 8 {
			sh, sw = w, h
		}
		stored := image.NewRGBA(image.Rect(0, 0, sw, sh))
		for y := range sh {
			for x := range sw {
				row, column := side[0], side[1]
				if y >= sh/2 {
					row = opposite[row]
				}
				if x >= sw/2 {
					column = opposite[column]
				}
				if row == "left" || row == "right" {
					row, column = column, row
				}
				stored.SetRGBA(x, y, colours[row+" "+column])
			}
		}
		data := withOrientation(jpegOf(t, stored), o, binary.LittleEndian, "II")
		if o%2 == 1 {
			data = withOrientation(jpegOf(t, stored), o, binary.BigEndian, "MM")
		}
		s := open(t, filepath.Join(write(t, map[string][]byte{"a.jpg": data}), "a.jpg"), Settings{})
		if s.H != h || s.W != w {
			t.Errorf("orientation %d: %s", o, s.Name)
			continue
		}
		for _, v := range []string{"top", "bottom"} {
			for _, u := range []string{"left", "right"} {
				y, x := 2, 2
				if v == "bottom" {
					y = h - 3
				}
				if u == "right" {
					x = w - 3
				}
				got, want := s.U8[(y*w+x)*3:][:3], colours[v+" "+u]
				for k, c := range []uint8{want.R, want.G, want.B} {
					if d := int(got[k]) - int(c); d < -30 || d > 30 {
						t.Errorf("orientation %d, %s %s: %v, expected %v", o, v, u, got, want)
						break
					}
				}
			}
		}
	}
}

// A PNG may have its orientation after so many pixels that the header's survey does not come to it. Scaled it is
// turned as any other; where the size is taken from the header, the error says so, and not that the file has changed.
func TestLateOrientation(t *testing.T) {
	noise := image.NewRGBA(image.Rect(0, 0, 300, 200))
	for i := range noise.Pix {
		noise.Pix[i] = byte(kernels.Stream{Seed: 5}.Word(i)) | byte(255*(i%4/3))
	}
	plain := pngOf(t, noise)
	tiff := []byte("II*\x00\x08\x00\x00\x00\x01\x00\x12\x01\x03\x00\x01\x00\x00\x00\x06\x00\x00\x00\x00\x00\x00\x00")
	chunk := binary.BigEndian.AppendUint32(nil, uint32(len(tiff)))
	chunk = append(append(chunk, "eXIf"...), tiff...)
	chunk = binary.BigEndian.AppendUint32(chunk, crc32.ChecksumIEEE(chunk[4:]))
	end := len(plain) - 12 // IEND
	late := slices.Concat(plain[:end], chunk, plain[end:])
	if end < surveyBytes || encodings[0].orientation(late) != 6 {
		t.Fatalf("%d bytes, orientation %d", end, encodings[0].orientation(late))
	}
	dir := t.TempDir()
	file, upright := filepath.Join(dir, "late.png"), filepath.Join(dir, "upright.png")
	turned := image.NewRGBA(image.Rect(0, 0, 200, 300))
	for y := range 200 {
		for x := range 300 {
			turned.Set(199-y, x, noise.At(x, y))
		}
	}
	for path, b := range map[string][]byte{file: late, upright: pngOf(t, turned)} {
		if err := os.WriteFile(path, b, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := open(t, file, Settings{Size: "30x20"}),
		open(t, upright, Settings{Size: "30x20"}); !bytes.Equal(got.U8, want.U8) {
		t.Error("a late orientation is not heeded")
	}
	_, err := Source{Spec: file, Cache: "none"}.Open(t.Context())
	if err == nil || !strings.Contains(err.Error(), "late.png: expected an EXIF orientation before the pixels") {
		t.Errorf("error %v", err)
	}
}

// Cropping is exact to the pixel, and scaling keeps a ramp a ramp.
func TestCropAndSize(t *testing.T) {
	file := filepath.Join(write(t, map[string][]byte{"a.png": pngOf(t, gradient(21, 40, 7))}), "a.png")
	at := func(s *Set, y, x int) (byte, byte) { return s.U8[(y*s.W+x)*3], s.U8[(y*s.W+x)*3+1] }
	s := open(t, file, Settings{Crop: "10x13"})
	if x, y := at(s, 0, 0); s.H != 10 || s.W != 13 || x != 13 || y != 5 { // (40-13)/2 and (21-10)/2, rounded down
		t.Errorf("cut to %dx%d from (%d, %d)", s.H, s.W, y, x)
	}
	// Of 21x40 the largest square is the middle 21x21, from column 9; a third of it in each direction averages.
	s = open(t, file, Settings{Size: "7"})
	if x, y := at(s, 3, 3); s.H != 7 || s.W != 7 || x < 18 || x > 20 || y != 10 {
		t.Errorf("scaled to %dx%d with (%d, %d) in the middle", s.H, s.W, y, x)
	}
	s = open(t, file, Settings{Crop: "20", Size: "10x5"})
	if x, y := at(s, 5, 2); s.H != 10 || s.W != 5 || x < 19 || x > 21 || y < 10 || y > 12 {
		t.Errorf("cut and scaled to %dx%d with (%d, %d) in the middle", s.H, s.W, y, x)
	}
	// A pattern finer than the result must vanish, not alias.
	fine := image.NewGray(image.Rect(0, 0, 64, 64))
	for i := range fine.Pix {
		fine.Pix[i] = byte(255 * ((i + i/64) % 2))
	}
	s = open(t, filepath.Join(write(t, map[string][]byte{"a.png": pngOf(t, fine)}), "a.png"), Settings{Size: "12"})
	for _, v := range s.U8 {
		if v < 120 || v > 136 {
			t.Fatalf("a checkerboard of single pixels, made smaller, is %d somewhere, expected grey", v)
		}
	}
	// Files of images are cut and scaled as pictures are.
	idx := filepath.Join(write(t, map[string][]byte{"i": idxFile(0x803, 2*6*6, 2, 6, 6)}), "i")
	s = open(t, idx, Settings{Crop: "2x4"})
	if s.N != 2 || s.H != 2 || s.W != 4 || s.U8[0] != 2*6+1 || s.U8[8] != 36+2*6+1 {
		t.Errorf("IDX: %s, % d", s.Name, s.U8)
	}
	if s = open(t, idx, Settings{Channels: "colour", Size: "3"}); s.C != 3 || s.H != 3 {
		t.Errorf("IDX: %s", s.Name)
	}
}

// pngHeader is the start of a PNG that claims a size.
func pngHeader(w, h uint32) []byte {
	ihdr := binary.BigEndian.AppendUint32([]byte("IHDR"), w)
	ihdr = append(binary.BigEndian.AppendUint32(ihdr, h), 8, 2, 0, 0, 0)
	b := append([]byte("\x89PNG\r\n\x1a\n\x00\x00\x00\x0d"), ihdr...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(ihdr))
}

func TestBadPictures(t *testing.T) {
	good := pngOf(t, gradient(6, 8, 1))
	photo := jpegOf(t, gradient(32, 32, 1))
	huge := slices.Clone(photo) // its header claims 65535 x 65535
	sof := bytes.Index(huge, []byte{0xff, 0xc0})
	copy(huge[sof+5:], []byte{0xff, 0xff, 0xff, 0xff})
	corrupt := slices.Clone(good)
	corrupt[len(corrupt)-20] ^= 0x55
	webp, err := os.ReadFile(filepath.Join("testdata", "lossy.webp"))
	if err != nil {
		t.Fatal(err)
	}
	animated := []byte("RIFF\x20\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00\x02\x00\x00\x00\x07\x00\x00\x07\x00\x00ANIM")
	oneBit := pngHeader(10000, 10000)
	oneBit[24], oneBit[25] = 1, 0
	binary.BigEndian.PutUint32(oneBit[29:], crc32.ChecksumIEEE(oneBit[12:29]))
	blank := make([]byte, 4<<20)
	copy(blank, pngHeader(1<<15, 1<<13))
	encrypted := zipOf(t, map[string][]byte{"a.png": good}, func(h *zip.FileHeader) { h.Flags |= 1 })
	var raw bytes.Buffer
	z := zip.NewWriter(&raw)
	if w, err := z.CreateRaw(&zip.FileHeader{Name: "a.png", Method: zip.Deflate, CompressedSize64: 9,
		UncompressedSize64: 1 << 30}); err == nil {
		w.Write(make([]byte, 9))
	}
	z.Close()
	claims := raw.Bytes()
	method := zipOf(t, map[string][]byte{"a.png": good}, func(h *zip.FileHeader) { h.Method = 99 })
	wholeZIP, wholeTAR := zipOf(t, map[string][]byte{"a.png": good}, nil), tarOf(t, map[string][]byte{"a.png": good})
	bigTAR := slices.Clone(wholeTAR)
	copy(bigTAR[124:], "77777777777\x00") // 8 GiB
	var sum int
	copy(bigTAR[148:156], "        ")
	for _, b := range bigTAR[:512] {
		sum += int(b)
	}
	copy(bigTAR[148:], fmt.Sprintf("%06o\x00 ", sum))
	for _, c := range []struct {
		name  string
		files map[string][]byte
		spec  string
		set   Settings
		want  string
	}{
		{"mixed sizes", map[string][]byte{"a.png": good, "b/c.png": good, "d.jpg": photo}, "F", Settings{}, "F: expected pictures of one size, found 2 sizes, height x width (6x8: 2, such as a.png; 32x32: 1, such as d.jpg); choose one with `size` N or `size` HxW"},
		{"smaller than the crop", map[string][]byte{"a.png": good, "d.jpg": photo}, "F", Settings{Crop: "7x8"}, "F/a.png: expected a picture of at least 7x8 pixels (height x width) to cut that out, found 6x8"},
		{"PNG that claims too much", map[string][]byte{"a.png": append(pngHeader(50000, 50000), 1, 2, 3)}, "F/a.png", Settings{Size: "8"}, "F/a.png: expected 50000x50000 pixels as its header says, found 36 bytes, which cannot hold them"},
		{"PNG of a billion pixels", map[string][]byte{"a.png": blank}, "F/a.png", Settings{Size: "8"}, "F/a.png: expected a picture of at most 134 million pixels, found 32768x8192"},
		{"JPEG that claims too much", map[string][]byte{"a.jpg": huge}, "F", Settings{Size: "8"}, "F/a.jpg: expected 65535x65535 pixels as its header says, found"},
		{"PNG cut short", map[string][]byte{"a.png": good[:len(good)-30], "b.png": good}, "F", Settings{}, "F/a.png: expected a whole PNG picture, found damage (png: invalid format: not enough pixel data)"},
		{"PNG header cut short", map[string][]byte{"a.png": good[:20], "b.png": good}, "F", Settings{}, "F/a.png: expected a whole PNG picture, found one that is cut short"},
		{"JPEG cut short", map[string][]byte{"a.jpg": photo[:len(photo)-40]}, "F", Settings{}, "F/a.jpg: expected a whole JPEG picture, found damage (invalid JPEG format: short Huffman data)"},
		{"PNG damaged", map[string][]byte{"a.png": corrupt}, "F", Settings{}, "F/a.png: expected a whole PNG picture, found damage"},
		{"animated WebP", map[string][]byte{"a.webp": animated}, "F/a.webp", Settings{}, "F/a.webp: expected a whole WebP picture, found a kind that is not read (an animation)"},
		{"WebP cut short", map[string][]byte{"a.webp": webp[:len(webp)-20]}, "F", Settings{}, "F/a.webp: expected a whole WebP picture, found"},
		{"PNG of one bit that claims too much", map[string][]byte{"a.png": append(oneBit, 1)}, "F/a.png", Settings{Size: "8"}, "F/a.png: expected 10000x10000 pixels as its header says, found 34 bytes, which cannot hold them"},
		{"named as a picture", map[string][]byte{"a.png": []byte("no picture")}, "F", Settings{}, "F: expected PNG, JPEG or WebP pictures, found only other files (a.png: text)"},
		{"encrypted ZIP", map[string][]byte{"a.zip": encrypted}, "F/a.zip", Settings{}, "F/a.zip: a.png: expected a file without a password, found an encrypted one; unpack the ZIP"},
		{"ZIP that claims too much", map[string][]byte{"a.zip": claims}, "F/a.zip", Settings{}, "F/a.zip: expected 1073741824 bytes in it as its headers say, found a ZIP of"},
		{"ZIP of another method", map[string][]byte{"a.zip": method}, "F/a.zip", Settings{}, "F/a.zip: a.png: expected a file stored or deflated, found compression method 99"},
		{"ZIP cut short", map[string][]byte{"a.zip": wholeZIP[:len(wholeZIP)-30]}, "F/a.zip", Settings{}, "F/a.zip: expected a whole ZIP, found damage"},
		{"empty ZIP", map[string][]byte{"a.zip": zipOf(t, nil, nil)}, "F/a.zip", Settings{}, "a.zip: expected PNG, JPEG or WebP pictures, found no file"},
		{"ZIP of text", map[string][]byte{"a.zip": zipOf(t, map[string][]byte{"x.txt": []byte("x")}, nil)}, "F/a.zip", Settings{}, "a.zip: expected PNG, JPEG or WebP pictures, found only other files (x.txt)"},
		{"ZIP in gzip", map[string][]byte{"a.zip.gz": gzipped(t, wholeZIP)}, "F/a.zip.gz", Settings{}, "F/a.zip.gz: expected a ZIP as it is, found one in gzip; unpack it"},
		{"TAR cut short", map[string][]byte{"a.tar": wholeTAR[:560]}, "F/a.tar", Settings{}, "F/a.tar: expected a whole TAR, found damage"},
		{"TAR that claims too much", map[string][]byte{"a.tar": bigTAR}, "F/a.tar", Settings{}, "F/a.tar: ./a.png: expected a picture in a file of at most 256 MiB, found 8191 MiB"},
		{"tar.gz damaged", map[string][]byte{"a.tar.gz": gzipped(t, wholeTAR)[:150]}, "F/a.tar.gz", Settings{}, "F/a.tar.gz: expected whole gzip data, found damage"},
		{"bad size", map[string][]byte{"a.png": good}, "F", Settings{Size: "8x"}, `size is "8x": expected a number of pixels, such as 64, or height x width, such as 48x64`},
		{"no size", map[string][]byte{"a.png": good}, "F", Settings{Size: "0"}, `size is "0": expected sides of 1 to 16384 pixels`},
		{"bad channels", map[string][]byte{"a.png": good}, "F", Settings{Channels: "rgb"}, `channels is "rgb": expected grey or colour`},
		{"columns of pictures", map[string][]byte{"a.png": good}, "F", Settings{Columns: "1"}, "columns is for tables (CSV), and this data is none: leave it out"},
		{"size of glyphs", nil, "glyphs", Settings{Size: "8"}, "size is for image files, and this data is none: leave it out"},
		{"pictures and IDX", map[string][]byte{"a.png": good, "i": idxFile(0x803, 24, 3, 2, 4)}, "F/i,F/a.png", Settings{}, "F/a.png: expected files of images as in F/i, found pictures; name only files of one kind"},
	} {
		t.Run(c.name, func(t *testing.T) {
			folder := write(t, c.files)
			fill := strings.NewReplacer("F/", folder+string(filepath.Separator), "F:", folder+":")
			spec, want := fill.Replace(c.spec), fill.Replace(c.want)
			if spec == "F" {
				spec = folder
			}
			want = strings.Replace(want, folder+":", "set:", 1) // titles are short
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			s, err := Source{Spec: spec, Settings: c.set}.Open(context.Background())
			runtime.ReadMemStats(&after)
			if err == nil {
				t.Fatalf("no error; got %s", s.Name)
			}
			got := strings.Replace(strings.TrimPrefix(err.Error(), "dataset: "), folder+":", "set:", 1)
			if !strings.Contains(got, want) || strings.Contains(got, "\n") {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			if used := after.TotalAlloc - before.TotalAlloc; used > 8<<20 {
				t.Errorf("took %d bytes of memory", used)
			}
		})
	}
}

func TestLinks(t *testing.T) {
	good := pngOf(t, gradient(6, 8, 1))
	link := func(folder, to, at string) {
		if err := os.Symlink(to, filepath.Join(folder, at)); err != nil {
			t.Skip("no links here: ", err)
		}
	}
	other := write(t, map[string][]byte{"x/y.png": pngOf(t, gradient(6, 8, 2))})
	folder := write(t, map[string][]byte{"a.png": good})
	link(folder, filepath.Join(other, "x"), "linked")
	link(folder, filepath.Join(other, "x", "y.png"), "z.png")
	if s := open(t, folder, Settings{}); s.N != 3 {
		t.Errorf("links to a folder and a file: %s", s.Name)
	}
	for _, c := range []struct{ to, at, want string }{
		{"..", "a/up", "a/up: expected each folder once, found a link to FOLDER, which holds the link, without an end; remove the link"},
		{".", "a/self", "a/self: expected each folder once, found a link to FOLDER/a, which holds the link, without an end; remove the link"},
		{"me", "a/me", "a/me: expected a file or folder, found a link that leads nowhere (too many levels of symbolic links); remove it"},
		{"nothing", "a/gone", "a/gone: expected a file or folder, found a link that leads nowhere (no such file or directory); remove it"},
		{"../a", "b", "b: expected each folder once, found a link to FOLDER/a, which is in the data already; remove the link"},
	} {
		folder := write(t, map[string][]byte{"a/a.png": good})
		if c.at == "b" {
			c.to = "a"
		}
		link(folder, c.to, c.at)
		_, err := Open(folder, 1)
		if err == nil || !strings.Contains(strings.ReplaceAll(filepath.ToSlash(err.Error()), filepath.ToSlash(folder),
			"FOLDER"), c.want) {
			t.Errorf("%s -> %s: %v", c.at, c.to, err)
		}
	}
}

// meddler changes a file before the pictures are read for the second time.
type meddler struct {
	collection
	walks  int
	meddle func()
}

func (m *meddler) walk(ctx context.Context, visit func(entry) error) error {
	if m.walks++; m.walks == 2 {
		m.meddle()
	}
	return m.collection.walk(ctx, visit)
}

func TestFilesThatChange(t *testing.T) {
	good, other := pngOf(t, gradient(6, 8, 1)), pngOf(t, gradient(6, 8, 77))
	o := &opener{Source{Cache: "none"}, context.Background()}
	files := map[string][]byte{"a.png": good, "b.png": good}
	for name, content := range map[string][]byte{"folder": nil, "a.zip": zipOf(t, files, nil), "a.tar": tarOf(t, files)} {
		folder := write(t, files)
		changed := filepath.Join(folder, "a.png")
		var c collection
		if content == nil {
			list, err := listFolder(folder)
			if err != nil {
				t.Fatal(err)
			}
			c = list
		} else {
			changed = filepath.Join(write(t, map[string][]byte{name: content}), name)
			s, err := openFile(changed)
			if err != nil {
				t.Fatal(err)
			}
			s.close()
			if c, err = s.format.pictures(s); err != nil {
				t.Fatal(err)
			}
		}
		m := &meddler{collection: c, meddle: func() { os.WriteFile(changed, append(slices.Clone(other), 0), 0o666) }}
		_, err := o.readPictures([]collection{m})
		if want := changed + ": expected a file that stays as it is, but it changed while it was read"; err == nil ||
			!strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}

	// A file of images, and a table, to which somebody still writes.
	for name, content := range map[string][]byte{"i": idxFile(0x803, 24, 3, 2, 4), "t.csv": []byte("a,b\n1,2\n3,5\n")} {
		path := filepath.Join(write(t, map[string][]byte{name: content}), name)
		s, err := openFile(path)
		if err != nil {
			t.Fatal(err)
		}
		os.WriteFile(path, append(content, content...), 0o666)
		if err := s.unchanged(); err == nil || !strings.Contains(err.Error(), "it changed while it was read") {
			t.Errorf("%s: %v", name, err)
		}
		s.close()
	}
}

// TestHands reads the hand photographs in ../../../shared, where that is: as the archive, its folder, and unpacked.
func TestHands(t *testing.T) {
	folder := filepath.Join("..", "..", "..", "shared", "data", "sign-language-digits")
	if _, err := os.Stat(folder); err != nil {
		t.Skip("no hand photographs here")
	}
	for _, c := range []struct {
		set   Settings
		shape string
	}{{Settings{Size: "48"}, "48x48x3"}, {Settings{Size: "24x40"}, "24x40x3"}, {Settings{}, "100x100x3"}} {
		s := open(t, folder, c.set)
		if s.N != 2059 || shape(&s.Data) != c.shape {
			t.Errorf("%+v: %s", c.set, s.Name)
		}
		if c.set == (Settings{}) {
			sum := 0
			for _, v := range s.U8 {
				sum += int(v)
			}
			if mean := float64(sum) / float64(len(s.U8)); mean < 164.4 || mean > 164.8 { // by libjpeg, which smooths colours between pixels, 164.5998
				t.Errorf("mean %.4f", mean)
			}
		}
	}
}
