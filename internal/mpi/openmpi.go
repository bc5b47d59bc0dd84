//go:build mpi && !mpich

// The library is Open MPI's.

package mpi

// #cgo pkg-config: ompi-c
import "C"
