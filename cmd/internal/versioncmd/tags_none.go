//go:build !cgo || nocuda

package versioncmd

const tags = "nocuda"
