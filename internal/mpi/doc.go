// Package mpi is the little of MPI that ranks need: who they are, and two collective calls on windows of memory. It takes the
// build tag mpi and a C compiler, and finds the library by pkg-config: Open MPI's ompi-c, or with the tag mpich too, MPICH's.
// Without the tag [Built] is false and [Init] fails. The library adds nothing: its sums depend on its version and on how many
// ranks there are.
package mpi
