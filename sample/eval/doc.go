// Package eval measures how far one set of points is from another: samples from data. The points are rows of numbers:
// pixels, vectors, or features that a network makes of images.
//
//	measure                        what it says                                    of
//	KID                            0 where the sets have one distribution          features
//	PRDC                           are samples likely, is all data covered?        features
//	Frechet, FrechetInfinity       the same as KID for two Gaussians, biased       features
//	InceptionScore                 are images of one class each, of all classes?   scores of classes
//	Nearest, NearnessOf            are samples copies of what was learned?         pixels, features
//	MMD, EnergyDistance            0 where the sets have one distribution          vectors
//	SlicedWasserstein              how far points must move                        vectors
//	Columns                        means, deviations, correlations                 vectors
//
// An [Estimate] has a standard error: of the samples drawn, not of the network that makes the features. Nothing here is
// random but the directions of SlicedWasserstein and the orders of FrechetInfinity and InceptionScore, which are functions
// of a seed. The bits do not depend on the number of workers.
//
// Begin with [Rows], then [KID].
package eval
