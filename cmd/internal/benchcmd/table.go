// Tables: rows of numbers with their units, as text.

package benchcmd

import (
	"fmt"
	"math"
	"strings"
	"unicode/utf8"
)

// Row is one line of a table.
type Row struct {
	Table  string
	Name   string
	Values []Value
	Memory int64 `json:",omitempty"` // bytes
	Rule   bool  `json:",omitempty"` // of choices: the one that the rule makes
}

// Value is one number: the median of several, with the lowest and highest of them where it is a rate. It is 0 where
// nothing was timed.
type Value struct {
	Name              string
	Unit              string
	Median, Low, High float64
	OfPeak            float64 `json:",omitempty"` // percent of a peak measured in the same run; of a time, of all of them
}

// table is rows with the same values.
type table struct {
	title string
	note  string // behind the title in the heading
	rows  []Row
}

// print writes a table and keeps its rows for the report. One without rows is not there.
func (b *bench) print(t table) error {
	if len(t.rows) == 0 {
		return nil
	}
	for i := range t.rows {
		t.rows[i].Table = t.title
	}
	b.report.Rows = append(b.report.Rows, t.rows...)
	fmt.Fprintf(b.out, "\n%s\n", strings.Join(t.lines(), "\n"))
	return b.saveSoFar()
}

// lines formats the table: a heading with names and units, then the rows. The numbers of one unit have one scale, so
// that they can be compared at a glance.
func (t table) lines() []string {
	if len(t.rows) == 0 {
		return nil
	}
	largest := map[string]float64{}
	for _, r := range t.rows {
		for _, v := range r.Values {
			largest[v.Unit] = max(largest[v.Unit], v.Median)
		}
	}
	head := []string{strings.TrimSpace(t.title + " " + t.note)}
	first := t.rows[0]
	title := ""
	for _, v := range first.Values {
		prefix, _ := scale(v.Unit, largest[v.Unit])
		name := prefix + v.Unit
		switch {
		case len(largest) == 1: // the title says it for all columns
			title = ", " + name
			name = v.Name
		case v.Name != "":
			name = strings.TrimSpace(v.Name + " " + name)
		}
		head = append(head, name)
	}
	head[0] += title
	if first.Memory > 0 {
		head = append(head, "memory")
	}
	cells := [][]string{head}
	for _, r := range t.rows {
		line := []string{r.Name}
		if r.Rule {
			line[0] += " (rule)"
		}
		for _, v := range r.Values {
			_, s := scale(v.Unit, largest[v.Unit])
			line = append(line, v.text(s))
		}
		if first.Memory > 0 {
			line = append(line, size(r.Memory))
		}
		cells = append(cells, line)
	}
	widths := make([]int, len(head))
	for _, line := range cells {
		for c, text := range line {
			widths[c] = max(widths[c], utf8.RuneCountInString(text))
		}
	}
	var out []string
	for _, line := range cells {
		s := fmt.Sprintf("%-*s", widths[0], line[0])
		for c, text := range line[1:] {
			s += fmt.Sprintf("  %*s", widths[c+1], text)
		}
		out = append(out, s)
	}
	return out
}

// text writes a number as the table shows it, with the repetition furthest from the median.
func (v Value) text(scale float64) string {
	if v.Median == 0 {
		return "-"
	}
	text := number(v.Median / scale)
	if v.Low > 0 {
		text += fmt.Sprintf(" ±%.0f%%", 100*max(v.High/v.Median-1, 1-v.Low/v.Median))
	}
	if v.OfPeak > 0 {
		text += fmt.Sprintf(" (%.0f%%)", v.OfPeak)
	}
	return text
}

// scale chooses the power of 1000 that numbers up to largest are shown in. Only FLOP and bytes have one.
func scale(unit string, largest float64) (prefix string, by float64) {
	by = 1
	if unit != "FLOP/s" && unit != "B/s" {
		return "", by
	}
	for _, p := range []string{"k", "M", "G", "T"} {
		if largest < 1000*by {
			break
		}
		prefix, by = p, 1000*by
	}
	return prefix, by
}

// size writes a number of bytes in the largest unit that leaves a whole part.
func size(bytes int64) string {
	v, unit := float64(bytes)/(1<<10), "KiB"
	for _, u := range []string{"MiB", "GiB", "TiB"} {
		if v < 1024 {
			break
		}
		v, unit = v/1024, u
	}
	return number(v) + " " + unit
}

// number writes v with three digits, and all digits before the point.
func number(v float64) string {
	decimals := 0
	for a := math.Abs(v); decimals < 4 && a < 100; a *= 10 {
		decimals++
	}
	return fmt.Sprintf("%.*f", min(decimals, 3), v)
}
