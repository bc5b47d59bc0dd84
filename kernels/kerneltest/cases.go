package kerneltest

import (
	"fmt"

	"sigmaz/kernels"
)

// sizes are the lengths of flat operands.
var sizes = []int{1, 31, 32, 33, 1023}

// image is N images of H x W pixels and C channels.
type image struct{ n, h, w, c int }

var images = []image{{1, 1, 1, 3}, {2, 1, 5, 2}, {3, 2, 2, 8}, {2, 7, 5, 17}, {5, 14, 14, 16}, {2, 28, 28, 8}, {1, 33, 47, 31}, {17, 3, 4, 33}, {1, 8, 6, 96},
	{2, 9, 11, 6}, {1, 4, 6, 32}, {2, 13, 8, 1}}

// Cases lists every operation at its sizes.
func Cases() []Case {
	var cases []Case
	add := func(name string, exact bool, b *builder, op kernels.Op) {
		cases = append(cases, Case{name, op, exact, b.mem})
	}
	for _, g := range []kernels.ConvShape{
		{N: 1, H: 1, W: 1, Cin: 1, Cout: 1, K: 1, Dilation: 1}, {N: 1, H: 1, W: 1, Cin: 3, Cout: 5, K: 3, Dilation: 1},
		{N: 33, H: 1, W: 1, Cin: 31, Cout: 17, K: 1, Dilation: 1}, {N: 19, H: 1, W: 1, Cin: 3, Cout: 128, K: 1, Dilation: 1},
		{N: 2, H: 28, W: 28, Cin: 1, Cout: 8, K: 3, Dilation: 1}, {N: 2, H: 28, W: 28, Cin: 8, Cout: 1, K: 3, Dilation: 1},
		{N: 3, H: 28, W: 28, Cin: 8, Cout: 8, K: 3, Dilation: 1}, {N: 2, H: 14, W: 14, Cin: 16, Cout: 16, K: 3, Dilation: 1},
		{N: 2, H: 14, W: 14, Cin: 16, Cout: 16, K: 3, Dilation: 2}, {N: 2, H: 14, W: 14, Cin: 16, Cout: 16, K: 3, Dilation: 4},
		{N: 2, H: 14, W: 14, Cin: 8, Cout: 16, K: 1, Dilation: 1}, {N: 1, H: 33, W: 47, Cin: 3, Cout: 31, K: 3, Dilation: 1},
		{N: 1, H: 7, W: 3, Cin: 6, Cout: 33, K: 3, Dilation: 2}, {N: 2, H: 3, W: 9, Cin: 17, Cout: 6, K: 3, Dilation: 4},
		{N: 1, H: 8, W: 8, Cin: 96, Cout: 64, K: 3, Dilation: 1}, {N: 21, H: 2, W: 2, Cin: 2, Cout: 2, K: 3, Dilation: 1},
		{N: 1, H: 1, W: 31, Cin: 4, Cout: 3, K: 3, Dilation: 1}, {N: 1, H: 31, W: 1, Cin: 4, Cout: 12, K: 3, Dilation: 1},
	} {
		name := fmt.Sprintf("%dx%dx%dx%d-%d-k%d-d%d", g.N, g.H, g.W, g.Cin, g.Cout, g.K, g.Dilation)
		px, nx, nw := g.N*g.H*g.W, g.N*g.H*g.W*g.Cin, g.Cout*g.K*g.K*g.Cin
		var b, c, d, e builder
		add("conv/"+name, false, &b, kernels.Conv{ConvShape: g, X: b.normals(nx), Weight: b.normals(nw), Bias: b.normals(g.Cout), Y: b.out(px * g.Cout)})
		add("conv-nobias/"+name, false, &c, kernels.Conv{ConvShape: g, X: c.normals(nx), Weight: c.normals(nw), Y: c.out(px * g.Cout)})
		add("conv_grad_input/"+name, false, &d, kernels.ConvGradInput{ConvShape: g, DY: d.normals(px * g.Cout), Weight: d.normals(nw), DX: d.out(nx)})
		add("conv_grad_weight/"+name, false, &e, kernels.ConvGradWeight{ConvShape: g, X: e.normals(nx), DY: e.normals(px * g.Cout), DWeight: e.out(nw), DBias: e.out(g.Cout)})
	}
	for _, m := range images {
		name := fmt.Sprintf("%dx%dx%dx%d", m.n, m.h, m.w, m.c)
		p, all := m.h*m.w, m.n*m.h*m.w*m.c
		s := kernels.PoolShape{N: m.n, H: m.h, W: m.w, C: m.c}
		var a, b, c, d, e, f, g builder
		stats := func(b *builder) kernels.NormStats {
			return kernels.NormStats{Mean: b.out(m.n * m.c), Rstd: b.out(m.n * m.c), MuHat: b.out(m.n * m.c), Q: b.out(m.n)}
		}
		shape := kernels.NormShape{N: m.n, P: p, C: m.c}
		norm := kernels.Norm{NormShape: shape, X: a.normals(all), Alpha: a.normals(m.c), Gamma: a.normals(m.c), Beta: a.normals(m.c), NormStats: stats(&a), Y: a.out(all)}
		add("norm/"+name, false, &a, norm)
		grad := kernels.NormGrad{NormShape: shape, X: b.normals(all), DY: b.normals(all), Alpha: b.normals(m.c), Gamma: b.normals(m.c), DX: b.out(all),
			DAlpha: b.out(m.c), DGamma: b.out(m.c), DBeta: b.out(m.c), NormStats: stats(&b)}
		kernels.Norm{NormShape: shape, X: grad.X, Alpha: grad.Alpha, Gamma: grad.Gamma, Beta: grad.Gamma, NormStats: grad.NormStats, Y: grad.DX}.Ref(b.mem)
		add("norm_grad/"+name, false, &b, grad)
		// the same norm without parameters, and with those of a table: rows of images in no order, some never drawn
		const levels = 4
		var j, k, l, o, q builder
		level := func(b *builder) kernels.Buf {
			words := make([]uint32, m.n)
			for i := range words {
				words[i] = uint32(7*i+2) % levels / 2 * 3 % levels
			}
			return b.bits(words...)
		}
		add("norm-plain/"+name, false, &j, kernels.Norm{NormShape: shape, X: j.normals(all), Eps: 3, NormStats: stats(&j), Y: j.out(all)})
		add("norm-conditional/"+name, false, &k, kernels.Norm{NormShape: shape, X: k.normals(all), Embed: k.normals(levels * 3 * m.c), Level: level(&k),
			Levels: levels, NormStats: stats(&k), Y: k.out(all)})
		add("norm-conditional-plain/"+name, false, &l, kernels.Norm{NormShape: shape, X: l.normals(all), Embed: l.normals(levels * 2 * m.c), Level: level(&l),
			Levels: levels, NormStats: stats(&l), Y: l.out(all)})
		for parts, b := range map[int]*builder{2: &o, 3: &q} {
			grad := kernels.NormGrad{NormShape: shape, X: b.normals(all), DY: b.normals(all), Embed: b.normals(levels * parts * m.c), Level: level(b), Levels: levels,
				DX: b.out(all), DEmbed: b.out(levels * parts * m.c), NormStats: stats(b)}
			kernels.Norm{NormShape: shape, X: grad.X, Embed: grad.Embed, Level: grad.Level, Levels: levels, NormStats: grad.NormStats, Y: grad.DX}.Ref(b.mem)
			add(fmt.Sprintf("norm_grad-conditional-%d/%s", parts, name), false, b, grad)
		}
		var r, u builder
		plain := kernels.NormGrad{NormShape: shape, X: r.normals(all), DY: r.normals(all), DX: r.out(all), NormStats: stats(&r)}
		kernels.Norm{NormShape: shape, X: plain.X, NormStats: plain.NormStats, Y: plain.DX}.Ref(r.mem)
		add("norm_grad-plain/"+name, false, &r, plain)
		add("avgpool5/"+name, false, &u, kernels.AvgPool5{PoolShape: s, X: u.normals(all), Y: u.out(all)})
		pool := kernels.MaxPool5{PoolShape: s, X: c.normals(all), Y: c.out(all), Index: c.out(all)}
		add("maxpool5/"+name, true, &c, pool)
		back := kernels.MaxPool5Grad{PoolShape: s, DY: d.normals(all), DX: d.out(all), Index: d.out(all)}
		kernels.MaxPool5{PoolShape: s, X: back.DY, Y: back.DX, Index: back.Index}.Ref(d.mem)
		add("maxpool5_grad/"+name, false, &d, back)
		if m.h%2 == 0 && m.w%2 == 0 {
			add("meanpool2/"+name, false, &e, kernels.MeanPool2{PoolShape: s, X: e.normals(all), Y: e.out(all / 4)})
			add("meanpool2_grad/"+name, false, &f, kernels.MeanPool2Grad{PoolShape: s, DY: f.normals(all / 4), DX: f.out(all)})
		}
		add("add/"+name, true, &g, kernels.Add{N: m.n, A: g.normals(all), B: g.normals(all), Dst: g.out(all)})
		for _, to := range [][2]int{{1, 1}, {2 * m.h, 2 * m.w}, {m.h, m.w}, {m.h + 3, m.w + 1}} {
			r := kernels.ResizeShape{N: m.n, H: m.h, W: m.w, HOut: to[0], WOut: to[1], C: m.c}
			n := m.n * to[0] * to[1] * m.c
			var h, i builder
			add(fmt.Sprintf("resize/%s-%dx%d", name, to[0], to[1]), false, &h, kernels.Resize{ResizeShape: r, X: h.normals(all), Y: h.out(n)})
			add(fmt.Sprintf("resize_grad/%s-%dx%d", name, to[0], to[1]), false, &i, kernels.ResizeGrad{ResizeShape: r, DY: i.normals(n), DX: i.out(all)})
		}
	}
	for _, n := range sizes {
		for _, rows := range []int{1, 3, 33} {
			all := n * rows
			name := fmt.Sprintf("%dx%d", rows, n)
			for _, f := range []kernels.Activation{kernels.ELU, kernels.ReLU, kernels.LReLU, kernels.Swish, kernels.Softplus} {
				var a, b, c builder
				add(string(f)+"/"+name, false, &a, kernels.Activate{F: f, N: rows, X: a.normals(all), Y: a.out(all)})
				grad := kernels.ActivateGrad{F: f, N: rows, DY: b.normals(all), DX: b.out(all)}
				if x := b.normals(all); f.FromInput() {
					grad.X = x
				} else {
					grad.Y = x
					kernels.Activate{F: f, N: rows, X: x, Y: x}.Ref(b.mem)
				}
				add(string(f)+"_grad/"+name, false, &b, grad)
				x := c.normals(all)
				add(string(f)+"-in-place/"+name, false, &c, kernels.Activate{F: f, N: rows, X: x, Y: x})
			}
			var a, b, c, d, e, f, g, h builder
			add("affine/"+name, true, &a, kernels.Affine{N: rows, X: a.normals(all), Y: a.out(all), Scale: 2, Shift: -1})
			add("div_sigma/"+name, true, &b, kernels.DivSigma{N: rows, X: b.normals(all), Sigma: b.positive(rows), Y: b.out(all)})
			add("mlp_input/"+name, false, &c, kernels.MLPInput{N: rows, X: c.normals(all), Sigma: c.positive(rows), Y: c.out(all + rows), SD: 0.5})
			add("loss/"+name, false, &d, kernels.Loss{N: rows, S: d.normals(all), Z: d.normals(all), Sigma: d.positive(rows), Mean: d.out(1), PerRow: d.out(rows), Power: 2})
			add("loss_grad/"+name, false, &e, kernels.LossGrad{N: rows, S: e.normals(all), Z: e.normals(all), Sigma: e.positive(rows), DMean: e.positive(1), DS: e.out(all), Power: 1.5})
			add("langevin/"+name, true, &f, kernels.Langevin{X: f.normals(all), S: f.normals(all), Alpha: f.positive(3), State: f.bits(7, 0, 5, 0), T: 4, D: n, Seed: 3})
			add("denoise/"+name, true, &g, kernels.Denoise{X: g.normals(all), S: g.normals(all), Sigma: g.positive(rows)})
			add("adam/"+name, false, &h, kernels.Adam{Param: h.normals(all), Grad: h.normals(all), M: h.normals(all), V: h.positive(all), EMA: h.normals(all), State: h.bits(9, 0, 0, 0),
				LR: 1e-3, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Rate: 0.999, Warmup: rows == 3})
		}
	}
	for _, step := range []uint32{0, 11, 12, 40} {
		var b builder
		add(fmt.Sprintf("set_sigma/step %d", step), true, &b, kernels.SetSigma{Sigma: b.out(5), Level: b.out(5), Ladder: b.positive(3), State: b.bits(step, 0, 0, 0), T: 4})
	}
	var a, b, c builder
	add("fill", true, &a, kernels.Fill{Dst: a.out(33), Value: 1.5})
	add("tick", true, &b, kernels.Tick{State: b.bits(0xffffffff, 3, 7, 9)})
	add("record", true, &c, kernels.Record{Ring: c.out(3 * 10), PerRow: c.normals(5), Level: c.bits(4, 3, 2, 1, 0), State: c.bits(7, 0, 0, 0)})
	return append(cases, perturbCases()...)
}

