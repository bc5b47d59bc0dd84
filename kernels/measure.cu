// What conditions samplers on a measurement, partner of measure.go:
//
//	sampler_misfit  m_nj = w_j (t_j + b_j z_nj - v_j x_n)
//	sampler_fit     x_n <- x_n + sum over j of m_nj v_j
//
// A thread has four directions of a row, or four values of it, whose terms it adds one after the other: directions are
// short, or few.
#include "common.cuh"

// The purpose of the noise, as in noise.go.
enum { PURPOSE_KNOWN = 14 };

extern "C" __global__ void sampler_misfit(float *misfit, const float *x, const float *target, const float *noise, const u32 *start, const u32 *index, const float *weight, const float *draws, const float *sigma, const u32 *state, u64 seed, int exact, int rows, int d, int r)
{
    u32 k = state[STATE_STEP], image = state[STATE_IMAGE];
    for (int n = first_row(); n < rows; n += row_stride()) {
        const float *xn = x + (i64)n * d;
        double level = exact ? 0.0 : (double)sigma[n];
        u64 stream = (u64)k << 32 | (image + (u32)n);
        for (int i = first_quad(); i < r; i += quad_stride()) {
            Quad z = {{0.0f, 0.0f, 0.0f, 0.0f}};
            if (level != 0 && draws != 0)
                z = load4(draws + ((i64)k * rows + n) * r + i, r - i);
            else if (level != 0)
                z = normals(random_block(seed, PURPOSE_KNOWN, stream, (u32)i / 4));
            for (int j = 0; j < 4 && i + j < r; j++) {
                double tau = (double)noise[i + j], m = 0;
                if (tau == 0 || tau < level) {
                    float b = (float)sqrt(level * level - tau * tau); // the products are exact
                    m = (double)target[i + j];
                    if (b != 0) m = __dadd_rn(m, __dmul_rn((double)b, (double)z.v[j]));
                    for (u32 e = start[i + j]; e < start[i + j + 1]; e++)
                        m = __dsub_rn(m, __dmul_rn((double)weight[e], (double)xn[index[e]]));
                }
                float rounded = (float)m;
                i64 at = 2 * ((i64)n * r + i + j);
                misfit[at] = rounded;
                misfit[at + 1] = (float)(m - (double)rounded);
            }
        }
    }
}

extern "C" __global__ void sampler_fit(float *x, const float *misfit, const u32 *start, const u32 *index, const float *weight, int rows, int d, int r)
{
    for (int n = first_row(); n < rows; n += row_stride()) {
        const float *mn = misfit + 2 * (i64)n * r;
        for (int i = first_quad(); i < d; i += quad_stride()) {
            for (int j = i; j < i + 4 && j < d; j++) {
                if (start[j] == start[j + 1]) continue;
                i64 at = (i64)n * d + j;
                double sum = (double)x[at];
                for (u32 e = start[j]; e < start[j + 1]; e++) {
                    const float *m = mn + 2 * index[e];
                    sum = __dadd_rn(sum, __dmul_rn((double)weight[e], (double)m[0] + (double)m[1]));
                }
                x[at] = (float)sum;
            }
        }
    }
}
