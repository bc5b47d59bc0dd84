// Package nearest finds what a misspelt name was meant to be.
package nearest

import (
	"strings"

	"github.com/agnivade/levenshtein"
)

// Word is the known name that is fewest edits away from name, case aside, and at most about a third of the longer
// name's letters; two neighbours that changed places are one edit. Where none is, it is the first that begins with name, or with which name begins, of three letters at
// least. "" if there is none either.
func Word(name string, known []string) string {
	letters := func(s string) string { return strings.ToLower(strings.TrimLeft(s, "-")) } // the dashes of a flag do not count
	best, bestEdits := "", 0
	a := letters(name)
	for _, k := range known {
		b := letters(k)
		e := levenshtein.ComputeDistance(a, b)
		if swapped(a, b) {
			e = 1
		}
		if e <= max(1, (max(len(a), len(b))+1)/3) && (e == 0 || e < min(len(a), len(b))) && (best == "" || e < bestEdits) {
			best, bestEdits = k, e
		}
	}
	if best != "" {
		return best
	}
	for _, k := range known {
		b := letters(k)
		if min(len(a), len(b)) >= 3 && (strings.HasPrefix(a, b) || strings.HasPrefix(b, a)) {
			return k
		}
	}
	return ""
}

// swapped tells whether a and b differ by two neighbours that changed places.
func swapped(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := 0; i+1 < len(a); i++ {
		if a[i] != b[i] {
			return a[i] == b[i+1] && a[i+1] == b[i] && a[i+2:] == b[i+2:]
		}
	}
	return false
}

// DidYouMean is "; did you mean X?" with the nearest of the known names, or "" when none is near.
func DidYouMean(name string, known []string) string {
	if word := Word(name, known); word != "" {
		return "; did you mean " + word + "?"
	}
	return ""
}
