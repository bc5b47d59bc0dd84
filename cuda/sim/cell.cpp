// Runs blocks. Kernel code never runs on the caller's stack: a kernel without barriers is one loop over the block's
// threads on a fiber, any other has a fiber for each thread. A fiber gives up by switching back to run_block, which so can
// also drop fibers for good when a kernel fails.
#include "cell.h"

#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

enum : int { LAUNCH_FAILED = 719, ILLEGAL_ADDRESS = 700, ASSERT = 710, MISALIGNED = 716, OUT_OF_RESOURCES = 701 };

extern "C" {
SIM_HIDDEN SimKernel *sim_kernels;
SIM_HIDDEN uint3 sim_thread, sim_block;
SIM_HIDDEN dim3 sim_block_dim, sim_grid_dim;
SIM_HIDDEN char *sim_dynamic_shared;
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
const size_t STACK = 64 << 10, GUARD = 4096, SHARED_MAX = 1 << 20;

// What a thread waits for.
enum State : uint8_t { READY, AT_BARRIER, AT_SHUFFLE, DONE };

struct Site { const char *file; int line; };

struct Cell {
	char *stacks;         // MAX_THREADS stacks, each above a guard page
	int prepared;         // stacks whose guard page is set
	char *shared_end;     // dynamic shared memory ends here, at a guard page
	void *scheduler;      // stack pointer of run_block while a fiber runs
	bool running, loop;   // loop: one fiber runs all threads, barriers cannot be
	int threads, current; // of the block; the thread that runs
	const SimLaunch *launch;
	SimFault *fault;
	uint64_t random;
	Site barrier;         // where the first thread waits
	int sweep[MAX_THREADS];
	State state[MAX_THREADS];
	uint8_t parity[MAX_THREADS];
	void *sp[MAX_THREADS];
	uint3 tids[MAX_THREADS];
	uint3 order[MAX_THREADS];
	Site shuffle[MAX_THREADS / WARP];
	uint64_t slots[MAX_THREADS / WARP][2][WARP];
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

// stack_top is where fiber i's stack starts. Tops are spread over the lines of a page, because fibers whose stacks lie a
// multiple of 4096 bytes apart would share few lines of the cache.
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

// run_warp runs a warp until all its threads have ended or wait at the block's barrier.
bool run_warp(int w) {
	const int first = w * WARP, n = cell->threads - first < WARP ? cell->threads - first : WARP;
	for (;;) {
		int ready = 0, flip = 0;
		switch (cell->launch->order) {
		case SIM_FORWARD: break;
		case SIM_REVERSE: flip = WARP - 1; break;
		case SIM_SHUFFLE: flip = random_word() % WARP; break;
		}
		for (int i = 0; i < WARP; i++) {
			int lane = i ^ flip;
			if (lane >= n || cell->state[first + lane] != READY) continue;
			ready++;
			resume(first + lane);
			if (cell->fault->code) return false;
		}
		int shuffle = 0, out = -1;
		for (int i = 0; i < n; i++) {
			if (cell->state[first + i] == AT_SHUFFLE) shuffle++;
			else out = first + i;
		}
		if (shuffle == 0) return true;
		if (shuffle < n) {
			sim_thread = cell->tids[out];
			set_fault(LAUNCH_FAILED, "%d of %d threads of a warp wait for the others at the shuffle at %s:%d; this one %s", shuffle, n,
				base(cell->shuffle[w].file), cell->shuffle[w].line, cell->state[out] == DONE ? "has ended" : "waits at a barrier");
			return false;
		}
		for (int i = 0; i < n; i++) cell->state[first + i] = READY;
		cell->shuffle[w].file = nullptr;
	}
}

bool run_fibers() {
	const int n = cell->threads, warps = (n + WARP - 1) / WARP;
	for (int i = 0; i < n; i++) {
		new_fiber(i);
		cell->parity[i] = 0;
	}
	for (int w = 0; w < warps; w++) {
		cell->shuffle[w].file = nullptr;
		cell->sweep[w] = cell->launch->order == SIM_REVERSE ? warps - 1 - w : w;
	}
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
			set_fault(LAUNCH_FAILED, "%d of %d threads wait at the barrier at %s:%d; this one has ended", waiting, n,
				base(cell->barrier.file), cell->barrier.line);
			return false;
		}
		for (int i = 0; i < n; i++) cell->state[i] = READY;
	}
}

