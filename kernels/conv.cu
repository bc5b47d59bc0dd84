// Convolution as an implicit matrix product, partner of conv.go:
//
//	conv              y[m,o]      = b[o] + sum over t,c of x[m+t,c] w[o,t,c]        m pixels, o output channels
//	conv_grad_input   dx[m,c]     = sum over t,o of dy[m-t,o] w[o,t,c]              m pixels, c input channels
//	conv_grad_weight  dw[o,(t,c)] = sum over pixels m of dy[m,o] x[m+t,c]           db[o] = sum over m of dy[m,o]
//
// with t one of the 1 or 9 taps, m+t the pixel that it reads and 0 outside the image. Neither the patches of x nor the
// transposed weights ever exist in memory: a block gathers the tiles that it multiplies.
//
// A block computes BM x BN values; a thread TM x TN of them in registers. The sum runs in steps of 16 terms: while a step
// is multiplied out of one half of shared memory, the next is fetched to registers, then stored to the other half, so that
// there is one barrier a step. Every value is one chain of multiply-adds over its terms in their order, whatever the tile,
// so the choice of tile does not show in the bits. Sums over the batch are split in parts of equal length, whose results
// are added in their order.
//
// At the ends of a network in bf16, the convolution's input (x, dx: kernels named bf16in) or its output (y, dy: bf16out) is
// bf16 in memory, and float in registers. Weights and all sums are float.
//
// Kernels that end in _any make no assumption on alignment and channel counts; the others read 16 bytes at a time: images
// are aligned and channel counts are multiples of 4.
#include "common.cuh"
#include "epilogue.cuh"

const int STEP = 16; // terms of a sum in shared memory at a time

// ConvShape is the geometry of one kernel call: pixels of cin channels come in, cout channels go out.
struct ConvShape {
    i64 pixels; // of all images
    int h, w, cin, cout;
    int k, dilation;

    __device__ __forceinline__ int taps() const { return k * k; }
    // row and column that tap t looks away from its pixel
    __device__ __forceinline__ int down(int t) const { return k == 1 ? 0 : dilation * (t / 3 - 1); }
    __device__ __forceinline__ int right(int t) const { return k == 1 ? 0 : dilation * (t % 3 - 1); }
};

// Walk is a position (tap, channel) in a sum, moving on by STEP terms.
struct Walk {
    int tap, c;

    __device__ __forceinline__ void start(int term, int channels)
    {
        tap = term / channels;
        c = term - tap * channels;
    }
    // taps and rest are STEP / channels and STEP % channels
    __device__ __forceinline__ void next(int taps, int rest, int channels)
    {
        tap += taps;
        c += rest;
        if (c >= channels) {
            c -= channels;
            tap++;
        }
    }
};

// Tile is the part of a block that multiplies: which values a thread owns, and one step of their sums. A warp covers 4 x 8
// threads, so that its reads of shared memory are broadcasts of 4 and of 8 words; a thread's values come in groups of four
// rows and four columns.
template <int BM, int BN, int TM, int TN> struct Tile {
    static const int THREADS = (BM / TM) * (BN / TN);
    static const int ROWS = 4 * BM / TM, COLS = 4 * BN / TN; // distance of the groups of a thread
    float sum[TM][TN];
    int row, col; // of the first value

    __device__ __forceinline__ Tile()
    {
        const int across = BN / TN / 8; // warps
        int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
        row = 4 * (warp / across * 4 + lane / 8);
        col = 4 * (warp % across * 8 + lane % 8);
#pragma unroll
        for (int i = 0; i < TM; i++)
#pragma unroll
            for (int j = 0; j < TN; j++) sum[i][j] = 0;
    }

    // multiply adds the products of one step.
    __device__ __forceinline__ void multiply(const float (*a)[BM + 4], const float (*b)[BN + 4])
    {
#pragma unroll 4
        for (int k = 0; k < STEP; k++) {
            float x[TM], y[TN];
#pragma unroll
            for (int i = 0; i < TM; i += 4) {
                float4 v = *(const float4 *)&a[k][row + i / 4 * ROWS];
                x[i] = v.x, x[i + 1] = v.y, x[i + 2] = v.z, x[i + 3] = v.w;
            }
#pragma unroll
            for (int j = 0; j < TN; j += 4) {
                float4 v = *(const float4 *)&b[k][col + j / 4 * COLS];
                y[j] = v.x, y[j + 1] = v.y, y[j + 2] = v.z, y[j + 3] = v.w;
            }
#pragma unroll
            for (int i = 0; i < TM; i++)
#pragma unroll
                for (int j = 0; j < TN; j++) sum[i][j] += x[i] * y[j];
        }
    }
};

// read_if reads four values, which are 0 without in.
__device__ __forceinline__ void read_if(bool in, float *v, const float *p)
{
    float4 q = make_float4(0, 0, 0, 0);
    if (in) q = *(const float4 *)p;
    v[0] = q.x, v[1] = q.y, v[2] = q.z, v[3] = q.w;
}

__device__ __forceinline__ void read_if(bool in, float *v, const bf16 *p)
{
    v[0] = v[1] = v[2] = v[3] = 0;
    if (in) read<4>(v, p);
}

