// A stand-in for NCCL: libnccl.so.2 with the calls that package cuda/nccl makes, for ranks that are processes of this machine.
// Windows go through memory that they share, from a function of the host that is queued on the caller's stream: when it runs
// the stand-in driver decides, so what does not wait for a window finds what was there before.
//
// Communicators do not block: a call returns "in progress", a thread of its own does what it asks for, and
// ncclCommGetAsyncError says when it is done. Faults, by SIGMAZ_SIM_NCCL_FAULT (separated by commas), of rank R when it comes
// to its N-th exchange:
//
//	old         the library is NCCL 2.10.3
//	no-graphs   it is NCCL 2.21.5, in which graphs of an aborted communicator are no longer safe
//	id:R        rank R was given another id
//	kill:R:N    it is killed by SIGKILL, half of its first window sent
//	stop:R:N    it is stopped by SIGSTOP
//	lost:R:N    its device is lost: the communicator's state is ncclUnhandledCudaError
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

using namespace std;

#define API extern "C" __attribute__((visibility("default")))

// Of the driver.
extern "C" int cuLaunchHostFunc(void *stream, void (*f)(void *), void *argument);
extern "C" int cuCtxGetCurrent(void **context);
extern "C" int cuCtxPushCurrent_v2(void *context);
extern "C" int cuCtxPopCurrent_v2(void **context);

enum Result { SUCCESS, CUDA_ERROR, SYSTEM_ERROR, INTERNAL_ERROR, INVALID_ARGUMENT, INVALID_USAGE, REMOTE_ERROR, IN_PROGRESS };

struct Config {
	size_t size;
	unsigned magic, version;
	int blocking;
};

// Id is what a communicator is called: the name of its shared memory, which ends in a number, and that number.
struct Id {
	char name[64];
	uint64_t number;
	char rest[56];
};
static_assert(sizeof(Id) == 128, "an id has 128 bytes");

