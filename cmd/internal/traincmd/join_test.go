package traincmd

import (
	"strings"
	"testing"
)

// What keeps a process from being one of several is a sentence, and nothing is trained.
func TestLaunchesThatAreRefused(t *testing.T) {
	for _, test := range []struct {
		env, args string
		code      int
		want      string
	}{
		{"RANK=1", "", 1, "the environment has RANK without WORLD_SIZE: "},
		{"RANK=0 WORLD_SIZE=2 MASTER_ADDR=h MASTER_PORT=1", "", 1, "this is rank 0 of 2 by the variables RANK and WORLD_SIZE, and MPI carries what CPUs " +
			"have to say to each other: start the program by mpirun, give -gpu to train on GPUs, or start one process"},
		{"RANK=0 WORLD_SIZE=2", "-gpu", 1, "this is rank 0 of 2 by the variables RANK and WORLD_SIZE, which does not name where rank 0 listens: give all " +
			"of them -rendezvous HOST:PORT"},
		{"RANK=0 WORLD_SIZE=2", "-gpu -device 1", 2, "-device 1 is for one process, and this is one of 2, "},
		{"RANK=0 WORLD_SIZE=2", "-gpus 2", 2, "-gpus 2 starts its own processes, and this is rank 0 of 2 by the variables RANK and WORLD_SIZE: leave -gpus out"},
		{"RANK=0 WORLD_SIZE=2", "-gpus 1", 2, "-gpus 1 starts its own processes, and this is rank 0 of 2 by the variables RANK and WORLD_SIZE: leave -gpus out"},
		{"RANK=0 WORLD_SIZE=2", "-gpu -rendezvous here", 2, `-rendezvous: "here" is no address: expected HOST:PORT of rank 0, such as node1:29500`},
		{"", "-rendezvous h:1", 2, "-rendezvous h:1 is where the processes of a run meet, and this one was started alone: "},
		{"", "-rendezvous-wait soon", 2, `-rendezvous-wait is "soon": expected a time of at least 1s, such as 90s or 10m`},
		{"", "-rendezvous-wait 10s", 2, "-rendezvous-wait 10s is how long the processes of a run wait for each other, and this one was started alone: leave it out"},
		{"", "-gpus 0", 2, `-gpus is "0": expected a number of GPUs from 1 on, or all`},
		{"", "-gpus 65", 2, "-gpus is 65: expected a number of GPUs, at most 64"},
		{"", "-gpus 2 -device 1", 2, "-device 1 is one GPU, and -gpus 2 is how many"},
		{"", "-gpus all -dry-run", 2, "-gpus is all: expected a number of GPUs, at most 64"},
	} {
		t.Run(test.env+" "+test.args, func(t *testing.T) {
			for _, v := range strings.Fields(test.env) {
				name, value, _ := strings.Cut(v, "=")
				t.Setenv(name, value)
			}
			code, stdout, stderr := command(t, append(strings.Fields(test.args), "-data", "toy:swissroll", "-runs", t.TempDir())...)
			if code != test.code || !strings.Contains(stderr, test.want) || strings.Contains(stdout, "training") {
				t.Errorf("exit code %d, %q, expected %d, %q", code, stderr, test.code, test.want)
			}
		})
	}
}
