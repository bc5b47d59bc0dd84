// The specification of data, such as the value of the setting "data": its grammar is here and nowhere else.

package dataset

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"sigmaz/internal/nearest"
)

// Spec is a specification of data, taken apart:
//
//	glyphs          20,000 digits 28x28x1, drawn from the seed with the Go fonts; "" means the same
//	toy:NAME        50,000 points in the plane, drawn from the seed; [Toys] lists the names
//	FOLDER          of pictures, at any depth; or with one file of IDX images (MNIST, Fashion-MNIST), CIFAR-10 or
//	                CIFAR-100 binary files (the training images in it), or one archive, array or table
//	FILE            PNG, JPEG or WebP, a ZIP or TAR of such, IDX, a CIFAR-10 batch, an NPY array of images or vectors, or
//	                a table of numbers (CSV), or a ZIP (NPZ) or TAR with one of these; IDX, NPY, TAR and tables also
//	                compressed with gzip or bzip2
//	PATH,PATH,...   several of one kind, in this order
//
// Files are told apart by their content, not by their names.
type Spec struct {
	Kind  SpecKind
	Toy   string   // the NAME of a toy; Open says whether there is one of that name
	Paths []string // the files and folders, at least one where Kind is Files
}

// SpecKind says where the data of a [Spec] comes from.
type SpecKind int

const (
	Files  SpecKind = iota // read from files
	Glyphs                 // drawn with fonts
	Toy                    // points in the plane
)

const (
	glyphsName = "glyphs"
	toyPrefix  = "toy:"
)

// ParseSpec takes a specification apart. Of files it looks only whether they exist, because a comma may be part of a
// name: a path that exists is taken whole.
func ParseSpec(text string) (Spec, error) {
	if text == "" || text == glyphsName {
		return Spec{Kind: Glyphs}, nil
	}
	if name, ok := strings.CutPrefix(text, toyPrefix); ok {
		return Spec{Kind: Toy, Toy: name}, nil
	}
	paths := []string{text}
	if _, err := os.Stat(text); err != nil && strings.Contains(text, ",") {
		paths = strings.Split(text, ",")
	}
	for i, path := range paths {
		paths[i] = strings.TrimSpace(path)
		if paths[i] == "" {
			return Spec{}, fmt.Errorf("%q: expected file names between the commas, found an empty one; remove the spare comma",
				text)
		}
	}
	return Spec{Paths: paths}, nil
}

// IsVectors tells whether the data of a specification is vectors, by the start of each of its files. Data that cannot
// be read, or that is of several kinds, is not.
func IsVectors(spec string) bool {
	s, err := ParseSpec(spec)
	switch {
	case err != nil:
		return false
	case s.Kind != Files:
		return s.Kind == Toy
	}
	in, err := openInputs(s.Paths)
	if err != nil {
		return false
	}
	defer in.close()
	return in.kind == kindVectors
}

// MadeSpecs lists the specifications of data that is made: glyphs and every toy.
func MadeSpecs() []string {
	specs := []string{glyphsName}
	for _, name := range Toys() {
		specs = append(specs, toyPrefix+name)
	}
	return specs
}

// nothingThere is the error for a path where nothing is. It suggests the nearest specification of made data, since
// that may be what was meant.
func nothingThere(path string) error {
	if slices.Contains(MadeSpecs(), path) { // as one of several: alone it is no path
		return fmt.Errorf("%s: expected files between the commas, found data that is made: give it alone, or a file of "+
			"that name as ./%[1]s", path)
	}
	hint := "check the path"
	if near := nearest.Word(path, MadeSpecs()); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	} else if slices.Contains(Toys(), path) {
		hint = fmt.Sprintf("did you mean %q?", toyPrefix+path)
	} else if strings.HasPrefix(path, "~") {
		hint = "the shell puts the home folder for ~ only where a word begins: write $HOME, or the whole path"
	}
	return fmt.Errorf("%s: expected a file, a folder or one of %s, found nothing of that name; %s", path,
		strings.Join(MadeSpecs(), ", "), hint)
}
