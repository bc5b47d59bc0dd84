//go:build cgo && !nocuda

// Launch of the embedding, see embedding.cu.

package kernels

func (o Embedding) launch(l *launcher) {
	grid, block := each(o.Y.N)
	l.embedding(grid, block, embeddingArgs{y: o.Y, cond: o.Cond, freq: o.Freq, n: o.N, d: o.Y.N / max(1, o.N),
		f: o.Freq.N, fourier: flag(o.Fourier)})
}
