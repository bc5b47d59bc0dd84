// What the kernels share: random numbers, the state block, and accesses of several values.
//
// The random numbers are those of noise.go bit for bit: the same float32 operations in the same order, every product
// rounded before it is added. The intrinsics __fmul_rn and __fadd_rn are what keeps the compiler from fusing the two,
// here and wherever else a result must have the bits of the CPU's. Everywhere else a*b + c is written plainly and fused.
#pragma once

typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;

// Purposes of random numbers, as in noise.go.
enum Purpose {
    PURPOSE_BATCH = 1,
    PURPOSE_LEVEL = 2,
    PURPOSE_FLIP = 3,
    PURPOSE_DEQUANT = 4,
    PURPOSE_NOISE = 5,
    PURPOSE_HELD_OUT = 6,
    PURPOSE_LANGEVIN = 8,
    PURPOSE_KNOWN = 14,
};

// Words of a state block, as in kernels.go.
enum StateWord { STATE_STEP = 0, STATE_STEP_HI = 1, STATE_IMAGE = 2 };

// step_of is the 64-bit step of a state block.
__device__ __forceinline__ u64 step_of(const u32 *state)
{
    return (u64)state[STATE_STEP_HI] << 32 | state[STATE_STEP];
}

// float64 makes a double of its bits: parameters of kernels are words.
__device__ __forceinline__ double float64(u64 bits)
{
    union { u64 u; double d; } v;
    v.u = bits;
    return v.d;
}

// Words is the output of one Philox call, four random words.
struct Words { u32 v[4]; };

// philox is Philox4x32-10.
__device__ __forceinline__ Words philox(u64 seed, u32 c0, u32 c1, u32 c2, u32 c3)
{
    u32 k0 = (u32)seed, k1 = (u32)(seed >> 32);
#pragma unroll
    for (int round = 0; round < 10; round++) {
        u32 hi0 = __umulhi(0xD2511F53u, c0), lo0 = 0xD2511F53u * c0;
        u32 hi1 = __umulhi(0xCD9E8D57u, c2), lo1 = 0xCD9E8D57u * c2;
        c0 = hi1 ^ c1 ^ k0;
        c1 = lo1;
        c2 = hi0 ^ c3 ^ k1;
        c3 = lo0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    Words w = {{c0, c1, c2, c3}};
    return w;
}

// random_block is the words of elements 4b to 4b+3 of the stream (seed, purpose, n).
__device__ __forceinline__ Words random_block(u64 seed, u32 purpose, u64 n, u32 b)
{
    return philox(seed, purpose, (u32)n, (u32)(n >> 32), b);
}

// log_uniform is ln u(x) for u(x) = ((x>>8)+1) 2^-24.
__device__ __forceinline__ float log_uniform(u32 x)
{
    u32 bits = __float_as_uint(__fmul_rn((float)((x >> 8) + 1), 5.9604644775390625e-8f));
    int e = (int)(bits >> 23) - 126;
    float m = __uint_as_float((bits & 0x007fffffu) | 0x3f000000u); // in [1/2, 1)
    if (m < 0.70710678f) {
        m = __fadd_rn(m, m);
        e--;
    }
    float f = __fsub_rn(m, 1.0f);
    float p = 7.0376836292e-2f;
    p = __fadd_rn(__fmul_rn(p, f), -1.1514610310e-1f);
    p = __fadd_rn(__fmul_rn(p, f), 1.1676998740e-1f);
    p = __fadd_rn(__fmul_rn(p, f), -1.2420140846e-1f);
    p = __fadd_rn(__fmul_rn(p, f), 1.4249322787e-1f);
    p = __fadd_rn(__fmul_rn(p, f), -1.6668057665e-1f);
    p = __fadd_rn(__fmul_rn(p, f), 2.0000714765e-1f);
    p = __fadd_rn(__fmul_rn(p, f), -2.4999993993e-1f);
    p = __fadd_rn(__fmul_rn(p, f), 3.3333331174e-1f);
    float f2 = __fmul_rn(f, f);
    float fe = (float)e;
    float y = __fmul_rn(__fmul_rn(p, f), f2);
    y = __fadd_rn(y, __fmul_rn(fe, -2.12194440e-4f));
    y = __fsub_rn(y, __fmul_rn(0.5f, f2));
    return __fadd_rn(__fadd_rn(f, y), __fmul_rn(fe, 0.693359375f));
}

// sin_cos_turn is sin and cos of 2 pi u(x).
__device__ __forceinline__ void sin_cos_turn(u32 x, float &sin, float &cos)
{
    u32 k = (x >> 8) + 1;             // u = k 2^-24
    u32 q = (k + (1u << 21)) >> 22;   // nearest quarter
    float t = __fmul_rn((float)((int)k - (int)(q << 22)), 5.9604644775390625e-8f); // exact
    float a = __fmul_rn(t, 6.28318530717958647692f);
    float b = __fmul_rn(a, a);
    float s = -1.9515295891e-4f;
    s = __fadd_rn(__fmul_rn(s, b), 8.3321608736e-3f);
    s = __fadd_rn(__fmul_rn(s, b), -1.6666654611e-1f);
    s = __fadd_rn(__fmul_rn(__fmul_rn(s, b), a), a);
    float c = 2.443315711809948e-5f;
    c = __fadd_rn(__fmul_rn(c, b), -1.388731625493765e-3f);
    c = __fadd_rn(__fmul_rn(c, b), 4.166664568298827e-2f);
    c = __fmul_rn(__fmul_rn(c, b), b);
    c = __fsub_rn(c, __fmul_rn(0.5f, b));
    c = __fadd_rn(c, 1.0f);
    // q mod 4: (s, c), (c, -s), (-s, -c), (-c, s)
    bool swap = q & 1;
    sin = swap ? c : s;
    cos = swap ? s : c;
    if (q & 2) sin = -sin;
    if ((q + 1) & 2) cos = -cos;
}

// Quad is four successive floats.
struct Quad { float v[4]; };

// bf16 is a bfloat16 in memory. Kernels compute in float: widen is exact, narrow rounds to the nearest, ties to even.
// Kernels with T = float and T = bf16 are two entries, NAME and NAME_bf16.
struct bf16 { unsigned short bits; };

__device__ __forceinline__ float widen(float v) { return v; }
__device__ __forceinline__ float widen(bf16 v) { return __uint_as_float((u32)v.bits << 16); }

template <typename T> __device__ __forceinline__ T narrow(float v);
template <> __device__ __forceinline__ float narrow<float>(float v) { return v; }
template <> __device__ __forceinline__ bf16 narrow<bf16>(float v)
{
    bf16 r;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(r.bits) : "f"(v));
    return r;
}

