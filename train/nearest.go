// Spelling help for names that are not known.
package train

import "sigmaz/internal/nearest"

// DidYouMean is "; did you mean X?" with the nearest of the known names, or "" when none is near.
func DidYouMean(name string, known []string) string { return nearest.DidYouMean(name, known) }
