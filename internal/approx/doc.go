// Package approx compares slices of floats. It is the one comparator of the project's tests. A slice passes when
//
//	|got_i - want_i| <= Abs + Rel |want_i| + Max max_j |want_j|     for every i
//
// NaN and infinity are refused on both sides before anything is compared: every comparison with NaN is false, so a
// test written the other way round would pass on it. Errors are never summed over elements: opposite signs cannot
// cancel, and one bad element among millions counts in full.
//
// Begin with [Compare] and [Tol].
package approx
