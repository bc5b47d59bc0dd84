//go:build cgo && !nocuda

// A cuInit that stands before the driver's, and the driver calls that gorgonia.org/cu lacks.
//
// The package cu calls cuInit when it is initialised, and ends the process if no device answers: a program that
// imports it could never fall back to the CPU. So the program defines a cuInit of its own, which the dynamic linker
// finds before the driver's. It calls the driver's, keeps the result for Go to ask for, and always returns success.
#define _GNU_SOURCE
#include "driver.h"

#include <cuda.h>
#include <dlfcn.h>

static int init_result = -1;

CUresult CUDAAPI cuInit(unsigned int flags) {
	CUresult(CUDAAPI *init)(unsigned int) = (CUresult(CUDAAPI *)(unsigned int))dlsym(RTLD_NEXT, "cuInit");
	init_result = init ? init(flags) : CUDA_ERROR_SHARED_OBJECT_SYMBOL_NOT_FOUND;
	return CUDA_SUCCESS;
}

int sigmaz_init_result(void) { return init_result; }

const char *sigmaz_error_name(int result) {
	const char *s = NULL;
	return cuGetErrorName((CUresult)result, &s) == CUDA_SUCCESS ? s : NULL;
}

const char *sigmaz_error_string(int result) {
	const char *s = NULL;
	return cuGetErrorString((CUresult)result, &s) == CUDA_SUCCESS ? s : NULL;
}

int sigmaz_host_alloc(size_t bytes, void **host, uint64_t *device) {
	CUresult r = cuMemAllocHost(host, bytes);
	if (r != CUDA_SUCCESS)
		return r;
	CUdeviceptr p = 0;
	r = cuMemHostGetDevicePointer(&p, *host, 0);
	if (r != CUDA_SUCCESS)
		cuMemFreeHost(*host);
	*device = p;
	return r;
}

void *sigmaz_context(void) {
	CUcontext c = NULL;
	cuCtxGetCurrent(&c);
	return c;
}

int sigmaz_event_wait(void *context, void *event) {
	CUresult r = cuCtxPushCurrent((CUcontext)context);
	if (r != CUDA_SUCCESS)
		return r;
	r = cuEventSynchronize((CUevent)event);
	CUcontext c;
	cuCtxPopCurrent(&c);
	return r;
}

int sigmaz_launch(void *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
    unsigned shared, void *stream, uint64_t *cells, int n) {
	void *params[n + 1]; // an array has one element at least
	for (int i = 0; i < n; i++)
		params[i] = &cells[i];
	return cuLaunchKernel((CUfunction)function, gx, gy, gz, bx, by, bz, shared, (CUstream)stream, params, NULL);
}

int sigmaz_set_dynamic_shared(void *function, int bytes) {
	return cuFuncSetAttribute((CUfunction)function, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, bytes);
}

int sigmaz_capture_begin(void *stream) {
	return cuStreamBeginCapture((CUstream)stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
}

int sigmaz_capture_end(void *stream, void **graph) { return cuStreamEndCapture((CUstream)stream, (CUgraph *)graph); }

int sigmaz_graph_instantiate(void *graph, void **exec) {
	// cuGraphInstantiate itself has other arguments in CUDA 11 than in 12; this one is the same in both.
	return cuGraphInstantiateWithFlags((CUgraphExec *)exec, (CUgraph)graph, 0);
}

int sigmaz_graph_launch(void *exec, void *stream) { return cuGraphLaunch((CUgraphExec)exec, (CUstream)stream); }

int sigmaz_graph_destroy(void *graph) { return cuGraphDestroy((CUgraph)graph); }

int sigmaz_exec_destroy(void *exec) { return cuGraphExecDestroy((CUgraphExec)exec); }
