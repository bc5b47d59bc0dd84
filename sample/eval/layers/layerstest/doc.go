// Package layerstest makes the weights of networks that are compared with PyTorch: by a formula, which the scripts
// beside their test data have too, so that no weights need to be stored.
//
//	u(t, i)    internal/made; t is the tensor's place among the names, from 1
//	weights    (2u - 1) sqrt(6/fan-in), of norms 0.75 + 0.5u; biases and means u - 0.5; variances 0.5 + u
package layerstest