// conv_tile is the forward convolution and the gradient of the input. With GRAD, x is dy, channels are swapped, the dilation
// is negative (the taps look the other way) and the weights of a term are a column of w in place of a row. V is the width of
// accesses in words, 4 or 1.
template <int BM, int BN, int TM, int TN, int V, bool GRAD, typename X, typename Y>
static __device__ __forceinline__ void conv_tile(const Steps<Y> &steps, const X *x, const float *w, const float *bias, const float *row, ConvShape s)
{
    typedef Tile<BM, BN, TM, TN> Tile;
    const int T = Tile::THREADS;
    union Shared {
        struct {
            float a[2][STEP][BM + 4], b[2][STEP][BN + 4];
        } in;
        float out[Tile::ROWS][BN + 4];
    };
    alignas(16) __shared__ Shared shared;
    float(*as)[STEP][BM + 4] = shared.in.a;
    float(*bs)[STEP][BN + 4] = shared.in.b;
    const int terms = s.taps() * s.cin;
    // Blocks that share pixels follow each other. From its first pixel on a block counts words in int: an image and the
    // weights have fewer than 2^31.
    const int across = (s.cout + BN - 1) / BN;
    const i64 m0 = (i64)(blockIdx.x / across) * BM;
    const int n0 = (int)(blockIdx.x % across) * BN;
    x += m0 * s.cin;

    // Rows of terms (pixels, and forward also weights): a thread fetches four successive terms of every (T/4)th row. Half
    // a warp takes 16 rows, so both the words of global memory and the banks of shared memory are used fully.
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const int term = 4 * (lane % 2 + 2 * (warp % 2)), line = lane / 2 + warp / 2 * 16;
    const int RA = 4 * BM / T, RB = 4 * BN / T;
    int pi[RA], pj[RA]; // the pixel's place in its image; far outside where there is no pixel
#pragma unroll
    for (int r = 0; r < RA; r++) {
        i64 m = m0 + line + r * (T / 4);
        if (m < s.pixels) {
            int p = (int)(m % ((i64)s.h * s.w));
            pi[r] = p / s.w;
            pj[r] = p - pi[r] * s.w;
        } else {
            pi[r] = pj[r] = -(1 << 29);
        }
    }
    const int stepTaps = STEP / s.cin, stepRest = STEP - stepTaps * s.cin;
    int at = term; // next term to fetch
    Walk walk;
    walk.start(term, s.cin);
    // Rows of channels (weights, for the gradient): four successive channels of every (T/(BN/4))th term.
    const int channel = n0 + 4 * (int)(threadIdx.x % (BN / 4)), first = threadIdx.x / (BN / 4);
    const int TB = T / (BN / 4);
    Walk walkB[RB];
    if (GRAD)
#pragma unroll
        for (int r = 0; r < RB; r++) walkB[r].start(first + r * TB, s.cin);

    // Parameters lie one after the other, so weights need not be aligned even where everything else is.
    const bool wideW = aligned16(w);

    Quad ra[RA], rb[RB];
    // fetch reads the next step to registers.
    auto fetch = [&]() {
#pragma unroll
        for (int e = 0; e < 4; e += V) {
            Walk t = walk;
            if (V == 1) t.start(at + e, s.cin);
            int down = s.down(t.tap), right = s.right(t.tap);
            int shift = down * s.w + right;
#pragma unroll
            for (int r = 0; r < RA; r++) {
                bool in = t.tap < s.taps() && (u32)(pi[r] + down) < (u32)s.h && (u32)(pj[r] + right) < (u32)s.w;
                const X *p = x + (line + r * (T / 4) + shift) * s.cin + t.c;
                if (V == 4)
                    read_if(in, ra[r].v, p);
                else
                    ra[r].v[e] = in ? widen(*p) : 0.0f;
            }
        }
#pragma unroll
        for (int r = 0; r < RB; r++) {
            const float *p;
            bool in[4];
            if (GRAD) {
                p = w + (walkB[r].c * s.taps() + walkB[r].tap) * s.cout + channel;
                for (int e = 0; e < 4; e++) in[e] = walkB[r].tap < s.taps() && channel + e < s.cout;
                walkB[r].next(stepTaps, stepRest, s.cin);
            } else {
                int o = n0 + line + r * (T / 4);
                p = w + o * terms + at;
                for (int e = 0; e < 4; e++) in[e] = o < s.cout && at + e < terms;
            }
            if (V == 4 && wideW) {
                read_if(in[0], rb[r].v, p);
            } else {
#pragma unroll
                for (int e = 0; e < 4; e++) rb[r].v[e] = in[e] ? p[e] : 0.0f;
            }
        }
        at += STEP;
        walk.next(stepTaps, stepRest, s.cin);
    };
    // store writes the registers to one half of shared memory, terms as rows.
    auto store = [&](int half) {
#pragma unroll
        for (int r = 0; r < RA; r++)
#pragma unroll
            for (int e = 0; e < 4; e++) as[half][term + e][line + r * (T / 4)] = ra[r].v[e];
#pragma unroll
        for (int r = 0; r < RB; r++)
            if (GRAD)
                *(float4 *)&bs[half][first + r * TB][channel - n0] = make_float4(rb[r].v[0], rb[r].v[1], rb[r].v[2], rb[r].v[3]);
            else
#pragma unroll
                for (int e = 0; e < 4; e++) bs[half][term + e][line + r * (T / 4)] = rb[r].v[e];
    };

    Tile tile;
    fetch();
    store(0);
    __syncthreads();
    int half = 0;
    for (int done = STEP; done < terms; done += STEP) {
        fetch();
        tile.multiply(as[half], bs[half]);
        half ^= 1;
        store(half);
        __syncthreads();
    }
    tile.multiply(as[half], bs[half]);

    // Results go through shared memory, a group of rows at a time: a thread takes four successive channels of a row on
    // through the steps, whatever values it computed.
    const int QUADS = BN / 4;
    const int o = n0 + 4 * (int)(threadIdx.x % QUADS);
    float b[4];
#pragma unroll
    for (int e = 0; e < 4; e++) b[e] = bias && o + e < s.cout ? bias[o + e] : 0.0f;
#pragma unroll
    for (int g = 0; g < TM; g += 4) {
        __syncthreads();
#pragma unroll
        for (int i = 0; i < 4; i++)
#pragma unroll
            for (int j = 0; j < TN; j += 4)
                *(float4 *)&shared.out[tile.row + i][tile.col + j / 4 * Tile::COLS] =
                    make_float4(tile.sum[g + i][j], tile.sum[g + i][j + 1], tile.sum[g + i][j + 2], tile.sum[g + i][j + 3]);
        __syncthreads();
#pragma unroll 1
        for (int r = threadIdx.x / QUADS; r < Tile::ROWS; r += T / QUADS) {
            i64 m = m0 + g / 4 * Tile::ROWS + r;
            if (m >= s.pixels || o >= s.cout) break;
            float4 v = *(const float4 *)&shared.out[r][o - n0];
            Quad q = {{v.x + b[0], v.y + b[1], v.z + b[2], v.w + b[3]}};
            if (row) add_row<Y>(q, row + (i64)((u32)m / (u32)(s.h * s.w)) * s.cout + o);
            take_steps(steps, q, m * s.cout + o, s.cout - o);
        }
    }
}

