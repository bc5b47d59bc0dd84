// Convolution on tensor cores, partner of conv_tensor.go: the sums of conv.cu,
//
//	conv              y[m,o]      = b[o] + sum over t,c of x[m+t,c] w[o,t,c]
//	conv_grad_input   dx[m,c]     = sum over t,o of dy[m-t,o] w[o,t,c]
//	conv_grad_weight  dw[o,(t,c)] = sum over pixels m of dy[m,o] x[m+t,c]           db[o] = sum over m of dy[m,o]
//
// with float32 sums, for two kinds of operands:
//
//	T = float   both factors of every product are rounded to TF32 (10 fraction bits, ties away from zero)
//	T = bf16    operands are bf16 in memory; y and dx are rounded to it
//
// dw and db are float32, and db is a plain float32 sum. Channels are multiples of 32.
//
// A block of four warps computes BM x BN values, a warp WM x WN of them in pieces of 16 x 8 by mma.sync: m16n8k8 for TF32,
// m16n8k16 for bf16. The sum runs in steps of 64 bytes of each operand (16 or 32 terms), which cp.async copies to shared
// memory two steps ahead: three stages, and one barrier a step. Whatever the tile, a value is one chain over groups of 8
// or 16 terms in their order, so the choice of tile does not show in the bits. Sums over the batch are split in parts of
// equal length, whose results conv_grad_weight_sum adds in their order.
//
// An operand lies in shared memory as it lies in global memory, in chunks of 16 bytes: by rows where its terms are
// consecutive (pixels x channels), by columns where they are not. Chunks are permuted by exclusive or with some bits of
// the row, so that the eight chunks of a phase of any access lie in different banks.
//
//	                 a stage has                    chunk q of row r is at   a warp reads
//	rows             BM or BN rows of one step      q ^ r/2 % 4              ldmatrix: 8 rows, chunk q
//	columns, float   16 rows (terms) of BM or BN    q ^ 2 (r % 4)            float4: chunks q..q+7 of rows r..r+3
//	columns, bf16    32 rows (terms) of BM or BN    q ^ r % 8                ldmatrix.trans: 8 rows, chunk q
//	  of 32          32 rows of 32                  q ^ r/2 % 4
//
// mma.sync numbers the 8 columns of a piece (and its 16 rows, by halves of 8) by lane / 4. Which of the block's columns a
// number stands for is free:
//
//	in turn     number i of piece j is column 8 j + i, for bf16 by columns
//	scattered   number i of piece j is column 32 (j/4) + 4 i + j%4, for all others
//
// A float4 holds four consecutive columns, so it serves four pieces at once, scattered. Where columns come by rows
// (weights, forward), the rows are fetched in that order: then the eight values that a lane has of a row in four pieces
// are consecutive, too.
#include "common.cuh"
#include "epilogue.cuh"
#include "moments.cuh"

const int STAGES = 3;

// Kind is the sizes of an operand.
template <typename T> struct Kind {
    static const int CHUNK = 16 / sizeof(T); // values of a chunk
    static const int STEP = 4 * CHUNK;       // terms of a sum in a stage
    static const int GROUP = 2 * CHUNK;      // terms of one mma.sync
};
const int THREADS = 128;

// Geometry is that of one kernel call: pixels of cin channels come in, cout channels go out.
struct Geometry {
    i64 pixels; // of all images
    int h, w, cin, cout;
    int k, dilation;

    __device__ __forceinline__ int taps() const { return k * k; }
    // row and column that tap t looks away from its pixel
    __device__ __forceinline__ int down(int t) const { return k == 1 ? 0 : dilation * (t / 3 - 1); }
    __device__ __forceinline__ int right(int t) const { return k == 1 ? 0 : dilation * (t % 3 - 1); }
    __device__ __forceinline__ bool inside(int i, int j) const { return (u32)i < (u32)h && (u32)j < (u32)w; }
};

// copy16 starts to copy 16 bytes to shared memory, or zeros where there are none to copy; the source must be a valid
// address even then. With wide it is a multiple of 16, else of 4.
__device__ __forceinline__ void copy16(void *to, const void *from, bool there, bool wide)
{
    u32 a = (u32)__cvta_generic_to_shared(to);
    if (wide) {
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(a), "l"(from), "r"(there ? 16 : 0) : "memory");
    } else {
#pragma unroll
        for (int e = 0; e < 4; e++)
            asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;"
                         ::"r"(a + 4 * e), "l"((const float *)from + (there ? e : 0)), "r"(there ? 4 : 0)
                         : "memory");
    }
}
// commit ends a group of copies; wait returns once all but the last N groups of this thread have arrived.
__device__ __forceinline__ void commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int N> __device__ __forceinline__ void wait() { asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory"); }

__device__ __forceinline__ u32 tf32(float a)
{
    u32 r;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(r) : "f"(a));
    return r;
}

// ldmatrix reads four pieces of 8 rows x 16 bytes. Lane l names row l%8 of piece l/8 and gets word l%4 of row l/4 of each
// piece. With TRANS it gets values 2 (l%4) and 2 (l%4) + 1, of two bytes, of column l/4.
template <bool TRANS> __device__ __forceinline__ void ldmatrix(u32 *r, const void *row)
{
    if (TRANS)
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                     : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                     : "r"((u32)__cvta_generic_to_shared(row))
                     : "memory");
    else
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                     : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                     : "r"((u32)__cvta_generic_to_shared(row))
                     : "memory");
}

