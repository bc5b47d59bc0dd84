// Package nearest guesses which known name a misspelt one was meant to be, for messages such as "did you mean
// -levels?".
package nearest
