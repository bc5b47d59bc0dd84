// Instance norm++ and its gradient, partner of norm.go. Each is two passes:
//
//	norm       norm_sums or norm_moments, norm_apply
//	norm_grad  norm_grad_sums, norm_grad_apply; norm_grad_params adds up over the images
//
// The sums are over the pixels of each image and channel, in chunks of pixels that depend on the shape of one image alone:
// of x - a and (x - a)^2 about the image's first pixel a (a variance from moments about a value near the mean does not
// cancel), or of dy and dy (x - mean). Every block of apply turns them into statistics or coefficients, in double, those of
// the first pixels write them; then it maps pixel by pixel. Differences from a mean are taken before anything is scaled, as
// on the CPU.
//
// gamma, alpha and beta are C values each that all images share, or with level (one for each image) rows of a table: those
// of image n are level[n]*stride values behind the pointers. Absent (0) they are 1, 0 and 0.
//
// Blocks and grids of sums and apply are those of columns.cuh.
#include "columns.cuh"
#include "epilogue.cuh"
#include "moments.cuh"

// column_sums writes the chunk's sums of each channel to parts[n][chunk][2][c]: of x - a and its square about pixel 0, or
// with GRAD of dy and dy (x - mean). Blocks have at most 256 threads.
template <int V, bool GRAD, typename T>
static __device__ __forceinline__ void column_sums(float *parts, const T *x, const T *dy, const float *mean, int images, int p, int c, int chunk)
{
    alignas(16) __shared__ float red[2][256 * V];
    Place at = place<V>(p, chunk);
    for (int n = blockIdx.y; n < images; n += gridDim.y) {
        const T *xn = x + (i64)n * p * c + at.c;
        const T *dyn = GRAD ? dy + (i64)n * p * c + at.c : 0;
        float centre[V], sum[V], sum2[V];
#pragma unroll
        for (int e = 0; e < V; e++) sum[e] = sum2[e] = 0;
        if (at.c < c) {
            if (GRAD)
                read<V>(centre, mean + (i64)n * c + at.c);
            else
                read<V>(centre, xn);
            if (!GRAD && at.from == 0 && threadIdx.y == 0)
                write<V>(parts + (i64)images * gridDim.x * 2 * c + (i64)n * c + at.c, centre);
#pragma unroll 4
            for (int i = at.from + threadIdx.y; i < at.to; i += blockDim.y) {
                float v[V], g[V];
                read<V>(v, xn + (i64)i * c);
                if (GRAD) read<V>(g, dyn + (i64)i * c);
#pragma unroll
                for (int e = 0; e < V; e++) {
                    float d = v[e] - centre[e];
                    sum[e] += GRAD ? g[e] : d;
                    sum2[e] += GRAD ? g[e] * d : d * d;
                }
            }
        }
        add_up<V>(parts, red, sum, sum2, at, n, c);
    }
}

template <typename T>
static __device__ __forceinline__ void norm_sums_of(float *parts, const T *x, int v, int images, int p, int c, int chunk)
{
    if (v == 4)
        column_sums<4, false, T>(parts, x, 0, 0, images, p, c, chunk);
    else
        column_sums<1, false, T>(parts, x, 0, 0, images, p, c, chunk);
}

extern "C" __global__ void __launch_bounds__(256) norm_sums(float *parts, const float *x, int v, int images, int p, int c, int chunk)
{
    norm_sums_of(parts, x, v, images, p, c, chunk);
}

extern "C" __global__ void __launch_bounds__(256) norm_sums_bf16(float *parts, const bf16 *x, int v, int images, int p, int c, int chunk)
{
    norm_sums_of(parts, x, v, images, p, c, chunk);
}

