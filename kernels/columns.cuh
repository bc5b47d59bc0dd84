// Sums down the columns of images of P pixels and C channels, for the norms: in chunks of pixels that depend on the shape
// of one image alone, of two values a pixel and channel, to parts[n][chunk][2][c]. Those of a forward operation are about
// the image's first pixel, which is kept behind the parts, first[n][c]: the result may be written in its place. In networks
// in bf16 it has moments of segments instead (moments.cuh).
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

// Column is the sums of one channel of an image: of its values less `about`, which is near their mean, and of the squares.
struct Column { double about, a, b; };

// column adds the sums over the chunks of a forward operation, or with segments the moments of so many, in their order.
__device__ __forceinline__ Column column(const float *parts, int images, int n, int chunks, int segments, int p, int c, int channel)
{
    Column r;
    if (!segments) {
        Sums s = total(parts, n, chunks, c, channel);
        r.about = parts[(i64)images * chunks * 2 * c + (i64)n * c + channel];
        r.a = s.a, r.b = s.b;
        return r;
    }
    const float *q = parts + (i64)n * segments * 2 * c + channel;
    const double size = p / segments;
    r.about = q[0];
    r.a = r.b = 0;
    for (int i = 0; i < segments; i++) {
        double d = q[(i64)i * 2 * c] - r.about;
        r.a += size * d;
        r.b += q[(i64)i * 2 * c + c] + size * d * d;
    }
    return r;
}

// tree_sums adds up K sums of each of `groups` groups of terms, by halves: those of group g come to lie in
// red[s][g * threads]. term(v, g, t) sets v[s] to what term t of group g is, of `threads` terms, 2^k of them. The sums do not
// depend on the block. Every thread of the block calls it, and finds the sums when it returns.
template <int K, int SIZE, typename Term> __device__ __forceinline__ void tree_sums(double (*red)[SIZE], int groups, int threads, Term term)
{
    const int mine = threadIdx.y * blockDim.x + threadIdx.x, all = blockDim.x * blockDim.y;
    for (int i = mine; i < groups * threads; i += all) {
        double v[K];
        term(v, i / threads, i % threads);
#pragma unroll
        for (int s = 0; s < K; s++) red[s][i] = v[s];
    }
    __syncthreads();
    for (int half = threads / 2; half > 0; half /= 2) {
        for (int i = mine; i < groups * half; i += all) {
            int at = i / half * threads + i % half;
#pragma unroll
            for (int s = 0; s < K; s++) red[s][at] += red[s][at + half];
        }
        __syncthreads();
    }
}

// terms_of is the threads that a sum over so many channels is shared out to: they decide its bits.
__device__ __forceinline__ int terms_of(int channels)
{
    int t = 1;
    while (t < channels && t < 256) t *= 2;
    return t;
}

// TILE is the most channels that a block of apply takes of an image.
const int TILE = 128;

// Tile is the channels of a block: from `from` to below `to`, v of them a thread.
struct Tile { int from, to; };

__device__ __forceinline__ Tile tile_of(int v, int c)
{
    Tile t;
    t.from = v * blockIdx.z * blockDim.x;
    t.to = t.from + v * (int)blockDim.x < c ? t.from + v * (int)blockDim.x : c;
    return t;
}
