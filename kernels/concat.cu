// Channels side by side and apart, partner of concat.go. A thread takes v = 1 or 4 successive channels of one pixel of y,
// all of one side; the second dimension of the grid is images.
#include "common.cuh"

// Side is where the channels of a thread are: their place in y, and in the side that they are of.
struct Side {
    i64 y, at;
    bool second;
};

template <int V> __device__ __forceinline__ bool side(Side &s, int p, int ca, int cb)
{
    u32 at = blockIdx.x * blockDim.x + threadIdx.x, lanes = (u32)(ca + cb) / V, q = at / lanes;
    int c = V * (int)(at - q * lanes);
    s.y = (i64)at * V;
    s.second = c >= ca;
    s.at = s.second ? (i64)q * cb + c - ca : (i64)q * ca + c;
    return (int)q < p;
}

template <int V, typename T> __device__ __forceinline__ void join(T *y, const T *a, const T *b, int images, int p, int ca, int cb)
{
    Side s;
    if (!side<V>(s, p, ca, cb)) return;
    for (int n = blockIdx.y; n < images; n += gridDim.y) {
        float v[V];
        read<V>(v, s.second ? b + (i64)n * p * cb + s.at : a + (i64)n * p * ca + s.at);
        write<V>(y + (i64)n * p * (ca + cb) + s.y, v);
    }
}

template <int V, typename T> __device__ __forceinline__ void part(T *a, T *b, const T *y, int images, int p, int ca, int cb)
{
    Side s;
    if (!side<V>(s, p, ca, cb)) return;
    T *to = s.second ? b : a;
    if (!to) return;
    for (int n = blockIdx.y; n < images; n += gridDim.y) {
        float v[V];
        read<V>(v, y + (i64)n * p * (ca + cb) + s.y);
        write<V>(to + (i64)n * p * (s.second ? cb : ca) + s.at, v);
    }
}

template <typename T> static __device__ __forceinline__ void concat_of(T *y, const T *a, const T *b, int v, int images, int p, int ca, int cb)
{
    if (v == 4)
        join<4>(y, a, b, images, p, ca, cb);
    else
        join<1>(y, a, b, images, p, ca, cb);
}

template <typename T> static __device__ __forceinline__ void split_of(T *a, T *b, const T *y, int v, int images, int p, int ca, int cb)
{
    if (v == 4)
        part<4>(a, b, y, images, p, ca, cb);
    else
        part<1>(a, b, y, images, p, ca, cb);
}

extern "C" __global__ void __launch_bounds__(256) concat(float *y, const float *a, const float *b, int v, int images, int p, int ca, int cb)
{
    concat_of(y, a, b, v, images, p, ca, cb);
}

extern "C" __global__ void __launch_bounds__(256) concat_bf16(bf16 *y, const bf16 *a, const bf16 *b, int v, int images, int p, int ca, int cb)
{
    concat_of(y, a, b, v, images, p, ca, cb);
}

extern "C" __global__ void __launch_bounds__(256) split(float *a, float *b, const float *y, int v, int images, int p, int ca, int cb)
{
    split_of(a, b, y, v, images, p, ca, cb);
}

extern "C" __global__ void __launch_bounds__(256) split_bf16(bf16 *a, bf16 *b, const bf16 *y, int v, int images, int p, int ca, int cb)
{
    split_of(a, b, y, v, images, p, ca, cb);
}
