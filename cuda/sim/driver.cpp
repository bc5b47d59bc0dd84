// The driver calls. Every call holds one lock, checks what the real driver would check of its arguments, the calling
// thread's context and captures in progress, and fails with the driver's codes. What the driver cannot say in a code is
// appended to the text that cuGetErrorString gives; faults of kernels go to stderr as well.
#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "cell.h"
#include "memory.h"

using namespace std;

enum CUresult : int {
#define X(code, name, text) name = code,
#include "errors.inc"
#undef X
};

typedef int CUdevice;
typedef unsigned long long CUdeviceptr;

#define API extern "C" __attribute__((visibility("default")))

namespace {

// ---- Things that handles point to ----

struct Stream;

struct Context {
	int device = 0;
	bool primary = false;
	int references = 0;
	CUresult lost = CUDA_SUCCESS; // a failed kernel is the end of a device's contexts
	uint64_t launches = 0;        // since it was made
	Stream *legacy = nullptr;     // the default stream
};

struct Function;

struct Module {
	Context *context;
	const SimModule *translated;
	int version; // 78: ISA 7.8
	map<string, unique_ptr<Function>> functions;
};

struct Function {
	Module *module;
	const SimKernel *kernel;
	int dynamic_max = 48 << 10; // dynamic shared memory that may be asked for
};

struct Event;

// Node is a piece of work: a launch with its block of parameters, a copy or a fill, a function of the host, or a place in a
// stream that an event stands for or that waits for one.
struct Node {
	enum Kind { LAUNCH, COPY, FILL8, FILL32, HOST, RECORD, WAIT } kind;
	Function *function = nullptr;
	SimIndex grid, block;
	unsigned shared = 0;
	vector<char> params;
	uintptr_t to = 0, from = 0;
	size_t count = 0; // bytes of a copy, elements of a fill
	unsigned value = 0;
	vector<char> staged; // what from held, where it had to be copied when the call was made
	void (*host)(void *) = nullptr;
	void *argument = nullptr;
	Event *event = nullptr;
	uint64_t turn = 0; // which record of the event
	int branch = 0;    // of a capture: 0 is the stream that began it
	int other = 0;     // that a captured WAIT waits for, until it has done so many nodes
	size_t until = 0;
	bool ignored = false; // a captured WAIT that is left out, as SIGMAZ_SIM_FAULT asks
};

struct Graph { vector<Node> nodes; };

enum Capture { CAPTURE_GLOBAL, CAPTURE_THREAD, CAPTURE_RELAXED };

struct Stream {
	Context *context;
	bool non_blocking;
	bool second; // not the first of its context
	deque<Node> queue = {}; // what has been asked for and has not run
	bool capturing = false, invalid = false;
	int mode = 0;
	pid_t thread = 0;
	vector<Node> captured = {};   // of all streams that have joined the capture which this one began
	vector<size_t> branches = {}; // how many nodes each has given
	Stream *origin = nullptr;     // the stream that began the capture which this one is part of
	int branch = 0;               // its number there
};

// An event is passed once its last record has run: records are counted.
struct Event {
	Context *context;
	bool timed;
	uint64_t recorded = 0, passed = 0;
	Stream *stream = nullptr; // of the last record
	double time = 0;
	bool asked = false; // cuEventQuery has said "not yet"
	Stream *origin = nullptr; // of the capture in which it was recorded last, as the place behind so many nodes of a branch
	int branch = 0;
	size_t until = 0;
};

// ---- State ----

mutex lock_all;
bool initialised;
map<int, Context> primaries; // by device
set<Context *> contexts;
set<Module *> modules;
set<Function *> functions;
set<Stream *> streams;
set<Graph *> graphs, execs;
set<Event *> events;
map<int, string> details; // code -> what was wrong the last time
struct Time { uint64_t count = 0; double seconds = 0; };
map<string, Time> times;

thread_local Context *stack[16];
thread_local int depth;
// executing is looked at by the signal handler.
__thread bool executing __attribute__((tls_model("initial-exec")));

struct Settings {
	bool no_driver = false, no_device = false, old_driver = false, old_device = false;
	int lazy = 0;
	set<string> no_wait; // "first", "second", "host": whose waits for events are left out
	uint64_t lost = 0; // the launch from which on all fail
	int lost_device = -1; // of this device; of any
	int devices = 1;
	uint64_t memory = uint64_t(4) << 30;
	int verbose = 0;
	SimOrder order = SIM_FORWARD;
	uint64_t seed = 1;
	int multiprocessors = 4;
	string skip_file; // of the barrier to skip
	int skip_line = 0;
} set_by_user;

int driver_version() { return set_by_user.old_driver ? 11040 : 12040; }
int ptx_version() { return set_by_user.old_driver ? 74 : 84; }
int capability() { return set_by_user.old_device ? 70 : 80; }

// read_settings looks at the environment: at cuInit, and whenever a device or a context is asked for, so that one
// program can go through several.
void read_settings() {
	Settings s;
	auto value = [](const char *name) { const char *v = getenv(name); return string(v ? v : ""); };
	auto complain = [](const string &what) {
		static set<string> said;
		if (said.insert(what).second) fprintf(stderr, "sigmaz stand-in: %s\n", what.c_str());
	};
	string faults = value("SIGMAZ_SIM_FAULT");
	for (size_t at = 0; at < faults.size();) {
		size_t end = min(faults.find(',', at), faults.size());
		string f = faults.substr(at, end - at);
		at = end + 1;
		size_t colon = min(f.find(':'), f.size());
		string name = f.substr(0, colon), number = colon < f.size() ? f.substr(colon + 1) : "";
		uint64_t n = strtoull(number.c_str(), nullptr, 10);
		bool counted = !number.empty() && n > 0;
		size_t line = min(number.find(':'), number.size()); // of barrier:FILE:LINE
		if (f == "no-driver") s.no_driver = true;
		else if (f == "no-device") s.no_device = true;
		else if (f == "old-driver") s.old_driver = true;
		else if (f == "old-device") s.old_device = true;
		else if (name == "lost" && counted)
			s.lost = n, s.lost_device = line < number.size() ? atoi(&number[line + 1]) : -1;
		else if (name == "oom" && counted) s.memory = n;
		else if (name == "wait" && (number == "first" || number == "second" || number == "host"))
			s.no_wait.insert(number);
		else if (name == "barrier" && line < number.size())
			s.skip_file = number.substr(0, line), s.skip_line = atoi(&number[line + 1]);
		else if (!f.empty()) complain("SIGMAZ_SIM_FAULT: unknown fault " + f);
	}
	string order = value("SIGMAZ_SIM_ORDER");
	if (order == "reverse") s.order = SIM_REVERSE;
	else if (order == "shuffle" || order == "shuffled") s.order = SIM_SHUFFLE;
	else if (!order.empty() && order != "forward") complain("SIGMAZ_SIM_ORDER: unknown order " + order);
	if (!value("SIGMAZ_SIM_SEED").empty()) s.seed = strtoull(value("SIGMAZ_SIM_SEED").c_str(), nullptr, 10);
	s.verbose = atoi(value("SIGMAZ_SIM_VERBOSE").c_str());
	s.lazy = atoi(value("SIGMAZ_SIM_LAZY").c_str());
	string units = value("SIGMAZ_SIM_MULTIPROCESSORS");
	if (atoi(units.c_str()) > 0) s.multiprocessors = atoi(units.c_str());
	else if (!units.empty()) complain("SIGMAZ_SIM_MULTIPROCESSORS: not a number above 0: " + units);
	string devices = value("SIGMAZ_SIM_DEVICES");
	if (atoi(devices.c_str()) > 0) s.devices = atoi(devices.c_str());
	else if (!devices.empty()) complain("SIGMAZ_SIM_DEVICES: not a number above 0: " + devices);
	set_by_user = s;
	sim_races = atoi(value("SIGMAZ_SIM_RACES").c_str());
	sim_skip_file = set_by_user.skip_file.empty() ? nullptr : set_by_user.skip_file.c_str();
	sim_skip_line = set_by_user.skip_line;
}

double now() {
	timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + 1e-9 * t.tv_nsec;
}

pid_t thread_id() {
	static thread_local pid_t id;
	if (!id) id = pid_t(syscall(SYS_gettid));
	return id;
}

string format(const char *f, ...) __attribute__((format(printf, 1, 2)));
string format(const char *f, ...) {
	char text[1200];
	va_list args;
	va_start(args, f);
	vsnprintf(text, sizeof text, f, args);
	va_end(args);
	return text;
}

const char *error_name(int code) {
	switch (code) {
#define X(code, name, text) case code: return #name;
#include "errors.inc"
#undef X
	}
	return nullptr;
}

const char *error_text(int code) {
	switch (code) {
#define X(code, name, text) case code: return text;
#include "errors.inc"
#undef X
	}
	return nullptr;
}

// ---- Signals ----

struct sigaction before[64];
const int caught[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};

void on_signal(int sig, siginfo_t *info, void *context) {
	if (executing && sim_signal(sig, info, context)) return;
	struct sigaction &old = before[sig];
	if (old.sa_flags & SA_SIGINFO) {
		old.sa_sigaction(sig, info, context);
	} else if (old.sa_handler != SIG_DFL && old.sa_handler != SIG_IGN) {
		old.sa_handler(sig);
	} else { // let it happen again
		sigaction(sig, &old, nullptr);
	}
}

// catch_signals puts the handler before that of the program, which still gets what kernels have not caused.
void catch_signals() {
	for (int sig : caught) {
		struct sigaction a;
		if (sigaction(sig, nullptr, &a) || ((a.sa_flags & SA_SIGINFO) && a.sa_sigaction == on_signal)) continue;
		before[sig] = a;
		struct sigaction mine;
		memset(&mine, 0, sizeof mine);
		mine.sa_sigaction = on_signal;
		mine.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART | (a.sa_flags & SA_NODEFER);
		mine.sa_mask = a.sa_mask;
		sigaction(sig, &mine, nullptr);
	}
	// A handler needs a stack of its own when a fiber's overflows.
	stack_t s;
	if (!sigaltstack(nullptr, &s) && (s.ss_flags & SS_DISABLE)) {
		static thread_local char *mine;
		const size_t size = 64 << 10;
		if (!mine) mine = static_cast<char *>(malloc(size));
		memset(&s, 0, sizeof s);
		s.ss_sp = mine;
		s.ss_size = size;
		if (mine) sigaltstack(&s, nullptr);
	}
}

// readable says whether 8 bytes can be read at an address, without touching them: the kernel reads a signal set there
// before it refuses the unknown first argument.
bool readable(const void *p) {
	if (reinterpret_cast<uintptr_t>(p) < 4096) return false; // a null set would not be read
	errno = 0;
	syscall(SYS_rt_sigprocmask, ~0, p, nullptr, size_t(8));
	return errno != EFAULT;
}

// ---- A call ----

enum Needs { NOTHING = 0, INIT = 1, CONTEXT = 3, NO_CAPTURE = 4 };

Context *current() { return depth ? stack[depth - 1] : nullptr; }

struct Call {
	const char *name;
	lock_guard<mutex> guard;
	CUresult bad = CUDA_SUCCESS;

