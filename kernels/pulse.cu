// Where a device is in a step, for a host that does not wait for it, partner of pulse.go. The words lie in memory of the host:
// how often each mark was come to, when the first of them was, and the nanoseconds between it and the second in all.
#include "common.cuh"

extern "C" __global__ void pulse(u64 *words, int mark)
{
    volatile u64 *seen = words; // by the host
    u64 now;
    asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(now));
    if (mark == 0) seen[3] = now;
    if (mark == 1) seen[4] = seen[4] + (now - seen[3]);
    seen[mark] = seen[mark] + 1;
    __threadfence_system();
}
