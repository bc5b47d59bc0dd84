// What samples cost on this machine: one batch of the network, measured.

package sigmascmd

import (
	"runtime"
	"time"

	"sigmaz/cmd/internal/preview"
	"sigmaz/kernels"
	"sigmaz/model"
	"sigmaz/train"
)

// Cost is an estimate of the time that samples take.
type Cost struct {
	Samples         int     `json:"samples"`
	Network         string  `json:"network"` // "ncsnv2, ngf 8"
	Device          string  `json:"device"`
	PerSecond       float64 `json:"evaluations_per_second"`
	Seconds         float64 `json:"seconds"` // by the usual sampler
	LangevinSeconds float64 `json:"langevin_seconds"`
}

const (
	costMACs = 1 << 32                // multiply-adds of the batch that is timed, about: seconds on one core
	costTime = 300 * time.Millisecond // for which it is repeated
)

// measure times one batch of the network and returns how many rows of it are evaluated in a second.
func measure(b kernels.Backend, c *train.Config, gpu bool) (perSecond float64, err error) {
	if err := c.ChoosePrecision(gpu); err != nil {
		return 0, err
	}
	info, err := model.Describe(c.Network)
	if err != nil {
		return 0, err
	}
	batch := preview.BatchFor(c.Network)
	if !gpu {
		batch = min(batch, max(runtime.GOMAXPROCS(0), int(costMACs/max(1, info.MACs))))
	}
	s, err := model.NewScore(b, c.Network, c.Precision, batch, 0)
	if err != nil {
		return 0, err
	}
	sigma := make([]float32, batch)
	for i := range sigma {
		sigma[i] = 1
	}
	if err := s.Arena.Write(s.Sigma, sigma); err != nil {
		return 0, err
	}
	program, err := b.Compile(s.Arena, s.Ops)
	if err != nil {
		return 0, err
	}
	// The first run is not like the others. A read waits for the device.
	once := func() error {
		if err := program.Run(); err != nil {
			return err
		}
		return s.Arena.Read(sigma, s.Sigma)
	}
	if err := once(); err != nil {
		return 0, err
	}
	n := 0
	for start := time.Now(); ; {
		if err := once(); err != nil {
			return 0, err
		}
		n++
		if took := time.Since(start); took > costTime {
			return float64(n*batch) / took.Seconds(), nil
		}
	}
}
