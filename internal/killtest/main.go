//go:build linux

// The trials: kill, go on, compare.

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// trial is one small training: a folder of pictures, which goes through the cache, and a network for them.
type trial struct {
	train string // the program
	dir   string // where everything is
	want  map[string]string
	took  time.Duration // of the unbroken training

	killed, equal, differing, dead int
}

func main() {
	bin := flag.String("bin", "", "folder of the programs: go build -tags nocuda -o BIN ./cmd/...")
	kills := flag.Int("kills", 200, "kills at random moments")
	calls := flag.Int("calls", -1, "kills at system calls, at most; -1: one at each")
	seed := flag.Uint64("seed", 1, "of the moments")
	flag.Parse()
	if err := run(*bin, *kills, *calls, *seed); err != nil {
		fmt.Fprintln(os.Stderr, "killtest:", err)
		os.Exit(1)
	}
}

func run(bin string, kills, calls int, seed uint64) error {
	train, err := filepath.Abs(filepath.Join(bin, "train"))
	if err != nil {
		return err
	}
	if _, err := os.Stat(train); err != nil || bin == "" {
		return fmt.Errorf("-bin %q: expected a folder with the program train", bin)
	}
	dir, err := os.MkdirTemp("", "killtest")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	t := &trial{train: train, dir: dir}
	if err := t.makePictures(); err != nil {
		return err
	}
	for i := range 3 { // the shortest time is that of a machine with nothing else to do
		name := fmt.Sprintf("whole-%d", i)
		start := time.Now()
		if out, err := t.command(name, true).CombinedOutput(); err != nil {
			return fmt.Errorf("the unbroken training failed: %w\n%s", err, out)
		}
		if took := time.Since(start); i == 0 || took < t.took {
			t.took = took
		}
		want, err := contents(t.folder(name))
		if err != nil {
			return err
		}
		if i > 0 && !maps.Equal(want, t.want) {
			return fmt.Errorf("two unbroken trainings differ")
		}
		t.want = want
	}
	fmt.Printf("unbroken    %v, %d files\n", t.took.Round(time.Millisecond), len(t.want))

	random := rand.New(rand.NewPCG(seed, 0))
	for i := range kills {
		if err := t.killAtRandom(fmt.Sprintf("random-%d", i), random); err != nil {
			return err
		}
	}
	t.report("random")

	all, err := t.trace("traced", 0)
	if err != nil {
		return err
	}
	count := map[string]int{}
	for _, c := range all {
		count[c]++
	}
	fmt.Printf("calls       %d that change files:", len(all))
	for _, name := range slices.Sorted(maps.Keys(count)) {
		fmt.Printf(" %s %d", name, count[name])
	}
	fmt.Println()
	bad := t.differing + t.dead
	t.killed, t.equal, t.differing, t.dead = 0, 0, 0, 0
	if t.judge("traced", "never killed"); calls < 0 || calls > len(all) {
		calls = len(all)
	}
	for n := 1; n <= calls; n++ {
		name := fmt.Sprintf("call-%d", n)
		seen, err := t.trace(name, n)
		if err != nil {
			return err
		}
		at := "after its end"
		if len(seen) == n {
			at = fmt.Sprintf("before call %d, %s", n, seen[n-1])
			t.killed++
		}
		t.judge(name, at)
	}
	t.report("at calls")
	if bad+t.differing+t.dead > 0 {
		return fmt.Errorf("runs differ or are dead")
	}
	return nil
}

func (t *trial) report(what string) {
	fmt.Printf("%-11s %d killed, %d equal, %d differing, %d dead\n", what, t.killed, t.equal, t.differing, t.dead)
}

// makePictures makes the data.
func (t *trial) makePictures() error {
	if err := os.Mkdir(filepath.Join(t.dir, "pictures"), 0o777); err != nil {
		return err
	}
	for i := range 24 {
		img := image.NewGray(image.Rect(0, 0, 8, 8))
		for j := range img.Pix {
			img.SetGray(j%8, j/8, color.Gray{uint8(i*j*7 + j*j + 31*i)})
		}
		var b bytes.Buffer
		if err := png.Encode(&b, img); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(t.dir, "pictures", fmt.Sprintf("%02d.png", i)), b.Bytes(), 0o666); err != nil {
			return err
		}
	}
	return nil
}

// folder is that of a run. Each run has a folder of runs of its own, and a cache.
func (t *trial) folder(name string) string { return filepath.Join(t.dir, name, "runs", "k") }

// arguments are those of a training that begins or, if not, goes on.
func (t *trial) arguments(name string, begin bool) []string {
	runs, cache := filepath.Join(t.dir, name, "runs"), filepath.Join(t.dir, name, "cache")
	if !begin {
		return []string{"-resume", t.folder(name), "-cache", cache}
	}
	return []string{"-runs", runs, "-name", "k", "-data", filepath.Join(t.dir, "pictures"), "-cache", cache,
		"-net", "ncsnv2", "-ngf", "2", "-batch", "4", "-levels", "3", "-sigma-begin", "4", "-T", "1", "-held-out", "6",
		"-steps", "24", "-checkpoint-every", "8", "-keep-checkpoints", "2", "-log-every", "5", "-eval-every", "10",
		"-preview-every", "12", "-preview-n", "2", "-workers", "1"}
}

