//go:build !cgo || nocuda

package sample

import (
	"testing"

	"sigmaz/kernels"
	"sigmaz/model"
)

// There is no further device here.
var (
	devices     = map[string]func(t *testing.T, s *model.Score){}
	openDevices = map[string]func(t *testing.T) kernels.Backend{}
)
