//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"sigmaz/kernels"
	"sigmaz/kernels/kerneltest"
)

// testCheck is a check with folders of its own.
func testCheck(t *testing.T, maxBytes int64, maxFiles int) *check {
	t.Helper()
	results, err := openFolder(filepath.Join(t.TempDir(), "out"), maxBytes, maxFiles)
	if err != nil {
		t.Fatal(err)
	}
	return newCheck(&options{budget: 60}, t.TempDir(), results, io.Discard, time.Now())
}

func TestFindLibrary(t *testing.T) {
	with, without := t.TempDir(), t.TempDir()
	library := filepath.Join(with, "libcuda.so.1")
	if err := os.WriteFile(library, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	const known = "2 libs\n\tlibcuda.so.1 (libc6,x86-64) => /lib/libcuda.so.1\n\tlibm.so.6 (libc6) => /lib/libm.so.6\n"
	for _, c := range []struct {
		path, known string
		folders     []string
		where, add  string
	}{
		{path: without + ":" + with, known: known, where: library},
		{path: without, known: known, where: "/lib/libcuda.so.1"},
		{known: "libcuda.so (libc6) => /x", folders: []string{without, with}, where: library, add: with},
		{folders: []string{without}},
	} {
		if where, add := findLibrary(c.path, c.known, c.folders); where != c.where || add != c.add {
			t.Errorf("%+v: found %q, to add %q", c, where, add)
		}
	}
}

// A folder has what is most important, and names the rest.
func TestFolder(t *testing.T) {
	dir := t.TempDir()
	f, err := openFolder(dir, leastBytes, 5)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if err := f.put(file.name, make([]byte, leastBytes/16*file.sixteenths)); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.put(logFile, make([]byte, leastBytes/4)); err != nil {
		t.Fatal(err)
	}
	want := []string{"sample.png: only 5 files are allowed", "preview.png: only 5 files are allowed",
		"log.txt: 16384 bytes, and 12288 of 65536 are for it"}
	if !slices.Equal(f.leftOut, want) {
		t.Errorf("left out %q, expected %q", f.leftOut, want)
	}
	there, _ := os.ReadDir(dir)
	if len(there) != 4 {
		t.Errorf("%d files, expected 4 and place for one that is written", len(there))
	}
	var shares int64 = 3
	for _, file := range files {
		shares += file.sixteenths
	}
	if shares != 16 {
		t.Errorf("%d sixteenths are given out", shares)
	}
	if _, err := openFolder(dir, leastBytes, 5); err != nil {
		t.Errorf("what a call has left: %v", err)
	}
	os.WriteFile(filepath.Join(dir, "thesis.tex"), nil, 0o666)
	if _, err := openFolder(dir, leastBytes, 5); err == nil || !strings.Contains(err.Error(), "thesis.tex") {
		t.Errorf("a file that is not ours: %v", err)
	}
}

func TestShorten(t *testing.T) {
	text := strings.Repeat("a line of text\n", 100)
	for _, room := range []int{10, 60, 200, 700, 1499, 1500} {
		got := shorten(text, room)
		if len(got) > room {
			t.Errorf("%d bytes in %d", len(got), room)
		}
		if room >= 200 && (!strings.HasPrefix(got, "a line of text\n") || !strings.HasSuffix(got, "a line of text\n")) {
			t.Errorf("in %d: %q", room, got)
		}
		if room == 700 && !strings.Contains(got, "bytes are left out") {
			t.Errorf("nothing is said of what is left out: %q", got)
		}
	}
}

// Whatever a report holds, its files keep within the least that may be given, and the numbers are JSON.
func TestReportFits(t *testing.T) {
	c := testCheck(t, leastBytes, 8)
	long := strings.Repeat("a very long line about nothing at all, | ", 50)
	for _, p := range parts {
		c.report.Parts = append(c.report.Parts, partResult{Name: p.name, Result: passed, Detail: long})
		c.report.section(p.name, strings.Repeat(long+"\n", 50))
	}
	for i := range 30 {
		c.report.Turns = append(c.report.Turns, turn{Size: "ngf 128 32x32x3 b128", Task: "train", Precision: "float32",
			Form: "compile", Sigmaz: [3]float64{1, 2345.6, 3}, PyTorch: [3]float64{1, 12345.6, 3},
			Ratio: [3]float64{0.123, 0.456, float64(i)}, Why: long})
	}
	c.report.Precisions = []string{"tf32"}
	big, _ := json.Marshal(map[string]string{"x": strings.Repeat("x", 20000)})
	os.WriteFile(filepath.Join(c.work, "bench-tf32.json"), big, 0o666)
	for range 1000 {
		c.monitor.add("1980, 2619, 700.12, 66, 100, 12345, 0x0000000000000004", nil)
	}
	if err := c.save(); err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, name := range []string{reportFile, numbersFile, logFile, monitorFile} {
		text, err := os.ReadFile(c.results.path(name))
		if err != nil || int64(len(text)) > c.results.room(name) {
			t.Errorf("%s has %d bytes, expected at most %d: %v", name, len(text), c.results.room(name), err)
		}
		total += len(text)
		if name == numbersFile {
			var r report
			err := json.Unmarshal(text, &r)
			if err != nil || len(r.LeftOut) == 0 || r.Bench != nil || len(r.Parts) != len(parts) {
				t.Errorf("%v; left out %q, %d parts", err, r.LeftOut, len(r.Parts))
			}
		}
	}
	if total > leastBytes {
		t.Errorf("%d bytes in all", total)
	}
	for line := range strings.Lines(c.report.summary(c.results)) {
		if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > 80 && !strings.Contains(line, c.results.dir) &&
			!strings.HasPrefix(line, "left out") {
			t.Errorf("%d characters: %s", n, line)
		}
	}
}

func TestMonitor(t *testing.T) {
	m := &monitor{start: time.Now()}
	if csv, sum := m.result(1000); csv != nil || sum != nil {
		t.Error("there is something before the first sample")
	}
	m.part("bench")
	m.add("345, 2619, 75.50, 30, 0, 4, 0x0000000000000001", nil)
	m.add("1980, 2619, 650.00, 60, 100, 9000, 0x0000000000000000", nil)
	m.add("1500, 2619, 700.00, 66, 99, 9000, 0x0000000000000024", nil)
	m.add("1400, 2619, [N/A], 65, 98, 9000", nil)
	m.add("", errors.New("no answer in 4 s"))
	csv, sum := m.result(1000)
	want := "3 of them of a busy card\nclock 1500 MHz (1400 to 1980), memory's 2619 MHz; power 650 W (0 to 700)\n" +
		"at most 66 degrees, 9000 MiB in use\nheld back by power cap in 1 samples\n" +
		"held back by thermal slowdown by software in 1 samples\nnvidia-smi failed: no answer in 4 s: \n"
	if got := sum.text(); got != "4 samples, "+want {
		t.Errorf("got %q, expected %q", got, want)
	}
	if !strings.Contains(string(csv), "\n0,bench,1500,2619,700,66,99,9000,0x24\n") {
		t.Errorf("%s", csv)
	}
}

// The lines are compute-sanitizer's own.
// The sanitizer follows every operation that has a kernel, and looks for races in every one that has a barrier.
func TestSanitizerCases(t *testing.T) {
	followed := func(operations, names string) map[string]bool {
		operation, shape := regexp.MustCompile(operations), regexp.MustCompile("^("+names+")")
		all, cases := map[string]bool{}, 0
		defer func() { t.Logf("%d cases of %d operations", cases, len(all)) }()
		for _, c := range kerneltest.Cases() {
			kind, name, sizes := strings.Cut(c.Name, "/") // of those without sizes there is one case
			if operation.MatchString(kind) && (!sizes || shape.MatchString(strings.ReplaceAll(name, " ", "_"))) {
				all[fmt.Sprint(c.Op.Name(), " in ", c.Precision)] = true
				cases++
			}
		}
		return all
	}
	memcheck := followed(memcheckOperations, memcheckCases)
	racecheck := followed(racecheckOperations, racecheckCases)

	files, err := filepath.Glob("../../../kernels/ptx/*.ptx")
	if err != nil || len(files) == 0 {
		t.Fatal(err, len(files))
	}
	barriers := map[string]bool{} // operations
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, kernel := range strings.Split(string(text), ".visible .entry ")[1:] {
			operation := ""
			for _, o := range kernels.Operations {
				if name := o.Op.Name(); strings.HasPrefix(kernel, name) && len(name) > len(operation) {
					operation = name
				}
			}
			if strings.Contains(kernel, "bar.sync") {
				barriers[operation] = true
			}
		}
	}
	if len(barriers) < 10 {
		t.Errorf("operations with barriers: %v", barriers)
	}
	for _, o := range kernels.Operations {
		for _, precision := range o.Precisions {
			what := fmt.Sprint(o.Op.Name(), " in ", precision)
			switch {
			case o.Op.Name() == "host_func" || o.Op.Name() == "discard": // no kernels
			case !memcheck[what]:
				t.Errorf("memcheck has no case of %s", what)
			case barriers[o.Op.Name()] && !racecheck[what]:
				t.Errorf("racecheck has no case of %s", what)
			}
		}
	}
}

