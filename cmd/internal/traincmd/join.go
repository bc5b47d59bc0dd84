// Several processes that train one run: which of them this one is, where it meets the others, and what carries their gradients.
// NCCL carries those of GPUs, MPI those of CPUs. Each rank hears by a room of package rendezvous whether the others live, since
// a rank that hangs would let the others wait for ever.

package traincmd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"sigmaz/cmd/internal/cli"
	"sigmaz/cuda"
	"sigmaz/internal/mpi"
	"sigmaz/internal/rendezvous"
	"sigmaz/train/ranks"
)

// meeting is what the flags say of it.
type meeting struct {
	address string
	wait    time.Duration
}

// String and Set are those of the time to wait.
func (m *meeting) String() string { return m.wait.String() }
func (m *meeting) Set(text string) error {
	d, err := time.ParseDuration(text)
	if err != nil || d < time.Second {
		return fmt.Errorf("is %q: expected a time of at least 1s, such as 90s or 10m", text)
	}
	m.wait = d
	return nil
}

// endTime is what a process has to end by itself after a rank is lost.
const endTime = 5 * time.Second

// sameTime is what rank 0 has to find what another rank has found, before it hears of it.
const sameTime = time.Second

// notice says what ranks wait for at the start: rank 0 does, and rank 1, since rank 0 may be the one that does not come.
func (f *flags) notice(s cli.Streams, text string) {
	if f.launch.Rank < 2 {
		fmt.Fprintf(s.Messages(f.cpuProfile), "launch   rank %d: %s\n", f.launch.Rank, text)
	}
}

// follows says whether another process reports and writes.
func (f *flags) follows() bool { return f.launch.Rank > 0 }

// readLaunch finds out how the process was started.
func (f *flags) readLaunch() (err error) {
	if f.launch, err = ranks.FromEnvironment(os.LookupEnv); err != nil {
		return err
	}
	address := f.rendezvous.address
	if address != "" {
		if err := rendezvous.CheckAddress(address); err != nil {
			return cli.Usagef("-rendezvous: %v", err)
		}
	}
	alone := f.launch.Size == 1
	switch {
	case alone && address != "":
		return cli.Usagef("-rendezvous %s is where the processes of a run meet, and this one was started alone: start it by mpirun, torchrun or "+
			"srun, or leave -rendezvous out", address)
	case alone && f.Given("rendezvous-wait") && !f.startsRanks():
		return cli.Usagef("-rendezvous-wait %s is how long the processes of a run wait for each other, and this one was started alone: leave "+
			"it out", &f.rendezvous)
	case f.launch.Size > 1 && f.Given("gpus") && !f.isChild() && !f.dryRun:
		return cli.Usagef("-gpus %s starts its own processes, and this is rank %d of %d by %s: leave -gpus out and give -gpu, or start one "+
			"process", &f.gpus, f.launch.Rank, f.launch.Size, f.launch.By)
	case address == "":
		return nil
	}
	f.launch.Address, f.launch.Spare = address, nil
	return nil
}

// join meets the other processes, where there are some and the process will train. leave takes leave of them, with the error
// that the process ends by, and returns what to say of it.
func (f *flags) join(ctx context.Context, s cli.Streams) (leave func(error) error, err error) {
	l := f.launch
	alone := func(err error) error { return err }
	say := func(format string, a ...any) {
		if !f.follows() {
			fmt.Fprintf(s.Messages(f.cpuProfile), format, a...)
		}
	}
	switch {
	case f.dryRun || f.listPresets:
		return alone, nil
	case l.Size == 1:
		if l.Note != "" {
			say("launch   %s\n", l.Note)
		}
		return alone, nil
	case f.device.GPU && f.Given("device"):
		return nil, cli.Usagef("-device %d is for one process, and this is one of %d, of which each takes the GPU of its number on its machine: "+
			"leave -device out", f.device.N, l.Size)
	case f.device.GPU && l.Address == "":
		return nil, fmt.Errorf("this is rank %d of %d by %s, which does not name where rank 0 listens: give all of them -rendezvous HOST:PORT with "+
			"the machine of rank 0", l.Rank, l.Size, l.By)
	case f.device.GPU:
	case !l.MPI:
		return nil, fmt.Errorf("this is rank %d of %d by %s, and MPI carries what CPUs have to say to each other: start the program by mpirun, "+
			"give -gpu to train on GPUs, or start one process", l.Rank, l.Size, l.By)
	case !mpi.Built:
		return nil, fmt.Errorf("this is one of %d processes that mpirun started, and the program was built without -tags mpi: build it with "+
			"-tags \"nocuda mpi\", or start one process", l.Size)
	}
	transport, listener, err := f.carrier(&l, s)
	if err != nil {
		return nil, f.ofRank(err)
	}
	say("launch   rank %d of %d by %s, which meet at %s\n", l.Rank, l.Size, l.By, l.Address)
	room, err := rendezvous.Join(ctx, rendezvous.Config{Rank: l.Rank, Size: l.Size, Address: l.Address, Spare: l.Spare, Listener: listener, Run: l.Run,
		Wait: f.rendezvous.wait, Late: func(who string) { f.notice(s, who) }})
	if err != nil {
		return nil, f.ofRank(err)
	}
	if transport == nil {
		transport = ranks.OnDevices(room)
	} else {
		transport = ranks.Watched(transport, room)
	}
	f.group = &ranks.Group{Transport: transport}
	room.Watch(f.group.State)
	over := f.heed(room, s.Err)
	return func(err error) error {
		defer over()
		if lost := room.Err(); lost != nil && err != nil {
			err = lost
		} else if err != nil && f.follows() {
			select { // what is wrong in all ranks, such as a flag, rank 0 says by itself
			case <-room.Lost():
			case <-time.After(sameTime):
			}
		}
		why := err
		if errors.Is(err, context.Canceled) {
			why = errors.New("it was stopped before the first step")
		}
		left := f.group.Close(why)
		if err == nil {
			err = left
		}
		return f.ofRank(err)
	}, nil
}

