package kernels_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"sigmaz/kernels"
	"sigmaz/kernels/kerneltest"
)

// Every operation is in the table and has all its parts, but for the exceptions. The test looks for launches in the
// source, so that a build without CUDA finds one missing too.
func TestOperationsAreComplete(t *testing.T) {
	source := methods(t)
	listed, types := map[string]bool{}, map[string]bool{}
	for _, o := range kernels.Operations {
		name := o.Op.Name()
		if listed[name] {
			t.Errorf("ops.go lists operation %s twice", name)
		}
		listed[name], types[typeName(o.Op)] = true, true
	}
	for name, file := range source["Ref"] {
		if !types[name] {
			t.Errorf("%s declares operation %s, which ops.go does not list", file, name)
		}
	}

	type precise struct {
		name      string
		precision kernels.Precision
	}
	cases, gradients := map[precise]bool{}, map[string]bool{}
	for _, c := range kerneltest.Cases() {
		p := precise{c.Op.Name(), c.Precision}
		if !cases[p] && !listed[p.name] {
			t.Errorf("package kerneltest has cases of operation %s, which ops.go does not list", p.name)
		}
		cases[p] = true
	}
	for _, c := range gradientChecks() {
		for _, op := range append(c.backward, c.forward) {
			if !gradients[op.Name()] && !listed[op.Name()] {
				t.Errorf("gradient_test.go checks operation %s, which ops.go does not list", op.Name())
			}
			gradients[op.Name()] = true
		}
	}

	excepted := map[string][]kernels.Part{}
	for _, e := range kernels.Exceptions {
		for _, name := range e.Operations {
			if !listed[name] {
				t.Errorf("ops.go excepts operation %s, which it does not list", name)
			}
			if e.Reason == "" {
				t.Errorf("ops.go excepts operation %s without a reason", name)
			}
			excepted[name] = append(excepted[name], e.Lacks)
		}
	}
	for _, o := range kernels.Operations {
		name, typ := o.Op.Name(), typeName(o.Op)
		family := strings.TrimSuffix(source["Ref"][typ], ".go")
		has := map[kernels.Part]bool{
			kernels.CPULowering: source["lower"][typ] == family+"_cpu.go" && kernels.IsLowered(o.Op),
			kernels.CUDALaunch:  source["launch"][typ] == family+"_cuda.go" && exists(family+".cu"),
			kernels.Cases:       true,
			kernels.Gradient:    gradients[name],
		}
		for _, p := range o.Precisions {
			if !cases[precise{name, p}] {
				has[kernels.Cases] = false
			}
		}
		for part, has := range has {
			what := strings.ReplaceAll(string(part), "X", family)
			if except := slices.Contains(excepted[name], part); !has && !except {
				t.Errorf("operation %s of %s.go has no %s", name, family, what)
			} else if has && except {
				t.Errorf("operation %s of %s.go has a %s: ops.go need not except it", name, family, what)
			}
		}
	}
}

// methods parses the package's files, whatever their build tags, and returns the file that declares each method: by
// its name, then by its type.
func methods(t *testing.T) map[string]map[string]string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]map[string]string{}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Recv == nil {
				continue
			}
			receiver := f.Recv.List[0].Type
			if p, ok := receiver.(*ast.StarExpr); ok {
				receiver = p.X
			}
			id, ok := receiver.(*ast.Ident)
			if !ok {
				continue // of a generic type
			}
			if found[f.Name.Name] == nil {
				found[f.Name.Name] = map[string]string{}
			}
			found[f.Name.Name][id.Name] = name
		}
	}
	return found
}

func typeName(op kernels.Op) string { return reflect.TypeOf(op).Name() }

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
