// Pooling, partner of pool.go. A thread takes v = 1 or 4 successive channels of one pixel (4: aligned, C a multiple of 4);
// the second dimension of the grid is images.
#include "common.cuh"
#include "epilogue.cuh"

// Pixel is a thread's place in an image of w columns: row, column, first channel; i is its word there.
struct Pixel {
    int i, row, col, c;
};

template <int V> __device__ __forceinline__ bool pixel(Pixel &p, int h, int w, int c)
{
    u32 at = blockIdx.x * blockDim.x + threadIdx.x, lanes = (u32)c / V;
    u32 q = at / lanes;
    p.c = V * (int)(at - q * lanes);
    p.row = (int)(q / (u32)w);
    p.col = (int)(q - (u32)p.row * (u32)w);
    p.i = (int)at * V;
    return p.row < h;
}

// get and put are the places of V successive maxima, of value i on: four bytes in a word, or one word. The maximum reads
// and writes values wherever they lie, so that the threads share no word of the index.
template <int V> __device__ __forceinline__ void get(u32 *v, const u32 *index, i64 i)
{
    u32 word = index[i / V];
#pragma unroll
    for (int e = 0; e < V; e++) v[e] = V == 4 ? word >> 8 * e & 255 : word;
}

template <int V> __device__ __forceinline__ void put(u32 *index, i64 i, const u32 *v)
{
    u32 word = v[0];
    if (V == 4) word |= v[1] << 8 | v[2] << 16 | v[3] << 24;
    index[i / V] = word;
}

// max_pool is the maximum over 5 x 5 windows and, where index is not 0, its place 5u+v there: the first in row-major order,
// where a NaN counts as largest.
template <int V, typename T> __device__ __forceinline__ void max_pool(T *y, u32 *index, const T *x, int images, int h, int w, int c)
{
    Pixel p;
    if (!pixel<V>(p, h, w, c)) return;
    for (int n = blockIdx.y; n < images; n += gridDim.y) {
        i64 base = (i64)n * h * w * c;
        Quad best;
        u32 at[V];
#pragma unroll
        for (int e = 0; e < V; e++) best.v[e] = 0.0f, at[e] = 0;
        bool first = true;
        for (int u = 0; u < 5; u++) {
            int row = p.row + u - 2;
            if (row < 0 || row >= h) continue;
#pragma unroll
            for (int t = 0; t < 5; t++) {
                int col = p.col + t - 2;
                if (col < 0 || col >= w) continue;
                Quad q = load4(x + base + ((i64)row * w + col) * c + p.c, V);
#pragma unroll
                for (int e = 0; e < V; e++)
                    if (first || q.v[e] > best.v[e] || q.v[e] != q.v[e]) {
                        best.v[e] = q.v[e];
                        at[e] = 5 * u + t;
                    }
                first = false;
            }
        }
        store4(y + base + p.i, best, V);
        if (index) put<V>(index, base + p.i, at);
    }
}

template <typename T> static __device__ __forceinline__ void maxpool5_of(T *y, u32 *index, const T *x, int v, int images, int h, int w, int c)
{
    if (v == 4)
        max_pool<4>(y, index, x, images, h, w, c);
    else
        max_pool<1>(y, index, x, images, h, w, c);
}

extern "C" __global__ void __launch_bounds__(256) maxpool5(float *y, u32 *index, const float *x, int v, int images, int h, int w, int c)
{
    maxpool5_of(y, index, x, v, images, h, w, c);
}

extern "C" __global__ void __launch_bounds__(256) maxpool5_bf16(bf16 *y, u32 *index, const bf16 *x, int v, int images, int h, int w, int c)
{
    maxpool5_of(y, index, x, v, images, h, w, c);
}

// max_pool_grad gathers: a pixel gets dy of every window whose maximum it is, windows in row-major order.
template <int V, typename T> __device__ __forceinline__ void max_pool_grad(const Steps<T> &s, const T *dy, const u32 *index, int images, int h, int w, int c)
{
    Pixel p;
    if (!pixel<V>(p, h, w, c)) return;
    for (int n = blockIdx.y; n < images; n += gridDim.y) {
        i64 base = (i64)n * h * w * c;
        float sum[V];
#pragma unroll
        for (int e = 0; e < V; e++) sum[e] = 0;
        for (int u = 4; u >= 0; u--) {
            int row = p.row - (u - 2);
            if (row < 0 || row >= h) continue;
#pragma unroll
            for (int t = 4; t >= 0; t--) {
                int col = p.col - (t - 2);
                if (col < 0 || col >= w) continue;
                i64 from = base + ((i64)row * w + col) * c + p.c;
                u32 at[V];
                get<V>(at, index, from);
                Quad g = load4(dy + from, V);
#pragma unroll
                for (int e = 0; e < V; e++)
                    if (at[e] == (u32)(5 * u + t)) sum[e] += g.v[e];
            }
        }
        take_steps<V>(s, sum, base + p.i);
    }
}

