//go:build mpi

// Ranks by MPI against one process. .ci/mpi starts this test by mpirun; without it there is one rank, which is the same.

package train

import (
	"maps"
	"os"
	"slices"
	"testing"

	"sigmaz/internal/mpi"
	"sigmaz/kernels"
	"sigmaz/train/ranks"
	"sigmaz/train/ranks/rankstest"
)

// Every network comes to the same state on as many ranks as there are, from its own passes and bytes alone, as in one process.
func TestMPI(t *testing.T) {
	launch, err := ranks.FromEnvironment(os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	world, err := mpi.Init()
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := world.Close(nil); err != nil {
			t.Error(err)
		}
	}()
	if world.Size() != launch.Size {
		t.Fatalf("MPI has %d ranks, the launcher says %d", world.Size(), launch.Size)
	}
	b := kernels.NewCPU(1)
	defer b.Close()
	all := parted8(t)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		c, d := all[name]()
		c.Shards = 4
		steps := 10
		if name == "ncsnv2" {
			steps = 50
		}
		got, err := trainRank(b, c, d, steps, &ranks.Group{Transport: ranks.OnHost(world)})
		if err != nil {
			t.Fatal(err)
		}
		want, err := trainRank(b, c, d, steps, &ranks.Group{Transport: rankstest.Local(1)[0]})
		if err != nil {
			t.Fatal(err)
		}
		if t.Logf("%-14s %2d steps on %d ranks: %s", name, steps, launch.Size, got); got != want {
			t.Errorf("%s: rank %d of %d comes to %s, one process to %s", name, world.Rank(), launch.Size, got, want)
		}
	}
}
