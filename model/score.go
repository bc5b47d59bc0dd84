// A score function ready to run: a network with its memory, or a function known in closed form.

package model

import (
	"math"
	"slices"

	"gorgonia.org/gorgonia"

	"sigmaz/kernels"
	"sigmaz/model/graph"
)

// Denoised returns D(x, sigma) = x + sigma^2 s, the mean of the data given x with noise of sigma, from the score s there
// (Tweedie's formula). It holds for every process in the coordinates in which scores are: see sde.go.
func Denoised(x, s float32, sigma float64) float32 { return x + float32(sigma*sigma*float64(s)) }

// Score is a score function as samplers see it: operations that fill S with s(X, Sigma) for a batch of rows.
//
// A network reads the noise of a row as Sigma or as its level in the ladder, so set both. One that reads Sigma takes
// any, also between the levels: see [Config.TakesLevels]. One that is told classes reads them from Class.
//
// Work is memory that the sampler may use for its own state and tables; its size is asked for when the Score is made.
type Score struct {
	Backend kernels.Backend
	Arena   kernels.Arena
	Ops     []kernels.Op
	X, S    kernels.Buf // (N, D)
	Sigma   kernels.Buf // (N)
	Level   kernels.Buf // (N) uint32
	Class   kernels.Buf // (N) uint32; absent where there are no classes
	Work    kernels.Buf
	// V and VJ (N, D) are of a Score that was made with its Jacobian: Ops then fill VJ, too, with V^T ds/dx.
	V, VJ kernels.Buf
	N, D  int
	// ByLevel says that the network reads Level and knows no noise between two levels.
	ByLevel bool

	// GuidedOps are of a Score that was made [Guided]: they fill S with s_u + w (s_c - s_u), s_c being what Ops give and
	// s_u the score without classes, from one batch of twice the rows. Weight (N) holds w.
	GuidedOps []kernels.Op
	Weight    kernels.Buf

	params  []*Param
	weights kernels.Buf // all parameters
	twin    kernels.Buf // the classes of the second half of a guided batch: none
	noClass uint32
	inputs  []constant // that always have the same values
}

// constant is an input of a network and where it lies.
type constant struct {
	at     kernels.Buf
	values []float32
}

// halves are windows of a batch, and of all rows: twice as many where the batch has a twin.
type halves struct{ batch, twin, all kernels.Buf }

// takeHalves takes memory for rows of d values.
func takeHalves(take func(n int) kernels.Buf, objective Objective, rows, d int) halves {
	n := rows * d
	if objective != Guided {
		b := take(n)
		return halves{batch: b, all: b}
	}
	all := take(2 * n)
	return halves{all.Slice(0, n), all.Slice(n, n), all}
}

// mixed lists the operations of guidance around those of the whole batch.
func mixed(x, sigma, level, score halves, weight kernels.Buf, ops []kernels.Op) []kernels.Op {
	before := kernels.Twin{X: x.batch, TwinX: x.twin, Sigma: sigma.batch, TwinSigma: sigma.twin, Level: level.batch,
		TwinLevel: level.twin}
	return append(append([]kernels.Op{before}, ops...), kernels.Guide{S: score.batch, U: score.twin, Weight: weight})
}

// SetClasses tells the network the class of each row of the batch; [Config.NoClass] is none.
func (s *Score) SetClasses(classes []uint32) error {
	return s.Arena.Write(s.Class, bitsOf(classes))
}

// bitsOf returns words by their bit patterns.
func bitsOf(words []uint32) []float32 {
	out := make([]float32, len(words))
	for i, w := range words {
		out[i] = math.Float32frombits(w)
	}
	return out
}

// clearTwin sets the classes of the twin, which has none.
func (s *Score) clearTwin() error {
	if s.twin.N == 0 {
		return nil
	}
	none := make([]uint32, s.twin.N)
	for i := range none {
		none[i] = s.noClass
	}
	return s.Arena.Write(s.twin, bitsOf(none))
}

