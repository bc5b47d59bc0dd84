// The perturbation, partner of perturb.go: from the data set in device memory to the network's input in one pass,
//
//	x~ = x + sigma z,   z ~ N(0, I)
//
// Row r of step k is sample q = k*N + r; where a step is done in parts, k counts them and batch is the rows of the step. What a row needs once (image, level or sigma, flip) is drawn by one thread of the row and
// handed to the others; pixels and normals are drawn where they are used.
//
// precondition writes what a network is given of a row and how its output becomes the score.
#include "common.cuh"

// Row is what the threads of a row share.
struct Row {
    u64 image;
    float sigma;
    int flip;
};

// permutation is the row of the data that sample q sees: a Feistel network over 2*half bits, walked until it falls below
// the number of rows.
__device__ u64 permutation(u64 seed, u64 rows, int half, u64 q)
{
    u64 epoch = q / rows, i = q % rows, mask = ((u64)1 << half) - 1;
    do {
        u64 l = i >> half, r = i & mask;
        for (u32 round = 0; round < 4; round++) {
            u32 f = philox(seed, PURPOSE_BATCH | round << 8, (u32)epoch, (u32)(epoch >> 32), (u32)r).v[0];
            u64 next = l ^ ((u64)f & mask);
            l = r;
            r = next;
        }
        i = l << half | r;
    } while (i >= rows);
    return i;
}

// Draw is what the noise of a row is drawn with: word / 2^32 is uniform in [0, 1), and the row is draw j of k.
struct Draw {
    u64 word, j, k;
};

// draw_of is the draw of sample q, of steps of batch rows.
__device__ Draw draw_of(u64 seed, u64 q, u64 batch, int levels_per_step)
{
    Draw d = {0, q % batch, batch};
    u64 n = q;
    u32 element = 0;
    if (levels_per_step > 0) {
        d.k = levels_per_step;
        d.j %= d.k;
        n = q / batch;
        element = (u32)d.j;
    }
    d.word = random_block(seed, PURPOSE_LEVEL, n, element / 4).v[element % 4];
    return d;
}

// level_of is the level of a draw.
__device__ int level_of(Draw d, int levels, int stratified)
{
    if (stratified) return (int)((u64)levels * ((d.j << 32) + d.word) / d.k >> 32); // floor(L (j + u) / K), in integers
    return (int)((u64)levels * d.word >> 32);
}

// then is a step of Horner's scheme.
__device__ __forceinline__ double then(double p, double x, double c) { return __dadd_rn(__dmul_rn(p, x), c); }

// ln is ln x of a positive x, see density.go.
__device__ double ln(double x)
{
    u64 bits = (u64)__double_as_longlong(x);
    double e = (double)((int)(bits >> 52) - 1022);
    double m = float64((bits & (((u64)1 << 52) - 1)) | (u64)1022 << 52);
    if (m < 0.70710678118654752440) {
        m = __dadd_rn(m, m);
        e = __dadd_rn(e, -1.0);
    }
    double s = __ddiv_rn(__dadd_rn(m, -1.0), __dadd_rn(m, 1.0)), t = __dmul_rn(s, s);
    double p = then(then(then(2.0 / 15, t, 2.0 / 13), t, 2.0 / 11), t, 2.0 / 9);
    p = then(then(then(then(p, t, 2.0 / 7), t, 2.0 / 5), t, 2.0 / 3), t, 2.0);
    return __dadd_rn(__dmul_rn(p, s), __dmul_rn(e, 0.693147180559945309417));
}

// exp_of is e^x of |x| < 700.
__device__ double exp_of(double x)
{
    double k = floor(__dadd_rn(__dmul_rn(x, 1.44269504088896340736), 0.5));
    double r = __dadd_rn(__dadd_rn(x, -__dmul_rn(k, 6.93147180369123816490e-01)), -__dmul_rn(k, 1.90821492927058770002e-10));
    double p = then(then(then(1.0 / 3628800, r, 1.0 / 362880), r, 1.0 / 40320), r, 1.0 / 5040);
    p = then(then(then(p, r, 1.0 / 720), r, 1.0 / 120), r, 1.0 / 24);
    p = then(then(then(then(p, r, 1.0 / 6), r, 0.5), r, 1.0), r, 1.0);
    return __dmul_rn(p, float64((u64)(1023 + (int)k) << 52));
}

