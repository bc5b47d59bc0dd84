//go:build cgo && !nocuda

// NCCL between processes of this machine: on the stand-ins of cuda/sim. Each process is this test anew, with its rank in the
// environment.

package nccl

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sigmaz/cuda"
)

// standIn skips a test where the stand-in does not answer: on GPUs each process would need one of its own.
func standIn(t *testing.T) {
	t.Helper()
	d, err := cuda.Open(0)
	if err != nil {
		if os.Getenv("SIGMAZ_GPU") == "required" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	defer d.Close()
	if !strings.Contains(d.Name(), "stand-in") {
		t.Skip("the device is not the stand-in")
	}
}

// start runs so many ranks of a trial, each with more variables, and returns what each said.
func start(t *testing.T, trial string, size int, more ...string) []string {
	t.Helper()
	id, err := NewID()
	if err != nil {
		t.Fatal(err)
	}
	said := make([]string, size)
	var all sync.WaitGroup
	for rank := range size {
		all.Go(func() {
			c := exec.Command(os.Args[0], "-test.run=^TestRank$", "-test.timeout=60s")
			c.Env = append(append(os.Environ(), "NCCL_TRIAL="+trial, fmt.Sprintf("NCCL_RANK=%d", rank), fmt.Sprintf("NCCL_SIZE=%d", size),
				"NCCL_NAME="+hex.EncodeToString(id)), more...)
			var out bytes.Buffer
			c.Stdout, c.Stderr = &out, &out
			if err := c.Run(); err != nil {
				fmt.Fprintln(&out, err)
			}
			said[rank] = out.String()
		})
	}
	all.Wait()
	return said
}

// TestRank is what each rank does.
func TestRank(t *testing.T) {
	trial := os.Getenv("NCCL_TRIAL")
	if trial == "" {
		t.Skip("another test starts it")
	}
	rank, _ := strconv.Atoi(os.Getenv("NCCL_RANK"))
	size, _ := strconv.Atoi(os.Getenv("NCCL_SIZE"))
	id, _ := hex.DecodeString(os.Getenv("NCCL_NAME"))
	d, err := cuda.Open(0)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	var c *Comm
	on := func(call func(stream uintptr) error) error { return d.OnLaunches(call) }
	err = on(func(uintptr) (err error) {
		if c, err = Init(id, rank, size); err != nil {
			return err
		}
		if trial == "faults" { // somebody will not come: whoever watches notices, and ends the waiting
			time.AfterFunc(time.Second, func() { c.Abort(errors.New("rank 1 is gone")) })
		}
		return c.Ready(20 * time.Second)
	})
	if err != nil {
		fmt.Println("cannot join:", err)
		if c != nil { // also of a communicator that is lost
			fmt.Println("later:", c.Check())
		}
		return
	}
	const n = 30000 // more than the stand-in has on its way at a time
	send, err := d.Alloc(4*n*int64(size), "send")
	if err != nil {
		t.Fatal(err)
	}
	recv, err := d.Alloc(4*n*int64(size), "recv")
	if err != nil {
		t.Fatal(err)
	}
	fill := func(round int) {
		words := make([]byte, 4*n*size)
		for i := range n * size {
			binary.LittleEndian.PutUint32(words[4*i:], uint32(1e7*round+1e6*rank+i))
		}
		if err := send.Write(0, words); err != nil {
			t.Fatal(err)
		}
		if err := recv.Write(0, make([]byte, 4*n*size)); err != nil {
			t.Fatal(err)
		}
	}
	// expect looks at a window of a buffer: from whom, and which window of theirs.
	expect := func(b *cuda.Buffer, window, round, from, index int) {
		words := make([]byte, 4*n)
		if err := b.Read(words, 4*n*int64(window)); err != nil {
			t.Fatal(err)
		}
		for i := range n {
			if got, want := binary.LittleEndian.Uint32(words[4*i:]), uint32(1e7*round+1e6*from+n*index+i); got != want {
				t.Fatalf("rank %d, round %d: window %d has %d at %d, expected %d", rank, round, window, got, i, want)
			}
		}
	}
	exchange := func() error {
		return on(func(stream uintptr) error { return c.Exchange(send.Addr(), recv.Addr(), n, stream) })
	}
	gather := func() error {
		return on(func(stream uintptr) error { return c.AllGather(send.Addr(), n, stream) })
	}
	look := func(round int) {
		for i := range size {
			if i != rank {
				expect(recv, i, round, i, rank)
			}
			expect(send, i, round, i, i)
		}
	}
	for round := 1; round <= 3; round++ {
		fill(round)
		if err := exchange(); err != nil {
			fmt.Println("cannot exchange:", err)
			fmt.Println("later:", exchange())
			return
		}
		if err := gather(); err != nil {
			t.Fatal(err)
		}
		look(round)
	}
	// As part of a graph they happen when the graph does.
	g, err := d.Capture(func() error { return errors.Join(exchange(), gather()) })
	if err != nil {
		t.Fatal(err)
	}
	for round := 4; round <= 5; round++ {
		fill(round)
		for i := range size {
			if i != rank {
				words := make([]byte, 4)
				if err := recv.Read(words, 4*n*int64(i)); err != nil || !bytes.Equal(words, make([]byte, 4)) {
					t.Fatalf("rank %d: a window is there before the graph runs: %v %v", rank, words, err)
				}
			}
		}
		if err := g.Launch(); err != nil {
			t.Fatal(err)
		}
		look(round)
	}
	if err := on(func(uintptr) error { return c.Close(10 * time.Second) }); err != nil {
		t.Fatal(err)
	}
	if err := exchange(); err != ErrClosed {
		t.Errorf("after Close: %v", err)
	}
	fmt.Println("all is well")
}

// Windows come whole and in order, directly and in graphs, however late the stream is.
func TestWindows(t *testing.T) {
	standIn(t)
	for _, size := range []int{1, 2, 3} {
		for _, lazy := range []string{"0", "1"} {
			for rank, said := range start(t, "windows", size, "SIGMAZ_SIM_LAZY="+lazy) {
				if !strings.Contains(said, "all is well") || strings.Contains(said, "FAIL") {
					t.Errorf("rank %d of %d, late %s: %s", rank, size, lazy, said)
				}
			}
		}
	}
}

// Where a rank is lost, the library or whoever watches ends the others' waiting, and they say why, then and later.
func TestFaults(t *testing.T) {
	standIn(t)
	for _, test := range []struct{ fault, first, second string }{
		{"kill:1:1", "cannot exchange: rank 1 is gone\nlater: rank 1 is gone", "signal: killed"},
		{"lost:1:1", "cannot exchange: rank 1 is gone\nlater: rank 1 is gone", "cannot exchange: NCCL: ncclGroupEnd: unhandled cuda error: the device is lost, " +
			"as SIGMAZ_SIM_NCCL_FAULT asks\nlater: NCCL: ncclGroupEnd: unhandled cuda error"},
		{"id:1", "cannot join: rank 1 is gone\nlater: rank 1 is gone", "cannot join: NCCL: ncclCommInitRankConfig: remote process exited or there was " +
			"a network error: the other ranks have another id\nlater: NCCL: "},
	} {
		said := start(t, "faults", 2, "SIGMAZ_SIM_NCCL_FAULT="+test.fault)
		if !strings.Contains(said[0], test.first) || !strings.Contains(said[1], test.second) {
			t.Errorf("%s: rank 0 says %s\nand rank 1 %s", test.fault, said[0], said[1])
		}
	}
}

// A library that is missing, is something else or too old is one sentence that says where to get it.
func TestOpenFails(t *testing.T) {
	standIn(t)
	libraries := os.Getenv("LD_LIBRARY_PATH")
	driver, err := filepath.Abs(filepath.Join(strings.Split(libraries, ":")[0], "libcuda.so.1"))
	if err != nil {
		t.Fatal(err)
	}
	without, other := t.TempDir(), t.TempDir()
	for _, dir := range []string{without, other} {
		if err := os.Symlink(driver, filepath.Join(dir, "libcuda.so.1")); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(driver, filepath.Join(other, "libnccl.so.2")); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ set, want string }{
		{"LD_LIBRARY_PATH=" + without, "several GPUs need NVIDIA's NCCL, 2.14.0 or newer, and it cannot be loaded (libnccl.so.2: cannot open shared object " +
			"file: No such file or directory): install the Python wheel nvidia-nccl-cu12"},
		{"LD_LIBRARY_PATH=" + other, "several GPUs need NVIDIA's NCCL, 2.14.0 or newer, and it cannot be loaded (its libnccl.so.2 does not say its version)"},
		{"SIGMAZ_SIM_NCCL_FAULT=old", "libnccl.so.2 is NCCL 2.10.3, and several GPUs need 2.14.0 or newer: install"},
	} {
		if said := start(t, "open", 1, test.set)[0]; !strings.Contains(said, "cannot join: "+test.want) {
			t.Errorf("%s: %s", test.set, said)
		}
	}
}

func TestVersionText(t *testing.T) {
	for version, want := range map[int]string{22005: "2.20.5", 21400: "2.14.0", 2804: "2.8.4", 23203: "2.32.3"} {
		if got := VersionText(version); got != want {
			t.Errorf("%d is %s, expected %s", version, got, want)
		}
	}
	if err := checkVersion(Oldest); err != nil {
		t.Error(err)
	}
}
