// Patches of a 3x3 convolution with stride 2, partner of patches.go. A thread takes V = 1 or 4 successive channels of one
// pixel of the result (4: aligned, C a multiple of 4); the second dimension of the grid is images. h, w and c are those of
// the image.
#include "common.cuh"
#include "epilogue.cuh"

template <int V, typename T> __device__ __forceinline__ void gather(T *y, const T *x, int images, int h, int w, int c)
{
    u32 at = blockIdx.x * blockDim.x + threadIdx.x, lanes = (u32)c / V, q = at / lanes;
    int k = V * (int)(at - q * lanes), wout = w / 2, hout = h / 2;
    u32 p = q / 9, t = q - 9 * p; // patch, its pixel
    int i = (int)(p / (u32)wout), j = (int)(p - (u32)i * (u32)wout);
    if (i >= hout) return;
    int row = 2 * i + (int)(t / 3), col = 2 * j + (int)(t % 3);
    bool inside = row < h && col < w;
    i64 words = (i64)hout * wout * 9 * c;
    for (int n = blockIdx.y; n < images; n += gridDim.y) {
        float v[V];
#pragma unroll
        for (int e = 0; e < V; e++) v[e] = 0.0f;
        if (inside) read<V>(v, x + (i64)n * h * w * c + ((i64)row * w + col) * c + k);
        write<V>(y + n * words + (i64)at * V, v);
    }
}

template <typename T> static __device__ __forceinline__ void patches_of(T *y, const T *x, int v, int images, int h, int w, int c)
{
    if (v == 4)
        gather<4>(y, x, images, h, w, c);
    else
        gather<1>(y, x, images, h, w, c);
}

extern "C" __global__ void __launch_bounds__(256) patches(float *y, const float *x, int v, int images, int h, int w, int c)
{
    patches_of(y, x, v, images, h, w, c);
}

extern "C" __global__ void __launch_bounds__(256) patches_bf16(bf16 *y, const bf16 *x, int v, int images, int h, int w, int c)
{
    patches_of(y, x, v, images, h, w, c);
}

// A pixel is pixel u = row - 2i of the patches in row i of them: of one if row is odd, of two, i = row/2 - 1 and row/2,
// if it is even and neither is outside.
template <int V, typename T> __device__ __forceinline__ void add_up(const Steps<T> &s, const T *dy, int images, int h, int w, int c)
{
    u32 at = blockIdx.x * blockDim.x + threadIdx.x, lanes = (u32)c / V, q = at / lanes;
    int k = V * (int)(at - q * lanes), row = (int)(q / (u32)w), col = (int)(q - (u32)row * (u32)w);
    int wout = w / 2, hout = h / 2;
    if (row >= h) return;
    i64 words = (i64)hout * wout * 9 * c;
    for (int n = blockIdx.y; n < images; n += gridDim.y) {
        float sum[V];
#pragma unroll
        for (int e = 0; e < V; e++) sum[e] = 0.0f;
        for (int i = (row - 1) / 2; i <= row / 2 && i < hout; i++) {
            for (int j = (col - 1) / 2; j <= col / 2 && j < wout; j++) {
                float v[V];
                read<V>(v, dy + n * words + (((i64)i * wout + j) * 9 + 3 * (row - 2 * i) + col - 2 * j) * c + k);
#pragma unroll
                for (int e = 0; e < V; e++) sum[e] += v[e];
            }
        }
        take_steps<V>(s, sum, (i64)n * h * w * c + (i64)at * V);
    }
}

template <typename T> static __device__ __forceinline__ void patches_grad_of(const Steps<T> &s, const T *dy, int v, int images, int h, int w, int c)
{
    if (v == 4)
        add_up<4>(s, dy, images, h, w, c);
    else
        add_up<1>(s, dy, images, h, w, c);
}

extern "C" __global__ void __launch_bounds__(256) patches_grad(float *dx, const float *dy, int v, int images, int h, int w, int c, const float *with1, float *to1, const float *with2, float *to2, int kinds, float inner1, float outer1, float inner2, float outer2)
{
    Steps<float> e = {dx, with1, to1, with2, to2, kinds, inner1, outer1, inner2, outer2};
    patches_grad_of(e, dy, v, images, h, w, c);
}

extern "C" __global__ void __launch_bounds__(256) patches_grad_bf16(bf16 *dx, const bf16 *dy, int v, int images, int h, int w, int c, const bf16 *with1, bf16 *to1, const bf16 *with2, bf16 *to2, int kinds, float inner1, float outer1, float inner2, float outer2)
{
    Steps<bf16> e = {dx, with1, to1, with2, to2, kinds, inner1, outer1, inner2, outer2};
    patches_grad_of(e, dy, v, images, h, w, c);
}
