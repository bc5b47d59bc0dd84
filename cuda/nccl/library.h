//go:build cgo && !nocuda

// The calls of libnccl.so.2, which library.c finds when the program asks for them. Those that give a status give NCCL's
// ncclResult_t: 0 is success, 7 "in progress".
#ifndef SIGMAZ_NCCL_LIBRARY_H
#define SIGMAZ_NCCL_LIBRARY_H

#include <stddef.h>
#include <stdint.h>

// Loads the library and asks for its version alone. Returns NULL, or what is wrong, which stays valid.
const char *sigmaz_nccl_load(int *version);
// Finds the other calls. Returns NULL, or the name of one that is not there.
const char *sigmaz_nccl_find(void);

int sigmaz_nccl_id(void *id);
// Begins to join the others: the communicator is of use once its state is success.
int sigmaz_nccl_init(void **comm, int size, const void *id, int rank);
// The state of a communicator: in progress, success, or why it is lost.
int sigmaz_nccl_state(void *comm, int *state);
int sigmaz_nccl_finalize(void *comm);
int sigmaz_nccl_destroy(void *comm);
int sigmaz_nccl_abort(void *comm);
const char *sigmaz_nccl_text(int result);
// What the library has to say of its last error, "" if nothing.
const char *sigmaz_nccl_last(void *comm);

// Sends window i of send, n floats, to each other rank i, and receives what it sends in window i of recv.
int sigmaz_nccl_exchange(void *comm, int rank, int size, uint64_t send, uint64_t recv, size_t n, void *stream);
// Sends the own window of all, n floats, to all, and receives theirs.
int sigmaz_nccl_all_gather(void *comm, int rank, uint64_t all, size_t n, void *stream);

#endif
