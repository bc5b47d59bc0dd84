// What a network costs, and which batch of it a device has memory for.

package model

import (
	"errors"
	"fmt"
	"sort"

	"gorgonia.org/gorgonia"

	"sigmaz/kernels"
	"sigmaz/model/graph"
)

// Info describes a network.
type Info struct {
	Parameters int // that are trained
	Tensors    int
	MACs       int64 // multiply-adds of one forward pass of one row
	TensorMACs int64 // those of them that tensor cores do where the precision is not float32
}

// Describe counts a network's parameters and work.
func Describe(c Config) (Info, error) {
	net, err := Build(c, 1, ScoreOnly, kernels.Weight{})
	if err != nil {
		return Info{}, err
	}
	info := Info{Tensors: len(net.Params)}
	for _, p := range net.Params {
		if !p.Frozen {
			info.Parameters += p.Shape.TotalSize()
		}
	}
	plan, err := graph.NewPlan(gorgonia.Nodes{net.Score}, nil, 0, kernels.TF32)
	if err != nil {
		return Info{}, err
	}
	for _, op := range plan.Ops {
		switch op := op.(type) {
		case kernels.Conv:
			info.MACs += op.MACs()
			if op.OnTensorCores() {
				info.TensorMACs += op.MACs()
			}
		case kernels.AttentionScores:
			info.MACs += op.MACs()
		case kernels.AttentionMix:
			info.MACs += op.MACs()
		}
	}
	return info, nil
}

// WithFittingBatch adds to the error of a device with too little memory which smaller batch would fit. words returns
// how many four-byte words a batch needs; more is how many bytes will be free beside those that the error says are
// free. One part in 32 of the memory is left to the driver. Other errors are returned as they are.
func WithFittingBatch(err error, more int64, batch int, words func(batch int) (int, error)) error {
	var oom kernels.OutOfMemory
	if !errors.As(err, &oom) {
		return err
	}
	_, free := oom.Memory()
	free += more
	free -= free / 32
	fits := sort.Search(batch-1, func(i int) bool { // batch i+1 is the first that does not fit
		n, err := words(i + 1)
		return err != nil || 4*int64(n) > free
	})
	if fits == 0 {
		return fmt.Errorf("%w; not even batch 1 would fit, make the network smaller", err)
	}
	return fmt.Errorf("%w; batch %d would fit", err, fits)
}
