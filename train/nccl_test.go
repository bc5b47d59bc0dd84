//go:build cgo && !nocuda

// Ranks with a device each against one device: on the stand-ins for CUDA and NCCL, whose ranks are processes of this machine.
// Each is this test anew, with its rank in the environment.

package train

import (
	"bytes"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"sigmaz/internal/rendezvous"
	"sigmaz/kernels"
	"sigmaz/kernels/kerneltest"
	"sigmaz/train/ranks"
)

// rankOfTest returns the group of a rank that a test has started; nil in the test itself.
func rankOfTest(t *testing.T, name string) *ranks.Group {
	t.Helper()
	if os.Getenv("DEVICE_TEST") != name {
		return nil
	}
	rank, _ := strconv.Atoi(os.Getenv("DEVICE_RANK"))
	size, _ := strconv.Atoi(os.Getenv("DEVICE_RANKS"))
	c := rendezvous.Config{Rank: rank, Size: size, Address: os.Getenv("DEVICE_ADDRESS"), Wait: time.Minute, Silence: 3 * time.Second}
	if rank == 0 {
		var err error
		if c.Listener, err = net.FileListener(os.NewFile(3, "")); err != nil {
			t.Fatal(err)
		}
	}
	room, err := rendezvous.Join(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	g := &ranks.Group{Transport: ranks.OnDevices(room)}
	room.Watch(g.State)
	return g
}

// startRanks runs a test as so many ranks, until rank 0 has ended, and returns what each said.
func startRanks(t *testing.T, name string, size int, more ...string) (said []string) {
	t.Helper()
	if b := kerneltest.OpenCUDA(t); !strings.Contains(b.Name(), "stand-in") {
		t.Skip("every rank would need a GPU of its own")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	listener, err := l.(*net.TCPListener).File() // for rank 0
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	out := make([]bytes.Buffer, size)
	var all []*exec.Cmd
	for rank := range size {
		c := exec.Command(os.Args[0], "-test.run=^"+name+"$", "-test.timeout=10m")
		c.Env = append(append(os.Environ(), "DEVICE_TEST="+name, fmt.Sprint("DEVICE_RANKS=", size), fmt.Sprint("DEVICE_RANK=", rank),
			"DEVICE_ADDRESS="+l.Addr().String()), more...)
		c.Stdout, c.Stderr = &out[rank], &out[rank]
		if rank == 0 {
			c.ExtraFiles = []*os.File{listener}
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	for rank, c := range all {
		if rank > 0 {
			time.AfterFunc(5*time.Second, func() { c.Process.Kill() }) // one that is stopped ends no more
		}
		c.Wait()
		said = append(said, out[rank].String())
	}
	return said
}

// Every network comes to the same state on 1, 2 and 4 devices, in whatever order streams run, from each rank's own rows, passes
// and bytes alone.
func TestDevicesHaveTheSameBits(t *testing.T) {
	const name = "TestDevicesHaveTheSameBits"
	if g := rankOfTest(t, name); g != nil {
		stepsOnDevice(t, g.Transport)
		return
	}
	var one []string
	for _, test := range []struct {
		size, lazy int
		fault      string
		some       string // networks, all where it is empty
		without    string // a fault that leaves out what one stream waits for of the other: the bits are others then
	}{
		{size: 1},
		{size: 2, lazy: 2},
		{size: 4, fault: "no-graphs"}, // of a library whose calls do not go into graphs
		{size: 2, lazy: 1, some: "mlp ncsnv2"},
		{size: 2, lazy: 1, some: "mlp ncsnv2", fault: "no-graphs"},
		{size: 2, lazy: 2, some: "mlp ncsn", without: "wait:first"},
		{size: 2, lazy: 1, some: "mlp ncsn", without: "wait:second"},
		{size: 2, lazy: 0, some: "mlp ncsn", without: "wait:first", fault: "no-graphs"},
	} {
		for rank, said := range startRanks(t, name, test.size, fmt.Sprint("SIGMAZ_SIM_LAZY=", test.lazy),
			"SIGMAZ_SIM_NCCL_FAULT="+test.fault, "DEVICE_SOME="+test.some, "SIGMAZ_SIM_FAULT="+test.without) {
			lines := slices.DeleteFunc(strings.Split(said, "\n"), func(line string) bool { return !strings.HasPrefix(line, "came to ") })
			if one == nil {
				if one = lines; len(one) != len(parted8(t))+2 {
					t.Fatalf("one device: %s", said)
				}
			}
			want := one
			if test.some != "" {
				want = slices.DeleteFunc(slices.Clone(one), func(line string) bool { return !slices.Contains(strings.Fields(test.some), strings.Fields(line)[2]) })
			}
			if slices.Equal(lines, want) != (test.without == "") || len(lines) != len(want) {
				t.Errorf("rank %d of %+v: %s\nand one device came to %q", rank, test, said, want)
			}
		}
	}
}

// stepsOnDevice is what each rank does.
func stepsOnDevice(t *testing.T, transport ranks.Transport) {
	b := kerneltest.OpenCUDA(t)
	of := func(name string, c *Config, d *Splits, steps int, change ...func(*TrainerConfig)) {
		c.Shards = 4
		sum, err := trainRank(b, c, d, steps, &ranks.Group{Transport: transport}, change...)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		fmt.Println("came to", name, sum)
	}
	all, some := parted8(t), strings.Fields(os.Getenv("DEVICE_SOME"))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if len(some) > 0 && !slices.Contains(some, name) {
			continue
		}
		c, d := all[name]()
		steps := 10
		if name == "ncsnv2" {
			steps = 50
		}
		of(name, c, d, steps)
	}
	if len(some) == 0 {
		c, rows := rowsOfRanks(4, 2)
		of("own rows", c, rows(transport.Rank(), transport.Size()), 2)
		c, d := all["ncsnv2"]()
		of("streamed rows", c, d, 3, func(c *TrainerConfig) { c.DataMemory = HostMemory }) // no graph of several programs can be of it
	}
	if err := transport.Close(nil); err != nil {
		t.Error(err)
	}
}

// deviceTrial runs a small training on a device, or goes on with it.
func deviceTrial(t *testing.T, folder string, g *ranks.Group, resume bool) error {
	c, d := tiny("mlp")
	c.Batch, c.Shards, c.Steps, c.CheckpointEvery, c.LogEvery, c.PreviewN, c.EvalEvery = 8, 4, 20, 5, 5, 0, 0
	o := Options{Backend: kerneltest.OpenCUDA(t), Ranks: g}
	if g == nil || g.Rank() == 0 {
		o.Folder = folder
	}
	if resume {
		stored, err := Load(folder, "")
		if err != nil {
			return err
		}
		c, o.From = stored.Config, stored
	}
	c.RecordMultiprocessors(o.Backend)
	_, err := Run(t.Context(), c, d, o)
	return err
}

// hanging is a transport that is never called for an exchange, counted from 1: the rank hangs before, in its own part of the step.
type hanging struct {
	ranks.Transport
	g  *ranks.Group
	at int
}

func (h *hanging) AllGather(a kernels.Arena, all kernels.Buf) error {
	if h.at--; h.at == 0 {
		h.g.Step(func() error { select {} })
	}
	return h.Transport.AllGather(a, all)
}

// Where a rank is killed, hangs, loses its device or joins something else, the others end soon, with a sentence that names it, and
// what they have saved goes on to the bits of a run that nothing happened to.
func TestDevicesAreLost(t *testing.T) {
	const name = "TestDevicesAreLost"
	folder := os.Getenv("DEVICE_FOLDER")
	if g := rankOfTest(t, name); g != nil {
		if os.Getenv("DEVICE_HANGS") == fmt.Sprint(g.Rank()) {
			g.Transport = &hanging{Transport: g.Transport, g: g, at: 13}
		}
		err := deviceTrial(t, folder, g, false)
		g.Close(err)
		fmt.Printf("rank %d ended: %v\n", g.Rank(), err)
		return
	}
	whole := t.TempDir()
	if err := deviceTrial(t, whole, nil, false); err != nil {
		t.Fatal(err)
	}
	// A step has three exchanges: so these come in the 13th. Where they are part of a graph, what comes next fails.
	for _, test := range []struct{ fault, first, second string }{
		{"kill:1:37", `(the step failed: )?rank 1 .* has ended without a word: it was killed, or its machine has failed`, ""},
		{"stop:1:38", `(the step failed: )?rank 1 .* has been silent for \d+s: it was stopped, or its machine or network hangs`, ""},
		{"lost:1:39", `(the step failed: )?rank 1 .* failed: (the step failed: )?rank 1: .*unhandled cuda error.*`,
			`(the step failed: )?rank 1: .*unhandled cuda error.*the device is lost, as SIGMAZ_SIM_NCCL_FAULT asks`},
		{"id:1", `rank 1 .* failed: rank 1: NCCL: ncclCommInitRankConfig: remote process exited .*`, `rank 1: NCCL: .*`},
		{"hangs", `(the step failed: )?rank 1 .* hangs: it beats, but has not come on in a step for far longer than its steps take, and others wait for it`, ""},
		{"", "<nil>", "<nil>"},
	} {
		t.Run(test.fault, func(t *testing.T) {
			t.Parallel()
			folder, begun := t.TempDir(), time.Now()
			more := []string{"SIGMAZ_SIM_NCCL_FAULT=" + test.fault, "DEVICE_FOLDER=" + folder}
			if test.fault == "hangs" {
				more[0] = "DEVICE_HANGS=1"
			}
			said := startRanks(t, name, 2, more...)
			if took := time.Since(begun); took > 30*time.Second {
				t.Errorf("the others ended after %v", took)
			}
			end := ""
			if strings.Contains(test.fault, ":1:") || test.fault == "hangs" {
				end = "; the last good checkpoint is " + regexp.QuoteMeta(folder) + "[^ ]*/step-0*10[^ ]*, go on from it with `resume` [^ ]*"
			}
			for rank, want := range []string{test.first + end, test.second} {
				if want != "" && !regexp.MustCompile(fmt.Sprintf("(?m)^rank %d ended: %s$", rank, want)).MatchString(said[rank]) {
					t.Errorf("rank %d says %s\nexpected %s", rank, said[rank], want)
				}
			}
			if test.fault == "id:1" { // before anything was written
				return
			}
			if err := deviceTrial(t, folder, nil, true); err != nil {
				t.Fatal(err)
			}
			sameRun(t, folder, whole)
			lines, err := os.ReadFile(filepath.Join(folder, metricsFile))
			if measured := strings.Contains(string(lines), `"slowest_rank":`); err != nil || !measured {
				t.Errorf("the metrics do not say which rank is slowest: %s, %v", lines, err)
			}
		})
	}
}
