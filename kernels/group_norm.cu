// Group norm, alone or with the swish of its result, and its gradient, partner of group_norm.go. Each is two passes:
//
//	group_norm       norm_sums or norm_moments (norm.cu), group_norm_apply
//	group_norm_grad  group_norm_grad_sums, group_norm_grad_apply; norm_grad_params (norm.cu) adds up over the images
//
// The sums are those of each channel: of x - a and its square about the image's first pixel a, or of dh and dh (x - mu).
// Every block of apply adds those of its channels' groups, in double, and turns them into statistics or coefficients; those
// of the first pixels write them. Then it maps pixel by pixel. With swish, dh is computed from dy and x wherever it is read.
//
// A dropout of the result is done with it (group_norm_apply), and that of dy wherever dy is read: its values are the same
// every time. It rounds as memory would between the two.
#include "columns.cuh"
#include "dropout.cuh"
#include "epilogue.cuh"
#include "swish.cuh"

// GROUPED is room for the terms of the groups that a block's channels are of: a tile and less than a group on either side,
// each group's terms rounded up to a power of 2, and of a wide group 256 at most.
const int GROUPED = 4 * TILE;

// Groups is those that a block's channels are of.
struct Groups {
    int first, count;
    int threads; // of the sum over one
};

__device__ __forceinline__ Groups groups_of(const Tile &t, int width)
{
    Groups g;
    g.first = t.from / width;
    g.count = (t.to - 1) / width + 1 - g.first;
    g.threads = terms_of(width);
    return g;
}

// Statistics of the groups of a block, for apply, and the sums that they come from.
struct Statistics {
    double red[2][GROUPED];
    float mean[TILE], rstd[TILE];
};

// statistics finds them for image n. The block of the image's first pixels writes them too, those of a group that two tiles
// share by the first of them. eps is a double by its bits.
static __device__ __forceinline__ void statistics(Statistics &st, const Tile &tile, float *mean, float *rstd, const float *parts, u64 eps, int n,
    int images, int p, int c, int groups, int width, int chunks, int segments)
{
    const Groups of = groups_of(tile, width);
    auto sums = [&](int k) { return column(parts, images, n, chunks, segments, p, c, k); };
    tree_sums<1>(st.red, of.count, of.threads, [&](double *sum, int g, int t) {
        int from = (of.first + g) * width, to = from + width;
        sum[0] = 0;
        for (int k = from + t; k < to; k += of.threads) {
            Column s = sums(k);
            sum[0] += s.about + s.a / p;
        }
    });
    tree_sums<1>(st.red + 1, of.count, of.threads, [&](double *sum, int g, int t) {
        int from = (of.first + g) * width, to = from + width;
        double mu = st.red[0][g * of.threads] / width;
        sum[0] = 0;
        for (int k = from + t; k < to; k += of.threads) {
            Column s = sums(k);
            double d = s.a / p, var = s.b / p - d * d, off = s.about + d - mu; // the channel's mean about the group's
            sum[0] += (var < 0 ? 0 : var) + off * off;
        }
    });
    const int mine = threadIdx.y * blockDim.x + threadIdx.x, all = blockDim.x * blockDim.y;
    for (int g = mine; g < of.count; g += all) {
        double mu = st.red[0][g * of.threads] / width, var = st.red[1][g * of.threads] / width;
        st.mean[g] = (float)mu;
        st.rstd[g] = (float)(1 / sqrt(var + float64(eps)));
        if (blockIdx.x == 0 && (of.first + g) * width >= tile.from) {
            i64 at = (i64)n * groups + of.first + g;
            mean[at] = st.mean[g];
            rstd[at] = st.rstd[g];
        }
    }
    __syncthreads();
}

