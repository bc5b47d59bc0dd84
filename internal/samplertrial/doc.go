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
// by side. Several runs of one data set may be named, with commas between: each has its rows, and its folder in -out.
//
// With -vectors it does the same for vectors, from the training on: the toys, whose law is known, and a table of ten
// columns that it makes (law.go), three runs of each with the program's own settings. It prints a table for each
// distance with a column for each set: the mean over the runs, its standard error by the groups of samples, and in
// brackets the lowest and the highest run. The first row is that of draws which are as fresh as those that all are
// compared with.
//
//	go run -tags nocuda ./internal/samplertrial -vectors -bin ./sigmaz -out trial-vectors
//
// distances.go has what is measured, pairs.go what is measured of vectors by all pairs.
package main
