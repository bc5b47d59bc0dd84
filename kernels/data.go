// Data: the data set as the kernels see it, resident where they run.
package kernels

// Data is N rows of H*W*C values: images as bytes, which the perturbation maps to [0, 1], or vectors (H = W = 1) as
// they are. Exactly one of U8 and F32 is set. A backend with memory of its own copies it there once.
type Data struct {
	N, H, W, C int
	U8         []byte    // (N, H, W, C)
	F32        []float32 // (N, C)
}

// D is the number of values of one row.
func (d *Data) D() int { return d.H * d.W * d.C }