// factors makes what ldmatrix read factors of mma.sync.
template <typename T> __device__ __forceinline__ void factors(u32 *r)
{
    if (sizeof(T) == 4)
#pragma unroll
        for (int i = 0; i < 4; i++) r[i] = tf32(__uint_as_float(r[i]));
}

// Rows is an operand of LINES rows and its terms in them.
template <typename T, int LINES> struct Rows {
    T v[LINES * Kind<T>::STEP];

    __device__ __forceinline__ T *at(int line, int chunk)
    {
        return v + line * Kind<T>::STEP + Kind<T>::CHUNK * (chunk ^ (line / 2 % 4));
    }
};

// Columns is an operand of LINES columns, whose rows are terms.
template <typename T, int LINES> struct Columns {
    T v[Kind<T>::STEP * LINES];

    __device__ __forceinline__ T *at(int term, int chunk)
    {
        return v + term * LINES +
               Kind<T>::CHUNK * (chunk ^ (sizeof(T) == 4 ? 2 * (term % 4) : LINES == 32 ? term / 2 % 4 : term % 8));
    }
};

// A thread that fetches columns takes the given chunk of every TERMSth term.
template <typename T, int LINES> struct Share {
    static const int CHUNKS = LINES / Kind<T>::CHUNK, TERMS = THREADS / CHUNKS, COUNT = Kind<T>::STEP / TERMS;
    int chunk, term;

    __device__ __forceinline__ Share() : chunk(threadIdx.x % CHUNKS), term(threadIdx.x / CHUNKS) {}
};