// pack is two bf16 in a word, the first in its lower half.
__device__ __forceinline__ u32 pack(float first, float second)
{
    u32 r;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(second), "f"(first));
    return r;
}

// read and write are accesses of V = 1 or 4 successive values, aligned to all of them.
template <int V> __device__ __forceinline__ void read(float *v, const float *p)
{
    if (V == 4) {
        float4 q = *(const float4 *)p;
        v[0] = q.x, v[1] = q.y, v[2] = q.z, v[3] = q.w;
    } else {
        v[0] = *p;
    }
}

template <int V> __device__ __forceinline__ void read(float *v, const bf16 *p)
{
    if (V == 4) {
        uint2 q = *(const uint2 *)p;
        v[0] = __uint_as_float(q.x << 16), v[1] = __uint_as_float(q.x & 0xffff0000u);
        v[2] = __uint_as_float(q.y << 16), v[3] = __uint_as_float(q.y & 0xffff0000u);
    } else {
        v[0] = widen(*p);
    }
}

template <int V> __device__ __forceinline__ void write(float *p, const float *v)
{
    if (V == 4)
        *(float4 *)p = make_float4(v[0], v[1], v[2], v[3]);
    else
        *p = v[0];
}

template <int V> __device__ __forceinline__ void write(bf16 *p, const float *v)
{
    if (V == 4)
        *(uint2 *)p = make_uint2(pack(v[0], v[1]), pack(v[2], v[3]));
    else
        *p = narrow<bf16>(v[0]);
}

// normals turns four words into four standard normals by Box-Muller.
__device__ __forceinline__ Quad normals(const Words &x)
{
    Quad z;
#pragma unroll
    for (int p = 0; p < 4; p += 2) {
        float r = __fsqrt_rn(__fmul_rn(-2.0f, log_uniform(x.v[p])));
        float s, c;
        sin_cos_turn(x.v[p + 1], s, c);
        z.v[p] = __fmul_rn(r, c);
        z.v[p + 1] = __fmul_rn(r, s);
    }
    return z;
}

// aligned16 says whether p can be read 16 bytes at a time.
__device__ __forceinline__ bool aligned16(const void *p) { return ((u64)p & 15) == 0; }

// aligned4 says whether p can be read four values at a time.
template <typename T> __device__ __forceinline__ bool aligned4(const T *p) { return ((u64)p & (4 * sizeof(T) - 1)) == 0; }

// load4 reads up to four values from p on, in one access where they are four and aligned; the others are 0.
template <typename T> __device__ __forceinline__ Quad load4(const T *p, i64 count)
{
    Quad q;
    if (count >= 4 && aligned4(p)) {
        read<4>(q.v, p);
        return q;
    }
#pragma unroll
    for (int i = 0; i < 4; i++) q.v[i] = i < count ? widen(p[i]) : 0.0f;
    return q;
}

// store4 writes the first count of four values, in one access where they are four and aligned.
template <typename T> __device__ __forceinline__ void store4(T *p, const Quad &q, i64 count)
{
    if (count >= 4 && aligned4(p)) {
        write<4>(p, q.v);
        return;
    }
#pragma unroll
    for (int i = 0; i < 4; i++)
        if (i < count) p[i] = narrow<T>(q.v[i]);
}

// first_row and row_stride share rows out over the blocks and their second dimension, quads of a row over the first:
//
//	for (int n = first_row(); n < rows; n += row_stride())
//	    for (int i = first_quad(); i < d; i += quad_stride())    elements i to i+3
__device__ __forceinline__ int first_row() { return blockIdx.y * blockDim.y + threadIdx.y; }
__device__ __forceinline__ int row_stride() { return gridDim.y * blockDim.y; }
__device__ __forceinline__ int first_quad() { return 4 * (blockIdx.x * blockDim.x + threadIdx.x); }
__device__ __forceinline__ int quad_stride() { return 4 * gridDim.x * blockDim.x; }

// flat_quad and flat_stride do the same for operands without rows.
__device__ __forceinline__ i64 flat_quad() { return 4 * ((i64)blockIdx.x * blockDim.x + threadIdx.x); }
__device__ __forceinline__ i64 flat_stride() { return 4 * (i64)gridDim.x * blockDim.x; }