// norm_moments writes the moments of segments (moments.cuh) of images that are whole ones. A block takes a segment:
// threadIdx.x is four channels, threadIdx.y is g.
template <typename T> static __device__ __forceinline__ void norm_moments_of(float *moments, const T *x, int images, int p, int c)
{
    const int QUADS = 32; // at most
    __shared__ Half<QUADS> halves[2];
    const int quad = threadIdx.x, g = threadIdx.y, k = 4 * (blockIdx.z * blockDim.x + quad);
    for (int n = blockIdx.y; n < images; n += gridDim.y) {
        const i64 segment = (i64)n * gridDim.x + blockIdx.x;
        if (k < c)
#pragma unroll 1
            for (int half = 0; half < 2; half++) {
                Gathered sums;
#pragma unroll
                for (int j = 0; j < SEGMENT / 2; j += 4)
                    sums.add(load4(x + (segment * SEGMENT + half * (SEGMENT / 2) + j + g) * c + k, 4), j == 0);
                halves[half].set(g, quad, sums);
            }
        __syncthreads();
        if (k < c && g == 0) write_moments(moments, segment, k, c, halves, quad);
        __syncthreads();
    }
}

extern "C" __global__ void __launch_bounds__(128) norm_moments(float *moments, const float *x, int images, int p, int c)
{
    norm_moments_of(moments, x, images, p, c);
}

extern "C" __global__ void __launch_bounds__(128) norm_moments_bf16(float *moments, const bf16 *x, int images, int p, int c)
{
    norm_moments_of(moments, x, images, p, c);
}

template <typename T>
static __device__ __forceinline__ void norm_grad_sums_of(float *parts, const T *x, const T *dy, const float *mean, int v, int images, int p, int c, int chunk)
{
    if (v == 4)
        column_sums<4, true, T>(parts, x, dy, mean, images, p, c, chunk);
    else
        column_sums<1, true, T>(parts, x, dy, mean, images, p, c, chunk);
}

extern "C" __global__ void __launch_bounds__(256) norm_grad_sums(float *parts, const float *x, const float *dy, const float *mean, int v, int images, int p, int c, int chunk)
{
    norm_grad_sums_of(parts, x, dy, mean, v, images, p, c, chunk);
}

extern "C" __global__ void __launch_bounds__(256) norm_grad_sums_bf16(float *parts, const bf16 *x, const bf16 *dy, const float *mean, int v, int images, int p, int c, int chunk)
{
    norm_grad_sums_of(parts, x, dy, mean, v, images, p, c, chunk);
}

// params_at is how far the parameters of image n are behind the pointers.
__device__ __forceinline__ i64 params_at(const u32 *level, int stride, int n) { return level ? (i64)level[n] * stride : 0; }

// param is the value of a parameter that may be absent.
__device__ __forceinline__ float param(const float *p, i64 at, float absent) { return p ? p[at] : absent; }

// Statistics of the channels of a block, for apply, and the sums of the whole image that they come from.
struct Statistics {
    double red[2][256];
    float mean[TILE], rstd[TILE], muhat[TILE];
};

// statistics finds them for image n. The block of the image's first pixels writes them too. eps, that of the variance, is a
// double by its bits.
static __device__ __forceinline__ void statistics(Statistics &st, float *mean, float *rstd, float *muhat, float *q, const float *parts,
    u64 eps, int n, int v, int images, int p, int c, int chunks, int segments)
{
    auto sums = [&](int k) { return column(parts, images, n, chunks, segments, p, c, k); };
    const double epsilon = 1e-5, variance_epsilon = float64(eps);
    const int freedom = c > 1 ? c - 1 : 1, threads = terms_of(c);
    tree_sums<1>(st.red, 1, threads, [&](double *sum, int, int t) {
        sum[0] = 0;
        for (int k = t; k < c; k += threads) {
            Column s = sums(k);
            sum[0] += s.about + s.a / p;
        }
    });
    const double m = st.red[0][0] / c;
    tree_sums<1>(st.red + 1, 1, threads, [&](double *sum, int, int t) {
        sum[0] = 0;
        for (int k = t; k < c; k += threads) {
            Column s = sums(k);
            double u = s.about + s.a / p - m;
            sum[0] += u * u / freedom;
        }
    });
    const double r = 1 / sqrt(st.red[1][0] + epsilon);
    const Tile tile = tile_of(v, c);
    const int mine = threadIdx.y * blockDim.x + threadIdx.x, all = blockDim.x * blockDim.y;
    for (int j = mine; j < tile.to - tile.from; j += all) {
        int k = tile.from + j;
        Column s = sums(k);
        double d = s.a / p, mu = s.about + d, var = s.b / p - d * d;
        if (var < 0) var = 0;
        st.mean[j] = (float)mu;
        st.rstd[j] = (float)(1 / sqrt(var + variance_epsilon));
        st.muhat[j] = (float)((mu - m) * r);
        if (blockIdx.x == 0) {
            i64 at = (i64)n * c + k;
            mean[at] = st.mean[j];
            rstd[at] = st.rstd[j];
            muhat[at] = st.muhat[j];
        }
    }
    if (blockIdx.x == 0 && blockIdx.z == 0 && mine == 0) q[n] = (float)r;
    __syncthreads();
}

