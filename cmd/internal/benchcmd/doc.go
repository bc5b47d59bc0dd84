// Package benchcmd is the command bench: it measures how fast a device trains, samples and moves memory.
//
//	sigmaz bench          on the CPU
//	sigmaz bench -gpu     on a GPU
//	sigmaz bench -h       every flag
//
// Results are checked first: every kernel that is measured, a training step and a score against the plain Go
// reference, at sizes that the reference can do. A wrong one ends the command. Then, each number the median of
// several repetitions, with the one furthest from it:
//
//	memory       perturb, the update of Langevin dynamics and copies where no cache holds the data
//	training     whole steps of NCSNv2: perturbation, forward, loss, backward, Adam, moving average
//	sampling     steps of annealed Langevin dynamics: one evaluation of the network and one update for each image
//	kernels      each kernel of a training step of the largest network measured, by itself: the bytes that it must read
//	             and write, or its FLOP, and its percentage of the time of all of them
//	convolution  the shapes of the largest network measured: forward, gradients of the input and of the weights
//	distances    all pairs of rows of a data set, on the CPU
//	tune         with -tables tune, on a GPU: the tiles and parts that the convolution with most work may be shared out
//	             in, and whether the rule chooses the fastest
//
// FLOP are the multiply-adds of the convolutions, twice; a backward pass counts as two forward ones. The memory
// column is the arena and the working memory beside it. Percentages behind rates are of a peak measured in the same
// run: FLOP/s of the fused multiply-adds of all cores used, B/s of their memory (on a GPU, its driver's copy). More
// than 100 % is no mistake: Winograd's convolutions need fewer multiplications than are counted, and caches are faster
// than memory.
//
// Begin reading at measure in bench.go; measure.go has the stopwatch, table.go the tables, check.go the check.
//
// Exit codes: 0 done, 1 failed, 2 wrong usage.
package benchcmd
