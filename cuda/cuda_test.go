//go:build cgo && !nocuda

// These tests need a driver: a GPU's, or by LD_LIBRARY_PATH the stand-in of cuda/sim. Without one they are skipped,
// but fail if SIGMAZ_GPU=required promises one.

package cuda

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
)

func open(t *testing.T) *Device {
	t.Helper()
	if err := Available(); err != nil {
		if os.Getenv("SIGMAZ_GPU") == "required" {
			t.Fatalf("SIGMAZ_GPU=required: %v", err)
		}
		t.Skip(err)
	}
	d, err := Open(0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// says fails unless err says every one of the words.
func says(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", words)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%v\n\tlacks %q", err, w)
		}
	}
}

func floats(v ...float32) []byte {
	b := make([]byte, 0, 4*len(v))
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return b
}

// affine is the kernel y = scale x + shift of package kernels: each thread four values.
func affine(t *testing.T, d *Device) func(y, x uint64, scale, shift float32, n int) error {
	t.Helper()
	ptx, err := os.ReadFile("../kernels/ptx/sum.ptx")
	must(t, err)
	m, err := d.Load("sum", ptx)
	must(t, err)
	f, err := m.Function("affine")
	must(t, err)
	return func(y, x uint64, scale, shift float32, n int) error {
		args := NewArgs().Ptr(y).Ptr(x).F32(scale).F32(shift).U64(uint64(n))
		return d.Launch(f, [3]int{(n + 4*64 - 1) / (4 * 64), 1, 1}, [3]int{64, 1, 1}, 0, args)
	}
}

func TestDevice(t *testing.T) {
	d := open(t)
	major, minor := d.Capability()
	free, total, err := d.Memory()
	must(t, err)
	name, driver, units := d.Name(), d.DriverVersion(), d.Multiprocessors()
	if name == "" || major < 8 || minor < 0 || driver < minDriver || units < 1 || free <= 0 || free > total {
		t.Errorf("%q %d.%d, driver %d, %d multiprocessors, %d of %d bytes free",
			name, major, minor, driver, units, free, total)
	}
	n, err := Count()
	must(t, err)
	for _, ordinal := range []int{-1, n, n + 6} {
		_, err := Open(ordinal)
		says(t, err, fmt.Sprintf("device %d is not there: this machine has %d device", ordinal, n), "numbered from 0")
	}
	t.Logf("%s, %d.%d, driver %s, %s", d.Name(), major, minor, versionText(d.DriverVersion()), size(total))
}

// Several devices of one process are apart: each has its memory and its work, and one that is lost takes no other with it.
func TestSeveralDevices(t *testing.T) {
	if d := open(t); !strings.Contains(d.Name(), "stand-in") {
		t.Skip("several devices, and one that is lost, are made by the stand-in driver")
	}
	t.Setenv("SIGMAZ_SIM_DEVICES", "3")
	t.Setenv("SIGMAZ_SIM_FAULT", "lost:5:1")
	if n, err := Count(); n != 3 || err != nil {
		t.Fatalf("%d devices, %v", n, err)
	}
	var all sync.WaitGroup
	for ordinal := range 3 {
		all.Go(func() {
			d, err := Open(ordinal)
			if err != nil {
				t.Error(err)
				return
			}
			defer d.Close()
			run := affine(t, d)
			x, err := d.Alloc(4*64, "x")
			for range 20 {
				if err == nil {
					err = run(x.Addr(), x.Addr(), 1, 1, 64)
				}
			}
			got := make([]byte, 4*64)
			if err == nil {
				err = x.Read(got, 0)
			}
			var e *Error
			switch lost := errors.As(err, &e) && e.Lost(); {
			case lost != (ordinal == 1):
				t.Errorf("device %d: %v", ordinal, err)
			case !lost && !bytes.Equal(got, floats(slices.Repeat([]float32{20}, 64)...)):
				t.Errorf("device %d: %x", ordinal, got)
			}
		})
	}
	all.Wait()
}

