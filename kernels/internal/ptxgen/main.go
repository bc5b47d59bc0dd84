package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("ptxgen: ")
	out := flag.String("out", "ptx", "folder for the PTX files")
	flag.Parse()
	if err := generate(*out); err != nil {
		log.Fatal(err)
	}
}

// generate compiles every .cu file of the working folder to a .ptx file in folder out.
func generate(out string) error {
	nvcc, err := findNVCC()
	if err != nil {
		return err
	}
	sources, err := filepath.Glob("*.cu")
	if err != nil || len(sources) == 0 {
		return errors.Join(err, errors.New("no *.cu here"))
	}
	temp, err := os.MkdirTemp("", "ptxgen")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	for _, source := range sources {
		sum, err := sourceSum(source)
		if err != nil {
			return err
		}
		name := strings.TrimSuffix(source, ".cu") + ".ptx"
		raw := filepath.Join(temp, name)
		cmd := exec.Command(nvcc, "-std=c++17", "-arch=compute_80", "-ptx", "-o", raw, source)
		cmd.Stderr = os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("%s: %w", source, err)
		}
		text, err := os.ReadFile(raw)
		if err != nil {
			return err
		}
		text = append(fmt.Appendf(nil, "// sources sha256: %x\n", sum), strip(text)...)
		if err := os.WriteFile(filepath.Join(out, name), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// findNVCC returns the compiler: $NVCC, else nvcc of the PATH. Another release would write another PTX.
func findNVCC() (string, error) {
	nvcc := os.Getenv("NVCC")
	if nvcc == "" {
		nvcc = "nvcc"
	}
	if version, err := exec.Command(nvcc, "--version").Output(); err != nil {
		return "", fmt.Errorf("%s: %w: install nvidia-cuda-toolkit, or set NVCC", nvcc, err)
	} else if !strings.Contains(string(version), "release 11.8") {
		return "", fmt.Errorf("%s is not of release 11.8, which the committed PTX comes from", nvcc)
	}
	return nvcc, nil
}

// sourceSum returns the SHA-256 of a .cu file followed by all .cuh files beside it, in the order of their names.
func sourceSum(source string) ([]byte, error) {
	headers, err := filepath.Glob("*.cuh")
	if err != nil {
		return nil, err
	}
	h := sha256.New()
	for _, name := range append([]string{source}, headers...) {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		h.Write(text)
	}
	return h.Sum(nil), nil
}

// noise matches lines that say nothing about the code: empty ones, comments, and .file and .loc directives.
var noise = regexp.MustCompile(`(?m)^\s*(//.*|\.file[ \t].*|\.loc[ \t].*)?\n`)

// internal matches nvcc's names of what has internal linkage. They hold two hashes, which differ from folder to folder.
var internal = regexp.MustCompile(`_INTERNAL_[0-9a-f]{8}_(\d+_\w+?_cu_)[0-9a-f]{8}`)

// strip removes noise, comments at the ends of lines, the hashes that depend on the folder, and what stands between words
// beside one blank, or behind a comma: a seventh of the text.
func strip(ptx []byte) []byte {
	ptx = internal.ReplaceAll(ptx, []byte("_INTERNAL_00000000_${1}00000000"))
	ptx = regexp.MustCompile(`(?m)[ \t]*//.*$`).ReplaceAll(ptx, nil)
	ptx = regexp.MustCompile(`(?m)^[ \t]+`).ReplaceAll(ptx, nil)
	ptx = regexp.MustCompile(`[ \t]+`).ReplaceAll(ptx, []byte(" "))
	ptx = bytes.ReplaceAll(ptx, []byte(", "), []byte(","))
	return append(bytes.TrimSpace(noise.ReplaceAll(ptx, nil)), '\n')
}
