// Sums and maps that involve no neighbours, partner of sum.go:
//
//	add         dst = a + b                  (dst may be a or b)
//	scaled_sum  dst = outer (a + inner b)    (the same; b may be 0: dst = outer a)
//	affine      y = scale x + shift          (y may be x)
//	fill        dst = value
//	narrow      dst = src, rounded to bf16
#include "common.cuh"

template <typename T> static __device__ __forceinline__ void sum(T *dst, const T *a, const T *b, u64 n)
{
    i64 i = flat_quad();
    if (i >= (i64)n) return;
    Quad p = load4(a + i, (i64)n - i), q = load4(b + i, (i64)n - i);
#pragma unroll
    for (int j = 0; j < 4; j++) p.v[j] += q.v[j];
    store4(dst + i, p, (i64)n - i);
}

extern "C" __global__ void add(float *dst, const float *a, const float *b, u64 n) { sum(dst, a, b, n); }
extern "C" __global__ void add_bf16(bf16 *dst, const bf16 *a, const bf16 *b, u64 n) { sum(dst, a, b, n); }

template <typename T> static __device__ __forceinline__ void scaled_sum_of(T *dst, const T *a, const T *b, float inner, float outer, u64 n)
{
    i64 i = flat_quad();
    if (i >= (i64)n) return;
    Quad p = load4(a + i, (i64)n - i);
    if (b) {
        Quad q = load4(b + i, (i64)n - i);
#pragma unroll
        for (int j = 0; j < 4; j++) p.v[j] = __fmul_rn(outer, __fadd_rn(p.v[j], __fmul_rn(inner, q.v[j])));
    } else {
#pragma unroll
        for (int j = 0; j < 4; j++) p.v[j] = __fadd_rn(__fmul_rn(outer, p.v[j]), 0.0f);
    }
    store4(dst + i, p, (i64)n - i);
}

extern "C" __global__ void scaled_sum(float *dst, const float *a, const float *b, float inner, float outer, u64 n)
{
    scaled_sum_of(dst, a, b, inner, outer, n);
}

extern "C" __global__ void scaled_sum_bf16(bf16 *dst, const bf16 *a, const bf16 *b, float inner, float outer, u64 n)
{
    scaled_sum_of(dst, a, b, inner, outer, n);
}

extern "C" __global__ void affine(float *y, const float *x, float scale, float shift, u64 n)
{
    i64 i = flat_quad();
    if (i >= (i64)n) return;
    Quad q = load4(x + i, (i64)n - i);
#pragma unroll
    for (int j = 0; j < 4; j++) q.v[j] = __fadd_rn(__fmul_rn(scale, q.v[j]), shift);
    store4(y + i, q, (i64)n - i);
}

extern "C" __global__ void fill(float *dst, float value, u64 n)
{
    i64 i = flat_quad();
    if (i >= (i64)n) return;
    Quad q = {{value, value, value, value}};
    store4(dst + i, q, (i64)n - i);
}

extern "C" __global__ void narrow(bf16 *dst, const float *src, u64 n)
{
    i64 i = flat_quad();
    if (i >= (i64)n) return;
    store4(dst + i, load4(src + i, (i64)n - i), (i64)n - i);
}