func TestMemory(t *testing.T) {
	d := open(t)
	for _, n := range []int{0, 1, 3, 255, 4097, 1<<20 + 1} {
		b, err := d.Alloc(int64(n), "a test")
		must(t, err)
		if b.Bytes() != int64(n) || b.Owner() != "a test" || (n > 0) != (b.Addr() != 0) || b.Addr()%256 != 0 {
			t.Fatalf("%d bytes: %d bytes at %x for %q", n, b.Bytes(), b.Addr(), b.Owner())
		}
		want := make([]byte, n)
		got := bytes.Repeat([]byte{0xaa}, n)
		must(t, b.Read(got, 0))
		if !bytes.Equal(got, want) {
			t.Fatalf("%d bytes: not zero at first", n)
		}
		for i := range want {
			want[i] = byte(i*7 + 1)
		}
		must(t, b.Write(0, want))
		off := n / 3
		patch := bytes.Repeat([]byte{0x55}, n/2)
		must(t, b.Write(int64(off), patch))
		copy(want[off:], patch)
		clear(patch) // the write is over
		must(t, b.Read(got, 0))
		if !bytes.Equal(got, want) {
			t.Fatalf("%d bytes: what was read is not what was written", n)
		}
		tail := make([]byte, n-off)
		must(t, b.Read(tail, int64(off)))
		if !bytes.Equal(tail, want[off:]) {
			t.Fatalf("%d bytes: read from %d on", n, off)
		}
		says(t, b.Write(int64(n), []byte{1}), "Write of a test", fmt.Sprintf("bytes %d to %d of %d", n, n+1, n))
		says(t, b.Read(make([]byte, 2), -1), "Read of a test")
		says(t, b.Read(make([]byte, 2), math.MaxInt64), "Read of a test")
		must(t, b.Free())
		must(t, b.Free())
		if n > 0 {
			says(t, b.Read(got, 0), "Read of a test: it was freed")
		}
	}
	if _, err := d.Alloc(-1, "a mistake"); err == nil {
		t.Error("an allocation of -1 bytes")
	}
}

// A copy inside a buffer comes after what was written before, and leaves the rest.
func TestCopyWithin(t *testing.T) {
	d := open(t)
	const n = 1 << 12
	b, err := d.Alloc(n, "a test")
	must(t, err)
	want := make([]byte, n)
	for i := range want {
		want[i] = byte(i * 7)
	}
	must(t, b.Write(0, want))
	must(t, b.CopyWithin(2048, 4, 1000))
	must(t, b.CopyWithin(n, 0, 0))
	copy(want[2048:], want[4:1004])
	got := make([]byte, n)
	must(t, b.Read(got, 0))
	if !bytes.Equal(got, want) {
		t.Error("read something else than was copied")
	}
	for _, c := range [][3]int64{{-1, 9, 2}, {9, -1, 2}, {0, 9, -1}, {n - 9, 0, 10}, {0, n - 9, 10}, {5, 9, 5}, {9, 5, 5},
		{0, 0, n + 1}} {
		says(t, b.CopyWithin(c[0], c[1], c[2]), "CopyWithin of a test", fmt.Sprintf("of %d", n))
	}
	must(t, b.Free())
	says(t, b.CopyWithin(0, 9, 2), "CopyWithin of a test: it was freed")
}

// A large allocation is zero to its end, and leaves memory when it is freed.
func TestFree(t *testing.T) {
	d := open(t)
	const n = 64 << 20
	before, _, err := d.Memory()
	must(t, err)
	for range 3 {
		b, err := d.Alloc(n, "a large test")
		must(t, err)
		last := []byte{1, 1, 1, 1}
		must(t, b.Read(last, n-4))
		if !bytes.Equal(last, make([]byte, 4)) {
			t.Error("not zero at the end")
		}
		must(t, b.Write(n-4, []byte{1, 2, 3, 4}))
		if free, _, err := d.Memory(); err != nil || free > before-n/2 {
			t.Errorf("%s were free, %s are free with %s allocated (%v)", size(before), size(free), size(n), err)
		}
		must(t, b.Free())
	}
}

func TestOutOfMemory(t *testing.T) {
	d := open(t)
	_, total, err := d.Memory()
	must(t, err)
	_, err = d.Alloc(1<<50, "the weights of a dream")
	var oom *OutOfMemory
	if !errors.As(err, &oom) {
		t.Fatalf("not an *OutOfMemory: %v", err)
	}
	if oom.Need != 1<<50 || oom.Total != total || oom.Free <= 0 || oom.Free > total ||
		oom.Owner != "the weights of a dream" {
		t.Errorf("%+v", oom)
	}
	says(t, err, "out of device memory: the weights of a dream needs 1048576.00 GiB")
	b, err := d.Alloc(16, "something small")
	must(t, err)
	must(t, b.Write(0, make([]byte, 16)))
}

