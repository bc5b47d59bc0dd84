// The step counter, partner of tick.go:
//
//	tick       k <- k + 1
#include "common.cuh"

extern "C" __global__ void tick(u32 *state)
{
    u64 step = step_of(state) + 1;
    state[STATE_STEP] = (u32)step;
    state[STATE_STEP_HI] = (u32)(step >> 32);
}