namespace {

const int MOST = 64;      // ranks
const size_t RING = 65536; // bytes on their way from a rank to another

// Ring has what one rank has sent to another: bytes are counted.
struct Ring {
	atomic<uint64_t> written, taken;
	char bytes[RING];
};

struct Shared {
	atomic<int> joined;
	atomic<int> here[MOST];
	Ring rings[1]; // size * size, by sender and receiver
};

struct Part { // of a group: a window to or from a rank
	bool send;
	int peer;
	char *at;
	uint64_t bytes;
	uint64_t done; // with 8 bytes before the window that say how long it is
	uint64_t length;
};

struct Comm;

struct Group {
	Comm *comm;
	vector<Part> parts;
};

struct Comm {
	int rank, size;
	Id id;
	Shared *shared = nullptr;
	size_t bytes = 0;
	atomic<int> state{SUCCESS};
	atomic<bool> aborted{false};
	atomic<int> turns{0}; // groups that were run
	thread worker;
	mutex lock;
	vector<unique_ptr<Group>> groups; // a captured one runs again and again
};

// Fault is one that the environment asks for.
bool fault(const char *what, int rank, int turn) {
	string all = getenv("SIGMAZ_SIM_NCCL_FAULT") ? getenv("SIGMAZ_SIM_NCCL_FAULT") : "";
	char want[64];
	if (rank < 0) snprintf(want, sizeof want, ",%s,", what);
	else if (turn < 0) snprintf(want, sizeof want, ",%s:%d,", what, rank);
	else snprintf(want, sizeof want, ",%s:%d:%d,", what, rank, turn);
	return ("," + all + ",").find(want) != string::npos;
}

thread_local string said; // ncclGetLastError
mutex said_lock;
string said_last;

int fail(int result, const string &what) {
	lock_guard<mutex> guard(said_lock);
	said_last = what;
	return result;
}

void pause_a_little(int idle) {
	if (idle < 50) {
		sched_yield();
		return;
	}
	timespec t = {0, 50000};
	nanosleep(&t, nullptr);
}

// move_bytes does as much of a part as can be done now, and says whether that was anything.
bool move_bytes(Comm *c, Part &p) {
	Ring &r = p.send ? c->shared->rings[c->rank * c->size + p.peer] : c->shared->rings[p.peer * c->size + c->rank];
	uint64_t written = r.written.load(memory_order_acquire), taken = r.taken.load(memory_order_acquire);
	bool any = false;
	while (p.done < p.bytes + 8) {
		uint64_t position = p.send ? written : taken, room = p.send ? RING - (written - taken) : written - taken;
		if (!room) break;
		bool head = p.done < 8;
		char *at = head ? reinterpret_cast<char *>(&p.length) + p.done : p.at + (p.done - 8);
		uint64_t n = min<uint64_t>(min<uint64_t>(room, RING - position % RING), head ? 8 - p.done : p.bytes + 8 - p.done);
		char *ring = r.bytes + position % RING;
		memcpy(p.send ? ring : at, p.send ? at : ring, n);
		p.done += n;
		any = true;
		if (p.send) r.written.store(written += n, memory_order_release);
		else r.taken.store(taken += n, memory_order_release);
		if (!p.send && p.done == 8 && p.length != p.bytes) {
			fprintf(stderr, "sigmaz stand-in: nccl: rank %d expects %llu bytes of rank %d, which sends %llu\n", c->rank,
				(unsigned long long)p.bytes, p.peer, (unsigned long long)p.length);
			c->state = fail(INVALID_USAGE, "windows of two ranks differ in length");
			return false;
		}
	}
	return any;
}

// run does what a group asks for: called when its stream gets to it.
void run(void *argument) {
	Group *g = static_cast<Group *>(argument);
	Comm *c = g->comm;
	vector<Part> parts = g->parts;
	const int turn = ++c->turns;
	if (fault("kill", c->rank, turn)) {
		for (Part &p : parts) {
			if (!p.send) continue;
			p.bytes /= 2;
			move_bytes(c, p);
			break;
		}
		raise(SIGKILL);
	}
	if (fault("stop", c->rank, turn)) raise(SIGSTOP);
	if (fault("lost", c->rank, turn)) {
		c->state = fail(CUDA_ERROR, "the device is lost, as SIGMAZ_SIM_NCCL_FAULT asks");
		return;
	}
	int idle = 0;
	for (bool busy = true; busy;) {
		busy = false;
		bool any = false;
		for (Part &p : parts) {
			if (c->aborted || (c->state != SUCCESS && c->state != IN_PROGRESS)) return;
			any |= move_bytes(c, p);
			busy |= p.done < p.bytes + 8;
		}
		idle = any ? 0 : idle + 1;
		if (idle) pause_a_little(idle);
	}
}

// behind starts a thread that does something for the communicator, whose state is then "in progress".
template <class F> int behind(Comm *c, F f) {
	if (c->worker.joinable()) c->worker.join();
	if (c->state != SUCCESS) return c->state;
	void *context = nullptr;
	cuCtxGetCurrent(&context);
	c->state = IN_PROGRESS;
	c->worker = thread([c, f, context] {
		if (context) cuCtxPushCurrent_v2(context);
		int result = f();
		int expected = IN_PROGRESS;
		c->state.compare_exchange_strong(expected, result);
		void *old;
		if (context) cuCtxPopCurrent_v2(&old);
	});
	return IN_PROGRESS;
}

thread_local int depth;
thread_local Comm *group_comm;
thread_local void *group_stream;
thread_local vector<Part> group_parts;

int add(Comm *c, void *stream, initializer_list<Part> parts) {
	if (!c || (depth && group_comm && (group_comm != c || group_stream != stream))) return fail(INVALID_USAGE, "one communicator and stream a group");
	for (const Part &p : parts) {
		if (p.peer < 0 || p.peer >= c->size || p.peer == c->rank) return fail(INVALID_ARGUMENT, "no such rank");
		group_parts.push_back(p);
	}
	group_comm = c, group_stream = stream;
	return SUCCESS;
}

int end_group() {
	Comm *c = group_comm;
	void *stream = group_stream;
	auto g = make_unique<Group>();
	g->comm = c;
	g->parts.swap(group_parts);
	group_comm = nullptr;
	if (!c) return SUCCESS;
	for (Part &p : g->parts)
		if (p.send) p.length = p.bytes;
	Group *group = g.get();
	{
		lock_guard<mutex> guard(c->lock);
		c->groups.push_back(move(g));
	}
	return behind(c, [stream, group] { return cuLaunchHostFunc(stream, run, group) ? int(CUDA_ERROR) : int(SUCCESS); });
}

int join(Comm *c) {
	const Id &id = c->id;
	char number[24];
	snprintf(number, sizeof number, "-%llx", (unsigned long long)id.number);
	if (!strstr(id.name, number)) return fail(REMOTE_ERROR, "the other ranks have another id");
	c->bytes = sizeof(Shared) + sizeof(Ring) * size_t(c->size) * size_t(c->size);
	int file = shm_open(id.name, O_RDWR | O_CREAT, 0600);
	if (file < 0 || ftruncate(file, off_t(c->bytes))) return fail(SYSTEM_ERROR, "no shared memory");
	void *p = mmap(nullptr, c->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	close(file);
	if (p == MAP_FAILED) return fail(SYSTEM_ERROR, "no shared memory");
	c->shared = static_cast<Shared *>(p);
	if (c->shared->here[c->rank].exchange(1)) return fail(INVALID_USAGE, "two processes are the same rank");
	if (++c->shared->joined == c->size) shm_unlink(id.name);
	for (int idle = 0; c->shared->joined < c->size && !c->aborted; idle++) pause_a_little(idle);
	return c->aborted ? INTERNAL_ERROR : SUCCESS;
}

int leave(Comm *c) {
	if (c->worker.joinable()) c->worker.join();
	if (c->shared && c->shared->joined < c->size) shm_unlink(c->id.name);
	// Neither the memory nor the communicator is given back: its work may still stand on a stream.
	return SUCCESS;
}

} // namespace

API int ncclGetVersion(int *version) {
	*version = fault("old", -1, -1) ? 21003 : fault("no-graphs", -1, -1) ? 22105 : 22703;
	return SUCCESS;
}

API int ncclGetUniqueId(Id *id) {
	memset(id, 0, sizeof *id);
	timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	static atomic<int> count;
	id->number = (uint64_t(t.tv_nsec) << 32 ^ uint64_t(t.tv_sec)) | 1;
	snprintf(id->name, sizeof id->name, "/sigmaz-nccl-%d-%d-%llx", int(getpid()), ++count, (unsigned long long)id->number);
	return SUCCESS;
}

API int ncclCommInitRankConfig(Comm **comm, int size, Id id, int rank, Config *config) {
	if (!config || config->magic != 0xcafebeef || config->size < offsetof(Config, blocking) + sizeof(int))
		return fail(INVALID_ARGUMENT, "not a configuration");
	if (config->blocking) return fail(INVALID_ARGUMENT, "the stand-in does not block");
	if (size < 1 || size > MOST || rank < 0 || rank >= size) return fail(INVALID_ARGUMENT, "no such rank");
	void *context = nullptr;
	if (cuCtxGetCurrent(&context) || !context) return fail(CUDA_ERROR, "this thread has no current context");
	Comm *c = new Comm;
	c->rank = rank, c->size = size, c->id = id;
	if (fault("id", rank, -1)) c->id.number ^= 2;
	*comm = c;
	return behind(c, [c] { return join(c); });
}

API int ncclCommGetAsyncError(Comm *c, int *state) {
	*state = c->state;
	return SUCCESS;
}

API int ncclCommFinalize(Comm *c) { return c->state; }

API int ncclCommDestroy(Comm *c) { return leave(c); }

API int ncclCommAbort(Comm *c) {
	c->aborted = true;
	return leave(c);
}

API const char *ncclGetErrorString(int result) {
	static const char *const text[] = {"no error", "unhandled cuda error", "unhandled system error", "internal error",
		"invalid argument", "invalid usage", "remote process exited or there was a network error", "NCCL operation in progress"};
	return result >= 0 && result <= IN_PROGRESS ? text[result] : "unknown result code";
}

API const char *ncclGetLastError(Comm *) {
	lock_guard<mutex> guard(said_lock);
	said = said_last;
	return said.c_str();
}

API int ncclGroupStart() {
	depth++;
	return SUCCESS;
}

API int ncclGroupEnd() {
	if (!depth) return fail(INVALID_USAGE, "no group was begun");
	return --depth ? int(SUCCESS) : end_group();
}

// Only float32 is there.
API int ncclSend(const void *at, size_t n, int type, int peer, Comm *c, void *stream) {
	if (type != 7) return fail(INVALID_ARGUMENT, "the stand-in knows float32 alone");
	int r = add(c, stream, {{true, peer, static_cast<char *>(const_cast<void *>(at)), 4 * n, 0, 0}});
	return r || depth ? r : end_group();
}

API int ncclRecv(void *at, size_t n, int type, int peer, Comm *c, void *stream) {
	if (type != 7) return fail(INVALID_ARGUMENT, "the stand-in knows float32 alone");
	int r = add(c, stream, {{false, peer, static_cast<char *>(at), 4 * n, 0, 0}});
	return r || depth ? r : end_group();
}

API int ncclAllGather(const void *own, void *all, size_t n, int type, Comm *c, void *stream) {
	if (type != 7) return fail(INVALID_ARGUMENT, "the stand-in knows float32 alone");
	char *windows = static_cast<char *>(all), *mine = static_cast<char *>(const_cast<void *>(own));
	if (mine != windows + 4 * n * size_t(c->rank)) return fail(INVALID_USAGE, "the stand-in gathers in place alone");
	ncclGroupStart();
	int r = SUCCESS;
	for (int i = 0; i < c->size && !r; i++)
		if (i != c->rank) r = add(c, stream, {{true, i, mine, 4 * n, 0, 0}, {false, i, windows + 4 * n * size_t(i), 4 * n, 0, 0}});
	int end = ncclGroupEnd();
	return r ? r : end;
}
