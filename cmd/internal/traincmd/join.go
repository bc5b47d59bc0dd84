// Several processes that train one run, started by mpirun: which of them this one is, and how it reaches the others.

package traincmd

import (
	"fmt"
	"os"

	"sigmaz/cmd/internal/cli"
	"sigmaz/internal/mpi"
	"sigmaz/train/ranks"
)

// follows says whether another process reports and writes.
func (f *flags) follows() bool { return f.rank > 0 }

// join finds out whether the process is one of several, and joins the others where it will train with them.
func (f *flags) join() error {
	launch, err := ranks.FromEnvironment(os.LookupEnv)
	if err != nil {
		return err
	}
	rank, size := launch.Rank, launch.Size
	f.rank = rank
	switch {
	case size == 1 || f.dryRun || f.listPresets:
		return nil
	case f.device.GPU:
		return cli.Usagef("-gpu is for one process, and this is one of %d: leave it out to share the run among CPUs, or start one process",
			size)
	case !launch.MPI:
		return fmt.Errorf("this is rank %d of %d by %s, and MPI carries what CPUs have to say to each other: start the program by mpirun, "+
			"or one process", rank, size, launch.By)
	case !mpi.Built:
		return fmt.Errorf("this is one of %d processes that mpirun started, and the program was built without -tags mpi: build it with "+
			"-tags \"nocuda mpi\", or start one process", size)
	}
	world, err := mpi.Init()
	if err != nil {
		return err
	}
	if world.Rank() != rank || world.Size() != size {
		return fmt.Errorf("the launcher says rank %d of %d and MPI says rank %d of %d: start the program by the mpirun of the MPI that it "+
			"was built with", rank, size, world.Rank(), world.Size())
	}
	f.group = &ranks.Group{Transport: ranks.OnHost(world)}
	return nil
}