func TestLaunch(t *testing.T) {
	d := open(t)
	run := affine(t, d)
	for _, n := range []int{1, 3, 4, 1023, 4096} {
		x, err := d.Alloc(int64(4*n), "x")
		must(t, err)
		y, err := d.Alloc(int64(4*n), "y")
		must(t, err)
		in, want := make([]float32, n), make([]float32, n)
		for i := range in {
			in[i] = float32(i)
			want[i] = float32(4*i) - 1 // 2(2x - 1) + 1
		}
		must(t, x.Write(0, floats(in...)))
		must(t, run(y.Addr(), x.Addr(), 2, -1, n))
		must(t, run(y.Addr(), y.Addr(), 2, 1, n))
		got := make([]byte, 4*n)
		must(t, y.Read(got, 0))
		if !bytes.Equal(got, floats(want...)) {
			t.Fatalf("%d values: wrong", n)
		}
	}
}

func TestLaunchErrors(t *testing.T) {
	d := open(t)
	affine(t, d)
	ptx, err := os.ReadFile("../kernels/ptx/sum.ptx")
	must(t, err)
	m, err := d.Load("sum", ptx)
	must(t, err)
	_, err = m.Function("affinity")
	says(t, err, "kernel affinity of sum", "cuModuleGetFunction: CUDA_ERROR_NOT_FOUND (500)")
	var e *Error
	if !errors.As(err, &e) || e.Call != "cuModuleGetFunction" || e.Code != 500 || e.Name != "CUDA_ERROR_NOT_FOUND" ||
		e.Lost() {
		t.Errorf("%+v", e)
	}
	f, err := m.Function("fill")
	must(t, err)
	must(t, f.SetSharedMemory(64<<10))
	says(t, f.SetSharedMemory(1<<30), "kernel fill with 1.00 GiB of shared memory", "cuFuncSetAttribute")
	says(t, d.Launch(f, [3]int{1, 0, 1}, [3]int{64, 1, 1}, 0, nil), "launching fill: a grid of [1 0 1]")
	b, err := d.Alloc(64, "b")
	must(t, err)
	args := NewArgs().Ptr(b.Addr()).F32(3).U64(16)
	says(t, d.Launch(f, [3]int{1, 1, 1}, [3]int{1 << 20, 1, 1}, 0, args),
		"launching fill", "cuLaunchKernel: CUDA_ERROR_INVALID_VALUE (1)")
	// A refused launch costs nothing.
	must(t, d.Launch(f, [3]int{1, 1, 1}, [3]int{64, 1, 1}, 0, args))
	got := make([]byte, 64)
	must(t, b.Read(got, 0))
	if !bytes.Equal(got, floats(3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3)) {
		t.Error("fill did not fill")
	}
}

func TestLoadErrors(t *testing.T) {
	d := open(t)
	_, err := d.Load("tomorrow", []byte(".version 99.1\n.target sm_80\n.address_size 64\n"))
	says(t, err, "the NVIDIA driver is too old", versionText(d.DriverVersion()), "tomorrow", "PTX 99.1")
	_, err = d.Load("tomorrow", []byte(".version 7.8\n.target sm_990\n.address_size 64\n"))
	says(t, err, d.Name(), "compute capability", "tomorrow", "99.0")
	_, err = d.Load("nonsense", []byte("this is no PTX"))
	says(t, err, "loading the kernels of nonsense: cuModuleLoadDataEx: CUDA_ERROR_")
	must(t, d.Sync())
}