func (t *trial) command(name string, begin bool) *exec.Cmd {
	return exec.Command(t.train, t.arguments(name, begin)...)
}

// killAtRandom kills a training, and sometimes the one that goes on from it.
func (t *trial) killAtRandom(name string, random *rand.Rand) error {
	begin, at := true, ""
	for first := true; first || random.IntN(3) == 0; first = false {
		c := t.command(name, begin)
		if err := c.Start(); err != nil {
			return err
		}
		after := time.Duration(random.Float64() * 1.1 * float64(t.took))
		ended := make(chan error, 1)
		go func() { ended <- c.Wait() }()
		select {
		case <-ended:
		case <-time.After(after):
			c.Process.Kill()
			if err := <-ended; err != nil {
				t.killed++
			}
		}
		at += fmt.Sprintf(" after %v", after)
		begin = !t.began(name)
	}
	t.judge(name, at)
	return nil
}

// began tells whether a run can be gone on with, by its configuration.
func (t *trial) began(name string) bool {
	_, err := os.Stat(filepath.Join(t.folder(name), "config.yaml"))
	return err == nil
}

// judge goes on with a run to its end, or begins it again, compares it and removes it.
func (t *trial) judge(name, killed string) {
	defer os.RemoveAll(filepath.Join(t.dir, name))
	out, err := t.command(name, false).CombinedOutput()
	if err != nil {
		again, err := t.command(name, true).CombinedOutput()
		if err != nil {
			t.dead++
			fmt.Printf("dead        %s, killed %s\n%s%s\n", name, killed, out, again)
			return
		}
	}
	got, err := contents(t.folder(name))
	if err != nil {
		t.differing++
		fmt.Printf("differing   %s, killed %s: %v\n", name, killed, err)
		return
	}
	var faults []string
	for file := range t.want {
		switch g, ok := got[file]; {
		case !ok:
			faults = append(faults, file+" is missing")
		case g != t.want[file]:
			faults = append(faults, file+" differs")
		}
	}
	for file := range got {
		if _, ok := t.want[file]; !ok {
			faults = append(faults, file+" is too much")
		}
	}
	if len(faults) > 0 {
		t.differing++
		slices.Sort(faults)
		fmt.Printf("differing   %s, killed %s: %s\n", name, killed, strings.Join(faults, ", "))
		return
	}
	t.equal++
}

// contents returns the content of every file of a run, without what a clock or the place decides.
func contents(run string) (map[string]string, error) {
	all := map[string]string{}
	err := filepath.WalkDir(run, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		text := string(b)
		switch filepath.Base(path) {
		case "metrics.jsonl":
			if text, err = timeless(b); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
		}
		// The cache's folder is a setting that differs, also in the configuration that a checkpoint holds: its length is
		// then another, and so is the checksum. The tensors are what counts there.
		if filepath.Ext(path) == ".safetensors" {
			if text, err = tensors(b); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
		}
		if filepath.Base(path) == "config.yaml" {
			text = slices.Collect(strings.SplitSeq(text, "cache: "))[0]
		}
		name, err := filepath.Rel(run, path)
		all[name] = text
		return err
	})
	return all, err
}

// timeless returns lines of metrics without what depends on the clock.
func timeless(text []byte) (string, error) {
	var out strings.Builder
	for s := bufio.NewScanner(bytes.NewReader(text)); s.Scan(); {
		var m map[string]json.RawMessage
		if err := json.Unmarshal(s.Bytes(), &m); err != nil {
			return "", err
		}
		for _, key := range []string{"time", "images_per_s", "crc"} {
			delete(m, key)
		}
		b, err := json.Marshal(m)
		if err != nil {
			return "", err
		}
		out.Write(append(b, '\n'))
	}
	return out.String(), nil
}

// tensors returns a safetensors file without its metadata.
func tensors(file []byte) (string, error) {
	if len(file) < 8 {
		return "", fmt.Errorf("expected a safetensors file, found %d bytes", len(file))
	}
	n := int(file[0]) | int(file[1])<<8 | int(file[2])<<16 | int(file[3])<<24
	if n > len(file)-8 {
		return "", fmt.Errorf("expected a safetensors file, found a header of %d bytes in %d", n, len(file))
	}
	var header map[string]json.RawMessage
	if err := json.Unmarshal(file[8:8+n], &header); err != nil {
		return "", err
	}
	var meta map[string]string
	if err := json.Unmarshal(header["__metadata__"], &meta); err != nil {
		return "", err
	}
	delete(header, "__metadata__")
	b, err := json.Marshal(header)
	return fmt.Sprintf("step %s, seed %s %s %s", meta["step"], meta["seed"], b, file[8+n:]), err
}
