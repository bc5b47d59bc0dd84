// Package rendezvous brings the processes of a run together over TCP: rank 0 listens, the others come to it, and from then on
// each knows within seconds when another has died or hangs. It carries small messages, never gradients. Begin reading at [Join];
// what goes over a connection is in wire.go.
package rendezvous
