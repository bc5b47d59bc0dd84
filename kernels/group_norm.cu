// Group norm, alone or with the swish of its result, and its gradient, partner of group_norm.go. Each is three passes:
//
//	group_norm       norm_sums (norm.cu), group_norm_finish, group_norm_apply
//	group_norm_grad  group_norm_grad_sums, group_norm_grad_finish, group_norm_grad_apply; norm_grad_params (norm.cu) adds up
//	                 over the images
//
// The sums are those of each channel: of x - a and its square about the image's first pixel a, or of dh and dh (x - mu).
// finish adds those of a group, in double, and turns them into statistics or coefficients: one block a group, the second
// dimension of the grid is images. apply maps pixel by pixel. With swish, dh is computed from dy and x wherever it is read.
//
// A dropout of the result is done with it (group_norm_apply), and that of dy wherever dy is read: its values are the same
// every time. It rounds as memory would between the two.
#include "columns.cuh"
#include "dropout.cuh"
#include "epilogue.cuh"
#include "swish.cuh"

// finish is one block for each group of `width` channels. eps is a double by its bits.
template <typename T>
static __device__ __forceinline__ void finish(float *mean, float *rstd, const float *parts, const T *x, u64 eps, int images, int p, int c,
    int groups, int width, int chunks)
{
    __shared__ double red[256];
    for (int n = blockIdx.y; n < images; n += gridDim.y) {
        const T *first = x + (i64)n * p * c;
        int from = blockIdx.x * width, to = from + width;
        double sum = 0;
        for (int k = from + threadIdx.x; k < to; k += blockDim.x) sum += widen(first[k]) + total(parts, n, chunks, c, k).a / p;
        double mu = block_sum(sum, red) / width;
        sum = 0;
        for (int k = from + threadIdx.x; k < to; k += blockDim.x) {
            Sums s = total(parts, n, chunks, c, k);
            double d = s.a / p, var = s.b / p - d * d, of = widen(first[k]) + d - mu; // the channel's mean about the group's
            sum += (var < 0 ? 0 : var) + of * of;
        }
        double var = block_sum(sum, red) / width;
        if (threadIdx.x == 0) {
            i64 at = (i64)n * groups + blockIdx.x;
            mean[at] = (float)mu;
            rstd[at] = (float)(1 / sqrt(var + float64(eps)));
        }
    }
}

extern "C" __global__ void __launch_bounds__(256) group_norm_finish(float *mean, float *rstd, const float *parts, const float *x, u64 eps,
    int images, int p, int c, int groups, int width, int chunks)
{
    finish(mean, rstd, parts, x, eps, images, p, c, groups, width, chunks);
}

extern "C" __global__ void __launch_bounds__(256) group_norm_finish_bf16(float *mean, float *rstd, const float *parts, const bf16 *x, u64 eps,
    int images, int p, int c, int groups, int width, int chunks)
{
    finish(mean, rstd, parts, x, eps, images, p, c, groups, width, chunks);
}

// Channels is what V successive channels of an image need: their parameters, and the statistics of their groups.
template <int V> struct Channels {
    float gamma[V], beta[V], mean[V], rstd[V];

    __device__ __forceinline__ void load(const float *g, const float *b, const float *mu, const float *r, int n, int first, int groups, int width)
    {
#pragma unroll
        for (int e = 0; e < V; e++) {
            i64 group = (i64)n * groups + (first + e) / width;
            gamma[e] = g[first + e];
            beta[e] = b ? b[first + e] : 0.0f;
            mean[e] = mu[group];
            rstd[e] = r[group];
        }
    }

    // h is the norm of value x of channel e.
    __device__ __forceinline__ float h(float x, int e) const { return gamma[e] * ((x - mean[e]) * rstd[e]) + beta[e]; }
};

// as_stored rounds V values as memory does.
template <int V, typename T> __device__ __forceinline__ void as_stored(float *v)
{
#pragma unroll
    for (int e = 0; e < V; e++) v[e] = widen(narrow<T>(v[e]));
}

