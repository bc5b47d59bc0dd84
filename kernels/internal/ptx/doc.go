// Package ptx reads PTX, the text that NVIDIA's drivers compile. [Entries] lists the kernels of a file with their
// parameters, for those who launch them.
package ptx
