// What the adaptive solver of an ODE runs beside the network, an explicit Runge-Kutta method whose coefficients lie in a
// table. The ODE is dx/du = -sigma^2 s(x, sigma) in u = ln sigma, and where the trace of ds/dx is integrated along with x,
// dl/du = -sigma^2 tr(ds/dx). Each row has its own step h and its own sigma:
//
//	ode_point    at_n = x_n + h_n sum over j of a_j k_nj;  X_n = at_n in float32;  sigma_n, level_n
//	ode_slope    k_n,slot = -sigma_n^2 (c_n s_n),  and its last value -sigma_n^2 sum over products of v (v^T ds/dx)
//	ode_norm     e_n = sqrt(mean over i of (d_i/(tol + tol max(|x_i|, |at_i|)))^2),  d = x, or sum over j of w_j k_nj
//	ode_accept   x_n <- at_n, k_n0 <- k_n6 of the rows that are taken;  X_n = x_n, or x_n - k_n0, in float32
//
// States and slopes are float64, each in two words of the arena, low and high; so are their sums, one term after the other
// with every product rounded, and every device has the bits of a plain loop. The host chooses the steps: it writes h, sigma,
// levels and the rows that are taken, and reads e.

package kernels

import "math"

// Float64Words is how many words a float64 takes.
const Float64Words = 2

// Float64At returns float64 i of a window.
func Float64At(mem []float32, b Buf, i int) float64 {
	w := mem[b.Off+Float64Words*i:]
	return math.Float64frombits(uint64(math.Float32bits(w[1]))<<32 | uint64(math.Float32bits(w[0])))
}

// SetFloat64 sets float64 i of a window.
func SetFloat64(mem []float32, b Buf, i int, v float64) {
	bits := math.Float64bits(v)
	w := mem[b.Off+Float64Words*i:]
	w[0], w[1] = math.Float32frombits(uint32(bits)), math.Float32frombits(uint32(bits>>32))
}

// ODESlots is how many slopes of a row are kept.
const ODESlots = 7

// A row of the table is float64: the coefficients of the slopes and their slot or, for a norm, whether it is of h times
// the sum.
const (
	ODEOther = ODESlots
	ODEWidth = ODESlots + 1
)

// ODE is what the operations have in common.
type ODE struct {
	// Table is (table rows, ODEWidth) float64. In step k of the state block row k/Repeat is at hand and product k mod
	// Repeat, see ODESlope.
	Table, State Buf
	Repeat       int
	X, At        Buf // (N, E) float64: the state, and the point at which the score is taken
	K            Buf // (N, ODESlots, E) float64
	H            Buf // (N) float64
	D, E         int // values of x, and of the state: D, or D+1 with the integral of the trace
}

// Rows returns N.
func (o ODE) Rows() int { return o.H.N / Float64Words }

// at returns the table's row of the step, and the product.
func (o ODE) at(mem []float32) (stage, product int) {
	k := int(word(mem, o.State, StateStep))
	return k / o.Repeat, k % o.Repeat
}

// sum returns the sum of the first n slopes of value i of a row by the coefficients of a row of the table.
func (o ODE) sum(mem []float32, stage, n, row, i int) (sum float64) {
	for j := range n {
		sum += float64(Float64At(mem, o.Table, stage*ODEWidth+j) * Float64At(mem, o.K, (row*ODESlots+j)*o.E+i))
	}
	return sum
}

// slot returns the slot of a stage.
func (o ODE) slot(mem []float32, stage int) int {
	return int(Float64At(mem, o.Table, stage*ODEWidth+ODEOther))
}

// ODEPoint goes to the point of a stage, of as many slopes as its slot says, and tells the network its noise.
type ODEPoint struct {
	ODE
	Point        Buf // (N, D): X of the network
	Sigma, Level Buf // (N): of the network
	Sigmas       Buf // (table rows, N) float64
	Levels       Buf // (table rows, N) uint32
	V            Buf // (N, D) or absent: becomes the unit vector of the product
}

func (o ODEPoint) Name() string { return "ode_point" }
func (o ODEPoint) Operands() (reads, writes []Buf) {
	reads, writes = []Buf{o.X, o.K, o.H, o.Table, o.State, o.Sigmas, o.Levels}, []Buf{o.At, o.Point, o.Sigma, o.Level}
	if o.V.N > 0 {
		writes = append(writes, o.V)
	}
	return reads, writes
}
func (o ODEPoint) Ref(mem []float32) { o.RefRows(mem, 0, o.Rows()) }
func (o ODEPoint) RefRows(mem []float32, lo, hi int) {
	stage, product := o.at(mem)
	slots := o.slot(mem, stage)
	for n := lo; n < hi; n++ {
		h := Float64At(mem, o.H, n)
		for i := range o.E {
			at := Float64At(mem, o.X, n*o.E+i) + float64(h*o.sum(mem, stage, slots, n, i))
			SetFloat64(mem, o.At, n*o.E+i, at)
			if i < o.D {
				o.Point.Of(mem)[n*o.D+i] = float32(at)
			}
		}
		o.Sigma.Of(mem)[n] = float32(Float64At(mem, o.Sigmas, stage*o.Rows()+n))
		o.Level.Of(mem)[n] = o.Levels.Of(mem)[stage*o.Rows()+n]
		if o.V.N > 0 {
			v := row(mem, o.V, o.Rows(), n)
			clear(v)
			v[product] = 1
		}
	}
}

