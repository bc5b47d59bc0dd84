package ranks

import (
	"fmt"
	"strings"
	"testing"
)

// Every launcher's variables, sets that contradict each other, and halves of sets.
func TestFromEnvironment(t *testing.T) {
	torch := "RANK=1 WORLD_SIZE=4 LOCAL_RANK=1 MASTER_ADDR=localhost MASTER_PORT=29500"
	slurm := "SLURM_JOB_ID=4711 SLURM_STEP_ID=0 SLURM_PROCID=3 SLURM_NTASKS=8 SLURM_STEP_NUM_TASKS=8 SLURM_LOCALID=1 " +
		"SLURM_STEP_NODELIST=gpu[03-05,9],cpu1"
	for _, test := range []struct{ set, want string }{
		{"", "alone"},
		{"OMPI_COMM_WORLD_RANK=2 OMPI_COMM_WORLD_SIZE=4 OMPI_COMM_WORLD_LOCAL_RANK=1 OMPI_COMM_WORLD_LOCAL_SIZE=2",
			"2 of 4, local 1, by mpirun of Open MPI, by MPI"},
		{"OMPI_COMM_WORLD_RANK=0 OMPI_COMM_WORLD_SIZE=2 OMPI_COMM_WORLD_LOCAL_RANK=0 OMPI_COMM_WORLD_LOCAL_SIZE=2 PMIX_NAMESPACE=7",
			"0 of 2, local 0, by mpirun of Open MPI, by MPI, at 127.0.0.1:31196 127.0.0.1:31197 127.0.0.1:31198 127.0.0.1:31199"},
		{"PMI_RANK=0 PMI_SIZE=1", "alone"},
		{"PMI_RANK=1 PMI_SIZE=2 MPI_LOCALRANKID=1", "1 of 2, local 1, by mpirun of MPICH, by MPI"},
		{torch, "1 of 4, local 1, by the variables RANK and WORLD_SIZE, at localhost:29500"},
		{torch + " TORCHELASTIC_RUN_ID=none", "1 of 4, local 1, by torchrun, at localhost:29500"},
		{torch + " TORCHELASTIC_RUN_ID=none TORCHELASTIC_USE_AGENT_STORE=True",
			"1 of 4, local 1, by torchrun, at localhost:29501 localhost:29502 localhost:29503 localhost:29504"},
		{"RANK=0 WORLD_SIZE=2 MASTER_ADDR=h MASTER_PORT=65533 TORCHELASTIC_RUN_ID=a TORCHELASTIC_USE_AGENT_STORE=True",
			"0 of 2, local 0, by torchrun, at h:65534 h:65533 h:65532 h:65531"},
		{"RANK=3 WORLD_SIZE=4 MASTER_ADDR=fd00::1 MASTER_PORT=23456", // a PyTorchJob
			"3 of 4, local 0, by the variables RANK and WORLD_SIZE, at [fd00::1]:23456"},
		{"RANK=0 WORLD_SIZE=1 MASTER_ADDR=h MASTER_PORT=23456", "alone"},
		{"RANK=1 WORLD_SIZE=2", "1 of 2, local 0, by the variables RANK and WORLD_SIZE"},
		{strings.Join(Environment(1, 2, 4000, "a1"), " "), "1 of 2, local 1, by train -gpus, at 127.0.0.1:4000"},
		{slurm, "3 of 8, local 1, by srun, at gpu03:28844 gpu03:28845 gpu03:28846 gpu03:28847"},
		{slurm + " MASTER_ADDR=head MASTER_PORT=1234", "3 of 8, local 1, by srun, at head:1234"},
		{slurm + " PMI_RANK=3 PMI_SIZE=8", "3 of 8, local 0, by mpirun of MPICH, by MPI, at gpu03:28844 gpu03:28845 gpu03:28846 gpu03:28847"},

		// One launcher within another.
		{slurm + " OMPI_COMM_WORLD_RANK=2 OMPI_COMM_WORLD_SIZE=16", "2 of 16, local 0, by mpirun of Open MPI, by MPI"},
		{slurm + " TORCHELASTIC_RUN_ID=x " + torch, "1 of 4, local 1, by torchrun, at localhost:29500"},
		{slurm + " " + torch, "1 of 4, local 1, by the variables RANK and WORLD_SIZE, at localhost:29500"},
		{"OMPI_COMM_WORLD_RANK=1 OMPI_COMM_WORLD_SIZE=2 RANK=0 WORLD_SIZE=1", "1 of 2, local 0, by mpirun of Open MPI, by MPI"},
		{"OMPI_COMM_WORLD_RANK=0 OMPI_COMM_WORLD_SIZE=1 " + torch,
			"1 of 4, local 1, by the variables RANK and WORLD_SIZE, at localhost:29500"},
		{"OMPI_COMM_WORLD_RANK=1 OMPI_COMM_WORLD_SIZE=4 OMPI_COMM_WORLD_LOCAL_SIZE=4 " + torch,
			"1 of 4, local 0, by mpirun of Open MPI, by MPI, at localhost:29500"},
		{"OMPI_COMM_WORLD_RANK=1 OMPI_COMM_WORLD_SIZE=2 TORCHELASTIC_RUN_ID=x " + torch, "1 of 4, local 1, by torchrun, at localhost:29500"},
		{"OMPI_COMM_WORLD_RANK=1 OMPI_COMM_WORLD_SIZE=2 " + torch, "the environment has RANK=1 of WORLD_SIZE=4, and mpirun of Open MPI says rank 1 " +
			"of 2: unset the variables of the launcher that did not start this process"},

		// An allocation in which nothing was started.
		{"SLURM_JOB_ID=1 SLURM_NTASKS=4", "alone: one process trains, in an allocation of SLURM for 4 tasks: start the program by srun to have a " +
			"rank in each"},
		{"SLURM_JOB_ID=1 SLURM_NTASKS=4 SLURM_PROCID=0 SLURM_LOCALID=0", "alone: one process trains, in an allocation of SLURM for 4 tasks: start " +
			"the program by srun to have a rank in each"},
		{"SLURM_JOB_ID=1 SLURM_NTASKS=4 SLURM_STEP_ID=4294967290 SLURM_STEP_NUM_TASKS=1 SLURM_PROCID=0", "alone: one process trains, in an " +
			"allocation of SLURM for 4 tasks: start the program by srun to have a rank in each"},
		{"SLURM_JOB_ID=1 SLURM_NTASKS=1 SLURM_STEP_ID=0 SLURM_STEP_NUM_TASKS=1 SLURM_PROCID=0", "alone"},

		// What is half there, or wrong.
		{"OMPI_COMM_WORLD_RANK=2", "the environment has OMPI_COMM_WORLD_RANK without OMPI_COMM_WORLD_SIZE: expected all of them, as mpirun of Open " +
			"MPI sets them, or none; unset it to train in one process"},
		{"PMI_SIZE=2", "the environment has PMI_SIZE without PMI_RANK: expected all of them, as mpirun of MPICH sets them, or none; unset it to " +
			"train in one process"},
		{"RANK=2", "the environment has RANK without WORLD_SIZE: expected all of them, as launchers set them, or none; unset it to train in one " +
			"process"},
		{"TORCHELASTIC_RUN_ID=none", "the environment has TORCHELASTIC_RUN_ID without RANK and WORLD_SIZE: expected all of them, as torchrun sets " +
			"them, or none; unset it to train in one process"},
		{"SLURM_STEP_ID=0 SLURM_STEP_NUM_TASKS=2", "the environment has SLURM_STEP_NUM_TASKS without SLURM_PROCID: expected all of them, as srun " +
			"sets them, or none; unset it to train in one process"},
		{"PMI_SIZE=2 PMI_RANK=2", `the environment has PMI_RANK="2" and PMI_SIZE="2": expected a rank from 0 to below the number of ranks; unset ` +
			"both to train in one process"},
		{"PMI_SIZE=two PMI_RANK=0", `the environment has PMI_RANK="0" and PMI_SIZE="two": expected a rank from 0 to below the number of ranks; ` +
			"unset both to train in one process"},
		{"RANK=0 WORLD_SIZE=2 LOCAL_RANK=x", `the environment has LOCAL_RANK="x": expected the rank among those of this machine, counted from 0`},
		{"RANK=0 WORLD_SIZE=2 MASTER_ADDR=h", "the environment has MASTER_ADDR without MASTER_PORT: expected both, which say where rank 0 listens, " +
			"or neither"},
		{"RANK=0 WORLD_SIZE=2 MASTER_PORT=1", "the environment has MASTER_PORT without MASTER_ADDR: expected both, which say where rank 0 listens, " +
			"or neither"},
		{"RANK=0 WORLD_SIZE=2 MASTER_ADDR=h MASTER_PORT=tcp://10.0.0.1:80", `the environment has MASTER_PORT="tcp://10.0.0.1:80": expected a port ` +
			"from 1 to 65535"},
		{"SLURM_STEP_ID=0 SLURM_STEP_NUM_TASKS=2 SLURM_PROCID=1 SLURM_JOB_ID=1 SLURM_STEP_NODELIST=a[", `the environment has SLURM_JOB_ID="1" and ` +
			`SLURM_STEP_NODELIST="a[": expected the number of the job and names of nodes, as srun sets them`},
	} {
		set := map[string]string{}
		for _, v := range strings.Fields(test.set) {
			name, value, _ := strings.Cut(v, "=")
			set[name] = value
		}
		l, err := FromEnvironment(func(name string) (string, bool) { v, ok := set[name]; return v, ok })
		got := "alone"
		switch {
		case err != nil:
			got = err.Error()
		case l.Size > 1:
			got = fmt.Sprintf("%d of %d, local %d, by %s", l.Rank, l.Size, l.Local, l.By)
			if l.MPI {
				got += ", by MPI"
			}
			if l.Address != "" {
				got += ", at " + strings.Join(append([]string{l.Address}, l.Spare...), " ")
			}
		case l.Note != "":
			got += ": " + l.Note
		}
		if got != test.want {
			t.Errorf("%s:\n%q, expected\n%q", test.set, got, test.want)
		}
	}
}

