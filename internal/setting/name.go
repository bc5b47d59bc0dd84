// Names in sentences: an error about one setting often points to another, "use another net, or a preset". A sentence
// has such names between backquotes, where a command puts its flag instead.

package setting

import "regexp"

// name is a setting between backquotes, as a word of its own: `sigma-begin`.
var name = regexp.MustCompile("(^|[ (])`([A-Za-z][A-Za-z0-9-]*)`")

// Names returns text with what write makes of each setting's name in the place of the name and its backquotes.
func Names(text string, write func(name string) string) string {
	return name.ReplaceAllStringFunc(text, func(s string) string {
		m := name.FindStringSubmatch(s)
		return m[1] + write(m[2])
	})
}
