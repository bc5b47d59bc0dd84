// Attention, partner of attention.go: products of matrices of every image, and the softmax of rows with its gradient.
//
// A product is done in tiles of TILE x TILE results by 16 x 16 threads, each 4 x 4 results in registers, over DEPTH terms at
// a time: these lie in shared memory by terms, so that a thread reads four rows of each factor at once. Terms are added in
// their order. The grid is (columns of tiles, rows of tiles, images).
#include "common.cuh"

// TILE is attentionTile of attention_cuda.go. Rows in shared memory are PAD apart, so that threads that fill it by terms
// do not meet in a bank.
#define TILE 64
#define DEPTH 16
#define PAD (TILE + 4)

// Factor is a matrix of `rows` rows of `terms` terms. With BY_TERM those of a term lie side by side, ld from the next
// term's; else those of a row.
template <bool BY_TERM, typename T> struct Factor {
    const T *m;
    int rows, terms, ld;

    // fill copies DEPTH terms, from `term` on, of TILE rows, from `row` on, to shared memory; outside of the matrix are
    // zeros.
    __device__ __forceinline__ void fill(float (*to)[PAD], int row, int term) const
    {
        int t = threadIdx.y * 16 + threadIdx.x;
        if (BY_TERM) {
            int k = t / 16, r = 4 * (t % 16);
            Quad q = load4(m + (i64)(term + k) * ld + row + r, term + k < terms ? rows - row - r : 0);
#pragma unroll
            for (int e = 0; e < 4; e++) to[k][r + e] = q.v[e];
        } else {
            int r = t / 4, k = 4 * (t % 4);
            Quad q = load4(m + (i64)(row + r) * ld + term + k, row + r < rows ? terms - term - k : 0);
#pragma unroll
            for (int e = 0; e < 4; e++) to[k + e][r] = q.v[e];
        }
    }
};

// product writes the block's tile of scale a b^T to y, whose rows are ld apart.
template <bool A_BY_TERM, bool B_BY_TERM, typename TY, typename TA, typename TB>
static __device__ __forceinline__ void product(TY *y, int ld, const Factor<A_BY_TERM, TA> &a, const Factor<B_BY_TERM, TB> &b, float scale,
    float (*as)[PAD], float (*bs)[PAD])
{
    int row = blockIdx.y * TILE, col = blockIdx.x * TILE;
    float sum[4][4];
#pragma unroll
    for (int i = 0; i < 4; i++)
#pragma unroll
        for (int j = 0; j < 4; j++) sum[i][j] = 0;
    for (int term = 0; term < a.terms; term += DEPTH) {
        a.fill(as, row, term);
        b.fill(bs, col, term);
        __syncthreads();
#pragma unroll
        for (int k = 0; k < DEPTH; k++) {
            float u[4], v[4];
            read<4>(u, &as[k][4 * threadIdx.y]);
            read<4>(v, &bs[k][4 * threadIdx.x]);
#pragma unroll
            for (int i = 0; i < 4; i++)
#pragma unroll
                for (int j = 0; j < 4; j++) sum[i][j] += u[i] * v[j];
        }
        __syncthreads();
    }
    col += 4 * threadIdx.x;
    row += 4 * threadIdx.y;
#pragma unroll
    for (int i = 0; i < 4; i++) {
        if (row + i >= a.rows) break;
        Quad q;
#pragma unroll
        for (int j = 0; j < 4; j++) q.v[j] = scale * sum[i][j];
        store4(y + (i64)(row + i) * ld + col, q, b.rows - col);
    }
}

template <typename T>
static __device__ __forceinline__ void scores(float *s, const T *a, const T *b, float scale, int images, int p, int c)
{
    alignas(16) __shared__ float as[DEPTH][PAD], bs[DEPTH][PAD];
    for (int n = blockIdx.z; n < images; n += gridDim.z) {
        Factor<false, T> queries = {a + (i64)n * p * c, p, c, c}, keys = {b + (i64)n * p * c, p, c, c};
        product(s + (i64)n * p * p, p, queries, keys, scale, as, bs);
    }
}

