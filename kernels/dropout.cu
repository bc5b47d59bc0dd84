// Dropout with a mask that is a function of seed, layer, step and row, partner of dropout.go:
//
//	y[n,i] = x[n,i] scale where u(word i of the stream) > p, else 0        (y may be x)
//
// A thread takes four values, whose words are one call of Philox.
#include "dropout.cuh"

template <typename T> static __device__ __forceinline__ void dropout_of(T *y, const T *x, const u32 *state, float p, float scale, u64 seed, u32 purpose, int rows, int d)
{
    u64 step = step_of(state);
    for (int n = first_row(); n < rows; n += row_stride())
        for (int i = first_quad(); i < d; i += quad_stride()) {
            Words w = random_block(seed, purpose, step * (u64)rows + (u64)n, (u32)i / 4);
            Quad q = load4(x + (i64)n * d + i, d - i);
#pragma unroll
            for (int j = 0; j < 4; j++) q.v[j] = dropped(q.v[j], w.v[j], p, scale);
            store4(y + (i64)n * d + i, q, d - i);
        }
}

extern "C" __global__ void __launch_bounds__(128) dropout(float *y, const float *x, const u32 *state, float p, float scale, u64 seed, u32 purpose, int rows, int d)
{
    dropout_of(y, x, state, p, scale, seed, purpose, rows, d);
}

extern "C" __global__ void __launch_bounds__(128) dropout_bf16(bf16 *y, const bf16 *x, const u32 *state, float p, float scale, u64 seed, u32 purpose, int rows, int d)
{
    dropout_of(y, x, state, p, scale, seed, purpose, rows, d);
}
