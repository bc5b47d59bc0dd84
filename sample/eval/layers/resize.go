// Bilinear scaling of images, of which there are two:
//
//	Triangle    a triangle filter whose width is a pixel of the smaller of both sizes: the mean of neighbours where an image
//	            becomes smaller (Pillow's BILINEAR)
//	Bilinear    the two nearest pixels, however much smaller the image becomes (PyTorch's, align_corners=False)
//
// In both, pixels lie at half numbers. They are the same where an image is enlarged.

package layers

// Resampler scales a line of pixels.
type Resampler struct {
	from, to int
	first    []int
	weights  [][]float32
}

// Triangle returns the scaling of a line with a filter against aliases.
func Triangle(from, to int) *Resampler {
	r := &Resampler{from: from, to: to}
	scale := float64(from) / float64(to)
	support := max(1, scale)
	for i := range to {
		centre := (float64(i) + 0.5) * scale
		first, last := max(0, int(centre-support+0.5)), min(from, int(centre+support+0.5))
		weights, sum := make([]float64, last-first), 0.0
		for k := range weights {
			d := (float64(first+k) + 0.5 - centre) / support
			weights[k] = max(0, 1-max(d, -d))
			sum += weights[k]
		}
		w := make([]float32, len(weights))
		for k, v := range weights {
			w[k] = float32(v / sum)
		}
		r.first, r.weights = append(r.first, first), append(r.weights, w)
	}
	return r
}

// Bilinear returns the scaling of a line without such a filter.
func Bilinear(from, to int) *Resampler {
	r := &Resampler{from: from, to: to}
	scale := float32(from) / float32(to)
	for i := range to {
		at := max(0, float32(float32(scale*(float32(i)+0.5))-0.5))
		first := min(int(at), from-1)
		weights := []float32{1}
		if first < from-1 {
			part := at - float32(first)
			weights = []float32{1 - part, part}
		}
		r.first, r.weights = append(r.first, first), append(r.weights, weights)
	}
	return r
}

// Apply scales a line of pixels of size values each.
func (r *Resampler) Apply(dst, src []float32, size int) {
	for i, weights := range r.weights {
		to := dst[i*size : (i+1)*size]
		clear(to)
		for k, w := range weights {
			for c, v := range src[(r.first[i]+k)*size : (r.first[i]+k+1)*size] {
				to[c] += w * v
			}
		}
	}
}

// Resize writes to dst (h, w, 3) an image of c channels, 1 or 3, scaled: the values that its bytes stand for, then what
// scaled ones become. Grey is taken for all three.
func Resize(dst []float32, image []byte, c int, rows, columns *Resampler, values *[256]float32, become func(float32) float32) {
	across := make([]float32, rows.from*columns.to*c)
	line := make([]float32, columns.from*c)
	for i := range rows.from {
		for k, b := range image[i*columns.from*c : (i+1)*columns.from*c] {
			line[k] = values[b]
		}
		columns.Apply(across[i*columns.to*c:(i+1)*columns.to*c], line, c)
	}
	x := make([]float32, rows.to*columns.to*c)
	rows.Apply(x, across, columns.to*c)
	for p := range rows.to * columns.to {
		for k := range 3 {
			dst[3*p+k] = become(x[p*c+k%c])
		}
	}
}
