// Package npy reads and writes NumPy arrays in the format of numpy.save (numpy.lib.format):
//
//	6 bytes   "\x93NUMPY"
//	2 bytes   version: 1 0, 2 0 or 3 0
//	2 or 4    n, the length of the header, little-endian: 2 bytes in version 1, 4 in 2 and 3
//	n bytes   the header, a Python dict padded with spaces and ended by a newline:
//	          {'descr': '<f4', 'fortran_order': False, 'shape': (16, 28, 28, 1), }
//	the rest  the values, last index fastest, or first index fastest where fortran_order is True
//
// Files come from anywhere, so a header's word is never enough to allocate memory: memory grows with the values that
// have been read, or with the file's true size.
//
// Begin with [NewReader], [Read] and [Write].
package npy