// Warp is the part of a warp: its place in the block, its sums, and a group of terms of both factors.
template <typename T, int BM, int BN, int WM, int WN> struct Warp {
    static_assert(BM / WM * (BN / WN) * 32 == THREADS, "a block has four warps");
    static const int I = WM / 16, J = WN / 8;
    float sum[I][J][4];
    u32 a[I][4], b[J][2];
    int lane, row, col; // of the warp's first value

    __device__ __forceinline__ Warp()
    {
        int warp = threadIdx.x / 32;
        lane = threadIdx.x % 32;
        row = warp % (BM / WM) * WM;
        col = warp / (BM / WM) * WN;
#pragma unroll
        for (int i = 0; i < I; i++)
#pragma unroll
            for (int j = 0; j < J; j++)
#pragma unroll
                for (int e = 0; e < 4; e++) sum[i][j][e] = 0;
    }

    // loadA and loadB read group k of a stage. Where asked, ones adds the first factor itself, not rounded, to sums of
    // rows: those of pieces i and half h are ones[2 i + h].
    __device__ __forceinline__ void loadA(Rows<T, BM> &s, int k)
    {
#pragma unroll
        for (int i = 0; i < I; i++) {
            ldmatrix<false>(a[i], s.at(row + 16 * i + lane % 16, 2 * k + lane / 16));
            factors<T>(a[i]);
        }
    }
    template <bool ONES> __device__ __forceinline__ void loadA(Columns<float, BM> &s, int k, float *ones)
    {
#pragma unroll
        for (int half = 0; half < 2; half++)
#pragma unroll
            for (int p = 0; p < WM / 32; p++) {
                float4 v = *(const float4 *)s.at(8 * k + 4 * half + lane % 4, row / 4 + 8 * p + lane / 4);
                a[2 * p][2 * half] = tf32(v.x);
                a[2 * p][2 * half + 1] = tf32(v.y);
                a[2 * p + 1][2 * half] = tf32(v.z);
                a[2 * p + 1][2 * half + 1] = tf32(v.w);
                if (ONES) ones[4 * p] += v.x, ones[4 * p + 1] += v.y, ones[4 * p + 2] += v.z, ones[4 * p + 3] += v.w;
            }
    }
    template <bool ONES> __device__ __forceinline__ void loadA(Columns<bf16, BM> &s, int k, float *ones)
    {
#pragma unroll
        for (int i = 0; i < I; i++) {
            ldmatrix<true>(a[i], s.at(16 * k + lane / 16 * 8 + lane % 8, row / 8 + 2 * i + lane / 8 % 2));
            if (ONES)
#pragma unroll
                for (int e = 0; e < 4; e++)
                    ones[2 * i + e % 2] += __uint_as_float(a[i][e] << 16) + __uint_as_float(a[i][e] & 0xffff0000u);
        }
    }
    __device__ __forceinline__ void loadB(Rows<T, BN> &s, int k)
    {
#pragma unroll
        for (int j = 0; j < J; j += 2) {
            u32 v[4];
            ldmatrix<false>(v, s.at(col + 8 * j + lane / 16 * 8 + lane % 8, 2 * k + lane / 8 % 2));
            factors<T>(v);
            b[j][0] = v[0], b[j][1] = v[1], b[j + 1][0] = v[2], b[j + 1][1] = v[3];
        }
    }
    __device__ __forceinline__ void loadB(Columns<float, BN> &s, int k)
    {
#pragma unroll
        for (int half = 0; half < 2; half++)
#pragma unroll
            for (int q = 0; q < WN / 32; q++) {
                float4 v = *(const float4 *)s.at(8 * k + 4 * half + lane % 4, col / 4 + 8 * q + lane / 4);
                b[4 * q][half] = tf32(v.x);
                b[4 * q + 1][half] = tf32(v.y);
                b[4 * q + 2][half] = tf32(v.z);
                b[4 * q + 3][half] = tf32(v.w);
            }
    }
    __device__ __forceinline__ void loadB(Columns<bf16, BN> &s, int k)
    {
#pragma unroll
        for (int j = 0; j < J; j += 2) {
            u32 v[4];
            ldmatrix<true>(v, s.at(16 * k + lane % 16, col / 8 + j + lane / 16));
            b[j][0] = v[0], b[j][1] = v[1], b[j + 1][0] = v[2], b[j + 1][1] = v[3];
        }
    }

    __device__ __forceinline__ void multiply()
    {
#pragma unroll
        for (int i = 0; i < I; i++)
#pragma unroll
            for (int j = 0; j < J; j++)
                if (sizeof(T) == 4)
                    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
                                 "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                                 : "+f"(sum[i][j][0]), "+f"(sum[i][j][1]), "+f"(sum[i][j][2]), "+f"(sum[i][j][3])
                                 : "r"(a[i][0]), "r"(a[i][1]), "r"(a[i][2]), "r"(a[i][3]), "r"(b[j][0]), "r"(b[j][1]));
                else
                    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
                                 "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                                 : "+f"(sum[i][j][0]), "+f"(sum[i][j][1]), "+f"(sum[i][j][2]), "+f"(sum[i][j][3])
                                 : "r"(a[i][0]), "r"(a[i][1]), "r"(a[i][2]), "r"(a[i][3]), "r"(b[j][0]), "r"(b[j][1]));
    }

    // put writes the lane's values of one row, that of pieces i and of the given half, to the warp's row of a block's
    // results. Where columns are scattered, the lane has eight consecutive ones of every 32, else two of every 8.
    template <bool SCATTERED> __device__ __forceinline__ void put(float *out, int i, int half)
    {
        if constexpr (!SCATTERED) {
#pragma unroll
            for (int j = 0; j < J; j++)
                *(float2 *)(out + 8 * j + lane % 4 * 2) = make_float2(sum[i][j][2 * half], sum[i][j][2 * half + 1]);
        } else {
#pragma unroll
            for (int q = 0; q < WN / 32; q++)
#pragma unroll
                for (int e = 0; e < 2; e++)
                    *(float4 *)(out + 32 * q + lane % 4 * 8 + 4 * e) =
                        make_float4(sum[i][4 * q][2 * half + e], sum[i][4 * q + 1][2 * half + e],
                                    sum[i][4 * q + 2][2 * half + e], sum[i][4 * q + 3][2 * half + e]);
        }
    }

    // store writes them to memory. P is the row's first word and column the warp's first column of `columns` in all, a
    // multiple of 32.
    template <bool SCATTERED> __device__ __forceinline__ void store(float *p, int i, int half, int column, int columns, bool wide)
    {
        if constexpr (!SCATTERED) {
#pragma unroll
            for (int j = 0; j < J; j++) {
                int c = column + 8 * j + lane % 4 * 2;
                if (c >= columns) continue;
                if (wide)
                    *(float2 *)(p + c) = make_float2(sum[i][j][2 * half], sum[i][j][2 * half + 1]);
                else
                    p[c] = sum[i][j][2 * half], p[c + 1] = sum[i][j][2 * half + 1];
            }
        } else {
#pragma unroll
            for (int q = 0; q < WN / 32; q++)
#pragma unroll
                for (int e = 0; e < 2; e++) {
                    int c = column + 32 * q + lane % 4 * 8 + 4 * e;
                    if (c >= columns) continue;
                    float v[4];
#pragma unroll
                    for (int n = 0; n < 4; n++) v[n] = sum[i][4 * q + n][2 * half + e];
                    if (wide) {
                        write<4>(p + c, v);
                    } else {
#pragma unroll
                        for (int n = 0; n < 4; n++) p[c + n] = v[n];
                    }
                }
        }
    }
};

// SecondFactor is how the weights lie in shared memory: forward, a row holds the terms of an output channel; for the
// gradient, a row is a term and holds the input channels.
template <typename T, int BN, bool GRAD> struct SecondFactor { typedef Rows<T, BN> Stage; };
template <typename T, int BN> struct SecondFactor<T, BN, true> { typedef Columns<T, BN> Stage; };

