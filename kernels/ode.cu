// What the adaptive solver of an ODE runs beside the network, partner of ode.go:
//
//	ode_point    at_n = x_n + h_n sum over j of a_j k_nj;  X_n = at_n in float32;  sigma_n, level_n
//	ode_slope    k_n,slot = -sigma_n^2 (c_n s_n),  and its last value -sigma_n^2 sum over products of v (v^T ds/dx)
//	ode_norm     e_n = sqrt(mean over i of (d_i/(tol + tol max(|x_i|, |at_i|)))^2),  d = x, or sum over j of w_j k_nj
//	ode_accept   x_n <- at_n, k_n0 <- k_n6 of the rows that are taken;  X_n = x_n, or x_n - k_n0, in float32
//
// Sums over a row are one term after the other: a block computes the terms of a part of a row, and its first thread adds
// them. That costs little beside a network, and the bits are those of a plain loop.
#include "common.cuh"

enum { ODE_SLOTS = 7, ODE_OTHER = 7, ODE_WIDTH = 8, ODE_THREADS = 128 };

// A float64 is two words, low and high, and need not lie on eight bytes.
__device__ __forceinline__ double get(const float *p, i64 i)
{
    return __hiloint2double(__float_as_int(p[2 * i + 1]), __float_as_int(p[2 * i]));
}

__device__ __forceinline__ void put(float *p, i64 i, double v)
{
    p[2 * i] = __int_as_float(__double2loint(v));
    p[2 * i + 1] = __int_as_float(__double2hiint(v));
}

// larger is Go's max of two that are not below 0: NaN where one is.
__device__ __forceinline__ double larger(double a, double b) { return a > b || a != a ? a : b; }

// sum_of is the sum of the first slots slopes of value i of row n by a row of the table.
__device__ __forceinline__ double sum_of(const float *k, const float *table, int stage, int slots, int n, int i, int e)
{
    double sum = 0;
    for (int j = 0; j < slots; j++)
        sum = __dadd_rn(sum, __dmul_rn(get(table, stage * ODE_WIDTH + j), get(k, ((i64)n * ODE_SLOTS + j) * e + i)));
    return sum;
}

extern "C" __global__ void ode_point(float *point, float *sigma, u32 *level, float *v, float *at, const float *x, const float *k, const float *h, const float *sigmas, const u32 *levels, const float *table, const u32 *state, int repeat, int rows, int d, int e)
{
    int stage = (int)(state[STATE_STEP] / (u32)repeat), product = (int)(state[STATE_STEP] % (u32)repeat);
    int slots = (int)get(table, stage * ODE_WIDTH + ODE_OTHER);
    for (int n = first_row(); n < rows; n += row_stride()) {
        double hn = get(h, n);
        for (int i = first_quad(); i < e; i += quad_stride()) {
            for (int j = i; j < i + 4 && j < e; j++) {
                double to = __dadd_rn(get(x, (i64)n * e + j), __dmul_rn(hn, sum_of(k, table, stage, slots, n, j, e)));
                put(at, (i64)n * e + j, to);
                if (j < d) point[(i64)n * d + j] = (float)to;
                if (j < d && v != 0) v[(i64)n * d + j] = j == product ? 1.0f : 0.0f;
            }
            if (i == 0) {
                sigma[n] = (float)get(sigmas, (i64)stage * rows + n);
                level[n] = levels[(i64)stage * rows + n];
            }
        }
    }
}

