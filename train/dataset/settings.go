// Settings: how data files are read.
package dataset

import (
	"fmt"
	"strconv"
	"strings"

	"sigmaz/internal/setting"
)

// Settings say how data files are read. The zero value takes everything from the files. A picture is turned upright,
// then cut (Crop), then scaled (Size).
type Settings struct {
	Crop     string `yaml:"crop,omitempty"`     // N or HxW: the middle of each image, in its own pixels
	Size     string `yaml:"size,omitempty"`     // N or HxW: the middle of that aspect is scaled to this
	Channels string `yaml:"channels,omitempty"` // "", "grey" or "colour"; "": grey if every image is
	Layout   string `yaml:"layout,omitempty"`   // of NPY images of four dimensions: "", "nhwc" or "nchw"; "": by the size of C

	Columns     string `yaml:"columns,omitempty"`     // of a table: names, numbers from 1 and ranges, with commas; "": all
	Header      string `yaml:"header,omitempty"`      // of a table: "", "yes" or "no"; "": whether its first line is all numbers
	Standardize string `yaml:"standardize,omitempty"` // of vectors from files: "" or "columns", "whiten", "none"; see [Scaler]
}

// Validate checks the settings by themselves. The error is a [*setting.Error].
func (s Settings) Validate() error {
	if _, err := parseSize("crop", s.Crop); err != nil {
		return err
	}
	if _, err := parseSize("size", s.Size); err != nil {
		return err
	}
	for _, c := range []struct {
		key, value string
		words      []string
	}{
		{"channels", s.Channels, []string{"grey", "colour"}},
		{"layout", s.Layout, []string{"nhwc", "nchw"}},
		{"header", s.Header, []string{"yes", "no"}},
		{"standardize", s.Standardize, []string{"columns", "whiten", "none"}},
	} {
		if err := oneOf(c.key, c.value, c.words); err != nil {
			return err
		}
	}
	return nil
}

func oneOf(key, value string, words []string) error {
	if value == "" {
		return nil
	}
	for _, w := range words {
		if value == w {
			return nil
		}
	}
	return setting.Errorf(key, "is %q: expected %s", value, strings.Join(words, " or "))
}

// used refuses the settings that data of this kind has no use for: who gives them expects them to do something.
func (s Settings) used(pictures, layout, vectors, table bool) error {
	for _, c := range []struct {
		key, value string
		ok         bool
		what       string
	}{
		{"crop", s.Crop, pictures, "image files"}, {"size", s.Size, pictures, "image files"}, {"channels", s.Channels, pictures, "image files"},
		{"layout", s.Layout, layout, "NPY images of four dimensions"}, {"standardize", s.Standardize, vectors, "vectors from files"},
		{"columns", s.Columns, table, "tables (CSV)"}, {"header", s.Header, table, "tables (CSV)"},
	} {
		if c.value != "" && !c.ok {
			return setting.Errorf(c.key, "is for %s, and this data is none: leave it out", c.what)
		}
	}
	return nil
}

// size is a height and a width; the zero value is none.
type size struct{ h, w int }

func (s size) String() string { return fmt.Sprintf("%dx%d", s.h, s.w) }

// maxSide bounds the sides of images; beyond it sizes would be mistakes.
const maxSide = 1 << 14

// ParseSize reads "48" or "24x40", height first, as the value of the setting key. The error is a [*setting.Error].
func ParseSize(key, text string) (h, w int, err error) {
	s, err := parseSize(key, text)
	return s.h, s.w, err
}

// parseSize is ParseSize; no text is no size.
func parseSize(key, text string) (size, error) {
	if text == "" {
		return size{}, nil
	}
	h, w, ok := strings.Cut(text, "x")
	if !ok {
		w = h
	}
	var s size
	var err1, err2 error
	s.h, err1 = strconv.Atoi(h)
	s.w, err2 = strconv.Atoi(w)
	switch {
	case err1 != nil || err2 != nil:
		return size{}, setting.Errorf(key, "is %q: expected a number of pixels, such as 64, or height x width, such as 48x64", text)
	case s.h < 1 || s.w < 1 || s.h > maxSide || s.w > maxSide:
		return size{}, setting.Errorf(key, "is %q: expected sides of 1 to %d pixels", text, maxSide)
	}
	return s, nil
}
