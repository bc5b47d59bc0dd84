// What samplers run beside the network, partner of sampler.go:
//
//	sampler_sigma   sigma_n = sigma of the step, level_n = its level
//	sampler_gain    g_n = sqrt(D) / |s_n|                   in steps that ask for it
//	sampler_update  x <- a x + b s + c y + d z,   y <- e x + f s + g y + h z,   z ~ N(0, I)
//	sampler_misfit  m_nj = w_j (t_j + b_j z_nj - v_j x_n)
//	sampler_fit     x_n <- x_n + sum over j of m_nj v_j
//	sampler_guide   s <- s + v + sigma^2 vj
//
// The step is read from the state block and its numbers from the table, so one captured graph serves all steps. z is
// drawn in registers, and only where a factor of it is not 0.
#include "common.cuh"

// Words of a step in the table, as in sampler.go.
enum StepWord { STEP_SIGMA = 0, STEP_LEVEL = 1, STEP_DRAW = 2, STEP_GAIN = 3, STEP_X = 4, STEP_Y = 8, STEP_WORDS = 12 };

// Words of an image's noise that is made of two others', and of a measurement, as in sampler.go.
enum BlendWord { BLEND_A = 0, BLEND_B = 1, BLEND_FA = 2, BLEND_FB = 3, BLEND_WORDS = 4 };
enum PartWord { PART_FIRST = 0, PART_LEN = 1, PART_VALUE = 2, PART_TARGET = 3, PART_WORDS = 4 };

// level_of is the row of step k where each serves t steps, and the last one all that follow too.
__device__ __forceinline__ int level_of(u32 k, int t, int rows)
{
    u32 row = k / (u32)t;
    return row < (u32)rows ? (int)row : rows - 1;
}

// step_row is the row of the step at hand, and where it stands in that row.
__device__ __forceinline__ const float *step_row(const float *table, const u32 *state, int steps, int repeat, u32 &within)
{
    u32 k = state[STATE_STEP];
    int i = level_of(k, repeat, steps);
    within = k - (u32)i * (u32)repeat;
    return table + (i64)i * STEP_WORDS;
}

extern "C" __global__ void sampler_sigma(float *sigma, u32 *level, const float *table, const u32 *state, int steps, int repeat, int rows)
{
    int n = blockIdx.x * blockDim.x + threadIdx.x;
    if (n >= rows) return;
    u32 within;
    const float *step = step_row(table, state, steps, repeat, within);
    sigma[n] = step[STEP_SIGMA];
    level[n] = __float_as_uint(step[STEP_LEVEL]);
}

// One block of 128 threads for a row. The squares are exact in double, fused or not.
extern "C" __global__ void sampler_gain(float *gain, const float *s, const float *table, const u32 *state, int steps, int repeat, int rows, int d)
{
    __shared__ double sums[128];
    u32 within;
    const float *step = step_row(table, state, steps, repeat, within);
    if (__float_as_uint(step[STEP_GAIN]) == 0) return;
    for (int n = blockIdx.x; n < rows; n += gridDim.x) {
        const float *sn = s + (i64)n * d;
        double sum = 0;
        for (int i = threadIdx.x; i < d; i += blockDim.x) sum += (double)sn[i] * (double)sn[i];
        sums[threadIdx.x] = sum;
        __syncthreads();
        for (int half = blockDim.x / 2; half > 0; half /= 2) {
            if ((int)threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half];
            __syncthreads();
        }
        if (threadIdx.x == 0) gain[n] = sums[0] > 0 ? (float)sqrt((double)d / sums[0]) : 0.0f;
    }
}

// Factors of an update: of x, s, y and z.
struct Factors { float x, s, y, z; };

__device__ __forceinline__ Factors factors(const float *f, float gain)
{
    float gain2 = __fmul_rn(gain, gain);
    Factors u = {f[0], __fmul_rn(f[1], gain2), f[2], __fmul_rn(f[3], gain)};
    return u;
}

// sum4 leaves out what has the factor 0.
__device__ __forceinline__ float sum4(const Factors &f, float x, float s, float y, float z)
{
    float sum = 0;
    if (f.x != 0) sum = __fmul_rn(f.x, x);
    if (f.s != 0) sum = __fadd_rn(sum, __fmul_rn(f.s, s));
    if (f.y != 0) sum = __fadd_rn(sum, __fmul_rn(f.y, y));
    if (f.z != 0) sum = __fadd_rn(sum, __fmul_rn(f.z, z));
    return sum;
}