func TestGraph(t *testing.T) {
	d := open(t)
	run := affine(t, d)
	b, err := d.Alloc(16, "b")
	must(t, err)
	expect := func(want float32) {
		t.Helper()
		got := make([]byte, 16)
		must(t, b.Read(got, 0))
		if !bytes.Equal(got, floats(want, want, want, want)) {
			t.Fatalf("got %x, want four times %g", got, want)
		}
	}
	must(t, b.Write(0, floats(1, 1, 1, 1)))
	addr := b.Addr()
	g, err := d.Capture(func() error {
		if err := run(addr, addr, 2, 0, 4); err != nil {
			return err
		}
		return run(addr, addr, 1, 1, 4)
	})
	must(t, err)
	expect(1) // a capture runs nothing
	must(t, g.Launch())
	expect(3)
	for range 3 {
		must(t, g.Launch())
	}
	expect(31)

	// What cannot be in a graph is refused, and refusing it leaves the capture whole.
	const much = 64 << 20 // drivers take memory from the device in pieces of 2 MiB
	passing, err := d.Alloc(much, "passing")
	must(t, err)
	free, _, err := d.Memory()
	must(t, err)
	g2, err := d.Capture(func() error {
		says(t, b.Read(make([]byte, 16), 0), "Read of b", "not while a CUDA graph is captured")
		says(t, b.Write(0, make([]byte, 16)), "not while")
		says(t, d.Sync(), "not while")
		says(t, g.Launch(), "not while")
		must(t, passing.Free()) // at the end of the capture
		_, err := d.Alloc(16, "c")
		says(t, err, "not while")
		_, err = d.AllocPinned(16)
		says(t, err, "not while")
		_, err = d.Capture(func() error { return nil })
		says(t, err, "not while")
		return run(addr, addr, 1, 1, 4)
	})
	must(t, err)
	if now, _, err := d.Memory(); err != nil || now < free+much/2 {
		t.Errorf("%s were free, %s are free after a buffer was freed in a capture (%v)", size(free), size(now), err)
	}
	must(t, g2.Launch())
	expect(32)
	must(t, g2.Destroy())
	must(t, g2.Destroy())
	says(t, g2.Launch(), "destroyed")

	// A capture that fails, or panics, leaves the device as it was.
	oops := errors.New("oops")
	if _, err := d.Capture(func() error { run(addr, addr, 0, 0, 4); return oops }); !errors.Is(err, oops) {
		t.Errorf("a capture that fails: %v", err)
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		d.Capture(func() error { run(addr, addr, 0, 0, 4); panic("oops") })
	}()
	expect(32)
	empty, err := d.Capture(func() error { return nil })
	must(t, err)
	must(t, empty.Launch())
	must(t, g.Launch())
	expect(65)
}

// A kernel writes into pinned memory, in a graph too.
func TestPinned(t *testing.T) {
	d := open(t)
	run := affine(t, d)
	if _, err := d.AllocPinned(0); err == nil {
		t.Error("an allocation of 0 bytes")
	}
	p, err := d.AllocPinned(32)
	must(t, err)
	if !bytes.Equal(p.Bytes(), make([]byte, 32)) {
		t.Error("not zero at first")
	}
	x, err := d.Alloc(16, "x")
	must(t, err)
	must(t, x.Write(0, floats(1, 2, 3, 4)))
	must(t, run(p.Addr(), x.Addr(), 10, 0, 4))
	g, err := d.Capture(func() error { return run(p.Addr()+16, p.Addr(), 10, 0, 4) })
	must(t, err)
	must(t, g.Launch())
	must(t, d.Sync())
	if !bytes.Equal(p.Bytes(), floats(10, 20, 30, 40, 100, 200, 300, 400)) {
		t.Errorf("got %x", p.Bytes())
	}
	copy(p.Bytes(), floats(5)) // and the host into what a kernel reads
	must(t, g.Launch())
	must(t, d.Sync())
	if !bytes.Equal(p.Bytes()[16:20], floats(50)) {
		t.Errorf("got %x", p.Bytes()[16:20])
	}
	p.Free()
	p.Free()
}

