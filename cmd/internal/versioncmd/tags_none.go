//go:build !cgo || nocuda

// The tag of a program without CUDA.

package versioncmd

const tags = "nocuda"
