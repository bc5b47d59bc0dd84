// Rows of a table by index, partner of lookup.go. A thread takes one value of the result.
#include "common.cuh"

extern "C" __global__ void lookup(float *y, const float *table, const u32 *index, int rows, int c)
{
    u32 at = blockIdx.x * blockDim.x + threadIdx.x, n = at / (u32)c;
    if (n >= (u32)rows) return;
    y[at] = table[(i64)index[n] * c + (at - n * (u32)c)];
}

extern "C" __global__ void lookup_grad(float *dtable, const float *dy, const u32 *index, int table_rows, int rows, int c)
{
    u32 at = blockIdx.x * blockDim.x + threadIdx.x, r = at / (u32)c, k = at - r * (u32)c;
    if (r >= (u32)table_rows) return;
    double sum = 0;
    for (int n = 0; n < rows; n++)
        if (index[n] == r) sum = __dadd_rn(sum, (double)dy[(i64)n * c + k]);
    dtable[at] = (float)sum;
}