	Call(const char *name, int needs) : name(name), guard(lock_all) {
		if ((needs & INIT) && !initialised) {
			fail(CUDA_ERROR_NOT_INITIALIZED, "cuInit was not called or failed");
			return;
		}
		if ((needs & CONTEXT) == CONTEXT) {
			Context *c = current();
			if (!c) {
				fail(CUDA_ERROR_INVALID_CONTEXT, "this thread has no current context");
				return;
			}
			if (!contexts.count(c)) {
				fail(CUDA_ERROR_INVALID_CONTEXT, "the thread's current context was destroyed");
				return;
			}
			if (c->lost) {
				bad = c->lost; // with the details of when it was lost
				return;
			}
		}
		if (needs & NO_CAPTURE) {
			for (Stream *s : streams)
				if (s->capturing &&
					(s->mode == CAPTURE_GLOBAL || (s->mode == CAPTURE_THREAD && s->thread == thread_id()))) {
					s->invalid = true;
					fail(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED,
						"this call is not allowed while the thread captures a stream");
				}
		}
	}

	CUresult fail(CUresult code, const string &detail = "") {
		bad = code;
		details[code] = detail.empty() ? "" : string(name) + ": " + detail;
		if (set_by_user.verbose)
			fprintf(stderr, "sigmaz stand-in: %s: %s%s%s\n", name, error_name(code), detail.empty() ? "" : ": ",
				detail.c_str());
		return code;
	}
};

#define CALL(needs)                                                                                                   \
	Call call(__func__, needs);                                                                                       \
	if (call.bad) return call.bad
#define REQUIRE(condition, code, ...)                                                                                 \
	if (!(condition)) return call.fail(code, ##__VA_ARGS__)

// ---- Work ----

string triple(const SimIndex &p) { return format("(%u,%u,%u)", p.x, p.y, p.z); }

// lose ends a device's contexts with a fault of a kernel.
CUresult lose(Call &call, int device, CUresult code, const string &what) {
	fprintf(stderr, "sigmaz stand-in: %s\n", what.c_str());
	for (Context *c : contexts)
		if (c->device == device) c->lost = code;
	int verbose = set_by_user.verbose;
	set_by_user.verbose = 0; // it has been said
	call.fail(code, what);
	set_by_user.verbose = verbose;
	return code;
}

CUresult run_launch(Call &call, const Node &n) {
	if (!functions.count(n.function)) return call.fail(CUDA_ERROR_INVALID_HANDLE, "the function's module was unloaded");
	const SimKernel *k = n.function->kernel;
	Context *context = n.function->module->context;
	const int device = context->device;
	const uint64_t launches = ++context->launches;
	if (set_by_user.lost && launches >= set_by_user.lost && (set_by_user.lost_device < 0 || set_by_user.lost_device == device))
		return lose(call, device, CUDA_ERROR_LAUNCH_FAILED,
			format("launch %llu, of kernel %s: the device is lost, as SIGMAZ_SIM_FAULT asks",
				(unsigned long long)launches, k->name));
	for (int i = 0; i < k->param_count; i++) {
		const SimParam &p = k->params[i];
		if (p.kind != 'p') continue;
		uintptr_t address;
		memcpy(&address, n.params.data() + p.offset, sizeof address);
		if (!address) continue;
		Allocation *a = find(address, 0);
		if (!a || (!a->host && a->device != device))
			return lose(call, device, CUDA_ERROR_ILLEGAL_ADDRESS,
				format("kernel %s: argument %d points to %s%s", k->name, i, describe(address).c_str(),
					a ? format(" of device %d, and runs on device %d", a->device, device).c_str() : ""));
	}
	SimLaunch l = {k, n.params.data(), n.grid, n.block, n.shared, set_by_user.order, set_by_user.seed + launches};
	SimFault f;
	double start = set_by_user.verbose ? now() : 0;
	executing = true;
	int code = sim_run(&l, &f);
	executing = false;
	if (set_by_user.verbose) {
		Time &t = times[k->name];
		t.count++;
		t.seconds += now() - start;
		if (set_by_user.verbose > 1)
			fprintf(stderr, "sigmaz stand-in: launch %llu: %s<<<(%u,%u,%u), (%u,%u,%u), %u>>> %.3f ms\n",
				(unsigned long long)launches, k->name, n.grid.x, n.grid.y, n.grid.z, n.block.x, n.block.y, n.block.z,
				n.shared, 1e3 * (now() - start));
	}
	if (code) {
		string what = format(
			"kernel %s, block %s, thread %s: %s", k->name, triple(f.block).c_str(), triple(f.thread).c_str(), f.text);
		if (f.is_address)
			what += (f.write ? " to " : " from ") + describe(f.address);
		return lose(call, device, CUresult(code), what);
	}
	string spoilt = spoiled();
	if (!spoilt.empty())
		return lose(call, device, CUDA_ERROR_ILLEGAL_ADDRESS, format("kernel %s wrote to %s", k->name, spoilt.c_str()));
	return CUDA_SUCCESS;
}

// check_range says whether an address is good for n bytes of device memory; either host memory or device memory where
// host_too.
bool check_range(Call &call, const char *what, uintptr_t address, size_t n, bool host_too = false) {
	if (find(address, n)) return true;
	if (host_too && !ours(address) && address) return true;
	call.fail(CUDA_ERROR_INVALID_VALUE, format("%s: %zu bytes at %s", what, n, describe(address).c_str()));
	return false;
}

CUresult pass(Call &call, Event *e, uint64_t turn);

CUresult run_node(Call &call, const Node &n) {
	switch (n.kind) {
	case Node::LAUNCH: return run_launch(call, n);
	case Node::COPY:
		if (!check_range(call, "destination", n.to, n.count, true)) return call.bad;
		if (n.staged.empty() && !check_range(call, "source", n.from, n.count, true)) return call.bad;
		memmove(reinterpret_cast<void *>(n.to), n.staged.empty() ? reinterpret_cast<void *>(n.from) : n.staged.data(),
			n.count);
		return CUDA_SUCCESS;
	case Node::FILL8:
		if (!check_range(call, "fill", n.to, n.count)) return call.bad;
		memset(reinterpret_cast<void *>(n.to), n.value, n.count);
		return CUDA_SUCCESS;
	case Node::FILL32:
		if (!check_range(call, "fill", n.to, 4 * n.count)) return call.bad;
		fill_n(reinterpret_cast<unsigned *>(n.to), n.count, n.value);
		return CUDA_SUCCESS;
	case Node::HOST: n.host(n.argument); return CUDA_SUCCESS; // which calls no driver, as on a GPU
	case Node::RECORD:
		if (events.count(n.event)) n.event->passed = max(n.event->passed, n.turn), n.event->time = now();
		return CUDA_SUCCESS;
	case Node::WAIT: return pass(call, n.event, n.turn);
	}
	return CUDA_ERROR_UNKNOWN;
}

// flush runs what a stream has queued, up to the place that an event stands for where one is given.
CUresult flush(Call &call, Stream *s, const Event *until = nullptr, uint64_t turn = 0) {
	while (!s->queue.empty() && !(until && until->passed >= turn)) {
		Node n = move(s->queue.front());
		s->queue.pop_front();
		if (CUresult r = run_node(call, n)) {
			s->queue.clear();
			return r;
		}
	}
	return CUDA_SUCCESS;
}

// pass runs what an event's record stands behind.
CUresult pass(Call &call, Event *e, uint64_t turn) {
	if (!events.count(e) || e->passed >= turn || !e->stream) return CUDA_SUCCESS;
	return flush(call, e->stream, e, turn);
}

// flush_blocking runs what a context's legacy stream waits for: all its streams but the non-blocking ones.
CUresult flush_blocking(Call &call, const Context *c) {
	CUresult r = flush(call, c->legacy);
	for (Stream *s : streams)
		if (s->context == c && !s->non_blocking && !r) r = flush(call, s);
	return r;
}

// flush_all runs what waits in a context.
CUresult flush_all(Call &call, const Context *c) {
	CUresult r = flush_blocking(call, c);
	for (Stream *s : streams)
		if (s->context == c && !r) r = flush(call, s);
	return r;
}

Stream *stream_of(void *handle) {
	if (handle == nullptr || handle == reinterpret_cast<void *>(1)) return current()->legacy;
	Stream *s = static_cast<Stream *>(handle);
	return streams.count(s) ? s : nullptr;
}

// legacy_free fails where a call on the legacy stream would wait for a stream that is being captured.
bool legacy_free(Call &call) {
	for (Stream *s : streams)
		if (s->context == current() && s->capturing && !s->non_blocking) {
			s->invalid = true;
			call.fail(CUDA_ERROR_STREAM_CAPTURE_IMPLICIT,
				"the legacy default stream waits for a stream that is being captured");
			return false;
		}
	return true;
}

// late says whether a stream's work runs as late as it may: that of all streams but a context's first, so that a
// missing wait for a copy shows; with SIGMAZ_SIM_LAZY=1 that of the first, so that a copy which does not wait for it
// comes too early; with 2 that of all, so that a copy whose source the host changes too early shows.
bool late(const Stream *s) {
	if (s == s->context->legacy) return false;
	switch (set_by_user.lazy) {
	case 0: return s->second;
	case 1: return !s->second;
	}
	return true;
}

// submit puts nodes on a stream: to its capture, to its queue, or runs them.
CUresult submit(Call &call, Stream *s, vector<Node> nodes) {
	if (s->capturing) {
		if (s->invalid) return call.fail(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
		for (Node &n : nodes) {
			n.branch = s->branch;
			s->origin->captured.push_back(move(n));
			s->origin->branches[size_t(s->branch)]++;
		}
		return CUDA_SUCCESS;
	}
	if (s == s->context->legacy) {
		if (!legacy_free(call)) return call.bad;
		if (CUresult r = flush_blocking(call, s->context)) return r;
	}
	for (Node &n : nodes) s->queue.push_back(move(n));
	return late(s) ? CUDA_SUCCESS : flush(call, s);
}

bool pinned(uintptr_t address, size_t n) {
	Allocation *a = find(address, n);
	return a && a->host;
}

// copy is every copy: a synchronous one on the legacy stream, waited for.
CUresult copy(Call &call, uintptr_t to, uintptr_t from, size_t n, Stream *s, bool to_host, bool from_host) {
	if (!s) return call.fail(CUDA_ERROR_INVALID_HANDLE, "no such stream");
	if (!n) return CUDA_SUCCESS;
	if (to_host ? !to || (ours(to) && !pinned(to, n)) : !find(to, n))
		return call.fail(CUDA_ERROR_INVALID_VALUE, format("destination: %zu bytes at %s", n, describe(to).c_str()));
	if (from_host ? !from || (ours(from) && !pinned(from, n)) : !find(from, n))
		return call.fail(CUDA_ERROR_INVALID_VALUE, format("source: %zu bytes at %s", n, describe(from).c_str()));
	bool pageable_to = to_host && !pinned(to, n), pageable_from = from_host && !pinned(from, n);
	Node node{};
	node.kind = Node::COPY;
	node.to = to, node.from = from, node.count = n;
	if (s->capturing && (pageable_to || pageable_from)) {
		s->invalid = true;
		return call.fail(
			CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "a copy of host memory that is not page-locked cannot be captured");
	}
	// The driver stages memory that it has not page-locked: it is read before the call returns, and written by then.
	if (pageable_from && late(s))
		node.staged.assign(reinterpret_cast<char *>(from), reinterpret_cast<char *>(from) + n);
	vector<Node> nodes;
	nodes.push_back(move(node));
	if (CUresult r = submit(call, s, move(nodes))) return r;
	return pageable_to ? flush(call, s) : CUDA_SUCCESS;
}

CUresult copy_now(Call &call, uintptr_t to, uintptr_t from, size_t n, bool to_host, bool from_host) {
	if (CUresult r = copy(call, to, from, n, current()->legacy, to_host, from_host)) return r;
	return flush(call, current()->legacy);
}

CUresult fill(Call &call, Node::Kind kind, uintptr_t to, unsigned value, size_t n, Stream *s) {
	if (!s) return call.fail(CUDA_ERROR_INVALID_HANDLE, "no such stream");
	size_t unit = kind == Node::FILL32 ? 4 : 1;
	if (n > SIZE_MAX / 4 || !check_range(call, "fill", to, n * unit))
		return call.fail(CUDA_ERROR_INVALID_VALUE, details[CUDA_ERROR_INVALID_VALUE]);
	if (to % unit) return call.fail(CUDA_ERROR_INVALID_VALUE, "the address is not a multiple of 4");
	Node node{};
	node.kind = kind;
	node.to = to, node.count = n, node.value = value;
	vector<Node> nodes;
	nodes.push_back(move(node));
	return submit(call, s, move(nodes));
}

// begin_context makes a context one that can be used.
void begin_context(Context *c, int device) {
	c->device = device;
	c->lost = CUDA_SUCCESS;
	c->launches = 0;
	c->legacy = new Stream{c, false, false};
	contexts.insert(c);
}

// end_context releases what a context owns and tells of what the program left.
void end_context(Context *c) {
	size_t n = 0, bytes = 0, left_modules = 0, left_streams = 0;
	vector<Allocation *> gone;
	each_live([&](Allocation &a) {
		if (a.context == c) gone.push_back(&a), n++, bytes += a.bytes;
	});
	if (set_by_user.verbose)
		for (Allocation *a : gone)
			fprintf(stderr, "sigmaz stand-in: leak: allocation %d (%zu bytes%s)\n", a->number, size_t(a->bytes),
				a->host ? " of the host" : "");
	for (Allocation *a : gone) release(a);
	for (auto it = modules.begin(); it != modules.end();) {
		Module *m = *it;
		if (m->context != c) { ++it; continue; }
		for (auto &f : m->functions) functions.erase(f.second.get());
		delete m;
		it = modules.erase(it);
		left_modules++;
	}
	for (auto it = streams.begin(); it != streams.end();) {
		Stream *s = *it;
		if (s->context != c) { ++it; continue; }
		delete s;
		it = streams.erase(it);
		left_streams++;
	}
	if (set_by_user.verbose) {
		if (n + left_modules + left_streams)
			fprintf(stderr,
				"sigmaz stand-in: context ends with %zu allocations (%zu bytes), %zu modules, %zu streams left\n", n,
				bytes, left_modules, left_streams);
		vector<pair<double, string>> rows;
		for (auto &t : times) rows.push_back({t.second.seconds, t.first});
		sort(rows.rbegin(), rows.rend());
		for (auto &r : rows)
			fprintf(stderr, "sigmaz stand-in: %8.3f s in %6llu launches of %s\n", r.first,
				(unsigned long long)times[r.second].count, r.second.c_str());
		times.clear();
	}
	for (auto it = events.begin(); it != events.end();) {
		Event *e = *it;
		if (e->context != c) { ++it; continue; }
		delete e;
		it = events.erase(it);
	}
	delete c->legacy;
	c->legacy = nullptr;
	contexts.erase(c);
}

bool push(Context *c) {
	if (depth == 16) return false;
	stack[depth++] = c;
	return true;
}

// head reads a PTX's version and target, 0 where there is none.
void head(const string &text, int *version, int *target) {
	*version = *target = 0;
	for (size_t at = 0; at < text.size(); at = text.find('\n', at), at = at == string::npos ? at : at + 1) {
		int major, minor;
		if (sscanf(text.c_str() + at, " .version %d.%d", &major, &minor) == 2) *version = 10 * major + minor;
		if (sscanf(text.c_str() + at, " .target sm_%d", target) == 1) return;
	}
}

} // namespace

// known says whether a device has the number, and there whether it can be opened as well.
static bool known(CUdevice device) { return device >= 0 && device < set_by_user.devices; }
static bool there(CUdevice device) { return known(device) && !set_by_user.no_device; }

// ---- Initialisation, devices ----

API CUresult cuInit(unsigned flags) {
	Call call("cuInit", NOTHING);
	read_settings();
	REQUIRE(!flags, CUDA_ERROR_INVALID_VALUE, "flags must be 0");
	REQUIRE(!set_by_user.no_driver, CUDA_ERROR_STUB_LIBRARY);
	REQUIRE(!set_by_user.no_device, CUDA_ERROR_NO_DEVICE);
	catch_signals();
	initialised = true;
	return CUDA_SUCCESS;
}

API CUresult cuDriverGetVersion(int *version) {
	CALL(NOTHING);
	read_settings();
	REQUIRE(!set_by_user.no_driver, CUDA_ERROR_STUB_LIBRARY);
	REQUIRE(version, CUDA_ERROR_INVALID_VALUE);
	*version = driver_version();
	return CUDA_SUCCESS;
}

API CUresult cuDeviceGetCount(int *count) {
	CALL(INIT);
	read_settings();
	REQUIRE(!set_by_user.no_driver, CUDA_ERROR_STUB_LIBRARY);
	REQUIRE(count, CUDA_ERROR_INVALID_VALUE);
	*count = set_by_user.no_device ? 0 : set_by_user.devices;
	return CUDA_SUCCESS;
}

API CUresult cuDeviceGet(CUdevice *device, int ordinal) {
	CALL(INIT);
	read_settings();
	REQUIRE(!set_by_user.no_driver, CUDA_ERROR_STUB_LIBRARY);
	REQUIRE(device, CUDA_ERROR_INVALID_VALUE);
	REQUIRE(there(ordinal), CUDA_ERROR_INVALID_DEVICE);
	*device = ordinal;
	return CUDA_SUCCESS;
}

API CUresult cuDeviceGetName(char *name, int length, CUdevice device) {
	CALL(INIT);
	REQUIRE(name && length > 0, CUDA_ERROR_INVALID_VALUE);
	REQUIRE(known(device), CUDA_ERROR_INVALID_DEVICE);
	snprintf(name, length, "sigmaz stand-in (no GPU)");
	return CUDA_SUCCESS;
}

API CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice device) {
	CALL(INIT);
	REQUIRE(bytes, CUDA_ERROR_INVALID_VALUE);
	REQUIRE(known(device), CUDA_ERROR_INVALID_DEVICE);
	*bytes = set_by_user.memory;
	return CUDA_SUCCESS;
}

API CUresult cuDeviceGetAttribute(int *value, int attribute, CUdevice device) {
	CALL(INIT);
	REQUIRE(value, CUDA_ERROR_INVALID_VALUE);
	REQUIRE(known(device), CUDA_ERROR_INVALID_DEVICE);
	// As an A100's, but with few multiprocessors where not set otherwise, so that grids are larger than the device.
	static const map<int, int> values = {
		{1, 1024}, {2, 1024}, {3, 1024}, {4, 64}, {5, 2147483647}, {6, 65535}, {7, 65535}, // block and grid
		{8, 48 << 10}, {9, 64 << 10}, {10, 32}, {11, 2147483647}, {12, 65536},            // memory, warp, registers
		{13, 1410000}, {14, 512}, {15, 1}, {17, 0}, {18, 0}, {19, 1}, {20, 0},
		{31, 1}, {32, 0}, {33, 0}, {34, 0}, {35, 0}, {36, 1215000}, {37, 5120}, {38, 4 << 20}, {39, 2048}, {40, 2},
		{41, 1}, {50, 0}, {78, 1}, {79, 1}, {80, 1}, {81, 164 << 10}, {82, 65536}, {83, 0}, {84, 0}, {95, 0},
		{97, 163 << 10}, {106, 32},
	};
	if (attribute == 75) *value = capability() / 10;
	else if (attribute == 76) *value = capability() % 10;
	else if (attribute == 16) *value = set_by_user.multiprocessors;
	else {
		auto it = values.find(attribute);
		REQUIRE(it != values.end(), CUDA_ERROR_INVALID_VALUE, format("unknown attribute %d", attribute));
		*value = it->second;
	}
	return CUDA_SUCCESS;
}

// ---- Contexts ----

API CUresult cuDevicePrimaryCtxRetain(Context **context, CUdevice device) {
	CALL(INIT);
	read_settings();
	catch_signals();
	REQUIRE(context, CUDA_ERROR_INVALID_VALUE);
	REQUIRE(there(device), CUDA_ERROR_INVALID_DEVICE);
	Context &primary = primaries[device];
	if (primary.references++ == 0) {
		primary.primary = true;
		begin_context(&primary, device);
	}
	*context = &primary;
	return CUDA_SUCCESS;
}

API CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device) {
	CALL(INIT | NO_CAPTURE);
	REQUIRE(known(device), CUDA_ERROR_INVALID_DEVICE);
	Context &primary = primaries[device];
	REQUIRE(primary.references > 0, CUDA_ERROR_INVALID_CONTEXT, "the primary context is not retained");
	if (primary.references == 1 && !primary.lost) flush_all(call, &primary);
	if (--primary.references == 0) end_context(&primary);
	return CUDA_SUCCESS;
}