// expm1_of is e^x - 1 of x in [0, 700).
__device__ double expm1_of(double x)
{
    if (x >= 0.5) return __dadd_rn(exp_of(x), -1.0);
    double p = then(then(then(1.0 / 6227020800.0, x, 1.0 / 479001600), x, 1.0 / 39916800), x, 1.0 / 3628800);
    p = then(then(then(p, x, 1.0 / 362880), x, 1.0 / 40320), x, 1.0 / 5040);
    p = then(then(then(then(p, x, 1.0 / 720), x, 1.0 / 120), x, 1.0 / 24), x, 1.0 / 6);
    p = then(then(p, x, 0.5), x, 1.0);
    return __dmul_rn(x, p);
}

// Betas are the ends of b(t): kind 0 is none, 1 vp, 2 subvp.
struct Betas {
    int kind;
    double min, max;
};

__device__ __forceinline__ Betas betas_of(int kind, u64 min, u64 max)
{
    Betas b = {kind, float64(min), float64(max)};
    return b;
}

// sigma_at is the noise at the time t.
__device__ double sigma_at(Betas b, double t)
{
    double slope = __dmul_rn(__dadd_rn(b.max, -b.min), 0.25);
    double half = __dmul_rn(t, __dadd_rn(__dmul_rn(b.min, 0.5), __dmul_rn(t, slope)));
    if (b.kind == 2) {
        double e = expm1_of(half);
        return __dadd_rn(e, __ddiv_rn(e, __dadd_rn(1.0, e)));
    }
    return __dsqrt_rn(expm1_of(__dadd_rn(half, half)));
}

// time_of is the time at which the noise is sigma.
__device__ double time_of(Betas b, double sigma)
{
    double half;
    if (b.kind == 2) {
        double h = __dmul_rn(sigma, 0.5);
        half = ln(__dadd_rn(h, __dsqrt_rn(__dadd_rn(__dmul_rn(h, h), 1.0))));
    } else {
        half = __dmul_rn(ln(__dadd_rn(1.0, __dmul_rn(sigma, sigma))), 0.5);
    }
    double slope = __dmul_rn(__dadd_rn(b.max, -b.min), 4.0);
    double root = __dsqrt_rn(__dadd_rn(__dmul_rn(b.min, b.min), __dmul_rn(half, slope)));
    return __ddiv_rn(__dmul_rn(half, 4.0), __dadd_rn(root, b.min));
}

// mean_of is m where the noise is sigma.
__device__ double mean_of(Betas b, double sigma)
{
    double square = __dmul_rn(sigma, sigma);
    if (b.kind == 2) return __ddiv_rn(2.0, __dadd_rn(__dsqrt_rn(__dadd_rn(square, 4.0)), sigma));
    return __ddiv_rn(1.0, __dsqrt_rn(__dadd_rn(square, 1.0)));
}

// likelihood_weight is g^2/std^2 where the noise is sigma.
__device__ double likelihood_weight(Betas b, double sigma)
{
    double t = time_of(b, sigma), m = mean_of(b, sigma);
    double beta = __dadd_rn(b.min, __dmul_rn(t, __dadd_rn(b.max, -b.min))), std = __dmul_rn(sigma, m);
    double w = __ddiv_rn(beta, __dmul_rn(std, std));
    if (b.kind == 2) w = __dmul_rn(__dmul_rn(w, std), __dadd_rn(1.0, __dmul_rn(m, m)));
    return w;
}

// normal_quantile is the quantile of the normal distribution at u.
__device__ double normal_quantile(double u)
{
    double q = __dadd_rn(u, -0.5);
    if (fabs(q) <= 0.425) {
        double r = __dadd_rn(0.180625, -__dmul_rn(q, q));
        double above = then(then(then(59.109374720, r, 159.29113202), r, 50.434271938), r, 3.3871327179);
        double below = then(then(then(67.187563600, r, 78.757757664), r, 17.895169469), r, 1.0);
        return __ddiv_rn(__dmul_rn(q, above), below);
    }
    double tail = q < 0 ? u : __dadd_rn(1.0, -u);
    double r = __dadd_rn(__dsqrt_rn(-ln(tail)), -1.6);
    double above = then(then(then(0.17023821103, r, 1.3067284816), r, 2.7568153900), r, 1.4234372777);
    double below = then(then(0.12021132975, r, 0.73700164250), r, 1.0);
    double z = __ddiv_rn(above, below);
    return q < 0 ? -z : z;
}

