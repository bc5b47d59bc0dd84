// Tries the stand-in driver from the outside. Run by test.sh with the library path set; the argument names a test that
// needs an environment of its own, none is the rest.
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

using namespace std;

// The driver's calls by the names that the headers give them.
extern "C" {
typedef uint64_t Ptr;
typedef void *Handle;
int cuInit(unsigned);
int cuDriverGetVersion(int *);
int cuDeviceGetCount(int *);
int cuDeviceGet(int *, int);
int cuDeviceGetName(char *, int, int);
int cuDeviceGetAttribute(int *, int, int);
int cuDevicePrimaryCtxRetain(Handle *, int);
int cuDevicePrimaryCtxRelease_v2(int);
int cuCtxSetCurrent(Handle);
int cuCtxSynchronize(void);
int cuMemGetInfo_v2(size_t *, size_t *);
int cuMemAlloc_v2(Ptr *, size_t);
int cuMemFree_v2(Ptr);
int cuMemAllocHost_v2(void **, size_t);
int cuMemFreeHost(void *);
int cuMemHostGetDevicePointer_v2(Ptr *, void *, unsigned);
int cuMemcpyHtoD_v2(Ptr, const void *, size_t);
int cuMemcpyDtoH_v2(void *, Ptr, size_t);
int cuMemcpyHtoDAsync_v2(Ptr, const void *, size_t, Handle);
int cuMemcpyDtoHAsync_v2(void *, Ptr, size_t, Handle);
int cuMemsetD8_v2(Ptr, unsigned char, size_t);
int cuMemsetD32_v2(Ptr, unsigned, size_t);
int cuMemsetD32Async(Ptr, unsigned, size_t, Handle);
int cuStreamCreate(Handle *, unsigned);
int cuStreamDestroy_v2(Handle);
int cuStreamSynchronize(Handle);
int cuStreamBeginCapture_v2(Handle, int);
int cuStreamEndCapture(Handle, Handle *);
int cuGraphInstantiateWithFlags(Handle *, Handle, unsigned long long);
int cuGraphGetNodes(Handle, Handle *, size_t *);
int cuGraphLaunch(Handle, Handle);
int cuGraphExecDestroy(Handle);
int cuGraphDestroy(Handle);
int cuModuleLoadData(Handle *, const void *);
int cuModuleUnload(Handle);
int cuModuleGetFunction(Handle *, Handle, const char *);
int cuFuncSetAttribute(Handle, int, int);
int cuFuncGetAttribute(int *, int, Handle);
int cuLaunchKernel(Handle, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, Handle, void **, void **);
int cuGetErrorName(int, const char **);
int cuGetErrorString(int, const char **);
int cuEventCreate(void);
}

static int failures;
static const char *test_name = "";

