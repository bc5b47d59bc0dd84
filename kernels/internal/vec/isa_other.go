//go:build !amd64

package vec

func detect() instructionSet { return plainGo }
