// Data that is not where a configuration says.

package traincmd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"sigmaz/cmd/internal/cli"
	"sigmaz/train/dataset"
)

// missing tells whether data is one path and nothing is there.
func missing(data string) bool {
	spec, err := dataset.ParseSpec(data)
	if err != nil || len(spec.Paths) != 1 {
		return false
	}
	_, err = os.Stat(spec.Paths[0])
	return errors.Is(err, fs.ErrNotExist)
}

// moved explains that a run's data is not where its configuration says, which may be relative to the folder that the run
// was started in; nil where every path leads to something.
func moved(folder, data string) error {
	spec, err := dataset.ParseSpec(data)
	if err != nil {
		return nil
	}
	started := filepath.Join(folder, "..", "..") // unless it was told to keep runs elsewhere
	var here, there []string
	gone := ""
	for _, p := range spec.Paths {
		if _, err := os.Stat(p); errors.Is(err, fs.ErrNotExist) && gone == "" {
			gone = p
		}
		here = append(here, p)
		if !filepath.IsAbs(p) {
			p = filepath.Join(started, p)
		}
		if _, err := os.Stat(p); err == nil {
			there = append(there, p)
		}
	}
	switch {
	case gone == "":
		return nil
	case filepath.IsAbs(gone):
		return fmt.Errorf("the data of %s is not at %s any more: say where it is with -data", folder, gone)
	}
	hint := ""
	if len(there) == len(here) {
		hint = ", such as -data " + cli.Shell(strings.Join(there, ","))
	}
	return fmt.Errorf("the data of %s is not at %s, which counts from the folder in which the run was started, not from "+
		"this one: go on from there, or say where it is with -data%s", folder, gone, hint)
}
