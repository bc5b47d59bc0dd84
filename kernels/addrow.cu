// A row vector added to all pixels of an image, partner of addrow.go. The second dimension of the grid is images.
#include "common.cuh"

// A thread takes V successive channels of one pixel.
template <int V, typename T> __device__ __forceinline__ void row_sum(T *y, const T *x, const float *e, int images, int p, int c)
{
    u32 at = blockIdx.x * blockDim.x + threadIdx.x, lanes = (u32)c / V, q = at / lanes;
    int k = V * (int)(at - q * lanes);
    if ((int)q >= p) return;
    for (int n = blockIdx.y; n < images; n += gridDim.y) {
        i64 i = (i64)n * p * c + (i64)at * V;
        float a[V], b[V];
        read<V>(a, x + i);
        read<V>(b, e + (i64)n * c + k);
#pragma unroll
        for (int j = 0; j < V; j++) a[j] += b[j];
        write<V>(y + i, a);
    }
}

template <typename T> static __device__ __forceinline__ void add_row_of(T *y, const T *x, const float *e, int v, int images, int p, int c)
{
    if (v == 4)
        row_sum<4>(y, x, e, images, p, c);
    else
        row_sum<1>(y, x, e, images, p, c);
}

extern "C" __global__ void __launch_bounds__(256) add_row(float *y, const float *x, const float *e, int v, int images, int p, int c)
{
    add_row_of(y, x, e, v, images, p, c);
}

extern "C" __global__ void __launch_bounds__(256) add_row_bf16(bf16 *y, const bf16 *x, const float *e, int v, int images, int p, int c)
{
    add_row_of(y, x, e, v, images, p, c);
}

// A block of 32 x 8 threads takes 32 channels of an image: eight threads a channel, whose sums the first adds in order.
template <typename T> static __device__ __forceinline__ void add_row_grad_of(float *de, const T *dy, int images, int p, int c)
{
    __shared__ float sums[8][32];
    int k = blockIdx.x * 32 + threadIdx.x;
    for (int n = blockIdx.y; n < images; n += gridDim.y) {
        float sum = 0;
        if (k < c)
            for (int q = threadIdx.y; q < p; q += 8) sum += widen(dy[((i64)n * p + q) * c + k]);
        sums[threadIdx.y][threadIdx.x] = sum;
        __syncthreads();
        if (threadIdx.y == 0 && k < c) {
            for (int i = 1; i < 8; i++) sum += sums[i][threadIdx.x];
            de[(i64)n * c + k] = sum;
        }
        __syncthreads();
    }
}

extern "C" __global__ void __launch_bounds__(256) add_row_grad(float *de, const float *dy, int images, int p, int c)
{
    add_row_grad_of(de, dy, images, p, c);
}

extern "C" __global__ void __launch_bounds__(256) add_row_grad_bf16(float *de, const bf16 *dy, int images, int p, int c)
{
    add_row_grad_of(de, dy, images, p, c);
}
