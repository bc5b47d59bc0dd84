// Spelling help for names that are not known.
package train

import "strings"

// DidYouMean is "; did you mean X?" with the nearest of the known names, or "" when none is near.
func DidYouMean(name string, known []string) string {
	best, bestEdits := "", 0
	for _, k := range known {
		e := edits(strings.ToLower(name), strings.ToLower(k))
		if e <= (max(len(k), len(name))+2)/3 && (best == "" || e < bestEdits) {
			best, bestEdits = k, e
		}
	}
	if best == "" {
		return ""
	}
	return "; did you mean " + best + "?"
}

// edits is the Levenshtein distance of a and b in bytes.
func edits(a, b string) int {
	row := make([]int, len(b)+1) // row[j] = distance of the first i bytes of a to the first j of b
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			substitute := diagonal
			if a[i] != b[j] {
				substitute++
			}
			diagonal = row[j+1]
			row[j+1] = min(substitute, diagonal+1, row[j]+1)
		}
	}
	return row[len(b)]
}
