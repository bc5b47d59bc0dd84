// From .cu files to lists of kernels and their parameters.

package main

import (
	"fmt"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// A paramType says what becomes of a C type.
type paramType struct {
	goType string // of the struct's field
	size   string // in PTX
	add    string // the call of cuda.Args that appends the field v; %s stands for kernel and parameter, for errors
}

// paramTypes lists the types that a kernel's parameters may have.
//
// Windows of the arena hold the values that the kernel takes, which is checked when a program is compiled. Bytes are
// never in the arena: only an address can point to them.
var paramTypes = map[string]paramType{
	"float *":               {"pointer", "u64", "Ptr(l.write(%s, Words, v))"},
	"u32 *":                 {"pointer", "u64", "Ptr(l.write(%s, Words, v))"},
	"bf16 *":                {"pointer", "u64", "Ptr(l.write(%s, BFloat16, v))"},
	"const float *":         {"pointer", "u64", "Ptr(l.read(%s, Words, v))"},
	"const u32 *":           {"pointer", "u64", "Ptr(l.read(%s, Words, v))"},
	"const bf16 *":          {"pointer", "u64", "Ptr(l.read(%s, BFloat16, v))"},
	"const unsigned char *": {"address", "u64", "Ptr(uint64(v))"},
	"u64 *":                 {"address", "u64", "Ptr(uint64(v))"}, // no window: memory of the host
	"u64":                   {"uint64", "u64", "U64(v)"},
	"u32":                   {"uint32", "u32", "U32(v)"},
	"int":                   {"int", "u32", "I32(l.int32(%s, v))"},
	"float":                 {"float32", "f32", "F32(v)"},
}

// A param is one parameter of a kernel.
type param struct {
	name  string // in the .cu file: "levels_per_step"
	cType string // key of paramTypes
}

// narrow is the type where the parameter of a twin is in bf16.
func (p param) narrow() string { return strings.Replace(p.cType, "float *", "bf16 *", 1) }

// field is the parameter's name in Go: "levelsPerStep".
func (p param) field() string { return camel(p.name) }

// A kernel is one entry point.
type kernel struct {
	file   string // "sum" of sum.cu
	name   string
	params []param
}

// sizes is the kernel's parameters as PTX has them: "u64 u64 f32".
func (k kernel) sizes() string {
	var s []string
	for _, p := range k.params {
		s = append(s, paramTypes[p.cType].size)
	}
	return strings.Join(s, " ")
}

var (
	comment = regexp.MustCompile(`(?s)//[^\n]*|/\*.*?\*/`)
	global  = regexp.MustCompile(`\b__global__\b`)
	head    = regexp.MustCompile(`extern "C" __global__ void (?:__launch_bounds__\([^)]*\) )?(\w+)\(([^)]*)\)\s*\{`)
	named   = regexp.MustCompile(`^(.*?)(\w+)$`)
)

// parse lists the kernels of a .cu file, whose name without the ending is file.
func parse(file, text string) ([]kernel, error) {
	text = comment.ReplaceAllString(text, " ")
	heads := head.FindAllStringSubmatch(text, -1)
	if n := len(global.FindAllString(text, -1)); n != len(heads) {
		return nil, fmt.Errorf("%s.cu: %d of %d kernels are written as %s", file, len(heads), n,
			`extern "C" __global__ void [__launch_bounds__(...)] name(type name, ...) {`)
	}
	var list []kernel
	for _, m := range heads {
		k := kernel{file: file, name: m[1]}
		fields := map[string]bool{}
		for text := range strings.SplitSeq(m[2], ",") {
			text = strings.Join(strings.Fields(text), " ")
			if text == "" && !strings.Contains(m[2], ",") {
				break // no parameters
			}
			parts := named.FindStringSubmatch(text)
			if parts == nil {
				return nil, fmt.Errorf("%s.cu: kernel %s: %q is no parameter", file, k.name, text)
			}
			p := param{name: parts[2], cType: strings.TrimSpace(parts[1])}
			if _, ok := paramTypes[p.cType]; !ok {
				return nil, fmt.Errorf("%s.cu: kernel %s: parameter %q has a type that is not in launchgen's paramTypes",
					file, k.name, text)
			}
			if token.IsKeyword(p.field()) || fields[p.field()] {
				return nil, fmt.Errorf("%s.cu: kernel %s: parameter %s cannot be a field of a Go struct", file, k.name, p.name)
			}
			fields[p.field()] = true
			k.params = append(k.params, p)
		}
		list = append(list, k)
	}
	return list, nil
}

// read parses all .cu files of a folder, in the order of their names.
func read(dir string) ([]kernel, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.cu"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("no *.cu in %s", dir)
	}
	var all []kernel
	in := map[string]string{}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		list, err := parse(strings.TrimSuffix(filepath.Base(name), ".cu"), string(text))
		if err != nil {
			return nil, err
		}
		for _, k := range list {
			if other, ok := in[k.name]; ok {
				return nil, fmt.Errorf("%s.cu: kernel %s is in %s.cu, too", k.file, k.name, other)
			}
			in[k.name] = k.file
		}
		all = append(all, list...)
	}
	return all, nil
}

// camel turns a C name into a Go name: "norm_grad_sums" into "normGradSums".
func camel(name string) string {
	words := strings.Split(name, "_")
	for i, w := range words {
		if i > 0 && w != "" {
			words[i] = strings.ToUpper(w[:1]) + w[1:]
		}
	}
	return strings.Join(words, "")
}
