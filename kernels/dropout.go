// Dropout with a mask that is a function of seed, layer, step and row (Srivastava et al. 2014, scaled in training):
//
//	y[n,i] = x[n,i]/(1-p) where u(word i of the stream) > p, else 0        u in (0, 1], see noise.go
//
// The stream is (seed, PurposeDropout and the layer, step*N + n): the same on every device, with any number of workers and
// after a run is resumed. The gradient is the same operation on dy, while the state holds the same step: no mask is kept.
// Sampling and held-out losses leave it out.

package kernels

// Dropout writes Y, which may be X.
type Dropout struct {
	N     int
	Y, X  Buf // (N, D)
	State Buf // its step is that of the stream

	P     float32 // probability that a value is dropped, in [0, 1)
	Layer uint32  // tells the layers of a network apart, below 2^24
	Seed  uint64
}

func (o Dropout) Name() string                    { return "dropout" }
func (o Dropout) Operands() (reads, writes []Buf) { return []Buf{o.X, o.State}, []Buf{o.Y} }
func (o Dropout) InPlace() [][2]Buf               { return [][2]Buf{{o.Y, o.X}} }
func (o Dropout) Rows() int                       { return o.N }
func (o Dropout) Ref(mem []float32)               { o.RefRows(mem, 0, o.N) }
func (o Dropout) RefRows(mem []float32, lo, hi int) {
	for n := lo; n < hi; n++ {
		s, y := o.stream(mem, n), row(mem, o.Y, o.N, n)
		for i, v := range row(mem, o.X, o.N, n) {
			y[i] = 0
			if Uniform(s.Word(i)) > o.P {
				y[i] = v * o.scale()
			}
		}
	}
}

// SeedDropout sets the seed of the masks of ops.
func SeedDropout(ops []Op, seed uint64) {
	for i, op := range ops {
		if d, ok := op.(Dropout); ok {
			d.Seed = seed
			ops[i] = d
		}
	}
}

// purpose is the stream's: the layer above its lowest eight bits.
func (o Dropout) purpose() Purpose { return PurposeDropout | Purpose(o.Layer<<8) }

func (o Dropout) stream(mem []float32, n int) Stream {
	return Stream{o.Seed, o.purpose(), stepOf(mem, o.State)*uint64(o.N) + uint64(n)}
}

func (o Dropout) scale() float32 { return 1 / (1 - o.P) }
