// Package kernels holds every numeric operation of sigmaz: its contract, its plain Go reference, and the backends
// that run lists of operations.
//
// An operation is a value: a struct such as [Conv] or [Perturb] that names the windows of memory it reads and writes
// and the constants it needs. A list of operations is a program. A [Backend] compiles a program once and runs it many
// times: the CPU backend shares it out over goroutines, the CUDA backend captures it as one graph. What changes from
// run to run (the step, the level) lies in memory too, so a compiled program never has to be built again.
//
// # Conventions
//
// The same letters mean the same in all files:
//
//	N        rows (images) of a batch
//	H, W, C  height, width and channels of an image
//	D        values of one image, H*W*C
//	L        noise levels; sigma falls from level 0 to level L-1
//
// Activations are NHWC, weights (Cout, kH, kW, Cin), all float32; convolutions on tensor cores round the factors of
// their products ([TF32]), or read and write bfloat16 ([BF16]; [Element] is what a window holds). A Langevin step of
// size a is x + a s + sqrt(2a) z (the convention of NCSNv2; the paper of 2019 writes a/2 and sqrt(a)).
//
// # Files
//
// The files of an operation carry its name, or that of its family:
//
//	conv.go       contract (formula, shapes, what may overlap, source) and plain Go reference, always compiled
//	conv_cpu.go   method lower: how the CPU runs it on the assembly of internal/vec
//	conv_cuda.go  method launch: how its CUDA kernels are launched
//	conv.cu       the CUDA kernels; go generate compiles them to ptx/conv.ptx, which is embedded, and writes
//	              cuda_launches.go, a launch function for each
//
// (conv_tensor.go, conv_tensor_cuda.go and conv_tensor.cu are the convolution on tensor cores.)
//
// cuda_fuse.go fuses element-wise operations into the kernels before them, whose part of it is epilogue.cuh; cuda_absorb.go
// lets a kernel do another operation on the way; cuda_count.go counts what launches move and compute.
//
// ops.go lists all operations, and a test holds every one of them to a lowering, a launch, cases in package kerneltest
// and a check of its gradient.
//
// Begin with kernels.go ([Buf], [Op], [Backend]), element.go and a small family, sum.go; then cpu.go and cuda.go for how programs
// run.
package kernels

//go:generate go run ./internal/ptxgen
//go:generate go run ./internal/launchgen
