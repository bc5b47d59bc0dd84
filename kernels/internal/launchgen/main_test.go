package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigmaz/kernels/internal/ptx"
)

// folder is where the kernels are.
const folder = "../.."

// The committed Go file is what the .cu files give.
func TestLaunchesAreFresh(t *testing.T) {
	kernels, err := read(folder)
	if err != nil {
		t.Fatal(err)
	}
	want, err := generate(kernels)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(folder, "cuda_launches.go"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("kernels/cuda_launches.go is not what its generator makes of *.cu: run go generate -run launchgen ./kernels")
	}
}

// The committed PTX has the kernels of the .cu files, with parameters of the same number and sizes.
func TestPTXTakesTheSame(t *testing.T) {
	kernels, err := read(folder)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{}
	for _, k := range kernels {
		want[k.file] = append(want[k.file], fmt.Sprintf("%s(%s)", k.name, k.sizes()))
	}
	for file := range want {
		text, err := os.ReadFile(filepath.Join(folder, "ptx", file+".ptx"))
		if err != nil {
			t.Error(err)
			continue
		}
		entries, err := ptx.Entries(text)
		if err != nil {
			t.Errorf("ptx/%s.ptx: %v", file, err)
		}
		var got []string
		for _, e := range entries {
			got = append(got, fmt.Sprintf("%s(%s)", e.Name, e.Params))
		}
		slices.Sort(got)
		slices.Sort(want[file])
		for i := range max(len(got), len(want[file])) {
			if i >= len(got) || i >= len(want[file]) || got[i] != want[file][i] {
				t.Errorf("%s.cu has\n\t%s\nits PTX\n\t%s", file, strings.Join(want[file], "\n\t"), strings.Join(got, "\n\t"))
				break
			}
		}
	}
}

func TestParse(t *testing.T) {
	got, err := parse("some", `// extern "C" __global__ void old(int n) {
__device__ int helper(double x, int n);
extern "C" __global__ void __launch_bounds__(256, 2) first_of_two(float *y, const u32 *level_of_row,
    /* the data */ const unsigned char *u8, u64 n, float scale) // more
{
}
extern "C" __global__ void nothing() {
`)
	if err != nil {
		t.Fatal(err)
	}
	text := ""
	for _, k := range got {
		text += fmt.Sprintln(k.file, k.name, "-", k.sizes())
		for _, p := range k.params {
			text += fmt.Sprintf("%s %s\n", p.field(), paramTypes[p.cType].goType)
		}
	}
	want := "some first_of_two - u64 u64 u64 u64 f32\n" +
		"y pointer\nlevelOfRow pointer\nu8 address\nn uint64\nscale float32\n" +
		"some nothing - \n"
	if text != want {
		t.Errorf("got\n%s\nexpected\n%s", text, want)
	}
}

// What the generator cannot read is an error, never left out.
func TestParseErrors(t *testing.T) {
	const one = `extern "C" __global__ void k(int n) {`
	for _, c := range []struct{ source, want string }{
		{`__global__ void k(int n) {`, "some.cu: 0 of 1 kernels are written as"},
		{`extern "C" __global__ void k(double x) {`, `kernel k: parameter "double x" has a type`},
		{`extern "C" __global__ void k(float *y, int) {`, `kernel k: parameter "int" has a type`},
		{`extern "C" __global__ void k(float *y, int n,) {`, `kernel k: "" is no parameter`},
		{`extern "C" __global__ void k(float *y, int range) {`, "kernel k: parameter range cannot be a field"},
		{`extern "C" __global__ void k(int a_b, int aB) {`, "kernel k: parameter aB cannot be a field"},
	} {
		if _, err := parse("some", c.source); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s\n\tgot %v, expected ... %s ...", c.source, err, c.want)
		}
	}

	dir := t.TempDir()
	if _, err := read(dir); err == nil || !strings.Contains(err.Error(), "no *.cu in") {
		t.Errorf("an empty folder: %v", err)
	}
	for _, name := range []string{"one.cu", "two.cu"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(one), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := read(dir); err == nil || !strings.Contains(err.Error(), "two.cu: kernel k is in one.cu, too") {
		t.Errorf("one kernel in two files: %v", err)
	}

	tiles, err := parse("conv", `extern "C" __global__ void conv_8x8(int n) {
extern "C" __global__ void conv_16x16(int m) {`)
	if err != nil {
		t.Fatal(err)
	}
	const copy = `extern "C" __global__ void copy(float *y, const float *x) {`
	for _, twin := range []string{
		`extern "C" __global__ void copy_bf16(float *y, const float *x) {`, // takes the same
		`extern "C" __global__ void copy_bf16(bf16 *y, bf16 *x) {`,
		`extern "C" __global__ void copy_bf16(bf16 *y, const bf16 *z) {`,
		`extern "C" __global__ void copies_bf16(bf16 *y, const bf16 *x) {`,
	} {
		list, err := parse("some", copy+"\n"+twin)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := generate(list); err == nil || !strings.Contains(err.Error(), "with bf16 in the place of float") {
			t.Errorf("%s: %v", twin, err)
		}
	}

	const different = "conv.cu: kernels conv_8x8 and conv_16x16 are of one family and take different parameters"
	if _, err := generate(tiles); err == nil || err.Error() != different {
		t.Errorf("a family with two lists of parameters: %v", err)
	}
}
