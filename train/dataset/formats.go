// The formats: how each kind of file is recognised, and the function that opens it. To add one, write its reader in a
// file of its own and add a row here.

package dataset

import (
	"bytes"
	"fmt"
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
	imageSettings = []string{"crop", "size", "channels"}
	tableSettings = []string{"standardize", "columns", "header"}
)

// formats are all formats, in the order in which a file is compared with them; the last takes any file. CIFAR-10 has
// no mark of its own but the size of its records, so it comes after all that have one.
var formats = []format{
	{name: "IDX", recognise: isIDXImages, images: openIDX, settings: imageSettings,
		folder: &folderRule{dataSet: "IDX images", training: "train", promised: promisesIDX}},
	{name: "NPY", recognise: isNPY(1, 2), vectors: readNPYVectors, settings: []string{"standardize"}, folder: alone},
	{name: "NPY of images with channels", recognise: isNPY(4),
		images: openNPY, settings: append([]string{"layout"}, imageSettings...), folder: alone},
	{name: "NPY of images", recognise: isNPY(3, unreadableNPY),
		images: openNPY, settings: imageSettings, folder: alone},
	{name: "NPY of other dimensions", recognise: starts("\x93NUMPY"), refuse: refuseNPY, folder: alone},
	{name: "ZIP", recognise: starts("PK\x03\x04", "PK\x05\x06", "PK\x07\x08"),
		pictures: openZIP, settings: imageSettings, folder: alone},
	{name: "TAR", recognise: isTAR, pictures: openTAR, settings: imageSettings, folder: alone},
	{name: "picture", recognise: isPictureFile, pictures: openPicture, settings: imageSettings},
	{name: "7-Zip or RAR", recognise: starts("7z\xbc\xaf", "Rar!\x1a"),
		refuse: notRead("an archive of 7-Zip or RAR", "unpack it and give the folder")},
	{name: "JSON", recognise: isJSON, refuse: notRead("JSON", "save the numbers in it as CSV or with numpy.save")},
	{name: "UTF-32", recognise: starts("\xff\xfe\x00\x00", "\x00\x00\xfe\xff"),
		refuse: notRead("text in UTF-32", "save it as UTF-8")},
	{name: "table", recognise: isTable, vectors: readTable, settings: tableSettings,
		folder: &folderRule{endings: []string{".csv", ".tsv"}}},
	{name: "CIFAR-10", recognise: isCIFAR, images: openCIFAR, settings: imageSettings,
		folder: &folderRule{dataSet: "CIFAR-10 batches", training: "data_batch", several: true,
			promised: promisesCIFAR, doubt: hasBadLabel}},

	{name: "IDX labels", recognise: isIDXBytes(1),
		refuse: notRead("IDX labels (magic 2049)", `give the file of images, whose name has "images-idx3" in it`)},
	{name: "IDX table", recognise: isIDXBytes(2),
		refuse: notRead("an IDX table of bytes (magic 2050)",
			"store the images with 3 dimensions (N, H, W) or 4 (N, H, W, C)")},
	{name: "IDX cut short or of another type", recognise: isIDX, refuse: refuseIDX},
	{name: "Python pickle", recognise: starts("\x80\x02", "\x80\x03", "\x80\x04", "\x80\x05"),
		refuse: notRead("a Python pickle", "give the binary version of the data set, or save the array with numpy.save")},
	{name: "GIF, BMP or TIFF", recognise: starts("GIF8", "BM", "II*\x00", "MM\x00*"), refuse: otherPicture},
	{name: "WebP", recognise: isRIFF("WEBP"), refuse: otherPicture},
	{name: "Zstandard", recognise: starts("\x28\xb5\x2f\xfd"),
		refuse: notRead("Zstandard data", "unpack it with unzstd")},
	{name: "xz", recognise: starts("\xfd7zXZ\x00"), refuse: notRead("xz data", "unpack it with unxz")},
	{name: "HDF5", recognise: starts("\x89HDF"),
		refuse: notRead("an HDF5 file", "save the array in it with numpy.save")},
	{name: "UTF-16", recognise: starts("\xff\xfe", "\xfe\xff"),
		refuse: notRead("text in UTF-16", "save it as UTF-8")},
	{name: "HTML or XML", recognise: isMarkup, refuse: notRead("a web page or XML", "download the file itself")},
	{name: "unknown, compressed", recognise: func(f *dataFile) bool { return f.packed.name != "" },
		refuse: refusePacked},
	{name: "unknown", recognise: func(*dataFile) bool { return true }, refuse: refuseUnknown},
}

// What errors say that files and folders are expected to hold.
var (
	expectedFile = "expected " + encodingNames("or") + " pictures, a ZIP or TAR of them, IDX images (magic 2051), " +
		"CIFAR-10 batches (records of 3073 bytes), NPY or CSV"

	expectedInFolder = "expected " + encodingNames("or") + " pictures, IDX images (such as train-images-idx3-ubyte.gz), " +
		"CIFAR-10 batches (data_batch_1.bin, ...), or one ZIP, TAR, NPY or CSV"
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

func refusal(f *dataFile, found, todo string) error {
	return fmt.Errorf("%s: %s, found %s; %s", f.path, expectedFile, found, todo)
}

var otherPicture = notRead("a picture that is neither "+encodingNames("nor"), "convert it to PNG")

func refusePacked(f *dataFile) error {
	return refusal(f,
		fmt.Sprintf("%s data whose content starts with % x", f.packed.name, f.head[:min(4, len(f.head))]),
		"unpack it if it is a CIFAR-10 batch")
}

func refuseUnknown(f *dataFile) error {
	return refusal(f,
		fmt.Sprintf("%d bytes, no multiple of %d, that start with % x", f.size, cifarRecord, f.head[:min(4, len(f.head))]),
		"copy or download it again, or give another file")
}
