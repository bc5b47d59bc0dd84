// Package model holds noise ladders, and score networks as Gorgonia graphs with their loss.
//
//	ladder.go     the noise levels sigma_1 > ... > sigma_L; technique2.go chooses how many
//	langevin.go   the rules for settings of Langevin dynamics
//	config.go     what a network is built from, and network.go the table of networks: begin here
//	build.go      a network as a graph: score, loss, gradients
//	mlp.go        the network for vectors, the shortest example of one
//	ncsn.go       the networks for images, made of the blocks of refinenet.go
//	param.go      parameters: their names, and their order in memory and in PyTorch; initial.go their initial values
//	tensors.go    tensors by name, and how a network takes its parameters from them
//	score.go      a score function ready to run, which samplers take
//	describe.go   what a network costs
//
// Below it lie model/graph (layers, differentiation, plans on kernels), model/checkpoint (files with weights),
// model/onnx (the score as a file for other programs) and model/golden (golden files, for tests).
//
// # Convention
//
// Data is x ~ p; x~ = x + sigma z with z ~ N(0, I); a network s(x~, sigma) learns grad log q_sigma(x~), the score of
// the perturbed data. Sigma is a standard deviation per value, in the units of the data. Levels count from 0, the
// largest sigma. N is the rows of a batch, H, W, C an image's height, width and channels, D = H W C a row's values, L
// the levels. Images are (N, H, W, C) and convolutions' weights (Cout, kH, kW, Cin); PyTorch's order is met in files
// alone.
//
// To use a trained network from a program, open its file with model/checkpoint, make a [Score] and run it: see the
// example of [NewScore].
package model
