// Package nccl is the little of NVIDIA's NCCL that ranks need: windows of device memory that go from each device to each
// other, on a stream. The library adds nothing: the order of its sums depends on the machines between the devices and differs
// from call to call where a switch adds.
//
// Begin reading at [Open], which looks for libnccl.so.2 when it is first called: a program neither links the library nor
// needs it before. [Init] makes a [Comm], which joins the others in the background until [Comm.Ready]; a call on it is done
// when the stream gets to it. [Comm.Abort] ends what waits for a rank that is gone.
//
// All calls but [Comm.Check] and [Comm.Abort] belong on the thread that the device's context is current on.
package nccl
