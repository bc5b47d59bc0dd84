// The state block: the few words that change from one run of a program to the next.

package kernels

import "math"

// The words of a state block, all uint32 by bit pattern.
const (
	StateStep   = 0 // low word of the step: steps done (training), level*T + t (sampling), batch (evaluation)
	StateStepHi = 1 // high word of the step
	StateImage  = 2 // index of the first image of the batch (sampling)
	StateWords  = 4
)

// SetStep stores a step in the words of a state block.
func SetStep(state []float32, step uint64) {
	state[StateStep] = math.Float32frombits(uint32(step))
	state[StateStepHi] = math.Float32frombits(uint32(step >> 32))
}

// stepOf returns the 64-bit step of a state block.
func stepOf(mem []float32, state Buf) uint64 {
	return uint64(word(mem, state, StateStepHi))<<32 | uint64(word(mem, state, StateStep))
}
