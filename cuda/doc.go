// Package cuda drives one NVIDIA GPU: device memory, kernels from PTX, and graphs of launches that are captured once
// and launched again and again.
//
// Begin reading at [Open]. A [Device] allocates a [Buffer], loads a [Module] of PTX and finds a [Function] in it;
// [Device.Launch] queues one run of that with its [Args], and [Device.Capture] makes a [Graph] of many launches.
//
//	d, err := cuda.Open(0)
//	x, err := d.Alloc(4*n, "x")
//	m, err := d.Load("sum", ptx)
//	fill, err := m.Function("fill")
//	err = d.Launch(fill, grid, block, 0, cuda.NewArgs().Ptr(x.Addr()).F32(1).U64(n))
//	err = x.Read(dst, 0)
//
// One operating system thread makes all driver calls of a device, and all work goes to one stream: launches run in the
// order in which they were made. Launching returns at once; reading and writing memory waits.
//
// The package stands on gorgonia.org/cu. What that lacks is in driver.c: stream capture and graph launches, pinned
// memory, function attributes.
//
// Built with -tags nocuda, or without cgo, the package has the same exported names, every call returns [ErrNotBuilt],
// and no CUDA library is linked. Built with CUDA, a program starts on any machine that has a libcuda.so.1, with or
// without a GPU; [Available] tells whether there is one.
package cuda
