// Wheel: the archive that PEP 427 and 491 describe: a zip file whose data/scripts are programs, with the size and SHA-256
// of every file in RECORD.

package main

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

// wheel is what goes into one.
type wheel struct {
	version                          string   // as PEP 440 writes it
	tags                             []string // platforms
	program, module, licence, readme []byte
	windows                          bool
}

// file returns the name that pip reads the wheel's tags from.
func (w *wheel) file() string {
	return fmt.Sprintf("sigmaz-%s-py3-none-%s.whl", w.version, strings.Join(w.tags, "."))
}

func (w *wheel) write(to io.Writer) error {
	archive := zip.NewWriter(to)
	var record bytes.Buffer
	add := func(name string, executable bool, content []byte) error {
		h := &zip.FileHeader{Name: name, Method: zip.Deflate}
		h.SetMode(0o644)
		if executable {
			h.SetMode(0o755)
		}
		into, err := archive.CreateHeader(h)
		if err != nil {
			return err
		}
		_, err = into.Write(content)
		return err
	}
	info := "sigmaz-" + w.version + ".dist-info/"
	for _, f := range []struct {
		name       string
		executable bool
		content    []byte
	}{
		{"sigmaz-" + w.version + ".data/scripts/" + w.programName(), true, w.program},
		{"sigmaz.py", false, w.module},
		{info + "licenses/LICENSE", false, w.licence},
		{info + "METADATA", false, w.metadata()},
		{info + "WHEEL", false, w.wheelFile()},
	} {
		sum := sha256.Sum256(f.content)
		fmt.Fprintf(&record, "%s,sha256=%s,%d\n", f.name, base64.RawURLEncoding.EncodeToString(sum[:]), len(f.content))
		if err := add(f.name, f.executable, f.content); err != nil {
			return err
		}
	}
	// RECORD names itself without a sum.
	fmt.Fprintf(&record, "%sRECORD,,\n", info)
	if err := add(info+"RECORD", false, record.Bytes()); err != nil {
		return err
	}
	return archive.Close()
}

func (w *wheel) programName() string {
	if w.windows {
		return "sigmaz.exe"
	}
	return "sigmaz"
}

// metadata is in the form of core metadata 2.4, whose body is the package's page.
func (w *wheel) metadata() []byte {
	head := strings.Join([]string{
		"Metadata-Version: 2.4",
		"Name: sigmaz",
		"Version: " + w.version,
		"Summary: Noise-conditional score networks: training, sampling, likelihood and evaluation in one program",
		"License-File: LICENSE",
		"Keywords: score matching,Langevin dynamics,NCSN,diffusion",
		"Requires-Python: >=3.8",
		"Requires-Dist: numpy",
		"Description-Content-Type: text/markdown",
	}, "\n")
	return slices.Concat([]byte(head+"\n\n"), w.readme)
}

func (w *wheel) wheelFile() []byte {
	lines := []string{"Wheel-Version: 1.0", "Generator: sigmaz", "Root-Is-Purelib: false"}
	for _, tag := range w.tags {
		lines = append(lines, "Tag: py3-none-"+tag)
	}
	return []byte(strings.Join(lines, "\n") + "\n")
}

// platformTags returns the tags of a static program: no C library is linked, so that Linux's old ones and musl do; the
// oldest macOS is that of Go 1.26.
func platformTags(platform string) ([]string, error) {
	tags := map[string][]string{
		"linux/amd64":   {"manylinux_2_17_x86_64", "manylinux2014_x86_64", "musllinux_1_1_x86_64"},
		"linux/arm64":   {"manylinux_2_17_aarch64", "manylinux2014_aarch64", "musllinux_1_1_aarch64"},
		"darwin/amd64":  {"macosx_12_0_x86_64"},
		"darwin/arm64":  {"macosx_12_0_arm64"},
		"windows/amd64": {"win_amd64"},
	}
	if t, ok := tags[platform]; ok {
		return t, nil
	}
	return nil, fmt.Errorf("%q is no platform of a wheel: expected linux/amd64, linux/arm64, darwin/amd64, darwin/arm64 "+
		"or windows/amd64", platform)
}

// semver matches versions of Semantic Versioning 2: numbers, a pre-release, and what it was built from.
var semver = regexp.MustCompile(`^v?(\d+\.\d+\.\d+)(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?$`)

// preRelease matches pre-releases that Python has a form of its own for.
var preRelease = regexp.MustCompile(`^(alpha|beta|rc)\.?(\d+)$`)

// pythonVersion writes a version as PEP 440 does: 1.2.0-rc.1 as 1.2.0rc1, and any other pre-release, such as that of a
// snapshot, 1.2.0-SNAPSHOT-70e63da, as a development version with its name, 1.2.0.dev0+snapshot.70e63da.
func pythonVersion(version string) (string, error) {
	m := semver.FindStringSubmatch(version)
	if m == nil {
		return "", fmt.Errorf("%q is no version: expected numbers such as v1.2.0, or v1.2.0-rc.1", version)
	}
	if m[2] == "" {
		return m[1], nil
	}
	if pre := preRelease.FindStringSubmatch(m[2]); pre != nil {
		return m[1] + map[string]string{"alpha": "a", "beta": "b", "rc": "rc"}[pre[1]] + pre[2], nil
	}
	return m[1] + ".dev0+" + strings.ToLower(strings.ReplaceAll(m[2], "-", ".")), nil
}
