// What a training takes of the machine: memory, and its profile.

package traincmd

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"runtime/pprof"

	"sigmaz/cmd/internal/cli"
	"sigmaz/internal/memory"
	"sigmaz/kernels"
	"sigmaz/train"
)

// trainerWords returns the memory in four-byte words that training with a configuration takes.
func trainerWords(b kernels.Backend, c *train.Config, data *train.Splits) (int, error) {
	tc, err := c.Trainer(data)
	if err != nil {
		return 0, err
	}
	return train.TrainerWords(b, tc)
}

// checkMemory refuses a network and batch that the machine cannot hold, before the attempt ends the process. A GPU says
// so itself.
func checkMemory(b kernels.Backend, c *train.Config, data *train.Splits, gpu bool) error {
	words, err := trainerWords(b, c, data)
	if err != nil {
		return err
	}
	have := memory.Host()
	if need := 4 * float64(words); !gpu && have > 0 && need > have {
		what := fmt.Sprintf("ngf %d", c.Network.NGF)
		if c.Network.Vectors() {
			what = fmt.Sprintf("hidden %d", c.Network.Hidden)
		}
		whose := "this machine has"
		if _, left, ok := memory.Limit(); ok && left <= have {
			whose = "the limit of this process (ulimit) leaves"
		}
		return fmt.Errorf("training with batch %d and %s needs %s of memory, and %s %s: lower one of the two, or do the batch in "+
			"parts with -shards (-dry-run tells what a choice takes)", c.Batch, what, cli.Bytes(need), whose, cli.Bytes(have))
	}
	return nil
}

// checkProfile refuses a name for the profile that stands for another file. Nothing in a file says that it is an old
// profile and not data, so that none is replaced.
func (f *flags) checkProfile(s cli.Streams) error {
	if f.cpuProfile == "" {
		return nil
	}
	if _, err := os.Lstat(f.cpuProfile); err == nil && f.cpuProfile != cli.Stdout {
		return fmt.Errorf("-cpuprofile: %s exists already: expected the name of a new file; choose another, or delete it",
			f.cpuProfile)
	}
	return cli.Output{Flag: "-cpuprofile", Path: f.cpuProfile}.Check(s)
}

// profile starts a CPU profile, if there is to be one, which stop writes.
func profile(to cli.Output, s cli.Streams) (stop func() error, err error) {
	if to.Path == "" {
		return func() error { return nil }, nil
	}
	var b bytes.Buffer
	if err := pprof.StartCPUProfile(&b); err != nil {
		return nil, fmt.Errorf("-cpuprofile: %w", err)
	}
	return func() error {
		pprof.StopCPUProfile()
		return to.Write(s, func(w io.Writer) error { _, err := b.WriteTo(w); return err })
	}, nil
}