// weight_tile is the gradient of the weights and, where db is not 0, of the bias, summed over the pixels of part
// blockIdx.z. Parts are `words` words apart in dw and in db.
template <int BM, int BN, int TM, int TN, int V, typename X, typename Y>
static __device__ __forceinline__ void weight_tile(float *dw, float *db, const X *x, const Y *dy, i64 part, i64 words, ConvShape s)
{
    typedef Tile<BM, BN, TM, TN> Tile;
    const int T = Tile::THREADS;
    alignas(16) __shared__ float as[2][STEP][BM + 4];
    alignas(16) __shared__ float bs[2][STEP][BN + 4];
    const int columns = s.taps() * s.cin;
    const int across = (columns + BN - 1) / BN;
    const int m0 = (int)(blockIdx.x / across) * BM, n0 = (int)(blockIdx.x % across) * BN;
    const i64 from = (i64)blockIdx.z * part;
    int left = from + part < s.pixels ? (int)part : (int)(s.pixels - from); // pixels to come; a part has fewer than 2^31

    // A thread fetches four successive output channels of every (T/(BM/4))th pixel of dy, and four successive columns
    // (tap, input channel) of every (T/(BN/4))th pixel of x.
    const int RA = 4 * BM / T, RB = 4 * BN / T, TA = T / (BM / 4), TB = T / (BN / 4);
    const int o = m0 + 4 * (int)(threadIdx.x % (BM / 4)), firstA = threadIdx.x / (BM / 4);
    const int n = n0 + 4 * (int)(threadIdx.x % (BN / 4)), firstB = threadIdx.x / (BN / 4);
    int down[4], right[4];
    int shift[4]; // from a pixel's first channel to the column's word
    bool inside[4];
#pragma unroll
    for (int e = 0; e < 4; e += V) {
        Walk t;
        t.start(n + e, s.cin);
        down[e] = s.down(t.tap);
        right[e] = s.right(t.tap);
        shift[e] = (down[e] * s.w + right[e]) * s.cin + t.c;
        inside[e] = n + e < columns;
    }
    int pi[RB], pj[RB]; // the pixel's place in its image
#pragma unroll
    for (int r = 0; r < RB; r++) {
        int p = (int)((from + firstB + r * TB) % ((i64)s.h * s.w));
        pi[r] = p / s.w;
        pj[r] = p - pi[r] * s.w;
    }
    const int stepJ = STEP % s.w, stepI = STEP / s.w % s.h;
    x += (from + firstB) * s.cin;
    dy += (from + firstA) * s.cout + o;

    Quad ra[RA], rb[RB];
    auto fetch = [&]() {
#pragma unroll
        for (int r = 0; r < RA; r++) {
            bool in = firstA + r * TA < left;
            const Y *p = dy + r * TA * s.cout;
            if (V == 4) {
                read_if(in && o < s.cout, ra[r].v, p);
            } else {
#pragma unroll
                for (int e = 0; e < 4; e++) ra[r].v[e] = in && o + e < s.cout ? widen(p[e]) : 0.0f;
            }
        }
#pragma unroll
        for (int r = 0; r < RB; r++) {
#pragma unroll
            for (int e = 0; e < 4; e += V) {
                bool in = firstB + r * TB < left && inside[e] && (u32)(pi[r] + down[e]) < (u32)s.h && (u32)(pj[r] + right[e]) < (u32)s.w;
                const X *p = x + (r * TB * s.cin + shift[e]);
                if (V == 4)
                    read_if(in, rb[r].v, p);
                else
                    rb[r].v[e] = in ? widen(*p) : 0.0f;
            }
            pj[r] += stepJ;
            pi[r] += stepI;
            if (pj[r] >= s.w) {
                pj[r] -= s.w;
                pi[r]++;
            }
            if (pi[r] >= s.h) pi[r] -= s.h;
        }
        x += STEP * s.cin;
        dy += STEP * s.cout;
        left -= STEP;
    };
    auto store = [&](int half) {
#pragma unroll
        for (int r = 0; r < RA; r++)
            *(float4 *)&as[half][firstA + r * TA][o - m0] = make_float4(ra[r].v[0], ra[r].v[1], ra[r].v[2], ra[r].v[3]);
#pragma unroll
        for (int r = 0; r < RB; r++)
            *(float4 *)&bs[half][firstB + r * TB][n - n0] = make_float4(rb[r].v[0], rb[r].v[1], rb[r].v[2], rb[r].v[3]);
    };

    Tile tile;
    // The gradient of the bias is a sum of dy alone. In the blocks of the first columns each thread adds up one output
    // channel: one register, where sums beside the products would take one for each row that the thread owns.
    static_assert(T >= BM, "a thread for each output channel of the tile");
    const int mine = (int)threadIdx.x;
    const bool sumsBias = db && n0 == 0 && mine < BM;
    float bias = 0;
    auto multiply = [&](int half) {
        tile.multiply(as[half], bs[half]);
        if (sumsBias)
            for (int k = 0; k < STEP; k++) bias += as[half][k][mine];
    };
    fetch();
    store(0);
    __syncthreads();
    int half = 0;
    while (left > 0) {
        fetch();
        multiply(half);
        half ^= 1;
        store(half);
        __syncthreads();
    }
    multiply(half);

    if (sumsBias && m0 + mine < s.cout) db[(i64)blockIdx.z * words + m0 + mine] = bias;
    dw += (i64)blockIdx.z * words;
    const bool wide = columns % 4 == 0 && aligned16(dw);
#pragma unroll
    for (int i = 0; i < TM; i++) {
        int c = m0 + tile.row + i / 4 * Tile::ROWS + i % 4;
        if (c >= s.cout) continue;
#pragma unroll
        for (int j = 0; j < TN; j += 4) {
            int column = n0 + tile.col + j / 4 * Tile::COLS;
            float *p = dw + c * columns + column;
            if (wide && column < columns) {
                *(float4 *)p = make_float4(tile.sum[i][j], tile.sum[i][j + 1], tile.sum[i][j + 2], tile.sum[i][j + 3]);
            } else {
#pragma unroll
                for (int e = 0; e < 4; e++)
                    if (column + e < columns) p[e] = tile.sum[i][j + e];
            }
        }
    }
}

