// Who started this process, and as which rank: read from the variables that launchers set, and from nothing else. The rule is
// decided here alone.
//
//	launcher                             rank, size, local rank                    address
//	train -gpus N                        RANK, WORLD_SIZE, LOCAL_RANK              MASTER_ADDR:MASTER_PORT; known by SIGMAZ_RUN
//	torchrun                             the same                                  the same, and a port beside where the agent has that one;
//	                                                                               known by TORCHELASTIC_RUN_ID
//	mpirun of Open MPI, MPIJob           OMPI_COMM_WORLD_RANK, _SIZE, _LOCAL_RANK  by MPI itself, or MASTER_ADDR:MASTER_PORT
//	mpirun of MPICH and its kin          PMI_RANK, PMI_SIZE, MPI_LOCALRANKID       the same
//	PyTorchJob, any script               RANK, WORLD_SIZE, LOCAL_RANK or 0         MASTER_ADDR:MASTER_PORT
//	srun                                 SLURM_PROCID, SLURM_STEP_NUM_TASKS,       the first of SLURM_STEP_NODELIST, a port by the number
//	                                     SLURM_LOCALID                             of the job
//
// The first row that has more than one rank counts, as launchers are nested in this order: srun starts an mpirun's daemons,
// and torchrun on each node. A row of which half is set is an error. So is RANK that says something else than MPI's variables,
// as neither would be the inner one.

package ranks

