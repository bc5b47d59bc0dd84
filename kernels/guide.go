// Guidance by a class (Ho and Salimans 2022): the network sees every row twice in one batch, once with its class and once
// without, and both scores are mixed.
//
//	twin    x', sigma', level' = x, sigma, level       a batch and its twin are the halves of what the network sees
//	guide   s_n <- u_n + w_n (s_n - u_n)               u is the score without classes; where w_n = 1, s_n stays as it is

package kernels

// Twin copies a batch to its twin.
type Twin struct {
	X, TwinX         Buf // (N, D)
	Sigma, TwinSigma Buf // (N)
	Level, TwinLevel Buf // (N) uint32
}

func (o Twin) pairs() [3][2]Buf {
	return [3][2]Buf{{o.X, o.TwinX}, {o.Sigma, o.TwinSigma}, {o.Level, o.TwinLevel}}
}
func (o Twin) Name() string { return "twin" }
func (o Twin) Operands() (reads, writes []Buf) {
	for _, p := range o.pairs() {
		reads, writes = append(reads, p[0]), append(writes, p[1])
	}
	return reads, writes
}
func (o Twin) Rows() int         { return o.Sigma.N }
func (o Twin) Ref(mem []float32) { o.RefRows(mem, 0, o.Rows()) }
func (o Twin) RefRows(mem []float32, lo, hi int) {
	for _, p := range o.pairs() {
		for n := lo; n < hi; n++ {
			copy(row(mem, p[1], o.Rows(), n), row(mem, p[0], o.Rows(), n))
		}
	}
}

// Guide mixes the scores in S.
type Guide struct {
	S, U   Buf // (N, D): the score with the classes and without
	Weight Buf // (N): w
}

func (o Guide) Name() string                    { return "guide" }
func (o Guide) Operands() (reads, writes []Buf) { return []Buf{o.S, o.U, o.Weight}, []Buf{o.S} }
func (o Guide) Rows() int                       { return o.Weight.N }
func (o Guide) Ref(mem []float32)               { o.RefRows(mem, 0, o.Rows()) }
func (o Guide) RefRows(mem []float32, lo, hi int) {
	for n := lo; n < hi; n++ {
		w := o.Weight.Of(mem)[n]
		if w == 1 {
			continue
		}
		s, u := row(mem, o.S, o.Rows(), n), row(mem, o.U, o.Rows(), n)
		for i, v := range s {
			s[i] = u[i] + float32(w*(v-u[i]))
		}
	}
}