// conv_grad_weight_sum adds the parts of a weight gradient in their order: nw words of weights, then nb of biases.
extern "C" __global__ void conv_grad_weight_sum(float *dw, float *db, const float *parts, int count, u64 words, u64 nw, u64 nb)
{
    i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= (i64)(nw + nb)) return;
    float sum = 0;
    for (int p = 0; p < count; p++) sum += parts[p * (i64)words + i];
    if (i < (i64)nw)
        dw[i] = sum;
    else
        db[i - (i64)nw] = sum;
}

// The entry points: one for each tile and width of accesses.
//
// A thread of the 128x128 tiles owns 16 x 8 values. With 8 x 8 and 256 threads the two blocks that a multiprocessor held had
// 128 registers a thread, and all three kernels spilled 80 to 360 bytes, on every architecture. What the assembler makes of
// the loop for sm_90, forward, a thread and step of 16 terms:
//
//	thread tile, threads, blocks   registers  warps  multiply-adds   words of shared memory  words of global
//	                                                 / instructions  read / multiply-add     memory / multiply-add
//	8 x 8,  256, 2 (128x128)       128+spill  16     1024 / 1321     1/4                     1/64
//	8 x 8,  256, 1 (128x128)       153         8     1024 / 1284     1/4                     1/64
//	8 x 8,  128, 3 (128x64)        165        12     1024 / 1308     1/4                     1/43
//	16 x 8, 128, 2 (128x128)       239         8     2048 / 2424     3/16                    1/64
//
// The last has the most multiply-adds among its instructions (84 %), reads least, and its 128 independent sums hide latencies
// that few warps would show; its two blocks do not wait for each other's barriers, as the warps of one block of 256 would.
//
// The second of the launch bounds gives the assembler the registers that a kernel needs to spill nothing. It is left out where
// the assembler's own choice does not spill.

