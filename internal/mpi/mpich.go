//go:build mpi && mpich

// The library is MPICH's, or another of its ABI.

package mpi

// #cgo pkg-config: mpich
import "C"
