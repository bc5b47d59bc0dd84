// Instance norm++ and its gradient, partner of norm.go. Each is three passes:
//
//	norm       norm_sums, norm_finish, norm_apply
//	norm_grad  norm_grad_sums, norm_grad_finish, norm_grad_apply; norm_grad_params adds up over the images
//
// The sums are over the pixels of each image and channel, in chunks of pixels that depend on the shape of one image alone:
// of x - a and (x - a)^2 about the image's first pixel a (a variance from moments about a value near the mean does not
// cancel), or of dy and dy (x - mean). finish turns them into statistics or coefficients, in double, one block an image;
// apply maps pixel by pixel. Differences from a mean are taken before anything is scaled, as on the CPU.
//
// gamma, alpha and beta are C values each that all images share, or with level (one for each image) rows of a table: those
// of image n are level[n]*stride values behind the pointers. Absent (0) they are 1, 0 and 0.
//
// Blocks and grids of sums and apply are those of columns.cuh.
#include "columns.cuh"
#include "epilogue.cuh"

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

// finish is the norm's: one block an image. eps, that of the variance, is a double by its bits.
template <typename T>
static __device__ __forceinline__ void finish(float *mean, float *rstd, float *muhat, float *q, const float *parts, const T *x,
    u64 eps, int images, int p, int c, int chunks)
{
    const double epsilon = 1e-5, variance_epsilon = float64(eps);
    const int freedom = c > 1 ? c - 1 : 1;
    __shared__ double red[256];
    for (int n = blockIdx.x; n < images; n += gridDim.x) {
        const T *first = x + (i64)n * p * c;
        double sum = 0;
        for (int k = threadIdx.x; k < c; k += blockDim.x) sum += widen(first[k]) + total(parts, n, chunks, c, k).a / p;
        double m = block_sum(sum, red) / c;
        sum = 0;
        for (int k = threadIdx.x; k < c; k += blockDim.x) {
            double u = widen(first[k]) + total(parts, n, chunks, c, k).a / p - m;
            sum += u * u / freedom;
        }
        double r = 1 / sqrt(block_sum(sum, red) + epsilon);
        for (int k = threadIdx.x; k < c; k += blockDim.x) {
            Sums s = total(parts, n, chunks, c, k);
            double d = s.a / p, mu = widen(first[k]) + d, var = s.b / p - d * d;
            if (var < 0) var = 0;
            i64 at = (i64)n * c + k;
            mean[at] = (float)mu;
            rstd[at] = (float)(1 / sqrt(var + variance_epsilon));
            muhat[at] = (float)((mu - m) * r);
        }
        if (threadIdx.x == 0) q[n] = (float)r;
    }
}

extern "C" __global__ void __launch_bounds__(256) norm_finish(float *mean, float *rstd, float *muhat, float *q, const float *parts, const float *x,
    u64 eps, int images, int p, int c, int chunks)
{
    finish(mean, rstd, muhat, q, parts, x, eps, images, p, c, chunks);
}

extern "C" __global__ void __launch_bounds__(256) norm_finish_bf16(float *mean, float *rstd, float *muhat, float *q, const float *parts, const bf16 *x,
    u64 eps, int images, int p, int c, int chunks)
{
    finish(mean, rstd, muhat, q, parts, x, eps, images, p, c, chunks);
}

