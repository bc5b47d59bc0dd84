//go:build linux && cgo && !nocuda

// train -gpus N on the stand-in: the bits of one process, one sentence and no process left whatever happens to a rank or to the
// process that stands for them.

package cmd_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// ranksOf lists the processes that a process has started, by rank.
func ranksOf(parent int) (all []int) {
	dirs, _ := filepath.Glob("/proc/[0-9]*/stat")
	found := map[int]int{}
	for _, path := range dirs {
		text, _ := os.ReadFile(path)
		_, rest, _ := bytes.Cut(text, []byte(") "))
		fields := strings.Fields(string(rest))
		if len(fields) < 2 || fields[1] != strconv.Itoa(parent) || fields[0] == "Z" {
			continue
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		env, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "environ"))
		for v := range bytes.SplitSeq(env, []byte{0}) {
			if name, value, _ := strings.Cut(string(v), "="); name == "RANK" {
				rank, _ := strconv.Atoi(value)
				found[rank] = pid
			}
		}
	}
	for rank := range len(found) {
		all = append(all, found[rank])
	}
	return all
}

func TestRanksOfGPUs(t *testing.T) {
	if !device(t) {
		t.Skip("a machine with two GPUs is made by the stand-in driver")
	}
	dir := t.TempDir()
	tiny(t, dir)
	settings := append(small("whole", 8), "-shards", "2", "-checkpoint-every", "2", "-gpu")
	must(t, dir, settings...)
	latest := func(name string) string {
		text, _ := os.ReadFile(filepath.Join(dir, "runs", name, "checkpoints", "latest"))
		return strings.TrimSpace(string(text))
	}
	state := func(name string) []byte {
		t.Helper()
		b, err := os.ReadFile(filepath.Join(dir, "runs", name, "checkpoints", latest(name)))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	two := []string{"SIGMAZ_SIM_DEVICES=2"}
	of := func(name string, steps int) []string {
		args := slices.Clone(settings)
		for i := range args {
			switch {
			case args[i] == "whole":
				args[i] = name
			case i > 0 && args[i-1] == "-steps":
				args[i] = fmt.Sprint(steps)
			}
		}
		return append(args, "-gpus", "2")
	}
	if code, stdout, stderr := command(t, dir, two, of("two", 8)...); code != 0 || !bytes.Equal(state("two"), state("whole")) {
		t.Fatalf("two processes: exit code %d, or another checkpoint than one\n%s%s", code, stdout, stderr)
	}

	// trial begins a long run, lets something happen to it after its first checkpoint, and goes on with it.
	trial := func(name string, happens func(c *exec.Cmd, ranks []int), want string) {
		t.Run(name, func(t *testing.T) {
			c := exec.Command(filepath.Join(bin, "train"), of(name, 100000)[1:]...)
			var out, said bytes.Buffer
			c.Dir, c.Env, c.Stdout, c.Stderr = dir, append(os.Environ(), two...), &out, &said
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			for begun := time.Now(); latest(name) == ""; time.Sleep(20 * time.Millisecond) {
				if time.Since(begun) > 2*time.Minute {
					c.Process.Kill()
					t.Fatalf("nothing is saved\n%s%s", &out, &said)
				}
			}
			ranks := ranksOf(c.Process.Pid)
			if len(ranks) != 2 {
				t.Fatalf("ranks are processes %v", ranks)
			}
			happens(c, ranks)
			since := time.Now()
			err := c.Wait()
			for left := true; left; time.Sleep(20 * time.Millisecond) {
				left = false
				for _, pid := range ranks {
					left = left || syscall.Kill(pid, 0) == nil
				}
				if time.Since(since) > 40*time.Second {
					t.Fatalf("ranks are left after %v\n%s%s", time.Since(since), &out, &said)
				}
			}
			if stops := want == "stopping"; stops != (err == nil) || !strings.Contains(said.String(), want) || strings.Count(said.String(), "rank ") > 2 {
				t.Errorf("%v, %q, expected %q", err, said.String(), want)
			}
			// The newest checkpoint, which a rank that is killed may not have named the latest any more.
			all, _ := filepath.Glob(filepath.Join(dir, "runs", name, "checkpoints", "step-*.safetensors"))
			newest := filepath.Base(slices.Max(all))
			if newest != latest(name) {
				t.Logf("the pointer names %s, and the newest is %s", latest(name), newest)
			}
			step, _, _ := strings.Cut(strings.TrimPrefix(newest, "step-"), ".")
			at, _ := strconv.Atoi(strings.TrimLeft(step, "0"))
			must(t, dir, "train", "-resume", "runs/"+name, "-steps", fmt.Sprint(at+2), "-gpu")
			whole := of(name+"-whole", at+2)
			must(t, dir, whole[:len(whole)-2]...)
			if !bytes.Equal(state(name), state(name+"-whole")) {
				t.Error("what goes on is not the run that nothing happened to")
			}
		})
	}
	signal := func(rank int, s syscall.Signal) func(c *exec.Cmd, ranks []int) {
		return func(_ *exec.Cmd, ranks []int) { syscall.Kill(ranks[rank], s) }
	}
	trial("killed", signal(1, syscall.SIGKILL), "rank 1 on ")
	trial("killed-0", signal(0, syscall.SIGKILL), "rank 0 on ")
	trial("silent", signal(1, syscall.SIGSTOP), "has been silent for ")
	trial("stopped", func(c *exec.Cmd, _ []int) { c.Process.Signal(os.Interrupt) }, "stopping")
	trial("parent", func(c *exec.Cmd, _ []int) { c.Process.Kill() }, "")

	// At moments that nobody chose. SIGMAZ_KILLS says how often.
	kills, _ := strconv.Atoi(os.Getenv("SIGMAZ_KILLS"))
	random := rand.New(rand.NewPCG(1, 2))
	for i := range max(kills, 1) {
		trial(fmt.Sprint("kills-", i), func(_ *exec.Cmd, ranks []int) {
			time.Sleep(time.Duration(random.IntN(1000)) * time.Millisecond)
			syscall.Kill(ranks[random.IntN(2)], syscall.SIGKILL)
		}, " has ended without a word")
	}

	for _, test := range []struct{ args, want string }{
		{"-gpus 3", "-gpus is 3, and this machine has 2 GPUs"},
		{"-gpus 0", `-gpus is "0": expected a number of GPUs`},
		{"-gpus 65", "-gpus is 65: expected a number of GPUs, at most 64"},
		{"-gpus 2 -device 1", "-device 1 is one GPU, and -gpus 2 is how many"},
		{"-gpus all -dry-run", "-gpus is all: expected a number of GPUs, at most 64"},
	} {
		code, stdout, stderr := command(t, dir, two, append([]string{"train"}, strings.Fields(test.args)...)...)
		if code == 0 || !strings.Contains(stderr, test.want) {
			t.Errorf("%s: exit code %d, %q, expected %q\n%s", test.args, code, stderr, test.want, stdout)
		}
	}

	// What is wrong in all ranks is said once, as by one process, whichever rank finds it first.
	for range 3 {
		code, stdout, stderr := command(t, dir, two, "train", "-data", "toy:moons", "-batch", "8", "-gpus", "2", "-shards", "1")
		if code != 2 || !strings.HasPrefix(stderr, "train: -shards is 1, and 2 processes share the parts") ||
			strings.Contains(stderr, " failed: ") {
			t.Errorf("-gpus 2 -shards 1: exit code %d, %q, expected 2 and a sentence of rank 0\n%s", code, stderr, stdout)
		}
	}
}

// Whatever NCCL or a device does, the command ends by itself with exit code 1 and one sentence that says what it was.
func TestFaultsOfNCCL(t *testing.T) {
	if !device(t) {
		t.Skip("the faults are those of the stand-in")
	}
	for _, test := range []struct{ fault, want string }{
		{"old", "train: libnccl.so.2 is NCCL 2.10.3"},
		{"id:1", "rank 1 on "},
		{"kill:1:13", " has ended without a word: it was killed, or its machine has failed"},
		{"stop:1:13", " has been silent for "},
		{"lost:1:13", "rank 1 on "},
	} {
		t.Run(test.fault, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			tiny(t, dir)
			begun := time.Now()
			code, stdout, stderr := command(t, dir, []string{"SIGMAZ_SIM_DEVICES=2", "SIGMAZ_SIM_NCCL_FAULT=" + test.fault},
				append(small("fault", 100), "-shards", "2", "-gpus", "2")...)
			said := strings.TrimSpace(stderr)
			if code != 1 || !strings.HasPrefix(said, "train: ") || !strings.Contains(said, test.want) || strings.Contains(said, "\n") {
				t.Errorf("exit code %d, %q, expected 1, %q\n%s", code, stderr, test.want, stdout)
			}
			if took := time.Since(begun); took > time.Minute {
				t.Errorf("it ended after %v", took)
			}
		})
	}
}
