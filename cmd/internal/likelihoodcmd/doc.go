// Package likelihoodcmd is the command likelihood: how probable data is under a trained network that is told sigma.
//
//	sigmaz likelihood RUN DATA
//
// It integrates the probability flow ODE from each row of DATA up to sigma_1, as package sample says, and prints the mean log
// density in nats, in the data's own units, with its standard errors. DATA is read as the run read its own, and columns are
// standardised as the run's were. Of the run's own data the held-out rows are taken where it has some.
//
// Begin reading at likelihood in likelihood.go.
//
// Exit codes: 0 done, 1 failed or interrupted, 2 wrong usage, 130 quit by a second Ctrl-C.
package likelihoodcmd
