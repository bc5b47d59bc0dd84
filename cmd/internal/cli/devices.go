// Which devices a command computes on: the flags, and opening what they mean.

package cli

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"sigmaz/cuda"
	"sigmaz/kernels"
)

// GPUs is a flag.Value that takes a number of GPUs, or all. 0 stands for a flag that is not given.
type GPUs int

// AllGPUs are as many as the machine has.
const AllGPUs GPUs = -1

// allWord is AllGPUs as it is written.
const allWord = "all"

func (g *GPUs) String() string {
	if *g == AllGPUs {
		return allWord
	}
	return strconv.Itoa(int(*g))
}

func (g *GPUs) Set(text string) error {
	if text == allWord {
		*g = AllGPUs
		return nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return fmt.Errorf("is %s: expected a number of GPUs from 1 on, or %s", quoteArg(text), allWord)
	}
	*g = GPUs(n)
	return nil
}

// Count returns how many GPUs are meant on this machine, or why there are not so many.
func (g GPUs) Count() (int, error) {
	n, err := cuda.Count()
	switch {
	case err != nil:
		return 0, fmt.Errorf("-gpus %s means -gpu: %w", &g, err)
	case g == AllGPUs:
		return n, nil
	case int(g) > n:
		return 0, fmt.Errorf("-gpus is %d, and this machine has %s: give a number up to %d, or %s; CUDA_VISIBLE_DEVICES "+
			"says which of them a program sees", int(g), Count(n, "GPU"), n, allWord)
	}
	return int(g), nil
}

// Device is the flags that choose between CPU and GPU, and what convolutions compute in there.
type Device struct {
	GPU       bool
	N         int               // which GPU
	GPUs      GPUs              // how many, from number 0 on; 0: the one
	Precision kernels.Precision // "" where the flag is not given
}

// Flags makes -gpu and -device. verb is what is done on the GPU: "train".
func (d *Device) Flags(verb string) []Flag {
	return []Flag{
		{Name: "gpu", Help: verb + " on a GPU, not on the CPU", Value: &d.GPU},
		{Name: "device", Arg: "N", Help: "which GPU, counted from 0; with -gpu", Value: &d.N},
	}
}

// GPUsFlag makes -gpus, by which work is shared. what is the work, such as samples.
func (d *Device) GPUsFlag(what string) Flag {
	return Flag{Name: "gpus", Arg: "N", Unit: "GPUs", Help: "share the " + what + " among so many GPUs, or " + allWord +
		" there are; results are the same on any number of them", Value: &d.GPUs, Default: "1", Known: []string{allWord}}
}

// PrecisionFlag makes -precision. def says what is taken where it is not given.
func (d *Device) PrecisionFlag(def string) Flag {
	return Flag{Name: "precision", Arg: "NAME", Help: PrecisionHelp, Value: Precision(&d.Precision), Default: def,
		Known: kernels.PrecisionNames()}
}

// PrecisionHelp explains -precision.
const PrecisionHelp = "what convolutions compute in: float32, or on a GPU's tensor cores (channels in multiples of " +
	"32) tf32, whose factors have 10 fraction bits, or bf16: 7, with activations kept in half the memory"

// Precision is a flag.Value that sets a precision.
func Precision(to *kernels.Precision) Choice {
	return Choice{To: (*string)(to), Words: kernels.PrecisionNames()}
}

// Check judges the flags beside each other, and has -gpus mean -gpu.
func (d *Device) Check(c *Command) error {
	switch {
	case d.GPUs != 0 && c.Given("gpu") && !d.GPU:
		return Usagef("-gpus %s means GPUs, and -gpu=false none: leave one of the two out", &d.GPUs)
	case d.GPUs != 0 && c.Given("device"):
		return Usagef("-device %d is one GPU, and -gpus %s is how many, from number 0 on: leave one of the two out; "+
			"CUDA_VISIBLE_DEVICES chooses which these are", d.N, &d.GPUs)
	case c.Given("device") && !d.GPU:
		return Usagef("-device %d names a GPU: give -gpu too, or leave it out to %s on the CPU", d.N, c.Name)
	case d.N < 0:
		return Usagef("-device is %d: expected the number of a GPU, counted from 0", d.N)
	}
	d.GPU = d.GPU || d.GPUs != 0
	return nil
}

// Devices are backends of one kind that share the work of a command.
type Devices []kernels.Backend

// Open opens the devices that the flags mean, with so many workers on the CPU.
func (d *Device) Open(workers int) (Devices, error) {
	if d.GPUs == 0 {
		b, err := kernels.Open(d.GPU, d.N, workers)
		return Devices{b}, err
	}
	n, err := d.GPUs.Count()
	if err != nil {
		return nil, err
	}
	all, errs := make(Devices, n), make([]error, n)
	var opening sync.WaitGroup // the driver compiles the kernels for each
	for i := range n {
		opening.Go(func() { all[i], errs[i] = kernels.Open(true, i, workers) })
	}
	opening.Wait()
	for i, err := range errs {
		if err != nil {
			all.Close()
			return nil, fmt.Errorf("GPU %d: %w", i, err)
		}
	}
	return all, nil
}

// Close closes all.
func (d Devices) Close() {
	for _, b := range d {
		if b != nil {
			b.Close()
		}
	}
}

// Name names the devices for people: "2 x cuda (...)" where they are alike.
func (d Devices) Name() string {
	var names []string
	for _, b := range d {
		if !slices.Contains(names, b.Name()) {
			names = append(names, b.Name())
		}
	}
	text := strings.Join(names, " and ")
	if len(d) > 1 {
		text = fmt.Sprintf("%d x %s", len(d), text)
	}
	return text
}
