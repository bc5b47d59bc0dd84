// Package dataset reads or makes the data that a network is trained on.
//
//	made from a seed   digits drawn from fonts (glyphs), points in the plane (toy:NAME)
//	files of images    IDX (MNIST, Fashion-MNIST), CIFAR-10, CIFAR-100, NPY; also in ZIP and TAR archives, such as NPZ
//	pictures           PNG, JPEG and WebP: named one by one, in folders, in archives
//	vectors            tables of numbers (CSV), NPY; also in archives
//
// Begin with [Source.Open]: it takes a specification (see [Spec]) and [Settings], and returns a [Set]. Images become
// bytes (N, H, W, C) and vectors float32 (N, C), the form that package kernels reads. From there,
//
//	spec.go       reads the specification
//	inputs.go     opens what it names; all of it must hold data of one kind
//	formats.go    lists the formats: how each is recognised, and the function that opens it
//	images.go, pictures.go, vectors.go    read the data of each kind, whatever the format
//	text.go, numbers.go, table.go    read the lines, the numbers and the rows of a table
//	columns.go, encoding.go, missing.go    tell numbers from words, make coordinates of a column, and stand in for missing cells
//	cache.go      keeps decoded pixels in a file, which is mapped into memory
//
// To add a format, write one file with its reader and add one row to the table in formats.go. To add an encoding of
// pictures, beside PNG, JPEG and WebP, add one row to the table in encodings.go.
//
// Errors are one sentence: the file, what was expected, what was found, what to do. A setting at fault is a
// [*setting.Error], which names it by its key, such as "size"; other settings stand between backquotes, see package
// setting.
//
// Data that is made is a function of the seed alone: the bits are the same on every machine and with any number of
// processors. So every product is rounded before it is added (float64(a*b) + c), which keeps compilers from fusing the
// two, and sine and cosine are computed here.
package dataset
