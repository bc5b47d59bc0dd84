// Package memory finds out how much memory the machine has, and how much of it this process takes.
package memory
