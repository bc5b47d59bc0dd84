// Moments of segments, from which the norms of networks in bf16 make their statistics: for each channel the mean
// of SEGMENT successive pixels, and the sum of squares about it.
//
//	moments[segment][2][c]      segment s of image n is number n P / SEGMENT + s
//
// The values are those that memory holds, in bf16 the rounded ones: they are what the norm subtracts the mean from. A
// convolution writes moments of the tile that it has at hand (conv_tensor.cu), norm_moments (norm.cu) of what lies in
// memory. Both add in one order, so it does not show which did, nor what the tile was:
//
//	row 32 h + 4 j + g of a segment      thread g adds the eight values of half h, about the first of them
//	then the four g in pairs, then the two halves
//
// Sums about values far from 0 are never taken about 0, so a large mean costs no digits of a small variance.
#pragma once
#include "common.cuh"

const int SEGMENT = 64;

// Gathered is sums of four successive channels: of the values less the first one, and of the squares.
struct Gathered {
    Quad first, sum, square;

    __device__ __forceinline__ void add(const Quad &v, bool begin)
    {
#pragma unroll
        for (int e = 0; e < 4; e++) {
            if (begin) first.v[e] = v.v[e], sum.v[e] = square.v[e] = 0;
            float d = __fsub_rn(v.v[e], first.v[e]);
            sum.v[e] = __fadd_rn(sum.v[e], d);
            square.v[e] = __fmaf_rn(d, d, square.v[e]);
        }
    }
};

// join returns the sums of the values of a and of b, which has n.
__device__ __forceinline__ Gathered join(const Gathered &a, const Gathered &b, float n)
{
    Gathered r;
    r.first = a.first;
#pragma unroll
    for (int e = 0; e < 4; e++) {
        float d = __fsub_rn(b.first.v[e], a.first.v[e]), shift = __fmul_rn(n, d);
        r.sum.v[e] = __fadd_rn(a.sum.v[e], __fadd_rn(b.sum.v[e], shift));
        r.square.v[e] = __fadd_rn(a.square.v[e], __fmaf_rn(d, __fmaf_rn(2.0f, b.sum.v[e], shift), b.square.v[e]));
    }
    return r;
}

// Half is the sums of half a segment by threads g, of QUADS times four channels.
template <int QUADS> struct Half {
    float4 part[3][4][QUADS];

    __device__ __forceinline__ Quad get(int i, int g, int quad) const
    {
        float4 a = part[i][g][quad];
        Quad q = {{a.x, a.y, a.z, a.w}};
        return q;
    }
    __device__ __forceinline__ Gathered get(int g, int quad) const
    {
        Gathered s = {get(0, g, quad), get(1, g, quad), get(2, g, quad)};
        return s;
    }
    __device__ __forceinline__ void set(int i, int g, int quad, const Quad &q)
    {
        part[i][g][quad] = make_float4(q.v[0], q.v[1], q.v[2], q.v[3]);
    }
    __device__ __forceinline__ void set(int g, int quad, const Gathered &s)
    {
        set(0, g, quad, s.first);
        set(1, g, quad, s.sum);
        set(2, g, quad, s.square);
    }
    __device__ __forceinline__ Gathered all(int quad) const
    {
        return join(join(get(0, quad), get(1, quad), 8), join(get(2, quad), get(3, quad), 8), 16);
    }
};

// write_moments writes those of a segment, made of two halves, to memory, from channel `channel` of c on.
template <int QUADS>
__device__ __forceinline__ void write_moments(float *to, i64 segment, int channel, int c, const Half<QUADS> *halves, int quad)
{
    Gathered s = join(halves[0].all(quad), halves[1].all(quad), 32);
    Quad mean, square;
#pragma unroll
    for (int e = 0; e < 4; e++) {
        float off = __fmul_rn(1.0f / SEGMENT, s.sum.v[e]);
        mean.v[e] = __fadd_rn(s.first.v[e], off);
        square.v[e] = fmaxf(__fmaf_rn(-off, s.sum.v[e], s.square.v[e]), 0.0f);
    }
    to += segment * 2 * c + channel;
    write<4>(to, mean.v);
    write<4>(to + c, square.v);
}