func TestJudge(t *testing.T) {
	for _, c := range []struct {
		out  output
		want string
	}{
		{output{text: "--- PASS: TestX\n========= ERROR SUMMARY: 0 errors\n"}, passed},
		{output{text: "--- PASS: TestX\n"}, failed},
		{output{text: "========= ERROR SUMMARY: 0 errors\n"}, failed},
		{output{text: "========= Error: Device not supported\n========= ERROR SUMMARY: 1 error\n", code: 9}, skipped},
		{output{text: "--- PASS: TestX\n========= Error: Device not supported\n========= ERROR SUMMARY: 1 error\n"}, failed},
		{output{text: "--- PASS: TestX\n========= ERROR SUMMARY: 3 errors\n", code: 9}, failed},
		{output{text: "--- PASS: TestX\n", code: -1, ended: errLimit}, failed},
	} {
		if got := judge(&c.out); got.Result != c.want {
			t.Errorf("%+v: %s, %s; expected %s", c.out, got.Result, got.Detail, c.want)
		}
	}
}

func TestWhy(t *testing.T) {
	for want, out := range map[string]output{
		"--- FAIL: TestX (0.1s)":  {text: "=== RUN TestError\n--- FAIL: TestX (0.1s)\nFAIL\n"},
		"it says no":              {text: "it says\n\n it says no\n\n"},
		"exit code 3 and no word": {code: 3},
		errLimit.Error():          {text: "FAIL", ended: errLimit},
	} {
		if got := out.why(); got != want {
			t.Errorf("got %q, expected %q", got, want)
		}
	}
}

