// The extremes of the distances between the rows of two matrices, tile by tile, partner of pairs.go:
//
//	v_ij = |a_i|^2/2 + |b_j|^2/2 - a_i.b_j
//	out  = max v, min v over the pairs of a tile whose b comes before its a
//
// A block has one tile of 128 x 128, a thread 8 x 8 of its products: rows 8 ty + i, and columns 4 tx + j and 64 + 4 tx + j,
// so that four values of a row of shared memory are read at once. Eight columns of both matrices lie there at a time, twice:
// while the one half is multiplied, every thread fetches four values of either matrix for the other.
//
// The kernel that ends in _any makes no assumption on alignment and columns; the other reads 16 bytes at a time.
#include "common.cuh"

static const int PAIR_TILE = 128, PAIR_DEPTH = 8, PAIR_PITCH = PAIR_TILE + 4;

// fetch_row reads four values of a row; what is not there is 0.
template <bool WIDE> __device__ __forceinline__ float4 fetch_row(const float *from, int row, int rows, int column, int k)
{
    float4 v = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    if (row >= rows || column >= k) return v;
    const float *at = from + (i64)row * k + column;
    if (WIDE) return *(const float4 *)at;
    v.x = at[0];
    if (column + 1 < k) v.y = at[1];
    if (column + 2 < k) v.z = at[2];
    if (column + 3 < k) v.w = at[3];
    return v;
}

// stage_row puts them down as a column.
__device__ __forceinline__ void stage_row(float (*to)[PAIR_PITCH], float4 v)
{
    int r = threadIdx.x / 2, c = threadIdx.x % 2 * 4;
    to[c][r] = v.x;
    to[c + 1][r] = v.y;
    to[c + 2][r] = v.z;
    to[c + 3][r] = v.w;
}

template <bool WIDE> __device__ __forceinline__ void pair_extremes_of(float *out, const float *a, const float *b, const float *half_a, const float *half_b, int m, int n, int k, int before)
{
    __shared__ __align__(16) float as[2][PAIR_DEPTH][PAIR_PITCH];
    __shared__ __align__(16) float bs[2][PAIR_DEPTH][PAIR_PITCH];
    __shared__ float most[256], least[256];
    int i0 = blockIdx.y * PAIR_TILE, j0 = blockIdx.x * PAIR_TILE;
    int tx = threadIdx.x % 16, ty = threadIdx.x / 16;
    int last = i0 + PAIR_TILE < m ? i0 + PAIR_TILE - 1 : m - 1;
    bool counts = j0 < last + before; // a pair counts where j < i + before
    const float inf = __uint_as_float(0x7f800000u);
    float hi = counts ? -inf : 0.0f, lo = counts ? inf : 0.0f;
    if (counts) {
        int row = threadIdx.x / 2, column = threadIdx.x % 2 * 4;
        float sum[8][8];
#pragma unroll
        for (int i = 0; i < 8; i++)
#pragma unroll
            for (int j = 0; j < 8; j++) sum[i][j] = 0.0f;
        stage_row(as[0], fetch_row<WIDE>(a, i0 + row, m, column, k));
        stage_row(bs[0], fetch_row<WIDE>(b, j0 + row, n, column, k));
        __syncthreads();
        for (int k0 = 0, at = 0; k0 < k; k0 += PAIR_DEPTH, at ^= 1) {
            float4 p = fetch_row<WIDE>(a, i0 + row, m, k0 + PAIR_DEPTH + column, k);
            float4 q = fetch_row<WIDE>(b, j0 + row, n, k0 + PAIR_DEPTH + column, k);
#pragma unroll
            for (int c = 0; c < PAIR_DEPTH; c++) {
                float4 x0 = *(const float4 *)&as[at][c][8 * ty], x1 = *(const float4 *)&as[at][c][8 * ty + 4];
                float4 y0 = *(const float4 *)&bs[at][c][4 * tx], y1 = *(const float4 *)&bs[at][c][64 + 4 * tx];
                float x[8] = {x0.x, x0.y, x0.z, x0.w, x1.x, x1.y, x1.z, x1.w};
                float y[8] = {y0.x, y0.y, y0.z, y0.w, y1.x, y1.y, y1.z, y1.w};
#pragma unroll
                for (int i = 0; i < 8; i++)
#pragma unroll
                    for (int j = 0; j < 8; j++) sum[i][j] += x[i] * y[j];
            }
            // The other half was read for the last time before the barrier of the step before.
            stage_row(as[at ^ 1], p);
            stage_row(bs[at ^ 1], q);
            __syncthreads();
        }
#pragma unroll
        for (int i = 0; i < 8; i++) {
            int r = i0 + 8 * ty + i;
            if (r >= m) continue;
            float ha = half_a[r];
#pragma unroll
            for (int j = 0; j < 8; j++) {
                int c = j0 + 4 * tx + (j < 4 ? j : 60 + j);
                if (c >= n || c >= r + before) continue;
                float v = __fsub_rn(__fadd_rn(ha, half_b[c]), sum[i][j]);
                hi = fmaxf(hi, v);
                lo = fminf(lo, v);
            }
        }
    }
    most[threadIdx.x] = hi;
    least[threadIdx.x] = lo;
    for (int half = 128; half > 0; half /= 2) {
        __syncthreads();
        if ((int)threadIdx.x < half) {
            most[threadIdx.x] = fmaxf(most[threadIdx.x], most[threadIdx.x + half]);
            least[threadIdx.x] = fminf(least[threadIdx.x], least[threadIdx.x + half]);
        }
    }
    if (threadIdx.x == 0) {
        i64 tile = (i64)blockIdx.y * gridDim.x + blockIdx.x;
        out[2 * tile] = most[0];
        out[2 * tile + 1] = least[0];
    }
}

extern "C" __global__ void __launch_bounds__(256, 2) pair_extremes(float *out, const float *a, const float *b, const float *half_a, const float *half_b, int m, int n, int k, int before)
{
    pair_extremes_of<true>(out, a, b, half_a, half_b, m, n, k, before);
}

extern "C" __global__ void __launch_bounds__(256) pair_extremes_any(float *out, const float *a, const float *b, const float *half_a, const float *half_b, int m, int n, int k, int before)
{
    pair_extremes_of<false>(out, a, b, half_a, half_b, m, n, k, before);
}
