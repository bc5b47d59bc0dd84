// The cell runs a kernel's blocks on one host thread. This file is what the driver, the cell, the race detector and the
// translated kernels know of each other.
#ifndef SIGMAZ_SIM_CELL_H
#define SIGMAZ_SIM_CELL_H

#include <stddef.h>
#include <stdint.h>

#define SIM_HIDDEN __attribute__((visibility("hidden")))

struct SimIndex { unsigned x, y, z; };

// ---- What ptx2c makes of a PTX module ----

struct SimParam {
	unsigned offset, size; // bytes, in the kernel's block of parameters
	char kind;             // p pointer to global memory, f floating point, i other number, b array of bytes
	const char *text;      // as the PTX declares it: ".u64"
};

struct SimKernel {
	const char *name;
	void (*run)(const char *params, const SimIndex *threads, int n); // runs n threads one after the other
	const SimParam *params;
	int param_count;
	unsigned param_bytes;
	bool meets;             // threads wait for each other: each needs a stack of its own
	unsigned shared_bytes;  // of static shared memory
	unsigned shared_end;    // where it ends in the emulated layout, which has gaps between variables
	unsigned max_threads;   // .maxntid: product, 0: none
	unsigned required[3];   // .reqntid, 0: none
};

struct SimModule {
	const char *file;
	uint64_t text; // sim_hash of the PTX
	const SimKernel *kernels;
	int count;
	SimModule *next;
};

// sim_hash tells one PTX text from another (FNV-1a).
static inline uint64_t sim_hash(const char *text, size_t n) {
	uint64_t h = 0xcbf29ce484222325ull;
	for (size_t i = 0; i < n; i++) h = (h ^ uint8_t(text[i])) * 0x100000001b3ull;
	return h;
}

// ---- What the driver asks of the cell ----

// SimFault says what stopped a kernel.
struct SimFault {
	int code; // CUresult, 0: none
	char text[400];
	uintptr_t address; // of a memory fault, else 0
	bool is_address, write;
	SimIndex thread, block;
};

enum SimOrder { SIM_FORWARD, SIM_REVERSE, SIM_SHUFFLE };

struct SimLaunch {
	const SimKernel *kernel;
	const char *params;
	SimIndex grid, block;
	unsigned dynamic; // bytes of dynamic shared memory
	SimOrder order;
	uint64_t seed;
};

extern "C" {
SIM_HIDDEN extern SimModule *sim_modules;
SIM_HIDDEN int sim_run(const SimLaunch *, SimFault *); // 0, or the fault's code; by one thread at a time
// sim_signal is called on a memory fault or the like while the cell runs; it makes the context return to sim_run.
SIM_HIDDEN bool sim_signal(int sig, void *info, void *context);

// Settings of the driver.
SIM_HIDDEN extern bool sim_races;             // look for races
SIM_HIDDEN extern const char *sim_skip_file;  // barriers of this file and line are passed without waiting; null: none
SIM_HIDDEN extern int sim_skip_line;
// Addresses that kernels may use as global memory: those of all allocations there can be.
SIM_HIDDEN extern uintptr_t sim_memory, sim_memory_bytes;
}

// ---- What the cell offers to translated kernels ----

// Shared memory of a block: static variables from 0 on, dynamic memory behind them.
const unsigned SIM_SHARED_MAX = 512 << 10, SIM_SHARED_GAP = 64;

extern "C" {
SIM_HIDDEN extern SimIndex sim_thread, sim_block, sim_block_dim, sim_grid_dim;
SIM_HIDDEN extern char *sim_shared;
SIM_HIDDEN extern unsigned sim_static_end, sim_dynamic_at, sim_dynamic_bytes;

SIM_HIDDEN void sim_barrier(const char *file, int line);
// sim_exchange puts the lane's bits in its slot, waits for the lanes of the mask and gives the slots of all 32. With
// orders, what the lanes wrote before is seen by all of them behind it.
SIM_HIDDEN const uint64_t *sim_exchange(uint64_t bits, unsigned mask, bool orders, const char *file, int line);
SIM_HIDDEN unsigned sim_lane(void), sim_warp(void);
SIM_HIDDEN uint64_t sim_nanoseconds(void); // of the machine's clock
SIM_HIDDEN unsigned sim_lanes(
	void); // mask of the lanes that the warp has: fewer than 32 in the last one of an odd block
SIM_HIDDEN bool sim_on_stack(uintptr_t address, size_t n); // of the thread that runs
SIM_HIDDEN void sim_trap(int code, const char *what, const char *file, int line) __attribute__((noreturn));
}

// ---- Races ----

// An asynchronous copy writes from its start to its arrival.
enum SimAccess { SIM_READ, SIM_WRITE, SIM_ATOMIC, SIM_COPY, SIM_ARRIVAL };

extern "C" {
// sim_race looks at an access of n bytes of shared or of global memory by the thread that runs; a race is a fault of
// the kernel.
SIM_HIDDEN void sim_race(bool shared, uint64_t address, unsigned n, SimAccess how, const char *file, int line);
// Counters by which accesses are ordered. They are 0 at no time while a kernel runs.
SIM_HIDDEN extern uint64_t sim_launch_serial, sim_block_serial; // launches, as the serial of their first block; blocks
SIM_HIDDEN extern uint32_t sim_epoch;                           // barriers that the block has passed
SIM_HIDDEN uint32_t sim_warp_epoch(void); // barriers of its warp that the thread's block has passed
SIM_HIDDEN unsigned sim_thread_number(void);
}

// Codes of faults.
enum : int {
	SIM_ILLEGAL_ADDRESS = 700,
	SIM_OUT_OF_RESOURCES = 701,
	SIM_ASSERT = 710,
	SIM_MISALIGNED = 716,
	SIM_LAUNCH_FAILED = 719
};

#endif
