// The script for fish.

package completion

import (
	"fmt"
	"strings"
)

// fish declares each word by itself: -o is a flag with one dash and several letters, -s one of a single letter; -x
// takes a value that is no file, -r -F one that may be.
func fish(program string, all []Command) string {
	var b strings.Builder
	fmt.Fprintf(&b, `# Completion of %[1]s for fish: %[1]s completion fish | source
function __%[1]s_command
	set -l words (commandline -poc)
	test (count $words) -gt 1; and test $words[2] = $argv[1]
end
complete -c %[1]s -f
`, program)
	for _, c := range all {
		fmt.Fprintf(&b, "complete -c %s -n 'test (count (commandline -poc)) -eq 1' -a %s -d '%s'\n", program, c.Name,
			fishQuoted(c.What))
		line := fmt.Sprintf("complete -c %s -n '__%[1]s_command %s'", program, c.Name)
		for _, f := range flagsOf(c) {
			kind := "-o"
			if len(f.Name) == 1 {
				kind = "-s"
			}
			value := ""
			if f.HasValue() {
				o := after(f)
				if value = " -x"; o.files {
					value = " -r -F"
				}
				if len(o.words) > 0 {
					value += " -a '" + strings.Join(o.words, " ") + "'"
				}
			}
			fmt.Fprintf(&b, "%s %s %s%s -d '%s'\n", line, kind, f.Name, value, fishQuoted(brief(f.Help)))
		}
		o := operand(c)
		if o.files {
			fmt.Fprintf(&b, "%s -F\n", line)
		}
		if len(o.words) > 0 {
			fmt.Fprintf(&b, "%s -a '%s'\n", line, strings.Join(o.words, " "))
		}
	}
	return b.String()
}

// fishQuoted puts text between single quotes for fish.
func fishQuoted(s string) string {
	return strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(s)
}
