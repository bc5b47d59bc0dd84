// Package evalcmd is the command eval: how far samples are from data.
//
//	sigmaz eval RUN|SAMPLES REFERENCE
//
// SAMPLES are data of any kind, or they are drawn from RUN by its default sampler. REFERENCE is data, or a run, which stands
// for the rows that it holds out. The measures are those of package sample/eval. Images are compared as what a network
// makes of them, its features, and vectors as they are.
//
//	eval.go      the command line, and the work from start to end
//	sets.go      where samples, reference and training data come from
//	embed.go     features: the table of networks
//	numbers.go   which measures are taken of what
//	report.go    numbers as text and JSON
//
// Exit codes: 0 done, 1 failed or interrupted, 2 wrong usage, 130 quit by a second Ctrl-C.
package evalcmd
