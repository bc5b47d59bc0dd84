// The table of the kernels of a training step.

package benchcmd

import (
	"fmt"
	"time"

	"sigmaz/kernels"
)

// perKernel is the stopwatch of the table of kernels, which times a hundred of them.
var perKernel = stopwatch{reps: 3, target: 30 * time.Millisecond}

// leastBytes is what a call must move for its rate to be shown: with less, the time is that of the call itself.
const leastBytes = 64 << 10

// kernelsOf measures each kernel of a program by itself, on the program's own arena: all calls of a kernel in one run
// of the program are one row, with their time together. Calls of equal size are measured once. A program as a whole
// is faster than its kernels together where the backend fuses them, or finds in its caches what the call before left
// there.
func (b *bench) kernelsOf(a kernels.Arena, ops []kernels.Op) (table, error) {
	t := table{title: "kernels of a training step"}
	watch := perKernel
	watch.dry = b.watch.dry
	type sums struct {
		calls       int
		took        seconds
		flop, bytes float64
	}
	total := map[string]*sums{}
	known := map[string]seconds{}
	var names []string
	for _, op := range ops {
		key := callKey(op)
		took, ok := known[key]
		if !ok {
			p, err := b.backend.Compile(a, []kernels.Op{op})
			if err != nil {
				return t, err
			}
			if took, err = watch.time(p.Run, waitFor(a)); err != nil {
				return t, err
			}
			known[key] = took
		}
		s := total[op.Name()]
		if s == nil {
			s = &sums{}
			total[op.Name()] = s
			names = append(names, op.Name())
		}
		s.calls++
		s.took = seconds{s.took.median + took.median, s.took.fastest + took.fastest, s.took.slowest + took.slowest}
		s.flop += flopOf(op)
		s.bytes += bytesOf(op)
	}
	whole := 0.0
	for _, s := range total {
		whole += s.took.median
	}
	for _, name := range names {
		s := total[name]
		row := Row{Name: fmt.Sprintf("%s, %dx", name, s.calls), Values: []Value{
			{Name: "time", Unit: "ms", Median: 1e3 * s.took.median}, {Unit: "FLOP/s"}, {Unit: "B/s"}}}
		if whole > 0 {
			row.Values[0].OfPeak = 100 * s.took.median / whole
		}
		if s.flop > 0 {
			row.Values[1] = b.flops(s.took, "", s.flop)
		} else if s.bytes >= leastBytes*float64(s.calls) {
			row.Values[2] = b.bytes(s.took, "", s.bytes)
		}
		t.rows = append(t.rows, row)
	}
	return t, nil
}

// callKey names the work of a call, wherever its operands lie: a kernel's name and the sizes of its operands, and the
// shape of a convolution.
func callKey(op kernels.Op) string {
	key := op.Name()
	if s, ok := convShape(op); ok {
		key += shapeText(s)
	}
	reads, writes := op.Operands()
	for _, w := range append(reads, writes...) {
		key += fmt.Sprintf(" %d %v", w.N, w.Element)
	}
	return key
}

func convShape(op kernels.Op) (kernels.ConvShape, bool) {
	switch op := op.(type) {
	case kernels.Conv:
		return op.ConvShape, true
	case kernels.ConvGradInput:
		return op.ConvShape, true
	case kernels.ConvGradWeight:
		return op.ConvShape, true
	}
	return kernels.ConvShape{}, false
}

// flopOf counts twice the multiply-adds of a convolution, and 0 for other kernels.
func flopOf(op kernels.Op) float64 {
	s, ok := convShape(op)
	if !ok {
		return 0
	}
	return 2 * float64(s.MACs()) * float64(s.N)
}

// bytesOf counts what a call must read and write at least.
func bytesOf(op kernels.Op) float64 {
	reads, writes := op.Operands()
	words := 0
	for _, w := range append(reads, writes...) {
		words += w.Words()
	}
	bytes := 4 * float64(words)
	if p, ok := op.(kernels.Perturb); ok && p.Data != nil {
		bytes += float64(p.N * p.Data.D())
		if p.Data.F32 != nil {
			bytes += 3 * float64(p.N*p.Data.D())
		}
	}
	return bytes
}