// conv_tile is the forward convolution and the gradient of the input. With GRAD, x is dy, channels are swapped and the
// dilation is negative: the taps look the other way. Where moments is not 0 it takes those of the results after so many steps as
// kinds says; then images are whole segments.
template <typename T, int BM, int BN, int WM, int WN, bool GRAD>
static __device__ __forceinline__ void conv_tile(const Steps<T> &steps, const T *x, const T *w, const float *bias, const float *row, float *moments, Geometry s)
{
    const int STEP = Kind<T>::STEP, CHUNK = Kind<T>::CHUNK;
    typedef typename SecondFactor<T, BN, GRAD>::Stage StageB;
    alignas(128) __shared__ Rows<T, BM> as[STAGES];
    alignas(128) __shared__ StageB bs[STAGES];
    const int terms = s.taps() * s.cin;
    // Blocks that share pixels follow each other. From its first pixel on a block counts values in int: an image and the
    // weights have fewer than 2^31.
    const int across = (s.cout + BN - 1) / BN;
    const i64 m0 = (i64)(blockIdx.x / across) * BM;
    const int n0 = (int)(blockIdx.x % across) * BN;
    x += m0 * s.cin;
    const bool wideX = aligned16(x), wideW = aligned16(w);

    // By rows, a thread copies one chunk of every 32nd row.
    const int chunk = threadIdx.x % 4, line = threadIdx.x / 4;
    int pi[BM / 32], pj[BM / 32]; // the pixel's place in its image; far outside where there is no pixel
#pragma unroll
    for (int r = 0; r < BM / 32; r++) {
        i64 m = m0 + line + 32 * r;
        pi[r] = pj[r] = -(1 << 29);
        if (m < s.pixels) {
            int p = (int)(m % ((i64)s.h * s.w));
            pi[r] = p / s.w;
            pj[r] = p - pi[r] * s.w;
        }
    }
    const int column = n0 + line % 8 * 4 + line / 8; // of line; that of line + 32 r is 32 r further
    const Share<T, BN> share;

    int tap = 0, c = 0, stage = 0;
    // fetch starts to copy the next step, if there is one; it always is a group of its own.
    auto fetch = [&]() {
        if (tap < s.taps()) {
            const int down = s.down(tap), right = s.right(tap), shift = down * s.w + right;
#pragma unroll
            for (int r = 0; r < BM / 32; r++) {
                bool in = s.inside(pi[r] + down, pj[r] + right);
                int from = in ? (line + 32 * r + shift) * s.cin + c + CHUNK * chunk : 0;
                copy16(as[stage].at(line + 32 * r, chunk), x + from, in, wideX);
            }
            if constexpr (GRAD) {
#pragma unroll
                for (int r = 0; r < Share<T, BN>::COUNT; r++) {
                    int term = share.term + r * Share<T, BN>::TERMS, o = n0 + CHUNK * share.chunk;
                    bool in = o < s.cout;
                    int from = in ? ((c + term) * s.taps() + tap) * s.cout + o : 0;
                    copy16(bs[stage].at(term, share.chunk), w + from, in, wideW);
                }
            } else {
#pragma unroll
                for (int r = 0; r < BN / 32; r++) {
                    bool in = n0 + 32 * r < s.cout;
                    int from = in ? (column + 32 * r) * terms + tap * s.cin + c + CHUNK * chunk : 0;
                    copy16(bs[stage].at(line + 32 * r, chunk), w + from, in, wideW);
                }
            }
            c += STEP;
            if (c == s.cin) c = 0, tap++;
        }
        commit();
        stage = stage == STAGES - 1 ? 0 : stage + 1;
    };

    Warp<T, BM, BN, WM, WN> warp;
    fetch();
    fetch();
    int ready = 0;
    for (int done = 0; done < terms; done += STEP) {
        wait<STAGES - 2>(); // this thread's copies of the stage have arrived
        __syncthreads();    // all threads' have, and the stage before is read
        fetch();
#pragma unroll
        for (int k = 0; k < STEP / Kind<T>::GROUP; k++) {
            warp.loadA(as[ready], k);
            warp.loadB(bs[ready], k);
            warp.multiply();
        }
        ready = ready == STAGES - 1 ? 0 : ready + 1;
    }

    // Results go through shared memory, 16 rows of each warp at a time: a thread takes four successive channels of a row on
    // through the steps, whatever values it computed.
    const int ROWS = BM / WM * 16, QUADS = BN / 4;
    struct Out {
        float v[ROWS][BN + 4];
    };
    static_assert(sizeof(Out) <= sizeof(as), "results lie where the stages of the first factor were");
    Out &out = *(Out *)&as;
    typedef Half<QUADS> Halves[BM / (SEGMENT / 2)];
    static_assert(sizeof(Halves) <= sizeof(bs), "moments lie where those of the second were");
    Halves &halves = *(Halves *)&bs;
    const int quad = threadIdx.x % QUADS, g = threadIdx.x / QUADS % 4;
    const int o = n0 + 4 * quad;
    float b[4];
#pragma unroll
    for (int e = 0; e < 4; e++) b[e] = bias && o < s.cout ? bias[o + e] : 0.0f;
#pragma unroll
    for (int i = 0; i < WM / 16; i++) {
        __syncthreads();
#pragma unroll
        for (int half = 0; half < 2; half++)
            warp.template put<sizeof(T) == 4 || !GRAD>(out.v[warp.row / WM * 16 + 8 * half + warp.lane / 4] + warp.col, i, half);
        __syncthreads();
#pragma unroll 1
        for (int piece = threadIdx.x / (4 * QUADS); piece < ROWS / 16; piece += THREADS / (4 * QUADS)) {
            const int from = piece * WM + 16 * i; // its first row in the block
            Half<QUADS> &half = halves[from / (SEGMENT / 2)];
            Gathered sums;
            if (moments && i % 2) sums = half.get(g, quad);
#pragma unroll 1
            for (int j = 0; j < 16; j += 4) {
                i64 m = m0 + from + j + g;
                if (m >= s.pixels || o >= s.cout) break;
                float4 v = *(const float4 *)&out.v[16 * piece + j + g][o - n0];
                Quad q = {{v.x + b[0], v.y + b[1], v.z + b[2], v.w + b[3]}};
                if (row) add_row<T>(q, row + (i64)((u32)m / (u32)(s.h * s.w)) * s.cout + o);
                q = take_steps(steps, q, m * s.cout + o, 4);
                if (moments) {
                    as_stored<T>(q);
                    sums.add(q, i % 2 == 0 && j == 0);
                }
            }
            if (moments) half.set(g, quad, sums);
        }
    }
    if (!moments) return;
    __syncthreads();
    for (int t = threadIdx.x; t < BM / SEGMENT * QUADS; t += THREADS) {
        const int segment = t / QUADS; // of the block
        const i64 m = m0 + SEGMENT * segment;
        if (m < s.pixels && o < s.cout) write_moments(moments, m / SEGMENT, o, s.cout, halves + 2 * segment, quad);
    }
}

