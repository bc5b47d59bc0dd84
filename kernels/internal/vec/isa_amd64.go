package vec

import "golang.org/x/sys/cpu"

func detect() instructionSet {
	x := &cpu.X86
	switch {
	case !x.HasAVX2 || !x.HasFMA || !x.HasBMI2:
		return plainGo
	case x.HasAVX512F && x.HasAVX512VL && x.HasAVX512BW && x.HasAVX512DQ:
		return avx512
	}
	return avx2
}
