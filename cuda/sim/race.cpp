// The race detector: two threads access one place in shared or global memory, one of them writes, and nothing orders
// them.
//
// What orders two accesses is, inside a block, a barrier between them, or inside a warp bar.warp.sync for all its
// lanes; between blocks nothing does but the end of the launch. Two atomics do not race; an asynchronous copy to shared
// memory races with everything, its own thread's accesses too, until it has been waited for. Every four bytes of memory
// have a shadow: the last write, the last read, and whether others read as well. Where an access is of fewer bytes, the
// shadow is split into four. Whether a race is seen does not depend on the order in which the threads happen to run,
// but a case that never makes two threads meet shows none.
#include <stdio.h>

#include <unordered_map>

#include "cell.h"

using namespace std;

namespace {

// Access is one access of a place: who and when.
struct Access {
	uint64_t block = 0; // serial; 0: none yet
	uint32_t epoch = 0, warp_epoch = 0;
	int line = 0;
	uint16_t thread = 0;
	bool atomic = false, copying = false;
	const char *file = nullptr;
};

struct Shadow {
	Access write, read;
	// Who else read: other blocks in the launch of `read`, other warps in its epoch, and when the last other lane of
	// its warp.
	bool other_blocks = false, other_warps = false;
	uint32_t other_lane = 0; // warp epoch, 0: none
};

struct Word {
	Shadow all;
	Shadow *bytes = nullptr; // four, once an access was of fewer than four bytes
};

Word shared_words[SIM_SHARED_MAX / 4];

struct Page { Word words[1024]; };
unordered_map<uint64_t, Page *> pages;
uint64_t last_number = ~0ull;
Page *last_page;

Word &word_at(bool shared, uint64_t a) {
	if (shared) return shared_words[a / 4];
	if (a >> 12 != last_number) {
		Page *&p = pages[last_number = a >> 12];
		if (!p) p = new Page();
		last_page = p;
	}
	return last_page->words[a >> 2 & 1023];
}

[[noreturn]] void found(
	bool shared, uint64_t address, SimAccess how, const Access &other, bool other_wrote, const Access &me) {
	static char text[300];
	const char *words[] = {"read", "write", "atomic", "copy", "copy"};
	snprintf(text, sizeof text, "race in %s memory at %#llx: this %s, and the %s of thread %u of %s block at line %d,",
		shared ? "shared" : "global", (unsigned long long)address, words[how],
		other.atomic        ? "atomic"
			: other.copying ? "unfinished copy"
			: other_wrote   ? "write"
							: "read",
		other.thread, other.block == me.block ? "the same" : "another", other.line);
	sim_trap(SIM_ASSERT, text, me.file, me.line);
}

// look compares an access with a shadow and notes it there.
void look(Shadow &s, bool shared, uint64_t address, SimAccess how, const Access &me) {
	// Shared memory is the block's own, global memory that of the launch: what was before is over.
	const uint64_t since = shared ? me.block : sim_launch_serial;
	auto unordered = [&](const Access &o) {
		if (o.block < since || o.block == 0 || (o.atomic && me.atomic)) return false;
		if (o.block != me.block) return true;
		if (o.copying) return how != SIM_ARRIVAL || o.thread != me.thread;
		if (o.epoch != me.epoch || o.thread == me.thread) return false;
		return o.thread / 32 != me.thread / 32 || o.warp_epoch == me.warp_epoch;
	};
	if (unordered(s.write)) found(shared, address, how, s.write, true, me);
	if (how == SIM_READ) {
		if (s.read.block != me.block || s.read.epoch != me.epoch) {
			s.other_blocks = s.read.block >= since && (s.other_blocks || s.read.block != me.block);
			s.other_warps = false, s.other_lane = 0;
		} else if (s.read.thread / 32 != me.thread / 32) {
			s.other_warps = true;
		} else if (s.read.thread != me.thread) {
			s.other_lane = s.read.warp_epoch;
		}
		s.read = me;
		return;
	}
	if (unordered(s.read)) found(shared, address, how, s.read, false, me);
	const bool now = s.read.block == me.block && s.read.epoch == me.epoch;
	if (s.read.block >= since && (s.other_blocks || (now && (s.other_warps || s.other_lane == me.warp_epoch))))
		found(shared, address, how, s.read, false, me);
	s.write = me;
}

} // namespace

void sim_race(bool shared, uint64_t address, unsigned n, SimAccess how, const char *file, int line) {
	Access me;
	me.block = sim_block_serial, me.epoch = sim_epoch, me.warp_epoch = sim_warp_epoch(), me.line = line, me.file = file;
	me.thread = uint16_t(sim_thread_number()), me.atomic = how == SIM_ATOMIC, me.copying = how == SIM_COPY;
	for (uint64_t a = address; a < address + n;) {
		Word &w = word_at(shared, a);
		const unsigned from = a % 4, to = address + n - a < 4 - from ? from + unsigned(address + n - a) : 4;
		if (to - from < 4 && !w.bytes) w.bytes = new Shadow[4]{w.all, w.all, w.all, w.all};
		if (!w.bytes) look(w.all, shared, a, how, me);
		else
			for (unsigned i = from; i < to; i++) look(w.bytes[i], shared, a - from + i, how, me);
		a += to - from;
	}
}
