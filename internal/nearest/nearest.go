// Package nearest finds what a misspelt name was meant to be.
package nearest

import (
	"strings"

	"github.com/agnivade/levenshtein"
)

// Word is the known name that is fewest edits away from name, case aside, and at most about a third of the longer
// name's letters; "" if there is none.
func Word(name string, known []string) string {
	best, bestEdits := "", 0
	for _, k := range known {
		e := levenshtein.ComputeDistance(strings.ToLower(name), strings.ToLower(k))
		if e <= (max(len(k), len(name))+2)/3 && (best == "" || e < bestEdits) {
			best, bestEdits = k, e
		}
	}
	return best
}
