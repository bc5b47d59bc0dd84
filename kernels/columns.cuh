// Sums down the columns of images of P pixels and C channels, for the norms: in chunks of pixels that depend on the shape
// of one image alone, of two values a pixel and channel, to parts[n][chunk][2][c].
//
// In kernels that walk over pixels a block has blockDim.x lanes, each with v = 1 or 4 successive channels (4: aligned, C a
// multiple of 4), and blockDim.y pixels at a time; the grid is (chunks of pixels, images, tiles of channels).
#pragma once
#include "common.cuh"

// Place is what a thread works on.
struct Place {
    int c;        // first channel
    int from, to; // pixels of the block's chunk
};

template <int V> __device__ __forceinline__ Place place(int p, int chunk)
{
    Place a;
    a.c = V * (blockIdx.z * blockDim.x + threadIdx.x);
    a.from = blockIdx.x * chunk;
    a.to = a.from + chunk < p ? a.from + chunk : p;
    return a;
}

// add_up adds the two sums of a block's threads over its pixels and writes those of each channel to parts. red has room
// for the sums of a block of at most 256 threads. Every thread of the block calls it.
template <int V>
__device__ __forceinline__ void add_up(float *parts, float (*red)[256 * V], const float *sum, const float *sum2, const Place &at, int n, int c)
{
    float *mine[2];
#pragma unroll
    for (int s = 0; s < 2; s++) mine[s] = &red[s][(threadIdx.y * blockDim.x + threadIdx.x) * V];
#pragma unroll
    for (int e = 0; e < V; e++) {
        mine[0][e] = sum[e];
        mine[1][e] = sum2[e];
    }
    __syncthreads();
    for (int half = blockDim.y / 2; half > 0; half /= 2) {
        if ((int)threadIdx.y < half)
#pragma unroll
            for (int e = 0; e < V; e++) {
                mine[0][e] += mine[0][half * blockDim.x * V + e];
                mine[1][e] += mine[1][half * blockDim.x * V + e];
            }
        __syncthreads();
    }
    if (threadIdx.y == 0 && at.c < c) {
        float *out = parts + ((i64)n * gridDim.x + blockIdx.x) * 2 * c + at.c;
#pragma unroll
        for (int e = 0; e < V; e++) {
            out[e] = mine[0][e];
            out[c + e] = mine[1][e];
        }
    }
    __syncthreads();
}

// Sums are those of one channel of an image.
struct Sums { double a, b; };

// total adds a channel's sums over the chunks, in their order.
__device__ __forceinline__ Sums total(const float *parts, int n, int chunks, int c, int channel)
{
    const float *p = parts + (i64)n * chunks * 2 * c + channel;
    Sums s = {0, 0};
    for (int i = 0; i < chunks; i++) {
        s.a += p[(i64)i * 2 * c];
        s.b += p[(i64)i * 2 * c + c];
    }
    return s;
}

// block_sum adds v over the threads of a block, 2^k and at most 256 of them.
__device__ __forceinline__ double block_sum(double v, double *red)
{
    red[threadIdx.x] = v;
    __syncthreads();
    for (int half = blockDim.x / 2; half > 0; half /= 2) {
        if ((int)threadIdx.x < half) red[threadIdx.x] += red[threadIdx.x + half];
        __syncthreads();
    }
    v = red[0];
    __syncthreads();
    return v;
}
