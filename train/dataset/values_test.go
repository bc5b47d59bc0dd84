// Values of images: those that are all but black are told, and the setting white makes them what they are.

package dataset

import (
	"bytes"
	"context"
	"image"
	"image/color"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// grey is a PNG of 2x4 grey values, of 8 bits or 16.
func grey(t *testing.T, bits int, values ...uint16) []byte {
	t.Helper()
	if bits == 16 {
		img := image.NewGray16(image.Rect(0, 0, 4, 2))
		for i, v := range values {
			img.SetGray16(i%4, i/4, color.Gray16{Y: v})
		}
		return pngOf(t, img)
	}
	img := image.NewGray(image.Rect(0, 0, 4, 2))
	for i, v := range values {
		img.SetGray(i%4, i/4, color.Gray{Y: uint8(v)})
	}
	return pngOf(t, img)
}

func TestWhite(t *testing.T) {
	bits := []byte{0, 1, 1, 0, 1, 0, 0, 1}
	want := []byte{0, 255, 255, 0, 255, 0, 0, 255}
	wide := func(b []byte, size int) (out []byte) {
		for _, v := range b {
			out = append(append(out, v), make([]byte, size-1)...)
		}
		return out
	}
	rgb := image.NewNRGBA(image.Rect(0, 0, 4, 2))
	deep := image.NewNRGBA64(image.Rect(0, 0, 4, 2))
	for i, v := range bits {
		rgb.SetNRGBA(i%4, i/4, color.NRGBA{v * 3, v, 0, 255})
		deep.SetNRGBA64(i%4, i/4, color.NRGBA64{uint16(v) * 1000, 500, 0, 65535})
	}
	colour := image.NewPaletted(image.Rect(0, 0, 4, 2), color.Palette{color.Gray{0}, color.Gray{2}, color.White})
	copy(colour.Pix, bits)
	idx := append(idxFile(0x803, 0, 1, 2, 4), bits...)
	for name, c := range map[string]struct {
		file  []byte
		says  string // without the setting; "": nothing
		white string
		want  []byte // with the setting
	}{
		"IDX":            {idx, "the values are 0 to 1 of 255, so the images are all but black; `white` 1 makes that value white", "1", want},
		"IDX in gzip":    {gzipped(t, idx), "0 to 1 of 255", "1", want},
		"NPY uint8":      {npyOf("|u1", "(1, 2, 4)", false, bits), "0 to 1 of 255", "1", want},
		"NPY int64":      {npyOf("<i8", "(1, 2, 4)", false, wide(bits, 8)), "0 to 1 of 255", "1", want},
		"NPY Fortran":    {npyOf("|u1", "(1, 2, 4)", true, []byte{0, 1, 1, 0, 1, 0, 0, 1}), "0 to 1 of 255", "1", []byte{0, 255, 255, 0, 255, 0, 0, 255}},
		"NPY bool":       {npyOf("|b1", "(1, 2, 4)", false, bits), "refused", "1", want},
		"NPY 12 bits":    {npyOf("<u2", "(1, 1, 2)", false, []byte{0xff, 0x0f, 0, 8}), "refused", "4095", []byte{255, 128}},
		"NPY to 1000":    {npyOf("<f4", "(1, 1, 3)", false, floats(0, 1000, 200)), "refused", "1000", []byte{0, 255, 51}},
		"NPY faint":      {npyOf("<f4", "(1, 1, 3)", false, floats(0, 0.004, 0.001)), "the values are 0 to 0.004 of 1,", "0.004", []byte{0, 255, 64}},
		"NPY classes":    {npyOf("|u1", "(1, 1, 3)", false, []byte{0, 20, 10}), "0 to 20 of 255, so the images are all but black; `white` 31 ", "20", []byte{0, 255, 128}},
		"PNG":            {grey(t, 8, 0, 1, 1, 0, 1, 0, 0, 1), "0 to 1 of 255", "1", want},
		"PNG classes":    {grey(t, 8, 0, 5, 2), "0 to 5 of 255, so the images are all but black; `white` 7 ", "5", []byte{0, 255, 102}},
		"PNG 12 in 16":   {grey(t, 16, 0, 4095, 2048), "the values are 0 to 4095 of 65535 in 16-bit pictures, so the images are all but black; `white` 4095 ", "4095", []byte{0, 255, 128}},
		"PNG 10 in 16":   {grey(t, 16, 1000, 0), "0 to 1000 of 65535 in 16-bit pictures, so the images are all but black; `white` 1023 ", "1000", []byte{255, 0}},
		"PNG in colours": {pngOf(t, rgb), "0 to 3 of 255", "3", []byte{0, 0, 0, 255, 85, 0}},
		"PNG 16 colours": {pngOf(t, deep), "0 to 1000 of 65535 in 16-bit", "1000", []byte{0, 128, 0, 255, 128, 0}},
		"PNG palette":    {pngOf(t, colour), "0 to 2 of 255", "2", want},
		"white PNG":      {grey(t, 8, 0, 200), "", "200", []byte{0, 255}},
		"white PNG 16":   {grey(t, 16, 0, 60000), "", "60000", []byte{0, 255}},
		"white NPY":      {npyOf("<f4", "(1, 1, 3)", false, floats(0, 1, 0.2)), "", "1", []byte{0, 255, 51}},
		"black":          {append(idxFile(0x803, 0, 1, 2, 4), make([]byte, 8)...), "all values are 0: the images are black", "1", make([]byte, 8)},
	} {
		path := filepath.Join(write(t, map[string][]byte{"f": c.file}), "f")
		s, err := Open(path, 1)
		if (err != nil) != (c.says == "refused") {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err == nil && (c.says == "" && len(s.Notes) > 0 || !strings.Contains(note(s), c.says)) {
			t.Errorf("%s: it says %q", name, note(s))
		}
		if err != nil && !strings.Contains(err.Error(), "`white` "+c.white) {
			t.Errorf("%s: %v", name, err)
		}
		for _, cache := range []string{"none", ""} {
			s, err = Source{Spec: path, Settings: Settings{White: c.white}, Cache: cache}.Open(context.Background())
			if err != nil || !bytes.HasPrefix(s.U8, c.want) || name != "black" && len(s.Notes) > 0 {
				t.Errorf("%s with white %s: % d, %v, %v", name, c.white, s.U8, s.Notes, err)
			}
		}
		if c.says == "" || name == "black" {
			continue
		}
		_, err = Source{Spec: path, Settings: Settings{White: "0.0009"}}.Open(context.Background())
		if err == nil || !strings.Contains(err.Error(), "f: ") || !strings.Contains(err.Error(), "`white` 0.0009") {
			t.Errorf("%s with white 0.0009: %v", name, err)
		}
	}
	// Of several files, the brightest tells; and what the cache has is told again.
	folder := write(t, map[string][]byte{"a.png": grey(t, 8, 0, 1), "b.png": grey(t, 8, 0, 255), "c/d.png": grey(t, 16, 0, 4095)})
	if s := open(t, folder, Settings{}); strings.Contains(note(s), "values") {
		t.Errorf("it says %q", note(s))
	}
	for range 2 {
		if s := open(t, filepath.Join(folder, "c"), Settings{}); !strings.Contains(note(s), "0 to 4095 of 65535") {
			t.Errorf("it says %q", note(s))
		}
	}
	for _, white := range []string{"0", "-1", "x", "Inf", "nan"} {
		if err := (Settings{White: white}).Validate(); err == nil || !strings.Contains(err.Error(), "white is ") {
			t.Errorf("white %s: %v", white, err)
		}
	}
}

// An array beyond what is held in memory is read twice, to the same bytes, and so is one that is packed.
func TestLargeArrays(t *testing.T) {
	defer func(old int) { holdBytes = old }(holdBytes)
	x := make([]float32, 30_000)
	for i := range x {
		x[i] = float32(i%1000) / 999
	}
	array := npyOf("<f4", "(3, 100, 100)", false, floats(x...))
	idx := idxFile(0x803, 30_000, 3, 100, 100)
	folder := write(t, map[string][]byte{"a.npy": array, "a.npy.gz": gzipped(t, array), "a.zip": zipOf(t, map[string][]byte{"a.npy": array}, nil),
		"i": idx, "i.gz": gzipped(t, idx), "u.npy.gz": gzipped(t, npyOf("|u1", "(3, 100, 100)", false, idx[16:]))})
	for _, names := range [][]string{{"a.npy", "a.npy.gz", "a.zip"}, {"i", "i.gz", "u.npy.gz"}} {
		var want []byte
		for _, name := range names {
			for _, hold := range []int{256 << 20, 100} {
				for _, cache := range []string{"none", "", ""} { // in memory, written to the cache, and read from it
					holdBytes = hold
					s, err := Source{Spec: filepath.Join(folder, name), Cache: cache}.Open(context.Background())
					if err != nil {
						t.Fatal(name, err)
					}
					if want == nil {
						want = slices.Clone(s.U8)
					}
					if !bytes.Equal(s.U8, want) || s.Mapped != (hold == 100 && cache == "") {
						t.Errorf("%s, at most %d bytes, cache %q: mapped %v, other bytes", name, hold, cache, s.Mapped)
					}
				}
			}
		}
	}
	holdBytes = 100
	x[20_001] = 2
	path := filepath.Join(write(t, map[string][]byte{"a": npyOf("<f4", "(3, 100, 100)", false, floats(x...))}), "a")
	if _, err := Open(path, 1); err == nil || !strings.Contains(err.Error(), "found float32 from 0 to 2") {
		t.Errorf("%v", err)
	}
	// A header of gzip that claims more than comes ends before memory does.
	claim := gzipped(t, append(idxFile(0x803, 0, 3, 100, 100), make([]byte, 29_999)...))
	path = filepath.Join(write(t, map[string][]byte{"a": claim}), "a")
	if _, err := Open(path, 1); err == nil || !strings.Contains(err.Error(), "found 30015: the file is cut short") {
		t.Errorf("%v", err)
	}
}