// A child that is deaf, with children of its own that have gone to other sessions and been orphaned, is ended with all
// of them.
func TestProcessesEnd(t *testing.T) {
	if err := adopt(); err != nil {
		t.Fatal(err)
	}
	p, err := spawn(exec.Command("/bin/sh", "-c", `trap "" TERM
		setsid sleep 300 &
		(setsid sleep 300 & setsid sh -c "sleep 300" &)
		sleep 300; sleep 300`))
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(300 * time.Millisecond)
	before := len(descendants(os.Getpid()))
	if before < 5 {
		t.Fatalf("%d processes were started, expected 5", before)
	}
	p.end()
	sweep()
	if left := descendants(os.Getpid()); len(left) > 0 {
		t.Errorf("%d processes are left of %d", len(left), before)
	}
}

// What a process answers, and what becomes of one that hangs, ends or says nonsense.
func TestAsked(t *testing.T) {
	c := testCheck(t, leastBytes, 8)
	for script, want := range map[string]string{
		`read x; echo '{"Rate": 7, "Memory": 5}'`:                   "7 5 <nil>",
		`read x; echo '{"Error": "too large"}'`:                     "0 0 too large",
		`read x; echo 'Traceback: a bug' >&2; exit 1`:               "0 0 Traceback: a bug",
		`read x; echo hello`:                                        `0 0 it answered "hello"`,
		`read x; sleep 300`:                                         "0 0 " + errLimit.Error(),
		`read x; exec >&- 2>&-; trap "" TERM; sleep 300; sleep 300`: "0 0 exit code 1 and no word",
	} {
		a, err := c.open("/bin/sh", "-c", script)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeoutCause(t.Context(), 500*time.Millisecond, errLimit)
		got, err := a.ask(ctx, "train")
		cancel()
		if text := fmt.Sprint(got.Rate, got.Memory, err); text != want {
			t.Errorf("%s: %s, expected %s", script, text, want)
		}
		a.close()
	}
}

