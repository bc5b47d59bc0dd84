// Tries the stand-in driver from the outside:
//
//	test FOLDER [NAME]      FOLDER has kernels.ptx, machine.ptx, instructions.ptx and instructions.txt
//
// Run by test.sh with the library path set. NAME is a test that needs an environment of its own, or one of the rest,
// which run where none is given. `instructions` and `machine` run on a GPU, too: they say what PTX means.
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <sstream>
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
int cuCtxGetDevice(int *);
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
int cuLaunchKernel(
	Handle, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, Handle, void **, void **);
int cuGetErrorName(int, const char **);
int cuGetErrorString(int, const char **);
int cuEventCreate(Handle *, unsigned);
int cuEventDestroy_v2(Handle);
int cuEventRecord(Handle, Handle);
int cuEventQuery(Handle);
int cuEventSynchronize(Handle);
int cuEventElapsedTime(float *, Handle, Handle);
int cuStreamWaitEvent(Handle, Handle, unsigned);
int cuMemcpyPeer(void);
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

static string folder;

static string read_file(const string &name) {
	ifstream in(folder + "/" + name);
	if (!in) printf("no file %s in %s\n", name.c_str(), folder.c_str()), exit(2);
	return string(istreambuf_iterator<char>(in), istreambuf_iterator<char>());
}