API CUresult cuDevicePrimaryCtxReset_v2(CUdevice device) {
	CALL(INIT | NO_CAPTURE);
	REQUIRE(known(device), CUDA_ERROR_INVALID_DEVICE);
	Context &primary = primaries[device];
	if (!primary.references) return CUDA_SUCCESS;
	end_context(&primary);
	begin_context(&primary, device);
	return CUDA_SUCCESS;
}

API CUresult cuDevicePrimaryCtxGetState(CUdevice device, unsigned *flags, int *active) {
	CALL(INIT);
	REQUIRE(known(device), CUDA_ERROR_INVALID_DEVICE);
	if (flags) *flags = 0;
	if (active) *active = primaries[device].references > 0;
	return CUDA_SUCCESS;
}

API CUresult cuCtxCreate_v2(Context **context, unsigned, CUdevice device) {
	CALL(INIT | NO_CAPTURE);
	read_settings();
	catch_signals();
	REQUIRE(context, CUDA_ERROR_INVALID_VALUE);
	REQUIRE(there(device), CUDA_ERROR_INVALID_DEVICE);
	Context *c = new Context;
	c->references = 1;
	begin_context(c, device);
	push(c);
	*context = c;
	return CUDA_SUCCESS;
}

API CUresult cuCtxDestroy_v2(Context *c) {
	CALL(INIT | NO_CAPTURE);
	REQUIRE(c && contexts.count(c) && !c->primary, CUDA_ERROR_INVALID_CONTEXT);
	if (!c->lost) flush_all(call, c);
	end_context(c);
	delete c;
	if (current() == c) depth--;
	return CUDA_SUCCESS;
}

