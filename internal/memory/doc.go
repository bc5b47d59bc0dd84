// Package memory finds out how much memory the machine has.
package memory
