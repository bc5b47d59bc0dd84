// Weighted sums of rows, such as those of a bilinear resize.

package vec

// Taps is a sparse matrix: row i of the result is the sum of a few rows of the source, each with a weight of its own.
type Taps struct {
	inputs  int
	counts  []int32 // taps of each output
	rows    []int32 // source row of each tap
	weights []float32
}

// Tap is a weight of a source row.
type Tap struct {
	Row    int
	Weight float32
}

// NewTaps makes the matrix that turns a number of input rows into a number of output rows; of lists the taps of an
// output. Taps of weight 0 are left out.
func NewTaps(outputs, inputs int, of func(output int) []Tap) *Taps {
	t := &Taps{inputs: inputs}
	for i := range outputs {
		before := len(t.rows)
		for _, tap := range of(i) {
			if tap.Row < 0 || tap.Row >= inputs {
				panic("vec: NewTaps: no such row")
			}
			if tap.Weight != 0 {
				t.rows, t.weights = append(t.rows, int32(tap.Row)), append(t.weights, tap.Weight)
			}
		}
		t.counts = append(t.counts, int32(len(t.rows)-before))
	}
	return t
}

// Transposed returns the matrix with outputs and inputs exchanged.
func (t *Taps) Transposed() *Taps {
	of := make([][]Tap, t.inputs)
	at := 0
	for output, n := range t.counts {
		for range n {
			of[t.rows[at]] = append(of[t.rows[at]], Tap{output, t.weights[at]})
			at++
		}
	}
	return NewTaps(t.inputs, len(t.counts), func(i int) []Tap { return of[i] })
}

// Apply computes dst (outputs, c) from src (inputs, c). dst must not overlap src.
func (t *Taps) Apply(dst, src []float32, c int) {
	checkLen("Taps: dst", len(dst), len(t.counts)*c)
	checkLen("Taps: src", len(src), t.inputs*c)
	if len(dst) == 0 {
		return
	}
	if len(t.rows) == 0 {
		clear(dst)
		return
	}
	for from, at := 0, 0; from < len(t.counts); {
		// Take as many outputs as make up a piece, but at least one.
		to, work, next := from, 0, at
		for to < len(t.counts) && (to == from || work < piece) {
			next += int(t.counts[to])
			work += (1 + int(t.counts[to])) * c / 2
			to++
		}
		if isa == plainGo {
			tapsGo(dst[from*c:to*c], src, t.counts[from:to], t.rows[at:], t.weights[at:], c)
		} else {
			at := min(at, len(t.rows)-1) // the last outputs may have no taps
			tapsKernel(&dst[from*c], &src[0], &t.counts[from], &t.rows[at], &t.weights[at], to-from, c)
		}
		from, at = to, next
	}
}

func tapsGo(dst, src []float32, counts, rows []int32, weights []float32, c int) {
	clear(dst)
	at := 0
	for i, n := range counts {
		y := dst[i*c : (i+1)*c]
		for range n {
			w := weights[at]
			for j, v := range src[int(rows[at])*c:][:c] {
				y[j] += w * v
			}
			at++
		}
	}
}
