// The step counter, partner of tick.go:
//
//	tick       k <- k + by
#include "common.cuh"

extern "C" __global__ void tick(u32 *state, u64 by)
{
    u64 step = step_of(state) + by;
    state[STATE_STEP] = (u32)step;
    state[STATE_STEP_HI] = (u32)(step >> 32);
}
