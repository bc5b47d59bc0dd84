//go:build cgo && !nocuda

// Ranks with a device each against one device: on the stand-ins for CUDA and NCCL, whose ranks are processes of this machine.
// Each is this test anew, with its rank in the environment.

package train

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"sigmaz/internal/rendezvous"
	"sigmaz/kernels/kerneltest"
	"sigmaz/train/ranks"
)

// TestDeviceRank is what each rank does: every network, a few steps each, from its own rows, passes and bytes alone.
func TestDeviceRank(t *testing.T) {
	size, err := strconv.Atoi(os.Getenv("DEVICE_RANKS"))
	if err != nil {
		t.Skip("another test starts it")
	}
	rank, _ := strconv.Atoi(os.Getenv("DEVICE_RANK"))
	room, err := rendezvous.Join(context.Background(), rendezvous.Config{Rank: rank, Size: size, Address: os.Getenv("DEVICE_ADDRESS")})
	if err != nil {
		t.Fatal(err)
	}
	b := kerneltest.OpenCUDA(t)
	transport := ranks.OnDevices(room)
	of := func(name string, c *Config, d *Splits, steps int) {
		c.Shards = 4
		sum, err := trainRank(b, c, d, steps, &ranks.Group{Transport: transport})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		fmt.Println("came to", name, sum)
	}
	all := parted8(t)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		c, d := all[name]()
		steps := 3
		if name == "ncsnv2" {
			steps = 50
		}
		of(name, c, d, steps)
	}
	c, rows := rowsOfRanks(4, 2)
	of("own rows", c, rows(rank, size), 2)
	if err := transport.Close(nil); err != nil {
		t.Error(err)
	}
}

// Every network comes to the same state on 1, 2 and 4 devices, in whatever order streams run.
func TestDevicesHaveTheSameBits(t *testing.T) {
	if b := kerneltest.OpenCUDA(t); !strings.Contains(b.Name(), "stand-in") {
		t.Skip("every rank would need a GPU of its own")
	}
	var one []string
	for _, size := range []int{1, 2, 4} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		l.Close() // for rank 0 to take
		said := make([][]string, size)
		var all sync.WaitGroup
		for rank := range size {
			all.Go(func() {
				c := exec.Command(os.Args[0], "-test.run=^TestDeviceRank$", "-test.timeout=10m")
				c.Env = append(os.Environ(), fmt.Sprint("DEVICE_RANKS=", size), fmt.Sprint("DEVICE_RANK=", rank), "DEVICE_ADDRESS="+l.Addr().String(),
					fmt.Sprint("SIGMAZ_SIM_LAZY=", size%4), "GOMAXPROCS=2")
				var out bytes.Buffer
				c.Stdout, c.Stderr = &out, &out
				if err := c.Run(); err != nil {
					t.Errorf("rank %d of %d: %v\n%s", rank, size, err, &out)
				}
				for line := range strings.Lines(out.String()) {
					if strings.HasPrefix(line, "came to ") {
						said[rank] = append(said[rank], line)
					}
				}
			})
		}
		all.Wait()
		if one == nil {
			one = said[0]
			if len(one) != len(parted8(t))+1 {
				t.Fatalf("one device came to %q", one)
			}
		}
		for rank, lines := range said {
			if !slices.Equal(lines, one) {
				t.Errorf("rank %d of %d came to %q, one device to %q", rank, size, lines, one)
			}
		}
	}
}
