// Package philox makes random numbers that are a function of a key and a counter, in plain Go: Philox4x32-10 (Salmon
// et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011), and normals from its words by Box-Muller.
//
// It is the reference of the assembly in package vec and of the CUDA kernels, which give the same bits. To that end
// every product is rounded before it is added, as in float32(a*b) + c: without the conversion Go may fuse the two.
//
// Begin reading at [Words], which everything else is made of.
package philox
