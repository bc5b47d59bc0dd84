//go:build cgo && !nocuda

// The tag of a program with CUDA.

package versioncmd

const tags = "cuda"