// weight_tile is the gradient of the weights and, where db is not 0, of the bias, summed over the pixels of part
// blockIdx.z. Parts are `words` words apart in dw and in db.
template <typename T, int BM, int BN, int WM, int WN>
static __device__ __forceinline__ void weight_tile(float *dw, float *db, const T *x, const T *dy, i64 part, i64 words,
                                                   Geometry s)
{
    const int STEP = Kind<T>::STEP, CHUNK = Kind<T>::CHUNK;
    alignas(128) __shared__ Columns<T, BM> as[STAGES];
    alignas(128) __shared__ Columns<T, BN> bs[STAGES];
    const int columns = s.taps() * s.cin;
    const int across = (columns + BN - 1) / BN;
    const int m0 = (int)(blockIdx.x / across) * BM, n0 = (int)(blockIdx.x % across) * BN;
    const i64 from = (i64)blockIdx.z * part;
    // pixels to fetch; a part has fewer than 2^31
    int left = from + part < s.pixels ? (int)part : (int)(s.pixels - from);
    const int steps = (left + STEP - 1) / STEP;
    const bool wideX = aligned16(x), wideDY = aligned16(dy);

    const Share<T, BM> shareA;
    const Share<T, BN> shareB;
    const int o = m0 + CHUNK * shareA.chunk, n = n0 + CHUNK * shareB.chunk; // first output channel, first column
    const int tap = n / s.cin, down = s.down(tap), right = s.right(tap);
    // from a pixel's first channel to the column's value
    const int shift = (down * s.w + right) * s.cin + n - tap * s.cin;
    const int COUNT = Share<T, BN>::COUNT;
    int pi[COUNT], pj[COUNT]; // the pixel's place in its image
#pragma unroll
    for (int r = 0; r < COUNT; r++) {
        int p = (int)((from + shareB.term + r * Share<T, BN>::TERMS) % ((i64)s.h * s.w));
        pi[r] = p / s.w;
        pj[r] = p - pi[r] * s.w;
    }
    const int stepJ = STEP % s.w, stepI = STEP / s.w % s.h;
    const T *rowX = x + from * s.cin, *rowDY = dy + from * s.cout;

    int stage = 0;
    auto fetch = [&]() {
        if (left > 0) {
#pragma unroll
            for (int r = 0; r < Share<T, BM>::COUNT; r++) {
                int term = shareA.term + r * Share<T, BM>::TERMS;
                bool in = term < left && o < s.cout;
                copy16(as[stage].at(term, shareA.chunk), in ? rowDY + term * s.cout + o : dy, in, wideDY);
            }
#pragma unroll
            for (int r = 0; r < COUNT; r++) {
                int term = shareB.term + r * Share<T, BN>::TERMS;
                bool in = term < left && n < columns && s.inside(pi[r] + down, pj[r] + right);
                copy16(bs[stage].at(term, shareB.chunk), in ? rowX + term * s.cin + shift : x, in, wideX);
                pj[r] += stepJ;
                pi[r] += stepI;
                if (pj[r] >= s.w) {
                    pj[r] -= s.w;
                    pi[r]++;
                }
                if (pi[r] >= s.h) pi[r] -= s.h;
            }
            rowX += STEP * s.cin;
            rowDY += STEP * s.cout;
            left -= STEP;
        }
        commit();
        stage = stage == STAGES - 1 ? 0 : stage + 1;
    };

    Warp<T, BM, BN, WM, WN> warp;
    float ones[WM / 8];
#pragma unroll
    for (int i = 0; i < WM / 8; i++) ones[i] = 0;
    const bool withBias = db && n0 + warp.col == 0;
    fetch();
    fetch();
    int ready = 0;
    for (int done = 0; done < steps; done++) {
        wait<STAGES - 2>();
        __syncthreads();
        fetch();
#pragma unroll
        for (int k = 0; k < STEP / Kind<T>::GROUP; k++) {
            if (withBias)
                warp.template loadA<true>(as[ready], k, ones);
            else
                warp.template loadA<false>(as[ready], k, ones);
            warp.loadB(bs[ready], k);
            warp.multiply();
        }
        ready = ready == STAGES - 1 ? 0 : ready + 1;
    }

    dw += (i64)blockIdx.z * words;
    const bool wide = aligned16(dw);
#pragma unroll
    for (int i = 0; i < WM / 8; i++) {
        // number lane / 4 of half i % 2 of piece i / 2: a row, scattered or in turn as columns are
        int c = m0 + warp.row + (sizeof(T) == 4 ? 32 * (i / 4) + warp.lane / 4 * 4 + i % 4 : 8 * i + warp.lane / 4);
        float sum = ones[i]; // the lanes of a row have different pixels
        sum += __shfl_xor_sync(0xffffffffu, sum, 1);
        sum += __shfl_xor_sync(0xffffffffu, sum, 2);
        if (c >= s.cout) continue;
        if (withBias && warp.lane % 4 == 0) db[(i64)blockIdx.z * words + c] = sum;
        warp.template store<sizeof(T) == 4>(dw + c * columns, i / 2, i % 2, n0 + warp.col, columns, wide);
    }
}

