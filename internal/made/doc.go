// Package made makes the values of test data that no file needs to hold: the scripts that write testdata have the same formula.
//
//	u(t, i)    24 bits of SplitMix64's mixer (Steele, Lea and Flood 2014) of i + 2^32 t, in [0, 1)
package made
