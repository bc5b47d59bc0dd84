// What depends on a row's noise level, partner of sigma.go:
//
//	div_sigma  y_n = x_n / sigma_n                                (y may be x)
//	mlp_input  y_n = [x_n / sqrt(sigma_n^2 + sd^2), ln sigma_n]
//	mlp_input_grad  dx_n = dy_n without its last value / sqrt(sigma_n^2 + sd^2)
//	row_mix    y_n = a_n x_n + b_n f_n                            (y may be x or f) 
#include "common.cuh"

extern "C" __global__ void div_sigma(float *y, const float *x, const float *sigma, int rows, int d)
{
    for (int n = first_row(); n < rows; n += row_stride()) {
        float s = sigma[n];
        for (int i = first_quad(); i < d; i += quad_stride()) {
            i64 at = (i64)n * d + i;
            Quad q = load4(x + at, d - i);
#pragma unroll
            for (int j = 0; j < 4; j++) q.v[j] = __fdiv_rn(q.v[j], s);
            store4(y + at, q, d - i);
        }
    }
}

static __device__ float mlp_scale(float sigma, u64 sd)
{
    double s = sigma, t = float64(sd);
    return (float)(1 / sqrt(s * s + t * t));
}

// Rows are short here (vectors of the toys), so a thread takes an element; sd is a double by its bits.
extern "C" __global__ void mlp_input(float *y, const float *x, const float *sigma, u64 sd, int rows, int d)
{
    for (int n = first_row(); n < rows; n += row_stride()) {
        float scale = mlp_scale(sigma[n], sd);
        for (int i = blockIdx.x * blockDim.x + threadIdx.x; i <= d; i += gridDim.x * blockDim.x)
            y[(i64)n * (d + 1) + i] = i < d ? x[(i64)n * d + i] * scale : logf(sigma[n]);
    }
}

extern "C" __global__ void mlp_input_grad(float *dx, const float *dy, const float *sigma, u64 sd, int rows, int d)
{
    for (int n = first_row(); n < rows; n += row_stride()) {
        float scale = mlp_scale(sigma[n], sd);
        for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < d; i += gridDim.x * blockDim.x)
            dx[(i64)n * d + i] = dy[(i64)n * (d + 1) + i] * scale;
    }
}

// x or f may be absent.
extern "C" __global__ void row_mix(float *y, const float *x, const float *a, const float *f, const float *b, int rows, int d)
{
    for (int n = first_row(); n < rows; n += row_stride()) {
        float an = x ? a[n] : 0.0f, bn = f ? b[n] : 0.0f;
        for (int i = first_quad(); i < d; i += quad_stride()) {
            i64 at = (i64)n * d + i;
            Quad q, v;
            if (x) {
                q = load4(x + at, d - i);
#pragma unroll
                for (int j = 0; j < 4; j++) q.v[j] = __fmul_rn(an, q.v[j]);
            }
            if (f) {
                v = load4(f + at, d - i);
#pragma unroll
                for (int j = 0; j < 4; j++) v.v[j] = __fmul_rn(bn, v.v[j]);
                if (x) {
#pragma unroll
                    for (int j = 0; j < 4; j++) q.v[j] = __fadd_rn(q.v[j], v.v[j]);
                } else {
                    q = v;
                }
            }
            store4(y + at, q, d - i);
        }
    }
}
