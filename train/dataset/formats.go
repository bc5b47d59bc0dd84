// The formats: how each kind of file is recognised, and the function that opens it. To add one, write its reader in a
// file of its own and add a row here.

package dataset

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// kind is what a file holds. The words are those of error messages.
type kind string

const (
	kindVectors  kind = "vectors"
	kindImages   kind = "files of images" // one image after the other, all of one size, in one file
	kindPictures kind = "pictures"        // each a file of its own, in a folder or an archive
)

// format is one format of files.
type format struct {
	name string // for people, as part of Set.Name; no two formats have the same
	// recognise tells by the start of a file's content and by its size whether it has this format. It is asked only
	// about files in which none of the rows above has recognised its own format.
	recognise func(f *dataFile) bool
	// settings are those that such a file has a use for.
	settings []string
	// folder says when such a file is taken from a folder that is named; nil: never on account of this format.
	folder *folderRule

	// Exactly one of these is set. It opens the file, and says what the file holds.

	// images reads the header. The images follow by imageFile.next.
	images func(f *dataFile, s Settings) (*imageFile, error)
	// vectors appends all rows to t.
	vectors func(f *dataFile, s Settings, t *table) error
	// pictures returns what is in the file. It may be closed: a collection opens its file anew at each walk.
	pictures func(f *dataFile) (collection, error)
	// refuse returns the error for a format that is recognised and not read.
	refuse func(f *dataFile) error
}

// kind returns what files of the format hold.
func (f *format) kind() kind {
	switch {
	case f.images != nil:
		return kindImages
	case f.vectors != nil:
		return kindVectors
	}
	return kindPictures
}

var (
	imageSettings    = []string{"crop", "size", "channels", "white"}
	labelledSettings = append([]string{"classes"}, imageSettings...)
	pictureSettings  = append([]string{"damaged"}, labelledSettings...)
	tableSettings    = []string{"standardize", "columns", "header", "categories", "bounded", "classes", "label"}
)

