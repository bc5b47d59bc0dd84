// Package samplecmd is the command sample: it draws samples from a trained network, by any of the samplers of package
// sample.
//
//	sigmaz sample RUN [flags]
//
// RUN is a run folder, whose newest checkpoint is taken, or one checkpoint file. Without -o the picture is
// RUN/samples/sample-STEP-seedS.png, or sample-STEP-seedS.png in the current folder for a checkpoint file. Files that
// are there already are replaced, once the new ones are whole.
//
// For points in the plane two more pictures are written beside it: ...-fields.png shows the learned score field at
// several levels, and ...-noise.png the same field under too little, enough and too much noise.
//
// Begin reading at draw in sample.go, which plans, draws and writes. sampler.go settles which sampler it is.
//
// Exit codes: 0 done; 1 failed, or interrupted (Ctrl-C) after the finished samples were written; 2 wrong usage; 130
// quit by a second Ctrl-C.
package samplecmd
