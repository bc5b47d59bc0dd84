// Package versioncmd is the command version: it prints which sigmaz this is.
//
//	sigmaz v0.0.0-20251128215956-70e63daee688
//	commit 70e63daee688d480066e433130de56fd55873f40
//	go     go1.26.8 linux/amd64
//	tags   nocuda
//	isa    avx512
//
// tags is nocuda or cuda, by what the program was built with; isa is the instruction set that the CPU's kernels use
// here.
package versioncmd