// What one run's ranks know each other by is the same for all of them, and another's is not.
func TestRunsDiffer(t *testing.T) {
	run := func(set string) string {
		l, err := FromEnvironment(func(name string) (string, bool) {
			for _, v := range strings.Fields(set) {
				if n, value, _ := strings.Cut(v, "="); n == name {
					return value, true
				}
			}
			return "", false
		})
		if err != nil {
			t.Fatal(err)
		}
		return l.Run
	}
	rank := func(r int, more string) string {
		return fmt.Sprintf("RANK=%d WORLD_SIZE=2 MASTER_ADDR=h MASTER_PORT=1 %s", r, more)
	}
	for _, more := range []string{"TORCHELASTIC_RUN_ID=b", "TORCHELASTIC_RUN_ID=a TORCHELASTIC_RESTART_COUNT=1", "SIGMAZ_RUN=c"} {
		if run(rank(0, more)) != run(rank(1, more)) {
			t.Errorf("%s: ranks do not know each other", more)
		}
		if run(rank(0, more)) == run(rank(0, "TORCHELASTIC_RUN_ID=a")) {
			t.Errorf("%s is the run of another", more)
		}
	}
}

func TestFirstNode(t *testing.T) {
	for list, want := range map[string]string{"": "", "a": "a", "a,b": "a", "n[1-3]": "n1", "n[03,7]": "n03", "r[0-1]n[2-3].x,y": "r0n2.x", "n[": "", "n[]": "",
		"n[-2]": ""} {
		if got := firstNode(list); got != want {
			t.Errorf("%q: %q, expected %q", list, got, want)
		}
	}
}