// apply writes the norm. With DROP values of the result are dropped.
template <int V, bool DROP, typename T>
static __device__ __forceinline__ void apply(const Steps<T> &s, const Drop &d, const T *x, const float *gamma, const float *beta,
    const float *mean, const float *rstd, int swish, int images, int p, int c, int groups, int width, int chunk)
{
    Place at = place<V>(p, chunk);
    if (at.c >= c) return;
    const u64 stream = DROP ? step_of(d.state) * (u64)images : 0;
    for (int n = blockIdx.y; n < images; n += gridDim.y) {
        Channels<V> k;
        k.load(gamma, beta, mean, rstd, n, at.c, groups, width);
        i64 base = (i64)n * p * c;
#pragma unroll (DROP ? 1 : 4)
        for (int i = at.from + threadIdx.y; i < at.to; i += blockDim.y) {
            float v[V];
            int j = i * c + at.c;
            read<V>(v, x + base + j);
#pragma unroll
            for (int e = 0; e < V; e++) {
                v[e] = k.h(v[e], e);
                if (swish) v[e] = Swish::value(v[e]);
            }
            if (DROP) {
                as_stored<V, T>(v);
                drop<V>(d, stream + (u64)n, j, v);
            }
            take_steps<V>(s, v, base + j);
        }
    }
}

template <typename T>
static __device__ __forceinline__ void group_norm_apply_of(const Steps<T> &s, const Drop &d, const T *x, const float *gamma, const float *beta,
    const float *mean, const float *rstd, int swish, int v, int images, int p, int c, int groups, int width, int chunk)
{
    if (d.state && v == 4)
        apply<4, true>(s, d, x, gamma, beta, mean, rstd, swish, images, p, c, groups, width, chunk);
    else if (d.state)
        apply<1, true>(s, d, x, gamma, beta, mean, rstd, swish, images, p, c, groups, width, chunk);
    else if (v == 4)
        apply<4, false>(s, d, x, gamma, beta, mean, rstd, swish, images, p, c, groups, width, chunk);
    else
        apply<1, false>(s, d, x, gamma, beta, mean, rstd, swish, images, p, c, groups, width, chunk);
}

extern "C" __global__ void __launch_bounds__(256) group_norm_apply(float *y, const float *x, const float *gamma, const float *beta, const float *mean,
    const float *rstd, int swish, int v, int images, int p, int c, int groups, int width, int chunk,
    const u32 *state, float drop, float scale, u64 seed, u32 purpose, const float *with1, float *to1, const float *with2, float *to2, int kinds, float inner1, float outer1, float inner2, float outer2)
{
    Steps<float> e = {y, with1, to1, with2, to2, kinds, inner1, outer1, inner2, outer2};
    Drop d = {state, drop, scale, seed, purpose};
    group_norm_apply_of(e, d, x, gamma, beta, mean, rstd, swish, v, images, p, c, groups, width, chunk);
}

extern "C" __global__ void __launch_bounds__(256) group_norm_apply_bf16(bf16 *y, const bf16 *x, const float *gamma, const float *beta, const float *mean,
    const float *rstd, int swish, int v, int images, int p, int c, int groups, int width, int chunk,
    const u32 *state, float drop, float scale, u64 seed, u32 purpose, const bf16 *with1, bf16 *to1, const bf16 *with2, bf16 *to2, int kinds, float inner1, float outer1, float inner2, float outer2)
{
    Steps<bf16> e = {y, with1, to1, with2, to2, kinds, inner1, outer1, inner2, outer2};
    Drop d = {state, drop, scale, seed, purpose};
    group_norm_apply_of(e, d, x, gamma, beta, mean, rstd, swish, v, images, p, c, groups, width, chunk);
}

// upstream reads dy: with DROP what the dropout of it leaves.
template <int V, bool DROP, typename T>
__device__ __forceinline__ void upstream(float *g, const T *dy, i64 base, int j, const Drop &d, u64 stream)
{
    read<V>(g, dy + base + j);
    if (DROP) {
        drop<V>(d, stream, j, g);
        as_stored<V, T>(g);
    }
}

