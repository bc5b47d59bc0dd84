// CIFAR-10's binary version (https://www.cs.toronto.edu/~kriz/cifar.html): records of 3073 bytes and nothing else,
//
//	1      the label, 0 to 9, which is not used
//	1024   red, row by row, of 32x32 pixels
//	1024   green
//	1024   blue

package dataset

import (
	"fmt"
	"io"
	"strings"
)

const (
	cifarSide   = 32
	cifarPlane  = cifarSide * cifarSide
	cifarRecord = 1 + 3*cifarPlane
	cifarLabels = 10
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

// openCIFAR reads a batch. The planes of colours become pixels.
func openCIFAR(f *dataFile, _ Settings) (*imageFile, error) {
	a := &imageFile{dataFile: f, what: "CIFAR-10", n: int(f.size / cifarRecord), h: cifarSide, w: cifarSide, c: 3}
	var record [cifarRecord]byte
	i := 0
	a.next = func(image []byte) error {
		if _, err := io.ReadFull(f.r, record[:]); err != nil {
			return f.damaged(err)
		}
		if record[0] >= cifarLabels {
			return fmt.Errorf("%s: expected CIFAR-10 records, each with a label 0 to 9, found label %d in record %d; "+
				"give IDX images or the binary version of CIFAR-10", f.path, record[0], i)
		}
		i++
		interleave(image, record[1:], 3)
		return nil
	}
	return a, nil
}
