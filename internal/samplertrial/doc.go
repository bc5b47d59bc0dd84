// Command samplertrial compares samplers on one trained network: how far their samples are from images that the network
// has not seen, and how much noise is left in them.
//
//	go build -tags nocuda -o sigmaz ./cmd/sigmaz
//	./sigmaz train
//	go run -tags nocuda ./internal/samplertrial -bin ./sigmaz -run runs/glyphs-1 -out trial
//
// It draws by the program itself, into the folder of -out, and prints a table in Markdown with a row for each sampler
// and one for images of the training data, which is the floor: no sampler can be expected below it. A sampler whose
// samples lie in the folder already is not run again. With -picture it also writes the first 64 samples of each side
// by side.
//
// distances.go has what is measured.
package main
