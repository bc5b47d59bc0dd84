// What a kernel source sees instead of CUDA's headers when it is compiled for the host.
//
// threadIdx and its relatives are plain variables that the cell (cell.cpp) sets before it runs a thread; a block's
// threads run one after the other on one host thread. __shared__ variables are static variables, one set for each cell.
// __syncthreads and the shuffles hand over to the block's next thread and come back when all have arrived.
//
// Floating-point operations are the host's: IEEE float32 without contraction, so that the _rn intrinsics are the plain
// operators. expf, logf and the like are the C library's, whose last bit may differ from CUDA's.
#ifndef SIGMAZ_SIM_H
#define SIGMAZ_SIM_H

#include <assert.h>
#include <float.h>
#include <limits.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <utility>

#define SIM_HIDDEN __attribute__((visibility("hidden")))

// Vector types, aligned as on the device: a misaligned float4 is an error there and is reported here.
struct alignas(8) float2 { float x, y; };
struct float3 { float x, y, z; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(16) double2 { double x, y; };
struct alignas(8) int2 { int x, y; };
struct int3 { int x, y, z; };
struct alignas(16) int4 { int x, y, z, w; };
struct alignas(8) uint2 { unsigned x, y; };
struct uint3 { unsigned x, y, z; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
struct dim3 {
	unsigned x, y, z;
	constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

static inline float2 make_float2(float x, float y) { return {x, y}; }
static inline float3 make_float3(float x, float y, float z) { return {x, y, z}; }
static inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
static inline double2 make_double2(double x, double y) { return {x, y}; }
static inline int2 make_int2(int x, int y) { return {x, y}; }
static inline int3 make_int3(int x, int y, int z) { return {x, y, z}; }
static inline int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }
static inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
static inline uint3 make_uint3(unsigned x, unsigned y, unsigned z) { return {x, y, z}; }
static inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

// What the cell offers to kernels.
extern "C" {
SIM_HIDDEN extern uint3 sim_thread, sim_block;
SIM_HIDDEN extern dim3 sim_block_dim, sim_grid_dim;
SIM_HIDDEN extern char *sim_dynamic_shared;
SIM_HIDDEN void sim_barrier(const char *file, int line);
// sim_exchange puts the lane's bits in its slot, waits for the warp and gives the warp's 32 slots.
SIM_HIDDEN const uint64_t *sim_exchange(uint64_t bits, unsigned mask, const char *file, int line);
SIM_HIDDEN int sim_lane(void);
SIM_HIDDEN int sim_lanes(void); // threads in this warp: fewer than 32 in the last warp of an odd block
SIM_HIDDEN void sim_trap(const char *what, const char *file, int line) __attribute__((noreturn));
}

// The scanner (scan.cpp) finds kernels by this mark.
#ifdef SIM_SCAN
#define __global__ SIM_GLOBAL
#else
#define __global__ SIM_HIDDEN __attribute__((used))
#endif

#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __constant__ static
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
// Uninitialised static variables: build.sh gathers them, so that the cell can fill them with NaN before each block.
#define __shared__ static __attribute__((aligned(16)))
#define SIGMAZ_DYNAMIC_SHARED(type, name) type *name = reinterpret_cast<type *>(sim_dynamic_shared)

#define threadIdx sim_thread
#define blockIdx sim_block
#define blockDim sim_block_dim
#define gridDim sim_grid_dim
static constexpr int warpSize = 32;

#define __syncthreads() sim_barrier(__FILE__, __LINE__)
#define __syncwarp(...) ((void)sim_exchange(0, 0xffffffffu, __FILE__, __LINE__))
#define __trap() sim_trap("__trap()", __FILE__, __LINE__)
#undef assert
#define assert(e) ((e) ? (void)0 : sim_trap("assertion failed: " #e, __FILE__, __LINE__))

// A shuffle reads the value of a lane of the same segment of width lanes, or its own value where the source lies
// outside the segment. A lane that the block does not have gives NaN: on the device its value is undefined.
template <class T>
static inline T sim_shuffle(unsigned mask, T v, int source, bool inside, const char *file, int line) {
	static_assert(sizeof(T) == 4 || sizeof(T) == 8, "shuffles move 4 or 8 bytes");
	uint64_t bits = 0;
	memcpy(&bits, &v, sizeof v);
	const uint64_t *slots = sim_exchange(bits, mask, file, line);
	if (!inside) return v;
	bits = source < sim_lanes() ? slots[source] : ~uint64_t(0);
	memcpy(&v, &bits, sizeof v);
	return v;
}
template <class T>
static inline T sim_shfl(const char *file, int line, unsigned mask, T v, int source, int width = 32) {
	return sim_shuffle(mask, v, (sim_lane() & ~(width - 1)) | (source & (width - 1)), true, file, line);
}
template <class T>
static inline T sim_shfl_up(const char *file, int line, unsigned mask, T v, unsigned delta, int width = 32) {
	int source = sim_lane() - int(delta);
	return sim_shuffle(mask, v, source, source >= (sim_lane() & ~(width - 1)), file, line);
}
template <class T>
static inline T sim_shfl_down(const char *file, int line, unsigned mask, T v, unsigned delta, int width = 32) {
	int source = sim_lane() + int(delta);
	return sim_shuffle(mask, v, source, source <= (sim_lane() | (width - 1)), file, line);
}
template <class T>
static inline T sim_shfl_xor(const char *file, int line, unsigned mask, T v, int lanes, int width = 32) {
	int source = sim_lane() ^ lanes;
	return sim_shuffle(mask, v, source, source <= (sim_lane() | (width - 1)), file, line);
}
#define __shfl_sync(...) sim_shfl(__FILE__, __LINE__, __VA_ARGS__)
#define __shfl_up_sync(...) sim_shfl_up(__FILE__, __LINE__, __VA_ARGS__)
#define __shfl_down_sync(...) sim_shfl_down(__FILE__, __LINE__, __VA_ARGS__)
#define __shfl_xor_sync(...) sim_shfl_xor(__FILE__, __LINE__, __VA_ARGS__)

// Arithmetic. -ffp-contract=off keeps a*b+c two operations; fmaf is one.
static inline float __fmul_rn(float a, float b) { return a * b; }
static inline float __fadd_rn(float a, float b) { return a + b; }
static inline float __fsub_rn(float a, float b) { return a - b; }
static inline float __fdiv_rn(float a, float b) { return a / b; }
static inline float __fsqrt_rn(float a) { return sqrtf(a); }
static inline float __frcp_rn(float a) { return 1.0f / a; }
static inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
static inline double __dmul_rn(double a, double b) { return a * b; }
static inline double __dadd_rn(double a, double b) { return a + b; }
static inline double __dsub_rn(double a, double b) { return a - b; }
static inline double __ddiv_rn(double a, double b) { return a / b; }
static inline double __dsqrt_rn(double a) { return sqrt(a); }
static inline double __fma_rn(double a, double b, double c) { return fma(a, b, c); }
static inline float rsqrtf(float a) { return 1.0f / sqrtf(a); }
static inline unsigned __umulhi(unsigned a, unsigned b) { return unsigned((uint64_t(a) * b) >> 32); }
static inline int __mulhi(int a, int b) { return int((int64_t(a) * b) >> 32); }
static inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
	return (unsigned long long)(((unsigned __int128)a * b) >> 64);
}
static inline int __popc(unsigned a) { return __builtin_popcount(a); }
static inline int __clz(int a) { return a ? __builtin_clz(unsigned(a)) : 32; }
static inline int __ffs(int a) { return __builtin_ffs(a); }

template <class To, class From>
static inline To sim_bits(From a) {
	static_assert(sizeof(To) == sizeof(From), "");
	To b;
	memcpy(&b, &a, sizeof b);
	return b;
}
static inline unsigned __float_as_uint(float a) { return sim_bits<unsigned>(a); }
static inline int __float_as_int(float a) { return sim_bits<int>(a); }
static inline float __uint_as_float(unsigned a) { return sim_bits<float>(a); }
static inline float __int_as_float(int a) { return sim_bits<float>(a); }
static inline long long __double_as_longlong(double a) { return sim_bits<long long>(a); }
static inline double __longlong_as_double(long long a) { return sim_bits<double>(a); }
static inline float __uint2float_rn(unsigned a) { return float(a); }
static inline float __int2float_rn(int a) { return float(a); }
static inline float __double2float_rn(double a) { return float(a); }
static inline int __float2int_rn(float a) { return int(lrintf(a)); }
static inline int __float2int_rz(float a) { return int(a); }
static inline int __float2int_rd(float a) { return int(floorf(a)); }

template <class T> static inline T __ldg(const T *p) { return *p; }
template <class T> static inline T __ldcg(const T *p) { return *p; }
template <class T> static inline T __ldcs(const T *p) { return *p; }
template <class T> static inline void __stcg(T *p, T v) { *p = v; }
template <class T> static inline void __stcs(T *p, T v) { *p = v; }

// min and max as CUDA overloads them: a pair of one signed and one unsigned is unsigned.
#define SIM_MINMAX(A, B, R)                                                              \
	static inline R min(A a, B b) { return (R)a < (R)b ? (R)a : (R)b; }              \
	static inline R max(A a, B b) { return (R)a < (R)b ? (R)b : (R)a; }
SIM_MINMAX(int, int, int)
SIM_MINMAX(unsigned, unsigned, unsigned)
SIM_MINMAX(int, unsigned, unsigned)
SIM_MINMAX(unsigned, int, unsigned)
SIM_MINMAX(long, long, long)
SIM_MINMAX(unsigned long, unsigned long, unsigned long)
SIM_MINMAX(long, unsigned long, unsigned long)
SIM_MINMAX(unsigned long, long, unsigned long)
SIM_MINMAX(long long, long long, long long)
SIM_MINMAX(unsigned long long, unsigned long long, unsigned long long)
SIM_MINMAX(long long, unsigned long long, unsigned long long)
SIM_MINMAX(unsigned long long, long long, unsigned long long)
#undef SIM_MINMAX
// Like fminf, these take the number where one of the two is NaN.
static inline float min(float a, float b) { return fminf(a, b); }
static inline float max(float a, float b) { return fmaxf(a, b); }
static inline double min(double a, double b) { return fmin(a, b); }
static inline double max(double a, double b) { return fmax(a, b); }
static inline double min(float a, double b) { return fmin(a, b); }
static inline double max(float a, double b) { return fmax(a, b); }
static inline double min(double a, float b) { return fmin(a, b); }
static inline double max(double a, float b) { return fmax(a, b); }

#endif
