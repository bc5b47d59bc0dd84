// Bilinear resize with aligned corners and its transpose, partner of resize.go. Both gather: a thread takes v = 1 or 4
// successive channels of one pixel of the result (4: aligned, C a multiple of 4) and adds what it depends on in the order
// of the reference. The second dimension of the grid is images.
#include "common.cuh"
#include "epilogue.cuh"

// Source is the source coordinate of an output pixel along one side: whole part and fraction.
struct Source {
    int whole;
    float fraction;
};

// source is that of output i of n from m, in float32 and with every product rounded.
__device__ __forceinline__ Source source(int i, int m, int n)
{
    Source s = {0, 0.0f};
    if (n == 1 || m == 1) return s;
    float at = __fmul_rn((float)i, __fdiv_rn((float)(m - 1), (float)(n - 1)));
    s.whole = (int)at < m - 1 ? (int)at : m - 1;
    if (s.whole < m - 1) s.fraction = __fsub_rn(at, (float)s.whole);
    return s;
}

// weight is how much output i takes from source r, along one side.
__device__ __forceinline__ float weight(Source s, int r)
{
    return s.whole == r ? 1.0f - s.fraction : s.whole + 1 == r ? s.fraction : 0.0f;
}

// Range is the outputs that may depend on a source.
struct Range { int from, to; };

__device__ __forceinline__ Range outputs(int r, int m, int n)
{
    Range a = {0, n};
    if (n == 1 || m == 1) return a;
    float scale = (float)(n - 1) / (float)(m - 1);
    int from = (int)((float)(r - 1) * scale) - 1, to = (int)((float)(r + 1) * scale) + 2;
    if (from > 0) a.from = from;
    if (to < n) a.to = to;
    return a;
}

template <int V, typename T> __device__ __forceinline__ void accumulate(float *sum, const T *p, float w)
{
    if (w == 0.0f) return;
    float v[V];
    read<V>(v, p);
#pragma unroll
    for (int e = 0; e < V; e++) sum[e] += w * v[e];
}

// bilinear writes y, of hout x wout pixels.
template <int V, typename T> __device__ __forceinline__ void bilinear(const Steps<T> &s, const T *x, int images, int h, int w, int hout, int wout, int c)
{
    u32 at = blockIdx.x * blockDim.x + threadIdx.x, lanes = (u32)c / V, q = at / lanes;
    int k = V * (int)(at - q * lanes), i = (int)(q / (u32)wout), j = (int)(q - (u32)i * (u32)wout);
    if (i >= hout) return;
    Source a = source(i, h, hout), b = source(j, w, wout);
    float w00 = (1.0f - a.fraction) * (1.0f - b.fraction), w01 = (1.0f - a.fraction) * b.fraction;
    float w10 = a.fraction * (1.0f - b.fraction), w11 = a.fraction * b.fraction;
    i64 from = ((i64)a.whole * w + b.whole) * c + k;
    for (int n = blockIdx.y; n < images; n += gridDim.y) {
        const T *p = x + (i64)n * h * w * c + from;
        float sum[V];
#pragma unroll
        for (int e = 0; e < V; e++) sum[e] = 0;
        accumulate<V>(sum, p, w00);
        accumulate<V>(sum, p + c, w01);
        accumulate<V>(sum, p + (i64)w * c, w10);
        accumulate<V>(sum, p + (i64)w * c + c, w11);
        take_steps<V>(s, sum, (i64)n * hout * wout * c + (i64)at * V);
    }
}

template <typename T> static __device__ __forceinline__ void resize_of(const Steps<T> &s, const T *x, int v, int images, int h, int w, int hout, int wout, int c)
{
    if (v == 4)
        bilinear<4>(s, x, images, h, w, hout, wout, c);
    else
        bilinear<1>(s, x, images, h, w, hout, wout, c);
}

extern "C" __global__ void __launch_bounds__(256) resize(float *y, const float *x, int v, int images, int h, int w, int hout, int wout, int c, const float *with1, float *to1, const float *with2, float *to2, int kinds, float inner1, float outer1, float inner2, float outer2)
{
    Steps<float> e = {y, with1, to1, with2, to2, kinds, inner1, outer1, inner2, outer2};
    resize_of(e, x, v, images, h, w, hout, wout, c);
}

extern "C" __global__ void __launch_bounds__(256) resize_bf16(bf16 *y, const bf16 *x, int v, int images, int h, int w, int hout, int wout, int c, const bf16 *with1, bf16 *to1, const bf16 *with2, bf16 *to2, int kinds, float inner1, float outer1, float inner2, float outer2)
{
    Steps<bf16> e = {y, with1, to1, with2, to2, kinds, inner1, outer1, inner2, outer2};
    resize_of(e, x, v, images, h, w, hout, wout, c);
}

// bilinear_grad writes dx, of h x w pixels.
template <int V, typename T> __device__ __forceinline__ void bilinear_grad(T *dx, const T *dy, int images, int h, int w, int hout, int wout, int c)
{
    u32 at = blockIdx.x * blockDim.x + threadIdx.x, lanes = (u32)c / V, q = at / lanes;
    int k = V * (int)(at - q * lanes), row = (int)(q / (u32)w), col = (int)(q - (u32)row * (u32)w);
    if (row >= h) return;
    Range is = outputs(row, h, hout), js = outputs(col, w, wout);
    for (int n = blockIdx.y; n < images; n += gridDim.y) {
        const T *p = dy + (i64)n * hout * wout * c + k;
        float sum[V];
#pragma unroll
        for (int e = 0; e < V; e++) sum[e] = 0;
        for (int i = is.from; i < is.to; i++) {
            float a = weight(source(i, h, hout), row);
            if (a == 0.0f) continue;
            for (int j = js.from; j < js.to; j++)
                accumulate<V>(sum, p + ((i64)i * wout + j) * c, a * weight(source(j, w, wout), col));
        }
        write<V>(dx + (i64)n * h * w * c + (i64)at * V, sum);
    }
}

template <typename T> static __device__ __forceinline__ void resize_grad_of(T *dx, const T *dy, int v, int images, int h, int w, int hout, int wout, int c)
{
    if (v == 4)
        bilinear_grad<4>(dx, dy, images, h, w, hout, wout, c);
    else
        bilinear_grad<1>(dx, dy, images, h, w, hout, wout, c);
}

extern "C" __global__ void __launch_bounds__(256) resize_grad(float *dx, const float *dy, int v, int images, int h, int w, int hout, int wout, int c)
{
    resize_grad_of(dx, dy, v, images, h, w, hout, wout, c);
}

extern "C" __global__ void __launch_bounds__(256) resize_grad_bf16(bf16 *dx, const bf16 *dy, int v, int images, int h, int w, int hout, int wout, int c)
{
    resize_grad_of(dx, dy, v, images, h, w, hout, wout, c);
}
