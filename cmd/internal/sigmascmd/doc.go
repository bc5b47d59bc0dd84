// Package sigmascmd is the command sigmas: it looks at a data set and chooses the noise of a training on it: the ends
// of the ladder, the number of levels, T and epsilon of annealed Langevin dynamics.
//
//	sigmaz sigmas DATA [flags]
//
// It prints a line for each choice and what it rests on, and ends with the flags that train takes; -yaml writes them
// as a file for train -config, -json with all numbers, -picture two pictures.
//
// Begin reading at look in sigmas.go. design.go chooses, report.go prints, cost.go measures the network, picture.go
// draws.
//
// Exit codes: 0 done; 1 failed, or a plan that is not stable was asked for; 2 wrong usage; 130 interrupted.
package sigmascmd