API CUresult cuCtxSetCurrent(Context *c) {
	CALL(INIT);
	REQUIRE(!c || contexts.count(c), CUDA_ERROR_INVALID_CONTEXT, "no such context");
	if (c) catch_signals();
	if (depth) depth--;
	if (c) push(c);
	return CUDA_SUCCESS;
}

API CUresult cuCtxGetCurrent(Context **c) {
	CALL(INIT);
	REQUIRE(c, CUDA_ERROR_INVALID_VALUE);
	*c = current();
	return CUDA_SUCCESS;
}

API CUresult cuCtxPushCurrent_v2(Context *c) {
	CALL(INIT);
	REQUIRE(c && contexts.count(c), CUDA_ERROR_INVALID_CONTEXT, "no such context");
	catch_signals();
	REQUIRE(push(c), CUDA_ERROR_INVALID_VALUE);
	return CUDA_SUCCESS;
}

API CUresult cuCtxPopCurrent_v2(Context **c) {
	CALL(INIT);
	REQUIRE(depth, CUDA_ERROR_INVALID_CONTEXT);
	depth--;
	if (c) *c = stack[depth];
	return CUDA_SUCCESS;
}

API CUresult cuCtxGetDevice(CUdevice *device) {
	CALL(CONTEXT);
	REQUIRE(device, CUDA_ERROR_INVALID_VALUE);
	*device = current()->device;
	return CUDA_SUCCESS;
}