extern "C" __global__ void sampler_update(float *x, float *y, const float *s, const float *gain, const float *draws, const float *blend, const float *table, const u32 *state, u64 seed, int images, int steps, int repeat, int rows, int d)
{
    u32 within;
    const float *step = step_row(table, state, steps, repeat, within);
    u32 draw = __float_as_uint(step[STEP_DRAW]) + within, image = state[STATE_IMAGE];
    bool gains = __float_as_uint(step[STEP_GAIN]) != 0;
    bool noisy = step[STEP_X + 3] != 0 || step[STEP_Y + 3] != 0;
    for (int n = first_row(); n < rows; n += row_stride()) {
        float g = gains ? gain[n] : 1.0f;
        Factors fx = factors(step + STEP_X, g), fy = factors(step + STEP_Y, g);
        bool keep = fy.x == 0 && fy.s == 0 && fy.z == 0;
        bool reads = fx.y != 0 || (!keep && fy.y != 0);
        u64 stream = (u64)draw << 32 | (image + (u32)n), other = 0;
        float fa = 1, fb = 0; // noise of two images, see BlendA in sampler.go
        if (blend != 0) {
            const float *of = blend + BLEND_WORDS * (i64)min(image + (u32)n, (u32)images - 1);
            stream = (u64)draw << 32 | __float_as_uint(of[BLEND_A]);
            other = (u64)draw << 32 | __float_as_uint(of[BLEND_B]);
            fa = of[BLEND_FA], fb = of[BLEND_FB];
        }
        for (int i = first_quad(); i < d; i += quad_stride()) {
            i64 at = (i64)n * d + i;
            Quad xq = load4(x + at, d - i), sq = load4(s + at, d - i), yq, z;
#pragma unroll
            for (int j = 0; j < 4; j++) yq.v[j] = 0.0f, z.v[j] = 0.0f;
            if (reads) yq = load4(y + at, d - i);
            if (noisy && draws != 0)
                z = load4(draws + ((i64)draw * rows + n) * d + i, d - i);
            else if (noisy)
                z = normals(random_block(seed, PURPOSE_LANGEVIN, stream, (u32)i / 4));
            if (noisy && blend != 0) {
                Quad w = {{0.0f, 0.0f, 0.0f, 0.0f}};
                if (fb != 0) w = normals(random_block(seed, PURPOSE_LANGEVIN, other, (u32)i / 4));
#pragma unroll
                for (int j = 0; j < 4; j++) {
                    z.v[j] = __fmul_rn(fa, z.v[j]);
                    if (fb != 0) z.v[j] = __fadd_rn(z.v[j], __fmul_rn(fb, w.v[j]));
                }
            }
            Quad xnew, ynew;
#pragma unroll
            for (int j = 0; j < 4; j++) {
                xnew.v[j] = sum4(fx, xq.v[j], sq.v[j], yq.v[j], z.v[j]);
                ynew.v[j] = sum4(fy, xq.v[j], sq.v[j], yq.v[j], z.v[j]);
            }
            store4(x + at, xnew, d - i);
            if (!keep) store4(y + at, ynew, d - i);
        }
    }
}

// part_of is the measurement of row n.
__device__ __forceinline__ const u32 *part_of(const u32 *parts, int measurements, const u32 *state, int n)
{
    return parts + PART_WORDS * (i64)((state[STATE_IMAGE] + (u32)n) % (u32)measurements);
}