#define CHECK(condition, ...)                                                      \
	do {                                                                           \
		if (!(condition)) {                                                        \
			failures++;                                                            \
			printf("FAIL %s, line %d: %s ", test_name, __LINE__, #condition);      \
			printf(" " __VA_ARGS__);                                               \
			printf("\n");                                                          \
		}                                                                          \
	} while (0)
#define EQUAL(got, want)                                                                                  \
	do {                                                                                                  \
		double got_ = double(got), want_ = double(want);                                                   \
		if (!(got_ == want_)) {                                                                          \
			failures++;                                                                                   \
			printf("FAIL %s, line %d: %s is %g, want %g\n", test_name, __LINE__, #got, got_, want_);       \
		}                                                                                                 \
	} while (0)

static string text(int code) {
	const char *s = "";
	cuGetErrorString(code, &s);
	return s;
}
// says checks that the driver's text for a code has all the parts.
static void says(int code, vector<string> parts) {
	string t = text(code);
	for (auto &p : parts) CHECK(t.find(p) != string::npos, "no \"%s\" in \"%s\"", p.c_str(), t.c_str());
}

static string ptx;

// Device is an open device with a stream.
struct Device {
	Handle context = nullptr, stream = nullptr, module = nullptr;
	Device() {
		EQUAL(cuDevicePrimaryCtxRetain(&context, 0), 0);
		EQUAL(cuCtxSetCurrent(context), 0);
		EQUAL(cuStreamCreate(&stream, 1), 0);
		EQUAL(cuModuleLoadData(&module, ptx.c_str()), 0);
	}
	~Device() {
		EQUAL(cuDevicePrimaryCtxRelease_v2(0), 0);
		cuCtxSetCurrent(nullptr);
	}
	Handle function(const char *name) {
		Handle f = nullptr;
		int r = cuModuleGetFunction(&f, module, name);
		CHECK(r == 0, "%s: %s", name, text(r).c_str());
		return f;
	}
	Ptr alloc(size_t bytes) {
		Ptr p = 0;
		EQUAL(cuMemAlloc_v2(&p, bytes), 0);
		return p;
	}
	Ptr put(const vector<float> &v) {
		Ptr p = alloc(4 * v.size());
		EQUAL(cuMemcpyHtoD_v2(p, v.data(), 4 * v.size()), 0);
		return p;
	}
	vector<float> get(Ptr p, size_t n) {
		vector<float> v(n);
		EQUAL(cuMemcpyDtoH_v2(v.data(), p, 4 * n), 0);
		return v;
	}
	// Arguments in successive cells, as the project passes them.
	struct Args {
		vector<uint64_t> cells;
		template <class T> Args &add(T v) {
			uint64_t c = 0;
			memcpy(&c, &v, sizeof v);
			cells.push_back(c);
			return *this;
		}
	};
	int launch(const char *name, unsigned grid, unsigned block, Args a, unsigned shared = 0) {
		vector<void *> p;
		for (auto &c : a.cells) p.push_back(&c);
		return cuLaunchKernel(function(name), grid, 1, 1, block, 1, 1, shared, stream, p.data(), nullptr);
	}
};
typedef Device::Args Args;

enum { ILLEGAL_ADDRESS = 700, LAUNCH_FAILED = 719, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, UNSUPPORTED = 900, INVALIDATED = 901, IMPLICIT = 906 };

static void runs() {
	Device d;
	char name[64];
	EQUAL(cuDeviceGetName(name, sizeof name, 0), 0);
	CHECK(!strcmp(name, "sigmaz stand-in (no GPU)"));
	vector<float> a(1000), b(1000);
	for (int i = 0; i < 1000; i++) a[i] = i, b[i] = 2 * i;
	Ptr pa = d.put(a), pb = d.put(b), pc = d.alloc(4000);
	CHECK(isnan(d.get(pc, 1)[0]), "new memory is not poisoned");
	EQUAL(d.launch("test_add", 3, 64, Args().add(pc).add(pa).add(pb).add(1000)), 0);
	vector<float> c = d.get(pc, 1000);
	for (int i = 0; i < 1000; i++) EQUAL(c[i], 3 * i);

	Ptr ps = d.alloc(16);
	EQUAL(d.launch("test_sum", 4, 256, Args().add(ps).add(pa).add(1000)), 0);
	vector<float> s = d.get(ps, 4);
	EQUAL(s[0] + s[1] + s[2] + s[3], 499500);
	EQUAL(s[0], 255 * 128);

	Ptr po = d.alloc(4 * 160);
	EQUAL(d.launch("test_shuffles", 1, 32, Args().add(po)), 0);
	vector<int> o(160);
	EQUAL(cuMemcpyDtoH_v2(o.data(), po, 640), 0);
	for (int i = 0; i < 32; i++) {
		EQUAL(o[i], 5);
		EQUAL(o[32 + i], i < 3 ? i : i - 3);
		EQUAL(o[64 + i], i > 28 ? i : i + 3);
		EQUAL(o[96 + i], i ^ 7);
		EQUAL(o[128 + i], i / 8 * 8 + 1);
	}
	EQUAL(d.launch("test_reverse", 2, 100, Args().add(pa), 400), 0);
	vector<float> r = d.get(pa, 200);
	for (int i = 0; i < 200; i++) EQUAL(r[i], i < 100 ? 99 - i : 299 - i);
	EQUAL(d.launch("test_types", 1, 1, Args().add(pa).add(-3).add(4000000000u).add(uint64_t(1) << 40).add(0.5f)), 0);
	r = d.get(pa, 4);
	EQUAL(r[0], -3);
	EQUAL(r[1], 4e9);
	EQUAL(r[2], double(uint64_t(1) << 40));
	EQUAL(r[3], 0.5);
	EQUAL(d.launch("test_uninitialised", 2, 32, Args().add(pa)), 0);
	r = d.get(pa, 64);
	for (int i = 0; i < 64; i++) CHECK(isnan(r[i]), "shared memory is not poisoned before each block");
	EQUAL(cuMemsetD32_v2(pa, 0x3f800000, 10), 0);
	EQUAL(d.get(pa, 10)[9], 1);
	EQUAL(cuMemsetD8_v2(pa, 0, 4000), 0);
	EQUAL(d.get(pa, 1000)[999], 0);
	int value;
	EQUAL(cuFuncGetAttribute(&value, 0, d.function("test_sum")), 0);
	EQUAL(value, 256);
	EQUAL(cuFuncGetAttribute(&value, 1, d.function("test_sum")), 0);
	EQUAL(value, 32);
}

// A racy kernel gives other results in another order; a right one does not.
static void order() {
	vector<vector<float>> race, blocks, sums;
	for (const char *o : {"forward", "reverse", "shuffle"}) {
		setenv("SIGMAZ_SIM_ORDER", o, 1);
		Device d;
		vector<float> x(1024);
		for (int i = 0; i < 1024; i++) x[i] = i + 1;
		Ptr p = d.put(x), q = d.put(vector<float>(8)), r = d.alloc(16);
		EQUAL(d.launch("test_race", 1, 64, Args().add(p)), 0);
		race.push_back(d.get(p, 64));
		EQUAL(d.launch("test_block_race", 8, 1, Args().add(q)), 0);
		blocks.push_back(d.get(q, 8));
		EQUAL(d.launch("test_sum", 4, 256, Args().add(r).add(d.put(x)).add(1024)), 0);
		sums.push_back(d.get(r, 4));
	}
	unsetenv("SIGMAZ_SIM_ORDER");
	auto same = [](const vector<float> &a, const vector<float> &b) { return !memcmp(a.data(), b.data(), 4 * a.size()); };
	CHECK(!same(race[0], race[1]));
	CHECK(!same(race[0], race[2]));
	CHECK(!same(blocks[0], blocks[1]));
	CHECK(!same(blocks[0], blocks[2]));
	CHECK(same(sums[0], sums[1]) && same(sums[0], sums[2]));
}

// Every mistake in a kernel ends the context, and the text says where it was.
static void mistakes() {
	auto fails = [](int code, vector<string> parts, function<int(Device &)> f) {
		Device d;
		int got = f(d);
		EQUAL(got, code);
		says(code, parts);
		EQUAL(cuCtxSynchronize(), code); // the context is lost
		Ptr p;
		EQUAL(cuMemAlloc_v2(&p, 4), code);
	};
	fails(ILLEGAL_ADDRESS, {"kernel test_write", "write", "(1000 bytes), 24 bytes past its end"}, [](Device &d) {
		return d.launch("test_write", 1, 1, Args().add(d.alloc(1000)).add(256LL)); // at the guard page
	});
	fails(ILLEGAL_ADDRESS, {"kernel test_write", "(1000 bytes), 0 bytes past its end"}, [](Device &d) {
		return d.launch("test_write", 1, 1, Args().add(d.alloc(1000)).add(250LL)); // in the page's slack
	});
	fails(ILLEGAL_ADDRESS, {"kernel test_write", "4 bytes before its start"}, [](Device &d) {
		return d.launch("test_write", 1, 1, Args().add(d.alloc(1000)).add(-1LL));
	});
	fails(ILLEGAL_ADDRESS, {"kernel test_write", "where no allocation is"}, [](Device &d) {
		return d.launch("test_write", 1, 1, Args().add(d.alloc(1000)).add(1LL << 30));
	});
	fails(ILLEGAL_ADDRESS, {"kernel test_read, block (0,0,0), thread (0,0,0)", "read", "from offset 1024", "(1024 bytes)"}, [](Device &d) {
		return d.launch("test_read", 1, 1, Args().add(d.alloc(4)).add(d.alloc(1024)).add(256LL));
	});
	fails(ILLEGAL_ADDRESS, {"kernel test_write: argument 0", "which was freed"}, [](Device &d) {
		Ptr p = d.alloc(64);
		EQUAL(cuMemFree_v2(p), 0);
		return d.launch("test_write", 1, 1, Args().add(p).add(0LL));
	});
	static float host[4];
	fails(ILLEGAL_ADDRESS, {"kernel test_write: argument 0"}, [](Device &d) { return d.launch("test_write", 1, 1, Args().add(&host[0]).add(0LL)); });
	fails(716, {"argument 0", "not a multiple of 4"}, [](Device &d) { return d.launch("test_write", 1, 1, Args().add(d.alloc(64) + 2).add(0LL)); });
	fails(716, {"argument 0", "not a multiple of 16"}, [](Device &d) { return d.launch("test_float4", 1, 1, Args().add(d.alloc(64) + 4)); });
	fails(ILLEGAL_ADDRESS, {"test_shared_index", "kernels.cu:", "index 32"}, [](Device &d) {
		return d.launch("test_shared_index", 1, 32, Args().add(d.alloc(128)).add(1));
	});
	fails(ILLEGAL_ADDRESS, {"test_reverse", "dynamic shared memory"}, [](Device &d) {
		return d.launch("test_reverse", 1, 64, Args().add(d.alloc(256)), 128);
	});
	fails(LAUNCH_FAILED, {"test_missed_barrier", "63 of 64 threads wait at the barrier at kernels.cu:", "thread (7,0,0)"}, [](Device &d) {
		return d.launch("test_missed_barrier", 1, 64, Args().add(d.alloc(256)));
	});
	fails(LAUNCH_FAILED, {"test_two_barriers", "while other threads wait"}, [](Device &d) {
		return d.launch("test_two_barriers", 1, 64, Args().add(d.alloc(256)));
	});
	fails(LAUNCH_FAILED, {"test_missed_shuffle", "16 of 32 threads of a warp"}, [](Device &d) {
		return d.launch("test_missed_shuffle", 1, 32, Args().add(d.alloc(128)));
	});
	fails(LAUNCH_FAILED, {"test_divide", "division by zero"}, [](Device &d) { return d.launch("test_divide", 1, 1, Args().add(d.alloc(8)).add(0)); });
	fails(701, {"test_deep", "stack"}, [](Device &d) { return d.launch("test_deep", 1, 1, Args().add(d.alloc(8))); });
}

// Mistakes that the call itself reports, after which the context is as good as before.
static void refused() {
	Device d;
	Ptr p = d.alloc(64);
	Ptr before = d.put({1, 2, 3});
	EQUAL(d.launch("test_write", 1, 2048, Args().add(p).add(0LL)), INVALID_VALUE);
	says(INVALID_VALUE, {"(2048,1,1) threads"});
	EQUAL(d.launch("test_write", 0, 1, Args().add(p).add(0LL)), INVALID_VALUE);
	EQUAL(d.launch("test_sum", 1, 512, Args().add(p).add(p).add(1)), INVALID_VALUE);
	says(INVALID_VALUE, {"launch bound is 256"});
	EQUAL(d.launch("test_reverse", 1, 16, Args().add(p), 49 << 10), INVALID_VALUE);
	says(INVALID_VALUE, {"dynamic shared memory"});
	EQUAL(cuFuncSetAttribute(d.function("test_reverse"), 8, 64 << 10), 0);
	EQUAL(d.launch("test_reverse", 1, 16, Args().add(p), 49 << 10), 0);
	EQUAL(cuFuncSetAttribute(d.function("test_reverse"), 8, 164 << 10), INVALID_VALUE);
	// A pointer or a 64-bit number where the kernel takes an int.
	EQUAL(d.launch("test_add", 1, 1, Args().add(p).add(p).add(p).add(p)), INVALID_VALUE);
	says(INVALID_VALUE, {"argument 3 takes 4 bytes"});
	void *unreadable[] = {&p, nullptr};
	EQUAL(cuLaunchKernel(d.function("test_write"), 1, 1, 1, 1, 1, 1, 0, d.stream, unreadable, nullptr), INVALID_VALUE);
	says(INVALID_VALUE, {"argument 1 of 2 cannot be read"});

	Handle f, m;
	EQUAL(cuModuleGetFunction(&f, d.module, "test_none"), 500);
	EQUAL(cuModuleGetFunction(&f, d.module, "test_nowhere"), 500);
	says(500, {"built without kernel test_nowhere"});
	auto load = [&](const char *text) { return cuModuleLoadData(&m, text); };
	const string head = ".version 7.8\n.target sm_80\n.address_size 64\n";
	EQUAL(load((head + ".visible .entry test_divide(.param .u64 a, .param .u64 b) { ret; }").c_str()), 0);
	EQUAL(cuModuleGetFunction(&f, m, "test_divide"), 200);
	says(200, {"parameter 1 is .u64"});
	EQUAL(load((head + ".visible .entry test_divide(.param .u64 a) { ret; }").c_str()), 0);
	EQUAL(cuModuleGetFunction(&f, m, "test_divide"), 200);
	says(200, {"1 parameters"});
	EQUAL(load((head + ".visible .entry test_divide(.param .u64 a, .param .f32 b) { ret; }").c_str()), 0);
	EQUAL(cuModuleGetFunction(&f, m, "test_divide"), 200);
	EQUAL(cuModuleUnload(m), 0);
	EQUAL(cuModuleGetFunction(&f, m, "test_divide"), 400);
	EQUAL(load(".version 9.0\n.target sm_80\n.address_size 64\n"), 222);
	says(222, {"9.0", "8.4"});
	EQUAL(load(".version 7.8\n.target sm_90\n.address_size 64\n"), 209);
	EQUAL(load("\177ELF"), 200);

	// Addresses that are not the device's, or not all of one allocation.
	float host[64] = {};
	EQUAL(cuMemcpyHtoD_v2(Ptr(host), host, 4), INVALID_VALUE);
	EQUAL(cuMemcpyHtoD_v2(p, host, 65), INVALID_VALUE);
	says(INVALID_VALUE, {"65 bytes at offset 0 of allocation"});
	EQUAL(cuMemcpyDtoH_v2(host, p + 4, 64), INVALID_VALUE);
	EQUAL(cuMemcpyDtoH_v2((void *)p, p, 4), INVALID_VALUE);
	EQUAL(cuMemsetD32_v2(p, 0, 17), INVALID_VALUE);
	EQUAL(cuMemFree_v2(p + 4), INVALID_VALUE);
	EQUAL(cuMemAlloc_v2(&p, 0), INVALID_VALUE);
	EQUAL(cuMemFreeHost(host), INVALID_VALUE);
	EQUAL(cuEventCreate(), 801);
	EQUAL(d.get(before, 3)[2], 3);

	// Another thread has no context of its own.
	thread([] {
		size_t a, b;
		EQUAL(cuMemGetInfo_v2(&a, &b), 201);
		says(201, {"no current context"});
	}).join();
}

static void capture() {
	Device d;
	Ptr p = d.put({1, 2, 3, 4}), q = d.put({0, 0, 0, 0});
	void *pinned;
	EQUAL(cuMemAllocHost_v2(&pinned, 16), 0);
	float *host = static_cast<float *>(pinned);
	Ptr view;
	EQUAL(cuMemHostGetDevicePointer_v2(&view, pinned, 0), 0);

	EQUAL(cuStreamBeginCapture_v2(d.stream, 1), 0);
	{
		Args a = Args().add(q).add(p).add(q).add(4);
		EQUAL(d.launch("test_add", 1, 32, a), 0);
		a.cells.assign(4, 0); // the graph has the values
	}
	EQUAL(cuMemcpyDtoHAsync_v2(pinned, q, 16, d.stream), 0);
	EQUAL(cuMemsetD32Async(p + 12, 0x40000000, 1, d.stream), 0);
	Handle graph, exec;
	host[0] = -1;
	EQUAL(cuStreamEndCapture(d.stream, &graph), 0);
	EQUAL(host[0], -1); // nothing has run
	size_t nodes;
	EQUAL(cuGraphGetNodes(graph, nullptr, &nodes), 0);
	EQUAL(nodes, 3);
	EQUAL(cuGraphInstantiateWithFlags(&exec, graph, 0), 0);
	EQUAL(cuGraphDestroy(graph), 0);
	for (int i = 1; i <= 3; i++) {
		EQUAL(cuGraphLaunch(exec, d.stream), 0);
		EQUAL(cuStreamSynchronize(d.stream), 0);
		EQUAL(host[0], i);
		EQUAL(host[3], 4 + 2 * (i - 1));
	}
	EQUAL(cuGraphExecDestroy(exec), 0);
	EQUAL(cuGraphLaunch(exec, d.stream), 400);
	// Kernels reach page-locked memory, and no further.
	EQUAL(d.launch("test_write", 1, 1, Args().add(view).add(2LL)), 0);
	EQUAL(host[2], 1);

	// What must not be called meanwhile spoils the capture.
	auto spoils = [&](int code, function<int()> f) {
		EQUAL(cuStreamBeginCapture_v2(d.stream, 1), 0);
		EQUAL(f(), code);
		EQUAL(d.launch("test_write", 1, 1, Args().add(q).add(0LL)), INVALIDATED);
		EQUAL(cuStreamEndCapture(d.stream, &graph), INVALIDATED);
		CHECK(!graph);
	};
	Ptr r;
	spoils(UNSUPPORTED, [&] { return cuMemAlloc_v2(&r, 16); });
	spoils(UNSUPPORTED, [&] { return cuMemFree_v2(q); });
	spoils(UNSUPPORTED, [&] { return cuStreamSynchronize(d.stream); });
	spoils(UNSUPPORTED, [&] { return cuCtxSynchronize(); });
	spoils(UNSUPPORTED, [&] { return cuMemcpyHtoD_v2(q, host, 4); });
	spoils(UNSUPPORTED, [&] { float x; return cuMemcpyDtoHAsync_v2(&x, q, 4, d.stream); });
	EQUAL(cuStreamEndCapture(d.stream, &graph), 401);
	EQUAL(cuStreamBeginCapture_v2(nullptr, 1), UNSUPPORTED);
	// Thread-local: another thread may allocate, but not end the capture.
	EQUAL(cuStreamBeginCapture_v2(d.stream, 1), 0);
	thread([&] {
		EQUAL(cuCtxSetCurrent(d.context), 0);
		Ptr s;
		EQUAL(cuMemAlloc_v2(&s, 16), 0);
		Handle g;
		EQUAL(cuStreamEndCapture(d.stream, &g), 908);
	}).join();
	EQUAL(cuStreamEndCapture(d.stream, &graph), 0);
	EQUAL(cuGraphDestroy(graph), 0);
	// The legacy stream would wait for a blocking stream.
	Handle blocking;
	EQUAL(cuStreamCreate(&blocking, 0), 0);
	EQUAL(cuStreamBeginCapture_v2(blocking, 2), 0);
	EQUAL(cuMemcpyHtoD_v2(q, host, 4), IMPLICIT);
	EQUAL(cuStreamEndCapture(blocking, &graph), INVALIDATED);
	EQUAL(cuMemFreeHost(pinned), 0);
}

// With SIGMAZ_SIM_LAZY nothing runs before someone waits for it.
static void lazy() {
	setenv("SIGMAZ_SIM_LAZY", "1", 1);
	Device d;
	void *pinned;
	EQUAL(cuMemAllocHost_v2(&pinned, 16), 0);
	float *host = static_cast<float *>(pinned);
	Ptr p = d.put({1, 2, 3, 4});
	host[0] = 0;
	EQUAL(d.launch("test_add", 1, 4, Args().add(p).add(p).add(p).add(4)), 0);
	EQUAL(cuMemcpyDtoHAsync_v2(host, p, 16, d.stream), 0);
	EQUAL(host[0], 0);
	EQUAL(d.get(p, 1)[0], 1); // a synchronous copy does not wait for a non-blocking stream
	EQUAL(cuStreamSynchronize(d.stream), 0);
	EQUAL(host[0], 2);
	float pageable = 5;
	EQUAL(cuMemcpyHtoDAsync_v2(p, &pageable, 4, d.stream), 0);
	pageable = 6;
	EQUAL(cuCtxSynchronize(), 0);
	EQUAL(d.get(p, 1)[0], 5);
	EQUAL(d.launch("test_write", 1, 1, Args().add(p).add(64LL)), 0);
	EQUAL(cuStreamSynchronize(d.stream), ILLEGAL_ADDRESS);
	unsetenv("SIGMAZ_SIM_LAZY");
}

static void faults() {
	{
		setenv("SIGMAZ_SIM_FAULT", "lost:3", 1);
		Device d;
		Ptr p = d.alloc(64);
		Handle f = d.function("test_write");
		uint64_t at = 0;
		void *args[] = {&p, &at};
		for (int i = 1; i <= 5; i++)
			EQUAL(cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 0, d.stream, args, nullptr), i < 3 ? 0 : LAUNCH_FAILED);
		EQUAL(cuStreamSynchronize(d.stream), LAUNCH_FAILED);
		float x;
		EQUAL(cuMemcpyDtoH_v2(&x, p, 4), LAUNCH_FAILED);
	}
	{
		setenv("SIGMAZ_SIM_FAULT", "oom:1000000", 1);
		Device d;
		size_t free_bytes, total;
		Ptr p = d.alloc(600000), q;
		EQUAL(cuMemGetInfo_v2(&free_bytes, &total), 0);
		EQUAL(total, 1000000);
		CHECK(free_bytes <= 400000 && free_bytes > 399000);
		EQUAL(cuMemAlloc_v2(&q, 500000), OUT_OF_MEMORY);
		EQUAL(cuMemFree_v2(p), 0);
		EQUAL(cuMemAlloc_v2(&q, 500000), 0);
	}
	unsetenv("SIGMAZ_SIM_FAULT");
	int v, major;
	EQUAL(cuDriverGetVersion(&v), 0);
	EQUAL(v, 12040);
	EQUAL(cuDeviceGetAttribute(&major, 75, 0), 0);
	EQUAL(major, 8);
}

static double now() {
	timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + 1e-9 * t.tv_nsec;
}

static void speed() {
	Device d;
	Ptr p = d.put(vector<float>(1 << 20));
	double t = now();
	EQUAL(d.launch("test_barriers", 1, 256, Args().add(p).add(10000)), 0);
	printf("a thread's way to a barrier and back: %.1f ns\n", 1e9 * (now() - t) / 10000 / 256);
	t = now();
	EQUAL(d.launch("test_add", 4096, 256, Args().add(p).add(p).add(p).add(1 << 20)), 0);
	printf("a thread of a kernel without barriers: %.1f ns\n", 1e9 * (now() - t) / (1 << 20));
	t = now();
	EQUAL(d.launch("test_sum", 4096, 256, Args().add(p).add(p).add(1 << 20)), 0);
	printf("a thread of a block sum by shuffles: %.1f ns\n", 1e9 * (now() - t) / (1 << 20));
	t = now();
	for (int i = 0; i < 10000; i++) d.launch("test_write", 1, 1, Args().add(p).add(0LL));
	printf("a launch of one thread: %.0f ns\n", 1e9 * (now() - t) / 10000);
}

int main(int argc, char **argv) {
	setvbuf(stdout, nullptr, _IOLBF, 0);
	string which = argc > 2 ? argv[2] : "";
	ifstream in(argv[1]);
	ptx = string(istreambuf_iterator<char>(in), istreambuf_iterator<char>());
	test_name = which.c_str();
	int n;
	if (which == "no-driver") {
		EQUAL(cuInit(0), 34);
		EQUAL(cuDriverGetVersion(&n), 34);
		EQUAL(cuDeviceGetCount(&n), 3);
	} else if (which == "no-device") {
		EQUAL(cuInit(0), 100);
		EQUAL(cuDriverGetVersion(&n), 0);
		EQUAL(cuDeviceGetCount(&n), 3);
	} else if (which == "old-driver") {
		EQUAL(cuInit(0), 0);
		EQUAL(cuDriverGetVersion(&n), 0);
		EQUAL(n, 11040);
		Handle context, module;
		EQUAL(cuDevicePrimaryCtxRetain(&context, 0), 0);
		EQUAL(cuCtxSetCurrent(context), 0);
		EQUAL(cuModuleLoadData(&module, ptx.c_str()), 222);
	} else {
		EQUAL(cuDeviceGetCount(&n), 3); // not before cuInit
		EQUAL(cuInit(0), 0);
		struct { const char *name; void (*run)(); } tests[] = {{"runs", runs}, {"order", order}, {"mistakes", mistakes},
			{"refused", refused}, {"capture", capture}, {"lazy", lazy}, {"faults", faults}, {"speed", speed}};
		for (auto &t : tests) {
			if (!which.empty() && which != t.name) continue;
			test_name = t.name;
			t.run();
		}
	}
	if (failures) printf("%d checks failed\n", failures);
	return failures != 0;
}