API CUresult cuCtxSynchronize(void) {
	CALL(CONTEXT);
	for (Stream *s : streams)
		if (s->context == current() && s->capturing) {
			s->invalid = true;
			return call.fail(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "a stream is being captured");
		}
	return flush_all(call, current());
}

// ---- Memory ----

API CUresult cuMemGetInfo_v2(size_t *free_bytes, size_t *total) {
	CALL(CONTEXT);
	REQUIRE(free_bytes && total, CUDA_ERROR_INVALID_VALUE);
	*total = set_by_user.memory;
	*free_bytes = set_by_user.memory - min<size_t>(set_by_user.memory, used_bytes(current()->device));
	return CUDA_SUCCESS;
}

API CUresult cuMemAlloc_v2(CUdeviceptr *p, size_t bytes) {
	CALL(CONTEXT | NO_CAPTURE);
	REQUIRE(p && bytes, CUDA_ERROR_INVALID_VALUE);
	size_t left = set_by_user.memory - min<size_t>(set_by_user.memory, used_bytes(current()->device));
	REQUIRE(bytes <= left, CUDA_ERROR_OUT_OF_MEMORY);
	Allocation *a = allocate(bytes, false, current(), current()->device);
	REQUIRE(a, CUDA_ERROR_OUT_OF_MEMORY, "the host has no memory for it");
	*p = a->address;
	return CUDA_SUCCESS;
}

API CUresult cuMemFree_v2(CUdeviceptr p) {
	CALL(CONTEXT | NO_CAPTURE);
	if (!p) return CUDA_SUCCESS;
	Allocation *a = find(p, 0);
	REQUIRE(a && a->address == p && !a->host, CUDA_ERROR_INVALID_VALUE, "not an allocation: " + describe(p));
	if (CUresult r = flush_all(call, current())) return r; // cuMemFree waits for the device
	release(a);
	return CUDA_SUCCESS;
}

static CUresult host_alloc(Call &call, void **p, size_t bytes) {
	REQUIRE(p && bytes, CUDA_ERROR_INVALID_VALUE);
	Allocation *a = allocate(bytes, true, current(), current()->device);
	REQUIRE(a, CUDA_ERROR_OUT_OF_MEMORY, "the host has no memory for it");
	*p = reinterpret_cast<void *>(a->address);
	return CUDA_SUCCESS;
}

API CUresult cuMemAllocHost_v2(void **p, size_t bytes) {
	CALL(CONTEXT | NO_CAPTURE);
	return host_alloc(call, p, bytes);
}

API CUresult cuMemHostAlloc(void **p, size_t bytes, unsigned) {
	CALL(CONTEXT | NO_CAPTURE);
	return host_alloc(call, p, bytes);
}

API CUresult cuMemFreeHost(void *p) {
	CALL(CONTEXT | NO_CAPTURE);
	uintptr_t address = reinterpret_cast<uintptr_t>(p);
	Allocation *a = find(address, 0);
	REQUIRE(a && a->address == address && a->host, CUDA_ERROR_INVALID_VALUE,
		"not page-locked memory: " + describe(address));
	if (CUresult r = flush_all(call, current())) return r;
	release(a);
	return CUDA_SUCCESS;
}

API CUresult cuMemHostGetDevicePointer_v2(CUdeviceptr *p, void *host, unsigned flags) {
	CALL(CONTEXT);
	REQUIRE(p && !flags, CUDA_ERROR_INVALID_VALUE);
	REQUIRE(pinned(reinterpret_cast<uintptr_t>(host), 0), CUDA_ERROR_INVALID_VALUE, "not page-locked memory");
	*p = reinterpret_cast<uintptr_t>(host); // as where addresses are unified
	return CUDA_SUCCESS;
}

API CUresult cuMemGetAddressRange_v2(CUdeviceptr *base, size_t *size, CUdeviceptr p) {
	CALL(CONTEXT);
	Allocation *a = find(p, 0);
	REQUIRE(a, CUDA_ERROR_NOT_FOUND);
	if (base) *base = a->address;
	if (size) *size = a->bytes;
	return CUDA_SUCCESS;
}

API CUresult cuMemcpyHtoD_v2(CUdeviceptr to, const void *from, size_t n) {
	CALL(CONTEXT | NO_CAPTURE);
	return copy_now(call, to, reinterpret_cast<uintptr_t>(from), n, false, true);
}

API CUresult cuMemcpyDtoH_v2(void *to, CUdeviceptr from, size_t n) {
	CALL(CONTEXT | NO_CAPTURE);
	return copy_now(call, reinterpret_cast<uintptr_t>(to), from, n, true, false);
}

API CUresult cuMemcpyDtoD_v2(CUdeviceptr to, CUdeviceptr from, size_t n) {
	CALL(CONTEXT | NO_CAPTURE);
	return copy_now(call, to, from, n, false, false);
}

API CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t n, void *stream) {
	CALL(CONTEXT);
	return copy(call, to, reinterpret_cast<uintptr_t>(from), n, stream_of(stream), false, true);
}

API CUresult cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t n, void *stream) {
	CALL(CONTEXT);
	return copy(call, reinterpret_cast<uintptr_t>(to), from, n, stream_of(stream), true, false);
}

API CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t n, void *stream) {
	CALL(CONTEXT);
	return copy(call, to, from, n, stream_of(stream), false, false);
}

API CUresult cuMemsetD8_v2(CUdeviceptr to, unsigned char value, size_t n) {
	CALL(CONTEXT | NO_CAPTURE);
	return fill(call, Node::FILL8, to, value, n, current()->legacy);
}

API CUresult cuMemsetD32_v2(CUdeviceptr to, unsigned value, size_t n) {
	CALL(CONTEXT | NO_CAPTURE);
	return fill(call, Node::FILL32, to, value, n, current()->legacy);
}

API CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t n, void *stream) {
	CALL(CONTEXT);
	return fill(call, Node::FILL8, to, value, n, stream_of(stream));
}

API CUresult cuMemsetD32Async(CUdeviceptr to, unsigned value, size_t n, void *stream) {
	CALL(CONTEXT);
	return fill(call, Node::FILL32, to, value, n, stream_of(stream));
}

// ---- Streams and capture ----

static CUresult stream_create(Call &call, Stream **stream, unsigned flags) {
	REQUIRE(stream && flags <= 1, CUDA_ERROR_INVALID_VALUE);
	bool second = false;
	for (Stream *s : streams) second |= s->context == current();
	*stream = new Stream{current(), flags == 1, second};
	streams.insert(*stream);
	return CUDA_SUCCESS;
}

API CUresult cuStreamCreate(Stream **stream, unsigned flags) {
	CALL(CONTEXT | NO_CAPTURE);
	return stream_create(call, stream, flags);
}

