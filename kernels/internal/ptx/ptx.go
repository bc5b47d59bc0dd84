package ptx

import (
	"fmt"
	"regexp"
	"strings"
)

// Entry is a kernel that the host can launch.
type Entry struct {
	Name   string
	Params string // the types of its parameters in their order: "u64 u64 f32 u32"
}

// entry is the head of a kernel up to the end of its parameters.
var entry = regexp.MustCompile(`\.entry\s+(\w+)\s*\(([^)]*)\)`)

// number is a parameter that is no array.
var number = regexp.MustCompile(`^\.param \.(\w+) \w+$`)

// Entries lists the kernels of a PTX file in the order in which they stand there.
func Entries(text []byte) ([]Entry, error) {
	var list []Entry
	for _, m := range entry.FindAllSubmatch(text, -1) {
		e := Entry{Name: string(m[1])}
		var types []string
		for param := range strings.SplitSeq(strings.TrimSpace(string(m[2])), ",") {
			param = strings.Join(strings.Fields(param), " ")
			if param == "" {
				continue
			}
			m := number.FindStringSubmatch(param)
			if m == nil {
				return nil, fmt.Errorf("kernel %s: its parameter %q is no single number", e.Name, param)
			}
			types = append(types, m[1])
		}
		e.Params = strings.Join(types, " ")
		list = append(list, e)
	}
	return list, nil
}