// grad_sums writes the chunk's sums of dh and dh (x - mu) of each channel.
template <int V, bool DROP, typename T>
static __device__ __forceinline__ void grad_sums(float *parts, const T *x, const T *dy, const Drop &d, const float *gamma, const float *beta,
    const float *mean, const float *rstd, int swish, int images, int p, int c, int groups, int width, int chunk)
{
    alignas(16) __shared__ float red[2][256 * V];
    Place at = place<V>(p, chunk);
    const u64 stream = DROP ? step_of(d.state) * (u64)images : 0;
    for (int n = blockIdx.y; n < images; n += gridDim.y) {
        float sum[V], sum2[V];
#pragma unroll
        for (int e = 0; e < V; e++) sum[e] = sum2[e] = 0;
        if (at.c < c) {
            Channels<V> k;
            k.load(gamma, beta, mean, rstd, n, at.c, groups, width);
            i64 base = (i64)n * p * c;
#pragma unroll (DROP ? 1 : 2)
            for (int i = at.from + threadIdx.y; i < at.to; i += blockDim.y) {
                float v[V], g[V];
                int j = i * c + at.c;
                read<V>(v, x + base + j);
                upstream<V, DROP>(g, dy, base, j, d, stream + (u64)n);
#pragma unroll
                for (int e = 0; e < V; e++) {
                    if (swish) g[e] = Swish::grad(g[e], k.h(v[e], e));
                    sum[e] += g[e];
                    sum2[e] += g[e] * (v[e] - k.mean[e]);
                }
            }
        }
        add_up<V>(parts, red, sum, sum2, at, n, c);
    }
}

template <typename T>
static __device__ __forceinline__ void group_norm_grad_sums_of(float *parts, const T *x, const T *dy, const Drop &d, const float *gamma,
    const float *beta, const float *mean, const float *rstd, int swish, int v, int images, int p, int c, int groups, int width, int chunk)
{
    if (d.state && v == 4)
        grad_sums<4, true>(parts, x, dy, d, gamma, beta, mean, rstd, swish, images, p, c, groups, width, chunk);
    else if (d.state)
        grad_sums<1, true>(parts, x, dy, d, gamma, beta, mean, rstd, swish, images, p, c, groups, width, chunk);
    else if (v == 4)
        grad_sums<4, false>(parts, x, dy, d, gamma, beta, mean, rstd, swish, images, p, c, groups, width, chunk);
    else
        grad_sums<1, false>(parts, x, dy, d, gamma, beta, mean, rstd, swish, images, p, c, groups, width, chunk);
}

extern "C" __global__ void __launch_bounds__(256, 3) group_norm_grad_sums(float *parts, const float *x, const float *dy, const float *gamma, const float *beta,
    const float *mean, const float *rstd, int swish, int v, int images, int p, int c, int groups, int width, int chunk,
    const u32 *state, float drop, float scale, u64 seed, u32 purpose)
{
    Drop d = {state, drop, scale, seed, purpose};
    group_norm_grad_sums_of(parts, x, dy, d, gamma, beta, mean, rstd, swish, v, images, p, c, groups, width, chunk);
}

extern "C" __global__ void __launch_bounds__(256, 3) group_norm_grad_sums_bf16(float *parts, const bf16 *x, const bf16 *dy, const float *gamma, const float *beta,
    const float *mean, const float *rstd, int swish, int v, int images, int p, int c, int groups, int width, int chunk,
    const u32 *state, float drop, float scale, u64 seed, u32 purpose)
{
    Drop d = {state, drop, scale, seed, purpose};
    group_norm_grad_sums_of(parts, x, dy, d, gamma, beta, mean, rstd, swish, v, images, p, c, groups, width, chunk);
}

// group_norm_grad_finish writes m1 and k of dx = r (gamma dh - m1 - k (x - mu)) to coef[n][2][groups], and the image's part
// of dgamma and dbeta to the first two of params[n][3][c]: one block a group.
extern "C" __global__ void __launch_bounds__(256) group_norm_grad_finish(float *coef, float *params, const float *parts, const float *gamma,
    const float *rstd, int images, int p, int c, int groups, int width, int chunks)
{
    __shared__ double red[256];
    const double values = (double)p * width;
    for (int n = blockIdx.y; n < images; n += gridDim.y) {
        double r = rstd[(i64)n * groups + blockIdx.x], sum = 0, sumX = 0;
        int from = blockIdx.x * width, to = from + width;
        for (int k = from + threadIdx.x; k < to; k += blockDim.x) {
            Sums s = total(parts, n, chunks, c, k);
            double x = s.b * r;
            sum += gamma[k] * s.a;
            sumX += gamma[k] * x;
            float *out = params + (i64)n * 3 * c + k;
            out[0] = (float)x;
            out[c] = (float)s.a;
        }
        double m1 = block_sum(sum, red) / values, m2 = block_sum(sumX, red) / values;
        if (threadIdx.x == 0) {
            float *out = coef + (i64)n * 2 * groups + blockIdx.x;
            out[0] = (float)m1;
            out[groups] = (float)(r * m2);
        }
    }
}

