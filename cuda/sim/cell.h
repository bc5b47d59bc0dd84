// The cell: what runs a kernel's blocks on one host thread, and what the driver and the cell tell each other.
#ifndef SIGMAZ_SIM_CELL_H
#define SIGMAZ_SIM_CELL_H

#include <stddef.h>
#include <stdint.h>

#include "sim.h"

// SimParam is a kernel parameter as the host compiler sees it.
struct SimParam {
	uint8_t size;  // bytes
	uint8_t align; // of what a pointer points to
	char kind;     // p pointer, f floating point, i integer, ? anything else
};

// SimKernel is a compiled kernel: run calls it once for n threads, in the order given by tids.
struct SimKernel {
	const char *name, *file;
	void (*run)(void *const *args, const uint3 *tids, int n);
	const SimParam *params;
	int param_count;
	bool fibers; // it has barriers or shuffles: every thread needs a stack of its own
	char *shared, *shared_end; // the family's static shared memory
	SimKernel *next;
};

// SimFault says what stopped a kernel.
struct SimFault {
	int code;           // CUresult, 0: none
	char text[400];
	uintptr_t address;  // of a memory fault, else 0
	bool is_address, write;
	uint3 thread, block;
};

enum SimOrder { SIM_FORWARD, SIM_REVERSE, SIM_SHUFFLE };

struct SimLaunch {
	const SimKernel *kernel;
	void *const *args;
	dim3 grid, block;
	unsigned shared; // bytes of dynamic shared memory
	SimOrder order;
	uint64_t seed;
	uint64_t first, last; // blocks to run, in the launch's order of blocks
};

// SimCell is the face of a cell. Its functions may be used by one thread at a time.
struct SimCell {
	SimKernel *(*kernels)(void);
	int (*run)(const SimLaunch *, SimFault *); // 0, or the fault's code
	// signal is called on a memory fault or the like while the cell runs; it makes the context return to run.
	bool (*signal)(int sig, void *info, void *context);
};
extern "C" SIM_HIDDEN const SimCell sim_cell;

#endif
