// Package float16 converts 16-bit floating-point numbers (IEEE 754 binary16), which files of other programs hold.
package float16
