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

// get and put are V successive words.
template <int V, typename T> __device__ __forceinline__ void get(T *v, const T *p)
{
    union { float4 f; T t[4]; } q;
    if (V == 4) {
        q.f = *(const float4 *)p;
        for (int e = 0; e < V; e++) v[e] = q.t[e];
    } else {
        v[0] = *p;
    }
}

template <int V, typename T> __device__ __forceinline__ void put(T *p, const T *v)
{
    union { float4 f; T t[4]; } q;
    if (V == 4) {
        for (int e = 0; e < V; e++) q.t[e] = v[e];
        *(float4 *)p = q.f;
    } else {
        *p = v[0];
    }
}

// max_pool is the maximum over 5 x 5 windows and, where index is not 0, its place 5u+v there: the first in row-major order,
// where a NaN counts as largest.
template <int V> __device__ __forceinline__ void max_pool(float *y, u32 *index, const float *x, int images, int h, int w, int c)
{
    Pixel p;
    if (!pixel<V>(p, h, w, c)) return;
    for (int n = blockIdx.y; n < images; n += gridDim.y) {
        i64 base = (i64)n * h * w * c;
        float best[V];
        u32 at[V];
#pragma unroll
        for (int e = 0; e < V; e++) best[e] = 0.0f, at[e] = 0;
        bool first = true;
        for (int u = 0; u < 5; u++) {
            int row = p.row + u - 2;
            if (row < 0 || row >= h) continue;
#pragma unroll
            for (int t = 0; t < 5; t++) {
                int col = p.col + t - 2;
                if (col < 0 || col >= w) continue;
                float v[V];
                get<V>(v, x + base + ((i64)row * w + col) * c + p.c);
#pragma unroll
                for (int e = 0; e < V; e++)
                    if (first || v[e] > best[e] || v[e] != v[e]) {
                        best[e] = v[e];
                        at[e] = 5 * u + t;
                    }
                first = false;
            }
        }
        put<V>(y + base + p.i, best);
        if (index) put<V>(index + base + p.i, at);
    }
}

extern "C" __global__ void __launch_bounds__(256) maxpool5(float *y, u32 *index, const float *x, int v, int images, int h, int w, int c)
{
    if (v == 4)
        max_pool<4>(y, index, x, images, h, w, c);
    else
        max_pool<1>(y, index, x, images, h, w, c);
}

// max_pool_grad gathers: a pixel gets dy of every window whose maximum it is, windows in row-major order.
template <int V> __device__ __forceinline__ void max_pool_grad(const Steps &s, const float *dy, const u32 *index, int images, int h, int w, int c)
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
                float g[V];
                get<V>(at, index + from);
                get<V>(g, dy + from);
#pragma unroll
                for (int e = 0; e < V; e++)
                    if (at[e] == (u32)(5 * u + t)) sum[e] += g[e];
            }
        }
        finish<V>(s, sum, base + p.i);
    }
}

extern "C" __global__ void __launch_bounds__(256, 4) maxpool5_grad(float *dx, const float *dy, const u32 *index, int v, int images, int h, int w, int c, const float *with1, float *to1, const float *with2, float *to2, int kinds)
{
    Steps e = {dx, with1, to1, with2, to2, kinds};
    if (v == 4)
        max_pool_grad<4>(e, dy, index, images, h, w, c);
    else
        max_pool_grad<1>(e, dy, index, images, h, w, c);
}

// avg_pool is the sum over 5 x 5 windows / 25, outside counting as 0.
template <int V> __device__ __forceinline__ void avg_pool(const Steps &s, const float *x, int images, int h, int w, int c)
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
                get<V>(v, x + base + ((i64)row * w + col) * c + p.c);
#pragma unroll
                for (int e = 0; e < V; e++) sum[e] += v[e];
            }
        }
#pragma unroll
        for (int e = 0; e < V; e++) sum[e] *= 0.04f;
        finish<V>(s, sum, base + p.i);
    }
}

extern "C" __global__ void __launch_bounds__(256) avgpool5(float *y, const float *x, int v, int images, int h, int w, int c, const float *with1, float *to1, const float *with2, float *to2, int kinds)
{
    Steps e = {y, with1, to1, with2, to2, kinds};
    if (v == 4)
        avg_pool<4>(e, x, images, h, w, c);
    else
        avg_pool<1>(e, x, images, h, w, c);
}

// mean_pool halves height and width; h and w are those of y.
template <int V> __device__ __forceinline__ void mean_pool(const Steps &s, const float *x, int images, int h, int w, int c)
{
    Pixel p;
    if (!pixel<V>(p, h, w, c)) return;
    for (int n = blockIdx.y; n < images; n += gridDim.y) {
        const float *from = x + (i64)n * 4 * h * w * c + ((i64)2 * p.row * 2 * w + 2 * p.col) * c + p.c;
        float a[V], b[V];
        get<V>(a, from);
        get<V>(b, from + (i64)2 * w * c);
#pragma unroll
        for (int e = 0; e < V; e++) a[e] += b[e];
        get<V>(b, from + c);
#pragma unroll
        for (int e = 0; e < V; e++) a[e] += b[e];
        get<V>(b, from + (i64)2 * w * c + c);
#pragma unroll
        for (int e = 0; e < V; e++) a[e] = (a[e] + b[e]) * 0.25f;
        finish<V>(s, a, (i64)n * h * w * c + p.i);
    }
}

extern "C" __global__ void __launch_bounds__(256) meanpool2(float *y, const float *x, int v, int images, int h, int w, int c, const float *with1, float *to1, const float *with2, float *to2, int kinds)
{
    Steps e = {y, with1, to1, with2, to2, kinds};
    if (v == 4)
        mean_pool<4>(e, x, images, h, w, c);
    else
        mean_pool<1>(e, x, images, h, w, c);
}

// mean_pool_grad spreads a quarter of dy; h and w are those of dx.
template <int V> __device__ __forceinline__ void mean_pool_grad(float *dx, const float *dy, int images, int h, int w, int c)
{
    Pixel p;
    if (!pixel<V>(p, h, w, c)) return;
    for (int n = blockIdx.y; n < images; n += gridDim.y) {
        float g[V];
        get<V>(g, dy + (i64)n * (h / 2) * (w / 2) * c + ((i64)(p.row / 2) * (w / 2) + p.col / 2) * c + p.c);
#pragma unroll
        for (int e = 0; e < V; e++) g[e] *= 0.25f;
        put<V>(dx + (i64)n * h * w * c + p.i, g);
    }
}

extern "C" __global__ void __launch_bounds__(256) meanpool2_grad(float *dx, const float *dy, int v, int images, int h, int w, int c)
{
    if (v == 4)
        mean_pool_grad<4>(dx, dy, images, h, w, c);
    else
        mean_pool_grad<1>(dx, dy, images, h, w, c);
}