// apply writes y = gamma ((x - mean) rstd + alpha muhat) + beta.
template <int V, typename T>
__device__ __forceinline__ void apply(const Steps<T> &s, const T *x, const float *gamma, const float *alpha, const float *beta, const u32 *level, int stride,
    const float *mean, const float *rstd, const float *muhat, int images, int p, int c, int chunk)
{
    Place at = place<V>(p, chunk);
    if (at.c >= c) return;
    for (int n = blockIdx.y; n < images; n += gridDim.y) {
        float g[V], r[V], m[V], shift[V], beta_c[V];
        i64 row = params_at(level, stride, n) + at.c;
#pragma unroll
        for (int e = 0; e < V; e++) {
            i64 k = (i64)n * c + at.c + e;
            g[e] = param(gamma, row + e, 1);
            beta_c[e] = param(beta, row + e, 0);
            m[e] = mean[k];
            r[e] = rstd[k];
            shift[e] = param(alpha, row + e, 0) * muhat[k];
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
}

template <typename T>
static __device__ __forceinline__ void norm_apply_of(const Steps<T> &s, const T *x, const float *gamma, const float *alpha, const float *beta, const u32 *level, int stride,
    const float *mean, const float *rstd, const float *muhat, int v, int images, int p, int c, int chunk)
{
    if (v == 4)
        apply<4>(s, x, gamma, alpha, beta, level, stride, mean, rstd, muhat, images, p, c, chunk);
    else
        apply<1>(s, x, gamma, alpha, beta, level, stride, mean, rstd, muhat, images, p, c, chunk);
}

extern "C" __global__ void __launch_bounds__(256) norm_apply(float *y, const float *x, const float *gamma, const float *alpha, const float *beta, const u32 *level, int stride,
    const float *mean, const float *rstd, const float *muhat, int v, int images, int p, int c, int chunk, const float *with1, float *to1, const float *with2, float *to2, int kinds, float inner1, float outer1, float inner2, float outer2)
{
    Steps<float> e = {y, with1, to1, with2, to2, kinds, inner1, outer1, inner2, outer2};
    norm_apply_of(e, x, gamma, alpha, beta, level, stride, mean, rstd, muhat, v, images, p, c, chunk);
}

extern "C" __global__ void __launch_bounds__(256) norm_apply_bf16(bf16 *y, const bf16 *x, const float *gamma, const float *alpha, const float *beta, const u32 *level, int stride,
    const float *mean, const float *rstd, const float *muhat, int v, int images, int p, int c, int chunk, const bf16 *with1, bf16 *to1, const bf16 *with2, bf16 *to2, int kinds, float inner1, float outer1, float inner2, float outer2)
{
    Steps<bf16> e = {y, with1, to1, with2, to2, kinds, inner1, outer1, inner2, outer2};
    norm_apply_of(e, x, gamma, alpha, beta, level, stride, mean, rstd, muhat, v, images, p, c, chunk);
}

// norm_grad_finish writes the coefficients of dx = ka (dy - meanDY) + kb (x - mean) + kc to coef[n][4][c], and the image's
// part of dgamma, dalpha and dbeta to params[n][3][c]: one block an image.
extern "C" __global__ void __launch_bounds__(256) norm_grad_finish(float *coef, float *params, const float *parts, const float *gamma, const float *alpha,
    const u32 *level, int stride, const float *rstd, const float *muhat, const float *q, int images, int p, int c, int chunks)
{
    __shared__ double red[256];
    const int freedom = c > 1 ? c - 1 : 1;
    for (int n = blockIdx.x; n < images; n += gridDim.x) {
        i64 row = params_at(level, stride, n);
        const float *rn = rstd + (i64)n * c, *hn = muhat + (i64)n * c;
        double sum = 0, sumH = 0;
        for (int k = threadIdx.x; k < c; k += blockDim.x) {
            double u = (double)param(alpha, row + k, 0) * param(gamma, row + k, 1) * total(parts, n, chunks, c, k).a;
            sum += u / c;
            sumH += u * hn[k];
        }
        double mu = block_sum(sum, red), dot = block_sum(sumH, red);
        for (int k = threadIdx.x; k < c; k += blockDim.x) {
            Sums s = total(parts, n, chunks, c, k);
            double a = param(alpha, row + k, 0), g = param(gamma, row + k, 1), h = hn[k], r = rn[k];
            double sumDY = s.a, sumX = s.b * r;
            double dmu = q[n] * (a * g * sumDY - mu - h * dot / freedom);
            float *to = coef + (i64)n * 4 * c + k;
            to[0] = (float)(r * g);
            to[c] = (float)(-r * r * g * sumX / p);
            to[2 * c] = (float)(dmu / p);
            to[3 * c] = (float)(sumDY / p);
            to = params + (i64)n * 3 * c + k;
            to[0] = (float)(sumX + a * h * sumDY);
            to[c] = (float)(g * sumDY * h);
            to[2 * c] = (float)sumDY;
        }
    }
}

// apply_grad writes dx, which may be dy.
template <int V, typename T>
__device__ __forceinline__ void apply_grad(const Steps<T> &s, const T *x, const T *dy, const float *mean, const float *coef, int images, int p, int c, int chunk)
{
    Place at = place<V>(p, chunk);
    if (at.c >= c) return;
    for (int n = blockIdx.y; n < images; n += gridDim.y) {
        float ka[V], kb[V], kc[V], meanDY[V], m[V];
        const float *k = coef + (i64)n * 4 * c + at.c;
#pragma unroll
        for (int e = 0; e < V; e++) {
            ka[e] = k[e];
            kb[e] = k[c + e];
            kc[e] = k[2 * c + e];
            meanDY[e] = k[3 * c + e];
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
}

template <typename T>
static __device__ __forceinline__ void norm_grad_apply_of(const Steps<T> &s, const T *x, const T *dy, const float *mean, const float *coef,
    int v, int images, int p, int c, int chunk)
{
    if (v == 4)
        apply_grad<4>(s, x, dy, mean, coef, images, p, c, chunk);
    else
        apply_grad<1>(s, x, dy, mean, coef, images, p, c, chunk);
}

extern "C" __global__ void __launch_bounds__(256, 4) norm_grad_apply(float *dx, const float *x, const float *dy, const float *mean, const float *coef,
    int v, int images, int p, int c, int chunk, const float *with1, float *to1, const float *with2, float *to2, int kinds, float inner1, float outer1, float inner2, float outer2)
{
    Steps<float> e = {dx, with1, to1, with2, to2, kinds, inner1, outer1, inner2, outer2};
    norm_grad_apply_of(e, x, dy, mean, coef, v, images, p, c, chunk);
}

extern "C" __global__ void __launch_bounds__(256, 4) norm_grad_apply_bf16(bf16 *dx, const bf16 *x, const bf16 *dy, const float *mean, const float *coef,
    int v, int images, int p, int c, int chunk, const bf16 *with1, bf16 *to1, const bf16 *with2, bf16 *to2, int kinds, float inner1, float outer1, float inner2, float outer2)
{
    Steps<bf16> e = {dx, with1, to1, with2, to2, kinds, inner1, outer1, inner2, outer2};
    norm_grad_apply_of(e, x, dy, mean, coef, v, images, p, c, chunk);
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