// ScoreFunc makes a Score of a function known in closed form: f writes s(x, sigma) of one row of d values to dst. The
// batch has n rows, the sampler work words.
func ScoreFunc(n, d, work int, f func(dst, x []float32, sigma float32)) (*Score, error) {
	return ClassScoreFunc(n, d, work, 0, func(dst, x []float32, sigma float32, _ int) { f(dst, x, sigma) })
}

// ClassScoreFunc is ScoreFunc for a score of so many classes, which can be guided; class is [Config.NoClass] for none.
func ClassScoreFunc(n, d, work, classes int, f func(dst, x []float32, sigma float32, class int)) (*Score, error) {
	s := &Score{Backend: kernels.NewCPU(0), N: n, D: d, noClass: uint32(classes)}
	objective := ScoreOnly
	if classes > 0 {
		objective = Guided
	}
	words := 0
	take := func(n int) kernels.Buf {
		b := kernels.Buf{Off: words, N: n}
		words += n
		return b
	}
	x, score := takeHalves(take, objective, n, d), takeHalves(take, objective, n, d)
	sigma, level := takeHalves(take, objective, n, 1), takeHalves(take, objective, n, 1)
	s.X, s.S, s.Sigma, s.Level, s.Work = x.batch, score.batch, sigma.batch, level.batch, take(work)
	var class halves
	if classes > 0 {
		class = takeHalves(take, objective, n, 1)
		s.Class, s.twin, s.Weight = class.batch, class.twin, take(n)
	}
	var err error
	if s.Arena, err = s.Backend.Alloc(words); err != nil {
		return nil, err
	}
	ops := func(x, score, sigma, class kernels.Buf) []kernels.Op {
		reads := []kernels.Buf{x, sigma}
		if classes > 0 {
			reads = append(reads, class)
		}
		return []kernels.Op{kernels.HostFunc{
			Label: "score", Reads: reads, Writes: []kernels.Buf{score},
			F: func(mem []float32) {
				x, dst, c := x.Of(mem), score.Of(mem), 0
				for i, sigma := range sigma.Of(mem) {
					if classes > 0 {
						c = int(math.Float32bits(class.Of(mem)[i]))
					}
					f(dst[i*d:(i+1)*d], x[i*d:(i+1)*d], sigma, c)
				}
			},
		}}
	}
	s.Ops = ops(x.batch, score.batch, sigma.batch, class.batch)
	if classes > 0 {
		s.GuidedOps = mixed(x, sigma, level, score, s.Weight, ops(x.all, score.all, sigma.all, class.all))
	}
	return s, s.clearTwin()
}

// NewScore makes a Score of a network, for batches of the given size, with work words of memory for the sampler. Its
// weights are to be loaded with LoadFrom. Its convolutions compute in the given precision. Where the device has too
// little memory, the error says which batch would fit.
func NewScore(b kernels.Backend, c Config, precision kernels.Precision, batch, work int) (*Score, error) {
	return NewScoreFor(b, c, ScoreOnly, precision, batch, work)
}

// NewScoreFor is NewScore for an objective: [ScoreOnly], [Jacobian] for a Score with V and VJ, or [Guided] for one with
// GuidedOps.
func NewScoreFor(b kernels.Backend, c Config, objective Objective, precision kernels.Precision, batch, work int) (*Score,
	error) {
	s, words, err := newScore(b, c, objective, precision, batch, work)
	if err != nil {
		return nil, err
	}
	if s.Arena, err = b.Alloc(words, s.programs()...); err != nil {
		return nil, WithFittingBatch(err, 0, batch,
			func(batch int) (int, error) { return scoreWords(b, c, objective, precision, batch, work) })
	}
	for _, in := range s.inputs {
		if err := s.Arena.Write(in.at, in.values); err != nil {
			return nil, err
		}
	}
	return s, s.clearTwin()
}