// sigma_of is the sigma of a draw by a density, u = (w + 1/2) / 2^32: e^(shift + scale q(u)), or that of a process at the
// time shift + scale u.
__device__ float sigma_of(Draw d, int stratified, int normal, double shift, double scale, Betas b)
{
    u32 w = stratified ? (u32)(((d.j << 32) + d.word) / d.k) : (u32)d.word;
    double q = __dmul_rn(__dadd_rn((double)w, 0.5), 2.3283064365386962890625e-10);
    if (normal) q = normal_quantile(q);
    double v = __dadd_rn(shift, __dmul_rn(scale, q));
    return __double2float_rn(b.kind ? sigma_at(b, v) : exp_of(v));
}

// byte_at is the byte of element i of an image, mirrored left to right with flip.
__device__ __forceinline__ unsigned char byte_at(const unsigned char *src, int i, int flip, int w, int c)
{
    if (flip) {
        int p = i / c, k = i % c, line = p / w;
        i = (line * w + w - 1 - (p - line * w)) * c + k;
    }
    return src[i];
}

// A block has up to 256 rows. u8 or f32 is the data set of data_rows rows, half the bits of its permutation. Or, with
// slots, the host has chosen the rows and copied those of step k to slot k mod slots of u8 or f32, in their order. With
// density, which is never with every, sigma is drawn by it and level is its bits; shift, scale and betas are doubles by their bits.
extern "C" __global__ void perturb(float *x_tilde, float *z, float *sigma, u32 *level, const float *ladder, const u32 *state,
    const unsigned char *u8, const float *f32, u64 seed, u64 data_rows, int half, int slots, int rows, int batch, int d, int w, int c,
    int levels, int flip, int dequantize, int rescale, int levels_per_step, int stratified, int every, int density, int normal,
    u64 shift, u64 scale, int betas, u64 beta_min, u64 beta_max)
{
    __shared__ Row shared[256];
    u64 step = step_of(state);
    // All threads of the block go round together: they meet at the barriers.
    for (int first = blockIdx.y * blockDim.y; first < rows; first += row_stride()) {
        int n = first + threadIdx.y;
        u64 q = step * (u64)rows + (u64)n;
        if (threadIdx.x == 0 && n < rows) {
            Row row;
            int l = 0;
            if (every) {
                l = (int)(q % (u64)levels);
                row.flip = 0;
            } else {
                Draw drawn = draw_of(seed, q, (u64)batch, levels_per_step);
                if (density) row.sigma = sigma_of(drawn, stratified, normal, float64(shift), float64(scale), betas_of(betas, beta_min, beta_max));
                else l = level_of(drawn, levels, stratified);
                row.flip = flip && random_block(seed, PURPOSE_FLIP, q, 0).v[0] >> 31;
            }
            if (slots) row.image = step % (u64)slots * (u64)rows + (u64)n;
            else if (every) row.image = q / (u64)levels % data_rows;
            else row.image = permutation(seed, data_rows, half, q);
            if (!density) row.sigma = ladder[l];
            shared[threadIdx.y] = row;
            if (blockIdx.x == 0) {
                sigma[n] = row.sigma;
                level[n] = density ? __float_as_uint(row.sigma) : (u32)l;
            }
        }
        __syncthreads();
        if (n < rows) {
            Row row = shared[threadIdx.y];
            for (int i = first_quad(); i < d; i += quad_stride()) {
                Quad x;
                if (f32) {
                    x = load4(f32 + row.image * (u64)d + i, d - i);
                } else {
                    const unsigned char *src = u8 + row.image * (u64)d;
                    unsigned char b[4] = {0, 0, 0, 0};
                    if (!row.flip && d - i >= 4 && ((u64)(src + i) & 3) == 0) {
                        u32 four = *(const u32 *)(src + i);
#pragma unroll
                        for (int j = 0; j < 4; j++) b[j] = (unsigned char)(four >> 8 * j);
                    } else {
#pragma unroll
                        for (int j = 0; j < 4; j++)
                            if (i + j < d) b[j] = byte_at(src, i + j, row.flip, w, c);
                    }
                    if (dequantize && !every) {
                        Words u = random_block(seed, PURPOSE_DEQUANT, q, (u32)i / 4);
#pragma unroll
                        for (int j = 0; j < 4; j++) // (byte + u)/256 with u in [0, 1), rounded once
                            x.v[j] = __fmul_rn(__fadd_rn((float)b[j], __fmul_rn((float)(u.v[j] >> 9), 1.1920928955078125e-7f)), 0.00390625f);
                    } else {
#pragma unroll
                        for (int j = 0; j < 4; j++) x.v[j] = __fdiv_rn((float)b[j], 255.0f);
                    }
                    if (rescale) {
#pragma unroll
                        for (int j = 0; j < 4; j++) x.v[j] = __fadd_rn(x.v[j], x.v[j]) - 1.0f;
                    }
                }
                Quad noise = normals(random_block(seed, every ? PURPOSE_HELD_OUT : PURPOSE_NOISE, q, (u32)i / 4));
#pragma unroll
                for (int j = 0; j < 4; j++) x.v[j] = __fadd_rn(x.v[j], __fmul_rn(row.sigma, noise.v[j]));
                i64 at = (i64)n * d + i;
                store4(x_tilde + at, x, d - i);
                store4(z + at, noise, d - i);
            }
        }
        __syncthreads();
    }
}