func TestTurns(t *testing.T) {
	var a turn
	a.fill([]float64{10, 20, 0, 30}, []float64{5, 20, 9, 0}, false)
	if a.Ratio != [3]float64{1, 2, 2} || a.Sigmaz != [3]float64{10, 20, 30} || a.PyTorch != [3]float64{5, 9, 20} ||
		a.Why != "" {
		t.Errorf("%+v", a)
	}
	a = turn{}
	a.fill([]float64{10, 20}, nil, false)
	if a.Ratio != [3]float64{} || a.Why == "" {
		t.Errorf("%+v", a)
	}
	a = turn{}
	if a.fill([]float64{10}, []float64{20}, true); a.Ratio != [3]float64{} || a.Sigmaz != [3]float64{} || a.Why != "" {
		t.Errorf("of the stand-in: %+v", a)
	}
	table := turnTable("PyTorch 2", []turn{
		{Size: "ngf 128 32x32x3 b128", Task: "train", Precision: "bf16", Form: "compile",
			Why: "this build does not know bf16"},
		{Size: "ngf 128 32x32x3 b128", Task: "score", Precision: "float32", Form: "compile",
			Sigmaz: [3]float64{1, 12345.6, 3}, PyTorch: [3]float64{1, 12345.6, 3}, Ratio: [3]float64{0.91, 1, 1.1}},
	}, []peak{{"copy in the card's memory", "TB/s", [3]float64{4.1e12, 4.25e12, 4.3e12}}})
	want := `PyTorch 2; ratio above 1: sigmaz is faster
ngf 128 32x32x3 b128, images/s
                            sigmaz   PyTorch   ratio (range)
  train bf16 compile             -         -   this build does not know bf16
  score float32 compile  1.235e+04 1.235e+04   1.00 (0.91 to 1.10)
PyTorch's copy in the card's memory: 4.25 TB/s (4.1 to 4.3)
`
	if table != want {
		t.Errorf("got\n%s\nexpected\n%s", table, want)
	}
}

func TestEssence(t *testing.T) {
	got := essence(`checked  32 results against the reference, largest error 7.8e-07

memory, TB/s
perturb              3.80 ±1% (90%)
langevin             4.10 ±0% (97%)
copy (affine, 1x+0)  4.22 ±1% (100%)

perturb, 1x          0.01 (3%)  -  1
the rule's forward 64x64 is the fastest
`)
	want := []string{"32 results right", "perturb at 90 % of a copy", "langevin at 97 % of a copy",
		"the rule's forward 64x64 is the fastest"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, expected %q", got, want)
	}
}

