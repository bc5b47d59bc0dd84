// Package vec holds the building blocks of the CPU backend: convolutions, matrix products, activations, norms, column sums,
// pools, weighted sums of rows, random numbers and Adam on plain []float32, single-threaded and one image a call;
// Winograd's convolutions take several images.
//
// Every block exists in plain Go, always compiled, and for amd64 in assembly for AVX2 with FMA and for AVX-512 (F, VL,
// BW, DQ), picked when the program starts; [ISA] says which. The assembly is written by the generator in gen, which go
// generate runs; its output is committed.
//
// Activations are NHWC, rows of C channels; weights are (Cout, kH, kW, Cin). Every call is a pure function of its
// arguments: the order of each sum depends on the shape of one image and on the instruction set, on nothing else. An
// instruction set may round differently from another, except where a block says otherwise: random numbers, Adam and the maps
// and sums of the loss have the bits of plain Go on all of them.
//
// A goroutine inside assembly cannot be preempted, so that the garbage collector would have to wait for it: the Go side
// of every block loops over pieces that take a few microseconds each.
package vec

//go:generate go run ./gen -part conv -dispatch conv_dispatch -out conv_amd64.s -stubs conv_stubs_amd64.go -pkg vec
//go:generate go run ./gen -part wino -dispatch wino_dispatch -out wino_amd64.s -stubs wino_stubs_amd64.go -pkg vec
//go:generate go run ./gen -part elementwise -dispatch elementwise_dispatch -out elementwise_amd64.s -stubs elementwise_stubs_amd64.go -pkg vec
//go:generate go run ./gen -part columns -dispatch columns_dispatch -out columns_amd64.s -stubs columns_stubs_amd64.go -pkg vec
//go:generate go run ./gen -part matmul -dispatch matmul_dispatch -out matmul_amd64.s -stubs matmul_stubs_amd64.go -pkg vec
//go:generate go run ./gen -part peak -dispatch peak_dispatch -out peak_amd64.s -stubs peak_stubs_amd64.go -pkg vec
//go:generate go run ./gen -part pool -dispatch pool_dispatch -out pool_amd64.s -stubs pool_stubs_amd64.go -pkg vec
//go:generate go run ./gen -part noise -dispatch noise_dispatch -out noise_amd64.s -stubs noise_stubs_amd64.go -pkg vec
//go:generate go run ./gen -part adam -dispatch adam_dispatch -out adam_amd64.s -stubs adam_stubs_amd64.go -pkg vec
//go:generate go run ./gen -part taps -dispatch taps_dispatch -out taps_amd64.s -stubs taps_stubs_amd64.go -pkg vec