// apply writes y = gamma ((x - mean) rstd + alpha muhat) + beta for image n.
template <int V, typename T>
static __device__ __forceinline__ void apply(const Steps<T> &s, const Statistics &st, const T *x, const float *gamma, const float *alpha, const float *beta,
    i64 row, int n, int p, int c, int chunk)
{
    Place at = place<V>(p, chunk);
    if (at.c >= c) return;
    float g[V], r[V], m[V], shift[V], beta_c[V];
#pragma unroll
    for (int e = 0; e < V; e++) {
        int j = V * threadIdx.x + e;
        g[e] = param(gamma, row + at.c + e, 1);
        beta_c[e] = param(beta, row + at.c + e, 0);
        m[e] = st.mean[j];
        r[e] = st.rstd[j];
        shift[e] = param(alpha, row + at.c + e, 0) * st.muhat[j];
    }
    i64 base = (i64)n * p * c + at.c;
#pragma unroll 4
    for (int i = at.from + threadIdx.y; i < at.to; i += blockDim.y) {
        float v[V];
        read<V>(v, x + base + (i64)i * c);
#pragma unroll
        for (int e = 0; e < V; e++) v[e] = g[e] * ((v[e] - m[e]) * r[e] + shift[e]) + beta_c[e];
        take_steps<V>(s, v, base + (i64)i * c);
    }
}

template <typename T>
static __device__ __forceinline__ void norm_apply_of(const Steps<T> &s, const T *x, const float *gamma, const float *alpha, const float *beta, const u32 *level, int stride,
    float *mean, float *rstd, float *muhat, float *q, const float *parts, u64 eps, int segments, int v, int images, int p, int c, int chunk)
{
    __shared__ Statistics st;
    for (int n = blockIdx.y; n < images; n += gridDim.y) {
        statistics(st, mean, rstd, muhat, q, parts, eps, n, v, images, p, c, gridDim.x, segments);
        i64 row = params_at(level, stride, n);
        if (v == 4)
            apply<4>(s, st, x, gamma, alpha, beta, row, n, p, c, chunk);
        else
            apply<1>(s, st, x, gamma, alpha, beta, row, n, p, c, chunk);
    }
}

extern "C" __global__ void __launch_bounds__(256, 3) norm_apply(float *y, const float *x, const float *gamma, const float *alpha, const float *beta, const u32 *level, int stride,
    float *mean, float *rstd, float *muhat, float *q, const float *parts, u64 eps, int segments, int v, int images, int p, int c, int chunk, const float *with1, float *to1, const float *with2, float *to2, int kinds, float inner1, float outer1, float inner2, float outer2)
{
    Steps<float> e = {y, with1, to1, with2, to2, kinds, inner1, outer1, inner2, outer2};
    norm_apply_of(e, x, gamma, alpha, beta, level, stride, mean, rstd, muhat, q, parts, eps, segments, v, images, p, c, chunk);
}