extern "C" __global__ void __launch_bounds__(128, 2) conv_128x128(float *y, const float *x, const float *weight, const float *bias, const float *row, u64 pixels, int h, int w, int cin, int cout, int k, int dilation, const float *with1, float *to1, const float *with2, float *to2, int kinds, float inner1, float outer1, float inner2, float outer2)
{
    ConvShape s = {(i64)pixels, h, w, cin, cout, k, dilation};
    Steps<float> e = {y, with1, to1, with2, to2, kinds, inner1, outer1, inner2, outer2};
    conv_tile<128, 128, 16, 8, 4, false>(e, x, weight, bias, row, s);
}

extern "C" __global__ void __launch_bounds__(128, 3) conv_128x64(float *y, const float *x, const float *weight, const float *bias, const float *row, u64 pixels, int h, int w, int cin, int cout, int k, int dilation, const float *with1, float *to1, const float *with2, float *to2, int kinds, float inner1, float outer1, float inner2, float outer2)
{
    ConvShape s = {(i64)pixels, h, w, cin, cout, k, dilation};
    Steps<float> e = {y, with1, to1, with2, to2, kinds, inner1, outer1, inner2, outer2};
    conv_tile<128, 64, 8, 8, 4, false>(e, x, weight, bias, row, s);
}

extern "C" __global__ void __launch_bounds__(128) conv_64x64(float *y, const float *x, const float *weight, const float *bias, const float *row, u64 pixels, int h, int w, int cin, int cout, int k, int dilation, const float *with1, float *to1, const float *with2, float *to2, int kinds, float inner1, float outer1, float inner2, float outer2)
{
    ConvShape s = {(i64)pixels, h, w, cin, cout, k, dilation};
    Steps<float> e = {y, with1, to1, with2, to2, kinds, inner1, outer1, inner2, outer2};
    conv_tile<64, 64, 8, 4, 4, false>(e, x, weight, bias, row, s);
}

extern "C" __global__ void __launch_bounds__(128, 4) conv_128x32(float *y, const float *x, const float *weight, const float *bias, const float *row, u64 pixels, int h, int w, int cin, int cout, int k, int dilation, const float *with1, float *to1, const float *with2, float *to2, int kinds, float inner1, float outer1, float inner2, float outer2)
{
    ConvShape s = {(i64)pixels, h, w, cin, cout, k, dilation};
    Steps<float> e = {y, with1, to1, with2, to2, kinds, inner1, outer1, inner2, outer2};
    conv_tile<128, 32, 8, 4, 4, false>(e, x, weight, bias, row, s);
}

extern "C" __global__ void __launch_bounds__(64) conv_32x32(float *y, const float *x, const float *weight, const float *bias, const float *row, u64 pixels, int h, int w, int cin, int cout, int k, int dilation, const float *with1, float *to1, const float *with2, float *to2, int kinds, float inner1, float outer1, float inner2, float outer2)
{
    ConvShape s = {(i64)pixels, h, w, cin, cout, k, dilation};
    Steps<float> e = {y, with1, to1, with2, to2, kinds, inner1, outer1, inner2, outer2};
    conv_tile<32, 32, 4, 4, 4, false>(e, x, weight, bias, row, s);
}

extern "C" __global__ void __launch_bounds__(128) conv_64x64_any(float *y, const float *x, const float *weight, const float *bias, const float *row, u64 pixels, int h, int w, int cin, int cout, int k, int dilation, const float *with1, float *to1, const float *with2, float *to2, int kinds, float inner1, float outer1, float inner2, float outer2)
{
    ConvShape s = {(i64)pixels, h, w, cin, cout, k, dilation};
    Steps<float> e = {y, with1, to1, with2, to2, kinds, inner1, outer1, inner2, outer2};
    conv_tile<64, 64, 8, 4, 1, false>(e, x, weight, bias, row, s);
}

extern "C" __global__ void __launch_bounds__(64) conv_32x32_any(float *y, const float *x, const float *weight, const float *bias, const float *row, u64 pixels, int h, int w, int cin, int cout, int k, int dilation, const float *with1, float *to1, const float *with2, float *to2, int kinds, float inner1, float outer1, float inner2, float outer2)
{
    ConvShape s = {(i64)pixels, h, w, cin, cout, k, dilation};
    Steps<float> e = {y, with1, to1, with2, to2, kinds, inner1, outer1, inner2, outer2};
    conv_tile<32, 32, 4, 4, 1, false>(e, x, weight, bias, row, s);
}

extern "C" __global__ void __launch_bounds__(128, 2) conv_grad_input_128x128(float *dx, const float *dy, const float *weight, u64 pixels, int h, int w, int cin, int cout, int k, int dilation, const float *with1, float *to1, const float *with2, float *to2, int kinds, float inner1, float outer1, float inner2, float outer2)
{
    ConvShape s = {(i64)pixels, h, w, cout, cin, k, -dilation};
    Steps<float> e = {dx, with1, to1, with2, to2, kinds, inner1, outer1, inner2, outer2};
    conv_tile<128, 128, 16, 8, 4, true>(e, dy, weight, 0, 0, s);
}

