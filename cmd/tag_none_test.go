//go:build !cgo || nocuda

package cmd_test

const withCUDA = false
