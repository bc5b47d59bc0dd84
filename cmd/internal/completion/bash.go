// The script for bash.

package completion

import (
	"fmt"
	"strings"
)

// bash takes the line apart by itself: bash splits words at : and =, as in toy:moons and -preset=toy, and replaces
// what is behind the last of these alone. Where nothing is offered, its own completion of files comes in (-o
// default).
func bash(program string, all []Command) string {
	var flags, values, operands strings.Builder
	for _, c := range all {
		list := "-h"
		for _, f := range flagsOf(c) {
			list += " -" + f.Name
			if !f.HasValue() {
				continue
			}
			o := after(f)
			fmt.Fprintf(&values, "\t\t%s-%s) known='%s' files=%s ;;\n", c.Name, f.Name, strings.Join(o.words, " "), yes(o.files))
		}
		fmt.Fprintf(&flags, "\t\t%s) flags='%s' ;;\n", c.Name, list)
		if o := operand(c); len(c.Args) > 0 {
			fmt.Fprintf(&operands, "\t\t%s) known='%s' files=%s ;;\n", c.Name, strings.Join(o.words, " "), yes(o.files))
		}
	}
	return strings.NewReplacer("PROGRAM", program, "COMMANDS", names(all), "FLAGS\n", flags.String(), "VALUES\n",
		values.String(), "OPERANDS\n", operands.String()).Replace(
		`# Completion of PROGRAM for bash: source <(PROGRAM completion bash)
_PROGRAM() {
	local line=${COMP_LINE:0:COMP_POINT} last cur flag before='' known='' files='' flags='' prefix='' i
	local -a words
	read -ra words <<<"$line"
	if [[ $line == *[[:space:]] ]]; then words+=(''); fi
	last=$((${#words[@]} - 1))
	cur=${words[last]}
	if ((last == 1)); then
		known='COMMANDS'
	else
		flag=${words[last - 1]}
		if [[ $cur == -*=* ]]; then
			flag=${cur%%=*} before=${cur%%=*}=
		fi
		case ${words[1]} in
FLAGS
		esac
		case ${words[1]}${flag/#--/-} in
VALUES
		*)
			before=''
			case ${words[1]} in
OPERANDS
			esac
			if [[ $cur == -* || -z $known$files ]]; then known=$flags files=''; fi
			;;
		esac
	fi
	for ((i = 0; i < ${#cur}; i++)); do
		if [[ ${cur:i:1} == [:=] && $COMP_WORDBREAKS == *"${cur:i:1}"* ]]; then prefix=${cur:0:i+1}; fi
	done
	COMPREPLY=()
	for i in $known; do
		if [[ $before$i == "$cur"* ]]; then
			i=$before$i
			COMPREPLY+=("${i#"$prefix"}")
		fi
	done
	if [[ -z $files ]]; then compopt +o default 2>/dev/null; fi
}
complete -o default -F _PROGRAM PROGRAM
`)
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "''"
}
