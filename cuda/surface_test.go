package cuda

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"maps"
	"slices"
	"testing"
)

// The package with CUDA and its twin without it export the same: what compiles against one compiles against the other.
func TestSurface(t *testing.T) {
	built, none := surface(t, "cuda.go"), surface(t, "cuda_none.go")
	for _, name := range slices.Sorted(maps.Keys(built)) {
		if other, ok := none[name]; !ok {
			t.Errorf("cuda_none.go lacks %s", name)
		} else if built[name] != other {
			t.Errorf("%s differs:\n\tcuda.go       %s\n\tcuda_none.go  %s", name, built[name], other)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(none)) {
		if _, ok := built[name]; !ok {
			t.Errorf("cuda.go lacks %s", name)
		}
	}
	if len(built) < 30 {
		t.Errorf("only %d declarations were found", len(built))
	}
}

// surface is the exported declarations of a file: functions and methods with their signatures, types with their
// exported fields, variables and constants with their types.
func surface(t *testing.T, file string) map[string]string {
	t.Helper()
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	text := func(node any) string {
		var b bytes.Buffer
		if err := printer.Fprint(&b, set, node); err != nil {
			t.Fatal(err)
		}
		return string(bytes.Join(bytes.Fields(b.Bytes()), []byte(" ")))
	}
	found := map[string]string{}
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if !d.Name.IsExported() {
				continue
			}
			name := d.Name.Name
			if d.Recv != nil {
				name = text(d.Recv.List[0].Type) + "." + name
			}
			found[name] = text(d.Type)
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.TypeSpec:
					if !s.Name.IsExported() {
						continue
					}
					found[s.Name.Name] = "type"
					fields, ok := s.Type.(*ast.StructType)
					if !ok {
						found[s.Name.Name] = text(s.Type)
						continue
					}
					for _, field := range fields.Fields.List {
						for _, n := range field.Names {
							if n.IsExported() {
								found[s.Name.Name+"."+n.Name] = text(field.Type)
							}
						}
					}
				case *ast.ValueSpec:
					for _, n := range s.Names {
						if n.IsExported() {
							found[n.Name] = d.Tok.String()
							if s.Type != nil {
								found[n.Name] += " " + text(s.Type)
							}
						}
					}
				}
			}
		}
	}
	return found
}
