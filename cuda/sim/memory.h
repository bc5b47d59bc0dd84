// Device memory and page-locked host memory of the stand-in.
//
// An allocation ends (to 256 bytes) at a page that cannot be touched, and another lies before it. What is left of the
// first and last page is filled with 0xff and looked at after every launch. Addresses are never used twice, so that a
// freed allocation stays out of bounds.
#ifndef SIGMAZ_SIM_MEMORY_H
#define SIGMAZ_SIM_MEMORY_H

#include <stddef.h>
#include <stdint.h>

#include <map>
#include <string>

struct Allocation {
	int number;
	bool host, live;
	uintptr_t address, bytes;
	uintptr_t map, map_bytes; // its pages
	const void *context;
	int device; // that the context is of
};

// allocate gives memory filled with 0xff, or null where the host has none.
Allocation *allocate(size_t bytes, bool host, const void *context, int device);
void release(Allocation *a);

// find is the live allocation that holds all n bytes from address on (n may be 0: one past the end is inside, too).
Allocation *find(uintptr_t address, size_t n);
// ours says whether an address belongs to the memory that allocations are made from.
bool ours(uintptr_t address);
// describe says where an address lies in words: "offset 12 of allocation 3 (8 bytes), 4 bytes past its end".
std::string describe(uintptr_t address);
// spoiled looks for a change outside the allocations and describes the first; empty: none.
std::string spoiled();
size_t used_bytes(int device); // by its live allocations

extern std::map<uintptr_t, Allocation> allocations; // all there ever were, by the start of their pages
// each_live calls f for each allocation that was not released.
template <class F> void each_live(F f) {
	for (auto &a : allocations)
		if (a.second.live) f(a.second);
}

#endif
