// Adam and the moving average of the parameters, partner of adam.go, over all parameters in one launch:
//
//	m <- b1 m + (1-b1) g        v <- b2 v + (1-b2) g^2
//	theta <- theta - lr/(1-b1^t) m / (sqrt(v)/sqrt(1-b2^t) + eps)
//	ema <- r ema + (1-r) theta     r = rate, or with warm-up min(rate, (1+t)/(10+t))
//
// With norm the gradient is g min(1, clip/(norm + 1e-6)), with lr_warmup the rate lr min((t-1)/lr_warmup, 1). The norm is
// that of all gradients:
//
//	grad_norm          sums[i] = sum of g^2 over the 8192 gradients of block i
//	grad_norm_finish   norm = root of the sum of sums
//
// What depends on t alone is computed in double by one thread of each block; blocks are as many as the device holds at
// once or so, and walk over the parameters. lr, beta1, beta2, eps, rate and clip are doubles by their bits.
#include "common.cuh"

struct AdamStep { float b1, b2, c1, c2, size, root, eps, r, s; };

extern "C" __global__ void adam(float *param, const float *grad, float *m, float *v, float *ema, const u32 *state, u64 n,
    u64 lr, u64 beta1, u64 beta2, u64 eps, u64 rate, int warmup,
    const float *norm, u64 clip, u64 lr_warmup)
{
    __shared__ AdamStep shared;
    if (threadIdx.x == 0) {
        double t = (double)(step_of(state) + 1), r = float64(rate);
        double b1 = float64(beta1), b2 = float64(beta2);
        if (warmup && (1 + t) / (10 + t) < r) r = (1 + t) / (10 + t);
        double size = float64(lr), factor = 1;
        if (lr_warmup && t - 1 < (double)lr_warmup) size *= (t - 1) / (double)lr_warmup;
        if (norm) factor = float64(clip) / ((double)*norm + 1e-6);
        if (factor > 1) factor = 1;
        AdamStep a;
        a.b1 = (float)b1;
        a.b2 = (float)b2;
        a.c1 = (float)((1 - b1) * factor);
        a.c2 = (float)((1 - b2) * factor * factor);
        a.size = (float)(size / (1 - pow(b1, t)));
        a.root = (float)(1 / sqrt(1 - pow(b2, t)));
        a.eps = (float)float64(eps);
        a.r = (float)r;
        a.s = (float)(1 - r);
        shared = a;
    }
    __syncthreads();
    AdamStep a = shared;
    for (i64 i = flat_quad(); i < (i64)n; i += flat_stride()) {
        i64 count = (i64)n - i;
        Quad p = load4(param + i, count), g = load4(grad + i, count), mq = load4(m + i, count), vq = load4(v + i, count);
#pragma unroll
        for (int j = 0; j < 4; j++) {
            mq.v[j] = __fadd_rn(__fmul_rn(a.b1, mq.v[j]), __fmul_rn(a.c1, g.v[j]));
            vq.v[j] = __fadd_rn(__fmul_rn(a.b2, vq.v[j]), __fmul_rn(a.c2, __fmul_rn(g.v[j], g.v[j])));
            float root = __fadd_rn(__fmul_rn(__fsqrt_rn(vq.v[j]), a.root), a.eps);
            p.v[j] = __fsub_rn(p.v[j], __fdiv_rn(__fmul_rn(a.size, mq.v[j]), root));
        }
        store4(param + i, p, count);
        store4(m + i, mq, count);
        store4(v + i, vq, count);
        if (ema) {
            Quad e = load4(ema + i, count);
#pragma unroll
            for (int j = 0; j < 4; j++) e.v[j] = __fadd_rn(__fmul_rn(a.r, e.v[j]), __fmul_rn(a.s, p.v[j]));
            store4(ema + i, e, count);
        }
    }
}

// sum_of_block adds the values of the 256 threads of a block by halves; the first thread has the result.
static __device__ __forceinline__ double sum_of_block(double v)
{
    __shared__ double sums[256];
    sums[threadIdx.x] = v;
    __syncthreads();
#pragma unroll 1
    for (int half = 128; half > 0; half /= 2) {
        if ((int)threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half];
        __syncthreads();
    }
    return sums[0];
}

extern "C" __global__ void __launch_bounds__(256) grad_norm(float *sums, const float *grad, u64 n)
{
    i64 end = ((i64)blockIdx.x + 1) * 8192;
    if (end > (i64)n) end = (i64)n;
    double sum = 0;
    for (i64 i = (i64)blockIdx.x * 8192 + 4 * threadIdx.x; i < end; i += 1024) {
        Quad g = load4(grad + i, end - i);
#pragma unroll
        for (int j = 0; j < 4; j++) sum += (double)g.v[j] * (double)g.v[j];
    }
    sum = sum_of_block(sum);
    if (threadIdx.x == 0) ((double *)sums)[blockIdx.x] = sum;
}

// One block.
extern "C" __global__ void __launch_bounds__(256) grad_norm_finish(float *norm, const float *sums, int blocks)
{
    double sum = 0;
    for (int i = threadIdx.x; i < blocks; i += 256) sum += ((const double *)sums)[i];
    sum = sum_of_block(sum);
    if (threadIdx.x == 0) *norm = (float)sqrt(sum);
}