// The entry points: one for each tile.

extern "C" __global__ void __launch_bounds__(128, 2) conv_128x128_tf32(float *y, const float *x, const float *weight, const float *bias, const float *row, float *moments, u64 pixels, int h, int w, int cin, int cout, int k, int dilation, const float *with1, float *to1, const float *with2, float *to2, int kinds, float inner1, float outer1, float inner2, float outer2)
{
    Geometry s = {(i64)pixels, h, w, cin, cout, k, dilation};
    Steps<float> e = {y, with1, to1, with2, to2, kinds, inner1, outer1, inner2, outer2};
    conv_tile<float, 128, 128, 64, 64, false>(e, x, weight, bias, row, moments, s);
}

extern "C" __global__ void __launch_bounds__(128, 3) conv_128x64_tf32(float *y, const float *x, const float *weight, const float *bias, const float *row, float *moments, u64 pixels, int h, int w, int cin, int cout, int k, int dilation, const float *with1, float *to1, const float *with2, float *to2, int kinds, float inner1, float outer1, float inner2, float outer2)
{
    Geometry s = {(i64)pixels, h, w, cin, cout, k, dilation};
    Steps<float> e = {y, with1, to1, with2, to2, kinds, inner1, outer1, inner2, outer2};
    conv_tile<float, 128, 64, 64, 32, false>(e, x, weight, bias, row, moments, s);
}

extern "C" __global__ void __launch_bounds__(128, 4) conv_64x64_tf32(float *y, const float *x, const float *weight, const float *bias, const float *row, float *moments, u64 pixels, int h, int w, int cin, int cout, int k, int dilation, const float *with1, float *to1, const float *with2, float *to2, int kinds, float inner1, float outer1, float inner2, float outer2)
{
    Geometry s = {(i64)pixels, h, w, cin, cout, k, dilation};
    Steps<float> e = {y, with1, to1, with2, to2, kinds, inner1, outer1, inner2, outer2};
    conv_tile<float, 64, 64, 32, 32, false>(e, x, weight, bias, row, moments, s);
}

extern "C" __global__ void __launch_bounds__(128, 4) conv_128x32_tf32(float *y, const float *x, const float *weight, const float *bias, const float *row, float *moments, u64 pixels, int h, int w, int cin, int cout, int k, int dilation, const float *with1, float *to1, const float *with2, float *to2, int kinds, float inner1, float outer1, float inner2, float outer2)
{
    Geometry s = {(i64)pixels, h, w, cin, cout, k, dilation};
    Steps<float> e = {y, with1, to1, with2, to2, kinds, inner1, outer1, inner2, outer2};
    conv_tile<float, 128, 32, 32, 32, false>(e, x, weight, bias, row, moments, s);
}

extern "C" __global__ void __launch_bounds__(128, 2) conv_grad_input_128x128_tf32(float *dx, const float *dy, const float *weight, u64 pixels, int h, int w, int cin, int cout, int k, int dilation, const float *with1, float *to1, const float *with2, float *to2, int kinds, float inner1, float outer1, float inner2, float outer2)
{
    Geometry s = {(i64)pixels, h, w, cout, cin, k, -dilation};
    Steps<float> e = {dx, with1, to1, with2, to2, kinds, inner1, outer1, inner2, outer2};
    conv_tile<float, 128, 128, 64, 64, true>(e, dy, weight, 0, 0, 0, s);
}

extern "C" __global__ void __launch_bounds__(128, 3) conv_grad_input_128x64_tf32(float *dx, const float *dy, const float *weight, u64 pixels, int h, int w, int cin, int cout, int k, int dilation, const float *with1, float *to1, const float *with2, float *to2, int kinds, float inner1, float outer1, float inner2, float outer2)
{
    Geometry s = {(i64)pixels, h, w, cout, cin, k, -dilation};
    Steps<float> e = {dx, with1, to1, with2, to2, kinds, inner1, outer1, inner2, outer2};
    conv_tile<float, 128, 64, 64, 32, true>(e, dy, weight, 0, 0, 0, s);
}

