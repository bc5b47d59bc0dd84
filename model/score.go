// A score function ready to run: a network with its memory, or a function known in closed form.

package model

import (
	"slices"

	"gorgonia.org/gorgonia"

	"sigmaz/kernels"
	"sigmaz/model/graph"
)

// Score is a score function as samplers see it: operations that fill S with s(X, Sigma) for a batch of rows.
//
// A network reads the noise of a row as Sigma or as its level in the ladder, so set both. One that reads Sigma takes
// any, also between the levels: see [Config.TakesLevels].
//
// Work is memory that the sampler may use for its own state and tables; its size is asked for when the Score is made.
type Score struct {
	Backend kernels.Backend
	Arena   kernels.Arena
	Ops     []kernels.Op
	X, S    kernels.Buf // (N, D)
	Sigma   kernels.Buf // (N)
	Level   kernels.Buf // (N) uint32
	Work    kernels.Buf
	// V and VJ (N, D) are of a Score that was made with its Jacobian: Ops then fill VJ, too, with V^T ds/dx.
	V, VJ kernels.Buf
	N, D  int
	// ByLevel says that the network reads Level and knows no noise between two levels.
	ByLevel bool

	params  []*Param
	weights kernels.Buf // all parameters
	inputs  []constant  // that always have the same values
}

// constant is an input of a network and where it lies.
type constant struct {
	at     kernels.Buf
	values []float32
}

// ScoreFunc makes a Score of a function known in closed form: f writes s(x, sigma) of one row of d values to dst. The
// batch has n rows, the sampler work words.
func ScoreFunc(n, d, work int, f func(dst, x []float32, sigma float32)) (*Score, error) {
	s := &Score{Backend: kernels.NewCPU(0), N: n, D: d}
	words := 0
	for _, w := range []struct {
		window *kernels.Buf
		n      int
	}{{&s.X, n * d}, {&s.S, n * d}, {&s.Sigma, n}, {&s.Level, n}, {&s.Work, work}} {
		*w.window = kernels.Buf{Off: words, N: w.n}
		words += w.n
	}
	var err error
	if s.Arena, err = s.Backend.Alloc(words); err != nil {
		return nil, err
	}
	s.Ops = []kernels.Op{kernels.HostFunc{
		Label: "score", Reads: []kernels.Buf{s.X, s.Sigma}, Writes: []kernels.Buf{s.S},
		F: func(mem []float32) {
			x, dst := s.X.Of(mem), s.S.Of(mem)
			for i, sigma := range s.Sigma.Of(mem) {
				f(dst[i*d:(i+1)*d], x[i*d:(i+1)*d], sigma)
			}
		},
	}}
	return s, nil
}

// NewScore makes a Score of a network, for batches of the given size, with work words of memory for the sampler. Its
// weights are to be loaded with LoadFrom. Its convolutions compute in the given precision. Where the device has too
// little memory, the error says which batch would fit.
func NewScore(b kernels.Backend, c Config, precision kernels.Precision, batch, work int) (*Score, error) {
	return NewScoreFor(b, c, ScoreOnly, precision, batch, work)
}

// NewScoreFor is NewScore for an objective: [ScoreOnly], or [Jacobian] for a Score with V and VJ.
func NewScoreFor(b kernels.Backend, c Config, objective Objective, precision kernels.Precision, batch, work int) (*Score,
	error) {
	s, words, err := newScore(b, c, objective, precision, batch, work)
	if err != nil {
		return nil, err
	}
	if s.Arena, err = b.Alloc(words, s.Ops); err != nil {
		return nil, WithFittingBatch(err, 0, batch,
			func(batch int) (int, error) { return scoreWords(b, c, objective, precision, batch, work) })
	}
	for _, in := range s.inputs {
		if err := s.Arena.Write(in.at, in.values); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// ScoreWords returns the memory in four-byte words that [NewScore] takes.
func ScoreWords(b kernels.Backend, c Config, precision kernels.Precision, batch, work int) (int, error) {
	return scoreWords(b, c, ScoreOnly, precision, batch, work)
}

func scoreWords(b kernels.Backend, c Config, objective Objective, precision kernels.Precision, batch, work int) (int,
	error) {
	s, words, err := newScore(b, c, objective, precision, batch, work)
	if err != nil {
		return 0, err
	}
	return words + b.Workspace(s.Ops), nil
}

// newScore lays out the memory of a Score and returns its size in words, without taking it.
func newScore(b kernels.Backend, c Config, objective Objective, precision kernels.Precision, batch, work int) (*Score,
	int, error) {
	net, err := Build(c, batch, objective, kernels.Weight{})
	if err != nil {
		return nil, 0, err
	}
	s := &Score{Backend: b, N: batch, D: c.D(), ByLevel: c.TakesLevels(), params: net.Params}
	words := 0
	take := func(n int) kernels.Buf {
		b := kernels.Buf{Off: words, N: n}
		words += (n + 15) / 16 * 16 // whole cache lines
		return b
	}
	s.Work, s.Sigma, s.Level = take(work), take(batch), take(batch)
	placed := map[*gorgonia.Node]kernels.Buf{net.Sigma: s.Sigma, net.Level: s.Level}
	for _, c := range net.Constants {
		placed[c.Node] = take(len(c.Values))
		s.inputs = append(s.inputs, constant{placed[c.Node], c.Values})
	}
	s.weights.Off = words
	for _, p := range net.Params {
		placed[p.Node] = kernels.Buf{Off: words, N: p.Shape.TotalSize()}
		words += p.Shape.TotalSize()
	}
	s.weights.N = words - s.weights.Off
	outputs := gorgonia.Nodes{net.Score}
	if objective == Jacobian {
		outputs = append(outputs, net.VJ)
	}
	plan, err := graph.NewPlan(outputs, placed, (words+15)/16*16, precision)
	if err != nil {
		return nil, 0, err
	}
	s.Ops, s.X, s.S = plan.Ops, plan.Buf(net.XTilde), plan.Buf(net.Score)
	if objective == Jacobian {
		s.V, s.VJ = plan.Buf(net.V), plan.Buf(net.VJ)
	}
	return s, plan.End, nil
}

// Parts returns the operations that fill S, and those behind them that fill VJ from what V holds by then.
func (s *Score) Parts() (score, product []kernels.Op) {
	readsV := func(op kernels.Op) bool {
		reads, _ := op.Operands()
		return slices.Contains(reads, s.V)
	}
	at := slices.IndexFunc(s.Ops, readsV)
	return s.Ops[:at], s.Ops[at:]
}

// Load sets the weights to the tensors called prefix+NAME; in a checkpoint the prefix is "ema." or "param.".
func (s *Score) Load(tensors []Named, prefix string) error {
	return s.LoadFrom(NamedSet(tensors), prefix)
}

// LoadFrom is Load for a set of tensors, which may lie in a file: they are read one by one.
func (s *Score) LoadFrom(set TensorSet, prefix string) error {
	at := s.weights.Off
	return ReadParams(s.params, set, prefix, func(i int, words []float32) error {
		b := kernels.Buf{Off: at, N: len(words)}
		at += len(words)
		return s.Arena.Write(b, words)
	})
}
