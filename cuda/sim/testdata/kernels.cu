// Kernels that try the stand-in: right ones, and one for every kind of mistake that it is to find.
#include "sim.h"

extern "C" __global__ void test_add(float *dst, const float *a, const float *b, int n)
{
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) dst[i] = a[i] + b[i];
}

// warp_sum leaves the sum of a warp's values in all its threads.
static __device__ __forceinline__ float warp_sum(float v)
{
    for (int lanes = 16; lanes > 0; lanes /= 2) v += __shfl_xor_sync(0xffffffffu, v, lanes);
    return v;
}

template <int WARPS> static __device__ float block_sum(float v)
{
    __shared__ float part[WARPS];
    v = warp_sum(v);
    if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = v;
    __syncthreads();
    v = threadIdx.x < WARPS ? part[threadIdx.x] : 0;
    if (threadIdx.x < 32) v = warp_sum(v);
    __syncthreads();
    return v;
}

// sums[block] = sum of x, 256 values a block
extern "C" __global__ void __launch_bounds__(256) test_sum(float *sums, const float *x, int n)
{
    int i = blockIdx.x * 256 + threadIdx.x;
    float s = block_sum<8>(i < n ? x[i] : 0);
    if (threadIdx.x == 0) sums[blockIdx.x] = s;
}

// What each of the shuffles gives to each lane.
extern "C" __global__ void test_shuffles(int *out)
{
    int lane = threadIdx.x;
    out[lane] = __shfl_sync(0xffffffffu, lane, 5);
    out[32 + lane] = __shfl_up_sync(0xffffffffu, lane, 3);
    out[64 + lane] = __shfl_down_sync(0xffffffffu, lane, 3);
    out[96 + lane] = __shfl_xor_sync(0xffffffffu, lane, 7);
    out[128 + lane] = __shfl_sync(0xffffffffu, lane, 1, 8);
}

// A block reverses its part through dynamic shared memory.
extern "C" __global__ void test_reverse(float *x)
{
    SIGMAZ_DYNAMIC_SHARED(float, tile);
    x += blockIdx.x * blockDim.x;
    tile[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    x[threadIdx.x] = tile[blockDim.x - 1 - threadIdx.x];
}

// The barrier between the two lines is missing: what a thread reads depends on the order.
extern "C" __global__ void test_race(float *x)
{
    __shared__ float tile[64];
    tile[threadIdx.x] = x[threadIdx.x];
    x[threadIdx.x] = threadIdx.x > 0 ? tile[threadIdx.x - 1] : 0.0f;
}

// Blocks that read what other blocks write.
extern "C" __global__ void test_block_race(float *x)
{
    x[blockIdx.x] = blockIdx.x > 0 ? x[blockIdx.x - 1] + 1 : 1.0f;
}

extern "C" __global__ void test_write(float *x, long long at) { x[at] = 1; }
extern "C" __global__ void test_read(float *y, const float *x, long long at) { *y = x[at]; }

extern "C" __global__ void test_shared_index(float *x, int at)
{
    __shared__ float tile[32];
    tile[threadIdx.x + at] = 0;
    x[threadIdx.x] = tile[threadIdx.x];
}

// A block leaves ones in shared memory, which the next must not find.
template <int N> static __device__ float leave_ones()
{
    __shared__ float tile[N];
    float v = tile[threadIdx.x];
    tile[threadIdx.x] = 1;
    return v;
}

extern "C" __global__ void test_uninitialised(float *x)
{
    __shared__ float tile[32];
    x[threadIdx.x] = tile[threadIdx.x];
    tile[threadIdx.x] = 1;
    x[32 + threadIdx.x] = leave_ones<32>();
}

extern "C" __global__ void test_missed_barrier(float *x)
{
    if (threadIdx.x == 7) return;
    __syncthreads();
    x[threadIdx.x] = 1;
}

extern "C" __global__ void test_two_barriers(float *x)
{
    if (threadIdx.x < 32)
        __syncthreads();
    else
        __syncthreads();
    x[threadIdx.x] = 1;
}

extern "C" __global__ void test_missed_shuffle(float *x)
{
    float v = threadIdx.x;
    if (threadIdx.x < 16) v = __shfl_xor_sync(0xffffffffu, v, 1);
    x[threadIdx.x] = v;
}

extern "C" __global__ void test_types(float *out, int i, unsigned u, unsigned long long l, float f)
{
    out[0] = i;
    out[1] = u;
    out[2] = l;
    out[3] = f;
}

extern "C" __global__ void test_float4(float4 *x) { x[threadIdx.x] = make_float4(1, 2, 3, 4); }

extern "C" __global__ void test_divide(int *x, int by) { x[0] = x[1] / by; }

extern "C" __global__ void test_deep(float *x)
{
    volatile float large[64 << 10];
    for (int i = 0; i < 64 << 10; i += 1024) large[i] = i;
    x[0] = large[1024];
}

extern "C" __global__ void test_barriers(float *x, int n)
{
    for (int i = 0; i < n; i++) {
        x[threadIdx.x] += 1;
        __syncthreads();
    }
}
