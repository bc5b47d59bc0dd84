// A table whose law is known, so that there are fresh draws of it: ten columns, correlated within each of three groups of
// rows, every third column skewed. Of a row of group k, with z ~ N(0, I),
//
//	e_0 = z_0,  e_j = rho_k e_(j-1) + sqrt(1 - rho_k^2) z_j     correlation rho_k^|i-j|
//	y_j = 1.5 cos(2 pi (k/3 + j/10)) + s_k e_j
//	x_j = exp(y_j/2) for j = 2, 5, 8, and y_j for the others

package main

import (
	"bufio"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"

	"gonum.org/v1/gonum/mat"
)

// tableColumns is the number of columns.
const tableColumns = 10

// tableGroups are the groups of rows.
var tableGroups = []struct{ part, rho, scale float64 }{{0.5, 0.8, 0.6}, {0.3, -0.5, 0.4}, {0.2, 0.3, 0.8}}

// drawTable draws n rows.
func drawTable(seed uint64, n int) *mat.Dense {
	random := rand.New(rand.NewPCG(seed, 0x7461626c65))
	x := mat.NewDense(n, tableColumns, nil)
	for i := range n {
		k, u := 0, random.Float64()
		for u > tableGroups[k].part && k+1 < len(tableGroups) {
			u -= tableGroups[k].part
			k++
		}
		g, e := tableGroups[k], 0.0
		for j := range tableColumns {
			z := random.NormFloat64()
			if e = g.rho*e + math.Sqrt(1-g.rho*g.rho)*z; j == 0 {
				e = z
			}
			y := 1.5*math.Cos(2*math.Pi*(float64(k)/3+float64(j)/tableColumns)) + g.scale*e
			if j%3 == 2 {
				y = math.Exp(y / 2)
			}
			x.Set(i, j, y)
		}
	}
	return x
}

// writeTable writes rows as CSV with the columns' names.
func writeTable(path string, x *mat.Dense) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriter(f)
	n, d := x.Dims()
	words := make([]string, d)
	for j := range words {
		words[j] = fmt.Sprintf("x%d", j)
	}
	for i := range n + 1 {
		if i > 0 {
			for j, v := range x.RawRowView(i - 1) {
				words[j] = strconv.FormatFloat(v, 'g', 7, 64)
			}
		}
		fmt.Fprintln(w, strings.Join(words, ","))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Close()
}
