// Launchgen writes kernels/cuda_launches.go: for every CUDA kernel a struct of its parameters and a method that
// launches it. It reads kernels/*.cu and needs no nvcc:
//
//	go generate -run launchgen ./kernels
//
// A kernel
//
//	extern "C" __global__ void fill(float *dst, float value, u64 n)
//
// becomes
//
//	type fillArgs struct { dst pointer; value float32; n uint64 }
//	func (l *launcher) fill(grid gridDim, block blockDim, a fillArgs)
//
// so an argument of the wrong type does not compile, and every argument stands beside its parameter's name.
//
// A kernel add_bf16 that takes some float of kernel add in bf16 is its twin. They share struct and method, which picks
// the one for what its windows hold.
//
// Tests check what the compiler cannot: the Go file is fresh, each launch names all parameters, and the PTX takes
// parameters of the same number and sizes. The last is checked again whenever a device is opened.
//
// Begin reading at parse, which reads a .cu file, and go on with generate, which writes Go.
package main
