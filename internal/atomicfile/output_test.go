package atomicfile

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestWriteFileIsAtomic(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	if err := WriteFile(path, func(w io.Writer) error { _, err := io.WriteString(w, "old"); return err }); err != nil {
		t.Fatal(err)
	}
	err := WriteFile(path, func(w io.Writer) error {
		io.WriteString(w, strings.Repeat("new", 10000))
		return errors.New("x.npy is truncated")
	})
	if err == nil || err.Error() != "x.npy is truncated" {
		t.Errorf("error %v is not that of what was written", err)
	}
	if b, _ := os.ReadFile(path); string(b) != "old" {
		t.Errorf("file is %q after a failed write, want the old one", b)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("%d files are left, want 1", len(entries))
	}
	missing := filepath.Join(dir, "no", "file")
	if err := CheckWritable(missing); err == nil || !strings.Contains(err.Error(), missing) {
		t.Errorf("CheckWritable of a missing folder: %v", err)
	}
	if err := CheckWritable(dir); err == nil || !strings.Contains(err.Error(), "folder") {
		t.Errorf("CheckWritable of a folder: %v", err)
	}
	if err := CheckWritable(path); err != nil {
		t.Error(err)
	}
	if b, _ := os.ReadFile(path); string(b) != "old" {
		t.Error("CheckWritable changed the file")
	}
}

// What is no regular file is refused and stays what it is.
func TestWriteFileRefusesWhatIsNoRegularFile(t *testing.T) {
	dir := t.TempDir()
	folder, pipe := filepath.Join(dir, "folder"), filepath.Join(dir, "pipe")
	if err := os.Mkdir(folder, 0o777); err != nil {
		t.Fatal(err)
	}
	cases := map[string]string{folder: "a folder"}
	if mkfifo, err := exec.LookPath("mkfifo"); err != nil {
		t.Log("no mkfifo: pipes are not tested")
	} else if out, err := exec.Command(mkfifo, pipe).CombinedOutput(); err != nil {
		t.Fatalf("mkfifo: %v %s", err, out)
	} else {
		cases[pipe] = "a pipe"
	}
	for _, path := range []string{folder, pipe} {
		if what, ok := cases[path]; ok {
			if link := path + "-link"; os.Symlink(path, link) == nil {
				cases[link] = what
			}
		}
	}
	for path, what := range cases {
		before, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		for name, err := range map[string]error{
			"CheckWritable": CheckWritable(path),
			"WriteFile":     WriteFile(path, func(io.Writer) error { t.Error("write was called"); return nil }),
		} {
			if err == nil || !strings.Contains(err.Error(), path+": it is "+what) ||
				!strings.Contains(err.Error(), "choose the name of a new file") {
				t.Errorf("%s of %s: %v", name, what, err)
			}
		}
		if after, err := os.Lstat(path); err != nil || after.Mode() != before.Mode() || !os.SameFile(before, after) {
			t.Errorf("%s, %s, was replaced (%v)", path, what, err)
		}
	}
	if entries, _ := os.ReadDir(dir); len(entries) != len(cases) {
		t.Errorf("%d entries, want %d", len(entries), len(cases))
	}
}

// A link stays and the file it names is written, beside which the temporary file is, there already or not.
func TestWriteFileFollowsLinks(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, filepath.FromSlash(name)) }
	for _, name := range []string{"links", "real/deep"} {
		if err := os.MkdirAll(in(name), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(in("real/old"), []byte("old"), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, l := range [][2]string{
		{in("real/old"), "links/absolute"},
		{filepath.Join("..", "real", "old"), "links/relative"},
		{"relative", "links/twice"},
		{filepath.Join("..", "real", "new"), "links/dangling"},
		{in("real/deep"), "links/folder"},
		{filepath.Join("..", "up"), "real/deep/up"}, // seen through links/folder: real/up, not links/up
		{"loop", "links/loop"},
		{filepath.Join("..", "no", "file"), "links/nowhere"},
	} {
		if err := os.Symlink(l[0], in(l[1])); err != nil {
			t.Skip("no symbolic links here: ", err)
		}
	}
	for _, c := range [][2]string{
		{"links/absolute", "real/old"}, {"links/relative", "real/old"}, {"links/twice", "real/old"},
		{"links/dangling", "real/new"}, {"links/folder/up", "real/up"}, {"links/folder/file", "real/deep/file"},
	} {
		link, target := in(c[0]), in(c[1])
		before, _ := os.Readlink(link)
		if err := CheckWritable(link); err != nil {
			t.Errorf("CheckWritable of %s: %v", c[0], err)
		}
		err := WriteFile(link, func(w io.Writer) error {
			if temps, _ := filepath.Glob(filepath.Join(filepath.Dir(target), "*.tmp")); len(temps) != 1 {
				t.Errorf("%s: temporary files beside the target: %v", c[0], temps)
			}
			_, err := io.WriteString(w, c[0])
			return err
		})
		if err != nil {
			t.Errorf("WriteFile to %s: %v", c[0], err)
		}
		if after, _ := os.Readlink(link); after != before {
			t.Errorf("link %s named %q and names %q now", c[0], before, after)
		}
		if info, err := os.Lstat(target); err != nil || !info.Mode().IsRegular() {
			t.Errorf("%s: %s is no regular file (%v)", c[0], c[1], err)
		}
		if b, _ := os.ReadFile(target); string(b) != c[0] {
			t.Errorf("%s: %s holds %q", c[0], c[1], b)
		}
	}
	for _, c := range [][2]string{{"links/loop", in("links/loop")}, {"links/nowhere", filepath.FromSlash("no/file")}} {
		if err := CheckWritable(in(c[0])); err == nil || !strings.Contains(err.Error(), c[1]) {
			t.Errorf("CheckWritable of %s: %v", c[0], err)
		}
	}
}
