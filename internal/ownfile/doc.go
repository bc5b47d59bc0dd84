// Package ownfile opens files that the programs made themselves, in folders where other things may lie under their
// names: a link to somebody's file, a pipe that waits for ever, another user's file.
package ownfile