// Device is an open device with a stream and the kernels of a PTX file.
struct Device {
	Handle context = nullptr, stream = nullptr, module = nullptr;
	int number;
	explicit Device(const char *file = "kernels.ptx", int number = 0) : number(number) {
		EQUAL(cuDevicePrimaryCtxRetain(&context, number), 0);
		EQUAL(cuCtxSetCurrent(context), 0);
		EQUAL(cuStreamCreate(&stream, 1), 0);
		int r = cuModuleLoadData(&module, read_file(file).c_str());
		CHECK(r == 0, "%s: %s", file, text(r).c_str());
	}
	~Device() {
		EQUAL(cuDevicePrimaryCtxRelease_v2(number), 0);
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
	template <class T = float> Ptr put(const vector<T> &v) {
		Ptr p = alloc(sizeof(T) * v.size());
		EQUAL(cuMemcpyHtoD_v2(p, v.data(), sizeof(T) * v.size()), 0);
		return p;
	}
	template <class T = float> vector<T> get(Ptr p, size_t n) {
		vector<T> v(n);
		EQUAL(cuMemcpyDtoH_v2(v.data(), p, sizeof(T) * n), 0);
		return v;
	}
	// result is what the stream's work leaves at p.
	template <class T = float> vector<T> result(Ptr p, size_t n) {
		EQUAL(cuStreamSynchronize(stream), 0);
		return get<T>(p, n);
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

enum { INVALID_VALUE = 1, OUT_OF_MEMORY = 2, ILLEGAL_ADDRESS = 700, LAUNCH_FAILED = 719 };
enum { UNSUPPORTED = 900, INVALIDATED = 901, IMPLICIT = 906 }; // of captures

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

	EQUAL(d.launch("test_reverse", 2, 100, Args().add(pa), 400), 0);
	vector<float> r = d.get(pa, 200);
	for (int i = 0; i < 200; i++) EQUAL(r[i], i < 100 ? 99 - i : 299 - i);
	EQUAL(d.launch("test_types", 1, 1, Args().add(pa).add(-3).add(4000000000u).add(uint64_t(1) << 40).add(0.5f)), 0);
	r = d.get(pa, 4);
	EQUAL(r[0], -3);
	EQUAL(r[1], 4e9);
	EQUAL(r[2], double(uint64_t(1) << 40));
	EQUAL(r[3], 0.5);
	{
		struct { unsigned u; double d; unsigned char b[4]; } structure = {7, 2.5, {1, 2, 3, 4}};
		void *p[] = {&pa, &structure};
		EQUAL(cuLaunchKernel(d.function("test_structure"), 1, 1, 1, 1, 1, 1, 0, d.stream, p, nullptr), 0);
		r = d.get(pa, 3);
		EQUAL(r[0], 7);
		EQUAL(r[1], 2.5);
		EQUAL(r[2], 3);
	}
	EQUAL(d.launch("test_uninitialised", 2, 32, Args().add(pa)), 0);
	r = d.get(pa, 64);
	for (int i = 0; i < 32; i++) CHECK(isnan(r[i]), "shared memory is not poisoned before each block");
	for (int i = 32; i < 64; i++) CHECK(isnan(r[i]), "registers are not poisoned");
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
	auto same = [](const vector<float> &a, const vector<float> &b) {
		return !memcmp(a.data(), b.data(), 4 * a.size());
	};
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
	fails(ILLEGAL_ADDRESS,
		{"kernel test_read, block (0,0,0), thread (0,0,0)", "read", "from offset 1024", "(1024 bytes)"},
		[](Device &d) { return d.launch("test_read", 1, 1, Args().add(d.alloc(4)).add(d.alloc(1024)).add(256LL)); });
	fails(ILLEGAL_ADDRESS, {"kernel test_write: argument 0", "which was freed"}, [](Device &d) {
		Ptr p = d.alloc(64);
		EQUAL(cuMemFree_v2(p), 0);
		return d.launch("test_write", 1, 1, Args().add(p).add(0LL));
	});
	static float host[4];
	fails(ILLEGAL_ADDRESS, {"kernel test_write: argument 0"},
		[](Device &d) { return d.launch("test_write", 1, 1, Args().add(&host[0]).add(0LL)); });
	fails(716, {"kernel test_write", "misaligned access at kernels.ptx:"},
		[](Device &d) { return d.launch("test_write", 1, 1, Args().add(d.alloc(64) + 2).add(0LL)); });
	fails(716, {"kernel test_float4", "misaligned vector access at kernels.ptx:"},
		[](Device &d) { return d.launch("test_float4", 1, 1, Args().add(d.alloc(64) + 4)); });
	fails(ILLEGAL_ADDRESS,
		{"kernel test_shared_index", "thread (31,0,0)", "access outside the kernel's shared memory at kernels.ptx:"},
		[](Device &d) {
			// the word behind the first array, which is none of the second
			return d.launch("test_shared_index", 1, 32, Args().add(1));
		});
	fails(ILLEGAL_ADDRESS, {"kernel test_reverse", "shared memory at kernels.ptx:"}, [](Device &d) {
		return d.launch("test_reverse", 1, 64, Args().add(d.alloc(256)), 128);
	});
	fails(ILLEGAL_ADDRESS, {"kernel test_astray", "an address that is not the device's at kernels.ptx:"},
		[](Device &d) { return d.launch("test_astray", 1, 1, Args().add(&host[0])); });
	fails(ILLEGAL_ADDRESS, {"kernel test_local_index", "local memory at kernels.ptx:"},
		[](Device &d) { return d.launch("test_local_index", 1, 1, Args().add(1 << 20)); });
	fails(LAUNCH_FAILED,
		{"test_missed_barrier", "63 of 64 threads wait at the barrier at kernels.ptx:", "thread (7,0,0)"},
		[](Device &d) { return d.launch("test_missed_barrier", 1, 64, Args()); });
	fails(LAUNCH_FAILED, {"test_two_barriers", "while other threads wait"},
		[](Device &d) { return d.launch("test_two_barriers", 1, 64, Args()); });
	fails(LAUNCH_FAILED, {"test_missed_shuffle", "16 of 32 threads of a warp"},
		[](Device &d) { return d.launch("test_missed_shuffle", 1, 32, Args()); });
	fails(LAUNCH_FAILED, {"test_divide", "division by zero at kernels.ptx:"},
		[](Device &d) { return d.launch("test_divide", 1, 1, Args().add(d.alloc(8)).add(0)); });
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
	says(500, {"no entry test_none"});
	auto load = [&](const string &text) { return cuModuleLoadData(&m, text.c_str()); };
	// The stand-in runs what it was built from, and nothing else.
	string kernels = read_file("kernels.ptx");
	EQUAL(load(kernels), 0);
	EQUAL(cuModuleGetFunction(&f, m, "test_divide"), 0);
	EQUAL(cuModuleUnload(m), 0);
	EQUAL(cuModuleGetFunction(&f, m, "test_divide"), 400);
	kernels[kernels.find("0f3F800000") + 3] = 'e';
	EQUAL(load(kernels), 218);
	says(218, {"was not built from this PTX", "build.sh again"});
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
	EQUAL(cuMemcpyPeer(), 801);
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

// Another stream joins a capture by an event, and has to be waited for; its work belongs to the graph. In either order a wait
// that is missing shows: r = p + p beside, and then q = r + p.
static void branches() {
	auto run = [](const char *lazy, const char *fault, bool wait_again) {
		setenv("SIGMAZ_SIM_LAZY", lazy, 1);
		setenv("SIGMAZ_SIM_FAULT", fault, 1);
		Device d;
		Handle second, event, graph, exec;
		EQUAL(cuStreamCreate(&second, 1), 0);
		EQUAL(cuEventCreate(&event, 2), 0);
		Ptr p = d.put<float>({1}), q = d.put<float>({-1}), r = d.put<float>({-1});
		EQUAL(cuStreamBeginCapture_v2(d.stream, 1), 0);
		EQUAL(cuEventRecord(event, d.stream), 0);
		EQUAL(cuStreamWaitEvent(second, event, 0), 0); // joins
		EQUAL(d.launch("test_add", 1, 1, Args().add(p).add(p).add(p).add(1)), 0);
		EQUAL(cuEventRecord(event, d.stream), 0);
		if (wait_again) EQUAL(cuStreamWaitEvent(second, event, 0), 0);
		Handle first = d.stream;
		d.stream = second;
		EQUAL(d.launch("test_add", 1, 1, Args().add(r).add(p).add(p).add(1)), 0);
		d.stream = first;
		EQUAL(cuEventRecord(event, second), 0);
		EQUAL(cuStreamWaitEvent(d.stream, event, 0), 0);
		EQUAL(d.launch("test_add", 1, 1, Args().add(q).add(r).add(p).add(1)), 0);
		EQUAL(cuStreamEndCapture(second, &graph), 903);
		EQUAL(cuStreamEndCapture(d.stream, &graph), 0);
		size_t nodes;
		EQUAL(cuGraphGetNodes(graph, nullptr, &nodes), 0);
		EQUAL(nodes, 3);
		EQUAL(cuEventQuery(event), 907);
		EQUAL(cuStreamWaitEvent(d.stream, event, 0), 907);
		EQUAL(cuGraphInstantiateWithFlags(&exec, graph, 0), 0);
		EQUAL(cuGraphDestroy(graph), 0);
		EQUAL(cuGraphLaunch(exec, d.stream), 0);
		EQUAL(cuStreamSynchronize(d.stream), 0);
		float got = d.get(q, 1)[0];
		EQUAL(cuGraphExecDestroy(exec), 0);
		unsetenv("SIGMAZ_SIM_LAZY");
		unsetenv("SIGMAZ_SIM_FAULT");
		return got;
	};
	for (const char *lazy : {"0", "1", "2"}) EQUAL(run(lazy, "", true), 6);
	EQUAL(run("0", "", false), 6);
	EQUAL(run("1", "", false), 4);          // r came before p was doubled
	EQUAL(run("0", "wait:first", true), 1); // q came before r
	Device d;
	Ptr p = d.put<float>({1}), q = d.put<float>({1});
	Handle second, event, outside, graph;
	EQUAL(cuStreamCreate(&second, 1), 0);
	EQUAL(cuEventCreate(&event, 2), 0);
	EQUAL(cuEventCreate(&outside, 2), 0);
	EQUAL(cuEventRecord(outside, second), 0);
	EQUAL(cuStreamBeginCapture_v2(d.stream, 1), 0);
	EQUAL(cuStreamWaitEvent(d.stream, outside, 0), 905);
	EQUAL(cuEventRecord(event, d.stream), 0);
	EQUAL(cuStreamWaitEvent(second, event, 0), 0);
	Handle first = d.stream;
	d.stream = second;
	EQUAL(d.launch("test_add", 1, 1, Args().add(q).add(p).add(p).add(1)), 0);
	d.stream = first;
	EQUAL(cuStreamEndCapture(d.stream, &graph), 904); // nothing waits for it
	CHECK(!graph);
}

// With SIGMAZ_SIM_LAZY nothing of the first stream runs before someone waits for it.
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

// Work of a second stream runs as late as events permit, with SIGMAZ_SIM_LAZY as early: either way a wait that is
// missing shows.
static void streams() {
	// A copy to the device on a second stream, and a kernel on the first that reads what it brings; then a copy to the
	// same place, which has to wait for the kernel.
	auto run = [](bool lazy, bool wait_for_copy, bool wait_for_kernel) {
		if (lazy) setenv("SIGMAZ_SIM_LAZY", "1", 1);
		Device d;
		Handle second, arrived, read;
		EQUAL(cuStreamCreate(&second, 1), 0);
		EQUAL(cuEventCreate(&arrived, 2), 0);
		EQUAL(cuEventCreate(&read, 2), 0);
		void *pinned;
		EQUAL(cuMemAllocHost_v2(&pinned, 32), 0);
		float *host = static_cast<float *>(pinned);
		host[0] = 1, host[1] = 2;
		Ptr p = d.put<float>({-1}), q = d.alloc(4);
		EQUAL(cuMemcpyHtoDAsync_v2(p, host, 4, second), 0);
		EQUAL(cuEventRecord(arrived, second), 0);
		if (wait_for_copy) EQUAL(cuStreamWaitEvent(d.stream, arrived, 0), 0);
		EQUAL(d.launch("test_read", 1, 1, Args().add(q).add(p).add(0LL)), 0);
		EQUAL(cuEventRecord(read, d.stream), 0);
		if (wait_for_kernel) EQUAL(cuStreamWaitEvent(second, read, 0), 0);
		EQUAL(cuMemcpyHtoDAsync_v2(p, host + 1, 4, second), 0);
		EQUAL(cuStreamSynchronize(d.stream), 0);
		float got = d.get(q, 1)[0];
		EQUAL(cuStreamSynchronize(second), 0);
		EQUAL(d.get(p, 1)[0], 2);
		EQUAL(cuEventDestroy_v2(arrived), 0);
		EQUAL(cuEventQuery(arrived), 400);
		EQUAL(cuMemFreeHost(pinned), 0);
		unsetenv("SIGMAZ_SIM_LAZY");
		return got;
	};
	for (bool lazy : {false, true}) EQUAL(run(lazy, true, true), 1);
	EQUAL(run(false, false, true), -1); // the copy has not come
	EQUAL(run(true, true, false), 2);   // the second copy has come too early
	// The same waits, left out by faults.
	auto without = [&run](const char *fault, bool lazy) {
		setenv("SIGMAZ_SIM_FAULT", fault, 1);
		float got = run(lazy, true, true);
		unsetenv("SIGMAZ_SIM_FAULT");
		return got;
	};
	EQUAL(without("wait:first", false), -1);
	EQUAL(without("wait:second", false), 1); // needed by the lazy order alone
	EQUAL(without("wait:second", true), 2);

	// A copy's source, which the host changes as soon as the copy is done. Where all streams are late, it is changed too
	// early without the wait.
	auto refill = [](const char *lazy, const char *fault) {
		setenv("SIGMAZ_SIM_LAZY", lazy, 1);
		setenv("SIGMAZ_SIM_FAULT", fault, 1);
		Device d;
		Handle second, arrived;
		EQUAL(cuStreamCreate(&second, 1), 0);
		EQUAL(cuEventCreate(&arrived, 2), 0);
		void *pinned;
		EQUAL(cuMemAllocHost_v2(&pinned, 4), 0);
		float *host = static_cast<float *>(pinned);
		*host = 1;
		Ptr p = d.put<float>({-1}), q = d.alloc(4);
		EQUAL(cuMemcpyHtoDAsync_v2(p, host, 4, second), 0);
		EQUAL(cuEventRecord(arrived, second), 0);
		EQUAL(cuStreamWaitEvent(d.stream, arrived, 0), 0);
		EQUAL(d.launch("test_read", 1, 1, Args().add(q).add(p).add(0LL)), 0);
		EQUAL(cuEventSynchronize(arrived), 0);
		*host = 2;
		EQUAL(cuStreamSynchronize(d.stream), 0);
		float got = d.get(q, 1)[0];
		EQUAL(cuMemFreeHost(pinned), 0);
		unsetenv("SIGMAZ_SIM_LAZY");
		unsetenv("SIGMAZ_SIM_FAULT");
		return got;
	};
	for (const char *lazy : {"0", "1", "2"}) EQUAL(refill(lazy, ""), 1);
	EQUAL(refill("0", "wait:host"), 1); // a first stream that is not late has waited already
	EQUAL(refill("2", "wait:host"), 2);

	Device d;
	Handle second, start, end;
	EQUAL(cuStreamCreate(&second, 1), 0);
	EQUAL(cuEventCreate(&start, 0), 0);
	EQUAL(cuEventCreate(&end, 0), 0);
	EQUAL(cuEventQuery(end), 0); // never recorded
	EQUAL(cuEventRecord(start, second), 0);
	Ptr p = d.put<float>({1, 2});
	EQUAL(cuMemsetD32Async(p, 0, 2, second), 0);
	EQUAL(cuEventRecord(end, second), 0);
	float ms = -1;
	EQUAL(cuEventElapsedTime(&ms, start, end), 600);
	EQUAL(d.get(p, 1)[0], 1);
	EQUAL(cuEventSynchronize(start), 0);
	EQUAL(d.get(p, 1)[0], 1); // no further than the event
	EQUAL(cuEventQuery(end), 600);
	EQUAL(cuEventQuery(end), 0);
	EQUAL(d.get(p, 1)[0], 0);
	EQUAL(cuEventElapsedTime(&ms, start, end), 0);
	CHECK(ms >= 0);
	// What a late copy takes from pageable memory is taken at once, from page-locked memory late.
	void *pinned;
	EQUAL(cuMemAllocHost_v2(&pinned, 4), 0);
	float pageable = 3, *locked = static_cast<float *>(pinned);
	*locked = 3;
	EQUAL(cuMemcpyHtoDAsync_v2(p, &pageable, 4, second), 0);
	EQUAL(cuMemcpyHtoDAsync_v2(p + 4, locked, 4, second), 0);
	pageable = 4, *locked = 4;
	EQUAL(cuCtxSynchronize(), 0);
	EQUAL(d.get(p, 1)[0], 3);
	EQUAL(d.get(p, 2)[1], 4);
}

// Races by threads that happen to run one after the other.
static void races() {
	setenv("SIGMAZ_SIM_RACES", "1", 1);
	auto run = [](const char *file, const char *kernel, unsigned grid, unsigned block, vector<string> parts,
		function<Args(Device &)> args, unsigned shared = 0) {
		for (const char *o : {"forward", "reverse", "shuffle"}) {
			setenv("SIGMAZ_SIM_ORDER", o, 1);
			Device d(file);
			int code = d.launch(kernel, grid, block, args(d), shared);
			CHECK(code == (parts.empty() ? 0 : 710), "%s, %s: %d: %s", kernel, o, code, text(code).c_str());
			if (!parts.empty()) says(710, parts);
		}
		unsetenv("SIGMAZ_SIM_ORDER");
	};
	const char *k = "kernels.ptx", *m = "machine.ptx";
	auto floats = [](Device &d) { return Args().add(d.put(vector<float>(1024))); };
	run(k, "test_race", 1, 64,
		{"kernel test_race", "race in shared memory", "of the same block at line", "at kernels.ptx:"}, floats);
	run(k, "test_race", 1, 1, {}, floats);
	run(k, "test_block_race", 8, 1, {"kernel test_block_race", "race in global memory", "of another block"}, floats);
	run(k, "test_block_race", 1, 1, {}, floats);
	run(k, "test_reverse", 2, 64, {}, floats, 256);
	run(k, "test_sum", 4, 256, {},
		[](Device &d) { return Args().add(d.alloc(16)).add(d.put(vector<float>(1024))).add(1024); });
	run(k, "test_add", 3, 64, {}, [](Device &d) {
		Ptr p = d.put(vector<float>(1000));
		return Args().add(p).add(p).add(p).add(1000);
	});
	run(k, "test_write", 1, 2, {"race in global memory", "this write, and the write of thread"},
		[](Device &d) { return Args().add(d.alloc(4)).add(0LL); });
	run(k, "test_read", 4, 8, {"race in global memory"},
		[](Device &d) { return Args().add(d.alloc(4)).add(d.put<float>({1})).add(0LL); });
	run(m, "test_bytes", 1, 64, {}, [](Device &d) { return Args().add(d.alloc(64)).add(1); });
	run(m, "test_bytes", 1, 64, {"race in global memory"}, [](Device &d) { return Args().add(d.alloc(64)).add(0); });
	run(m, "test_warp_barrier", 1, 64, {}, [](Device &d) { return Args().add(d.alloc(256)).add(1); });
	run(m, "test_warp_barrier", 1, 64, {"race in shared memory"},
		[](Device &d) { return Args().add(d.alloc(256)).add(0); });
	run(m, "test_atomic_race", 2, 64, {}, [](Device &d) { return Args().add(d.put<float>({0, 0})).add(0); });
	run(m, "test_atomic_race", 1, 64, {"race in global memory", "atomic"},
		[](Device &d) { return Args().add(d.put<float>({0, 0})).add(1); });
	run(m, "test_call", 1, 64, {}, [](Device &d) { return Args().add(d.alloc(512)); });
	run(m, "test_ldmatrix", 1, 32, {}, [](Device &d) { return Args().add(d.alloc(32 * 56)); });
	auto copies = [](Device &d) { return Args().add(d.alloc(32 * 20)).add(d.put(vector<float>(384))); };
	run(m, "test_copies", 1, 32, {}, copies);
	run(m, "test_copies_early", 1, 32, {"race in shared memory"}, copies);
	// A barrier that the environment takes away.
	string kernels = read_file(k);
	int line = 1;
	for (size_t i = 0, at = kernels.find("bar.sync", kernels.find("test_reverse")); i < at; i++)
		line += kernels[i] == '\n';
	setenv("SIGMAZ_SIM_FAULT", ("barrier:kernels.ptx:" + to_string(line)).c_str(), 1);
	run(k, "test_reverse", 2, 64, {"race in shared memory"}, floats, 256);
	unsetenv("SIGMAZ_SIM_FAULT");
	unsetenv("SIGMAZ_SIM_RACES");
}

// number is a token of instructions.txt: its bits, where it is a number.
struct Token {
	bool nan = false, about = false;
	int digits = 0;
	uint64_t bits = 0;
};
static Token number(string s) {
	Token t;
	if (s[0] == '~') t.about = true, s.erase(0, 1);
	if (s.compare(0, 4, "NaN.") == 0) t.nan = true, t.digits = atoi(s.c_str() + 4) / 4;
	else t.digits = int(s.size()), t.bits = strtoull(s.c_str(), nullptr, 16);
	return t;
}

// Every line of instructions.txt.
static void instructions() {
	struct Case { string line; vector<Token> operands, results; };
	map<string, vector<Case>> entries;
	ifstream in(folder + "/instructions.txt");
	size_t lines = 0;
	for (string line; getline(in, line);) {
		istringstream words(line);
		string name, w;
		if (!(words >> name) || name[0] == '#') continue;
		Case c{line, {}, {}};
		bool results = false;
		string entry = "t_" + name;
		while (words >> w) {
			if (w == "=") results = true;
			else if (w[0] == '#') entry += "_" + w.substr(1);
			else (results ? c.results : c.operands).push_back(number(w));
		}
		for (char &ch : entry) if (ch == '.') ch = '_';
		entries[entry].push_back(c);
		lines++;
	}
	CHECK(lines > 3000);
	Device d("instructions.ptx");
	char name[64] = "";
	EQUAL(cuDeviceGetName(name, sizeof name, 0), 0);
	const bool chip = !strstr(name, "stand-in");
	for (auto &e : entries) {
		vector<uint64_t> operands, want;
		for (auto &c : e.second)
			for (size_t i = 0; i < 5; i++) operands.push_back(i < c.operands.size() ? c.operands[i].bits : 0);
		Ptr p = d.put(operands), q = d.put(vector<uint64_t>(2 * e.second.size()));
		EQUAL(d.launch(e.first.c_str(), 1, unsigned(e.second.size()), Args().add(p).add(q)), 0);
		vector<uint64_t> got = d.result<uint64_t>(q, 2 * e.second.size());
		for (size_t i = 0; i < e.second.size(); i++)
			for (size_t k = 0; k < e.second[i].results.size(); k++) {
				const Token &t = e.second[i].results[k];
				const uint64_t g = got[2 * i + k];
				bool ok = g == t.bits;
				if (t.nan) ok = t.digits == 8 ? (g & 0x7fffffff) > 0x7f800000 : (g << 1) > 0xffe0000000000000ull;
				if (t.about && chip) ok = llabs(int64_t(g) - int64_t(t.bits)) <= 2;
				CHECK(ok, "%s: got %0*llx", e.second[i].line.c_str(), t.digits, (unsigned long long)g);
			}
		EQUAL(cuMemFree_v2(p), 0);
		EQUAL(cuMemFree_v2(q), 0);
	}
}

static float from_bf16(uint16_t b) {
	uint32_t u = uint32_t(b) << 16;
	float f;
	memcpy(&f, &u, 4);
	return f;
}

static void equal(const char *what, size_t i, uint64_t got, uint64_t want) {
	CHECK(got == want, "%s %zu: %llx, want %llx", what, i, (unsigned long long)got, (unsigned long long)want);
}

// What machine.ptx says of itself.
static double now() {
	timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + 1e-9 * t.tv_nsec;
}

static void machine() {
	Device d("machine.ptx");
	{
		Ptr out = d.alloc(16);
		double before = 1e9 * now();
		EQUAL(d.launch("test_time", 1, 1, Args().add(out)), 0);
		vector<uint64_t> o = d.result<uint64_t>(out, 2), first = o;
		CHECK(o[0] > 0 && o[0] <= o[1]);
		EQUAL(d.launch("test_time", 1, 1, Args().add(out)), 0);
		o = d.result<uint64_t>(out, 2);
		CHECK(first[1] < o[0] && double(o[1] - first[0]) <= 1e9 * now() - before, "the clock does not count nanoseconds");
	}
	vector<uint8_t> bytes(64);
	for (int i = 0; i < 64; i++) bytes[i] = uint8_t(0x81 + 7 * i);
	auto word = [&](int at, int n) { uint64_t v = 0; memcpy(&v, &bytes[at], n); return v; };
	{
		Ptr in = d.put(bytes), out = d.put(vector<uint64_t>(24));
		EQUAL(d.launch("test_widths", 1, 1, Args().add(out).add(in)), 0);
		vector<uint64_t> o = d.result<uint64_t>(out, 24);
		const uint64_t w = word(8, 8);
		vector<uint64_t> want = {w & 0xff, uint64_t(int8_t(w)), w & 0xff, w & 0xffff, uint64_t(int16_t(w)), w & 0xffff,
			w & 0xffffffff, uint64_t(int32_t(w)), w & 0xffffffff, w, w, w};
		for (int n : {1, 2, 4}) want.push_back(~0ull << 8 * n | word(0, n)); // -1 with a part written over
		want.push_back(uint16_t(int8_t(w)));
		want.push_back(word(22, 2) | word(16, 2) << 16 | word(20, 2) << 32 | word(18, 2) << 48);
		want.push_back(word(28, 4) | word(24, 4) << 32);
		want.push_back(word(44, 4) | word(40, 4) << 32);
		want.push_back(word(36, 4) | word(32, 4) << 32);
		want.push_back(word(56, 8));
		want.push_back(word(48, 8));
		want.push_back(word(52, 4) | word(48, 4) << 32);
		want.push_back(word(50, 2) | word(48, 2) << 16);
		for (size_t i = 0; i < want.size(); i++) equal("width", i, o[i], want[i]);
	}
	{
		Ptr out = d.alloc(512);
		EQUAL(d.launch("test_generic", 1, 32, Args().add(out)), 0);
		vector<uint32_t> o = d.result<uint32_t>(out, 128);
		for (unsigned i = 0; i < 32; i++)
			CHECK(o[4 * i] == 100 + i && o[4 * i + 1] == 200 + i && o[4 * i + 2] == 300 + i && o[4 * i + 3] == 100 + i,
				"lane %u", i);
	}
	{
		auto bits = [](auto v) { uint64_t b = 0; memcpy(&b, &v, sizeof v); return b; };
		const uint64_t sum = 63 * 32, high = 0xabcdull << 32;
		vector<uint64_t> start = {5, 5, 5, bits(0.5f), bits(0.5), 7, 7, 7, uint64_t(-7), 255 | high, 1, 0, 0, 5};
		vector<uint64_t> want = {5 + sum, uint32_t(5 - 64), 5 + sum, bits(0.5f + sum), bits(0.5 + sum), 0, uint32_t(-5),
			63, 63, 254 | high, 63, 0, 4, 1};
		const size_t n = start.size();
		start.resize(2 * n + 3);
		start[2 * n] = 5;
		Ptr out = d.put(start);
		EQUAL(d.launch("test_atomics", 1, 64, Args().add(out)), 0);
		vector<uint64_t> o = d.result<uint64_t>(out, 2 * n + 2);
		for (size_t i = 0; i < n; i++) {
			equal("global atomic", i, o[i], want[i]);
			equal("shared atomic", i, o[n + i], want[i]);
		}
		equal("exch and its result", 0, o[2 * n], 78 | 5ull << 32);
		equal("results of cas", 0, o[2 * n + 1], 77 | 78ull << 32);
	}
	{
		Ptr out = d.alloc(32 * 40);
		EQUAL(d.launch("test_shuffles", 1, 32, Args().add(out)), 0);
		vector<uint32_t> o = d.result<uint32_t>(out, 320);
		for (unsigned l = 0; l < 32; l++) {
			const unsigned in = 256;
			vector<uint32_t> want = {l < 3 ? l : (l - 3) | in, l > 28 ? l : (l + 3) | in, (l ^ 7) | in, 5 | in,
				(l / 8 * 8 + 1) | in, l % 4 > 1 ? l : (l + 2) | in, l % 2 ? 99u : 2u, // shuffles
				0xfffffc00u, 2 | 8 | 16,                                              // ballot; any, and all and uni
				0xffffffffu - (1u << l)};                                             // masks
			for (size_t i = 0; i < want.size(); i++)
				CHECK(o[10 * l + i] == want[i], "lane %u, %zu: %x, want %x", l, i, o[10 * l + i], want[i]);
		}
	}
	{
		Ptr out = d.alloc(32 * 56);
		EQUAL(d.launch("test_ldmatrix", 1, 32, Args().add(out)), 0);
		vector<uint32_t> o = d.result<uint32_t>(out, 32 * 14);
		for (unsigned l = 0; l < 32; l++) {
			const unsigned matrices[] = {0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 0, 1, 0, 0};
			const bool trans[] = {0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 1, 1, 0, 1};
			for (int i = 0; i < 14; i++) {
				auto value = [&](unsigned row, unsigned column) {
					return trans[i] ? 256 * matrices[i] + 16 * column + row : 256 * matrices[i] + 16 * row + column;
				};
				const unsigned want = value(l / 4, 2 * (l % 4)) | value(l / 4, 2 * (l % 4) + 1) << 16;
				CHECK(o[14 * l + i] == want, "lane %u, %d: %x, want %x", l, i, o[14 * l + i], want);
			}
		}
	}
	// a has 16 rows and b 8 columns. Where a lane's values lie is the PTX manual's.
	for (bool tf32 : {false, true}) {
		const int terms = tf32 ? 8 : 16;
		vector<double> a(16 * terms), b(terms * 8);
		vector<float> c(16 * 8);
		auto value = [&](unsigned i) { // 8 bits of fraction at most: sums of products are exact
			return float(int(i * 2654435761u >> 20) % 255 - 127) / 64;
		};
		for (size_t i = 0; i < a.size(); i++) a[i] = value(unsigned(i));
		for (size_t i = 0; i < b.size(); i++) b[i] = value(unsigned(1000 + i));
		for (size_t i = 0; i < c.size(); i++) c[i] = value(unsigned(2000 + i));
		vector<uint32_t> in(320);
		auto word_of = [&](double x, double y) {
			float f[2] = {float(x), float(y)};
			uint32_t u[2];
			memcpy(u, f, 8);
			if (!tf32)
				CHECK(from_bf16(u[0] >> 16) == f[0] && from_bf16(u[1] >> 16) == f[1], "a number that is none of bf16");
			return tf32 ? u[0] | 0x1fff : u[0] >> 16 | (u[1] & 0xffff0000); // the last 13 bits of tf32 do not count
		};
		for (int l = 0; l < 32; l++) {
			for (int r = 0; r < 4; r++) {
				const int row = l / 4 + r % 2 * 8, k = tf32 ? l % 4 + r / 2 * 4 : 2 * (l % 4) + r / 2 * 8;
				in[10 * l + r] = word_of(a[row * terms + k], tf32 ? 0 : a[row * terms + k + 1]);
			}
			for (int r = 0; r < 2; r++) {
				const int column = l / 4, k = tf32 ? l % 4 + 4 * r : 2 * (l % 4) + 8 * r;
				in[10 * l + 4 + r] = word_of(b[k * 8 + column], tf32 ? 0 : b[(k + 1) * 8 + column]);
			}
			for (int r = 0; r < 4; r++)
				memcpy(&in[10 * l + 6 + r], &c[(l / 4 + r / 2 * 8) * 8 + 2 * (l % 4) + r % 2], 4);
		}
		Ptr p = d.put(in), out = d.alloc(512);
		EQUAL(d.launch(tf32 ? "test_mma_tf32" : "test_mma_bf16", 1, 32, Args().add(out).add(p)), 0);
		vector<float> o = d.result(out, 128);
		for (int l = 0; l < 32; l++)
			for (int r = 0; r < 4; r++) {
				const int row = l / 4 + r / 2 * 8, column = 2 * (l % 4) + r % 2;
				double sum = c[row * 8 + column];
				for (int k = 0; k < terms; k++) sum += a[row * terms + k] * b[k * 8 + column];
				CHECK(o[4 * l + r] == sum, "%s: row %d, column %d: %g, want %g", tf32 ? "tf32" : "bf16", row, column,
					o[4 * l + r], sum);
			}
	}
	// Copies that are waited for, and one that is read too early: on the stand-in it has not come.
	for (const char *name : {"test_copies", "test_copies_early"}) {
		vector<uint32_t> in(384);
		for (int i = 0; i < 384; i++) in[i] = 1000 + i;
		Ptr p = d.put(in), out = d.alloc(32 * 20);
		EQUAL(d.launch(name, 1, 32, Args().add(out).add(p)), 0);
		vector<uint32_t> o = d.result<uint32_t>(out, 160);
		for (unsigned l = 0; l < 32; l++) {
			const unsigned from = 4 * (31 - l);
			vector<uint32_t> want = {1000 + from, 1128 + from, 0, 1258 + from, 0};
			if (!strcmp(name, "test_copies_early")) want[1] = want[2] = ~0u;
			for (int i = 0; i < 5; i++)
				CHECK(o[5 * l + i] == want[i], "%s, lane %u, %d: %x, want %x", name, l, i, o[5 * l + i], want[i]);
		}
	}
	{
		Ptr out = d.alloc(64 * 8);
		EQUAL(d.launch("test_call", 1, 64, Args().add(out)), 0);
		for (uint64_t v : d.result<uint64_t>(out, 64)) EQUAL(v, 63 * 32 * 10);
	}
	{
		Ptr out = d.alloc(8 * 24 * 24);
		vector<void *> p = {&out};
		EQUAL(cuLaunchKernel(d.function("test_indices"), 4, 3, 2, 2, 3, 4, 0, d.stream, p.data(), nullptr), 0);
		vector<uint64_t> o = d.result<uint64_t>(out, 24 * 24);
		for (unsigned i = 0; i < o.size(); i++) {
			const unsigned t = i % 24, b = i / 24;
			uint64_t want = 0;
			for (unsigned v : {2u, 3u, 4u, b / 12, b / 4 % 3, b % 4, t / 6, t / 2 % 3, t % 2}) want = want << 4 | v;
			equal("index", i, o[i], want);
		}
	}
	{
		Ptr out = d.alloc(256);
		EQUAL(d.launch("test_warp_barrier", 1, 64, Args().add(out).add(1)), 0);
		vector<uint32_t> o = d.result<uint32_t>(out, 64);
		for (unsigned i = 0; i < 64; i++) EQUAL(o[i], i ^ 1);
	}
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
	for (int n : {4, 108, 132}) {
		setenv("SIGMAZ_SIM_MULTIPROCESSORS", n == 4 ? "" : to_string(n).c_str(), 1);
		Device d;
		EQUAL(cuDeviceGetAttribute(&v, 16, 0), 0);
		EQUAL(v, n);
	}
}

// Devices are apart: in memory, in what waits, and in who is lost.
static void devices() {
	int n, device;
	setenv("SIGMAZ_SIM_DEVICES", "3", 1);
	EQUAL(cuDeviceGetCount(&n), 0);
	EQUAL(n, 3);
	EQUAL(cuDeviceGet(&device, 2), 0);
	EQUAL(device, 2);
	EQUAL(cuDeviceGet(&device, 3), 101);
	{
		setenv("SIGMAZ_SIM_FAULT", "oom:1000000,lost:3:1", 1);
		Device a("kernels.ptx", 2), b("kernels.ptx", 1); // b's context is current
		EQUAL(cuCtxGetDevice(&device), 0);
		EQUAL(device, 1);
		Ptr pb = b.put(vector<float>(200000, 1)), pa;
		EQUAL(cuCtxSetCurrent(a.context), 0);
		size_t free_bytes, total;
		EQUAL(cuMemGetInfo_v2(&free_bytes, &total), 0);
		EQUAL(free_bytes, 1000000);
		pa = a.put(vector<float>(200000, 2));
		Handle of_a = a.function("test_write");
		uint64_t at = 0;
		void *args[] = {&pa, &at};
		for (int i = 0; i < 9; i++) EQUAL(cuLaunchKernel(of_a, 1, 1, 1, 1, 1, 1, 0, a.stream, args, nullptr), 0);
		EQUAL(cuCtxSetCurrent(b.context), 0);
		Handle of_b = b.function("test_write");
		args[0] = &pb;
		for (int i = 1; i <= 4; i++)
			EQUAL(cuLaunchKernel(of_b, 1, 1, 1, 1, 1, 1, 0, b.stream, args, nullptr), i < 3 ? 0 : LAUNCH_FAILED);
		EQUAL(cuCtxSetCurrent(a.context), 0);
		EQUAL(a.get(pa, 2)[1], 2);
		EQUAL(cuLaunchKernel(of_a, 1, 1, 1, 1, 1, 1, 0, a.stream, args, nullptr), ILLEGAL_ADDRESS); // pb
		says(ILLEGAL_ADDRESS, {"argument 0 points to offset 0", "of device 1, and runs on device 2"});
	}
	{
		unsetenv("SIGMAZ_SIM_FAULT");
		Device a("kernels.ptx", 0), b("kernels.ptx", 1);
		Ptr pb = b.put(vector<float>{1});
		EQUAL(cuCtxSetCurrent(a.context), 0);
		Handle late; // a second stream runs when something waits for it
		EQUAL(cuStreamCreate(&late, 1), 0);
		Ptr pa = a.put(vector<float>{1});
		EQUAL(cuMemsetD32Async(pa, 0x40000000, 1, late), 0);
		EQUAL(cuCtxSetCurrent(b.context), 0);
		EQUAL(cuCtxSynchronize(), 0);
		EQUAL(b.get(pb, 1)[0], 1);
		EQUAL(cuCtxSetCurrent(a.context), 0);
		EQUAL(a.get(pa, 1)[0], 1);
		EQUAL(cuCtxSynchronize(), 0);
		EQUAL(a.get(pa, 1)[0], 2);
	}
	unsetenv("SIGMAZ_SIM_DEVICES");
	EQUAL(cuDeviceGetCount(&n), 0);
	EQUAL(n, 1);
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
	if (argc < 2) {
		printf("usage: test FOLDER [NAME]\n");
		return 2;
	}
	string which = argc > 2 ? argv[2] : "";
	folder = argv[1];
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
		EQUAL(cuModuleLoadData(&module, read_file("kernels.ptx").c_str()), 222);
	} else {
		EQUAL(cuDeviceGetCount(&n), 3); // not before cuInit
		EQUAL(cuInit(0), 0);
		struct { const char *name; void (*run)();
		} tests[] = {{"runs", runs}, {"order", order}, {"mistakes", mistakes}, {"refused", refused},
			{"capture", capture}, {"branches", branches}, {"lazy", lazy}, {"streams", streams}, {"races", races},
			{"instructions", instructions}, {"machine", machine}, {"faults", faults}, {"devices", devices}, {"speed", speed}};
		for (auto &t : tests) {
			if (!which.empty() && which != t.name) continue;
			test_name = t.name;
			t.run();
		}
	}
	if (failures) printf("%d checks failed\n", failures);
	return failures != 0;
}
