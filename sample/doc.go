// Package sample draws samples from a score: functions of a score, a start, a noise ladder, options and a callback.
// They read no file and print nothing. Every random number is a function of (seed, image, step, element), so image 17
// is the same at any batch size.
//
// Shapes and letters, here and in the code:
//
//	x, s      (N, D), one row an image or a point; s(x, sigma) is the score, the gradient of the log density under noise
//	L, T      levels of the ladder, sigma_1 > ... > sigma_L; Langevin steps a level
//	g         sigma_i / sigma_(i+1), the ladder's ratio
//	eps, a_i  step size at the last level, in units of x squared; step size at level i, a_i = eps sigma_i^2 / sigma_L^2
//	q         a_i / sigma_i^2 = eps / sigma_L^2, the same at every level
//	D(x)      x + sigma^2 s, the denoised image (Tweedie's mean)
//	NFE       evaluations of the score for one row
//
//	samplers.go   the table of samplers, and the steps of each
//	plan.go       a sampler as a list of steps, known before it starts
//	chain.go      a plan on a device: NewChain and Chain.Run, for many batches
//	rk45.go       the sampler that chooses its steps as it goes, and ode.go, its states on a device
//	interpolate.go frames from one sample to another
//	measure.go    what is known of samples, y = A x + n
//	settings.go   what can be set, its judge, and schedules of noise levels
//	law.go        which sampler suits which network
//	annealed.go   annealed Langevin dynamics at once: Anneal
//	schedule.go   its step sizes, and whether they are stable
//	start.go      where a chain starts
//	field.go      the score at given points
//	likelihood.go the log density of data: LogLikelihood
//
// Begin with [Anneal], and its example for a whole program; then [Samplers].
package sample