extern "C" __global__ void __launch_bounds__(256, 3) norm_apply_bf16(bf16 *y, const bf16 *x, const float *gamma, const float *alpha, const float *beta, const u32 *level, int stride,
    float *mean, float *rstd, float *muhat, float *q, const float *parts, u64 eps, int segments, int v, int images, int p, int c, int chunk, const bf16 *with1, bf16 *to1, const bf16 *with2, bf16 *to2, int kinds, float inner1, float outer1, float inner2, float outer2)
{
    Steps<bf16> e = {y, with1, to1, with2, to2, kinds, inner1, outer1, inner2, outer2};
    norm_apply_of(e, x, gamma, alpha, beta, level, stride, mean, rstd, muhat, q, parts, eps, segments, v, images, p, c, chunk);
}

// Coefficients are those of dx = ka (dy - meanDY) + kb (x - mean) + kc for the channels of a block, and the sums of the whole
// image that they come from.
struct Coefficients {
    double red[2][256];
    float ka[TILE], kb[TILE], kc[TILE], meanDY[TILE];
};

// coefficients finds them for image n. The block of the image's first pixels writes the image's part of dgamma, dalpha and
// dbeta to params[n][3][c].
static __device__ __forceinline__ void coefficients(Coefficients &co, float *params, const float *parts, const float *gamma, const float *alpha,
    i64 row, const float *rstd, const float *muhat, const float *q, int n, int v, int p, int c, int chunks)
{
    const int freedom = c > 1 ? c - 1 : 1, threads = terms_of(c);
    const float *rn = rstd + (i64)n * c, *hn = muhat + (i64)n * c;
    tree_sums<2>(co.red, 1, threads, [&](double *sum, int, int t) {
        sum[0] = sum[1] = 0;
        for (int k = t; k < c; k += threads) {
            double u = (double)param(alpha, row + k, 0) * param(gamma, row + k, 1) * total(parts, n, chunks, c, k).a;
            sum[0] += u / c;
            sum[1] += u * hn[k];
        }
    });
    const double mu = co.red[0][0], dot = co.red[1][0];
    const Tile tile = tile_of(v, c);
    const int mine = threadIdx.y * blockDim.x + threadIdx.x, all = blockDim.x * blockDim.y;
    for (int j = mine; j < tile.to - tile.from; j += all) {
        int k = tile.from + j;
        Sums s = total(parts, n, chunks, c, k);
        double a = param(alpha, row + k, 0), g = param(gamma, row + k, 1), h = hn[k], r = rn[k];
        double sumDY = s.a, sumX = s.b * r;
        double dmu = q[n] * (a * g * sumDY - mu - h * dot / freedom);
        co.ka[j] = (float)(r * g);
        co.kb[j] = (float)(-r * r * g * sumX / p);
        co.kc[j] = (float)(dmu / p);
        co.meanDY[j] = (float)(sumDY / p);
        if (blockIdx.x == 0) {
            float *to = params + (i64)n * 3 * c + k;
            to[0] = (float)(sumX + a * h * sumDY);
            to[c] = (float)(g * sumDY * h);
            to[2 * c] = (float)sumDY;
        }
    }
    __syncthreads();
}

// apply_grad writes dx, which may be dy, of image n.
template <int V, typename T>
static __device__ __forceinline__ void apply_grad(const Steps<T> &s, const Coefficients &co, const T *x, const T *dy, const float *mean, int n, int p, int c, int chunk)
{
    Place at = place<V>(p, chunk);
    if (at.c >= c) return;
    float ka[V], kb[V], kc[V], meanDY[V], m[V];
#pragma unroll
    for (int e = 0; e < V; e++) {
        int j = V * threadIdx.x + e;
        ka[e] = co.ka[j];
        kb[e] = co.kb[j];
        kc[e] = co.kc[j];
        meanDY[e] = co.meanDY[j];
        m[e] = mean[(i64)n * c + at.c + e];
    }
    i64 base = (i64)n * p * c + at.c;
#pragma unroll 2
    for (int i = at.from + threadIdx.y; i < at.to; i += blockDim.y) {
        float v[V], g[V];
        read<V>(v, x + base + (i64)i * c);
        read<V>(g, dy + base + (i64)i * c);
#pragma unroll
        for (int e = 0; e < V; e++) g[e] = ka[e] * (g[e] - meanDY[e]) + kb[e] * (v[e] - m[e]) + kc[e];
        take_steps<V>(s, g, base + (i64)i * c);
    }
}

