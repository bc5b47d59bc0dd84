// Package scorecmd is the command score: it evaluates a network as a function. It reads points x from an NPY array
// and writes the score s(x, sigma) as another.
//
//	sigmaz score RUN -input x.npy -level 3 -o s.npy
//	other | sigmaz score RUN -input - -sigma 0.5 -o - | another
//
// x is images, (N, C, H, W) or with -layout nhwc (N, H, W, C), or vectors (N, D), in the units that the network was
// trained in: images in [0, 1] plus noise. The noise is one level or one sigma for all rows, or a level for each row.
// The result has the shape and layout of x, in float32. Rows go through the network in batches and are written as
// they are done, so memory does not grow with their number.
//
// With -denoised it writes x + sigma^2 s instead, and with -serve it answers such requests over HTTP: see serve.go.
//
// Begin reading at score in score.go.
//
// Exit codes: 0 done, 1 failed, 2 wrong usage, 130 quit by a second Ctrl-C.
package scorecmd
