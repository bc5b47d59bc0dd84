// Group norm, alone or with the swish of its result, and its gradient, partner of group_norm.go. Each is three passes:
//
//	group_norm       norm_sums (norm.cu), group_norm_finish, group_norm_apply
//	group_norm_grad  group_norm_grad_sums, group_norm_grad_finish, group_norm_grad_apply; norm_grad_params (norm.cu) adds up
//	                 over the images
//
// The sums are those of each channel: of x - a and its square about the image's first pixel a, or of dh and dh (x - mu).
// finish adds those of a group, in double, and turns them into statistics or coefficients: one block a group, the second
// dimension of the grid is images. apply maps pixel by pixel. With swish, dh is computed from dy and x wherever it is read.
#include "columns.cuh"
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

template <int V, typename T>
static __device__ __forceinline__ void apply(T *y, const T *x, const float *gamma, const float *beta, const float *mean, const float *rstd,
    int swish, int images, int p, int c, int groups, int width, int chunk)
{
    Place at = place<V>(p, chunk);
    if (at.c >= c) return;
    for (int n = blockIdx.y; n < images; n += gridDim.y) {
        Channels<V> k;
        k.load(gamma, beta, mean, rstd, n, at.c, groups, width);
        i64 base = (i64)n * p * c + at.c;
#pragma unroll 4
        for (int i = at.from + threadIdx.y; i < at.to; i += blockDim.y) {
            float v[V];
            read<V>(v, x + base + (i64)i * c);
#pragma unroll
            for (int e = 0; e < V; e++) {
                v[e] = k.h(v[e], e);
                if (swish) v[e] = Swish::value(v[e]);
            }
            write<V>(y + base + (i64)i * c, v);
        }
    }
}

template <typename T>
static __device__ __forceinline__ void group_norm_apply_of(T *y, const T *x, const float *gamma, const float *beta, const float *mean, const float *rstd,
    int swish, int v, int images, int p, int c, int groups, int width, int chunk)
{
    if (v == 4)
        apply<4>(y, x, gamma, beta, mean, rstd, swish, images, p, c, groups, width, chunk);
    else
        apply<1>(y, x, gamma, beta, mean, rstd, swish, images, p, c, groups, width, chunk);
}

extern "C" __global__ void __launch_bounds__(256) group_norm_apply(float *y, const float *x, const float *gamma, const float *beta, const float *mean,
    const float *rstd, int swish, int v, int images, int p, int c, int groups, int width, int chunk)
{
    group_norm_apply_of(y, x, gamma, beta, mean, rstd, swish, v, images, p, c, groups, width, chunk);
}

extern "C" __global__ void __launch_bounds__(256) group_norm_apply_bf16(bf16 *y, const bf16 *x, const float *gamma, const float *beta, const float *mean,
    const float *rstd, int swish, int v, int images, int p, int c, int groups, int width, int chunk)
{
    group_norm_apply_of(y, x, gamma, beta, mean, rstd, swish, v, images, p, c, groups, width, chunk);
}

