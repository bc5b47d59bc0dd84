// The script for zsh.

package completion

import (
	"fmt"
	"strings"
)

// zsh leaves the work to zsh's _arguments. It takes specifications of the form OPTION[EXPLANATION]:MESSAGE:ACTION.
func zsh(program string, all []Command) string {
	var list, cases strings.Builder
	for _, c := range all {
		fmt.Fprintf(&list, "\t\t'%s:%s'\n", c.Name, quoted(c.What))
		fmt.Fprintf(&cases, "\t%s)\n\t\t_arguments \\\n", c.Name)
		for _, f := range flagsOf(c) {
			spec := fmt.Sprintf("*-%s[%s]", f.Name, quoted(brief(f.Help)))
			if f.HasValue() {
				spec += ":" + f.Arg + ":" + zshAction(after(f))
			}
			fmt.Fprintf(&cases, "\t\t\t'%s' \\\n", spec)
		}
		if len(c.Args) > 0 {
			fmt.Fprintf(&cases, "\t\t\t'1:%s:%s' \\\n", c.Args[0].Name, zshAction(operand(c)))
		}
		fmt.Fprintf(&cases, "\t\t\t'(- *)-h[show the help text]'\n\t\t;;\n")
	}
	return strings.NewReplacer("PROGRAM", program, "LIST\n", list.String(), "CASES\n", cases.String()).Replace(
		`#compdef PROGRAM
# Completion of PROGRAM for zsh: source <(PROGRAM completion zsh) after compinit, or as _PROGRAM in a folder of $fpath
_PROGRAM() {
	local -a commands=(
LIST
	)
	if ((CURRENT == 2)); then
		_describe command commands
		return
	fi
	shift words
	((CURRENT--))
	case $words[1] in
CASES
	esac
}
if [[ $funcstack[1] == _PROGRAM ]]; then
	_PROGRAM "$@"
else
	compdef _PROGRAM PROGRAM
fi
`)
}

// zshAction returns the ACTION by which _arguments completes a value. A colon would end it.
func zshAction(o offer) string {
	words := strings.ReplaceAll(strings.Join(o.words, " "), ":", `\:`)
	switch {
	case words != "" && o.files:
		return "{compadd - " + words + "; _files}"
	case words != "":
		return "(" + words + ")"
	case o.files:
		return "_files"
	}
	return " "
}

// quoted puts text between single quotes for bash and zsh.
func quoted(s string) string { return strings.ReplaceAll(s, "'", `'\''`) }
