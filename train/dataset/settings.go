// Settings: how data files are read.

package dataset

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"sigmaz/internal/setting"
)

// Settings say how data files are read. The zero value takes everything from the files.
type Settings struct {
	// Of images:
	Crop     string `yaml:"crop,omitempty"`     // N or HxW: the middle of each image, in its own pixels
	Size     string `yaml:"size,omitempty"`     // N or HxW: the middle of that aspect, after Crop, is scaled to this
	Channels string `yaml:"channels,omitempty"` // "grey" or "colour"; "": grey if every image is
	White    string `yaml:"white,omitempty"`    // the value that is white; "": 255, or what the type of the values says
	Layout   string `yaml:"layout,omitempty"`   // of NPY in four dimensions: "nhwc" or "nchw"; "": by the size of C

	// Of pictures: "skip" passes damaged ones over, "stop" or "" stops at them.
	Damaged string `yaml:"damaged,omitempty"`

	// Of tables:
	Columns string `yaml:"columns,omitempty"` // names, numbers from 1 and ranges, with commas; "": all
	Header  string `yaml:"header,omitempty"`  // "yes" or "no"; "": no if the first line is all numbers

	Categories string `yaml:"categories,omitempty"` // columns of numbers that are categories, as Columns lists them
	Bounded    string `yaml:"bounded,omitempty"`    // COLUMN=LOW:HIGH with commas between

	// Of data with labels, see labels.go: Classes reads them, and so does Label, which says where they are.
	Classes bool   `yaml:"classes,omitempty"`
	Label   string `yaml:"label,omitempty"` // the column of a table; of CIFAR-100 "fine" or "coarse", "" is "fine"

	// Of vectors from files: "columns", "whiten" or "none"; "" is "columns". See [Scaler].
	Standardize string `yaml:"standardize,omitempty"`
}

// settingRule is what there is to know about one setting.
type settingRule struct {
	key, value string
	check      func(key, value string) error // whether it can have the value
	data       string                        // what it is for, in an error
}

// rules lists all settings.
func (s Settings) rules() []settingRule {
	classes := ""
	if s.Classes {
		classes = "yes"
	}
	return []settingRule{
		{"crop", s.Crop, checkSize, "image files"},
		{"size", s.Size, checkSize, "image files"},
		{"channels", s.Channels, oneOf("grey", "colour"), "image files"},
		{"white", s.White, checkWhite, "image files"},
		{"layout", s.Layout, oneOf("nhwc", "nchw"), "NPY images of four dimensions"},
		{"damaged", s.Damaged, oneOf("skip", "stop"), "pictures"},
		{"standardize", s.Standardize, oneOf("columns", "whiten", "none"), "vectors from files"},
		{"columns", s.Columns, checkNothing, "tables (CSV)"},
		{"header", s.Header, oneOf("yes", "no"), "tables (CSV)"},
		{"categories", s.Categories, checkNothing, "tables (CSV)"},
		{"bounded", s.Bounded, checkBounded, "tables (CSV)"},
		{"classes", classes, checkNothing, "data with labels (IDX images, CIFAR, pictures in folders, tables, glyphs, " +
			"toy:gaussians and toy:moons)"},
		{"label", s.Label, checkNothing, "tables (CSV) and CIFAR-100"},
	}
}

// Validate checks each setting by itself. The error is a [*setting.Error].
func (s Settings) Validate() error {
	for _, r := range s.rules() {
		if err := r.check(r.key, r.value); r.value != "" && err != nil {
			return err
		}
	}
	return nil
}

// refuseUnused fails for a setting that is given and not among the useful ones: who gives it expects it to do
// something.
func (s Settings) refuseUnused(useful []string) error {
	for _, r := range s.rules() {
		if r.value != "" && !slices.Contains(useful, r.key) {
			return setting.Errorf(r.key, "is for %s, and this data is none: leave it out", r.data)
		}
	}
	return nil
}

// oneOf returns the check that a value is one of some words.
func oneOf(words ...string) func(key, value string) error {
	return func(key, value string) error {
		if !slices.Contains(words, value) {
			return setting.Errorf(key, "is %q: expected %s", value, strings.Join(words, " or "))
		}
		return nil
	}
}

func checkSize(key, value string) error {
	_, err := parseSize(key, value)
	return err
}

func checkBounded(key, value string) error {
	_, err := parseBounded(key, value)
	return err
}

func checkWhite(key, value string) error {
	_, err := parseWhite(value)
	return err
}

// parseWhite reads the setting white; 0 stands for none.
func parseWhite(text string) (float64, error) {
	if text == "" {
		return 0, nil
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || !(v > 0) || math.IsInf(v, 0) {
		return 0, setting.Errorf("white", "is %q: expected a positive number, such as 1 for images of 0 and 1, or 4095 for "+
			"12 bits", text)
	}
	return v, nil
}

// checkNothing is the check of a setting that only the data can judge.
func checkNothing(key, value string) error { return nil }

// size is a height and a width. The zero value: none is given.
type size struct{ h, w int }

func (s size) String() string { return fmt.Sprintf("%dx%d", s.h, s.w) }

// maxSide bounds the sides of images. A larger one is a mistake.
const maxSide = 1 << 14

// ParseSize reads "48" or "24x40", height first, the value of the setting key. The error is a [*setting.Error].
func ParseSize(key, text string) (h, w int, err error) {
	s, err := parseSize(key, text)
	return s.h, s.w, err
}

// parseSize is [ParseSize], which allows no text.
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
		return size{}, setting.Errorf(key, "is %q: expected a number of pixels, such as 64, or height x width, such as 48x64",
			text)
	case s.h < 1 || s.w < 1 || s.h > maxSide || s.w > maxSide:
		return size{}, setting.Errorf(key, "is %q: expected sides of 1 to %d pixels", text, maxSide)
	}
	return s, nil
}
