// Package layers is what the networks that make features of images are built of: convolutions, pooling and scaling on the
// CPU, forward only, in NHWC, and their weights from the files of other programs.
//
//	conv.go       Conv: a convolution with its bias and activation, as a matrix product
//	pool.go       MaxPool and MeanPool
//	resize.go     Resampler: bilinear scaling, with and without a filter against aliases
//	weights.go    Reader: weights by name, batch norm folded in
//
// Nothing here starts a goroutine: callers share out images. The bits of an image do not depend on the others.
package layers