// grad_sums writes the chunk's sums of dh and dh (x - mu) of each channel.
template <int V, typename T>
static __device__ __forceinline__ void grad_sums(float *parts, const T *x, const T *dy, const float *gamma, const float *beta, const float *mean,
    const float *rstd, int swish, int images, int p, int c, int groups, int width, int chunk)
{
    alignas(16) __shared__ float red[2][256 * V];
    Place at = place<V>(p, chunk);
    for (int n = blockIdx.y; n < images; n += gridDim.y) {
        float sum[V], sum2[V];
#pragma unroll
        for (int e = 0; e < V; e++) sum[e] = sum2[e] = 0;
        if (at.c < c) {
            Channels<V> k;
            k.load(gamma, beta, mean, rstd, n, at.c, groups, width);
            i64 base = (i64)n * p * c + at.c;
#pragma unroll 2
            for (int i = at.from + threadIdx.y; i < at.to; i += blockDim.y) {
                float v[V], g[V];
                read<V>(v, x + base + (i64)i * c);
                read<V>(g, dy + base + (i64)i * c);
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
static __device__ __forceinline__ void group_norm_grad_sums_of(float *parts, const T *x, const T *dy, const float *gamma, const float *beta,
    const float *mean, const float *rstd, int swish, int v, int images, int p, int c, int groups, int width, int chunk)
{
    if (v == 4)
        grad_sums<4>(parts, x, dy, gamma, beta, mean, rstd, swish, images, p, c, groups, width, chunk);
    else
        grad_sums<1>(parts, x, dy, gamma, beta, mean, rstd, swish, images, p, c, groups, width, chunk);
}

extern "C" __global__ void __launch_bounds__(256) group_norm_grad_sums(float *parts, const float *x, const float *dy, const float *gamma, const float *beta,
    const float *mean, const float *rstd, int swish, int v, int images, int p, int c, int groups, int width, int chunk)
{
    group_norm_grad_sums_of(parts, x, dy, gamma, beta, mean, rstd, swish, v, images, p, c, groups, width, chunk);
}

extern "C" __global__ void __launch_bounds__(256) group_norm_grad_sums_bf16(float *parts, const bf16 *x, const bf16 *dy, const float *gamma, const float *beta,
    const float *mean, const float *rstd, int swish, int v, int images, int p, int c, int groups, int width, int chunk)
{
    group_norm_grad_sums_of(parts, x, dy, gamma, beta, mean, rstd, swish, v, images, p, c, groups, width, chunk);
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
template <int V, typename T>
static __device__ __forceinline__ void apply_grad(T *dx, const T *x, const T *dy, const float *gamma, const float *beta, const float *mean,
    const float *rstd, const float *coef, int swish, int images, int p, int c, int groups, int width, int chunk)
{
    Place at = place<V>(p, chunk);
    if (at.c >= c) return;
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
        i64 base = (i64)n * p * c + at.c;
#pragma unroll 2
        for (int i = at.from + threadIdx.y; i < at.to; i += blockDim.y) {
            float v[V], g[V];
            read<V>(v, x + base + (i64)i * c);
            read<V>(g, dy + base + (i64)i * c);
#pragma unroll
            for (int e = 0; e < V; e++) {
                if (swish) g[e] = Swish::grad(g[e], k.h(v[e], e));
                g[e] = k.rstd[e] * (k.gamma[e] * g[e] - m1[e] - slope[e] * (v[e] - k.mean[e]));
            }
            write<V>(dx + base + (i64)i * c, g);
        }
    }
}

template <typename T>
static __device__ __forceinline__ void group_norm_grad_apply_of(T *dx, const T *x, const T *dy, const float *gamma, const float *beta, const float *mean,
    const float *rstd, const float *coef, int swish, int v, int images, int p, int c, int groups, int width, int chunk)
{
    if (v == 4)
        apply_grad<4>(dx, x, dy, gamma, beta, mean, rstd, coef, swish, images, p, c, groups, width, chunk);
    else
        apply_grad<1>(dx, x, dy, gamma, beta, mean, rstd, coef, swish, images, p, c, groups, width, chunk);
}

extern "C" __global__ void __launch_bounds__(256) group_norm_grad_apply(float *dx, const float *x, const float *dy, const float *gamma, const float *beta,
    const float *mean, const float *rstd, const float *coef, int swish, int v, int images, int p, int c, int groups, int width, int chunk)
{
    group_norm_grad_apply_of(dx, x, dy, gamma, beta, mean, rstd, coef, swish, v, images, p, c, groups, width, chunk);
}

extern "C" __global__ void __launch_bounds__(256) group_norm_grad_apply_bf16(bf16 *dx, const bf16 *x, const bf16 *dy, const float *gamma, const float *beta,
    const float *mean, const float *rstd, const float *coef, int swish, int v, int images, int p, int c, int groups, int width, int chunk)
{
    group_norm_grad_apply_of(dx, x, dy, gamma, beta, mean, rstd, coef, swish, v, images, p, c, groups, width, chunk);
}
