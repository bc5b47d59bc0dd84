// Toys: point clouds in the plane whose shape the eye can check.
//
// Each is scaled by fixed numbers so that the root mean square of its coordinates about its centre is 1. Point i is a
// function of (seed, i): its random numbers are those of the stream (seed, kernels.PurposeData, i).

package dataset

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"sigmaz/internal/nearest"
	"sigmaz/kernels"
)

const toyCount = 50_000

// toys are all toys. point makes a point of two numbers uniform in (0, 1] and two standard normal ones.
var toys = []struct {
	name  string
	point func(u0, u1, z0, z1 float64) (x, y float64)
}{
	{"swissroll", swissRoll}, {"checkerboard", checkerboard}, {"gaussians", gaussians}, {"moons", moons},
}

// Toys lists the names that [ToySample] and the specification "toy:NAME" know.
func Toys() []string {
	var names []string
	for _, t := range toys {
		names = append(names, t.name)
	}
	return names
}

// ToySample draws n points (n, 2) of a toy from seed:
//
//	swissroll     t (cos t, sin t) with t uniform in [1.5 pi, 4.5 pi], as make_swiss_roll of scikit-learn has it
//	              without its depth; moved to mean 0, scaled by 1/6.8, plus 0.05 z
//	checkerboard  uniform on the 8 dark squares of a 4x4 board [-sqrt 3, sqrt 3]^2
//	gaussians     8 equally likely N(m_k, 0.1^2 I), m_k on a ring of radius sqrt 1.98
//	moons         two half circles (cos t, sin t) and (1 - cos t, 1/2 - sin t), t uniform in [0, pi], plus 0.1 z, as
//	              scikit-learn's make_moons; moved to mean 0, scaled by 1/0.712
//
// with z ~ N(0, I). It fails for another name and for a negative n.
func ToySample(name string, seed uint64, n int) ([]float32, error) {
	points, err := drawToy(name, seed, n)
	if err != nil {
		return nil, fmt.Errorf("dataset: %w", err)
	}
	return points, nil
}

// toyClasses are the classes of the toys that have some: how many, and that of the point of two uniform numbers.
var toyClasses = map[string]*struct {
	n  int
	of func(u0, u1 float64) uint32
}{
	"gaussians": {8, func(u, _ float64) uint32 { return uint32(gaussianOf(u)) }},
	"moons": {2, func(_, u float64) uint32 {
		if u > 0.5 {
			return 1
		}
		return 0
	}},
}

// makeToy makes the data set of a toy, with its classes where these are asked for.
func makeToy(name string, seed uint64, classes bool) (*Set, error) {
	points, err := drawToy(name, seed, toyCount)
	if err != nil {
		return nil, err
	}
	s := &Set{
		Data: kernels.Data{N: toyCount, H: 1, W: 1, C: 2, F32: points},
		Name: fmt.Sprintf("toy:%s: %d points in the plane from seed %d", name, toyCount, seed),
	}
	if classes {
		of := toyClasses[name]
		l := labelling{byteNames[:of.n], make([]uint32, toyCount)}
		for i := range l.Labels {
			u := kernels.Stream{Seed: seed, Purpose: kernels.PurposeData, N: uint64(i)}.Block(0)
			l.Labels[i] = of.of(float64(kernels.Uniform(u[0])), float64(kernels.Uniform(u[1])))
		}
		s.label(l)
	}
	return s, nil
}

func drawToy(name string, seed uint64, n int) ([]float32, error) {
	k := slices.Index(Toys(), name)
	if k < 0 {
		hint := "choose one of them"
		if near := nearest.Word(name, Toys()); near != "" {
			hint = fmt.Sprintf("did you mean %q?", toyPrefix+near)
		}
		return nil, fmt.Errorf("toy:%s: expected one of %s, found %q; %s", name, strings.Join(Toys(), ", "), name, hint)
	}
	if n < 0 {
		return nil, fmt.Errorf("toy:%s: expected a number of points, found %d; ask for 0 or more", name, n)
	}
	points := make([]float32, 2*n)
	for i := range n {
		s := kernels.Stream{Seed: seed, Purpose: kernels.PurposeData, N: uint64(i)}
		u, z := s.Block(0), kernels.NormalBlock(s.Block(1))
		x, y := toys[k].point(float64(kernels.Uniform(u[0])), float64(kernels.Uniform(u[1])), float64(z[0]), float64(z[1]))
		points[2*i], points[2*i+1] = float32(x), float32(y)
	}
	return points, nil
}

