//go:build mpi && cgo

// MPI_COMM_WORLD, which every rank reaches by collective calls on windows of memory, none of which adds.

package mpi

/*
#include <mpi.h>
#include <stdlib.h>

// Constants of mpi.h are macros, which cgo cannot name.
static int start(int *rank, int *size)
{
	int level, status = MPI_Init_thread(NULL, NULL, MPI_THREAD_SERIALIZED, &level);
	if (status == MPI_SUCCESS && level < MPI_THREAD_SERIALIZED) status = MPI_ERR_OTHER;
	if (status == MPI_SUCCESS) status = MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
	if (status == MPI_SUCCESS) status = MPI_Comm_rank(MPI_COMM_WORLD, rank);
	if (status == MPI_SUCCESS) status = MPI_Comm_size(MPI_COMM_WORLD, size);
	return status;
}

static int exchange(float *send, int *counts, int *at, float *recv)
{
	return MPI_Alltoallv(send, counts, at, MPI_FLOAT, recv, counts, at, MPI_FLOAT, MPI_COMM_WORLD);
}

static int all_gather(float *all, int n)
{
	return MPI_Allgather(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, all, n, MPI_FLOAT, MPI_COMM_WORLD);
}

// text is what an error means, which the caller frees.
static char *text(int status)
{
	char *s = malloc(MPI_MAX_ERROR_STRING);
	int n;
	if (MPI_Error_string(status, s, &n) != MPI_SUCCESS) s[0] = 0;
	return s;
}
*/
import "C"

import (
	"fmt"
	"unsafe"
)

// Built says whether the program has MPI.
const Built = true

// World is all ranks.
type World struct{ rank, size int }

// Init joins the others, which wait for it.
func Init() (*World, error) {
	var rank, size C.int
	if err := failed("MPI_Init", C.start(&rank, &size)); err != nil {
		return nil, err
	}
	return &World{int(rank), int(size)}, nil
}

// failed makes an error of a status.
func failed(call string, status C.int) error {
	if status == 0 { // MPI_SUCCESS
		return nil
	}
	s := C.text(status)
	defer C.free(unsafe.Pointer(s))
	return fmt.Errorf("%s failed: %s", call, C.GoString(s))
}

// Rank is the number of this process, from 0 on.
func (w *World) Rank() int { return w.rank }

// Size is the number of processes.
func (w *World) Size() int { return w.size }

// Exchange sends part i of send to each other rank i, and receives what that sends in part i of recv.
func (w *World) Exchange(send, recv []float32) error {
	n := len(send) / w.size
	counts, at := make([]C.int, w.size), make([]C.int, w.size)
	for i := range w.size {
		counts[i], at[i] = C.int(n), C.int(i*n)
	}
	counts[w.rank] = 0
	return failed("MPI_Alltoallv", C.exchange(words(send), &counts[0], &at[0], words(recv)))
}

// AllGather sends this rank's part of all to the others, and receives theirs.
func (w *World) AllGather(all []float32) error {
	return failed("MPI_Allgather", C.all_gather(words(all), C.int(len(all)/w.size)))
}

// Close takes leave of the others. After a failure it leaves without a word, by which mpirun knows that the others must end.
func (w *World) Close(why error) error {
	if why != nil {
		return nil
	}
	return failed("MPI_Finalize", C.MPI_Finalize())
}

// words is where a slice begins.
func words(s []float32) *C.float { return (*C.float)(unsafe.Pointer(unsafe.SliceData(s))) }