extern "C" __global__ void __launch_bounds__(128, 3) conv_grad_input_128x64(float *dx, const float *dy, const float *weight, u64 pixels, int h, int w, int cin, int cout, int k, int dilation, const float *with1, float *to1, const float *with2, float *to2, int kinds, float inner1, float outer1, float inner2, float outer2)
{
    ConvShape s = {(i64)pixels, h, w, cout, cin, k, -dilation};
    Steps<float> e = {dx, with1, to1, with2, to2, kinds, inner1, outer1, inner2, outer2};
    conv_tile<128, 64, 8, 8, 4, true>(e, dy, weight, 0, 0, s);
}

extern "C" __global__ void __launch_bounds__(128) conv_grad_input_64x64(float *dx, const float *dy, const float *weight, u64 pixels, int h, int w, int cin, int cout, int k, int dilation, const float *with1, float *to1, const float *with2, float *to2, int kinds, float inner1, float outer1, float inner2, float outer2)
{
    ConvShape s = {(i64)pixels, h, w, cout, cin, k, -dilation};
    Steps<float> e = {dx, with1, to1, with2, to2, kinds, inner1, outer1, inner2, outer2};
    conv_tile<64, 64, 8, 4, 4, true>(e, dy, weight, 0, 0, s);
}

extern "C" __global__ void __launch_bounds__(128, 4) conv_grad_input_128x32(float *dx, const float *dy, const float *weight, u64 pixels, int h, int w, int cin, int cout, int k, int dilation, const float *with1, float *to1, const float *with2, float *to2, int kinds, float inner1, float outer1, float inner2, float outer2)
{
    ConvShape s = {(i64)pixels, h, w, cout, cin, k, -dilation};
    Steps<float> e = {dx, with1, to1, with2, to2, kinds, inner1, outer1, inner2, outer2};
    conv_tile<128, 32, 8, 4, 4, true>(e, dy, weight, 0, 0, s);
}

extern "C" __global__ void __launch_bounds__(64, 8) conv_grad_input_32x32(float *dx, const float *dy, const float *weight, u64 pixels, int h, int w, int cin, int cout, int k, int dilation, const float *with1, float *to1, const float *with2, float *to2, int kinds, float inner1, float outer1, float inner2, float outer2)
{
    ConvShape s = {(i64)pixels, h, w, cout, cin, k, -dilation};
    Steps<float> e = {dx, with1, to1, with2, to2, kinds, inner1, outer1, inner2, outer2};
    conv_tile<32, 32, 4, 4, 4, true>(e, dy, weight, 0, 0, s);
}

extern "C" __global__ void __launch_bounds__(128) conv_grad_input_64x64_any(float *dx, const float *dy, const float *weight, u64 pixels, int h, int w, int cin, int cout, int k, int dilation, const float *with1, float *to1, const float *with2, float *to2, int kinds, float inner1, float outer1, float inner2, float outer2)
{
    ConvShape s = {(i64)pixels, h, w, cout, cin, k, -dilation};
    Steps<float> e = {dx, with1, to1, with2, to2, kinds, inner1, outer1, inner2, outer2};
    conv_tile<64, 64, 8, 4, 1, true>(e, dy, weight, 0, 0, s);
}

extern "C" __global__ void __launch_bounds__(64, 8) conv_grad_input_32x32_any(float *dx, const float *dy, const float *weight, u64 pixels, int h, int w, int cin, int cout, int k, int dilation, const float *with1, float *to1, const float *with2, float *to2, int kinds, float inner1, float outer1, float inner2, float outer2)
{
    ConvShape s = {(i64)pixels, h, w, cout, cin, k, -dilation};
    Steps<float> e = {dx, with1, to1, with2, to2, kinds, inner1, outer1, inner2, outer2};
    conv_tile<32, 32, 4, 4, 1, true>(e, dy, weight, 0, 0, s);
}

extern "C" __global__ void __launch_bounds__(128, 2) conv_grad_weight_128x128(float *dweight, float *dbias, const float *x, const float *dy, u64 part, u64 words, u64 pixels, int h, int w, int cin, int cout, int k, int dilation)
{
    ConvShape s = {(i64)pixels, h, w, cin, cout, k, dilation};
    weight_tile<128, 128, 16, 8, 4>(dweight, dbias, x, dy, (i64)part, (i64)words, s);
}

extern "C" __global__ void __launch_bounds__(128, 2) conv_grad_weight_128x64(float *dweight, float *dbias, const float *x, const float *dy, u64 part, u64 words, u64 pixels, int h, int w, int cin, int cout, int k, int dilation)
{
    ConvShape s = {(i64)pixels, h, w, cin, cout, k, dilation};
    weight_tile<128, 64, 8, 8, 4>(dweight, dbias, x, dy, (i64)part, (i64)words, s);
}

extern "C" __global__ void __launch_bounds__(128) conv_grad_weight_64x64(float *dweight, float *dbias, const float *x, const float *dy, u64 part, u64 words, u64 pixels, int h, int w, int cin, int cout, int k, int dilation)
{
    ConvShape s = {(i64)pixels, h, w, cin, cout, k, dilation};
    weight_tile<64, 64, 8, 4, 4>(dweight, dbias, x, dy, (i64)part, (i64)words, s);
}