// A thread has four directions of a row, or four values of it, whose terms it adds one after the other: directions are
// short, or few.
extern "C" __global__ void sampler_misfit(float *misfit, const float *x, const float *s, const u32 *parts, const float *target, const float *noise, const u32 *start, const u32 *index, const float *weight, const float *draws, const float *table, const u32 *state, u64 seed, float prior, int exact, int measurements, int steps, int repeat, int rows, int d, int most)
{
    u32 within, k = state[STATE_STEP], image = state[STATE_IMAGE];
    const float *step = step_row(table, state, steps, repeat, within);
    double sigma = exact ? 0.0 : (double)step[STEP_SIGMA], a = exact ? 0.0 : (double)step[STEP_X + 1];
    bool guided = s != 0;
    double sigma2 = sigma * sigma, prior2 = (double)prior * (double)prior, r2 = 0; // squares are exact
    if (guided) r2 = __ddiv_rn(__dmul_rn(prior2, sigma2), prior2 + sigma2);
    for (int n = first_row(); n < rows; n += row_stride()) {
        const float *xn = x + (i64)n * d;
        const u32 *part = part_of(parts, measurements, state, n);
        const float *target_n = target + part[PART_TARGET], *noise_n = noise + part[PART_FIRST];
        const u32 *start_n = start + part[PART_FIRST];
        int r = (int)part[PART_LEN];
        u64 stream = (u64)k << 32 | (image + (u32)n);
        for (int i = first_quad(); i < r; i += quad_stride()) {
            Quad z = {{0.0f, 0.0f, 0.0f, 0.0f}};
            if (sigma != 0 && !guided && draws != 0)
                z = load4(draws + ((i64)k * rows + n) * most + i, r - i);
            else if (sigma != 0 && !guided)
                z = normals(random_block(seed, PURPOSE_KNOWN, stream, (u32)i / 4));
            for (int j = 0; j < 4 && i + j < r; j++) {
                double tau = (double)noise_n[i + j], w = 1, m = 0;
                float b = 0;
                if (guided)
                    w = 0;
                else if (tau == 0 || tau < sigma)
                    b = (float)sqrt(sigma * sigma - tau * tau); // the products are exact
                else
                    w = a / (a + (tau * tau - sigma * sigma));
                if (guided) {
                    m = (double)target_n[i + j];
                    for (u32 e = start_n[i + j]; e < start_n[i + j + 1]; e++) {
                        u32 at = index[e];
                        double denoised = __dadd_rn((double)xn[at], __dmul_rn(sigma2, (double)s[(i64)n * d + at]));
                        m = __dsub_rn(m, __dmul_rn((double)weight[e], denoised));
                    }
                    m = __ddiv_rn(m, tau * tau + r2);
                } else if (w != 0) {
                    m = (double)target_n[i + j];
                    if (b != 0) m = __dadd_rn(m, __dmul_rn((double)b, (double)z.v[j]));
                    for (u32 e = start_n[i + j]; e < start_n[i + j + 1]; e++)
                        m = __dsub_rn(m, __dmul_rn((double)weight[e], (double)xn[index[e]]));
                    m = __dmul_rn(m, w);
                }
                float rounded = (float)m;
                i64 at = 2 * ((i64)n * most + i + j);
                misfit[at] = rounded;
                misfit[at + 1] = (float)(m - (double)rounded);
            }
        }
    }
}

extern "C" __global__ void sampler_fit(float *x, const float *misfit, const u32 *parts, const u32 *start, const u32 *index, const float *weight, const u32 *state, int alone, int measurements, int rows, int d, int most)
{
    for (int n = first_row(); n < rows; n += row_stride()) {
        const float *mn = misfit + 2 * (i64)n * most;
        const u32 *start_n = start + part_of(parts, measurements, state, n)[PART_VALUE];
        for (int i = first_quad(); i < d; i += quad_stride()) {
            for (int j = i; j < i + 4 && j < d; j++) {
                i64 at = (i64)n * d + j;
                if (alone) x[at] = 0;
                if (start_n[j] == start_n[j + 1]) continue;
                double sum = (double)x[at];
                for (u32 e = start_n[j]; e < start_n[j + 1]; e++) {
                    const float *m = mn + 2 * index[e];
                    sum = __dadd_rn(sum, __dmul_rn((double)weight[e], (double)m[0] + (double)m[1]));
                }
                x[at] = (float)sum;
            }
        }
    }
}

extern "C" __global__ void sampler_guide(float *s, const float *v, const float *vj, const float *table, const u32 *state, int steps, int repeat, int rows, int d)
{
    u32 within;
    const float *step = step_row(table, state, steps, repeat, within);
    double sigma2 = (double)step[STEP_SIGMA] * (double)step[STEP_SIGMA];
    for (int n = first_row(); n < rows; n += row_stride()) {
        for (int i = first_quad(); i < d; i += quad_stride()) {
            i64 at = (i64)n * d + i;
            Quad sq = load4(s + at, d - i), vq = load4(v + at, d - i), pq = load4(vj + at, d - i);
#pragma unroll
            for (int j = 0; j < 4; j++)
                sq.v[j] = (float)__dadd_rn((double)sq.v[j], __dadd_rn((double)vq.v[j], __dmul_rn(sigma2, (double)pq.v[j])));
            store4(s + at, sq, d - i);
        }
    }
}
