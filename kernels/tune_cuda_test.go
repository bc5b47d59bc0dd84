//go:build cgo && !nocuda

package kernels

import (
	"slices"
	"strings"
	"testing"

	"sigmaz/internal/approx"
)

// Every choice launches its own tile and cuts into its own parts, and computes what the reference does. The first one is
// the rule's, which compiling without a choice follows before and after.
func TestChoicesCUDA(t *testing.T) {
	b := openCUDA(t)
	for _, s := range []ConvShape{
		{N: 5, H: 16, W: 16, Cin: 32, Cout: 64, K: 1, Dilation: 1},
		{N: 40, H: 16, W: 16, Cin: 5, Cout: 7, K: 3, Dilation: 1},
	} {
		for _, precision := range Precisions {
			var o operands
			pixels, weights := s.N*s.H*s.W, s.Cout*s.K*s.K*s.Cin
			e, tol := precision.Stored(s.Cin), approx.RelMax(2e-5)
			if e == BFloat16 { // rounded on both sides of a tie
				tol.Rel = 1. / 128
			}
			x, dy, w := o.of(e, pixels*s.Cin), o.aligned(o.of(e, pixels*s.Cout)), o.aligned(o.of(e, weights))
			ops := []Op{
				Conv{ConvShape: s, X: x, Weight: w, Y: o.of(e, pixels*s.Cout), Precision: precision},
				ConvGradInput{ConvShape: s, DY: dy, Weight: w, DX: o.of(e, pixels*s.Cin), Precision: precision},
				ConvGradWeight{ConvShape: s, X: x, DY: dy, DWeight: o.out(weights), DBias: o.out(s.Cout),
					Precision: precision, Multiprocessors: b.Multiprocessors()},
			}
			a, err := b.Alloc(len(o.mem))
			if err != nil {
				t.Fatal(err)
			}
			want := slices.Clone(o.mem)
			for _, op := range ops {
				Reference(op, want)
				rule, parts, err := b.ruleOf(a, op)
				if err != nil {
					t.Fatal(err)
				}
				choices, err := b.Choices(a, op)
				if err != nil {
					t.Fatal(err)
				}
				if choices[0] != (Choice{rule.name, parts}) || len(choices) < 2 {
					t.Errorf("%s %+v: choices %v, the rule's is %s in %d", op.Name(), s, choices, rule.name, parts)
				}
				cut := map[int]bool{}
				for _, c := range choices {
					if strings.Contains(c.Tile, "bf16") != (e == BFloat16) {
						t.Errorf("%s of %v has tile %s", op.Name(), e, c.Tile)
					}
					p, err := b.CompileWith(a, op, c)
					if err != nil {
						t.Fatal(err)
					}
					launches := p.(*cudaProgram).launches
					if !slices.ContainsFunc(launches, func(l launch) bool {
						return l.kernel == op.Name()+"_"+c.Tile && l.grid[2] == c.Parts
					}) {
						t.Errorf("%+v launches %v", c, launches)
					}
					cut[c.Parts] = true
					if err := a.Write(Buf{N: len(o.mem)}, o.mem); err != nil {
						t.Fatal(err)
					}
					if err := p.Run(); err != nil {
						t.Fatal(err)
					}
					_, writes := op.Operands()
					got := make([]float32, len(o.mem))
					if err := a.Read(got, Buf{N: len(got)}); err != nil {
						t.Fatal(err)
					}
					for _, r := range writes {
						if err := approx.Compare(op.Name()+" "+c.Tile, r.Load(got), r.Load(want), tol); err != nil {
							t.Error(err)
						}
					}
				}
				if _, sum := op.(ConvGradWeight); sum && len(cut) < 2 {
					t.Errorf("%s %+v: every choice has %d parts", op.Name(), s, parts)
				}
				if again, n, err := b.ruleOf(a, op); again != rule || n != parts || err != nil {
					t.Errorf("%s: the rule chose %s in %d, and then %s in %d (%v)", op.Name(), rule.name, parts, again.name, n, err)
				}
				for _, c := range []Choice{{"8x8", 1}, {rule.name, 0}} {
					if _, err := b.CompileWith(a, op, c); err == nil || !strings.Contains(err.Error(), c.Tile) {
						t.Errorf("%+v: error %v", c, err)
					}
				}
			}
		}
	}
	var o operands
	x := o.normals(16)
	a, err := b.Alloc(16)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Choices(a, Add{N: 1, Dst: x, A: x, B: x}); err == nil {
		t.Error("a sum has tiles")
	}
}

func TestCopyCUDA(t *testing.T) {
	b := openCUDA(t)
	var o operands
	x, y := o.normals(100), o.out(70)
	a, err := b.Alloc(len(o.mem))
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Write(Buf{N: len(o.mem)}, o.mem); err != nil {
		t.Fatal(err)
	}
	if err := a.(Copier).Copy(y, x.Slice(30, 70)); err != nil {
		t.Fatal(err)
	}
	got := make([]float32, 70)
	if err := a.Read(got, y); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, o.mem[30:100]) {
		t.Error("the copy is not what was copied")
	}
	for _, w := range [][2]Buf{{y, x}, {{Off: 120, N: 70}, x.Slice(0, 70)}, {x.Slice(0, 60), x.Slice(40, 60)}} {
		if err := a.(Copier).Copy(w[0], w[1]); err == nil {
			t.Errorf("%+v was copied to %+v", w[1], w[0])
		}
	}
}