extern "C" __global__ void __launch_bounds__(64, 8) conv_grad_weight_32x32(float *dweight, float *dbias, const float *x, const float *dy, u64 part, u64 words, u64 pixels, int h, int w, int cin, int cout, int k, int dilation)
{
    ConvShape s = {(i64)pixels, h, w, cin, cout, k, dilation};
    weight_tile<32, 32, 4, 4, 4>(dweight, dbias, x, dy, (i64)part, (i64)words, s);
}

extern "C" __global__ void __launch_bounds__(128) conv_grad_weight_64x64_any(float *dweight, float *dbias, const float *x, const float *dy, u64 part, u64 words, u64 pixels, int h, int w, int cin, int cout, int k, int dilation)
{
    ConvShape s = {(i64)pixels, h, w, cin, cout, k, dilation};
    weight_tile<64, 64, 8, 4, 1>(dweight, dbias, x, dy, (i64)part, (i64)words, s);
}

extern "C" __global__ void __launch_bounds__(64, 8) conv_grad_weight_32x32_any(float *dweight, float *dbias, const float *x, const float *dy, u64 part, u64 words, u64 pixels, int h, int w, int cin, int cout, int k, int dilation)
{
    ConvShape s = {(i64)pixels, h, w, cin, cout, k, dilation};
    weight_tile<32, 32, 4, 4, 1>(dweight, dbias, x, dy, (i64)part, (i64)words, s);
}

extern "C" __global__ void __launch_bounds__(128, 4) conv_bf16in_128x32(float *y, const bf16 *x, const float *weight, const float *bias, const float *row, u64 pixels, int h, int w, int cin, int cout, int k, int dilation, const float *with1, float *to1, const float *with2, float *to2, int kinds, float inner1, float outer1, float inner2, float outer2)
{
    ConvShape s = {(i64)pixels, h, w, cin, cout, k, dilation};
    Steps<float> e = {y, with1, to1, with2, to2, kinds, inner1, outer1, inner2, outer2};
    conv_tile<128, 32, 8, 4, 4, false>(e, x, weight, bias, row, s);
}

extern "C" __global__ void __launch_bounds__(64) conv_bf16in_32x32(float *y, const bf16 *x, const float *weight, const float *bias, const float *row, u64 pixels, int h, int w, int cin, int cout, int k, int dilation, const float *with1, float *to1, const float *with2, float *to2, int kinds, float inner1, float outer1, float inner2, float outer2)
{
    ConvShape s = {(i64)pixels, h, w, cin, cout, k, dilation};
    Steps<float> e = {y, with1, to1, with2, to2, kinds, inner1, outer1, inner2, outer2};
    conv_tile<32, 32, 4, 4, 4, false>(e, x, weight, bias, row, s);
}

extern "C" __global__ void __launch_bounds__(128) conv_bf16in_64x64_any(float *y, const bf16 *x, const float *weight, const float *bias, const float *row, u64 pixels, int h, int w, int cin, int cout, int k, int dilation, const float *with1, float *to1, const float *with2, float *to2, int kinds, float inner1, float outer1, float inner2, float outer2)
{
    ConvShape s = {(i64)pixels, h, w, cin, cout, k, dilation};
    Steps<float> e = {y, with1, to1, with2, to2, kinds, inner1, outer1, inner2, outer2};
    conv_tile<64, 64, 8, 4, 1, false>(e, x, weight, bias, row, s);
}

extern "C" __global__ void __launch_bounds__(64, 8) conv_bf16in_32x32_any(float *y, const bf16 *x, const float *weight, const float *bias, const float *row, u64 pixels, int h, int w, int cin, int cout, int k, int dilation, const float *with1, float *to1, const float *with2, float *to2, int kinds, float inner1, float outer1, float inner2, float outer2)
{
    ConvShape s = {(i64)pixels, h, w, cin, cout, k, dilation};
    Steps<float> e = {y, with1, to1, with2, to2, kinds, inner1, outer1, inner2, outer2};
    conv_tile<32, 32, 4, 4, 1, false>(e, x, weight, bias, row, s);
}

extern "C" __global__ void __launch_bounds__(128, 4) conv_bf16out_64x64_any(bf16 *y, const float *x, const float *weight, const float *bias, const float *row, u64 pixels, int h, int w, int cin, int cout, int k, int dilation, const bf16 *with1, bf16 *to1, const bf16 *with2, bf16 *to2, int kinds, float inner1, float outer1, float inner2, float outer2)
{
    ConvShape s = {(i64)pixels, h, w, cin, cout, k, dilation};
    Steps<bf16> e = {y, with1, to1, with2, to2, kinds, inner1, outer1, inner2, outer2};
    conv_tile<64, 64, 8, 4, 1, false>(e, x, weight, bias, row, s);
}

