// Command killtest kills trainings and compares what goes on from there with a training that was never killed, to the
// bit. It needs Linux.
//
//	go build -tags nocuda -o BIN ./cmd/...
//	go run ./internal/killtest -bin BIN
//
// A small training is killed at random moments, some of them once more while it goes on, and then at each system call
// by which it changes a file: its start, its checkpoints and previews, its end. After each kill the run is gone on with
// or, where that is refused, begun again under its name. It prints
//
//	killed      how often a training was killed; it may have ended before
//	equal       runs whose checkpoints, pictures and metrics are those of the unbroken one
//	differing   runs where they are not
//	dead        folders that are neither gone on with nor begun again
//
// and fails unless the last two are 0.
package main
