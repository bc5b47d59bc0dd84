// Runs blocks, one after the other. Kernel code never runs on the caller's stack: a kernel in which threads never wait
// for each other is one loop over the block's threads on a fiber, any other has a fiber for each thread. A fiber gives
// up by switching back to run_block, which so can also drop fibers for good when a kernel fails.
//
// A thread runs undisturbed to the next place where it waits: at the block's barrier for all threads, in an exchange
// for the lanes of its warp that the exchange names.
#include "cell.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <ucontext.h>

#include <utility>

extern "C" {
SimModule *sim_modules;
SimIndex sim_thread, sim_block, sim_block_dim, sim_grid_dim;
char *sim_shared;
unsigned sim_static_end, sim_dynamic_at, sim_dynamic_bytes;
uint64_t sim_launch_serial, sim_block_serial;
uint32_t sim_epoch;
bool sim_races;
const char *sim_skip_file;
int sim_skip_line;
SIM_HIDDEN void sim_switch(void **from, void *to);
SIM_HIDDEN void sim_switch_back(void);
SIM_HIDDEN void sim_enter(void);
SIM_HIDDEN void sim_fiber_main(void);
}

// sim_switch leaves the callee-saved registers on the stack it leaves, and takes those of the stack it goes to. A new
// fiber's stack looks as if it had been left in front of sim_enter.
asm(R"(
	.text
	.p2align 4
	.hidden sim_switch
	.globl sim_switch
	.type sim_switch, @function
sim_switch:
	pushq %rbp
	pushq %rbx
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	movq %rsp, (%rdi)
	movq %rsi, %rsp
	.hidden sim_switch_back
	.globl sim_switch_back
sim_switch_back:
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %rbx
	popq %rbp
	popq %rcx
	jmp *%rcx
	.size sim_switch, .-sim_switch

	.p2align 4
	.hidden sim_enter
	.globl sim_enter
	.type sim_enter, @function
sim_enter:
	xorl %ebp, %ebp
	call sim_fiber_main
	ud2
	.size sim_enter, .-sim_enter
)");

namespace {

const int MAX_THREADS = 1024, WARP = 32;
const size_t STACK = 64 << 10, GUARD = 4096;

// What a thread waits for.
enum State : uint8_t { READY, AT_BARRIER, IN_EXCHANGE, DONE };

struct Place { const char *file; int line; };

// Lane is a thread's part in the exchanges of its warp.
struct Lane {
	uint64_t value;
	unsigned mask; // whom it waits for
	bool orders;
	Place at;
	const uint64_t *slots; // what it is given
};

struct Cell {
	char *stacks;         // MAX_THREADS stacks, each above a guard page
	int prepared;         // stacks whose guard page is set
	void *scheduler;      // stack pointer of run_block while a fiber runs
	bool running, loop;   // loop: one fiber runs all threads, barriers cannot be
	int threads, current; // of the block; the thread that runs
	const SimLaunch *launch;
	SimFault *fault;
	uint64_t random;
	Place barrier;        // where the first thread waits
	int sweep[MAX_THREADS];
	State state[MAX_THREADS];
	void *sp[MAX_THREADS];
	SimIndex tids[MAX_THREADS];
	SimIndex order[MAX_THREADS];
	Lane lanes[MAX_THREADS];
	uint32_t warp_epoch[MAX_THREADS / WARP];
	uint64_t slots[MAX_THREADS][WARP]; // of the exchange whose lowest lane is the thread
};

Cell *cell;

uint64_t random_word(void) { // xorshift64*
	uint64_t &x = cell->random;
	x ^= x >> 12, x ^= x << 25, x ^= x >> 27;
	return x * 0x2545F4914F6CDD1Dull >> 16;
}

void set_fault(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));
void set_fault(int code, const char *format, ...) {
	SimFault *f = cell->fault;
	if (f->code) return;
	f->code = code;
	f->thread = sim_thread;
	f->block = sim_block;
	va_list args;
	va_start(args, format);
	vsnprintf(f->text, sizeof f->text, format, args);
	va_end(args);
}