// swissRoll returns a point of the spiral. The mean is (E t cos t, E t sin t) = (2, 2/(3 pi)), and E t^2 = 9.75 pi^2,
// so the variance of a coordinate is (9.75 pi^2 - 4 - (2/(3 pi))^2)/2 = 6.789^2: divided by 6.8^2 and with the noise,
// 1.
func swissRoll(u, _, z0, z1 float64) (x, y float64) {
	turn := 0.75 + float64(1.5*u) // t / (2 pi)
	t := float64(2 * math.Pi * turn)
	sin, cos := sinCosTurn(turn)
	x = (float64(t*cos) - 2) / 6.8
	y = (float64(t*sin) - 2/(3*math.Pi)) / 6.8
	return x + float64(0.05*z0), y + float64(0.05*z1)
}

// checkerboard returns a point on a dark square: u0 chooses the column and the place across it, u1 one of the two dark
// squares of that column and the place along it.
func checkerboard(u0, u1, _, _ float64) (x, y float64) {
	column := min(math.Floor(float64(4*u0)), 3) // u is in (0, 1]
	v := float64(2 * u1)
	row := min(math.Floor(v), 1)
	inSquare := v - row
	square := float64(2*row) + float64(int(column)%2)
	return float64((float64(4*u0) - 2) * (math.Sqrt(3) / 2)), float64((square + inSquare - 2) * (math.Sqrt(3) / 2))
}

// gaussians returns a point of one of the eight, which u chooses. The variance of a coordinate is 1.98/2 + 0.1^2 = 1.
func gaussians(u, _, z0, z1 float64) (x, y float64) {
	k := gaussianOf(u)
	sin, cos := sinCosTurn(k / 8)
	radius := math.Sqrt(1.98)
	return float64(radius*cos) + float64(0.1*z0), float64(radius*sin) + float64(0.1*z1)
}

// gaussianOf returns which of the eight a uniform number chooses.
func gaussianOf(u float64) float64 { return min(math.Floor(float64(8*u)), 7) }

// moons returns a point of one of the two half circles, which u1 chooses. The mean is (1/2, 1/4). The variances are
// 3/4 of x and 9/16 - 1/pi of y; their mean, with that of the noise, is 0.712^2.
func moons(u0, u1, z0, z1 float64) (x, y float64) {
	sin, cos := sinCosTurn(u0 / 2)
	x, y = cos, sin
	if u1 > 0.5 {
		x, y = 1-cos, 0.5-sin
	}
	const scale = 1 / 0.712
	return float64((x - 0.5 + float64(0.1*z0)) * scale), float64((y - 0.25 + float64(0.1*z1)) * scale)
}

// sinCosTurn returns sine and cosine of 2 pi turn, for turn >= 0. (The last bit of math.Sincos depends on whether the
// machine fuses products and sums.) The angle is a multiple of pi/2 plus a with |a| <= pi/4; the Taylor series
//
//	sin a = a (1 - a^2/(2*3) (1 - a^2/(4*5) (...)))        cos a = 1 - a^2/(1*2) (1 - a^2/(3*4) (...))
//
// to the factor of 16*17 are off by less than 1e-15.
func sinCosTurn(turn float64) (sin, cos float64) {
	quarter := math.Floor(float64(4*turn) + 0.5)
	a := float64((turn - quarter/4) * (2 * math.Pi)) // the difference is exact
	b := float64(a * a)
	s, c := 1.0, 1.0
	for k := 16.0; k >= 2; k -= 2 {
		s = 1 - float64(float64(b*s)/float64(k*(k+1)))
		c = 1 - float64(float64(b*c)/float64(k*(k-1)))
	}
	s = float64(s * a)
	switch int64(quarter) & 3 {
	case 0:
		return s, c
	case 1:
		return c, -s
	case 2:
		return -s, -c
	default:
		return -c, s
	}
}
