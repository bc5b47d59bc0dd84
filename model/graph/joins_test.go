// Layers that join, add a row for each image and drop values, against formulas.

package graph_test

import (
	"testing"

	"gorgonia.org/gorgonia"

	"sigmaz/kernels"
	"sigmaz/model/graph"
)

// A block's own layers, a row for each image, a join and dropout, against formulas: with the graph's gradients of what two
// layers use.
func TestJoinsAndDropout(t *testing.T) {
	const n, h, w, c, p, root = 3, 2, 2, 4, 0.25, 0.70710678
	normals := func(stream uint64, n int) []float32 {
		v := make([]float32, n)
		kernels.Stream{Seed: 4, Purpose: kernels.PurposeData, N: stream}.Normals(v)
		return v
	}
	eachBackend(t, func(t *testing.T, backend kernels.Backend) {
		b := newLayerGraph(t, nil, "")
		x, e := b.node("x", normals(1, n*h*w*c), n, h, w, c), b.node("e", normals(2, n*c), n, c)
		state := make([]float32, kernels.StateWords)
		kernels.SetStep(state, 1<<32+5)
		z := b.node("z", normals(3, n*h*w*c), n, h, w, c)
		sigma := b.node("sigma", []float32{1, 1, 1}, n)
		r := b.apply(graph.AddRow{}, x, e)
		drop := b.apply(graph.Dropout{P: p, Index: 3, Seed: 11}, r, b.node("state", state, kernels.StateWords))
		y := b.apply(graph.Join{Scale: root}, x, drop)
		loss := b.apply(graph.Loss{Weight: kernels.Weight{Power: 2}}, y, z, sigma)
		grads, err := graph.Gradients(loss, gorgonia.Nodes{x, e})
		if err != nil {
			t.Fatal(err)
		}
		got := b.run(backend, loss, y, grads[0], grads[1])
		wantY, wantX, wantE := make([]float32, n*h*w*c), make([]float32, n*h*w*c), make([]float32, n*c)
		for i, v := range b.values[x] {
			row, channel := i/(h*w*c), i%c
			stream := kernels.Stream{Seed: 11, Purpose: kernels.PurposeDropout | 3<<8, N: (1<<32+5)*n + uint64(row)}
			factor := float32(0)
			if kernels.Uniform(stream.Word(i%(h*w*c))) > p {
				factor = 1 / (1 - p)
			}
			wantY[i] = root * (v + factor*(v+b.values[e][row*c+channel]))
			dy := (wantY[i] + b.values[z][i]) / n
			wantX[i] = root * dy * (1 + factor)
			wantE[row*c+channel] += root * dy * factor
		}
		b.near("y", got[0], wantY, layerTol)
		b.near("dx", got[1], wantX, layerTol)
		b.near("de", got[2], wantE, layerTol)
	})
}