// formats are all formats, in the order in which a file is compared with them; the last takes any file. CIFAR-10,
// CIFAR-100 and STL-10 have no mark of their own but the size of their records, so they come after all that have one.
var formats = []format{
	{name: "IDX", recognise: isIDXImages, images: openIDX, settings: labelledSettings,
		folder: &folderRule{dataSet: "IDX images", training: "train", promised: promisesIDX}},
	{name: "NPY", recognise: isNPY(1, 2), vectors: readNPYVectors, settings: []string{"standardize"}, folder: alone},
	{name: "NPY of images with channels", recognise: isNPY(4),
		images: openNPY, settings: append([]string{"layout"}, imageSettings...), folder: alone},
	{name: "NPY of images", recognise: isNPY(3, unreadableNPY),
		images: openNPY, settings: imageSettings, folder: alone},
	{name: "NPY of other dimensions", recognise: starts("\x93NUMPY"), refuse: refuseNPY, folder: alone},
	{name: "ZIP", recognise: starts("PK\x03\x04", "PK\x05\x06", "PK\x07\x08"),
		pictures: openZIP, settings: pictureSettings, folder: alone},
	{name: "TAR", recognise: isTAR, pictures: openTAR, settings: pictureSettings, folder: alone},
	{name: "picture", recognise: isPictureFile, pictures: openPicture, settings: pictureSettings},
	{name: "7-Zip or RAR", recognise: starts("7z\xbc\xaf", "Rar!\x1a"),
		refuse: notRead("an archive of 7-Zip or RAR", "unpack it and give the folder")},
	{name: "JSON", recognise: isJSON, refuse: notRead("JSON", "save the numbers in it as CSV or with numpy.save")},
	{name: "UTF-32", recognise: starts("\xff\xfe\x00\x00", "\x00\x00\xfe\xff"),
		refuse: notRead("text in UTF-32", "save it as UTF-8")},
	{name: "table", recognise: isTable, vectors: readTable, settings: tableSettings,
		folder: &folderRule{endings: []string{".csv", ".tsv"}}},
	{name: "Python pickle", recognise: starts("\x80\x02", "\x80\x03", "\x80\x04", "\x80\x05"),
		refuse: notRead("a Python pickle", "give the binary version of the data set, or save the array with numpy.save")},
	{name: "GIF, BMP or TIFF", recognise: starts("GIF8", "BM", "II*\x00", "MM\x00*", "II+\x00", "MM\x00+"),
		refuse: otherPicture("GIF, BMP or TIFF")},
	{name: "AVIF", recognise: isAVIF, refuse: otherPicture("AVIF")},
	{name: "HEIC", recognise: isMedia("heic", "heix", "heim", "heis", "hevc", "hevx", "mif1", "msf1"),
		refuse: otherPicture("HEIC")},
	{name: "JPEG XL or JPEG 2000", recognise: starts("\xff\x0a", "\x00\x00\x00\x0cJXL ", "\x00\x00\x00\x0cjP  ",
		"\xff\x4f\xff\x51"), refuse: otherPicture("JPEG XL or JPEG 2000")},
	{name: "PNM", recognise: starts("P4\n", "P5\n", "P6\n", "P4 ", "P5 ", "P6 "), refuse: otherPicture("PNM")},
	{name: "PSD, EXR or DDS", recognise: starts("8BPS", "v/1\x01", "DDS "), refuse: otherPicture("PSD, EXR or DDS")},
	{name: "DICOM", recognise: holds(128, "DICM"), refuse: otherPicture("DICOM")},
	{name: "video", recognise: anyOf(isMedia(""), isRIFF("AVI "), starts("\x1aE\xdf\xa3")),
		refuse: notRead("a video", "save its frames as PNG")},
	{name: "sound", recognise: anyOf(isRIFF("WAVE"), starts("fLaC", "OggS", "ID3")),
		refuse: notRead("sound", "give pictures, or save numbers with numpy.save")},
	{name: "PDF", recognise: starts("%PDF-"), refuse: notRead("a PDF", "save its pages as PNG")},
	{name: "Zstandard", recognise: starts("\x28\xb5\x2f\xfd"),
		refuse: notRead("Zstandard data", "unpack it with unzstd")},
	{name: "xz", recognise: starts("\xfd7zXZ\x00"), refuse: notRead("xz data", "unpack it with unxz")},
	{name: "LZ4", recognise: starts("\x04\x22\x4d\x18"), refuse: notRead("LZ4 data", "unpack it with unlz4")},
	{name: "compress", recognise: starts("\x1f\x9d"),
		refuse: notRead("data of compress (.Z)", "unpack it with uncompress")},
	{name: "MATLAB", recognise: starts("MATLAB 5.0 MAT-file", "MATLAB 7.3 MAT-file"),
		refuse: notRead("a MATLAB file", "save the array in it with numpy.save, for which scipy.io.loadmat reads it")},
	{name: "HDF5", recognise: starts("\x89HDF"),
		refuse: notRead("an HDF5 file", "save the array in it with numpy.save")},
	{name: "Parquet", recognise: starts("PAR1"),
		refuse: notRead("a Parquet file", "save it as CSV (pandas: read_parquet, to_csv with index=False)")},
	{name: "Arrow", recognise: starts("ARROW1", "FEA1"),
		refuse: notRead("an Arrow or Feather file", "save it as CSV (pandas: read_feather, to_csv with index=False)")},
	{name: "Excel 97", recognise: starts("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"),
		refuse: notRead("an old Office file, such as a workbook of Excel (.xls)", "save the sheet as CSV")},
	{name: "SQLite", recognise: starts("SQLite format 3\x00"),
		refuse: notRead("an SQLite database", "export the table as CSV")},
	{name: "LMDB", recognise: holds(16, "\xde\xc0\xef\xbe"),
		refuse: notRead("an LMDB database, as LSUN comes", "export the pictures with the data set's own script")},
	{name: "safetensors", recognise: isSafetensors,
		refuse: notRead("a safetensors file", "weights are given with -init or -continue, data as NPY")},
	{name: "UTF-16", recognise: starts("\xff\xfe", "\xfe\xff"),
		refuse: notRead("text in UTF-16", "save it as UTF-8")},
	{name: "HTML or XML", recognise: isMarkup, refuse: notRead("a web page or XML", "download the file itself")},
	{name: "CIFAR-10", recognise: isCIFAR, images: openCIFAR, settings: labelledSettings,
		folder: &folderRule{dataSet: "CIFAR-10 batches", training: "data_batch", several: true,
			promised: promisesCIFAR, doubt: hasBadLabel}},
	{name: "CIFAR-100", recognise: isCIFAR100, images: openCIFAR100, settings: append([]string{"label"}, labelledSettings...),
		folder: &folderRule{dataSet: "CIFAR-100 files", training: "train",
			promised: func(string) bool { return false }}}, // train.bin may be of any other program

	{name: "IDX labels", recognise: isIDXBytes(1),
		refuse: notRead("IDX labels (magic 2049)", `give the file of images, whose name has "images-idx3" in it`)},
	{name: "IDX table", recognise: isIDXBytes(2),
		refuse: notRead("an IDX table of bytes (magic 2050)",
			"store the images with 3 dimensions (N, H, W) or 4 (N, H, W, C)")},
	{name: "IDX cut short or of another type", recognise: isIDX, refuse: refuseIDX},
	{name: "STL-10", recognise: isSTL10, refuse: notRead("what has the size of STL-10's binary form, which has no header",
		"read it with numpy.fromfile, reshape(-1, 3, 96, 96) and transpose(0, 3, 2, 1), and save it with numpy.save")},
	{name: "unknown, compressed", recognise: func(f *dataFile) bool { return f.packed.name != "" },
		refuse: refusePacked},
	{name: "CIFAR cut short", recognise: isNamedCIFAR, refuse: refuseCutCIFAR},
	{name: "unknown", recognise: func(*dataFile) bool { return true }, refuse: refuseUnknown},
}

