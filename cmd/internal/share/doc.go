// Package share gives the rows of one command's work to several devices, a batch to whichever is free. It is for work
// whose rows have the same result in any batch and on any device of one kind. Begin reading at [Work].
package share
