// Ptxgen compiles the CUDA kernels, kernels/*.cu, to kernels/ptx/*.ptx:
//
//	go generate -run ptxgen ./kernels
//
// It needs nvcc of CUDA 11.8 (or $NVCC), because every driver since 520 takes the PTX of that version. The PTX is
// committed, so that building and running need no nvcc.
//
// The PTX has no comments and no paths of source files, so that it changes when the code does. Its first line is the
// SHA-256 of the sources, by which a test without nvcc finds a stale file.
//
// Begin reading at generate.
package main