// perturbCases draw batches of images and vectors in every mode.
func perturbCases() []Case {
	images := func(n, h, w, c int) *kernels.Data {
		d := &kernels.Data{N: n, H: h, W: w, C: c, U8: make([]byte, n*h*w*c)}
		for i := range d.U8 {
			d.U8[i] = byte(i * 37)
		}
		return d
	}
	vectorsOf := func(n, c int) *kernels.Data {
		d := &kernels.Data{N: n, H: 1, W: 1, C: c, F32: make([]float32, n*c)}
		kernels.Stream{Seed: 1, Purpose: kernels.PurposeData}.Normals(d.F32)
		return d
	}
	bytes, vectors := images(7, 5, 3, 3), vectorsOf(9, 2)
	some := &kernels.Data{N: 4, H: 5, W: 3, C: 3, U8: bytes.U8, Rows: []uint32{6, 1, 2, 4}}
	someVectors := &kernels.Data{N: 3, H: 1, W: 1, C: 2, F32: vectors.F32, Rows: []uint32{8, 0, 5}}
	var cases []Case
	for name, op := range map[string]kernels.Perturb{
		"images":          {Data: bytes},
		"flip-dequantize": {Data: bytes, Flip: true, Dequantize: true},
		"rescale":         {Data: bytes, Rescale: true, Dequantize: true},
		"rescale-every":   {Data: bytes, Rescale: true, Every: true},
		"levels-per-step": {Data: bytes, LevelsPerStep: 3},
		"stratified":      {Data: vectors, Stratified: true},
		"stratified-3":    {Data: vectors, Stratified: true, LevelsPerStep: 3},
		"every":           {Data: bytes, Every: true, Flip: true, Dequantize: true},
		"some rows":       {Data: some, Flip: true},
		"some vectors":    {Data: someVectors},
		"grey":            {Data: images(3, 28, 28, 1), Flip: true, Dequantize: true},
		"colour":          {Data: images(2, 33, 47, 3), Flip: true},
		"pixel":           {Data: images(5, 1, 1, 1), Flip: true, Dequantize: true},
		"wide pixels":     {Data: images(2, 1, 3, 31), Flip: true},
		"vectors of 3":    {Data: vectorsOf(100, 3)},
		"vectors of 17":   {Data: vectorsOf(4, 17)},
	} {
		for _, n := range []int{1, 33, 70} {
			var b builder
			d := op.Data.D()
			op.N, op.Seed = n, 0x123456789abcdef
			op.Ladder, op.State = b.positive(11), b.bits(5, 1, 0, 0)
			op.XTilde, op.Z, op.Sigma, op.Level = b.out(n*d), b.out(n*d), b.out(n), b.out(n)
			cases = append(cases, Case{fmt.Sprintf("perturb/%s-%d", name, n), op, true, b.mem})
		}
	}
	return cases
}
