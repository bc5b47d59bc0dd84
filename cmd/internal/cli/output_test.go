package cli

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestOutput(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "data.npy")
	if err := os.WriteFile(data, []byte("data"), 0o666); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link.npy")
	if err := os.Symlink(data, link); err != nil {
		link = data
	}
	run := filepath.Join(dir, "runs", "a")
	os.MkdirAll(filepath.Join(run, "checkpoints"), 0o777)
	var out, errs bytes.Buffer
	s := Streams{Data: &out, Out: &out, Err: &errs}
	for path, want := range map[string]string{
		Stdout:                              "",
		filepath.Join(dir, "new.npy"):       "",
		data:                                "-npy is " + data + ", which is a file that is read",
		link:                                "which is a file that is read",
		filepath.Join(run, "config.yaml"):   "-npy: " + filepath.Join(run, "config.yaml") + " is part of the run",
		filepath.Join(dir, "no", "a.npy"):   "cannot write",
		filepath.Join(run, "metrics.jsonl"): "is part of the run",
	} {
		err := Output{"-npy", path}.Check(s, filepath.Join(dir, "gone"), data)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, expected %q", path, err, want)
		}
	}
	if entries, _ := os.ReadDir(dir); len(entries) > 3 {
		t.Errorf("a check left %v", entries)
	}

	o := Output{"-npy", Stdout}
	if err := o.Write(s, func(w io.Writer) error { _, err := w.Write([]byte("\x93\x1b")); return err }); err != nil ||
		out.String() != "\x93\x1b" || o.String() != "standard output" {
		t.Errorf("wrote %q as %s, %v", out.String(), o, err)
	}
	if s.Messages("a.png", "") != &out || s.Messages("a.png", Stdout) != &errs {
		t.Error("messages go to the wrong stream")
	}
	own := errors.New("own")
	if err := o.Write(s, func(io.Writer) error { return own }); err != own {
		t.Errorf("error %v, expected that of write", err)
	}
	s.Data = closed{}
	if err := o.Write(s, func(w io.Writer) error { _, err := w.Write([]byte("x")); return err }); err == nil ||
		!strings.Contains(err.Error(), "cannot write to standard output: gone") {
		t.Errorf("error %v", err)
	}
	for _, pair := range [][2]string{{Stdout, Stdout}, {data, filepath.Join(dir, ".", "x", "..", "data.npy")}} {
		if err := CheckDistinct([]Output{{"-a", pair[0]}, {"-b", pair[1]}}); err == nil {
			t.Errorf("%v are taken for two places", pair)
		}
	}
	if err := CheckDistinct([]Output{{"-a", Stdout}, {"-b", data}}); err != nil {
		t.Error(err)
	}
}

// closed is a stream that nobody reads.
type closed struct{}

func (closed) Write([]byte) (int, error) { return 0, errors.New("gone") }
