// The perturbation, partner of perturb.go: from the data set in device memory to the network's input in one pass,
//
//	x~ = x + sigma_i z,   z ~ N(0, I)
//
// Row r of step k is sample q = k*N + r. What a row needs once (image, level, flip) is drawn by one thread of the row and
// handed to the others; pixels and normals are drawn where they are used.
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

// draw_level is the level of row r.
__device__ int draw_level(u64 seed, u64 step, u64 q, int r, int rows, int levels, int levels_per_step, int stratified)
{
    u64 k = rows, j = r, n = q;
    u32 element = 0;
    if (levels_per_step > 0) {
        k = levels_per_step;
        j = r % levels_per_step;
        n = step;
        element = (u32)j;
    }
    u64 u = random_block(seed, PURPOSE_LEVEL, n, element / 4).v[element % 4]; // u / 2^32 is uniform in [0, 1)
    if (stratified) return (int)((u64)levels * ((j << 32) + u) / k >> 32);    // floor(L (j + u/2^32) / K), in integers
    return (int)((u64)levels * u >> 32);
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
// slots, the host has chosen the rows and copied those of step k to slot k mod slots of u8 or f32, in their order.
extern "C" __global__ void perturb(float *x_tilde, float *z, float *sigma, u32 *level, const float *ladder, const u32 *state,
    const unsigned char *u8, const float *f32, u64 seed, u64 data_rows, int half, int slots, int rows, int d, int w, int c,
    int levels, int flip, int dequantize, int rescale, int levels_per_step, int stratified, int every)
{
    __shared__ Row shared[256];
    u64 step = step_of(state);
    // All threads of the block go round together: they meet at the barriers.
    for (int first = blockIdx.y * blockDim.y; first < rows; first += row_stride()) {
        int n = first + threadIdx.y;
        u64 q = step * (u64)rows + (u64)n;
        if (threadIdx.x == 0 && n < rows) {
            Row row;
            int l;
            if (every) {
                l = (int)(q % (u64)levels);
                row.flip = 0;
            } else {
                l = draw_level(seed, step, q, n, rows, levels, levels_per_step, stratified);
                row.flip = flip && random_block(seed, PURPOSE_FLIP, q, 0).v[0] >> 31;
            }
            if (slots) row.image = step % (u64)slots * (u64)rows + (u64)n;
            else if (every) row.image = q / (u64)levels % data_rows;
            else row.image = permutation(seed, data_rows, half, q);
            row.sigma = ladder[l];
            shared[threadIdx.y] = row;
            if (blockIdx.x == 0) {
                sigma[n] = row.sigma;
                level[n] = (u32)l;
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
