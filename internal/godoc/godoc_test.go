package godoc

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// A package's comment stands in doc.go, or in main.go of a program, and in no other file. It begins with "Package
// NAME", or with the name of the program. In test files, which go doc leaves out, no comment may look like a package's.
func TestPackageComments(t *testing.T) {
	const root = "../.."
	files := map[string][]string{} // by folder
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch name := entry.Name(); {
		case err != nil:
			return err
		case entry.IsDir() && path != root && (name == "testdata" || strings.HasPrefix(name, ".")):
			return fs.SkipDir
		case strings.HasSuffix(name, ".go"):
			dir := filepath.Dir(path)
			files[dir] = append(files[dir], path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 10 {
		t.Fatalf("Go files in %d folders: the walk went wrong", len(files))
	}
	for dir, paths := range files {
		for _, problem := range problems(t, dir, paths) {
			t.Errorf("%s", strings.TrimPrefix(filepath.ToSlash(problem), root+"/"))
		}
	}
}

// problems returns what is wrong with the comments above the package clauses of one folder.
func problems(t *testing.T, dir string, paths []string) (found []string) {
	commented := map[string]bool{} // packages, tests apart
	for _, path := range paths {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		name, base := file.Name.Name, filepath.Base(path)
		if strings.HasSuffix(base, "_test.go") {
			if comment(file) != "" {
				found = append(found, path+": a comment stands right above the package clause: put a blank line between them")
			}
			continue
		}
		commented[name] = commented[name] || false
		text := comment(file)
		if text == "" {
			continue
		}
		want, place := "Package "+name, "doc.go"
		if name == "main" {
			want, place = filepath.Base(dir), "main.go"
			text = strings.TrimPrefix(text, "Command ")
		}
		switch {
		case base != place && base != "doc.go":
			found = append(found, path+": a comment stands right above the package clause: put a blank line between them, "+
				"or move it to "+place)
			continue
		case commented[name]:
			found = append(found, path+": a second comment of the package")
		case !strings.EqualFold(firstWords(text, want), want):
			found = append(found, path+`: the package's comment begins with "`+firstWords(text, want)+`": expected "`+want+`"`)
		}
		commented[name] = true
	}
	for name, ok := range commented {
		if !ok {
			found = append(found, dir+": package "+name+" has no comment: write doc.go")
		}
	}
	return found
}

// comment returns the text of the comment right above the package clause, without directives such as //go:build.
func comment(file *ast.File) string {
	return strings.TrimSpace(file.Doc.Text())
}

// firstWords returns as many words of text as want has.
func firstWords(text, want string) string {
	words := strings.Fields(text)
	return strings.Join(words[:min(len(words), len(strings.Fields(want)))], " ")
}
