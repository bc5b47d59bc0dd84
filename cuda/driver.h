//go:build cgo && !nocuda

// The driver calls that gorgonia.org/cu lacks, in plain types, so that no CUDA type crosses to Go. Each returns a
// CUresult. They are defined in driver.c.
#ifndef SIGMAZ_CUDA_DRIVER_H
#define SIGMAZ_CUDA_DRIVER_H

#include <stddef.h>
#include <stdint.h>

// The result of the real cuInit; -1 before it was called.
int sigmaz_init_result(void);

// The driver's name for a CUresult, and its words for it; NULL if it has none.
const char *sigmaz_error_name(int result);
const char *sigmaz_error_string(int result);

// Allocates pinned host memory. The host finds it at *host, the device at *device.
int sigmaz_host_alloc(size_t bytes, void **host, uint64_t *device);

// The calling thread's current context.
void *sigmaz_context(void);

// Waits until an event has passed, on any thread, whose current context stays what it was.
int sigmaz_event_wait(void *context, void *event);

// Queues one run of a function, whose n arguments lie in a cell of 8 bytes each.
int sigmaz_launch(void *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
    unsigned shared, void *stream, uint64_t *cells, int n);

// Sets the most dynamic shared memory that a launch of the function may ask for.
int sigmaz_set_dynamic_shared(void *function, int bytes);

// Stream capture, of the calling thread's calls alone, and the graph that it gives.
int sigmaz_capture_begin(void *stream);
int sigmaz_capture_end(void *stream, void **graph);
int sigmaz_graph_instantiate(void *graph, void **exec);
int sigmaz_graph_launch(void *exec, void *stream);
int sigmaz_graph_destroy(void *graph);
int sigmaz_exec_destroy(void *exec);

#endif
