package kernels

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Every kernel is launched, and every launch names every parameter: a field that is left out would be 0 without a
// word from the compiler. So the structs of cuda_launches.go may be written in one way only: T{name: value, ...}, all
// names. A value of one may be made another, T(value): the compiler wants them to have the same names.
func TestLaunchesNameEveryParameter(t *testing.T) {
	const generated = "cuda_launches.go"
	set := token.NewFileSet()
	parse := func(name string) *ast.File {
		file, err := parser.ParseFile(set, name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		return file
	}
	fields := map[string][]string{} // of each struct, in order
	ast.Inspect(parse(generated), func(n ast.Node) bool {
		if spec, ok := n.(*ast.TypeSpec); ok && strings.HasSuffix(spec.Name.Name, "Args") {
			for _, f := range spec.Type.(*ast.StructType).Fields.List {
				fields[spec.Name.Name] = append(fields[spec.Name.Name], f.Names[0].Name)
			}
		}
		return true
	})
	if len(fields) < 30 {
		t.Fatalf("%s has %d structs of parameters", generated, len(fields))
	}

	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	launched := map[string]bool{}
	for _, name := range files {
		if name == generated {
			continue
		}
		literals := map[*ast.Ident]bool{}
		ast.Inspect(parse(name), func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				if to, _ := n.Fun.(*ast.Ident); to != nil && fields[to.Name] != nil {
					literals[to], launched[to.Name] = true, true
				}
			case *ast.CompositeLit:
				of, _ := n.Type.(*ast.Ident)
				if of == nil || fields[of.Name] == nil {
					break
				}
				literals[of] = true
				launched[of.Name] = true
				missing := slices.Clone(fields[of.Name])
				for _, e := range n.Elts {
					if pair, ok := e.(*ast.KeyValueExpr); ok {
						missing = slices.DeleteFunc(missing, func(f string) bool { return f == pair.Key.(*ast.Ident).Name })
					}
				}
				if len(missing) > 0 {
					t.Errorf("%s: %s{...} does not name %s", set.Position(n.Pos()), of.Name, strings.Join(missing, ", "))
				}
			case *ast.Ident:
				if fields[n.Name] != nil && !literals[n] {
					t.Errorf("%s: %s is used in another way than %[2]s{name: value, ...}", set.Position(n.Pos()), n.Name)
				}
			}
			return true
		})
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if !launched[name] {
			t.Errorf("%s is never written: its kernel is launched nowhere", name)
		}
	}
}