template <typename T> static __device__ __forceinline__ void maxpool5_grad_of(const Steps<T> &s, const T *dy, const u32 *index, int v, int images, int h, int w, int c)
{
    if (v == 4)
        max_pool_grad<4>(s, dy, index, images, h, w, c);
    else
        max_pool_grad<1>(s, dy, index, images, h, w, c);
}

extern "C" __global__ void __launch_bounds__(256, 4) maxpool5_grad(float *dx, const float *dy, const u32 *index, int v, int images, int h, int w, int c, const float *with1, float *to1, const float *with2, float *to2, int kinds, float inner1, float outer1, float inner2, float outer2)
{
    Steps<float> e = {dx, with1, to1, with2, to2, kinds, inner1, outer1, inner2, outer2};
    maxpool5_grad_of(e, dy, index, v, images, h, w, c);
}

extern "C" __global__ void __launch_bounds__(256, 4) maxpool5_grad_bf16(bf16 *dx, const bf16 *dy, const u32 *index, int v, int images, int h, int w, int c, const bf16 *with1, bf16 *to1, const bf16 *with2, bf16 *to2, int kinds, float inner1, float outer1, float inner2, float outer2)
{
    Steps<bf16> e = {dx, with1, to1, with2, to2, kinds, inner1, outer1, inner2, outer2};
    maxpool5_grad_of(e, dy, index, v, images, h, w, c);
}

// avg_pool is the sum over 5 x 5 windows / 25, outside counting as 0.
template <int V, typename T> __device__ __forceinline__ void avg_pool(const Steps<T> &s, const T *x, int images, int h, int w, int c)
{
    Pixel p;
    if (!pixel<V>(p, h, w, c)) return;
    for (int n = blockIdx.y; n < images; n += gridDim.y) {
        i64 base = (i64)n * h * w * c;
        float sum[V];
#pragma unroll
        for (int e = 0; e < V; e++) sum[e] = 0;
        for (int u = -2; u <= 2; u++) {
            int row = p.row + u;
            if (row < 0 || row >= h) continue;
#pragma unroll
            for (int t = -2; t <= 2; t++) {
                int col = p.col + t;
                if (col < 0 || col >= w) continue;
                float v[V];
                read<V>(v, x + base + ((i64)row * w + col) * c + p.c);
#pragma unroll
                for (int e = 0; e < V; e++) sum[e] += v[e];
            }
        }
#pragma unroll
        for (int e = 0; e < V; e++) sum[e] *= 0.04f;
        take_steps<V>(s, sum, base + p.i);
    }
}

template <typename T> static __device__ __forceinline__ void avgpool5_of(const Steps<T> &s, const T *x, int v, int images, int h, int w, int c)
{
    if (v == 4)
        avg_pool<4>(s, x, images, h, w, c);
    else
        avg_pool<1>(s, x, images, h, w, c);
}

extern "C" __global__ void __launch_bounds__(256) avgpool5(float *y, const float *x, int v, int images, int h, int w, int c, const float *with1, float *to1, const float *with2, float *to2, int kinds, float inner1, float outer1, float inner2, float outer2)
{
    Steps<float> e = {y, with1, to1, with2, to2, kinds, inner1, outer1, inner2, outer2};
    avgpool5_of(e, x, v, images, h, w, c);
}

extern "C" __global__ void __launch_bounds__(256) avgpool5_bf16(bf16 *y, const bf16 *x, int v, int images, int h, int w, int c, const bf16 *with1, bf16 *to1, const bf16 *with2, bf16 *to2, int kinds, float inner1, float outer1, float inner2, float outer2)
{
    Steps<bf16> e = {y, with1, to1, with2, to2, kinds, inner1, outer1, inner2, outer2};
    avgpool5_of(e, x, v, images, h, w, c);
}

// block_sum is the sum of 2 x 2 pixels times a weight; h and w are those of y.
template <int V, typename T> __device__ __forceinline__ void block_sum(const Steps<T> &s, const T *x, float weight, int images, int h, int w, int c)
{
    Pixel p;
    if (!pixel<V>(p, h, w, c)) return;
    for (int n = blockIdx.y; n < images; n += gridDim.y) {
        const T *from = x + (i64)n * 4 * h * w * c + ((i64)2 * p.row * 2 * w + 2 * p.col) * c + p.c;
        float a[V], b[V];
        read<V>(a, from);
        read<V>(b, from + (i64)2 * w * c);
#pragma unroll
        for (int e = 0; e < V; e++) a[e] += b[e];
        read<V>(b, from + c);
#pragma unroll
        for (int e = 0; e < V; e++) a[e] += b[e];
        read<V>(b, from + (i64)2 * w * c + c);
#pragma unroll
        for (int e = 0; e < V; e++) a[e] = (a[e] + b[e]) * weight;
        take_steps<V>(s, a, (i64)n * h * w * c + p.i);
    }
}

