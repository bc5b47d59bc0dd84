// Package atomicfile replaces whole files. Whatever goes wrong, a path holds either the old file or the new one.
package atomicfile
