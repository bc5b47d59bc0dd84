// The arrows between the packages: which folder may import which.
//
//	cmd -> {train, sample} -> model -> kernels -> cuda        all of these -> internal
//
// Only cmd knows a terminal, only model and train know Gorgonia's graphs, only cuda the device's libraries, and only internal/mpi that of MPI. Every file
// counts, whatever its build tags; tests do not.

package arrows

import (
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// module is where this module lies, seen from this folder.
const module = "../.."

// arrows has, for each top folder, the top folders that it may import beside itself.
var arrows = map[string][]string{
	"cmd":      {"train", "sample", "model", "kernels", "cuda", "internal"},
	"train":    {"model", "kernels", "internal"},
	"sample":   {"model", "kernels", "internal"},
	"model":    {"kernels", "internal"},
	"kernels":  {"cuda", "internal"},
	"cuda":     {"internal"},
	"internal": {},
}

// programs has, for programs that nobody imports, what they may import beside.
var programs = map[string][]string{
	"internal/samplertrial": {"train", "sample"},
}

// only has, for some packages, the folders that alone may import them. With the arrows it follows that nothing below
// cmd reaches a terminal by any way.
var only = map[string][]string{
	"C":                                 {"cuda", "internal/mpi"},
	"gorgonia.org/cu":                   {"cuda"},
	"gorgonia.org/gorgonia":             {"model", "train"},
	"gorgonia.org/tensor":               {"model", "train", "cmd"},
	"github.com/schollz/progressbar/v3": {"cmd/internal/progress"},
	"golang.org/x/term":                 {"cmd", "internal/terminal"},
	"sigmaz/internal/terminal":          {"cmd"},
	"os/signal":                         {"cmd"},
}

// imports returns what each package of the module imports, by the package's folder.
func imports(t *testing.T) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	err := filepath.WalkDir(module, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && path != module && (name == "testdata" || strings.HasPrefix(name, ".") ||
			strings.HasPrefix(name, "_")) {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		folder, err := filepath.Rel(module, filepath.Dir(path))
		if err != nil {
			return err
		}
		folder = filepath.ToSlash(folder)
		for _, i := range f.Imports {
			p, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			all[folder] = append(all[folder], p)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// top is the first folder of a path.
func top(path string) string {
	first, _, _ := strings.Cut(path, "/")
	return first
}

// in tells whether a folder is one of those listed or lies in one.
func in(folder string, list []string) bool {
	return slices.ContainsFunc(list, func(f string) bool { return folder == f || strings.HasPrefix(folder, f+"/") })
}

func TestArrows(t *testing.T) {
	all := imports(t)
	for folder := range arrows {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(all)), func(f string) bool { return top(f) == folder }) {
			t.Errorf("there is no folder %s", folder)
		}
	}
	for _, folder := range slices.Sorted(maps.Keys(all)) {
		allowed, ok := arrows[top(folder)]
		if !ok {
			t.Errorf("%s is in a folder that the plan of the house does not have", folder)
		}
		for _, p := range all[folder] {
			if of, ours := strings.CutPrefix(p, "sigmaz/"); ours && top(of) != top(folder) &&
				!slices.Contains(allowed, top(of)) && !slices.Contains(programs[folder], top(of)) {
				t.Errorf("%s imports %s: expected only %s", folder, p, strings.Join(slices.Concat(allowed, programs[folder]), ", "))
			}
			if where, ok := only[p]; ok && !in(folder, where) {
				t.Errorf("%s imports %s: expected it only in %s", folder, p, strings.Join(where, ", "))
			}
		}
	}
}