// Channels is what V successive channels of an image need: their parameters, and the statistics of their groups, of which mu
// and r have those of the image's groups from `from` on.
template <int V> struct Channels {
    float gamma[V], beta[V], mean[V], rstd[V];

    __device__ __forceinline__ void load(const float *g, const float *b, const float *mu, const float *r, int first, int width, int from = 0)
    {
#pragma unroll
        for (int e = 0; e < V; e++) {
            int group = (first + e) / width - from;
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

// apply writes the norm of image n. With DROP values of the result are dropped.
template <int V, bool DROP, typename T>
static __device__ __forceinline__ void apply(const Steps<T> &s, const Drop &d, const T *x, const float *gamma, const float *beta,
    const Statistics &st, int swish, int n, int images, int p, int c, int width, int from, int chunk)
{
    Place at = place<V>(p, chunk);
    if (at.c >= c) return;
    const u64 stream = DROP ? step_of(d.state) * (u64)images + (u64)n : 0;
    Channels<V> k;
    k.load(gamma, beta, st.mean, st.rstd, at.c, width, from);
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
            drop<V>(d, stream, j, v);
        }
        take_steps<V>(s, v, base + j);
    }
}

template <typename T>
static __device__ __forceinline__ void group_norm_apply_of(const Steps<T> &s, const Drop &d, const T *x, const float *gamma, const float *beta,
    float *mean, float *rstd, const float *parts, u64 eps, int segments, int swish, int v, int images, int p, int c, int groups, int width, int chunk)
{
    __shared__ Statistics st;
    const Tile tile = tile_of(v, c);
    for (int n = blockIdx.y; n < images; n += gridDim.y) {
        statistics(st, tile, mean, rstd, parts, eps, n, images, p, c, groups, width, gridDim.x, segments);
        if (d.state && v == 4)
            apply<4, true>(s, d, x, gamma, beta, st, swish, n, images, p, c, width, tile.from / width, chunk);
        else if (d.state)
            apply<1, true>(s, d, x, gamma, beta, st, swish, n, images, p, c, width, tile.from / width, chunk);
        else if (v == 4)
            apply<4, false>(s, d, x, gamma, beta, st, swish, n, images, p, c, width, tile.from / width, chunk);
        else
            apply<1, false>(s, d, x, gamma, beta, st, swish, n, images, p, c, width, tile.from / width, chunk);
    }
}

extern "C" __global__ void __launch_bounds__(256, 3) group_norm_apply(float *y, const float *x, const float *gamma, const float *beta, float *mean,
    float *rstd, const float *parts, u64 eps, int segments, int swish, int v, int images, int p, int c, int groups, int width, int chunk,
    const u32 *state, float drop, float scale, u64 seed, u32 purpose, const float *with1, float *to1, const float *with2, float *to2, int kinds, float inner1, float outer1, float inner2, float outer2)
{
    Steps<float> e = {y, with1, to1, with2, to2, kinds, inner1, outer1, inner2, outer2};
    Drop d = {state, drop, scale, seed, purpose};
    group_norm_apply_of(e, d, x, gamma, beta, mean, rstd, parts, eps, segments, swish, v, images, p, c, groups, width, chunk);
}

extern "C" __global__ void __launch_bounds__(256, 3) group_norm_apply_bf16(bf16 *y, const bf16 *x, const float *gamma, const float *beta, float *mean,
    float *rstd, const float *parts, u64 eps, int segments, int swish, int v, int images, int p, int c, int groups, int width, int chunk,
    const u32 *state, float drop, float scale, u64 seed, u32 purpose, const bf16 *with1, bf16 *to1, const bf16 *with2, bf16 *to2, int kinds, float inner1, float outer1, float inner2, float outer2)
{
    Steps<bf16> e = {y, with1, to1, with2, to2, kinds, inner1, outer1, inner2, outer2};
    Drop d = {state, drop, scale, seed, purpose};
    group_norm_apply_of(e, d, x, gamma, beta, mean, rstd, parts, eps, segments, swish, v, images, p, c, groups, width, chunk);
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
            k.load(gamma, beta, mean + (i64)n * groups, rstd + (i64)n * groups, at.c, width);
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

// Coefficients are m1 and k of dx = r (gamma dh - m1 - k (x - mu)) for the groups of a block, and the sums that they come from.
struct Coefficients {
    double red[2][GROUPED];
    float m1[TILE], slope[TILE];
};

// coefficients finds them for image n. The block of the image's first pixels writes the image's part of dgamma and dbeta to
// the first two of params[n][3][c].
static __device__ __forceinline__ void coefficients(Coefficients &co, const Tile &tile, float *params, const float *parts, const float *gamma,
    const float *rstd, int n, int p, int c, int groups, int width, int chunks)
{
    const double values = (double)p * width;
    const Groups of = groups_of(tile, width);
    const float *rn = rstd + (i64)n * groups + of.first;
    tree_sums<2>(co.red, of.count, of.threads, [&](double *sum, int g, int t) {
        int from = (of.first + g) * width, to = from + width;
        double r = rn[g];
        sum[0] = sum[1] = 0;
        for (int k = from + t; k < to; k += of.threads) {
            Sums s = total(parts, n, chunks, c, k);
            double x = s.b * r;
            sum[0] += gamma[k] * s.a;
            sum[1] += gamma[k] * x;
            if (blockIdx.x == 0 && k >= tile.from && k < tile.to) {
                float *out = params + (i64)n * 3 * c + k;
                out[0] = (float)x;
                out[c] = (float)s.a;
            }
        }
    });
    const int mine = threadIdx.y * blockDim.x + threadIdx.x, all = blockDim.x * blockDim.y;
    for (int g = mine; g < of.count; g += all) {
        double r = rn[g], m1 = co.red[0][g * of.threads] / values, m2 = co.red[1][g * of.threads] / values;
        co.m1[g] = (float)m1;
        co.slope[g] = (float)(r * m2);
    }
    __syncthreads();
}

// apply_grad writes dx, which may be dy, of image n.
template <int V, bool DROP, typename T>
static __device__ __forceinline__ void apply_grad(const Steps<T> &s, const T *x, const T *dy, const Drop &d, const float *gamma, const float *beta,
    const float *mean, const float *rstd, const Coefficients &co, int swish, int n, int images, int p, int c, int width, int from, int chunk)
{
    Place at = place<V>(p, chunk);
    if (at.c >= c) return;
    const u64 stream = DROP ? step_of(d.state) * (u64)images + (u64)n : 0;
    Channels<V> k;
    k.load(gamma, beta, mean, rstd, at.c, width);
    float m1[V], slope[V];
#pragma unroll
    for (int e = 0; e < V; e++) {
        int group = (at.c + e) / width - from;
        m1[e] = co.m1[group];
        slope[e] = co.slope[group];
    }
    i64 base = (i64)n * p * c;
#pragma unroll (DROP ? 1 : 2)
    for (int i = at.from + threadIdx.y; i < at.to; i += blockDim.y) {
        float v[V], g[V];
        int j = i * c + at.c;
        read<V>(v, x + base + j);
        upstream<V, DROP>(g, dy, base, j, d, stream);
#pragma unroll
        for (int e = 0; e < V; e++) {
            if (swish) g[e] = Swish::grad(g[e], k.h(v[e], e));
            g[e] = k.rstd[e] * (k.gamma[e] * g[e] - m1[e] - slope[e] * (v[e] - k.mean[e]));
        }
        take_steps<V>(s, g, base + j);
    }
}

// Where nobody needs dx there are the parameters alone.
template <typename T>
static __device__ __forceinline__ void group_norm_grad_apply_of(const Steps<T> &s, const T *x, const T *dy, const Drop &d, const float *gamma,
    const float *beta, const float *mean, const float *rstd, float *params, const float *parts, int swish, int v, int images, int p, int c,
    int groups, int width, int chunk)
{
    __shared__ Coefficients co;
    const Tile tile = tile_of(v, c);
    for (int n = blockIdx.y; n < images; n += gridDim.y) {
        coefficients(co, tile, params, parts, gamma, rstd, n, p, c, groups, width, gridDim.x);
        if (!s.y && !s.kinds) continue;
        const float *mu = mean + (i64)n * groups, *r = rstd + (i64)n * groups;
        if (d.state && v == 4)
            apply_grad<4, true>(s, x, dy, d, gamma, beta, mu, r, co, swish, n, images, p, c, width, tile.from / width, chunk);
        else if (d.state)
            apply_grad<1, true>(s, x, dy, d, gamma, beta, mu, r, co, swish, n, images, p, c, width, tile.from / width, chunk);
        else if (v == 4)
            apply_grad<4, false>(s, x, dy, d, gamma, beta, mu, r, co, swish, n, images, p, c, width, tile.from / width, chunk);
        else
            apply_grad<1, false>(s, x, dy, d, gamma, beta, mu, r, co, swish, n, images, p, c, width, tile.from / width, chunk);
    }
}

extern "C" __global__ void __launch_bounds__(256, 3) group_norm_grad_apply(float *dx, const float *x, const float *dy, const float *gamma, const float *beta, const float *mean,
    const float *rstd, float *params, const float *parts, int swish, int v, int images, int p, int c, int groups, int width, int chunk,
    const u32 *state, float drop, float scale, u64 seed, u32 purpose, const float *with1, float *to1, const float *with2, float *to2, int kinds, float inner1, float outer1, float inner2, float outer2)
{
    Steps<float> e = {dx, with1, to1, with2, to2, kinds, inner1, outer1, inner2, outer2};
    Drop d = {state, drop, scale, seed, purpose};
    group_norm_grad_apply_of(e, x, dy, d, gamma, beta, mean, rstd, params, parts, swish, v, images, p, c, groups, width, chunk);
}

extern "C" __global__ void __launch_bounds__(256, 3) group_norm_grad_apply_bf16(bf16 *dx, const bf16 *x, const bf16 *dy, const float *gamma, const float *beta, const float *mean,
    const float *rstd, float *params, const float *parts, int swish, int v, int images, int p, int c, int groups, int width, int chunk,
    const u32 *state, float drop, float scale, u64 seed, u32 purpose, const bf16 *with1, bf16 *to1, const bf16 *with2, bf16 *to2, int kinds, float inner1, float outer1, float inner2, float outer2)
{
    Steps<bf16> e = {dx, with1, to1, with2, to2, kinds, inner1, outer1, inner2, outer2};
    Drop d = {state, drop, scale, seed, purpose};
    group_norm_grad_apply_of(e, x, dy, d, gamma, beta, mean, rstd, params, parts, swish, v, images, p, c, groups, width, chunk);
}