// apply_grad writes dx, which may be dy.
template <int V, bool DROP, typename T>
static __device__ __forceinline__ void apply_grad(const Steps<T> &s, const T *x, const T *dy, const Drop &d, const float *gamma, const float *beta,
    const float *mean, const float *rstd, const float *coef, int swish, int images, int p, int c, int groups, int width, int chunk)
{
    Place at = place<V>(p, chunk);
    if (at.c >= c) return;
    const u64 stream = DROP ? step_of(d.state) * (u64)images : 0;
    for (int n = blockIdx.y; n < images; n += gridDim.y) {
        Channels<V> k;
        k.load(gamma, beta, mean, rstd, n, at.c, groups, width);
        float m1[V], slope[V];
#pragma unroll
        for (int e = 0; e < V; e++) {
            const float *of = coef + (i64)n * 2 * groups + (at.c + e) / width;
            m1[e] = of[0];
            slope[e] = of[groups];
        }
        i64 base = (i64)n * p * c;
#pragma unroll (DROP ? 1 : 2)
        for (int i = at.from + threadIdx.y; i < at.to; i += blockDim.y) {
            float v[V], g[V];
            int j = i * c + at.c;
            read<V>(v, x + base + j);
            upstream<V, DROP>(g, dy, base, j, d, stream + (u64)n);
#pragma unroll
            for (int e = 0; e < V; e++) {
                if (swish) g[e] = Swish::grad(g[e], k.h(v[e], e));
                g[e] = k.rstd[e] * (k.gamma[e] * g[e] - m1[e] - slope[e] * (v[e] - k.mean[e]));
            }
            take_steps<V>(s, g, base + j);
        }
    }
}

template <typename T>
static __device__ __forceinline__ void group_norm_grad_apply_of(const Steps<T> &s, const T *x, const T *dy, const Drop &d, const float *gamma,
    const float *beta, const float *mean, const float *rstd, const float *coef, int swish, int v, int images, int p, int c, int groups,
    int width, int chunk)
{
    if (d.state && v == 4)
        apply_grad<4, true>(s, x, dy, d, gamma, beta, mean, rstd, coef, swish, images, p, c, groups, width, chunk);
    else if (d.state)
        apply_grad<1, true>(s, x, dy, d, gamma, beta, mean, rstd, coef, swish, images, p, c, groups, width, chunk);
    else if (v == 4)
        apply_grad<4, false>(s, x, dy, d, gamma, beta, mean, rstd, coef, swish, images, p, c, groups, width, chunk);
    else
        apply_grad<1, false>(s, x, dy, d, gamma, beta, mean, rstd, coef, swish, images, p, c, groups, width, chunk);
}

extern "C" __global__ void __launch_bounds__(256, 3) group_norm_grad_apply(float *dx, const float *x, const float *dy, const float *gamma, const float *beta, const float *mean,
    const float *rstd, const float *coef, int swish, int v, int images, int p, int c, int groups, int width, int chunk,
    const u32 *state, float drop, float scale, u64 seed, u32 purpose, const float *with1, float *to1, const float *with2, float *to2, int kinds, float inner1, float outer1, float inner2, float outer2)
{
    Steps<float> e = {dx, with1, to1, with2, to2, kinds, inner1, outer1, inner2, outer2};
    Drop d = {state, drop, scale, seed, purpose};
    group_norm_grad_apply_of(e, x, dy, d, gamma, beta, mean, rstd, coef, swish, v, images, p, c, groups, width, chunk);
}

extern "C" __global__ void __launch_bounds__(256, 3) group_norm_grad_apply_bf16(bf16 *dx, const bf16 *x, const bf16 *dy, const float *gamma, const float *beta, const float *mean,
    const float *rstd, const float *coef, int swish, int v, int images, int p, int c, int groups, int width, int chunk,
    const u32 *state, float drop, float scale, u64 seed, u32 purpose, const bf16 *with1, bf16 *to1, const bf16 *with2, bf16 *to2, int kinds, float inner1, float outer1, float inner2, float outer2)
{
    Steps<bf16> e = {dx, with1, to1, with2, to2, kinds, inner1, outer1, inner2, outer2};
    Drop d = {state, drop, scale, seed, purpose};
    group_norm_grad_apply_of(e, x, dy, d, gamma, beta, mean, rstd, coef, swish, v, images, p, c, groups, width, chunk);
}