// One block of ODE_THREADS for a row.
extern "C" __global__ void ode_slope(float *k, float *trace, const float *s, const float *v, const float *vj, const float *sigmas, const float *scale, const float *table, const u32 *state, int units, int repeat, int rows, int d, int e)
{
    __shared__ double terms[ODE_THREADS];
    int stage = (int)(state[STATE_STEP] / (u32)repeat), product = (int)(state[STATE_STEP] % (u32)repeat);
    int slot = (int)get(table, stage * ODE_WIDTH + ODE_OTHER);
    for (int n = blockIdx.x; n < rows; n += gridDim.x) {
        double sum = 0; // of the first thread
        if (v != 0) {
            if (product > 0 && threadIdx.x == 0) sum = get(trace, n);
            if (units && threadIdx.x == 0) sum = __dadd_rn(sum, (double)vj[(i64)n * d + product]);
            for (int from = 0; !units && from < d; from += ODE_THREADS) {
                i64 i = (i64)n * d + from + threadIdx.x;
                if (from + (int)threadIdx.x < d) terms[threadIdx.x] = (double)vj[i] * (double)v[i]; // exact
                __syncthreads();
                if (threadIdx.x == 0)
                    for (int j = 0; j < ODE_THREADS && from + j < d; j++) sum = __dadd_rn(sum, terms[j]);
                __syncthreads();
            }
            if (threadIdx.x == 0) put(trace, n, sum);
        }
        if (product != repeat - 1) continue;
        double sn = get(sigmas, (i64)stage * rows + n), cn = get(scale, (i64)stage * rows + n);
        double factor = -__dmul_rn(sn, sn);
        float *to = k + 2 * ((i64)n * ODE_SLOTS + slot) * e;
        for (int i = threadIdx.x; i < d; i += ODE_THREADS)
            put(to, i, __dmul_rn(__dmul_rn(cn, (double)s[(i64)n * d + i]), factor));
        if (e > d && threadIdx.x == 0) put(to, d, __dmul_rn(sum, factor));
    }
}

// One block of ODE_THREADS for a row.
extern "C" __global__ void ode_norm(float *err, const float *x, const float *at, const float *k, const float *h, const float *table, const float *tol, int of, int rows, int e)
{
    __shared__ double terms[ODE_THREADS];
    double t = get(tol, 0);
    bool ofStep = of >= 0 && get(table, of * ODE_WIDTH + ODE_OTHER) != 0;
    for (int n = blockIdx.x; n < rows; n += gridDim.x) {
        double hn = fabs(get(h, n)), sum = 0; // the sum is of the first thread
        for (int from = 0; from < e; from += ODE_THREADS) {
            int i = from + threadIdx.x;
            if (i < e) {
                double xi = get(x, (i64)n * e + i), d = xi, most = fabs(xi);
                if (of >= 0) d = sum_of(k, table, of, ODE_SLOTS, n, i, e);
                if (ofStep) {
                    d = __dmul_rn(d, hn);
                    most = larger(most, fabs(get(at, (i64)n * e + i)));
                }
                d = __ddiv_rn(d, __dadd_rn(t, __dmul_rn(t, most)));
                terms[threadIdx.x] = __dmul_rn(d, d);
            }
            __syncthreads();
            if (threadIdx.x == 0)
                for (int j = 0; j < ODE_THREADS && from + j < e; j++) sum = __dadd_rn(sum, terms[j]);
            __syncthreads();
        }
        if (threadIdx.x == 0) put(err, n, __dsqrt_rn(__ddiv_rn(sum, (double)e)));
    }
}

extern "C" __global__ void ode_accept(float *point, float *x, float *k, const float *at, const u32 *taken, int denoise, int rows, int d, int e)
{
    for (int n = first_row(); n < rows; n += row_stride()) {
        for (int i = first_quad(); i < e; i += quad_stride()) {
            for (int j = i; j < i + 4 && j < e; j++) {
                i64 here = (i64)n * e + j, first = (i64)n * ODE_SLOTS * e + j, last = first + (i64)(ODE_SLOTS - 1) * e;
                if (taken[n] != 0) {
                    put(x, here, get(at, here));
                    put(k, first, get(k, last));
                }
                if (j < d) {
                    double v = get(x, here);
                    if (denoise) v = __dsub_rn(v, get(k, first));
                    point[(i64)n * d + j] = (float)v;
                }
            }
        }
    }
}
