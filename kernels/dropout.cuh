// Dropout of values that a kernel has in registers, see dropout.go: whether a value stays is a function of seed, layer, step,
// row and place in the row.
#pragma once
#include "common.cuh"

// Drop is what a launch is told of a dropout. Where state is 0 there is none.
struct Drop {
    const u32 *state;
    float p, scale;
    u64 seed;
    u32 purpose;
};

// dropped is a value scaled, or 0 where its word says so.
__device__ __forceinline__ float dropped(float v, u32 word, float p, float scale)
{
    float u = __fmul_rn((float)((word >> 8) + 1), 5.9604644775390625e-8f);
    return u > p ? __fmul_rn(v, scale) : 0.0f;
}

// drop does it to V = 1 or 4 successive values of stream n, those of place i on: with V = 4, i is a multiple of 4.
template <int V> __device__ __forceinline__ void drop(const Drop &d, u64 n, int i, float *v)
{
    Words w = random_block(d.seed, d.purpose, n, (u32)i / 4);
    if (V == 1) {
        int k = i & 3;
        w.v[0] = k == 0 ? w.v[0] : k == 1 ? w.v[1] : k == 2 ? w.v[2] : w.v[3];
    }
#pragma unroll
    for (int e = 0; e < V; e++) v[e] = dropped(v[e], w.v[e], d.p, d.scale);
}