// PyTorch compiles what it is going to be asked for while the tests run, and is ended before anything is measured.
func TestWarmUp(t *testing.T) {
	c := testCheck(t, leastBytes, 8)
	requests := filepath.Join(c.work, "requests")
	c.env = append(os.Environ(), "REQUESTS="+requests)
	script := filepath.Join(c.work, "python")
	if err := os.WriteFile(script, []byte("#!/bin/sh\ncat >$REQUESTS\n"), 0o777); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SIGMAZ_PYTHON", script)
	c.report.Precisions, c.report.Unknown = []string{"tf32", "float32"}, []string{"bf16"}
	c.found = device{gpu: true, memory: roomForTwo - 1}
	if c.warmUp(); c.warm != nil {
		t.Error("it compiles on a small card")
	}
	c.found.memory = roomForTwo
	c.warmUp()
	size := "128 32 3 128 0.001"
	var want string
	for _, p := range []string{"tf32", "float32", "bf16"} {
		want += fmt.Sprintf("way compile %s\ntrain %s\nscore %s\n", p, size, size)
	}
	got := ""
	for range 100 {
		text, _ := os.ReadFile(requests)
		if got = string(text); got == want {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if got != want {
		t.Errorf("asked for %q, expected %q", got, want)
	}
	p := c.warm.process
	c.coolDown()
	select {
	case <-p.done:
	default:
		t.Error("it runs on")
	}
	if c.coolDown(); c.warm != nil {
		t.Error("it is still there")
	}
}

// Both sides answer in turns; a precision that this build does not know has PyTorch's rate alone; PyTorch that ends
// is started again, without what has ended it.
func TestComparison(t *testing.T) {
	c := testCheck(t, leastBytes, 8)
	c.quick, c.env = true, os.Environ()
	c.found = device{gpu: true}
	c.report.Precisions, c.report.Unknown = []string{"float32", "tf32"}, []string{"bf16"}
	script := func(name, text string) string {
		path := filepath.Join(c.work, name)
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o777); err != nil {
			t.Fatal(err)
		}
		return path
	}
	script("sigmaz", `while read line; do echo '{"Rate": 30, "Runs": 1}'; done`)
	t.Setenv("SIGMAZ_PYTHON", script("python", `[ "$1" = -c ] && exit
		echo '{"torch": "2.9", "device": "a card", "compile": true, "difference": 1e-7}'
		while read what how kind rest; do
			case "$what $form $precision" in
			way*) form=$how precision=$kind; echo '{}' ;;
			"train compile tf32") echo 'RuntimeError: out of luck' >&2; exit 1 ;;
			"train compile"*) echo '{"Rate": 20, "Memory": 7}' ;;
			*) echo '{"Rate": 10}' ;;
			esac
		done`))
	if r := c.pytorch(t.Context()); r.Result != passed || r.Detail != "PyTorch 2.9 on a card; 6 comparisons" {
		t.Errorf("%+v", r)
	}
	var got []string
	for _, u := range c.report.Turns {
		got = append(got, fmt.Sprintf("%s %s %s: %g %g %g %d %s", u.Task, u.Precision, u.Form, u.Sigmaz[1], u.PyTorch[1],
			u.Ratio[1], u.Memory, u.Why))
	}
	want := []string{
		"train tf32 eager: 30 10 3 0 ",
		"train tf32 compile: 30 0 0 0 PyTorch: RuntimeError: out of luck",
		"score tf32 eager: 30 10 3 0 ",
		"score tf32 compile: 30 0 0 0 PyTorch: RuntimeError: out of luck",
		"train float32 eager: 30 10 3 0 ",
		"train float32 compile: 30 20 1.5 7 ",
		"score float32 eager: 30 10 3 0 ",
		"score float32 compile: 30 10 3 0 ",
		"train bf16 eager: 0 10 0 0 this build does not know bf16",
		"train bf16 compile: 0 20 0 7 this build does not know bf16",
		"score bf16 eager: 0 10 0 0 this build does not know bf16",
		"score bf16 compile: 0 10 0 0 this build does not know bf16",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nexpected\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if len(c.report.Peaks) != 4 {
		t.Errorf("%d peaks, expected a copy and three products", len(c.report.Peaks))
	}
}