template <typename T> static __device__ __forceinline__ void block_sum_of(const Steps<T> &s, const T *x, float weight, int v, int images, int h, int w, int c)
{
    if (v == 4)
        block_sum<4>(s, x, weight, images, h, w, c);
    else
        block_sum<1>(s, x, weight, images, h, w, c);
}

extern "C" __global__ void __launch_bounds__(256) meanpool2(float *y, const float *x, int v, int images, int h, int w, int c, const float *with1, float *to1, const float *with2, float *to2, int kinds, float inner1, float outer1, float inner2, float outer2)
{
    Steps<float> e = {y, with1, to1, with2, to2, kinds, inner1, outer1, inner2, outer2};
    block_sum_of(e, x, 0.25f, v, images, h, w, c);
}

extern "C" __global__ void __launch_bounds__(256) meanpool2_bf16(bf16 *y, const bf16 *x, int v, int images, int h, int w, int c, const bf16 *with1, bf16 *to1, const bf16 *with2, bf16 *to2, int kinds, float inner1, float outer1, float inner2, float outer2)
{
    Steps<bf16> e = {y, with1, to1, with2, to2, kinds, inner1, outer1, inner2, outer2};
    block_sum_of(e, x, 0.25f, v, images, h, w, c);
}

// spread gives each of 2 x 2 pixels a value times a weight; h and w are those of dx.
template <int V, typename T> __device__ __forceinline__ void spread(T *dx, const T *dy, float weight, int images, int h, int w, int c)
{
    Pixel p;
    if (!pixel<V>(p, h, w, c)) return;
    for (int n = blockIdx.y; n < images; n += gridDim.y) {
        float g[V];
        read<V>(g, dy + (i64)n * (h / 2) * (w / 2) * c + ((i64)(p.row / 2) * (w / 2) + p.col / 2) * c + p.c);
#pragma unroll
        for (int e = 0; e < V; e++) g[e] *= weight;
        write<V>(dx + (i64)n * h * w * c + p.i, g);
    }
}

template <typename T> static __device__ __forceinline__ void spread_of(T *dx, const T *dy, float weight, int v, int images, int h, int w, int c)
{
    if (v == 4)
        spread<4>(dx, dy, weight, images, h, w, c);
    else
        spread<1>(dx, dy, weight, images, h, w, c);
}

extern "C" __global__ void __launch_bounds__(256) meanpool2_grad(float *dx, const float *dy, int v, int images, int h, int w, int c)
{
    spread_of(dx, dy, 0.25f, v, images, h, w, c);
}

extern "C" __global__ void __launch_bounds__(256) meanpool2_grad_bf16(bf16 *dx, const bf16 *dy, int v, int images, int h, int w, int c)
{
    spread_of(dx, dy, 0.25f, v, images, h, w, c);
}

extern "C" __global__ void __launch_bounds__(256) nearest2(float *y, const float *x, int v, int images, int h, int w, int c)
{
    spread_of(y, x, 1.0f, v, images, h, w, c);
}

extern "C" __global__ void __launch_bounds__(256) nearest2_bf16(bf16 *y, const bf16 *x, int v, int images, int h, int w, int c)
{
    spread_of(y, x, 1.0f, v, images, h, w, c);
}

extern "C" __global__ void __launch_bounds__(256) nearest2_grad(float *dx, const float *dy, int v, int images, int h, int w, int c, const float *with1, float *to1, const float *with2, float *to2, int kinds, float inner1, float outer1, float inner2, float outer2)
{
    Steps<float> e = {dx, with1, to1, with2, to2, kinds, inner1, outer1, inner2, outer2};
    block_sum_of(e, dy, 1.0f, v, images, h, w, c);
}

extern "C" __global__ void __launch_bounds__(256) nearest2_grad_bf16(bf16 *dx, const bf16 *dy, int v, int images, int h, int w, int c, const bf16 *with1, bf16 *to1, const bf16 *with2, bf16 *to2, int kinds, float inner1, float outer1, float inner2, float outer2)
{
    Steps<bf16> e = {dx, with1, to1, with2, to2, kinds, inner1, outer1, inner2, outer2};
    block_sum_of(e, dy, 1.0f, v, images, h, w, c);
}