API CUresult cuStreamCreateWithPriority(Stream **stream, unsigned flags, int) {
	CALL(CONTEXT | NO_CAPTURE);
	return stream_create(call, stream, flags);
}

API CUresult cuStreamDestroy_v2(void *handle) {
	CALL(CONTEXT);
	Stream *s = stream_of(handle);
	REQUIRE(s && s != s->context->legacy, CUDA_ERROR_INVALID_HANDLE);
	CUresult r = flush(call, s);
	streams.erase(s);
	for (Event *e : events)
		if (e->stream == s) e->stream = nullptr;
	delete s;
	return r;
}

API CUresult cuStreamSynchronize(void *handle) {
	CALL(CONTEXT);
	Stream *s = stream_of(handle);
	REQUIRE(s, CUDA_ERROR_INVALID_HANDLE);
	if (s->capturing) {
		s->invalid = true;
		return call.fail(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "the stream is being captured");
	}
	if (s == s->context->legacy) {
		if (!legacy_free(call)) return call.bad;
		return flush_blocking(call, s->context);
	}
	return flush(call, s);
}

API CUresult cuStreamQuery(void *handle) {
	CALL(CONTEXT);
	Stream *s = stream_of(handle);
	REQUIRE(s, CUDA_ERROR_INVALID_HANDLE);
	if (s->capturing) {
		s->invalid = true;
		return call.fail(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "the stream is being captured");
	}
	return flush(call, s);
}

API CUresult cuStreamGetFlags(void *handle, unsigned *flags) {
	CALL(CONTEXT);
	Stream *s = stream_of(handle);
	REQUIRE(s, CUDA_ERROR_INVALID_HANDLE);
	REQUIRE(flags, CUDA_ERROR_INVALID_VALUE);
	*flags = s->non_blocking;
	return CUDA_SUCCESS;
}

API CUresult cuStreamIsCapturing(void *handle, int *status) {
	CALL(CONTEXT);
	Stream *s = stream_of(handle);
	REQUIRE(s, CUDA_ERROR_INVALID_HANDLE);
	REQUIRE(status, CUDA_ERROR_INVALID_VALUE);
	*status = !s->capturing ? 0 : s->invalid ? 2 : 1;
	return CUDA_SUCCESS;
}

API CUresult cuStreamBeginCapture_v2(void *handle, int mode) {
	CALL(CONTEXT);
	Stream *s = stream_of(handle);
	REQUIRE(s, CUDA_ERROR_INVALID_HANDLE);
	REQUIRE(s != s->context->legacy, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "the legacy default stream cannot be captured");
	REQUIRE(mode >= CAPTURE_GLOBAL && mode <= CAPTURE_RELAXED, CUDA_ERROR_INVALID_VALUE);
	REQUIRE(!s->capturing, CUDA_ERROR_ILLEGAL_STATE, "the stream is being captured already");
	s->capturing = true;
	s->invalid = false;
	s->mode = mode;
	s->thread = thread_id();
	s->captured.clear();
	s->origin = s;
	s->branch = 0;
	s->branches = {0};
	return CUDA_SUCCESS;
}

// join makes a stream part of the capture that another has begun.
static void join(Stream *s, Stream *origin) {
	s->capturing = true;
	s->invalid = false;
	s->mode = origin->mode;
	s->thread = origin->thread;
	s->origin = origin;
	s->branch = int(origin->branches.size());
	origin->branches.push_back(0);
}

// joined says whether the stream that began a capture waits for all that other streams have given it, directly or by others.
static bool joined(const Stream *origin) {
	vector<size_t> reached(origin->branches.size());
	reached[0] = origin->branches[0];
	for (bool more = true; more;) {
		more = false;
		vector<size_t> seen(reached.size());
		for (const Node &n : origin->captured)
			if (seen[size_t(n.branch)]++ < reached[size_t(n.branch)] && n.kind == Node::WAIT && reached[size_t(n.other)] < n.until)
				reached[size_t(n.other)] = n.until, more = true;
	}
	return reached == origin->branches;
}