// What errors say that files and folders are expected to hold.
var (
	expectedFile = "expected " + encodingNames("or") + " pictures, IDX images (magic 2051), CIFAR-10 batches (records " +
		"of 3073 bytes), CIFAR-100 (of 3074), NPY or CSV, or one of these in a ZIP or TAR"

	expectedInFolder = "expected " + encodingNames("or") + " pictures, IDX images (such as train-images-idx3-ubyte.gz), " +
		"CIFAR-10 batches (data_batch_1.bin, ...) or CIFAR-100 (train.bin), or one ZIP, TAR, NPY or CSV"
)

// recognise returns the format of a file.
func recognise(f *dataFile) *format {
	for i := range formats {
		if formats[i].recognise(f) {
			return &formats[i]
		}
	}
	panic("dataset: the last format takes any file")
}

// starts recognises content that starts with one of some marks.
func starts(marks ...string) func(f *dataFile) bool {
	return func(f *dataFile) bool {
		for _, mark := range marks {
			if bytes.HasPrefix(f.head, []byte(mark)) {
				return true
			}
		}
		return false
	}
}

// anyOf recognises what any of some functions does.
func anyOf(some ...func(f *dataFile) bool) func(f *dataFile) bool {
	return func(f *dataFile) bool {
		return slices.ContainsFunc(some, func(recognise func(f *dataFile) bool) bool { return recognise(f) })
	}
}

// holds recognises content with a mark at a place.
func holds(at int, mark string) func(f *dataFile) bool {
	return func(f *dataFile) bool { return len(f.head) > at && bytes.HasPrefix(f.head[at:], []byte(mark)) }
}

// isMedia recognises an ISO base media file: the length of its first box, "ftyp" and a brand, one of some; "" is any.
func isMedia(brands ...string) func(f *dataFile) bool {
	return func(f *dataFile) bool {
		return holds(4, "ftyp")(f) && len(f.head) >= 12 &&
			slices.ContainsFunc(brands, func(b string) bool { return b == "" || string(f.head[8:12]) == b })
	}
}

// isAVIF recognises the brand, or it among those that the file is compatible with.
func isAVIF(f *dataFile) bool {
	return isMedia("avif", "avis")(f) ||
		isMedia("mif1", "msf1")(f) && bytes.Contains(f.head[:min(len(f.head), 64)], []byte("avif"))
}

// isSafetensors recognises the length of a header in 8 bytes, and the header, which is JSON.
func isSafetensors(f *dataFile) bool {
	if !holds(8, `{"`)(f) {
		return false
	}
	length := binary.LittleEndian.Uint64(f.head)
	return length <= uint64(f.size) && isText(f.head[8:8+min(length, uint64(len(f.head)-8))], true)
}

// isRIFF recognises a RIFF container, "RIFF", its length in 4 bytes, then the type of what is in it.
func isRIFF(content string) func(f *dataFile) bool {
	return func(f *dataFile) bool {
		return len(f.head) >= 12 && string(f.head[:4]) == "RIFF" && string(f.head[8:12]) == content
	}
}

func isMarkup(f *dataFile) bool { return bytes.HasPrefix(bytes.TrimSpace(f.head), []byte("<")) }

// notRead refuses a format: found is what it is, todo what to do instead.
func notRead(found, todo string) func(f *dataFile) error {
	return func(f *dataFile) error { return refusal(f, found, todo) }
}

func refusal(f *dataFile, found, todo string) error { return &refused{f.path, found, todo} }

// refused is the error for a file of a format that is not read.
type refused struct{ path, found, todo string }

func (r *refused) Error() string {
	return fmt.Sprintf("%s: %s, found %s; %s", r.path, expectedFile, r.found, r.todo)
}

// whatIs says for people what a file is that is no picture, by its start.
func whatIs(name string, head []byte, size int64) string {
	if size == 0 {
		return "empty"
	}
	f := &dataFile{path: name, head: head[:min(len(head), headBytes)], size: size}
	f.whole = int64(len(f.head)) == size
	switch format := recognise(f); {
	case format.name == "table":
		return "text"
	case format.name == "unknown":
		return "of no form that is known"
	case format.refuse != nil:
		var r *refused
		if errors.As(format.refuse(f), &r) {
			return r.found
		}
		return format.name
	default:
		return format.name
	}
}

// otherPicture refuses a picture of another encoding.
func otherPicture(name string) func(f *dataFile) error {
	return notRead(fmt.Sprintf("a picture in %s, neither %s", name, encodingNames("nor")), "convert it to PNG")
}

func refusePacked(f *dataFile) error {
	return refusal(f,
		fmt.Sprintf("%s data whose content starts with % x", f.packed.name, f.head[:min(4, len(f.head))]),
		"unpack it if it is a CIFAR-10 batch")
}

func refuseCutCIFAR(f *dataFile) error {
	return refusal(f,
		fmt.Sprintf("%d bytes, no multiple of %d, that start with % x", f.size, cifarRecord, f.head[:min(4, len(f.head))]),
		"copy or download it again, or give another file")
}

func refuseUnknown(f *dataFile) error {
	return refusal(f,
		fmt.Sprintf("%d bytes of no form that is known, which start with % x", f.size, f.head[:min(4, len(f.head))]),
		"save an array with numpy.save, a table as CSV, pictures as PNG")
}
