// The table of formats: every row is whole, and recognises its own files.

package dataset

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// samples are files of each row of the table, by its name.
func samples(t *testing.T) map[string][][]byte {
	picture := pngOf(t, gradient(6, 8, 1))
	return map[string][][]byte{
		"IDX":                         {idxFile(0x803, 24, 3, 2, 4), idxFile(0x804, 3, 1, 1, 1, 3), gzipped(t, idxFile(0x803, 24, 3, 2, 4))},
		"NPY":                         {npyOf("<f4", "(1, 2)", false, floats(1, 2)), npyOf("<i8", "(4,)", false, make([]byte, 32))},
		"NPY of images with channels": {npyOf("|u1", "(1, 1, 1, 3)", false, upTo(3))},
		"NPY of images":               {npyOf("|u1", "(2, 3, 4)", false, upTo(24)), []byte("\x93NUMPY\x01\x00\xff\xff{")},
		"NPY of other dimensions":     {npyOf("|u1", "()", false, upTo(1)), npyOf("|u1", "(1, 1, 1, 1, 1)", false, upTo(1))},
		"ZIP":                         {zipOf(t, map[string][]byte{"a.png": picture}, nil), zipOf(t, nil, nil)},
		"TAR":                         {tarOf(t, map[string][]byte{"a.png": picture}), gzipped(t, tarOf(t, map[string][]byte{"a": nil}))},
		"picture":                     {picture, jpegOf(t, gradient(6, 8, 1)), gzipped(t, picture)},
		"table": {[]byte("a,b\n1,2\n"), []byte("\ufeff1 2\n"), []byte(strings.Repeat("é", 3000)),
			[]byte("BMI,a\n1,2\n"), []byte("h\xf6he;1\n"), []byte("\xff\xfe1\x002\x00"), []byte("1\x00\n\x002\x00"), []byte("[mm],b\n1,2\n")},
		"CIFAR-10":                         {cifarFile(1), append([]byte{0, 0, 8, 3}, make([]byte, 3069)...), append([]byte{0, 0, 9, 3}, make([]byte, 3069)...)},
		"IDX labels":                       {idxFile(0x801, 9, 9), append(idxFile(0x801, 0, 3065), make([]byte, 3065)...)},
		"IDX table":                        {idxFile(0x802, 9, 3, 3)},
		"IDX cut short or of another type": {idxFile(0x803, 0, 3), idxFile(0xd03, 9, 3, 3, 1)},
		"Python pickle":                    {[]byte("\x80\x02}q\x01"), []byte("\x80\x05\x95\x00\x00")},
		"GIF, BMP or TIFF":                 {[]byte("GIF89a\x01\x00"), []byte("BM\x00\x01"), []byte("II*\x00"), []byte("MM\x00*")},
		"HEIC":                             {[]byte("\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic"), []byte("\x00\x00\x00\x18ftypmif1....")},
		"AVIF":                             {[]byte("\x00\x00\x00\x20ftypavif\x00\x00\x00\x00avif"), []byte("\x00\x00\x00\x20ftypavis")},
		"JPEG XL or JPEG 2000":             {[]byte("\xff\x0a\x01"), []byte("\x00\x00\x00\x0cJXL \r\n"), []byte("\x00\x00\x00\x0cjP  \r\n")},
		"PNM":                              {[]byte("P6\n2 1\n255\n\x00\x01\x02\x03\x04\x05"), []byte("P5 1 1 255\n\x00")},
		"PSD, EXR or DDS":                  {[]byte("8BPS\x00\x01"), []byte("v/1\x01\x02")},
		"DICOM":                            {append(make([]byte, 128), "DICM\x02\x00"...)},
		"video":                            {[]byte("\x00\x00\x00\x20ftypisom\x00"), []byte("RIFF\x00\x00\x00\x00AVI LIST"), []byte("\x1aE\xdf\xa3\x01")},
		"sound":                            {[]byte("RIFF\x00\x00\x00\x00WAVEfmt "), []byte("OggS\x00")},
		"PDF":                              {[]byte("%PDF-1.7\n%\x00")},
		"LZ4":                              {[]byte("\x04\x22\x4d\x18\x64")},
		"compress":                         {[]byte("\x1f\x9d\x90\x00")},
		"MATLAB":                           {append([]byte("MATLAB 5.0 MAT-file, Platform: GLNXA64"), 0, 1, 'I', 'M'), append([]byte("MATLAB 7.3 MAT-file"), 0)},
		"Parquet":                          {[]byte("PAR1\x15\x04\x15")},
		"Arrow":                            {[]byte("ARROW1\x00\x00"), []byte("FEA1\x00\x00")},
		"Excel 97":                         {[]byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\x00")},
		"SQLite":                           {[]byte("SQLite format 3\x00\x10")},
		"LMDB":                             {append(make([]byte, 16), 0xde, 0xc0, 0xef, 0xbe, 1)},
		"safetensors":                      {append([]byte{4, 0, 0, 0, 0, 0, 0, 0}, `{"a"`...)},
		"CIFAR-100":                        {cifar100File(1), cifar100File(3)},
		"STL-10":                           {make([]byte, 2*3*96*96)},
		"CIFAR cut short":                  {cifarFile(2)[:6000]},
		"Zstandard":                        {[]byte("\x28\xb5\x2f\xfd\x00")},
		"xz":                               {[]byte("\xfd7zXZ\x00")},
		"7-Zip or RAR":                     {[]byte("7z\xbc\xaf\x27\x1c\x00"), []byte("7z\xbc\xaf"), []byte("Rar!\x1a\x07\x00")},
		"HDF5":                             {[]byte("\x89HDF\r\n\x1a\n")},
		"UTF-16":                           {[]byte("\xff\xfe<\x00a\x00"), []byte("\xfe\xff\x00<\x00a")},
		"UTF-32":                           {[]byte("\xff\xfe\x00\x001\x00\x00\x00"), []byte("\x00\x00\xfe\xff\x00\x00\x001")},
		"JSON":                             {[]byte(`{"x": [1, 2]}`), []byte("\ufeff[[1, 2],\n[3, 4]]"), []byte("{\"a\":1}\n{\"a\":2}\n")},
		"HTML or XML":                      {[]byte("\n <html>"), []byte("<?xml?>")},
		"unknown, compressed":              {gzipped(t, []byte("\x00ello"))},
		"unknown":                          {{0, 1, 2, 3}, {0}, []byte("1\x002"), []byte("\xf6\xe4\xfc1"), []byte("ab\x1a1"), []byte("RIFF\x00\x00\x00\x00WAV")},
	}
}

func TestFormats(t *testing.T) {
	known := samples(t)
	for i, f := range formats {
		name := f.name
		openers := 0
		for _, set := range []bool{f.images != nil, f.vectors != nil, f.pictures != nil, f.refuse != nil} {
			if set {
				openers++
			}
		}
		if name == "" || f.recognise == nil || openers != 1 {
			t.Errorf("row %s: a row needs a name, recognise and one function that opens it, and has %d", name, openers)
		}
		if f.folder != nil && f.folder.dataSet != "" && (f.folder.training == "" || f.folder.promised == nil) {
			t.Errorf("row %s: a data set of several files needs the names of those for training", name)
		}
		for _, key := range f.settings {
			if !slices.ContainsFunc((Settings{}).rules(), func(r settingRule) bool { return r.key == key }) {
				t.Errorf("row %s: no setting is called %q", name, key)
			}
		}
		if (f.refuse == nil) != (len(f.settings) > 0) {
			t.Errorf("row %s: what is read has settings, and what is refused has none; these are %v", name, f.settings)
		}
		if f.refuse == nil { // errors say what files and folders may hold
			word, _, _ := strings.Cut(name, " ")
			word = strings.Replace(word, "table", "CSV", 1)
			if !strings.Contains(expectedFile, word) || f.folder != nil && !strings.Contains(expectedInFolder, word) {
				t.Errorf("row %s: %q is not among what is expected of files, or of folders", name, word)
			}
		}
		if len(known[name]) == 0 {
			t.Errorf("row %s has no sample", name)
		}
		for k, content := range known[name] {
			file := cmp.Or(map[string]string{"STL-10": "unlabeled_X.bin", "CIFAR cut short": "data_batch_1.bin"}[name], "f")
			s, err := openFile(filepath.Join(write(t, map[string][]byte{file: content}), file))
			if err != nil {
				t.Errorf("row %s, sample %d: %v", name, k, err)
				continue
			}
			s.close()
			if s.format != &formats[i] {
				t.Errorf("row %s, sample %d is taken for %s", name, k, s.format.name)
			}
			if f.refuse != nil && f.refuse(s) == nil {
				t.Errorf("row %s, sample %d is not refused", name, k)
			}
		}
		delete(known, name)
	}
	for name := range known {
		t.Errorf("samples of %s, which is no row", name)
	}
}

// Every encoding of pictures is whole, has a mark of its own, and is in the sentences.
func TestEncodings(t *testing.T) {
	for i, e := range encodings {
		if e.name == "" || e.mark == "" || len(e.endings) == 0 || e.metadata == 0 || e.decode == nil || e.decodeConfig == nil {
			t.Errorf("row %d (%s) is not whole", i, e.name)
		}
		if encodingOf([]byte(strings.ReplaceAll(e.mark, "?", "x"))) != &encodings[i] || !strings.Contains(expectedFile, e.name) ||
			!strings.Contains(expectedInFolder, e.name) {
			t.Errorf("row %d (%s) is not recognised, or not among what is expected", i, e.name)
		}
		for _, ending := range e.endings {
			if !namedPicture("A" + strings.ToUpper(ending)) {
				t.Errorf("%s does not name a picture", ending)
			}
		}
	}
	if got := joinNames([]string{"A", "B", "C"}, "and"); got != "A, B and C" {
		t.Errorf("three names are %q", got)
	}
}

func TestParseSpec(t *testing.T) {
	folder := write(t, map[string][]byte{"a,b": []byte("1,2\n3,5\n"), "a": idxFile(0x803, 24, 3, 2, 4)})
	path := func(name string) string { return filepath.Join(folder, name) }
	for text, want := range map[string]Spec{
		"":                            {Kind: Glyphs},
		"glyphs":                      {Kind: Glyphs},
		"toy:moons":                   {Kind: Toy, Toy: "moons"},
		"toy:":                        {Kind: Toy},
		"Glyphs":                      {Paths: []string{"Glyphs"}},
		path("a,b"):                   {Paths: []string{path("a,b")}},
		path("a,c"):                   {Paths: []string{path("a"), "c"}},
		path("a") + " , " + path("b"): {Paths: []string{path("a"), path("b")}},
	} {
		got, err := ParseSpec(text)
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%q: %+v, %v, expected %+v", text, got, err, want)
		}
	}
	if _, err := ParseSpec("x,,y"); err == nil ||
		!strings.Contains(err.Error(), "expected file names between the commas") {
		t.Errorf("an empty name: %v", err)
	}
	for spec, want := range map[string]bool{"": false, "glyphs": false, "toy:moons": true, path("a,b"): true,
		path("a"): false, path("nothing"): false, "x,,y": false} {
		if IsVectors(spec) != want {
			t.Errorf("IsVectors(%q) is %v", spec, !want)
		}
	}
	if got := strings.Join(MadeSpecs(), " "); got != "glyphs toy:swissroll toy:checkerboard toy:gaussians toy:moons" {
		t.Errorf("made data: %s", got)
	}
}