// Where nobody needs dx there are the parameters alone.
template <typename T>
static __device__ __forceinline__ void norm_grad_apply_of(const Steps<T> &s, const T *x, const T *dy, const float *mean, float *params, const float *parts,
    const float *gamma, const float *alpha, const u32 *level, int stride, const float *rstd, const float *muhat, const float *q,
    int v, int images, int p, int c, int chunk)
{
    __shared__ Coefficients co;
    for (int n = blockIdx.y; n < images; n += gridDim.y) {
        coefficients(co, params, parts, gamma, alpha, params_at(level, stride, n), rstd, muhat, q, n, v, p, c, gridDim.x);
        if (!s.y && !s.kinds) continue;
        if (v == 4)
            apply_grad<4>(s, co, x, dy, mean, n, p, c, chunk);
        else
            apply_grad<1>(s, co, x, dy, mean, n, p, c, chunk);
    }
}

extern "C" __global__ void __launch_bounds__(256, 2) norm_grad_apply(float *dx, const float *x, const float *dy, const float *mean, float *params, const float *parts,
    const float *gamma, const float *alpha, const u32 *level, int stride, const float *rstd, const float *muhat, const float *q,
    int v, int images, int p, int c, int chunk, const float *with1, float *to1, const float *with2, float *to2, int kinds, float inner1, float outer1, float inner2, float outer2)
{
    Steps<float> e = {dx, with1, to1, with2, to2, kinds, inner1, outer1, inner2, outer2};
    norm_grad_apply_of(e, x, dy, mean, params, parts, gamma, alpha, level, stride, rstd, muhat, q, v, images, p, c, chunk);
}

extern "C" __global__ void __launch_bounds__(256, 2) norm_grad_apply_bf16(bf16 *dx, const bf16 *x, const bf16 *dy, const float *mean, float *params, const float *parts,
    const float *gamma, const float *alpha, const u32 *level, int stride, const float *rstd, const float *muhat, const float *q,
    int v, int images, int p, int c, int chunk, const bf16 *with1, bf16 *to1, const bf16 *with2, bf16 *to2, int kinds, float inner1, float outer1, float inner2, float outer2)
{
    Steps<bf16> e = {dx, with1, to1, with2, to2, kinds, inner1, outer1, inner2, outer2};
    norm_grad_apply_of(e, x, dy, mean, params, parts, gamma, alpha, level, stride, rstd, muhat, q, v, images, p, c, chunk);
}

// norm_grad_params adds params[n][3][c] over the images, or over those of each level for the rows of a table: thread row y
// takes every 8th image, the rows are added in order. Blocks are 32 channels x 8 rows; blockIdx.y is the parameter,
// blockIdx.z the level. Absent results are 0.
extern "C" __global__ void __launch_bounds__(256) norm_grad_params(float *dgamma, float *dalpha, float *dbeta, const float *params, const u32 *level, int stride,
    int images, int c, int levels)
{
    __shared__ double red[8][32];
    int k = blockIdx.x * 32 + threadIdx.x;
    float *to = blockIdx.y == 0 ? dgamma : blockIdx.y == 1 ? dalpha : dbeta;
    for (int l = blockIdx.z; l < levels; l += gridDim.z) {
        double sum = 0;
        if (k < c)
            for (int n = threadIdx.y; n < images; n += 8)
                if (!level || level[n] == (u32)l) sum += params[((i64)n * 3 + blockIdx.y) * c + k];
        red[threadIdx.y][threadIdx.x] = sum;
        __syncthreads();
        if (threadIdx.y == 0 && k < c && to) {
            for (int i = 1; i < 8; i++) sum += red[i][threadIdx.x];
            to[(i64)l * stride + k] = (float)sum;
        }
        __syncthreads();
    }
}
