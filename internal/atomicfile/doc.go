// Package atomicfile replaces whole files. Whatever goes wrong, a path holds either the old file or the new one, and no
// file of anybody else is touched. Everything that the programs write and do not append to is written by it.
package atomicfile