extern "C" __global__ void __launch_bounds__(128, 4) conv_grad_input_64x64_tf32(float *dx, const float *dy, const float *weight, u64 pixels, int h, int w, int cin, int cout, int k, int dilation, const float *with1, float *to1, const float *with2, float *to2, int kinds, float inner1, float outer1, float inner2, float outer2)
{
    Geometry s = {(i64)pixels, h, w, cout, cin, k, -dilation};
    Steps<float> e = {dx, with1, to1, with2, to2, kinds, inner1, outer1, inner2, outer2};
    conv_tile<float, 64, 64, 32, 32, true>(e, dy, weight, 0, 0, 0, s);
}

extern "C" __global__ void __launch_bounds__(128, 4) conv_grad_input_128x32_tf32(float *dx, const float *dy, const float *weight, u64 pixels, int h, int w, int cin, int cout, int k, int dilation, const float *with1, float *to1, const float *with2, float *to2, int kinds, float inner1, float outer1, float inner2, float outer2)
{
    Geometry s = {(i64)pixels, h, w, cout, cin, k, -dilation};
    Steps<float> e = {dx, with1, to1, with2, to2, kinds, inner1, outer1, inner2, outer2};
    conv_tile<float, 128, 32, 32, 32, true>(e, dy, weight, 0, 0, 0, s);
}

extern "C" __global__ void __launch_bounds__(128, 2) conv_grad_weight_128x128_tf32(float *dweight, float *dbias, const float *x, const float *dy, u64 part, u64 words, u64 pixels, int h, int w, int cin, int cout, int k, int dilation)
{
    Geometry s = {(i64)pixels, h, w, cin, cout, k, dilation};
    weight_tile<float, 128, 128, 64, 64>(dweight, dbias, x, dy, (i64)part, (i64)words, s);
}

extern "C" __global__ void __launch_bounds__(128, 4) conv_grad_weight_64x64_tf32(float *dweight, float *dbias, const float *x, const float *dy, u64 part, u64 words, u64 pixels, int h, int w, int cin, int cout, int k, int dilation)
{
    Geometry s = {(i64)pixels, h, w, cin, cout, k, dilation};
    weight_tile<float, 64, 64, 32, 32>(dweight, dbias, x, dy, (i64)part, (i64)words, s);
}

extern "C" __global__ void __launch_bounds__(128, 4) conv_grad_weight_32x128_tf32(float *dweight, float *dbias, const float *x, const float *dy, u64 part, u64 words, u64 pixels, int h, int w, int cin, int cout, int k, int dilation)
{
    Geometry s = {(i64)pixels, h, w, cin, cout, k, dilation};
    weight_tile<float, 32, 128, 32, 32>(dweight, dbias, x, dy, (i64)part, (i64)words, s);
}

extern "C" __global__ void __launch_bounds__(128, 2) conv_bf16_128x128(bf16 *y, const bf16 *x, const bf16 *weight, const float *bias, const float *row, float *moments, u64 pixels, int h, int w, int cin, int cout, int k, int dilation, const bf16 *with1, bf16 *to1, const bf16 *with2, bf16 *to2, int kinds, float inner1, float outer1, float inner2, float outer2)
{
    Geometry s = {(i64)pixels, h, w, cin, cout, k, dilation};
    Steps<bf16> e = {y, with1, to1, with2, to2, kinds, inner1, outer1, inner2, outer2};
    conv_tile<bf16, 128, 128, 64, 64, false>(e, x, weight, bias, row, moments, s);
}

extern "C" __global__ void __launch_bounds__(128, 3) conv_bf16_128x64(bf16 *y, const bf16 *x, const bf16 *weight, const float *bias, const float *row, float *moments, u64 pixels, int h, int w, int cin, int cout, int k, int dilation, const bf16 *with1, bf16 *to1, const bf16 *with2, bf16 *to2, int kinds, float inner1, float outer1, float inner2, float outer2)
{
    Geometry s = {(i64)pixels, h, w, cin, cout, k, dilation};
    Steps<bf16> e = {y, with1, to1, with2, to2, kinds, inner1, outer1, inner2, outer2};
    conv_tile<bf16, 128, 64, 64, 32, false>(e, x, weight, bias, row, moments, s);
}

extern "C" __global__ void __launch_bounds__(128, 4) conv_bf16_64x64(bf16 *y, const bf16 *x, const bf16 *weight, const float *bias, const float *row, float *moments, u64 pixels, int h, int w, int cin, int cout, int k, int dilation, const bf16 *with1, bf16 *to1, const bf16 *with2, bf16 *to2, int kinds, float inner1, float outer1, float inner2, float outer2)
{
    Geometry s = {(i64)pixels, h, w, cin, cout, k, dilation};
    Steps<bf16> e = {y, with1, to1, with2, to2, kinds, inner1, outer1, inner2, outer2};
    conv_tile<bf16, 64, 64, 32, 32, false>(e, x, weight, bias, row, moments, s);
}