// Copies by a second stream into a place that launches read: each launch sees what it was meant to see, and the pinned
// memory is filled again as soon as its copy is done.
func TestStreams(t *testing.T) {
	d := open(t)
	run := affine(t, d)
	launches := d.Launches()
	copies, err := d.NewStream()
	must(t, err)
	copied, err := d.NewEvent()
	must(t, err)
	read, err := d.NewEvent()
	must(t, err)
	must(t, copied.Synchronize()) // recorded nowhere
	must(t, launches.Wait(copied))
	const n, rounds = 1 << 10, 20
	in, err := d.Alloc(4*n+64, "in")
	must(t, err)
	out, err := d.Alloc(4*n*rounds, "out")
	must(t, err)
	p, err := d.AllocPinned(4 * n)
	must(t, err)
	var want []byte
	for i := range rounds {
		must(t, copied.Synchronize())
		for j := range n {
			copy(p.Bytes()[4*j:], floats(float32(i*n+j)))
			want = append(want, floats(float32(2*(i*n+j)))...)
		}
		must(t, copies.Wait(read))
		must(t, copies.Copy(in, 64, p))
		must(t, copies.Record(copied))
		must(t, launches.Wait(copied))
		must(t, run(out.Addr()+uint64(4*n*i), in.Addr()+64, 2, 0, n))
		must(t, launches.Record(read))
	}
	got := make([]byte, len(want))
	must(t, out.Read(got, 0))
	if !bytes.Equal(got, want) {
		t.Error("a launch has read something else than what was copied for it")
	}

	says(t, copies.Copy(in, 65, p), fmt.Sprintf("Copy of in: bytes 65 to %d of %d", 4*n+65, 4*n+64))
	_, err = d.Capture(func() error {
		says(t, copies.Copy(in, 0, p), "Copy of in: not while")
		says(t, copies.Record(copied), "Record of an event: not while")
		says(t, launches.Wait(copied), "Wait of an event: not while")
		_, err := d.NewStream()
		says(t, err, "NewStream: not while")
		_, err = d.NewEvent()
		says(t, err, "NewEvent: not while")
		return copied.Synchronize() // on a thread of its own
	})
	must(t, err)
	for range 2 {
		must(t, copied.Destroy())
		must(t, copies.Destroy())
	}
	says(t, copied.Synchronize(), "Synchronize of an event that was destroyed")
	says(t, launches.Record(copied), "Record of an event that was destroyed")
	says(t, launches.Wait(copied), "Wait of an event that was destroyed")
	p.Free()
	says(t, launches.Copy(in, 0, p), "Copy of in: the pinned memory was freed")
	must(t, in.Free())
	says(t, launches.Copy(in, 0, p), "Copy of in: it was freed")
}

func TestArgs(t *testing.T) {
	a := NewArgs().Ptr(1 << 40).I32(-1).U32(1 << 31).U64(1 << 63).F32(-2)
	for i, want := range []uint64{1 << 40, 1<<32 - 1, 1 << 31, 1 << 63, 0xc0000000} {
		if got := a.cells[i]; got != want {
			t.Errorf("cell %d: %x, want %x", i, got, want)
		}
	}
	if len(a.cells) != 5 {
		t.Errorf("%d cells", len(a.cells))
	}
}

func TestClosed(t *testing.T) {
	open(t) // skips where there is no driver
	d, err := Open(0)
	must(t, err)
	run := affine(t, d)
	b, err := d.Alloc(16, "b")
	must(t, err)
	p, err := d.AllocPinned(16)
	must(t, err)
	g, err := d.Capture(func() error { return run(b.Addr(), b.Addr(), 1, 1, 4) })
	must(t, err)
	must(t, g.Launch())
	s, err := d.NewStream()
	must(t, err)
	e, err := d.NewEvent()
	must(t, err)
	must(t, s.Copy(b, 0, p))
	must(t, s.Record(e))
	must(t, d.Close())
	must(t, d.Close())
	says(t, e.Synchronize(), "closed")
	says(t, s.Copy(b, 0, p), "closed")
	must(t, s.Destroy())
	must(t, e.Destroy())
	says(t, d.Sync(), "the CUDA device is closed")
	says(t, g.Launch(), "closed")
	says(t, b.Read(make([]byte, 16), 0), "closed")
	says(t, run(b.Addr(), b.Addr(), 1, 1, 4), "closed")
	must(t, b.Free())
	must(t, g.Destroy())
	p.Free()
}

