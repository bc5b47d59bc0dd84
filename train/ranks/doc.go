// Package ranks lets several processes train one run: each is a rank, and does some of the parts of each batch (see
// shards.go of package train). Begin reading at [Transport]. What makes the bits the same for any number of ranks is that
// nothing here adds: ranks exchange windows of memory, and the trainer adds what it receives in the order of its tree.
package ranks
