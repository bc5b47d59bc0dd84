// Adam and the moving average of the parameters, partner of adam.go, over all parameters in one launch:
//
//	m <- b1 m + (1-b1) g        v <- b2 v + (1-b2) g^2
//	theta <- theta - lr/(1-b1^t) m / (sqrt(v)/sqrt(1-b2^t) + eps)
//	ema <- r ema + (1-r) theta     r = rate, or with warm-up min(rate, (1+t)/(10+t))
//
// What depends on t alone is computed in double by one thread of each block; blocks are as many as the device holds at
// once or so, and walk over the parameters. lr, beta1, beta2, eps and rate are doubles by their bits.
#include "common.cuh"

struct AdamStep { float b1, b2, c1, c2, size, root, eps, r, s; };

extern "C" __global__ void adam(float *param, const float *grad, float *m, float *v, float *ema, const u32 *state, u64 n,
    u64 lr, u64 beta1, u64 beta2, u64 eps, u64 rate, int warmup)
{
    __shared__ AdamStep shared;
    if (threadIdx.x == 0) {
        double t = (double)(step_of(state) + 1), r = float64(rate);
        double b1 = float64(beta1), b2 = float64(beta2);
        if (warmup && (1 + t) / (10 + t) < r) r = (1 + t) / (10 + t);
        AdamStep a;
        a.b1 = (float)b1;
        a.b2 = (float)b2;
        a.c1 = (float)(1 - b1);
        a.c2 = (float)(1 - b2);
        a.size = (float)(float64(lr) / (1 - pow(b1, t)));
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
