// Package digits is a small classifier of grey images of 28x28 whose last hidden layer is the features of KID-digits. It is
// trained by this project on MNIST, so that nobody need trust its weights: weights.f16 is made again, to the bit on one
// instruction set, by
//
//	go run -tags nocuda ./cmd/internal/digitstrain -data FOLDER
//
// Begin with [New].
package digits