// Two devices on one GPU at a time, each used by several goroutines.
func TestGoroutines(t *testing.T) {
	var all sync.WaitGroup
	for range 2 {
		d := open(t)
		run := affine(t, d)
		for i := range 4 {
			all.Go(func() {
				b, err := d.Alloc(16, "b")
				if err != nil {
					t.Error(err)
					return
				}
				for k := range 20 {
					x := float32(i + k)
					got := make([]byte, 16)
					err := errors.Join(
						b.Write(0, floats(x, x, x, x)), run(b.Addr(), b.Addr(), 2, 1, 4), b.Read(got, 0))
					if err != nil {
						t.Error(err)
						return
					}
					if !bytes.Equal(got, floats(2*x+1, 2*x+1, 2*x+1, 2*x+1)) {
						t.Errorf("got %x for %g", got, x)
					}
				}
			})
		}
	}
	all.Wait()
}

// The faults that only the stand-in can make. Each is set by its environment, which a program reads once, so that each
// has a process of its own: this test, run again.
func TestFaults(t *testing.T) {
	if fault := os.Getenv("SIGMAZ_CUDA_FAULT"); fault != "" {
		underFault(t, fault)
		return
	}
	d := open(t)
	if !strings.Contains(d.Name(), "stand-in") {
		t.Skip("not the stand-in driver")
	}
	for _, c := range []string{
		"no-driver", "no-device", "old-driver", "old-device", "lost:2", "lost:2 lazy", "oom:1048576",
	} {
		t.Run(c, func(t *testing.T) {
			fault, lazy, _ := strings.Cut(c, " ")
			again := exec.Command(os.Args[0], "-test.run=^TestFaults$", "-test.v")
			again.Env = append(os.Environ(), "SIGMAZ_CUDA_FAULT="+fault, "SIGMAZ_SIM_FAULT="+fault)
			if lazy != "" { // kernels run, and fail, only when they are waited for, as on a GPU
				again.Env = append(again.Env, "SIGMAZ_SIM_LAZY=1")
			}
			out, err := again.CombinedOutput()
			if err != nil {
				t.Errorf("%v\n%s", err, out)
			}
			t.Logf("%s", out)
		})
	}
}

func underFault(t *testing.T, fault string) {
	closed := func(err error, words ...string) {
		t.Helper()
		says(t, err, append(words, "leave -gpu out")...)
		if _, e := Open(0); e == nil || e.Error() != err.Error() {
			t.Errorf("Open: %v", e)
		}
		t.Log(err)
	}
	switch fault {
	case "no-driver":
		closed(Available(), "no CUDA driver", "install the NVIDIA driver")
		return
	case "no-device":
		closed(Available(), "no CUDA device", "cuInit: CUDA_ERROR_NO_DEVICE (100)")
		return
	case "old-driver":
		closed(Available(), "the NVIDIA driver is too old", "CUDA 11.8 (driver 520) or newer", "update it")
		return
	}
	d := open(t)
	if fault == "old-device" {
		_, err := d.Load("sum", []byte(".version 7.8\n.target sm_80\n.address_size 64\n"))
		says(t, err, d.Name()+" has compute capability 7.0, and the kernels of sum need 8.0 or more",
			"leave -gpu out")
		t.Log(err)
		return
	}
	run := affine(t, d)
	b, err := d.Alloc(4096, "b")
	must(t, err)
	switch fault {
	case "oom:1048576":
		_, err = d.Alloc(2<<20, "the arena")
		says(t, err, "out of device memory: the arena needs 2.0 MiB, and of the device's 1.0 MiB only ")
		must(t, run(b.Addr(), b.Addr(), 1, 1, 4))
	case "lost:2":
		g, e := d.Capture(func() error { return run(b.Addr(), b.Addr(), 1, 1, 4) })
		must(t, e)
		must(t, g.Launch())
		must(t, d.Sync())
		event, e := d.NewEvent()
		must(t, e)
		if err = g.Launch(); err == nil {
			if err = d.Launches().Record(event); err == nil {
				err = event.Synchronize()
			}
		}
		says(t, err, "cu", "CUDA_ERROR_LAUNCH_FAILED (719)",
			"the device is lost to this process, start it again from the last checkpoint")
		// Every later call returns the same error, and closing returns none.
		for _, later := range []error{
			b.Read(make([]byte, 4), 0), d.Sync(), g.Launch(), run(b.Addr(), b.Addr(), 1, 1, 4),
			event.Synchronize(),
		} {
			if later == nil || later.Error() != err.Error() {
				t.Errorf("later: %v", later)
			}
		}
		must(t, b.Free())
		must(t, d.Close())
		must(t, d.Close())
	}
	t.Log(err)
}
