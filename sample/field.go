// The score as a field: s(x, sigma) at given points.

package sample

import (
	"fmt"
	"math"

	"sigmaz/kernels"
	"sigmaz/model"
)

// EvaluateField returns s(x, sigma), (n, D), at any number of points (n, D). It works in batches of the score's N
// rows and overwrites the score's X, Sigma, Level and S. level is the index of sigma in the ladder: some networks are
// told the level instead of sigma.
func EvaluateField(s *model.Score, points []float32, sigma float32, level int) ([]float32, error) {
	if len(points)%s.D != 0 {
		panic(fmt.Sprintf("sample: %d values are no whole number of points of %d values", len(points), s.D))
	}
	program, err := s.Backend.Compile(s.Arena, s.Ops)
	if err != nil {
		return nil, err
	}
	sigmas, levels := make([]float32, s.N), make([]float32, s.N)
	for i := range sigmas {
		sigmas[i], levels[i] = sigma, math.Float32frombits(uint32(level))
	}
	if err := s.Arena.Write(s.Level, levels); err != nil {
		return nil, err
	}
	x := make([]float32, s.N*s.D)
	out := make([]float32, len(points))
	for at := 0; at < len(points); at += len(x) {
		m := copy(x, points[at:])
		if err := s.Arena.Write(s.X, x); err != nil {
			return nil, err
		}
		if err := s.Arena.Write(s.Sigma, sigmas); err != nil {
			return nil, err
		}
		if err := program.Run(); err != nil {
			return nil, err
		}
		if err := s.Arena.Read(out[at:at+m], kernels.Buf{Off: s.S.Off, N: m}); err != nil {
			return nil, err
		}
	}
	return out, nil
}
