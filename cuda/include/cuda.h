// Lets gorgonia.org/cu compile with the headers of CUDA 13. This folder stands before CUDA's own on the include path:
//
//	CGO_CFLAGS="-O2 -g -I$PWD/cuda/include -I/usr/local/cuda/include" go build ./cmd/...
//
// CUDA 13 gives five names new arguments, by mapping them to newer symbols of the driver. The older symbols are still
// in every driver; here the names are theirs again. So are two whose arguments are the old ones, but whose newer
// symbols drivers lack that this program still runs with. With older headers nothing is changed.
#include_next <cuda.h>

#if defined(CUDA_VERSION) && CUDA_VERSION >= 13000 && !defined(SIGMAZ_CUDA_H)
#define SIGMAZ_CUDA_H

#undef cuCtxCreate
#undef cuMemAdvise
#undef cuMemPrefetchAsync
#undef cuGraphAddDependencies
#undef cuGraphGetEdges
#undef cuDeviceGetUuid
#undef cuEventElapsedTime
#define cuCtxCreate cuCtxCreate_v2

#ifdef __cplusplus
extern "C" {
#endif
CUresult CUDAAPI cuCtxCreate(CUcontext *context, unsigned int flags, CUdevice device);
CUresult CUDAAPI cuMemAdvise(CUdeviceptr from, size_t bytes, CUmem_advise advice, CUdevice device);
CUresult CUDAAPI cuMemPrefetchAsync(CUdeviceptr from, size_t bytes, CUdevice to, CUstream stream);
CUresult CUDAAPI cuGraphAddDependencies(CUgraph graph, const CUgraphNode *from, const CUgraphNode *to, size_t n);
CUresult CUDAAPI cuGraphGetEdges(CUgraph graph, CUgraphNode *from, CUgraphNode *to, size_t *n);
CUresult CUDAAPI cuDeviceGetUuid(CUuuid *uuid, CUdevice device);
CUresult CUDAAPI cuEventElapsedTime(float *milliseconds, CUevent from, CUevent to);
#ifdef __cplusplus
}
#endif

#endif