const char *base(const char *path) {
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

// to_scheduler leaves the fiber; it comes back when run_block takes it up again.
inline void to_scheduler() { sim_switch(&cell->sp[cell->current], cell->scheduler); }

// stack_top is where fiber i's stack starts. Tops are spread over the lines of a page, because fibers whose stacks lie
// a multiple of 4096 bytes apart would share few lines of the cache.
char *stack_top(int i) {
	while (cell->prepared <= i) {
		mprotect(cell->stacks + cell->prepared * (STACK + GUARD), GUARD, PROT_NONE);
		cell->prepared++;
	}
	return cell->stacks + (i + 1) * (STACK + GUARD) - 64 - (i % 15) * 256;
}

void new_fiber(int i) {
	void **top = reinterpret_cast<void **>(stack_top(i)); // a multiple of 16, as the call in sim_enter wants it
	*--top = reinterpret_cast<void *>(sim_enter);
	top -= 6; // registers, whatever they hold
	cell->sp[i] = top;
	cell->state[i] = READY;
}

inline void resume(int i) {
	cell->current = i;
	sim_thread = cell->tids[i];
	sim_switch(&cell->scheduler, cell->sp[i]);
}

// release ends the exchanges of a warp whose lanes are all there. It says how many lanes go on, or -1 for a fault.
int release(int w, int n) {
	const int first = w * WARP;
	const unsigned all = n < WARP ? (1u << n) - 1 : ~0u;
	int released = 0;
	Lane *lanes = cell->lanes + first;
	State *state = cell->state + first;
	for (int lowest = 0; lowest < n; lowest++) {
		if (state[lowest] != IN_EXCHANGE) continue;
		const unsigned mask = lanes[lowest].mask & all;
		if (mask & ((1u << lowest) - 1)) continue; // a lower lane speaks for them
		bool complete = true;
		for (int l = lowest; l < n && complete; l++)
			if (mask >> l & 1) complete = state[l] == IN_EXCHANGE && (lanes[l].mask & all) == mask;
		if (!complete) continue;
		uint64_t *slots = cell->slots[first + lowest];
		for (int l = lowest; l < n; l++) {
			if (!(mask >> l & 1)) continue;
			const Place &here = lanes[l].at, &there = lanes[lowest].at;
			if (here.line != there.line || (here.file != there.file && strcmp(here.file, there.file))) {
				sim_thread = cell->tids[first + l];
				set_fault(SIM_LAUNCH_FAILED, "exchange at %s:%d, while other lanes of the warp are in that at %s:%d",
					base(here.file), abs(here.line), base(there.file), abs(there.line));
				return -1;
			}
			slots[l] = lanes[l].value;
			lanes[l].slots = slots;
		}
		for (int l = lowest; l < n; l++)
			if (mask >> l & 1) state[l] = READY, released++;
		if (lanes[lowest].orders && mask == all) cell->warp_epoch[w]++;
	}
	return released;
}

// run_warp runs a warp until all its threads have ended or wait at the block's barrier.
bool run_warp(int w) {
	const int first = w * WARP, n = cell->threads - first < WARP ? cell->threads - first : WARP;
	for (;;) {
		int flip = 0;
		switch (cell->launch->order) {
		case SIM_FORWARD: break;
		case SIM_REVERSE: flip = WARP - 1; break;
		case SIM_SHUFFLE: flip = random_word() % WARP; break;
		}
		for (int i = 0; i < WARP; i++) {
			int lane = i ^ flip;
			if (lane >= n || cell->state[first + lane] != READY) continue;
			resume(first + lane);
			if (cell->fault->code) return false;
		}
		int waiting = 0, example = -1;
		for (int i = 0; i < n; i++)
			if (cell->state[first + i] == IN_EXCHANGE) waiting++, example = i;
		if (waiting == 0) return true;
		const int released = release(w, n);
		if (released < 0) return false;
		if (released) continue;
		const Lane &l = cell->lanes[first + example];
		auto here = [&](int lane) {
			return cell->state[first + lane] == IN_EXCHANGE && cell->lanes[first + lane].mask == l.mask;
		};
		int missing = 0;
		while (missing < n - 1 && (!(l.mask >> missing & 1) || here(missing))) missing++;
		sim_thread = cell->tids[first + missing];
		const State s = cell->state[first + missing];
		const char *why = s == DONE ? "has ended" : s == AT_BARRIER ? "waits at a barrier" : "is in another exchange";
		set_fault(SIM_LAUNCH_FAILED, "%d of %d threads of a warp wait for others in the exchange at %s:%d; this one %s",
			waiting, n, base(l.at.file), abs(l.at.line), why);
		return false;
	}
}

bool run_fibers() {
	const int n = cell->threads, warps = (n + WARP - 1) / WARP;
	for (int i = 0; i < n; i++) new_fiber(i);
	for (int w = 0; w < warps; w++) cell->sweep[w] = cell->launch->order == SIM_REVERSE ? warps - 1 - w : w;
	for (;;) {
		cell->barrier.file = nullptr;
		if (cell->launch->order == SIM_SHUFFLE)
			for (int w = warps - 1; w > 0; w--) std::swap(cell->sweep[w], cell->sweep[random_word() % (w + 1)]);
		for (int w = 0; w < warps; w++)
			if (!run_warp(cell->sweep[w])) return false;
		int waiting = 0, ended = -1;
		for (int i = 0; i < n; i++) {
			if (cell->state[i] == AT_BARRIER) waiting++;
			else ended = i;
		}
		if (waiting == 0) return true;
		if (waiting < n) {
			sim_thread = cell->tids[ended];
			set_fault(SIM_LAUNCH_FAILED, "%d of %d threads wait at the barrier at %s:%d; this one has ended", waiting,
				n, base(cell->barrier.file), cell->barrier.line);
			return false;
		}
		for (int i = 0; i < n; i++) cell->state[i] = READY;
		sim_epoch++;
	}
}

bool run_block() {
	const SimKernel *k = cell->launch->kernel;
	sim_block_serial++;
	sim_epoch = 1;
	memset(sim_shared, 0xff, sim_dynamic_at + sim_dynamic_bytes);
	for (auto &e : cell->warp_epoch) e = 1;
	cell->loop = !k->meets;
	if (k->meets) return run_fibers();
	new_fiber(0);
	resume(0);
	return !cell->fault->code;
}

// place is the index of the i-th of x y z things.
SimIndex place(uint64_t i, const SimIndex &d) {
	return {unsigned(i % d.x), unsigned(i / d.x % d.y), unsigned(i / d.x / d.y)};
}

uint64_t gcd(uint64_t a, uint64_t b) { return b ? gcd(b, a % b) : a; }

bool prepare() {
	if (cell) return true;
	char *m = static_cast<char *>(mmap(nullptr, MAX_THREADS * (STACK + GUARD), PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
	char *s = static_cast<char *>(mmap(
		nullptr, SIM_SHARED_MAX + GUARD, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
	Cell *c = static_cast<Cell *>(calloc(1, sizeof(Cell)));
	if (m == MAP_FAILED || s == MAP_FAILED || !c) return false;
	mprotect(s + SIM_SHARED_MAX, GUARD, PROT_NONE);
	c->stacks = m;
	sim_shared = s;
	cell = c;
	return true;
}

} // namespace

extern "C" {

int sim_run(const SimLaunch *l, SimFault *fault) {
	*fault = SimFault{};
	if (!prepare()) return fault->code = SIM_OUT_OF_RESOURCES;
	Cell *c = cell;
	c->launch = l;
	c->fault = fault;
	c->random = l->seed * 0x9E3779B97F4A7C15ull | 1;
	c->threads = l->block.x * l->block.y * l->block.z;
	sim_block_dim = l->block;
	sim_grid_dim = l->grid;
	sim_static_end = l->kernel->shared_end;
	sim_dynamic_at = (sim_static_end + SIM_SHARED_GAP + 127) / 128 * 128;
	sim_dynamic_bytes = l->dynamic;
	if (sim_dynamic_at + sim_dynamic_bytes > SIM_SHARED_MAX) return fault->code = SIM_OUT_OF_RESOURCES;
	for (int i = 0; i < c->threads; i++) c->tids[i] = c->order[i] = place(i, l->block);
	if (!l->kernel->meets) {
		if (l->order == SIM_REVERSE)
			for (int i = 0; i < c->threads / 2; i++) std::swap(c->order[i], c->order[c->threads - 1 - i]);
		if (l->order == SIM_SHUFFLE)
			for (int i = c->threads - 1; i > 0; i--) std::swap(c->order[i], c->order[random_word() % (i + 1)]);
	}
	// Shuffled blocks: i -> a i + b mod n with a prime to n.
	const uint64_t blocks = uint64_t(l->grid.x) * l->grid.y * l->grid.z;
	uint64_t a = 1, b = 0;
	if (l->order == SIM_SHUFFLE && blocks > 2) {
		uint64_t random = l->seed * 0xD1342543DE82EF95ull + 1;
		for (a = (random >> 20) % blocks | 1; gcd(a, blocks) != 1; a++) {}
		b = (random >> 40) % blocks;
	}
	sim_launch_serial = sim_block_serial + 1;
	c->running = true;
	for (uint64_t i = 0; i < blocks; i++) {
		uint64_t at = i;
		if (l->order == SIM_REVERSE) at = blocks - 1 - i;
		if (l->order == SIM_SHUFFLE) at = uint64_t(((unsigned __int128)a * i + b) % blocks);
		sim_block = place(at, l->grid);
		if (!run_block()) break;
	}
	c->running = false;
	return fault->code;
}

// sim_signal turns a memory fault of kernel code into a fault of the launch: when the signal handler returns, the host
// thread goes on in run_block.
bool sim_signal(int sig, void *vinfo, void *vcontext) {
	if (!cell || !cell->running) return false;
	siginfo_t *info = static_cast<siginfo_t *>(vinfo);
	greg_t *regs = static_cast<ucontext_t *>(vcontext)->uc_mcontext.gregs;
	uintptr_t address = reinterpret_cast<uintptr_t>(info->si_addr);
	const char *what = "illegal instruction";
	int code = SIM_LAUNCH_FAILED;
	if (sig == SIGFPE) {
		what = "integer division by zero";
	} else if (sig == SIGSEGV || sig == SIGBUS) {
		code = SIM_ILLEGAL_ADDRESS;
		const bool write = regs[REG_ERR] & 2;
		what = write ? "write" : "read";
		uintptr_t stacks = reinterpret_cast<uintptr_t>(cell->stacks);
		if (info->si_code == SI_KERNEL) {
			code = SIM_MISALIGNED;
			what = "misaligned access, or an address that no memory can have";
		} else if (address - stacks < MAX_THREADS * (STACK + GUARD)) {
			code = SIM_OUT_OF_RESOURCES;
			what = "the thread's stack overflows: too large or too many local variables";
		} else {
			cell->fault->is_address = true;
			cell->fault->address = address;
			cell->fault->write = write;
		}
	}
	set_fault(code, "%s", what);
	regs[REG_RSP] = reinterpret_cast<greg_t>(cell->scheduler);
	regs[REG_RIP] = reinterpret_cast<greg_t>(sim_switch_back);
	return true;
}

void sim_fiber_main(void) {
	Cell *c = cell;
	const SimLaunch *l = c->launch;
	if (c->loop) l->kernel->run(l->params, c->order, c->threads);
	else l->kernel->run(l->params, &c->tids[c->current], 1);
	c->state[c->current] = DONE;
	for (;;) to_scheduler();
}

// fail ends a thread whose fault is set.
static void fail(void) __attribute__((noreturn));
static void fail(void) {
	for (;;) to_scheduler();
}

void sim_barrier(const char *file, int line) {
	if (line == sim_skip_line && sim_skip_file && !strcmp(file, sim_skip_file)) return;
	Cell *c = cell;
	Place &first = c->barrier;
	if (!first.file) {
		first = {file, line};
	} else if (first.line != line || (first.file != file && strcmp(first.file, file))) {
		set_fault(SIM_LAUNCH_FAILED, "barrier at %s:%d, while other threads wait at that at %s:%d", base(file), line,
			base(first.file), first.line);
		fail();
	}
	c->state[c->current] = AT_BARRIER;
	to_scheduler();
}

const uint64_t *sim_exchange(uint64_t bits, unsigned mask, bool orders, const char *file, int line) {
	Cell *c = cell;
	const int t = c->current;
	if (!(mask >> t % WARP & 1)) {
		set_fault(SIM_LAUNCH_FAILED, "exchange at %s:%d: the mask %#x is without the lane itself, %d", base(file),
			abs(line), mask, t % WARP);
		fail();
	}
	c->lanes[t] = {bits, mask, orders, {file, line}, nullptr};
	c->state[t] = IN_EXCHANGE;
	to_scheduler();
	return c->lanes[t].slots;
}

unsigned sim_thread_number(void) {
	return sim_thread.x + sim_block_dim.x * (sim_thread.y + sim_block_dim.y * sim_thread.z);
}
unsigned sim_lane(void) { return sim_thread_number() % WARP; }
unsigned sim_warp(void) { return sim_thread_number() / WARP; }
uint64_t sim_nanoseconds(void) {
	timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	return uint64_t(t.tv_sec) * 1000000000 + uint64_t(t.tv_nsec);
}
uint32_t sim_warp_epoch(void) { return cell->warp_epoch[sim_warp()]; }

unsigned sim_lanes(void) {
	const int left = cell->threads - int(sim_warp()) * WARP;
	return left < WARP ? (1u << left) - 1 : ~0u;
}

bool sim_on_stack(uintptr_t address, size_t n) {
	const int i = cell->loop ? 0 : cell->current;
	const uintptr_t start = reinterpret_cast<uintptr_t>(cell->stacks) + i * (STACK + GUARD) + GUARD;
	return address >= start && address + n <= start + STACK;
}

void sim_trap(int code, const char *what, const char *file, int line) {
	set_fault(code, "%s at %s:%d", what, base(file), line);
	fail();
}

}