API CUresult cuStreamEndCapture(void *handle, Graph **graph) {
	CALL(CONTEXT);
	Stream *s = stream_of(handle);
	REQUIRE(s, CUDA_ERROR_INVALID_HANDLE);
	REQUIRE(graph, CUDA_ERROR_INVALID_VALUE);
	*graph = nullptr;
	REQUIRE(s->capturing, CUDA_ERROR_ILLEGAL_STATE, "the stream is not being captured");
	REQUIRE(s->mode == CAPTURE_RELAXED || s->thread == thread_id(), CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD);
	REQUIRE(s->origin == s, CUDA_ERROR_STREAM_CAPTURE_UNMATCHED, "another stream began the capture");
	bool invalid = false;
	for (Stream *other : streams)
		if (other->capturing && other->origin == s) {
			invalid |= other->invalid;
			other->capturing = other->invalid = false;
			other->origin = nullptr;
		}
	bool whole = joined(s);
	vector<Node> nodes;
	nodes.swap(s->captured);
	REQUIRE(!invalid, CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
	REQUIRE(whole, CUDA_ERROR_STREAM_CAPTURE_UNJOINED, "the stream that began the capture does not wait for the work of another");
	*graph = new Graph{move(nodes)};
	graphs.insert(*graph);
	return CUDA_SUCCESS;
}

API CUresult cuLaunchHostFunc(void *handle, void (*f)(void *), void *argument) {
	CALL(CONTEXT);
	Stream *s = stream_of(handle);
	REQUIRE(s, CUDA_ERROR_INVALID_HANDLE, "no such stream");
	REQUIRE(f, CUDA_ERROR_INVALID_VALUE);
	Node node{};
	node.kind = Node::HOST;
	node.host = f, node.argument = argument;
	vector<Node> nodes;
	nodes.push_back(move(node));
	return submit(call, s, move(nodes));
}

// ---- Events ----

static CUresult event_of(Call &call, void *handle, Event **e) {
	*e = static_cast<Event *>(handle);
	REQUIRE(events.count(*e), CUDA_ERROR_INVALID_HANDLE, "no such event");
	return CUDA_SUCCESS;
}

API CUresult cuEventCreate(Event **event, unsigned flags) {
	CALL(CONTEXT);
	REQUIRE(event && flags <= 3, CUDA_ERROR_INVALID_VALUE);
	*event = new Event{current(), !(flags & 2)};
	events.insert(*event);
	return CUDA_SUCCESS;
}

API CUresult cuEventDestroy_v2(void *handle) {
	CALL(CONTEXT);
	Event *e;
	if (CUresult r = event_of(call, handle, &e)) return r;
	if (CUresult r = pass(call, e, e->recorded)) return r;
	events.erase(e);
	delete e;
	return CUDA_SUCCESS;
}

API CUresult cuEventRecord(void *handle, void *stream) {
	CALL(CONTEXT);
	Event *e;
	if (CUresult r = event_of(call, handle, &e)) return r;
	Stream *s = stream_of(stream);
	REQUIRE(s, CUDA_ERROR_INVALID_HANDLE, "no such stream");
	if (CUresult r = pass(call, e, e->recorded)) return r; // an event has one place at a time
	e->origin = s->capturing ? s->origin : nullptr;
	if (s->capturing) {
		e->branch = s->branch;
		e->until = s->origin->branches[size_t(s->branch)];
		return CUDA_SUCCESS;
	}
	e->stream = s;
	e->asked = false;
	Node node{};
	node.kind = Node::RECORD;
	node.event = e, node.turn = ++e->recorded;
	vector<Node> nodes;
	nodes.push_back(move(node));
	return submit(call, s, move(nodes));
}

API CUresult cuStreamWaitEvent(void *stream, void *handle, unsigned flags) {
	CALL(CONTEXT);
	Event *e;
	if (CUresult r = event_of(call, handle, &e)) return r;
	Stream *s = stream_of(stream);
	REQUIRE(s, CUDA_ERROR_INVALID_HANDLE, "no such stream");
	REQUIRE(!flags, CUDA_ERROR_INVALID_VALUE);
	const bool ignored = set_by_user.no_wait.count(s->second ? "second" : "first");
	Node node{};
	node.kind = Node::WAIT;
	if (s->capturing || e->origin) {
		REQUIRE(!e->origin || e->origin->capturing, CUDA_ERROR_CAPTURED_EVENT, "the event was recorded in a capture that has ended");
		REQUIRE(e->origin, CUDA_ERROR_STREAM_CAPTURE_ISOLATION, "the event was not recorded in the capture");
		REQUIRE(!s->capturing || s->origin == e->origin, CUDA_ERROR_STREAM_CAPTURE_MERGE, "the event belongs to another capture");
		REQUIRE(s != s->context->legacy, CUDA_ERROR_STREAM_CAPTURE_IMPLICIT);
		if (!s->capturing) join(s, e->origin);
		node.other = e->branch, node.until = e->until, node.ignored = ignored;
		vector<Node> nodes;
		nodes.push_back(move(node));
		return submit(call, s, move(nodes));
	}
	if (ignored) return CUDA_SUCCESS;
	node.event = e, node.turn = e->recorded;
	vector<Node> nodes;
	nodes.push_back(move(node));
	return submit(call, s, move(nodes));
}

API CUresult cuEventSynchronize(void *handle) {
	CALL(CONTEXT | NO_CAPTURE);
	Event *e;
	if (CUresult r = event_of(call, handle, &e)) return r;
	REQUIRE(!e->origin, CUDA_ERROR_CAPTURED_EVENT, "the event was recorded in a capture");
	if (set_by_user.no_wait.count("host")) return CUDA_SUCCESS;
	return pass(call, e, e->recorded);
}

// An event that is asked for is late once, and then there.
API CUresult cuEventQuery(void *handle) {
	CALL(CONTEXT | NO_CAPTURE);
	Event *e;
	if (CUresult r = event_of(call, handle, &e)) return r;
	REQUIRE(!e->origin, CUDA_ERROR_CAPTURED_EVENT, "the event was recorded in a capture");
	if (e->passed < e->recorded && !e->asked) {
		e->asked = true;
		return CUDA_ERROR_NOT_READY;
	}
	return pass(call, e, e->recorded);
}

API CUresult cuEventElapsedTime(float *ms, void *from, void *to) {
	CALL(CONTEXT);
	Event *a, *b;
	if (CUresult r = event_of(call, from, &a)) return r;
	if (CUresult r = event_of(call, to, &b)) return r;
	REQUIRE(ms, CUDA_ERROR_INVALID_VALUE);
	REQUIRE(a->timed && b->timed && a->recorded && b->recorded, CUDA_ERROR_INVALID_HANDLE, "an event without a time");
	if (a->passed < a->recorded || b->passed < b->recorded) return CUDA_ERROR_NOT_READY;
	*ms = float(1e3 * (b->time - a->time));
	return CUDA_SUCCESS;
}

// ---- Graphs ----

// in_turn puts the nodes of a graph one after the other: branches other than the first run as late as its waits allow; with
// SIGMAZ_SIM_LAZY=1 the first does. So a wait that is missing shows in the one or in the other.
static vector<Node> in_turn(const vector<Node> &nodes) {
	vector<vector<const Node *>> branches;
	for (const Node &n : nodes) {
		if (branches.size() <= size_t(n.branch)) branches.resize(size_t(n.branch) + 1);
		branches[size_t(n.branch)].push_back(&n);
	}
	vector<size_t> done(branches.size());
	vector<Node> list;
	function<void(size_t, size_t)> run = [&](size_t branch, size_t until) {
		while (done[branch] < until) {
			const Node &n = *branches[branch][done[branch]++];
			if (n.kind != Node::WAIT) list.push_back(n);
			else if (!n.ignored) run(size_t(n.other), n.until);
		}
	};
	for (size_t i = 0; i < branches.size(); i++) {
		size_t branch = set_by_user.lazy == 1 ? branches.size() - 1 - i : i;
		run(branch, branches[branch].size());
	}
	return list;
}

static CUresult instantiate(Call &call, Graph **exec, Graph *graph) {
	REQUIRE(exec, CUDA_ERROR_INVALID_VALUE);
	REQUIRE(graphs.count(graph), CUDA_ERROR_INVALID_HANDLE, "no such graph");
	*exec = new Graph{in_turn(graph->nodes)};
	execs.insert(*exec);
	return CUDA_SUCCESS;
}

// CUDA 11 and 12 give the name cuGraphInstantiate different arguments; cuGraphInstantiateWithFlags is the same in both.
API CUresult cuGraphInstantiate(Graph **exec, Graph *graph, void *, char *, size_t) {
	CALL(CONTEXT | NO_CAPTURE);
	return instantiate(call, exec, graph);
}

API CUresult cuGraphInstantiate_v2(Graph **exec, Graph *graph, void *, char *, size_t) {
	CALL(CONTEXT | NO_CAPTURE);
	return instantiate(call, exec, graph);
}

API CUresult cuGraphInstantiateWithFlags(Graph **exec, Graph *graph, unsigned long long) {
	CALL(CONTEXT | NO_CAPTURE);
	return instantiate(call, exec, graph);
}

API CUresult cuGraphGetNodes(Graph *graph, void **nodes, size_t *n) {
	CALL(CONTEXT);
	REQUIRE(graphs.count(graph), CUDA_ERROR_INVALID_HANDLE, "no such graph");
	REQUIRE(n && !nodes, CUDA_ERROR_INVALID_VALUE, "only the number of nodes can be asked for");
	*n = size_t(count_if(graph->nodes.begin(), graph->nodes.end(), [](const Node &node) { return node.kind != Node::WAIT; }));
	return CUDA_SUCCESS;
}

API CUresult cuGraphUpload(Graph *exec, void *handle) {
	CALL(CONTEXT);
	REQUIRE(execs.count(exec), CUDA_ERROR_INVALID_HANDLE, "no such executable graph");
	REQUIRE(stream_of(handle), CUDA_ERROR_INVALID_HANDLE);
	return CUDA_SUCCESS;
}

API CUresult cuGraphLaunch(Graph *exec, void *handle) {
	CALL(CONTEXT);
	Stream *s = stream_of(handle);
	REQUIRE(execs.count(exec), CUDA_ERROR_INVALID_HANDLE, "no such executable graph");
	REQUIRE(s, CUDA_ERROR_INVALID_HANDLE, "no such stream");
	if (!s->capturing && !late(s) && s != s->context->legacy) { // without a copy of the nodes
		for (Node &n : exec->nodes)
			if (CUresult r = run_node(call, n)) return r;
		return CUDA_SUCCESS;
	}
	return submit(call, s, exec->nodes);
}

API CUresult cuGraphExecDestroy(Graph *exec) {
	CALL(INIT);
	REQUIRE(execs.erase(exec), CUDA_ERROR_INVALID_HANDLE, "no such executable graph");
	delete exec;
	return CUDA_SUCCESS;
}

API CUresult cuGraphDestroy(Graph *graph) {
	CALL(INIT);
	REQUIRE(graphs.erase(graph), CUDA_ERROR_INVALID_HANDLE, "no such graph");
	delete graph;
	return CUDA_SUCCESS;
}

// ---- Modules, functions, launches ----

static CUresult load(Call &call, Module **module, const void *image) {
	REQUIRE(module && image, CUDA_ERROR_INVALID_VALUE);
	const string text = static_cast<const char *>(image);
	int version, target;
	head(text, &version, &target);
	REQUIRE(version, CUDA_ERROR_INVALID_IMAGE, "not PTX: no .version");
	REQUIRE(target, CUDA_ERROR_INVALID_PTX, "no .target sm_");
	REQUIRE(version <= ptx_version(), CUDA_ERROR_UNSUPPORTED_PTX_VERSION,
		format("PTX of version %d.%d, this driver reads up to %d.%d", version / 10, version % 10, ptx_version() / 10,
			ptx_version() % 10));
	REQUIRE(target <= capability(), CUDA_ERROR_NO_BINARY_FOR_GPU,
		format("PTX for sm_%d, the device is sm_%d", target, capability()));
	const SimModule *translated = sim_modules;
	for (const uint64_t hash = sim_hash(text.data(), text.size()); translated && translated->text != hash;)
		translated = translated->next;
	REQUIRE(
		translated, CUDA_ERROR_INVALID_PTX, "the stand-in was not built from this PTX: run cuda/sim/build.sh again");
	auto m = make_unique<Module>();
	m->context = current();
	m->translated = translated;
	m->version = version;
	*module = m.get();
	modules.insert(m.release());
	return CUDA_SUCCESS;
}

API CUresult cuModuleLoadData(Module **module, const void *image) {
	CALL(CONTEXT | NO_CAPTURE);
	return load(call, module, image);
}

API CUresult cuModuleLoadDataEx(Module **module, const void *image, unsigned, int *, void **) {
	CALL(CONTEXT | NO_CAPTURE);
	return load(call, module, image);
}

API CUresult cuModuleUnload(Module *m) {
	CALL(CONTEXT | NO_CAPTURE);
	REQUIRE(modules.count(m), CUDA_ERROR_INVALID_HANDLE, "no such module");
	if (CUresult r = flush_all(call, current())) return r;
	modules.erase(m);
	for (auto &f : m->functions) functions.erase(f.second.get());
	delete m;
	return CUDA_SUCCESS;
}

API CUresult cuModuleGetFunction(Function **function, Module *m, const char *name) {
	CALL(CONTEXT);
	REQUIRE(function && name, CUDA_ERROR_INVALID_VALUE);
	REQUIRE(modules.count(m), CUDA_ERROR_INVALID_HANDLE, "no such module");
	const SimKernel *k = nullptr;
	for (int i = 0; i < m->translated->count; i++)
		if (!strcmp(m->translated->kernels[i].name, name)) k = &m->translated->kernels[i];
	REQUIRE(k, CUDA_ERROR_NOT_FOUND, string("the PTX has no entry ") + name);
	auto &f = m->functions[name];
	if (!f) {
		f = make_unique<Function>();
		f->module = m;
		f->kernel = k;
		f->dynamic_max -= min<unsigned>(48 << 10, k->shared_bytes);
		functions.insert(f.get());
	}
	*function = f.get();
	return CUDA_SUCCESS;
}

API CUresult cuFuncSetAttribute(Function *f, int attribute, int value) {
	CALL(CONTEXT);
	REQUIRE(functions.count(f), CUDA_ERROR_INVALID_HANDLE, "no such function");
	switch (attribute) {
	case 8: // dynamic shared memory
		REQUIRE(value >= 0 && unsigned(value) + f->kernel->shared_bytes <= 163 << 10, CUDA_ERROR_INVALID_VALUE,
			format("%d bytes of dynamic and %u of static shared memory, the device has %d", value,
				f->kernel->shared_bytes, 163 << 10));
		f->dynamic_max = value;
		return CUDA_SUCCESS;
	case 9: // preferred share of shared memory
		return CUDA_SUCCESS;
	}
	return call.fail(CUDA_ERROR_INVALID_VALUE, format("attribute %d cannot be set", attribute));
}

API CUresult cuFuncGetAttribute(int *value, int attribute, Function *f) {
	CALL(CONTEXT);
	REQUIRE(value, CUDA_ERROR_INVALID_VALUE);
	REQUIRE(functions.count(f), CUDA_ERROR_INVALID_HANDLE, "no such function");
	switch (attribute) {
	case 0: *value = f->kernel->max_threads ? int(f->kernel->max_threads) : 1024; break;
	case 1: *value = int(f->kernel->shared_bytes); break;
	case 2: case 3: case 7: *value = 0; break;
	case 4: *value = 32; break; // registers: unknown
	case 5: *value = f->module->version; break;
	case 6: *value = capability(); break;
	case 8: *value = f->dynamic_max; break;
	case 9: *value = -1; break;
	default: return call.fail(CUDA_ERROR_INVALID_VALUE, format("unknown attribute %d", attribute));
	}
	return CUDA_SUCCESS;
}

API CUresult cuFuncSetCacheConfig(Function *f, int) {
	CALL(CONTEXT);
	REQUIRE(functions.count(f), CUDA_ERROR_INVALID_HANDLE, "no such function");
	return CUDA_SUCCESS;
}

API CUresult cuLaunchKernel(Function *f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
	unsigned shared, void *handle, void **params, void **extra) {
	CALL(CONTEXT);
	REQUIRE(functions.count(f), CUDA_ERROR_INVALID_HANDLE, "no such function");
	Stream *s = stream_of(handle);
	REQUIRE(s, CUDA_ERROR_INVALID_HANDLE, "no such stream");
	const SimKernel *k = f->kernel;
	auto wrong = [&](CUresult code, const string &what) {
		return call.fail(code, string("kernel ") + k->name + ": " + what);
	};

	if (!gx || !gy || !gz || gx > 2147483647u || gy > 65535 || gz > 65535)
		return wrong(CUDA_ERROR_INVALID_VALUE, format("a grid of (%u,%u,%u) blocks", gx, gy, gz));
	if (!bx || !by || !bz || bx > 1024 || by > 1024 || bz > 64 || uint64_t(bx) * by * bz > 1024)
		return wrong(CUDA_ERROR_INVALID_VALUE, format("a block of (%u,%u,%u) threads", bx, by, bz));
	if (k->max_threads && bx * by * bz > k->max_threads)
		return wrong(CUDA_ERROR_INVALID_VALUE,
			format("a block of (%u,%u,%u) threads, its launch bound is %u", bx, by, bz, k->max_threads));
	if (k->required[0] && (bx != k->required[0] || by != k->required[1] || bz != k->required[2]))
		return wrong(CUDA_ERROR_INVALID_VALUE,
			format("a block of (%u,%u,%u) threads, it requires (%u,%u,%u)", bx, by, bz, k->required[0], k->required[1],
				k->required[2]));
	if (long(shared) > f->dynamic_max)
		return wrong(CUDA_ERROR_INVALID_VALUE,
			format("%u bytes of dynamic shared memory, %d are allowed beside %u static ones (cuFuncSetAttribute raises "
				   "it)",
				shared, f->dynamic_max, k->shared_bytes));
	REQUIRE(!extra, CUDA_ERROR_NOT_SUPPORTED, "arguments in a buffer (extra)");
	REQUIRE(params || !k->param_count, CUDA_ERROR_INVALID_VALUE, "no arguments");

	Node n{};
	n.kind = Node::LAUNCH;
	n.function = f;
	n.grid = {gx, gy, gz};
	n.block = {bx, by, bz};
	n.shared = shared;
	n.params.resize(k->param_bytes);
	// The driver is not told how many arguments there are. Arguments in successive 8-byte cells, as this project passes
	// them, give themselves away when one was put as a wider type than the kernel's: the rest of its cell is not empty.
	bool cells = true;
	for (int i = 0; i + 1 < k->param_count && cells; i++) cells = static_cast<char *>(params[i]) + 8 == params[i + 1];
	for (int i = 0; i < k->param_count; i++) {
		const SimParam &p = k->params[i];
		uintptr_t at = reinterpret_cast<uintptr_t>(params[i]) & ~uintptr_t(7);
		if (!readable(reinterpret_cast<void *>(at)))
			return wrong(CUDA_ERROR_INVALID_VALUE,
				format("argument %d of %d cannot be read: are there too few?", i, k->param_count));
		if (cells && p.size == 4 && p.kind != 'b') {
			int value, rest;
			memcpy(&value, params[i], 4);
			memcpy(&rest, static_cast<char *>(params[i]) + 4, 4);
			if (rest != 0 && !(rest == -1 && value < 0 && p.kind == 'i'))
				return wrong(
					CUDA_ERROR_INVALID_VALUE, format("argument %d takes 4 bytes (%s), its cell holds 8", i, p.text));
		}
		memcpy(&n.params[p.offset], params[i], p.size);
	}
	vector<Node> nodes;
	nodes.push_back(move(n));
	return submit(call, s, move(nodes));
}

// ---- Errors ----

API CUresult cuGetErrorName(int code, const char **name) {
	lock_guard<mutex> guard(lock_all);
	if (!name) return CUDA_ERROR_INVALID_VALUE;
	*name = error_name(code);
	return *name ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

// cuGetErrorString gives the driver's text and, where there is more to say of the last error of that code, says it.
API CUresult cuGetErrorString(int code, const char **text) {
	lock_guard<mutex> guard(lock_all);
	if (!text) return CUDA_ERROR_INVALID_VALUE;
	*text = error_text(code);
	if (!*text) return CUDA_ERROR_INVALID_VALUE;
	auto it = details.find(code);
	if (it != details.end() && !it->second.empty()) {
		static set<string> kept; // strings live as long as the program
		*text = kept.insert(string(*text) + " (" + it->second + ")").first->c_str();
	}
	return CUDA_SUCCESS;
}

// ---- The rest of what gorgonia.org/cu links ----

#define X(name)                                                                                                       \
	API CUresult name(void) {                                                                                         \
		Call call(#name, NOTHING);                                                                                    \
		return call.fail(CUDA_ERROR_NOT_SUPPORTED, "the stand-in does not answer this call");                         \
	}
#include "stubs.inc"
#undef X
