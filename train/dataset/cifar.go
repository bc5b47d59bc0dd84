// CIFAR-10's binary version (https://www.cs.toronto.edu/~kriz/cifar.html): records of 3073 bytes and nothing else.
// Those of CIFAR-100 have two labels, the coarse one of 20 and the fine one of 100, and 3074 bytes.
//
//	1      the label, 0 to 9, see labels.go
//	1024   red, row by row, of 32x32 pixels
//	1024   green
//	1024   blue

package dataset

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"sigmaz/internal/setting"
)

const (
	cifarSide   = 32
	cifarPlane  = cifarSide * cifarSide
	cifarRecord = 1 + 3*cifarPlane
	cifarLabels = 10

	cifar100Record = 2 + 3*cifarPlane
	cifar100Coarse = 20
	cifar100Labels = 100
)

// isWholeCIFAR tells whether the size of the file is one of whole records.
func isWholeCIFAR(f *dataFile) bool { return f.packed.name == "" && f.size%cifarRecord == 0 }

// isCIFAR recognises a batch by its size alone: it has no other mark. IDX files of such a size that are what their own
// header says are no batches.
func isCIFAR(f *dataFile) bool {
	h, idx := parseIDX(f)
	return isWholeCIFAR(f) && !(idx && h.fits(f))
}

// hasBadLabel tells whether the first record has a label that there is none of.
func hasBadLabel(f *dataFile) bool { return f.head[0] >= cifarLabels }

// promisesCIFAR tells whether a file is named as the batches of training images are.
func promisesCIFAR(name string) bool { return strings.HasPrefix(name, "data_batch") }

// isNamedCIFAR recognises a batch, which may be cut short, by the name of the file.
func isNamedCIFAR(f *dataFile) bool { return promisesCIFAR(strings.ToLower(filepath.Base(f.path))) }

// openCIFAR reads a batch.
func openCIFAR(f *dataFile, set Settings) (*imageFile, error) {
	var names []string
	if set.Labelled() {
		names = cifarNames(f, "batches.meta.txt", cifarLabels)
	}
	return readRecords(f, "CIFAR-10", names, 0, func(labels []byte) error {
		if labels[0] >= cifarLabels {
			return fmt.Errorf("label %d", labels[0])
		}
		return nil
	}, "expected CIFAR-10 records, each with a label 0 to 9", 1)
}

// isCIFAR100 recognises a file by its size and the labels of its first record.
func isCIFAR100(f *dataFile) bool {
	return f.packed.name == "" && f.size%cifar100Record == 0 && len(f.head) > 1 && checkLabels100(f.head) == nil
}

func checkLabels100(labels []byte) error {
	if labels[0] >= cifar100Coarse || labels[1] >= cifar100Labels {
		return fmt.Errorf("labels %d and %d", labels[0], labels[1])
	}
	return nil
}

// openCIFAR100 reads a file of CIFAR-100.
func openCIFAR100(f *dataFile, set Settings) (*imageFile, error) {
	var names []string
	which := 1
	switch {
	case set.Label == "coarse":
		which, names = 0, cifarNames(f, "coarse_label_names.txt", cifar100Coarse)
	case set.Label != "" && set.Label != "fine":
		return nil, setting.Errorf("label", "is %q, and %s is CIFAR-100: expected fine, which are its 100 classes, or coarse, 20",
			set.Label, f.path)
	case set.Labelled():
		names = cifarNames(f, "fine_label_names.txt", cifar100Labels)
	}
	return readRecords(f, "CIFAR-100", names, which, checkLabels100,
		"expected CIFAR-100 records, each with labels 0 to 19 and 0 to 99", 2)
}

// readRecords reads records of some labels and an image. The planes of colours become pixels. names are those of the
// classes that one of the labels says, which says the number of; nil where they are not asked for.
func readRecords(f *dataFile, what string, names []string, which int, check func(labels []byte) error, expected string,
	labels int) (*imageFile, error) {
	record := make([]byte, labels+3*cifarPlane)
	a := &imageFile{dataFile: f, what: what, n: int(f.size / int64(len(record))), h: cifarSide, w: cifarSide, c: 3}
	if names != nil {
		a.label = func(int) string { return names[record[which]] }
	}
	i := 0
	a.next = func(image []byte) error {
		if _, err := io.ReadFull(f.r, record); err != nil {
			return f.damaged(err)
		}
		if err := check(record[:labels]); err != nil {
			return fmt.Errorf("%s: %s, found %w in record %d; give IDX images or the binary version of %s", f.path, expected,
				err, i, what)
		}
		i++
		interleave(image, record[labels:], 3)
		return nil
	}
	return a, nil
}

// isSTL10 recognises STL-10's binary form (https://cs.stanford.edu/~acoates/stl10) by its size and its name: images of
// 3 planes of 96x96 bytes, column by column.
func isSTL10(f *dataFile) bool {
	return f.packed.name == "" && f.size%(3*96*96) == 0 &&
		strings.HasSuffix(strings.ToLower(strings.TrimSuffix(f.path, ".bin")), "_x")
}
