// The mean of windows by a tree, partner of tree.go. A thread takes four values of all windows up the tree; what waits for
// its right neighbour lies in registers, one for each height.
#include "common.cuh"

extern "C" __global__ void tree_mean(float *dst, const float *windows, int count, int own, u64 n)
{
    i64 i = flat_quad();
    if (i >= (i64)n) return;
    const int HEIGHTS = 10; // treeHeights
    Quad left[HEIGHTS], v;
    for (int w = 0; w < count; w++) {
        v = load4(w == own ? dst + i : windows + (i64)w * (i64)n + i, (i64)n - i);
#pragma unroll
        for (int height = 0; height < HEIGHTS; height++) {
            if (!(w >> height & 1)) {
                left[height] = v;
                break;
            }
#pragma unroll
            for (int j = 0; j < 4; j++) v.v[j] = __fmul_rn(0.5f, __fadd_rn(left[height].v[j], v.v[j]));
        }
    }
    store4(dst + i, v, (i64)n - i);
}