bool run_block() {
	const SimKernel *k = cell->launch->kernel;
	memset(k->shared, 0xff, k->shared_end - k->shared);
	memset(sim_dynamic_shared, 0xff, cell->shared_end - sim_dynamic_shared);
	cell->loop = !k->fibers;
	if (k->fibers) return run_fibers();
	new_fiber(0);
	resume(0);
	return !cell->fault->code;
}

// uint3 of the i-th of n = x y z things
template <class D> uint3 place(uint64_t i, const D &d) {
	return {unsigned(i % d.x), unsigned(i / d.x % d.y), unsigned(i / d.x / d.y)};
}

uint64_t gcd(uint64_t a, uint64_t b) { return b ? gcd(b, a % b) : a; }

bool prepare() {
	if (cell) return true;
	char *m = static_cast<char *>(mmap(nullptr, MAX_THREADS * (STACK + GUARD), PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
	char *s = static_cast<char *>(mmap(nullptr, SHARED_MAX + GUARD, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
	Cell *c = static_cast<Cell *>(calloc(1, sizeof(Cell)));
	if (m == MAP_FAILED || s == MAP_FAILED || !c) return false;
	mprotect(s + SHARED_MAX, GUARD, PROT_NONE);
	c->stacks = m;
	c->shared_end = s + SHARED_MAX;
	cell = c;
	return true;
}

int run(const SimLaunch *l, SimFault *fault) {
	*fault = SimFault{};
	if (!prepare()) return fault->code = OUT_OF_RESOURCES;
	Cell *c = cell;
	c->launch = l;
	c->fault = fault;
	c->random = l->seed * 0x9E3779B97F4A7C15ull | 1;
	c->threads = l->block.x * l->block.y * l->block.z;
	sim_block_dim = l->block;
	sim_grid_dim = l->grid;
	sim_dynamic_shared = c->shared_end - (l->shared + 15) / 16 * 16;
	for (int i = 0; i < c->threads; i++) c->tids[i] = c->order[i] = place(i, l->block);
	if (!l->kernel->fibers) {
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
	c->running = true;
	for (uint64_t i = l->first; i < l->last; i++) {
		uint64_t at = i;
		if (l->order == SIM_REVERSE) at = blocks - 1 - i;
		if (l->order == SIM_SHUFFLE) at = uint64_t(((unsigned __int128)a * i + b) % blocks);
		sim_block = place(at, l->grid);
		if (!run_block()) break;
	}
	c->running = false;
	return fault->code;
}

// on_signal turns a memory fault of kernel code into a fault of the launch: when the signal handler returns, the host
// thread goes on in run_block.
bool on_signal(int sig, void *vinfo, void *vcontext) {
	if (!cell || !cell->running) return false;
	siginfo_t *info = static_cast<siginfo_t *>(vinfo);
	greg_t *regs = static_cast<ucontext_t *>(vcontext)->uc_mcontext.gregs;
	uintptr_t address = reinterpret_cast<uintptr_t>(info->si_addr);
	const char *what = "illegal instruction";
	int code = LAUNCH_FAILED;
	if (sig == SIGFPE) {
		what = "integer division by zero";
	} else if (sig == SIGSEGV || sig == SIGBUS) {
		code = ILLEGAL_ADDRESS;
		const bool write = regs[REG_ERR] & 2;
		what = write ? "write" : "read";
		uintptr_t stacks = reinterpret_cast<uintptr_t>(cell->stacks), end = reinterpret_cast<uintptr_t>(cell->shared_end);
		if (info->si_code == SI_KERNEL) {
			code = MISALIGNED;
			what = "misaligned access, or an address that no memory can have";
		} else if (address - stacks < MAX_THREADS * (STACK + GUARD)) {
			code = OUT_OF_RESOURCES;
			what = "the thread's stack overflows: too large or too many local variables";
		} else if (address - end < GUARD) {
			what = write ? "write past the end of dynamic shared memory" : "read past the end of dynamic shared memory";
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

SimKernel *kernels(void) { return sim_kernels; }

} // namespace

extern "C" {

const SimCell sim_cell = {kernels, run, on_signal};

void sim_fiber_main(void) {
	Cell *c = cell;
	const SimLaunch *l = c->launch;
	if (c->loop) l->kernel->run(l->args, c->order, c->threads);
	else l->kernel->run(l->args, &c->tids[c->current], 1);
	c->state[c->current] = DONE;
	for (;;) to_scheduler();
}

// fail reports a fault found by the cell itself, in kernel code.
static void fail(void) __attribute__((noreturn));
static void fail(void) {
	for (;;) to_scheduler();
}

static void wait_as(State state, Site *at, const char *what, const char *file, int line) {
	Cell *c = cell;
	if (c->loop) {
		set_fault(LAUNCH_FAILED, "%s at %s:%d in a kernel that the scanner took for one without", what, base(file), line);
		fail();
	}
	if (!at->file) {
		*at = {file, line};
	} else if (at->line != line || (at->file != file && strcmp(at->file, file))) {
		set_fault(LAUNCH_FAILED, "%s at %s:%d, while other threads wait for it at %s:%d", what, base(file), line, base(at->file), at->line);
		fail();
	}
	c->state[c->current] = state;
	to_scheduler();
}

void sim_barrier(const char *file, int line) { wait_as(AT_BARRIER, &cell->barrier, "barrier", file, line); }

const uint64_t *sim_exchange(uint64_t bits, unsigned mask, const char *file, int line) {
	Cell *c = cell;
	const int t = c->current, w = t / WARP;
	if (mask != 0xffffffffu) {
		set_fault(LAUNCH_FAILED, "shuffle at %s:%d with the mask %#x: only the full mask is simulated", base(file), line, mask);
		fail();
	}
	// A thread can be one shuffle ahead of another of its warp, never two: two rows of slots do.
	uint64_t *slots = c->slots[w][c->parity[t]];
	c->parity[t] ^= 1;
	slots[t % WARP] = bits;
	wait_as(AT_SHUFFLE, &c->shuffle[w], "shuffle", file, line);
	return slots;
}

int sim_lane(void) { return cell->current % WARP; }

int sim_lanes(void) {
	int left = cell->threads - cell->current / WARP * WARP;
	return left < WARP ? left : WARP;
}

void sim_trap(const char *what, const char *file, int line) {
	set_fault(ASSERT, "%s at %s:%d", what, base(file), line);
	fail();
}

// Handlers of -fsanitize=bounds,alignment and the like, in place of the sanitizer's library. The data of each starts with
// the place in the source.
struct UbsanPlace { const char *file; uint32_t line, column; };

#define UBSAN(handler, parameters, code, format, ...)                                                                 \
	SIM_HIDDEN __attribute__((noreturn)) void __ubsan_handle_##handler##_abort parameters {                           \
		const UbsanPlace *at = static_cast<const UbsanPlace *>(data);                                                 \
		set_fault(code, "%s:%u: " format, base(at->file), at->line, ##__VA_ARGS__);                                   \
		fail();                                                                                                       \
	}
UBSAN(out_of_bounds, (void *data, void *index), ILLEGAL_ADDRESS, "index %ld is outside the array", long(index))
UBSAN(divrem_overflow, (void *data, void *, void *), LAUNCH_FAILED, "integer division by zero or its overflow")
UBSAN(shift_out_of_bounds, (void *data, void *, void *by), LAUNCH_FAILED, "shift by %ld", long(by))
UBSAN(add_overflow, (void *data, void *, void *), LAUNCH_FAILED, "signed overflow of a sum")
UBSAN(sub_overflow, (void *data, void *, void *), LAUNCH_FAILED, "signed overflow of a difference")
UBSAN(mul_overflow, (void *data, void *, void *), LAUNCH_FAILED, "signed overflow of a product")
UBSAN(negate_overflow, (void *data, void *), LAUNCH_FAILED, "signed overflow of a negation")
UBSAN(type_mismatch_v1, (void *data, void *address), MISALIGNED, "access to the misaligned address %p", address)

}
