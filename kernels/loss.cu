// The denoising score matching loss, partner of loss.go:
//
//	loss       per_row_n = 1/2 lambda(sigma_n) sum over values of (s + z / sigma_n)^2
//	loss_mean  mean = mean over rows of per_row, summed in their order
//	loss_grad  ds_n = dmean / N lambda(sigma_n) (s + z / sigma_n)          (ds may be s or z)
//	record     ring[step mod slots] = per_row, level
//
// With a mask the sum is over the values whose mask is not 0, and ds of the others is 0.
//
// lambda(sigma_n) = scale sigma^power (1 + (sigma/sd)^2) factor_n, without the factors whose sd is 0 or whose window is absent;
// scale, power and sd are doubles by their bits.
#include "common.cuh"

__device__ __forceinline__ double weight(float sigma, u64 power, u64 sd, u64 scale, const float *factor, int n)
{
    double lambda = pow((double)sigma, float64(power));
    if (sd) {
        double t = sigma / float64(sd);
        lambda *= 1 + t * t;
    }
    if (scale) lambda *= float64(scale);
    if (factor) lambda *= factor[n];
    return lambda;
}

// counted is the mask of four values, 1 where there is none.
__device__ __forceinline__ Quad counted(const float *mask, i64 at, int left)
{
    Quad one = {{1.0f, 1.0f, 1.0f, 1.0f}};
    return mask ? load4(mask + at, left) : one;
}

// One block of 2^k threads, at most 256, for a row.
extern "C" __global__ void loss(float *per_row, const float *s, const float *z, const float *sigma, const float *factor, const float *mask, u64 power, u64 sd, u64 scale, int rows,
    int d)
{
    __shared__ double sums[256];
    for (int n = blockIdx.x; n < rows; n += gridDim.x) {
        float inv = __fdiv_rn(1.0f, sigma[n]);
        const float *sn = s + (i64)n * d, *zn = z + (i64)n * d;
        double sum = 0;
        for (int i = 4 * threadIdx.x; i < d; i += 4 * blockDim.x) {
            Quad a = load4(sn + i, d - i), b = load4(zn + i, d - i);
            Quad m = counted(mask, (i64)n * d + i, d - i);
#pragma unroll
            for (int j = 0; j < 4; j++) {
                double e = __fadd_rn(a.v[j], __fmul_rn(b.v[j], inv));
                if (m.v[j] != 0.0f) sum += e * e;
            }
        }
        sums[threadIdx.x] = sum;
        __syncthreads();
        for (int half = blockDim.x / 2; half > 0; half /= 2) {
            if ((int)threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half];
            __syncthreads();
        }
        if (threadIdx.x == 0) per_row[n] = (float)(0.5 * weight(sigma[n], power, sd, scale, factor, n) * sums[0]);
        __syncthreads();
    }
}

// One block: the rows come to shared memory together and are added by one thread.
extern "C" __global__ void loss_mean(float *mean, const float *per_row, int rows)
{
    __shared__ float part[256];
    double sum = 0;
    for (int first = 0; first < rows; first += blockDim.x) {
        int n = first + threadIdx.x;
        part[threadIdx.x] = n < rows ? per_row[n] : 0.0f;
        __syncthreads();
        if (threadIdx.x == 0)
            for (int i = 0; i < (int)blockDim.x && first + i < rows; i++) sum += part[i];
        __syncthreads();
    }
    if (threadIdx.x == 0) *mean = (float)(sum / rows);
}

// RowScale is what the threads of a row share.
struct RowScale { float inv, k; };

// A block has up to 256 rows.
extern "C" __global__ void loss_grad(float *ds, const float *s, const float *z, const float *sigma, const float *dmean, const float *factor, const float *mask,
    u64 power, u64 sd, u64 scale, int rows, int d)
{
    __shared__ RowScale shared[256];
    // All threads of the block go round together: they meet at the barriers.
    for (int first = blockIdx.y * blockDim.y; first < rows; first += row_stride()) {
        int n = first + threadIdx.y;
        if (threadIdx.x == 0 && n < rows) {
            RowScale r;
            r.inv = __fdiv_rn(1.0f, sigma[n]);
            r.k = (float)((double)*dmean / rows * weight(sigma[n], power, sd, scale, factor, n));
            shared[threadIdx.y] = r;
        }
        __syncthreads();
        if (n < rows) {
            RowScale r = shared[threadIdx.y];
            for (int i = first_quad(); i < d; i += quad_stride()) {
                i64 at = (i64)n * d + i;
                Quad a = load4(s + at, d - i), b = load4(z + at, d - i), m = counted(mask, at, d - i);
#pragma unroll
                for (int j = 0; j < 4; j++) {
                    float g = __fmul_rn(r.k, __fadd_rn(a.v[j], __fmul_rn(b.v[j], r.inv)));
                    a.v[j] = m.v[j] != 0.0f ? g : 0.0f;
                }
                store4(ds + at, a, d - i);
            }
        }
        __syncthreads();
    }
}

extern "C" __global__ void record(u32 *ring, const u32 *per_row, const u32 *level, const u32 *state, int rows, int slots)
{
    int n = blockIdx.x * blockDim.x + threadIdx.x;
    if (n >= rows) return;
    u32 *slot = ring + step_of(state) % (u64)slots * (2 * (u64)rows);
    slot[n] = per_row[n];
    slot[rows + n] = level[n];
}