extern "C" __global__ void __launch_bounds__(128, 4) conv_bf16_128x32(bf16 *y, const bf16 *x, const bf16 *weight, const float *bias, const float *row, float *moments, u64 pixels, int h, int w, int cin, int cout, int k, int dilation, const bf16 *with1, bf16 *to1, const bf16 *with2, bf16 *to2, int kinds, float inner1, float outer1, float inner2, float outer2)
{
    Geometry s = {(i64)pixels, h, w, cin, cout, k, dilation};
    Steps<bf16> e = {y, with1, to1, with2, to2, kinds, inner1, outer1, inner2, outer2};
    conv_tile<bf16, 128, 32, 32, 32, false>(e, x, weight, bias, row, moments, s);
}

extern "C" __global__ void __launch_bounds__(128, 2) conv_grad_input_bf16_128x128(bf16 *dx, const bf16 *dy, const bf16 *weight, u64 pixels, int h, int w, int cin, int cout, int k, int dilation, const bf16 *with1, bf16 *to1, const bf16 *with2, bf16 *to2, int kinds, float inner1, float outer1, float inner2, float outer2)
{
    Geometry s = {(i64)pixels, h, w, cout, cin, k, -dilation};
    Steps<bf16> e = {dx, with1, to1, with2, to2, kinds, inner1, outer1, inner2, outer2};
    conv_tile<bf16, 128, 128, 64, 64, true>(e, dy, weight, 0, 0, 0, s);
}

extern "C" __global__ void __launch_bounds__(128, 3) conv_grad_input_bf16_128x64(bf16 *dx, const bf16 *dy, const bf16 *weight, u64 pixels, int h, int w, int cin, int cout, int k, int dilation, const bf16 *with1, bf16 *to1, const bf16 *with2, bf16 *to2, int kinds, float inner1, float outer1, float inner2, float outer2)
{
    Geometry s = {(i64)pixels, h, w, cout, cin, k, -dilation};
    Steps<bf16> e = {dx, with1, to1, with2, to2, kinds, inner1, outer1, inner2, outer2};
    conv_tile<bf16, 128, 64, 64, 32, true>(e, dy, weight, 0, 0, 0, s);
}

extern "C" __global__ void __launch_bounds__(128, 4) conv_grad_input_bf16_64x64(bf16 *dx, const bf16 *dy, const bf16 *weight, u64 pixels, int h, int w, int cin, int cout, int k, int dilation, const bf16 *with1, bf16 *to1, const bf16 *with2, bf16 *to2, int kinds, float inner1, float outer1, float inner2, float outer2)
{
    Geometry s = {(i64)pixels, h, w, cout, cin, k, -dilation};
    Steps<bf16> e = {dx, with1, to1, with2, to2, kinds, inner1, outer1, inner2, outer2};
    conv_tile<bf16, 64, 64, 32, 32, true>(e, dy, weight, 0, 0, 0, s);
}

extern "C" __global__ void __launch_bounds__(128, 4) conv_grad_input_bf16_128x32(bf16 *dx, const bf16 *dy, const bf16 *weight, u64 pixels, int h, int w, int cin, int cout, int k, int dilation, const bf16 *with1, bf16 *to1, const bf16 *with2, bf16 *to2, int kinds, float inner1, float outer1, float inner2, float outer2)
{
    Geometry s = {(i64)pixels, h, w, cout, cin, k, -dilation};
    Steps<bf16> e = {dx, with1, to1, with2, to2, kinds, inner1, outer1, inner2, outer2};
    conv_tile<bf16, 128, 32, 32, 32, true>(e, dy, weight, 0, 0, 0, s);
}

extern "C" __global__ void __launch_bounds__(128, 2) conv_grad_weight_bf16_128x128(float *dweight, float *dbias, const bf16 *x, const bf16 *dy, u64 part, u64 words, u64 pixels, int h, int w, int cin, int cout, int k, int dilation)
{
    Geometry s = {(i64)pixels, h, w, cin, cout, k, dilation};
    weight_tile<bf16, 128, 128, 64, 64>(dweight, dbias, x, dy, (i64)part, (i64)words, s);
}

extern "C" __global__ void __launch_bounds__(128, 4) conv_grad_weight_bf16_64x64(float *dweight, float *dbias, const bf16 *x, const bf16 *dy, u64 part, u64 words, u64 pixels, int h, int w, int cin, int cout, int k, int dilation)
{
    Geometry s = {(i64)pixels, h, w, cin, cout, k, dilation};
    weight_tile<bf16, 64, 64, 32, 32>(dweight, dbias, x, dy, (i64)part, (i64)words, s);
}

extern "C" __global__ void __launch_bounds__(128, 4) conv_grad_weight_bf16_32x128(float *dweight, float *dbias, const bf16 *x, const bf16 *dy, u64 part, u64 words, u64 pixels, int h, int w, int cin, int cout, int k, int dilation)
{
    Geometry s = {(i64)pixels, h, w, cin, cout, k, dilation};
    weight_tile<bf16, 32, 128, 32, 32>(dweight, dbias, x, dy, (i64)part, (i64)words, s);
}
