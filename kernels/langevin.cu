// Annealed Langevin dynamics, partner of langevin.go:
//
//	langevin   x <- x + a s + sqrt(2 a) z,   a = alpha[k/T],   z ~ N(0, I)
//	denoise    x <- x + sigma_n^2 s
//	set_sigma  level_n = k/T, sigma_n = ladder[k/T]
//	tick       k <- k + 1
//
// z is drawn in registers, so a float costs two reads and one write; the step k is read from the state block, so one
// captured graph serves all steps and levels.
#include "common.cuh"

extern "C" __global__ void langevin(float *x, const float *s, const float *alpha, const u32 *state, u64 seed, int rows, int d, int t, int levels)
{
    u32 k = state[STATE_STEP], image = state[STATE_IMAGE];
    float a = alpha[level_of(k, t, levels)];
    float b = __fsqrt_rn(__fmul_rn(2.0f, a));
    for (int n = first_row(); n < rows; n += row_stride()) {
        u64 stream = (u64)k << 32 | (image + (u32)n);
        for (int i = first_quad(); i < d; i += quad_stride()) {
            i64 at = (i64)n * d + i;
            Quad xq = load4(x + at, d - i), sq = load4(s + at, d - i);
            Quad z = normals(random_block(seed, PURPOSE_LANGEVIN, stream, (u32)i / 4));
#pragma unroll
            for (int j = 0; j < 4; j++)
                xq.v[j] = __fadd_rn(__fadd_rn(xq.v[j], __fmul_rn(a, sq.v[j])), __fmul_rn(b, z.v[j]));
            store4(x + at, xq, d - i);
        }
    }
}

extern "C" __global__ void denoise(float *x, const float *s, const float *sigma, int rows, int d)
{
    for (int n = first_row(); n < rows; n += row_stride()) {
        float v = __fmul_rn(sigma[n], sigma[n]);
        for (int i = first_quad(); i < d; i += quad_stride()) {
            i64 at = (i64)n * d + i;
            Quad xq = load4(x + at, d - i), sq = load4(s + at, d - i);
#pragma unroll
            for (int j = 0; j < 4; j++) xq.v[j] = __fadd_rn(xq.v[j], __fmul_rn(v, sq.v[j]));
            store4(x + at, xq, d - i);
        }
    }
}

extern "C" __global__ void set_sigma(float *sigma, u32 *level, const float *ladder, const u32 *state, int rows, int t, int levels)
{
    int n = blockIdx.x * blockDim.x + threadIdx.x;
    if (n >= rows) return;
    int l = level_of(state[STATE_STEP], t, levels);
    sigma[n] = ladder[l];
    level[n] = (u32)l;
}

extern "C" __global__ void tick(u32 *state)
{
    u64 step = step_of(state) + 1;
    state[STATE_STEP] = (u32)step;
    state[STATE_STEP_HI] = (u32)(step >> 32);
}
