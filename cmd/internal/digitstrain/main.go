// Command digitstrain makes sample/eval/digits/weights.f16, the weights of KID-digits, again:
//
//	go run -tags nocuda ./cmd/internal/digitstrain -data FOLDER
//
// FOLDER holds MNIST's four IDX files, plain or with gzip. It prints the loss of each epoch, which part of the test images
// the network tells apart, and the SHA-256 of the weights.
package main

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"sigmaz/internal/atomicfile"
	"sigmaz/kernels"
	"sigmaz/sample/eval/digits"
)

func main() {
	data := flag.String("data", "", "folder with MNIST")
	out := flag.String("o", filepath.Join("sample", "eval", "digits", "weights.f16"), "file to write")
	workers := flag.Int("workers", 0, "worker goroutines, which change no bit; 0: one a core")
	flag.Parse()
	if err := run(*data, *out, *workers); err != nil {
		fmt.Fprintln(os.Stderr, "digitstrain:", err)
		os.Exit(1)
	}
}

func run(data, out string, workers int) error {
	if data == "" {
		return errors.New("-data is missing: expected a folder with MNIST's four IDX files")
	}
	images, labels, err := read(data, "train")
	if err != nil {
		return err
	}
	testImages, testLabels, err := read(data, "t10k")
	if err != nil {
		return err
	}
	b := kernels.NewCPU(workers)
	defer b.Close()
	s := digits.Default()
	fmt.Printf("%+v, %d parameters, %.2g multiply-adds an image, on %s\n", s, digits.Parameters(), float64(digits.MACs()), b.Name())
	start := time.Now()
	w, err := digits.Train(b, s, images, labels, func(epoch int, loss float64) error {
		fmt.Printf("epoch %d: loss %.4f, %s\n", epoch, loss, time.Since(start).Round(time.Second))
		return nil
	})
	if err != nil {
		return err
	}
	file := digits.Encode(w)
	if err := atomicfile.WriteFile(out, func(w io.Writer) error { _, err := w.Write(file); return err }); err != nil {
		return err
	}
	net, err := digits.New(b, 100, digits.Decode(file))
	if err != nil {
		return err
	}
	_, logits, err := net.Run(testImages)
	if err != nil {
		return err
	}
	right := 0
	for i, label := range testLabels {
		if digits.Class(logits[i*digits.Classes:(i+1)*digits.Classes]) == int(label) {
			right++
		}
	}
	fmt.Printf("%s: %d bytes, SHA-256 %x\n", out, len(file), sha256.Sum256(file))
	fmt.Printf("%.2f %% of %d test images are told apart\n", 100*float64(right)/float64(len(testLabels)), len(testLabels))
	return nil
}

// read reads images and labels of a part of MNIST, "train" or "t10k".
func read(dir, part string) (images, labels []byte, err error) {
	if images, err = readIDX(filepath.Join(dir, part+"-images-idx3-ubyte"), 3); err != nil {
		return nil, nil, err
	}
	labels, err = readIDX(filepath.Join(dir, part+"-labels-idx1-ubyte"), 1)
	return images, labels, err
}

// readIDX reads the values of an IDX file of bytes with so many dimensions, plain or with gzip.
func readIDX(path string, dims int) ([]byte, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		path += ".gz"
		b, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, err
	}
	if bytes.HasPrefix(b, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(bytes.NewReader(b))
		if err == nil {
			b, err = io.ReadAll(z)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	head := 4 + 4*dims
	if len(b) < head || binary.BigEndian.Uint32(b) != 0x800|uint32(dims) {
		return nil, fmt.Errorf("%s is no IDX file of bytes in %d dimensions", path, dims)
	}
	n := 1
	for i := range dims {
		n *= int(binary.BigEndian.Uint32(b[4+4*i:]))
	}
	if len(b)-head != n {
		return nil, fmt.Errorf("%s holds %d values, its header says %d", path, len(b)-head, n)
	}
	return b[head:], nil
}
