// Package vec holds the building blocks of the CPU backend on plain []float32: convolutions, matrix products,
// activations, norms, column sums, pools, weighted sums of rows, random numbers and Adam. A call is single-threaded
// and takes one image; only Winograd's convolutions take several.
//
// Begin reading at [ELU], the simplest block: it checks lengths, and calls either plain Go or, piece by piece,
// assembly. The largest are [Conv] (direct convolution) and [Wino] (3x3 convolution by Winograd's method).
//
// Every block exists in plain Go, which is always compiled, and for amd64 in assembly for two instruction sets, AVX2
// with FMA and AVX-512 (F, VL, BW, DQ). The program picks the widest when it starts; [ISA] says which. In the names of
// files,
//
//	X.go                    contract, checks, loop over pieces
//	X_go.go                 plain Go, where X.go does not have it
//	X_amd64.s               assembly, written by gen (go generate)
//	X_stubs_amd64.go        its Go declarations, written by gen
//	X_dispatch_amd64.go     the choice between the instruction sets, written by gen
//	X_dispatch_other.go     the same names for other machines, never called
//
// Activations are NHWC, that is rows of C channels; weights are (Cout, kH, kW, Cin). Every call is a pure function of
// its arguments: the order of each sum depends on the shape of one image and on the instruction set, on nothing else.
// Two instruction sets may round differently. Random numbers, Adam and the maps and sums of the loss do not: they have
// the bits of plain Go on all of them.
//
// A goroutine cannot be preempted inside assembly, and the garbage collector would have to wait for it. So the Go side
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
//go:generate go run ./gen -part softmax -dispatch softmax_dispatch -out softmax_amd64.s -stubs softmax_stubs_amd64.go -pkg vec
