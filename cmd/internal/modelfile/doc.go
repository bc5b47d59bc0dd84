// Package modelfile opens what samples and scores are drawn from: a run, one of its checkpoints, or a file of another
// program. Such a file holds weights and no configuration: what it does not tell is found out, or given by flags.
//
// Begin reading at [Open].
package modelfile