// ofRank says which rank an error is of, where it is not the one that reports.
func (f *flags) ofRank(err error) error {
	if err == nil || !f.follows() {
		return err
	}
	return fmt.Errorf("rank %d: %w", f.launch.Rank, err)
}

// carrier returns what carries gradients beside the room, nil between GPUs, and where rank 0 listens, if it does already.
func (f *flags) carrier(l *ranks.Launch, s cli.Streams) (ranks.Transport, net.Listener, error) {
	if f.device.GPU {
		if err := f.chooseGPU(); err != nil || !f.isChild() || f.follows() {
			return nil, nil, err
		}
		listener, err := handedOver()
		return nil, listener, err
	}
	world, err := f.startMPI(s)
	if err != nil {
		return nil, nil, err
	}
	t := ranks.OnHost(world)
	listener, err := meetByMPI(l, t)
	return t, listener, err
}

// chooseGPU takes the GPU of the process's number on its machine, or the only one that the launcher lets it see.
func (f *flags) chooseGPU() error {
	count, err := cuda.Count()
	switch {
	case err != nil:
		return fmt.Errorf("-gpu: %w", err)
	case count > 1:
		f.device.N = f.launch.Local
	}
	if f.device.N >= count {
		return fmt.Errorf("this is process %d of its machine, counted from 0, which has %d GPUs for it: start one process for each GPU",
			f.device.N, count)
	}
	return nil
}

// startMPI joins MPI's world. That waits for ever where a process of it ends without having joined.
func (f *flags) startMPI(s cli.Streams) (*mpi.World, error) {
	type result struct {
		world *mpi.World
		err   error
	}
	done := make(chan result, 1)
	go func() {
		world, err := mpi.Init()
		done <- result{world, err}
	}()
	late := time.AfterFunc(rendezvous.LateTime, func() {
		f.notice(s, fmt.Sprintf("it waits for all of %d ranks to come to MPI, %v in all", f.launch.Size, f.rendezvous.wait))
	})
	defer late.Stop()
	select {
	case r := <-done:
		if l := f.launch; r.err == nil && (r.world.Rank() != l.Rank || r.world.Size() != l.Size) {
			r.err = fmt.Errorf("the launcher says rank %d of %d and MPI says rank %d of %d: start the program by the mpirun of the MPI that it "+
				"was built with", l.Rank, l.Size, r.world.Rank(), r.world.Size())
		}
		return r.world, r.err
	case <-time.After(f.rendezvous.wait):
		return nil, fmt.Errorf("not all of %d ranks came to MPI within %v: see that mpirun starts the same command everywhere",
			f.launch.Size, f.rendezvous.wait)
	}
}

// meetByMPI has rank 0 listen and tell the others where, unless somebody has named an address.
func meetByMPI(l *ranks.Launch, t ranks.Transport) (net.Listener, error) {
	if l.Address != "" && len(l.Spare) == 0 {
		return nil, nil
	}
	var listener net.Listener
	word := make([]byte, 2048) // as long everywhere
	if l.Rank == 0 {
		var err error
		if listener, err = net.Listen("tcp", ":0"); err == nil { // without it the others hear of no address
			copy(word, strings.Join(ownAddresses(listener), " "))
		}
	}
	all, err := t.Agree(word)
	if err != nil {
		return nil, err
	}
	addresses := strings.Fields(string(bytes.TrimRight(all[0], "\x00")))
	if len(addresses) == 0 {
		return nil, errors.New("rank 0 has no address by which the others could reach it: name one with -rendezvous HOST:PORT")
	}
	l.Address, l.Spare = addresses[0], addresses[1:]
	return listener, nil
}

// ownAddresses lists by which addresses the others may reach a listener: the machine's name first.
func ownAddresses(l net.Listener) (all []string) {
	_, port, _ := net.SplitHostPort(l.Addr().String())
	if host, err := os.Hostname(); err == nil {
		if _, err := net.LookupHost(host); err == nil {
			all = append(all, net.JoinHostPort(host, port))
		}
	}
	addresses, _ := net.InterfaceAddrs()
	for _, a := range addresses {
		if ip, ok := a.(*net.IPNet); ok && !ip.IP.IsLinkLocalUnicast() {
			all = append(all, net.JoinHostPort(ip.IP.String(), port))
		}
	}
	const most = 16
	return all[:min(most, len(all))]
}

// heed ends the process where a rank is lost and this one still waits for it some seconds later. over ends that.
func (f *flags) heed(room *rendezvous.Room, to io.Writer) (over func()) {
	done := make(chan struct{})
	go func() {
		select {
		case <-done:
			return
		case <-room.Lost():
		}
		select {
		case <-done:
		case <-time.After(endTime):
			os.Exit(f.Exit(f.ofRank(room.Err()), io.Discard, to))
		}
	}()
	return func() { close(done) }
}