import (
	"cmp"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// Variables of the launcher that the program is itself.
const (
	RunVariable   = "SIGMAZ_RUN" // what tells this run from others
	rankVariable  = "RANK"
	sizeVariable  = "WORLD_SIZE"
	localVariable = "LOCAL_RANK"
	hostVariable  = "MASTER_ADDR"
	portVariable  = "MASTER_PORT"
)

// Launch is how a process was started: alone, or as one of several.
type Launch struct {
	By         string // the launcher; "" where the process is alone
	Rank, Size int
	Local      int      // the rank among those of this machine
	MPI        bool     // it is one by which MPI finds the others
	Address    string   // where rank 0 listens, HOST:PORT; "" where nothing names it
	Spare      []string // and where it does if it cannot there
	Run        string   // what tells this run from others
	Note       string   // what was seen and not taken, in a sentence; "" for nothing
}

// Environment returns the variables, each NAME=VALUE, by which the program starts one rank of several on this machine.
func Environment(rank, size int, port int, run string) []string {
	set := func(name string, value any) string { return fmt.Sprintf("%s=%v", name, value) }
	return []string{set(RunVariable, run), set(rankVariable, rank), set(sizeVariable, size), set(localVariable, rank),
		set(hostVariable, "127.0.0.1"), set(portVariable, port)}
}

// row is a launcher's variables.
type row struct {
	by, mark, rank, size, local string
	mpi                         bool
}

var (
	ownRow   = row{by: "train -gpus", mark: RunVariable, rank: rankVariable, size: sizeVariable, local: localVariable}
	torchRow = row{by: "torchrun", mark: "TORCHELASTIC_RUN_ID", rank: rankVariable, size: sizeVariable, local: localVariable}
	openRow  = row{by: "mpirun of Open MPI", rank: "OMPI_COMM_WORLD_RANK", size: "OMPI_COMM_WORLD_SIZE", local: "OMPI_COMM_WORLD_LOCAL_RANK", mpi: true}
	mpichRow = row{by: "mpirun of MPICH", rank: "PMI_RANK", size: "PMI_SIZE", local: "MPI_LOCALRANKID", mpi: true}
	plainRow = row{by: "the variables RANK and WORLD_SIZE", rank: rankVariable, size: sizeVariable, local: localVariable}
	slurmRow = row{by: "srun", mark: "SLURM_STEP_ID", rank: "SLURM_PROCID", size: "SLURM_STEP_NUM_TASKS", local: "SLURM_LOCALID"}
)

// environment looks variables up. One that is empty is one that is not set.
type environment func(name string) (string, bool)

func (e environment) has(name string) bool { return e.get(name) != "" }
func (e environment) get(name string) string {
	v, _ := e(name)
	return v
}

// read returns what a row says; a launch of size 0 where its variables are not set.
func (e environment) read(r row) (l Launch, err error) {
	if r.mark != "" && !e.has(r.mark) {
		return l, nil
	}
	hasRank, hasSize := e.has(r.rank), e.has(r.size)
	if !hasRank && !hasSize && r.mark == "" {
		return l, nil
	}
	if !hasRank || !hasSize {
		set, unset := r.rank, r.size
		switch {
		case hasSize:
			set, unset = unset, set
		case !hasRank:
			set, unset = r.mark, r.rank+" and "+r.size
		}
		return l, fmt.Errorf("the environment has %s without %s: expected all of them, as %s, or none; unset it to train in one "+
			"process", set, unset, r.setter())
	}
	rank, wrongRank := strconv.Atoi(e.get(r.rank))
	size, wrongSize := strconv.Atoi(e.get(r.size))
	if wrongRank != nil || wrongSize != nil || rank < 0 || rank >= size {
		return l, fmt.Errorf("the environment has %s=%q and %s=%q: expected a rank from 0 to below the number of ranks; unset both to train "+
			"in one process", r.rank, e.get(r.rank), r.size, e.get(r.size))
	}
	local := 0
	if e.has(r.local) {
		if local, err = strconv.Atoi(e.get(r.local)); err != nil || local < 0 {
			return l, fmt.Errorf("the environment has %s=%q: expected the rank among those of this machine, counted from 0", r.local,
				e.get(r.local))
		}
	}
	return Launch{By: r.by, Rank: rank, Size: size, Local: local, MPI: r.mpi}, nil
}

// setter says who sets the variables of a row.
func (r row) setter() string {
	if r == plainRow {
		return "launchers set them"
	}
	return r.by + " sets them"
}

// FromEnvironment returns how this process was started. lookup is [os.LookupEnv].
func FromEnvironment(lookup func(string) (string, bool)) (Launch, error) {
	e := environment(lookup)
	var found []Launch
	for _, r := range []row{ownRow, torchRow, openRow, mpichRow, plainRow, slurmRow} {
		l, err := e.read(r)
		if err != nil {
			return l, err
		}
		if l.Size > 1 {
			found = append(found, l)
		}
	}
	if len(found) == 0 {
		return Launch{Size: 1, Note: e.allocation()}, nil
	}
	l := found[0]
	for _, other := range found[1:] {
		if l.MPI && other.By == plainRow.by && (other.Rank != l.Rank || other.Size != l.Size) {
			return l, fmt.Errorf("the environment has RANK=%d of WORLD_SIZE=%d, and %s says rank %d of %d: unset the variables of the launcher "+
				"that did not start this process", other.Rank, other.Size, l.By, l.Rank, l.Size)
		}
	}
	return l, e.address(&l)
}

// allocation says what a process that is alone leaves unused.
func (e environment) allocation() string {
	tasks, _ := strconv.Atoi(e.get("SLURM_NTASKS"))
	if tasks < 2 {
		return ""
	}
	return fmt.Sprintf("one process trains, in an allocation of SLURM for %d tasks: start the program by srun to have a rank in each", tasks)
}

// address fills in where the ranks meet, and by what they know each other.
func (e environment) address(l *Launch) error {
	host, port := e.get(hostVariable), e.get(portVariable)
	if (host == "") != (port == "") {
		set, unset := hostVariable, portVariable
		if host == "" {
			set, unset = unset, set
		}
		return fmt.Errorf("the environment has %s without %s: expected both, which say where rank 0 listens, or neither", set, unset)
	}
	known := []string{host, port} // of what follows, only what is the same on every machine
	switch l.By {
	case ownRow.by:
		known = append(known, e.get(RunVariable))
	case torchRow.by:
		known = append(known, e.get(torchRow.mark), e.get("TORCHELASTIC_RESTART_COUNT"))
	case openRow.by:
		known = append(known, cmp.Or(e.get("PMIX_NAMESPACE"), e.get("OMPI_MCA_ess_base_jobid")))
	case slurmRow.by:
		known = append(known, e.get("SLURM_JOB_ID"), e.get("SLURM_STEP_ID"))
	}
	l.Run = strings.Join(known, " ")
	switch {
	case host != "":
		first, err := strconv.Atoi(port)
		if err != nil || first < 1 || first > 65535 {
			return fmt.Errorf("the environment has %s=%q: expected a port from 1 to 65535", portVariable, port)
		}
		if l.By == torchRow.by && e.get("TORCHELASTIC_USE_AGENT_STORE") == "True" { // whose agent listens there
			l.at(host, first+1)
		} else {
			l.Address = net.JoinHostPort(host, port)
		}
	case l.By == slurmRow.by || l.By == mpichRow.by && e.has("SLURM_STEP_NODELIST"): // srun --mpi=pmi2
		job, err := strconv.Atoi(e.get("SLURM_JOB_ID"))
		nodes := cmp.Or(e.get("SLURM_STEP_NODELIST"), e.get("SLURM_NODELIST"))
		node := firstNode(nodes)
		if err != nil || job < 0 || node == "" {
			return fmt.Errorf("the environment has SLURM_JOB_ID=%q and SLURM_STEP_NODELIST=%q: expected the number of the job and names of "+
				"nodes, as srun sets them", e.get("SLURM_JOB_ID"), nodes)
		}
		l.at(node, 20000+(len(spares)+1)*job%10000)
	case l.MPI && e.get("OMPI_COMM_WORLD_LOCAL_SIZE") == strconv.Itoa(l.Size): // all on this machine
		sum := 0
		for _, c := range l.Run {
			sum = (31*sum + int(c)) % 10000
		}
		l.at("127.0.0.1", 30000+(len(spares)+1)*sum%2000)
	}
	return nil
}

// spares are the ports beside one that may be taken, counted from it.
var spares = [...]int{1, 2, 3}

// at makes a port, and those beside it, where rank 0 listens: they were chosen by a rule and not by people, and may be taken.
func (l *Launch) at(host string, port int) {
	way := 1
	if port+spares[len(spares)-1] > 65535 {
		port, way = 65534, -1
	}
	l.Address = net.JoinHostPort(host, strconv.Itoa(port))
	for _, s := range spares {
		l.Spare = append(l.Spare, net.JoinHostPort(host, strconv.Itoa(port+way*s)))
	}
}

// firstNode returns the first of SLURM's list of nodes: node03 of "node[03-08,11],gpu1". "" is for what is no list.
func firstNode(list string) (name string) {
	for list != "" {
		i := strings.IndexAny(list, "[,")
		if i < 0 {
			return name + list
		}
		name += list[:i]
		if list[i] == ',' {
			return name
		}
		inner, rest, closed := strings.Cut(list[i+1:], "]")
		first := strings.IndexAny(inner, ",-")
		if first < 0 {
			first = len(inner)
		}
		if !closed || first == 0 {
			return ""
		}
		name, list = name+inner[:first], rest
	}
	return name
}
