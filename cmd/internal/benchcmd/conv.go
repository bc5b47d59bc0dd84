// The table of convolutions.

package benchcmd

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"sigmaz/internal/approx"
	"sigmaz/kernels"
)

// convolutionNames are the columns of the table, in the order of a convolution's operations.
var convolutionNames = []string{"forward", "d input", "d weight"}

// convolution is one shape in an arena of its own.
type convolution struct {
	words int
	x, y  kernels.Buf
	w     kernels.Buf
	ops   [3]kernels.Op // forward, gradient of the input, gradient of the weights
}

func (b *bench) newConvolution(s kernels.ConvShape) *convolution {
	c := &convolution{}
	take := func(n int, e kernels.Element) kernels.Buf {
		b := kernels.Buf{Off: c.words, N: n, Element: e}
		c.words += (b.Words() + 15) / 16 * 16
		return b
	}
	// Everything is stored as in a network.
	p, pixels := b.device.Precision, s.N*s.H*s.W
	in, out, weights := p.Stored(s.Cin), p.Stored(s.Cout), kernels.Words
	if in == out {
		weights = in
	}
	c.x, c.y = take(pixels*s.Cin, in), take(pixels*s.Cout, out)
	c.w = take(s.Cout*s.K*s.K*s.Cin, weights)
	bias, dw, db := take(s.Cout, kernels.Words), take(c.w.N, kernels.Words), take(s.Cout, kernels.Words)
	// y is the gradient of the output.
	c.ops = [3]kernels.Op{
		kernels.Conv{ConvShape: s, X: c.x, Weight: c.w, Bias: bias, Y: take(pixels*s.Cout, out), Precision: p},
		kernels.ConvGradInput{ConvShape: s, DY: c.y, Weight: c.w, DX: take(pixels*s.Cin, in), Precision: p},
		kernels.ConvGradWeight{ConvShape: s, X: c.x, DY: c.y, DWeight: dw, DBias: db, Precision: p,
			Multiprocessors: b.backend.Multiprocessors()},
	}
	return c
}

// checkConv compares the three operations of a shape with the reference.
func (b *bench) checkConv(s kernels.ConvShape) error {
	c := b.newConvolution(s)
	for _, op := range c.ops {
		if err := b.agrees(op, c.words, approx.RelMax(tolerance), nil); err != nil {
			return fmt.Errorf("%s: %w", shapeText(s), err)
		}
	}
	return nil
}

func shapeText(s kernels.ConvShape) string {
	text := fmt.Sprintf("%dx%dx%d %d-%d k%d", s.N, s.H, s.W, s.Cin, s.Cout, s.K)
	if s.Dilation > 1 {
		text += fmt.Sprintf(" d%d", s.Dilation)
	}
	return text
}

// measureConvolutions measures every shape of a network, those with most work in them first. One image of each shape is
// compared with the reference before.
func (b *bench) measureConvolutions(convs []kernels.Conv) (table, error) {
	t := table{title: "convolution"}
	if len(convs) > 0 {
		t.note = fmt.Sprintf("b%d", convs[0].N)
	}
	count := map[kernels.ConvShape]int64{}
	var shapes []kernels.ConvShape
	for _, c := range convs {
		if count[c.ConvShape]++; count[c.ConvShape] == 1 {
			shapes = append(shapes, c.ConvShape)
		}
	}
	slices.SortStableFunc(shapes, func(s, t kernels.ConvShape) int {
		return cmp.Compare(count[t]*t.MACs(), count[s]*s.MACs())
	})
	for _, s := range shapes {
		one := s
		one.N = 1
		if err := b.checkConv(one); err != nil {
			return t, err
		}
		row, err := b.convolution(s)
		if err != nil {
			return t, fmt.Errorf("convolution %s: %w", shapeText(s), err)
		}
		row.Name = fmt.Sprintf("%s, %dx", strings.TrimPrefix(row.Name, fmt.Sprintf("%dx", s.N)), count[s])
		t.rows = append(t.rows, row)
	}
	return t, nil
}

// arenaOf makes the arena of a shape, with normals for operands.
func (b *bench) arenaOf(s kernels.ConvShape) (*convolution, kernels.Arena, error) {
	c := b.newConvolution(s)
	a, err := b.backend.Alloc(c.words)
	if err != nil {
		return nil, nil, err
	}
	for _, w := range []kernels.Buf{c.x, c.y, c.w} {
		if err := normals(a, w); err != nil {
			return nil, nil, err
		}
	}
	return c, a, nil
}

func (b *bench) convolution(s kernels.ConvShape) (Row, error) {
	row := Row{Name: shapeText(s)}
	c, a, err := b.arenaOf(s)
	if err != nil {
		return row, err
	}
	flop := 2 * float64(s.MACs()) * float64(s.N)
	for i, op := range c.ops {
		p, err := b.backend.Compile(a, []kernels.Op{op})
		if err != nil {
			return row, err
		}
		took, err := b.briefly().time(p.Run, waitFor(a))
		if err != nil {
			return row, err
		}
		row.Values = append(row.Values, b.flops(took, convolutionNames[i], flop))
	}
	return row, nil
}
