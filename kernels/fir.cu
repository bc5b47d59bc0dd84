// Resampling with a filter of four taps along each axis, partner of fir.go. A thread takes v = 1 or 4 successive channels
// (4: aligned, C a multiple of 4) of FIR_ROWS pixels of a column, one below the other, and gathers: of each row of the
// input that they depend on it sums along the row, once, and adds that to the pixels. The second dimension of the grid is
// images.
#include "common.cuh"

// FIR_ROWS is firRows of fir_cuda.go.
#define FIR_ROWS 4

// Side is a row of the input as outputs take from it: output i takes w[j] of place down i - pad + j in the row with up-1
// zeros after each value.
struct Side {
    int n, up, down, pad;

    // at is the place of tap j of output i in the row, -1 outside and between values.
    __device__ __forceinline__ int at(int i, int j) const
    {
        int p = down * i - pad + j;
        if (up == 2) p = p & 1 ? -1 : p >> 1;
        return p < n ? p : -1;
    }
};

template <int V, typename T>
static __device__ __forceinline__ void filter(T *y, const T *x, const float *w, int images, int h, int width, int hout, int wout, int c, int up, int down, int pad)
{
    u32 thread = blockIdx.x * blockDim.x + threadIdx.x, lanes = (u32)c / V, q = thread / lanes;
    int k = V * (int)(thread - q * lanes), strip = (int)(q / (u32)wout), col = (int)(q - (u32)strip * (u32)wout);
    int first = strip * FIR_ROWS;
    if (first >= hout) return;
    Side side = {width, up, down, pad};
    // The rows of the input that the first pixel begins with and the last one ends with.
    int from = down * first - pad, to = down * (first + FIR_ROWS - 1) - pad + 3;
    if (up == 2) from = (from + 1) >> 1, to >>= 1;
    if (from < 0) from = 0;
    if (to > h - 1) to = h - 1;
    for (int n = blockIdx.y; n < images; n += gridDim.y) {
        const T *in = x + (i64)n * h * width * c + k;
        float sum[FIR_ROWS][V];
#pragma unroll
        for (int r = 0; r < FIR_ROWS; r++)
#pragma unroll
            for (int e = 0; e < V; e++) sum[r][e] = 0;
        for (int p = from; p <= to; p++) {
            float along[V];
#pragma unroll
            for (int e = 0; e < V; e++) along[e] = 0;
#pragma unroll
            for (int j = 0; j < 4; j++) {
                int at = side.at(col, j);
                if (at < 0) continue;
                float v[V];
                read<V>(v, in + ((i64)p * width + at) * c);
#pragma unroll
                for (int e = 0; e < V; e++) along[e] += w[j] * v[e];
            }
#pragma unroll
            for (int r = 0; r < FIR_ROWS; r++) {
                int tap = up * p + pad - down * (first + r);
                if (tap < 0 || tap > 3) continue;
                float weight = tap < 2 ? (tap == 0 ? w[0] : w[1]) : (tap == 2 ? w[2] : w[3]);
#pragma unroll
                for (int e = 0; e < V; e++) sum[r][e] += weight * along[e];
            }
        }
        T *out = y + (i64)n * hout * wout * c + k;
#pragma unroll
        for (int r = 0; r < FIR_ROWS; r++)
            if (first + r < hout) write<V>(out + ((i64)(first + r) * wout + col) * c, sum[r]);
    }
}

template <typename T>
static __device__ __forceinline__ void fir_of(T *y, const T *x, const float *w, int v, int images, int h, int width, int hout, int wout, int c, int up, int down, int pad)
{
    if (v == 4)
        filter<4>(y, x, w, images, h, width, hout, wout, c, up, down, pad);
    else
        filter<1>(y, x, w, images, h, width, hout, wout, c, up, down, pad);
}

extern "C" __global__ void __launch_bounds__(256) fir(float *y, const float *x, float w0, float w1, float w2, float w3, int v, int images,
    int h, int width, int hout, int wout, int c, int up, int down, int pad)
{
    float w[4] = {w0, w1, w2, w3};
    fir_of(y, x, w, v, images, h, width, hout, wout, c, up, down, pad);
}

extern "C" __global__ void __launch_bounds__(256) fir_bf16(bf16 *y, const bf16 *x, float w0, float w1, float w2, float w3, int v, int images,
    int h, int width, int hout, int wout, int c, int up, int down, int pad)
{
    float w[4] = {w0, w1, w2, w3};
    fir_of(y, x, w, v, images, h, width, hout, wout, c, up, down, pad);
}
