// What a kernel does with a result while it has it in registers: up to two element-wise steps, each with an operand, and
// a place for its own result where somebody needs that.
//
//	v = the kernel's result          y[i]   = v   if y is not 0
//	v = step 1 of v and with1[i]     to1[i] = v   if to1 is not 0      (w is what is read of with1)
//	v = step 2 of v and with2[i]     to2[i] = v   if to2 is not 0
//
// Step 1 may be a sum of three, with1[i] + with2[i] added to v; then step 2 has no operand.
//
// A step is the operation of sum.cu or activation.cu of its name, with the same rounding after each: the bits are those
// of one launch after the other.
#pragma once

// StepKind has the values of stepKind in cuda_fuse.go.
enum StepKind {
    STEP_NONE = 0,
    STEP_ADD = 1,      // v + w
    STEP_ELU = 2,
    STEP_ELU_GRAD = 3,
    STEP_JOIN = 4,     // outer (v + inner w)
    STEP_JOIN_TO = 5,  // outer (w + inner v)
    STEP_SCALE = 6,    // outer v
    STEP_ADD_SUM = 7,  // v + (w + w of the other step)
};

// Steps is what a launch is told of them, for results that memory holds as T; kinds has four bits for each step, the first
// lowest, and above them the number of steps after which moments are taken (conv_tensor.cu).
template <typename T> struct Steps {
    T *y;
    const T *with1;
    T *to1;
    const T *with2;
    T *to2;
    int kinds;
    float inner1, outer1, inner2, outer2;
};

// as_stored rounds v as memory does.
template <typename T> __device__ __forceinline__ void as_stored(Quad &v)
{
#pragma unroll
    for (int e = 0; e < 4; e++) v.v[e] = widen(narrow<T>(v.v[e]));
}

// add_row adds four aligned values of a row vector to results, as add_row does to what memory holds of them.
template <typename T> __device__ __forceinline__ void add_row(Quad &v, const float *row)
{
    as_stored<T>(v);
    float4 w = *(const float4 *)row;
    v.v[0] += w.x, v.v[1] += w.y, v.v[2] += w.z, v.v[3] += w.w;
}

// take_steps takes the first count of four results, those of place i on, through the steps, and stores what is needed. It
// returns those that moments are taken of.
template <typename T> __device__ __forceinline__ Quad take_steps(const Steps<T> &s, Quad v, i64 i, i64 count)
{
    if (s.y) store4(s.y + i, v, count);
    Quad taken = v;
#pragma unroll 1
    for (int k = 0; k < 2; k++) {
        int kind = s.kinds >> 4 * k & 15;
        if (kind == STEP_NONE) break;
        as_stored<T>(v);
        const T *with = k == 0 ? s.with1 : s.with2;
        T *to = k == 0 ? s.to1 : s.to2;
        float inner = k == 0 ? s.inner1 : s.inner2, outer = k == 0 ? s.outer1 : s.outer2;
        Quad w = {{0, 0, 0, 0}};
        if (kind != STEP_ELU && kind != STEP_SCALE) w = load4(with + i, count);
        if (kind == STEP_ADD_SUM) {
            Quad u = load4(s.with2 + i, count);
#pragma unroll
            for (int e = 0; e < 4; e++) w.v[e] = __fadd_rn(w.v[e], u.v[e]);
            as_stored<T>(w);
        }
        // Products are rounded before they are added in the next step.
#pragma unroll
        for (int e = 0; e < 4; e++)
            if (kind == STEP_ADD || kind == STEP_ADD_SUM)
                v.v[e] = __fadd_rn(v.v[e], w.v[e]);
            else if (kind == STEP_ELU)
                v.v[e] = v.v[e] > 0.0f ? v.v[e] : expm1f(v.v[e]);
            else if (kind == STEP_JOIN)
                v.v[e] = __fmul_rn(outer, __fadd_rn(v.v[e], __fmul_rn(inner, w.v[e])));
            else if (kind == STEP_JOIN_TO)
                v.v[e] = __fmul_rn(outer, __fadd_rn(w.v[e], __fmul_rn(inner, v.v[e])));
            else if (kind == STEP_SCALE)
                v.v[e] = __fadd_rn(__fmul_rn(outer, v.v[e]), 0.0f);
            else
                v.v[e] = w.v[e] > 0.0f ? v.v[e] : __fmul_rn(v.v[e], w.v[e] + 1.0f);
        if (to) store4(to + i, v, count);
        if (k < s.kinds >> 8) taken = v;
    }
    return taken;
}

// take_steps does the same for V = 1 or 4 results.
template <int V, typename T> __device__ __forceinline__ void take_steps(const Steps<T> &s, const float *v, i64 i)
{
    Quad q = {{0, 0, 0, 0}};
#pragma unroll
    for (int e = 0; e < V; e++) q.v[e] = v[e];
    take_steps(s, q, i, V);
}
