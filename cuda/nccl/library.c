//go:build cgo && !nocuda

// The library, opened when it is asked for. The declarations are those of nccl.h from version 2.14 on, which later ones keep.
#define _GNU_SOURCE
#include "library.h"

#include <dlfcn.h>
#include <string.h>

typedef void *Comm;
typedef struct { char bytes[128]; } Id;
enum { SUCCESS = 0, IN_PROGRESS = 7, FLOAT32 = 7, VERSION = 21400 };

// The configuration of 2.14. Newer versions look at its size and version, and choose what it lacks.
typedef struct {
	size_t size;
	unsigned magic, version;
	int blocking;
} Config;

static void *library;
static int (*get_version)(int *);
static int (*get_id)(Id *);
static int (*init)(Comm *, int, Id, int, Config *);
static int (*get_state)(Comm, int *);
static int (*finalize)(Comm);
static int (*destroy)(Comm);
static int (*abort_now)(Comm);
static const char *(*text)(int);
static const char *(*last)(Comm);
static int (*group_start)(void);
static int (*group_end)(void);
static int (*send_to)(const void *, size_t, int, int, Comm, void *);
static int (*receive)(void *, size_t, int, int, Comm, void *);
static int (*all_gather)(const void *, void *, size_t, int, Comm, void *);

static const struct {
	const char *name;
	void **call;
} calls[] = {
	{"ncclGetUniqueId", (void **)&get_id},
	{"ncclCommInitRankConfig", (void **)&init},
	{"ncclCommGetAsyncError", (void **)&get_state},
	{"ncclCommFinalize", (void **)&finalize},
	{"ncclCommDestroy", (void **)&destroy},
	{"ncclCommAbort", (void **)&abort_now},
	{"ncclGetErrorString", (void **)&text},
	{"ncclGetLastError", (void **)&last},
	{"ncclGroupStart", (void **)&group_start},
	{"ncclGroupEnd", (void **)&group_end},
	{"ncclSend", (void **)&send_to},
	{"ncclRecv", (void **)&receive},
	{"ncclAllGather", (void **)&all_gather},
};

const char *sigmaz_nccl_load(int *version)
{
	if (!library && !(library = dlopen("libnccl.so.2", RTLD_NOW | RTLD_LOCAL))) {
		const char *why = dlerror();
		return why ? why : "libnccl.so.2 is not there";
	}
	*(void **)&get_version = dlsym(library, "ncclGetVersion");
	if (!get_version || get_version(version) != SUCCESS) return "its libnccl.so.2 does not say its version";
	return NULL;
}

const char *sigmaz_nccl_find(void)
{
	for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
		if (!(*calls[i].call = dlsym(library, calls[i].name))) return calls[i].name;
	return NULL;
}

int sigmaz_nccl_id(void *id) { return get_id(id); }

int sigmaz_nccl_init(void **comm, int size, const void *id, int rank)
{
	Config config = {sizeof config, 0xcafebeef, VERSION, 0};
	Id copy;
	memcpy(&copy, id, sizeof copy);
	return init(comm, size, copy, rank, &config);
}

int sigmaz_nccl_state(void *comm, int *state) { return get_state(comm, state); }
int sigmaz_nccl_finalize(void *comm) { return finalize(comm); }
int sigmaz_nccl_destroy(void *comm) { return destroy(comm); }
int sigmaz_nccl_abort(void *comm) { return abort_now(comm); }
const char *sigmaz_nccl_text(int result) { return text(result); }
const char *sigmaz_nccl_last(void *comm) { return last(comm); }

int sigmaz_nccl_exchange(void *comm, int rank, int size, uint64_t from, uint64_t to, size_t n, void *stream)
{
	int first = group_start();
	if (first) return first;
	// Each rank begins with the one after it, so that not all send to the same.
	for (int apart = 1; apart < size && !first; apart++) {
		size_t next = (size_t)((rank + apart) % size), before = (size_t)((rank + size - apart) % size);
		first = send_to((const char *)(uintptr_t)from + 4 * n * next, n, FLOAT32, (int)next, comm, stream);
		if (!first || first == IN_PROGRESS)
			first = receive((char *)(uintptr_t)to + 4 * n * before, n, FLOAT32, (int)before, comm, stream);
		if (first == IN_PROGRESS) first = SUCCESS; // that of the group counts
	}
	int end = group_end();
	return first ? first : end;
}

int sigmaz_nccl_all_gather(void *comm, int rank, uint64_t all, size_t n, void *stream)
{
	char *own = (char *)(uintptr_t)all + 4 * n * (size_t)rank;
	return all_gather(own, (void *)(uintptr_t)all, n, FLOAT32, comm, stream);
}
