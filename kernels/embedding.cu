// Embedding of the noise level by sines and cosines, partner of embedding.go. A thread takes one value.
#include "common.cuh"

// sin_phase is the sine of a float32 phase, cos_phase its cosine with quarter = 1, to the rounding of float32: the phase is
// brought to [-pi/4, pi/4] in double, where pi/2 in two parts loses nothing that shows for phases up to 10^6, and a few
// terms of the series do the rest. The library's functions need local memory for phases beyond that.
__device__ __forceinline__ float sin_phase(float phase, int quarter)
{
    double k = rint((double)phase * 0.63661977236758134308);
    double r = (double)phase - k * 1.5707963267948965580, s;
    r -= k * 6.1232339957367660359e-17;
    double r2 = r * r;
    quarter += (int)(long long)k;
    if (quarter & 1) {
        s = -1.1470745597729725e-11;
        s = s * r2 + 2.0876756987868099e-9;
        s = s * r2 - 2.7557319223985893e-7;
        s = s * r2 + 2.4801587301587302e-5;
        s = s * r2 - 1.3888888888888889e-3;
        s = s * r2 + 4.1666666666666667e-2;
        s = s * r2 - 0.5;
        s = s * r2 + 1.0;
    } else {
        s = -7.6471637318198165e-13;
        s = s * r2 + 1.6059043836821615e-10;
        s = s * r2 - 2.5052108385441719e-8;
        s = s * r2 + 2.7557319223985891e-6;
        s = s * r2 - 1.9841269841269841e-4;
        s = s * r2 + 8.3333333333333333e-3;
        s = s * r2 - 1.6666666666666667e-1;
        s = (s * r2 + 1.0) * r;
    }
    return (float)(quarter & 2 ? -s : s);
}

extern "C" __global__ void embedding(float *y, const float *cond, const float *freq, int n, int d, int f, int fourier)
{
    u32 at = blockIdx.x * blockDim.x + threadIdx.x, row = at / (u32)d;
    int j = (int)(at - row * (u32)d);
    if (row >= (u32)n) return;
    float v = 0.0f;
    if (j < 2 * f) {
        float c = cond[row], w = freq[j < f ? j : j - f];
        float phase = __fmul_rn(fourier ? (float)log((double)c) : c, w);
        if (fourier) phase = __fmul_rn(__fmul_rn(phase, 2.0f), 3.14159265358979323846f);
        v = sin_phase(phase, j >= f);
    }
    y[at] = v;
}