extern "C" __global__ void __launch_bounds__(256) attention_scores(float *s, const float *a, const float *b, float scale, int images, int p, int c)
{
    scores(s, a, b, scale, images, p, c);
}

extern "C" __global__ void __launch_bounds__(256) attention_scores_bf16(float *s, const bf16 *a, const bf16 *b, float scale, int images, int p, int c)
{
    scores(s, a, b, scale, images, p, c);
}

template <bool TRANSPOSED, typename T>
static __device__ __forceinline__ void mix(T *y, const float *s, const T *x, float scale, int images, int p, int c)
{
    alignas(16) __shared__ float as[DEPTH][PAD], bs[DEPTH][PAD];
    for (int n = blockIdx.z; n < images; n += gridDim.z) {
        Factor<TRANSPOSED, float> weights = {s + (i64)n * p * p, p, p, p};
        Factor<true, T> values = {x + (i64)n * p * c, c, p, c};
        product(y + (i64)n * p * c, c, weights, values, scale, as, bs);
    }
}

extern "C" __global__ void __launch_bounds__(256) attention_mix(float *y, const float *s, const float *x, float scale, int images, int p, int c)
{
    mix<false>(y, s, x, scale, images, p, c);
}

extern "C" __global__ void __launch_bounds__(256) attention_mix_bf16(bf16 *y, const float *s, const bf16 *x, float scale, int images, int p, int c)
{
    mix<false>(y, s, x, scale, images, p, c);
}

extern "C" __global__ void __launch_bounds__(256) attention_mix_transposed(float *y, const float *s, const float *x, float scale, int images, int p, int c)
{
    mix<true>(y, s, x, scale, images, p, c);
}

extern "C" __global__ void __launch_bounds__(256) attention_mix_transposed_bf16(bf16 *y, const float *s, const bf16 *x, float scale, int images, int p, int c)
{
    mix<true>(y, s, x, scale, images, p, c);
}

// A warp takes a row of d values; blocks are 32 lanes x rows.
__device__ __forceinline__ i64 warp_row() { return (i64)blockIdx.x * blockDim.y + threadIdx.y; }

// warp_sum adds v over the lanes, warp_max finds the largest: all lanes get it.
__device__ __forceinline__ float warp_sum(float v)
{
#pragma unroll
    for (int lane = 16; lane > 0; lane /= 2) v += __shfl_xor_sync(0xffffffffu, v, lane);
    return v;
}

__device__ __forceinline__ float warp_max(float v)
{
#pragma unroll
    for (int lane = 16; lane > 0; lane /= 2) v = fmaxf(v, __shfl_xor_sync(0xffffffffu, v, lane));
    return v;
}

// softmax writes y, which may be x.
extern "C" __global__ void __launch_bounds__(128) softmax(float *y, const float *x, u64 rows, int d)
{
    i64 row = warp_row();
    if (row >= (i64)rows) return;
    const float *from = x + row * d;
    float *to = y + row * d;
    float largest = __int_as_float(0xff800000), sum = 0; // minus infinity
    for (int i = threadIdx.x; i < d; i += 32) largest = fmaxf(largest, from[i]);
    largest = warp_max(largest);
    for (int i = threadIdx.x; i < d; i += 32) sum += expf(from[i] - largest);
    float part = 1.0f / warp_sum(sum);
    for (int i = threadIdx.x; i < d; i += 32) to[i] = expf(from[i] - largest) * part;
}

// softmax_grad writes dx, which may be dy.
extern "C" __global__ void __launch_bounds__(128) softmax_grad(float *dx, const float *dy, const float *y, u64 rows, int d)
{
    i64 row = warp_row();
    if (row >= (i64)rows) return;
    float dot = 0;
    for (int i = threadIdx.x; i < d; i += 32) dot += dy[row * d + i] * y[row * d + i];
    dot = warp_sum(dot);
    for (int i = threadIdx.x; i < d; i += 32) dx[row * d + i] = y[row * d + i] * (dy[row * d + i] - dot);
}
