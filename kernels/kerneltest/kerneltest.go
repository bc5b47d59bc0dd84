// How a case is laid out in memory, run and compared.

package kerneltest

import (
	"fmt"
	"math"
	"os"
	"testing"

	"sigmaz/internal/approx"
	"sigmaz/kernels"
)

// guard is the number of sentinel words on both sides of every window.
const guard = 19 // odd: windows do not start on aligned addresses

// sentinel is a NaN that no operation makes.
var sentinel = math.Float32frombits(0x7fc0dead)

// tolerance is how far a result may be from the reference, relative to the result's largest element. Sums of a few
// thousand products in float32 in another order stay well below.
const tolerance = 1e-5

// Run checks every operation of package kernels on a backend that has the given precisions: with windows that start
// anywhere, and with windows that start on cache lines, as those of a plan do.
func Run(t *testing.T, b kernels.Backend, precisions ...kernels.Precision) {
	for _, c := range Cases(precisions...) {
		t.Run(c.Name, func(t *testing.T) { check(t, b, c) })
		t.Run(c.Name+"/aligned", func(t *testing.T) { check(t, b, c.Aligned()) })
	}
}

// OpenCUDA opens CUDA device 0 until the test ends. Where no device answers it skips the test, or fails it if
// SIGMAZ_GPU=required promises a device.
func OpenCUDA(t *testing.T) kernels.Backend {
	t.Helper()
	b, err := kernels.NewCUDA(0)
	if err != nil {
		if os.Getenv("SIGMAZ_GPU") == "required" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// Case is one operation with its operands.
type Case struct {
	Name      string
	Op        kernels.Op
	Precision kernels.Precision
	Exact     bool      // results are compared bit for bit
	Init      []float32 // the arena before
	Terms     int       // of a result that is a sum of rounded factors' products, see sumBound
}

// Aligned returns the case with every window moved to the start of a cache line of its own, between sentinels.
func (c Case) Aligned() Case {
	const line = 16
	var mem []float32
	pad := func() {
		for n := line + len(mem)%line; n < 3*line; n++ {
			mem = append(mem, sentinel)
		}
	}
	pad()
	moved := map[kernels.Buf]kernels.Buf{}
	c.Op = kernels.Moved(c.Op, func(b kernels.Buf) kernels.Buf {
		if _, ok := moved[b]; !ok {
			moved[b] = kernels.Buf{Off: len(mem), N: b.N, Element: b.Element}
			mem = append(mem, c.Init[b.Off:b.Off+b.Words()]...)
			pad()
		}
		return moved[b]
	})
	c.Init = mem
	return c
}

// builder lays out the operands of a case.
type builder struct {
	mem []float32
	n   uint64 // streams used
}

// add appends a window with these values between sentinels.
func (b *builder) add(values []float32) kernels.Buf {
	b.begin()
	w := kernels.Buf{Off: len(b.mem), N: len(values)}
	b.mem = append(b.mem, values...)
	b.pad()
	return w
}

// begin makes sentinels before the first window.
func (b *builder) begin() {
	if b.mem == nil {
		b.pad()
	}
}

func (b *builder) pad() {
	for range guard {
		b.mem = append(b.mem, sentinel)
	}
}

// normals appends a window of n standard normals.
func (b *builder) normals(n int) kernels.Buf {
	v := make([]float32, n)
	b.n++
	kernels.Stream{Seed: 77, Purpose: kernels.PurposeData, N: b.n}.Normals(v)
	return b.add(v)
}

// around appends a window of n normals with another mean, so that it is not small against them.
func (b *builder) around(mean float32, n int) kernels.Buf {
	w := b.normals(n)
	for i := range w.Of(b.mem) {
		w.Of(b.mem)[i] += mean
	}
	return w
}

// out appends a window of n values that must not be read.
func (b *builder) out(n int) kernels.Buf {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(math.NaN())
	}
	return b.add(v)
}

// positive appends a window of n values in (0.1, 1.1].
func (b *builder) positive(n int) kernels.Buf {
	v := make([]float32, n)
	b.n++
	kernels.Stream{Seed: 77, Purpose: kernels.PurposeData, N: b.n}.Uniforms(v)
	for i := range v {
		v[i] += 0.1
	}
	return b.add(v)
}

// mask appends n values of which a third is 0 and the others are 1.
func (b *builder) mask(n int) kernels.Buf {
	v := make([]float32, n)
	b.n++
	kernels.Stream{Seed: 77, Purpose: kernels.PurposeData, N: b.n}.Uniforms(v)
	for i, u := range v {
		v[i] = 1
		if u < 1.0/3 {
			v[i] = 0
		}
	}
	return b.add(v)
}

// halves appends a window of these values in bfloat16, rounded.
func (b *builder) halves(values []float32) kernels.Buf {
	b.begin()
	w := kernels.Buf{Off: len(b.mem), N: len(values), Element: kernels.BFloat16}
	for range w.Words() {
		b.mem = append(b.mem, sentinel)
	}
	w.Store(b.mem, values)
	b.pad()
	return w
}

// bits appends a window of words.
func (b *builder) bits(words ...uint32) kernels.Buf {
	v := make([]float32, len(words))
	for i, w := range words {
		v[i] = math.Float32frombits(w)
	}
	return b.add(v)
}

// check runs a case through the reference and twice on the backend. The two runs must give the same bits, close to the
// reference's, and leave all other words alone.
func check(t *testing.T, backend kernels.Backend, c Case) {
	t.Helper()
	op, want, at := kernels.InWords(c.Op, c.Init)
	op.Ref(want)
	var first []float32
	for range 2 {
		a, err := backend.Alloc(len(c.Init))
		if err != nil {
			t.Fatal(err)
		}
		all := kernels.Buf{Off: 0, N: len(c.Init)}
		if err := a.Write(all, c.Init); err != nil {
			t.Fatal(err)
		}
		p, err := backend.Compile(a, []kernels.Op{c.Op})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Run(); err != nil {
			t.Fatal(err)
		}
		got := make([]float32, len(c.Init))
		if err := a.Read(got, all); err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = got
			continue
		}
		for i := range got {
			if g, f := math.Float32bits(got[i]), math.Float32bits(first[i]); g != f {
				t.Fatalf("word %d: %x in one run, %x in the next", i, f, g)
			}
		}
	}
	var sizes []float32
	if c.Terms > 0 {
		sizes = c.sizes()
	}
	_, writes := c.Op.Operands()
	written := make([]uint32, len(first)) // bits that may have changed
	for k, w := range writes {
		for i := w.Off; i < w.Off+w.Words(); i++ {
			written[i] = ^uint32(0)
		}
		if w.Element == kernels.BFloat16 && w.N%2 == 1 {
			written[w.Off+w.N/2] = 0xffff
		}
		got, exact, tol := w.Load(first), at[w].Of(want), approx.RelMax(tolerance)
		if w.Element == kernels.BFloat16 {
			tol.Rel = rounding
		}
		switch {
		case c.Exact:
			bits := append([]float32(nil), c.Init...)
			w.Store(bits, exact)
			for i, e := range w.Load(bits) {
				if g, e := math.Float32bits(got[i]), math.Float32bits(e); g != e {
					t.Fatalf("result %d, value %d: %x, expected %x (%g)", k, i, g, e, exact[i])
				}
			}
		case c.Terms > 0:
			compareSums(t, c, k, got, exact, at[w].Of(sizes), tol.Rel)
		default:
			if err := approx.Compare(fmt.Sprintf("result %d", k), got, exact, tol); err != nil {
				t.Error(err)
			}
		}
	}
	for i := range first {
		if (math.Float32bits(first[i])^math.Float32bits(c.Init[i]))&^written[i] != 0 {
			t.Fatalf("word %d was changed outside the results", i)
		}
	}
}