// A thread takes one row.
extern "C" __global__ void draw_classes(u32 *classes, const u32 *labels, const u32 *state, u64 seed, u64 data_rows, u64 threshold, int half, u32 purpose, u32 none, int levels, int rows)
{
    int r = blockIdx.x * blockDim.x + threadIdx.x;
    if (r >= rows) return;
    u64 q = step_of(state) * (u64)rows + (u64)r;
    u32 c = none;
    if (levels > 0)
        c = labels[q / (u64)levels % data_rows];
    else if ((u64)random_block(seed, purpose, q, 0).v[0] >= threshold)
        c = labels[permutation(seed, data_rows, half, q)];
    classes[r] = c;
}

// step_of_table is the step of a table at sigma, from its largest sigma down.
__device__ double step_of_table(const float *table, int steps, double sigma)
{
    int low = 0, high = steps - 1;
    if (sigma >= (double)table[low]) return high;
    if (sigma <= (double)table[high]) return 0;
    while (high - low > 1) {
        int middle = (low + high) / 2;
        if ((double)table[middle] >= sigma) low = middle;
        else high = middle;
    }
    double top = table[low], bottom = table[high];
    return __dadd_rn((double)(steps - 1 - low), -__ddiv_rn(ln(__ddiv_rn(top, sigma)), ln(__ddiv_rn(top, bottom))));
}

// A thread takes a row; betas and sd are doubles by their bits.
extern "C" __global__ void precondition(float *y, const float *sigma, const u32 *level, const float *table, int steps, int betas,
    u64 beta_min, u64 beta_max, u64 sd, int root, int weighted, int rows)
{
    int n = blockIdx.x * blockDim.x + threadIdx.x;
    if (n >= rows) return;
    double s = sigma[n], in = 1, cond, a = 0, b = 1, w = 1;
    if (betas) {
        Betas p = betas_of(betas, beta_min, beta_max);
        in = mean_of(p, s);
        b = __ddiv_rn(-1.0, s);
        cond = table ? step_of_table(table, steps, s) : __dmul_rn(999.0, time_of(p, s));
        if (weighted) w = likelihood_weight(p, s);
    } else if (sd) {
        double d = float64(sd), variance = __dadd_rn(__dmul_rn(s, s), __dmul_rn(d, d)), size = __dsqrt_rn(variance);
        in = __ddiv_rn(1.0, size);
        a = __ddiv_rn(-1.0, variance);
        b = __ddiv_rn(d, __dmul_rn(s, size));
        cond = root ? __dsqrt_rn(__dsqrt_rn(s)) : __dmul_rn(ln(s), 0.25);
    } else {
        cond = (double)level[n];
    }
    y[n] = __double2float_rn(in);
    y[rows + n] = __double2float_rn(cond);
    y[2 * rows + n] = __double2float_rn(a);
    y[3 * rows + n] = __double2float_rn(b);
    y[4 * rows + n] = __double2float_rn(w);
}