// ODESlope keeps the slope of a stage. With V and VJ, V^T ds/dx, it adds up their products: with Units those of the D unit
// vectors, one a step, else those of one V; the slopes are kept in the step of the last one.
type ODESlope struct {
	ODE
	S      Buf // (N, D)
	Sigmas Buf // (table rows, N) float64
	Scale  Buf // (table rows, N) float64: c
	V, VJ  Buf // (N, D) or absent
	Trace  Buf // (N) float64 or absent, with V
	Units  bool
}

func (o ODESlope) Name() string { return "ode_slope" }
func (o ODESlope) Operands() (reads, writes []Buf) {
	reads, writes = []Buf{o.S, o.Sigmas, o.Scale, o.Table, o.State, o.K, o.H}, []Buf{o.K}
	if o.V.N > 0 {
		reads, writes = append(reads, o.V, o.VJ, o.Trace), append(writes, o.Trace)
	}
	return reads, writes
}
func (o ODESlope) Ref(mem []float32) { o.RefRows(mem, 0, o.Rows()) }
func (o ODESlope) RefRows(mem []float32, lo, hi int) {
	stage, product := o.at(mem)
	slot := o.slot(mem, stage)
	for n := lo; n < hi; n++ {
		trace := 0.0
		if o.V.N > 0 {
			if product > 0 {
				trace = Float64At(mem, o.Trace, n)
			}
			v, vj := row(mem, o.V, o.Rows(), n), row(mem, o.VJ, o.Rows(), n)
			if o.Units {
				trace += float64(vj[product])
			} else {
				for i := range v {
					trace += float64(vj[i]) * float64(v[i]) // exact
				}
			}
			SetFloat64(mem, o.Trace, n, trace)
		}
		if product != o.Repeat-1 {
			continue
		}
		sigma := Float64At(mem, o.Sigmas, stage*o.Rows()+n)
		scale, factor := Float64At(mem, o.Scale, stage*o.Rows()+n), -(sigma * sigma)
		for i, s := range row(mem, o.S, o.Rows(), n) {
			SetFloat64(mem, o.K, (n*ODESlots+slot)*o.E+i, float64(scale*float64(s))*factor)
		}
		if o.E > o.D {
			SetFloat64(mem, o.K, (n*ODESlots+slot)*o.E+o.D, trace*factor)
		}
	}
}

// ODENorm computes e. Of says of what: row Of of the table by all slopes, times |h| where the row's last value is not 0,
// and then over the larger of x and at; or, below 0, x itself.
type ODENorm struct {
	ODE
	Of  int
	Tol Buf // (1) float64
	Err Buf // (N) float64
}

func (o ODENorm) Name() string { return "ode_norm" }
func (o ODENorm) Operands() (reads, writes []Buf) {
	return []Buf{o.X, o.At, o.K, o.H, o.Table, o.Tol}, []Buf{o.Err}
}
func (o ODENorm) Ref(mem []float32) { o.RefRows(mem, 0, o.Rows()) }
func (o ODENorm) RefRows(mem []float32, lo, hi int) {
	tol := Float64At(mem, o.Tol, 0)
	ofStep := o.Of >= 0 && Float64At(mem, o.Table, o.Of*ODEWidth+ODEOther) != 0
	for n := lo; n < hi; n++ {
		h, sum := math.Abs(Float64At(mem, o.H, n)), 0.0
		for i := range o.E {
			x := Float64At(mem, o.X, n*o.E+i)
			e, most := x, math.Abs(x)
			if o.Of >= 0 {
				e = o.sum(mem, o.Of, ODESlots, n, i)
			}
			if ofStep {
				e *= h
				most = max(most, math.Abs(Float64At(mem, o.At, n*o.E+i)))
			}
			e /= tol + float64(tol*most)
			sum += float64(e * e)
		}
		SetFloat64(mem, o.Err, n, math.Sqrt(sum/float64(o.E)))
	}
}

// ODEAccept takes the steps of rows that are to be taken, and gives x to the network's X; with Denoise without the last
// slope, which is x + sigma^2 s.
type ODEAccept struct {
	ODE
	Taken   Buf // (N) uint32
	Point   Buf // (N, D)
	Denoise bool
}

func (o ODEAccept) Name() string { return "ode_accept" }
func (o ODEAccept) Operands() (reads, writes []Buf) {
	return []Buf{o.Taken, o.X, o.At, o.K, o.H}, []Buf{o.X, o.K, o.Point}
}
func (o ODEAccept) Ref(mem []float32) { o.RefRows(mem, 0, o.Rows()) }
func (o ODEAccept) RefRows(mem []float32, lo, hi int) {
	for n := lo; n < hi; n++ {
		taken := words(o.Taken.Of(mem))[n] != 0
		for i := range o.E {
			x, first, last := n*o.E+i, n*ODESlots*o.E+i, ((n+1)*ODESlots-1)*o.E+i
			if taken {
				SetFloat64(mem, o.X, x, Float64At(mem, o.At, x))
				SetFloat64(mem, o.K, first, Float64At(mem, o.K, last))
			}
			if i < o.D {
				v := Float64At(mem, o.X, x)
				if o.Denoise {
					v -= Float64At(mem, o.K, first)
				}
				o.Point.Of(mem)[n*o.D+i] = float32(v)
			}
		}
	}
}