// rounding is how far a value of bfloat16 may be from what was rounded, relative to that: half of the last of its eight
// significant bits.
const rounding = 1.0 / 256

// sumBound is how far a sum of products may be from the sum of the rounded factors' products in float64, relative to
// the sum of the products' sizes:
//
//	|error| <= (2 + log2 terms) 2^-24 sum |x| |w|       and 2^-8 |y| more, where y is rounded to bfloat16
//
// The products are exact. A tensor core adds eight or sixteen of them at a time to what it has and cuts off what is below
// the last place: less than 2^-23 of the running sum. The bound is that of a sum by halves in float32, and a chain of n/8
// such steps keeps it while the running sums are small: those of terms with signs at random are about sum |x| |w| / sqrt n.
// A factor that is not rounded, or to one bit less, is an error of 2^-12 of its products, far beyond.
func sumBound(terms int) float64 { return (2 + math.Log2(float64(terms))) / (1 << 24) }

// sizes returns the memory of [kernels.InWords] after the reference with all operands made positive: the results are
// sums of sizes.
func (c Case) sizes() []float32 {
	op, mem, at := kernels.InWords(c.Op, c.Init)
	reads, _ := c.Op.Operands()
	for _, r := range reads {
		for i, v := range at[r].Of(mem) {
			at[r].Of(mem)[i] = float32(math.Abs(float64(v)))
		}
	}
	op.Ref(mem)
	return mem
}

// compareSums compares result k of a case of sums, which may be off by rel of what they are to be, too.
func compareSums(t *testing.T, c Case, k int, got, want, sizes []float32, rel float64) {
	t.Helper()
	for i := range got {
		bound := sumBound(c.Terms)*float64(sizes[i]) + rel*math.Abs(float64(want[i]))
		if e := math.Abs(float64(got[i]) - float64(want[i])); !(e <= bound) {
			t.Fatalf("result %d, word %d: %g, expected %g: the error %g is more than %g", k, i, got[i], want[i], e, bound)
		}
	}
}