// programs lists the operations that take memory beside the arena.
func (s *Score) programs() [][]kernels.Op {
	if s.GuidedOps == nil {
		return [][]kernels.Op{s.Ops}
	}
	return [][]kernels.Op{s.Ops, s.GuidedOps}
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
	return words + b.Workspace(s.programs()...), nil
}

// newScore lays out the memory of a Score and returns its size in words, without taking it.
func newScore(b kernels.Backend, c Config, objective Objective, precision kernels.Precision, batch, work int) (*Score,
	int, error) {
	net, err := Build(c, batch, objective, kernels.Weight{})
	if err != nil {
		return nil, 0, err
	}
	s := &Score{Backend: b, N: batch, D: c.D(), ByLevel: c.TakesLevels(), params: net.Params, noClass: uint32(c.NoClass())}
	words := 0
	take := func(n int) kernels.Buf {
		b := kernels.Buf{Off: words, N: n}
		words += (n + 15) / 16 * 16 // whole cache lines
		return b
	}
	s.Work = take(work)
	sigma, level := takeHalves(take, objective, batch, 1), takeHalves(take, objective, batch, 1)
	s.Sigma, s.Level = sigma.batch, level.batch
	var class halves
	if c.Classes > 0 {
		class = takeHalves(take, objective, batch, 1)
		s.Class, s.twin = class.batch, class.twin
	}
	constants := make([]kernels.Buf, len(net.Constants))
	for i, c := range net.Constants {
		constants[i] = take(len(c.Values))
		s.inputs = append(s.inputs, constant{constants[i], c.Values})
	}
	s.weights.Off = words
	for _, p := range net.Params {
		words += p.Shape.TotalSize()
	}
	s.weights.N = words - s.weights.Off
	words = (words + 15) / 16 * 16
	// place says where what a network shares with others lies.
	place := func(net *Network, sigma, level, class kernels.Buf) map[*gorgonia.Node]kernels.Buf {
		placed := map[*gorgonia.Node]kernels.Buf{net.Sigma: sigma, net.Level: level, net.Class: class}
		for i, c := range net.Constants {
			placed[c.Node] = constants[i]
		}
		at := s.weights.Off
		for _, p := range net.Params {
			placed[p.Node] = kernels.Buf{Off: at, N: p.Shape.TotalSize()}
			at += p.Shape.TotalSize()
		}
		return placed
	}
	placed := place(net, s.Sigma, s.Level, s.Class)
	end := 0
	if objective == Guided { // both plans share their memory, since they never run at the same time
		twice, err := Build(c, 2*batch, objective, kernels.Weight{})
		if err != nil {
			return nil, 0, err
		}
		x, score := takeHalves(take, objective, batch, c.D()), takeHalves(take, objective, batch, c.D())
		s.Weight = take(batch)
		placed[net.XTilde], placed[net.Score] = x.batch, score.batch
		all := place(twice, sigma.all, level.all, class.all)
		all[twice.XTilde], all[twice.Score] = x.all, score.all
		plan, err := graph.NewPlan(gorgonia.Nodes{twice.Score}, all, words, precision)
		if err != nil {
			return nil, 0, err
		}
		s.GuidedOps, end = mixed(x, sigma, level, score, s.Weight, plan.Ops), plan.End
	}
	outputs := gorgonia.Nodes{net.Score}
	if objective == Jacobian {
		outputs = append(outputs, net.VJ)
	}
	plan, err := graph.NewPlan(outputs, placed, words, precision)
	if err != nil {
		return nil, 0, err
	}
	s.Ops, s.X, s.S = plan.Ops, plan.Buf(net.XTilde), plan.Buf(net.Score)
	if objective == Jacobian {
		s.V, s.VJ = plan.Buf(net.V), plan.Buf(net.VJ)
	}
	return s, max(plan.End, end), nil
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
