// Swish, for the kernels that compute it: its value at x, and its derivative there times g.
#pragma once
#include "common.cuh"

struct Swish {
    static __device__ __forceinline__ float value(float x) { return x / (1.0f + expf(-x)); }
    static __device__ __forceinline__ float grad(float g, float x)
    {
        float s = 1.0f / (1.0f + expf(-x));
        return g * s * (1.0f + x * (1.0f - s));
    }
};