extern "C" __global__ void __launch_bounds__(64, 8) conv_bf16out_32x32_any(bf16 *y, const float *x, const float *weight, const float *bias, const float *row, u64 pixels, int h, int w, int cin, int cout, int k, int dilation, const bf16 *with1, bf16 *to1, const bf16 *with2, bf16 *to2, int kinds, float inner1, float outer1, float inner2, float outer2)
{
    ConvShape s = {(i64)pixels, h, w, cin, cout, k, dilation};
    Steps<bf16> e = {y, with1, to1, with2, to2, kinds, inner1, outer1, inner2, outer2};
    conv_tile<32, 32, 4, 4, 1, false>(e, x, weight, bias, row, s);
}

extern "C" __global__ void __launch_bounds__(128) conv_grad_input_bf16in_64x64_any(bf16 *dx, const float *dy, const float *weight, u64 pixels, int h, int w, int cin, int cout, int k, int dilation, const bf16 *with1, bf16 *to1, const bf16 *with2, bf16 *to2, int kinds, float inner1, float outer1, float inner2, float outer2)
{
    ConvShape s = {(i64)pixels, h, w, cout, cin, k, -dilation};
    Steps<bf16> e = {dx, with1, to1, with2, to2, kinds, inner1, outer1, inner2, outer2};
    conv_tile<64, 64, 8, 4, 1, true>(e, dy, weight, 0, 0, s);
}

extern "C" __global__ void __launch_bounds__(64, 8) conv_grad_input_bf16in_32x32_any(bf16 *dx, const float *dy, const float *weight, u64 pixels, int h, int w, int cin, int cout, int k, int dilation, const bf16 *with1, bf16 *to1, const bf16 *with2, bf16 *to2, int kinds, float inner1, float outer1, float inner2, float outer2)
{
    ConvShape s = {(i64)pixels, h, w, cout, cin, k, -dilation};
    Steps<bf16> e = {dx, with1, to1, with2, to2, kinds, inner1, outer1, inner2, outer2};
    conv_tile<32, 32, 4, 4, 1, true>(e, dy, weight, 0, 0, s);
}

extern "C" __global__ void __launch_bounds__(128) conv_grad_input_bf16out_64x64_any(float *dx, const bf16 *dy, const float *weight, u64 pixels, int h, int w, int cin, int cout, int k, int dilation, const float *with1, float *to1, const float *with2, float *to2, int kinds, float inner1, float outer1, float inner2, float outer2)
{
    ConvShape s = {(i64)pixels, h, w, cout, cin, k, -dilation};
    Steps<float> e = {dx, with1, to1, with2, to2, kinds, inner1, outer1, inner2, outer2};
    conv_tile<64, 64, 8, 4, 1, true>(e, dy, weight, 0, 0, s);
}

extern "C" __global__ void __launch_bounds__(64, 8) conv_grad_input_bf16out_32x32_any(float *dx, const bf16 *dy, const float *weight, u64 pixels, int h, int w, int cin, int cout, int k, int dilation, const float *with1, float *to1, const float *with2, float *to2, int kinds, float inner1, float outer1, float inner2, float outer2)
{
    ConvShape s = {(i64)pixels, h, w, cout, cin, k, -dilation};
    Steps<float> e = {dx, with1, to1, with2, to2, kinds, inner1, outer1, inner2, outer2};
    conv_tile<32, 32, 4, 4, 1, true>(e, dy, weight, 0, 0, s);
}

extern "C" __global__ void __launch_bounds__(128, 3) conv_grad_weight_bf16in_64x64_any(float *dweight, float *dbias, const bf16 *x, const float *dy, u64 part, u64 words, u64 pixels, int h, int w, int cin, int cout, int k, int dilation)
{
    ConvShape s = {(i64)pixels, h, w, cin, cout, k, dilation};
    weight_tile<64, 64, 8, 4, 1>(dweight, dbias, x, dy, (i64)part, (i64)words, s);
}

extern "C" __global__ void __launch_bounds__(64, 8) conv_grad_weight_bf16in_32x32_any(float *dweight, float *dbias, const bf16 *x, const float *dy, u64 part, u64 words, u64 pixels, int h, int w, int cin, int cout, int k, int dilation)
{
    ConvShape s = {(i64)pixels, h, w, cin, cout, k, dilation};
    weight_tile<32, 32, 4, 4, 1>(dweight, dbias, x, dy, (i64)part, (i64)words, s);
}

extern "C" __global__ void __launch_bounds__(128) conv_grad_weight_bf16out_64x64_any(float *dweight, float *dbias, const float *x, const bf16 *dy, u64 part, u64 words, u64 pixels, int h, int w, int cin, int cout, int k, int dilation)
{
    ConvShape s = {(i64)pixels, h, w, cin, cout, k, dilation};
    weight_tile<64, 64, 8, 4, 1>(dweight, dbias, x, dy, (i64)part, (i64)words, s);
}

extern "C" __global__ void __launch_bounds__(64, 8) conv_grad_weight_bf16out_32x32_any(float *dweight, float *dbias, const float *x, const bf16 *dy, u64 part, u64 words, u64 pixels, int h, int w, int cin, int cout, int k, int dilation)
{
    ConvShape s = {(i64)pixels, h, w, cin, cout, k, dilation};
    weight_tile<32, 32, 4, 4, 1>(dweight, dbias, x, dy, (i64)part, (i64)words, s);
}
