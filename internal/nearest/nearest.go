package nearest

import (
	"strings"

	"github.com/agnivade/levenshtein"
)

// Word returns the known name that name was most likely meant to be, or "" when none is near:
//
//  1. the name that is fewest edits away, if these are at most about a third of the longer name's letters. Case and a
//     flag's dashes do not count; swapping two neighbouring letters counts as one edit;
//  2. otherwise the first name that begins with name, or that name begins with, where the shorter of the two has three
//     letters or more.
func Word(name string, known []string) string {
	letters := func(s string) string { return strings.ToLower(strings.TrimLeft(s, "-")) }
	best, bestEdits := "", 0
	a := letters(name)
	for _, k := range known {
		b := letters(k)
		e := levenshtein.ComputeDistance(a, b)
		if swapped(a, b) {
			e = 1
		}
		near := e <= max(1, (max(len(a), len(b))+1)/3)
		shares := e == 0 || e < min(len(a), len(b)) // as many edits as letters would turn any word into any other
		if near && shares && (best == "" || e < bestEdits) {
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

// swapped reports whether b is a with two neighbouring letters swapped.
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

// DidYouMean returns "; did you mean X?" with the nearest of the known names, or "" when none is near.
func DidYouMean(name string, known []string) string {
	if word := Word(name, known); word != "" {
		return "; did you mean " + word + "?"
	}
	return ""
}
