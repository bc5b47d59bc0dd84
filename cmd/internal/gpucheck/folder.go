//go:build linux

// The folder of the results, which never has more files or bytes than it may have.

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sigmaz/internal/atomicfile"
)

// The files of the results, the most important first, with the sixteenths of the bytes that each may have. Three
// sixteenths are for the file that is just being written, which has another name until it is whole; so is one of the
// files that there may be.
const (
	reportFile  = "report.md"
	numbersFile = "bench.json"
	logFile     = "log.txt"
	monitorFile = "nvidia-smi.csv"
	sampleFile  = "sample.png"
	previewFile = "preview.png"
)

var files = []struct {
	name       string
	sixteenths int64
}{{reportFile, 2}, {numbersFile, 3}, {logFile, 3}, {monitorFile, 1}, {sampleFile, 2}, {previewFile, 2}}

// folder is where the results go.
type folder struct {
	dir      string
	maxBytes int64
	maxFiles int
	leftOut  []string // "NAME: why"
}

// openFolder makes the folder, or empties one that a call before has filled. A file that is not of this program is an
// error: it would count.
func openFolder(dir string, maxBytes int64, maxFiles int) (*folder, error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, fmt.Errorf("-out: %w", err)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	there, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("-out: %w", err)
	}
	f := &folder{dir: dir, maxBytes: maxBytes, maxFiles: maxFiles}
	for _, e := range there {
		if f.rank(strings.TrimSuffix(e.Name(), ".tmp")) < 0 {
			return nil, fmt.Errorf("-out %s holds %s, which is no result of a check: choose an empty folder", dir, e.Name())
		}
	}
	for _, e := range there {
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
			return nil, fmt.Errorf("-out: %w", err)
		}
	}
	return f, nil
}

func (f *folder) path(name string) string { return filepath.Join(f.dir, name) }

func (f *folder) rank(name string) int {
	for i, file := range files {
		if file.name == name {
			return i
		}
	}
	return -1
}

// room returns how many bytes a file may have, 0 where it may not be there.
func (f *folder) room(name string) int64 {
	rank := f.rank(name)
	if rank < 0 || rank >= f.maxFiles-1 {
		return 0
	}
	return f.maxBytes / 16 * files[rank].sixteenths
}

// put writes a file, whole or not at all. One that there is no room for is left out, and named.
func (f *folder) put(name string, data []byte) error {
	room := f.room(name)
	why := ""
	switch {
	case room == 0:
		why = fmt.Sprintf("only %d files are allowed", f.maxFiles)
	case int64(len(data)) > room:
		why = fmt.Sprintf("%d bytes, and %d of %d are for it", len(data), room, f.maxBytes)
	default:
		return atomicfile.Write(f.path(name), func(file *os.File) error {
			_, err := file.Write(data)
			return err
		})
	}
	f.leaveOut(name, why)
	return nil
}

// leaveOut notes what is not in the folder, once.
func (f *folder) leaveOut(name, why string) {
	if line := name + ": " + why; !slices.Contains(f.leftOut, line) {
		f.leftOut = append(f.leftOut, line)
	}
}

// shorten cuts lines out of the middle of a text that has more bytes than it may have, and says so in their place.
func shorten(text string, room int) string {
	if len(text) <= room {
		return text
	}
	const note = "\n... %d bytes are left out ...\n"
	half := (room - len(note) - 10) / 2
	if half < 1 {
		return ""
	}
	head, tail := text[:half], text[len(text)-half:]
	if i := strings.LastIndexByte(head, '\n'); i > half/2 {
		head = head[:i]
	}
	if i := strings.IndexByte(tail, '\n'); i >= 0 && i < half/2 {
		tail = tail[i+1:]
	}
	return head + fmt.Sprintf(note, len(text)-len(head)-len(tail)) + tail
}
