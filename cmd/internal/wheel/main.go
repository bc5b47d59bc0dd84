// Command wheel packs a built program as a Python wheel, so that pip install, uvx and pipx bring sigmaz:
//
//	go run ./cmd/internal/wheel -program sigmaz -version 1.2.0 -platform linux/amd64 -out dist
//
// writes dist/sigmaz-1.2.0-py3-none-PLATFORM.whl and prints its name. The wheel holds the program, which pip puts beside
// its interpreter, the module sigmaz, whose class Model asks that program, and the licence. The same program makes the
// same bytes.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	var w wheel
	program := flag.String("program", "", "the built program")
	version := flag.String("version", "", "the version as Git's tags have it, such as v1.2.0 or 1.2.0-rc.1")
	platform := flag.String("platform", "", "what it was built for, GOOS/GOARCH")
	module := flag.String("module", "cmd/sigmaz/python/sigmaz.py", "the module that asks the program")
	licence := flag.String("license", "LICENSE", "the licence")
	readme := flag.String("readme", "README.md", "the text that stands on the package's page")
	out := flag.String("out", "dist", "folder for the wheel")
	flag.Parse()
	name, err := func() (string, error) {
		if *program == "" || *version == "" || *platform == "" || flag.NArg() > 0 {
			return "", errors.New("expected -program, -version and -platform, and nothing else that is no flag")
		}
		var err error
		if w.version, err = pythonVersion(*version); err != nil {
			return "", fmt.Errorf("-version: %w", err)
		}
		if w.tags, err = platformTags(*platform); err != nil {
			return "", fmt.Errorf("-platform: %w", err)
		}
		for _, f := range []struct {
			path string
			into *[]byte
		}{{*program, &w.program}, {*module, &w.module}, {*licence, &w.licence}, {*readme, &w.readme}} {
			if *f.into, err = os.ReadFile(f.path); err != nil {
				return "", err
			}
		}
		w.windows = *platform == "windows/amd64"
		path := filepath.Join(*out, w.file())
		if err := os.MkdirAll(*out, 0o777); err != nil {
			return "", err
		}
		f, err := os.Create(path)
		if err != nil {
			return "", err
		}
		return path, errors.Join(w.write(f), f.Close())
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, "wheel:", err)
		os.Exit(1)
	}
	fmt.Println(name)
}
