//go:build unix

package rendezvous

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Processes of which one is killed or stopped end soon, and name it. The one that was stopped ends, too, when it goes on.
func TestSignals(t *testing.T) {
	for _, test := range []struct {
		signal syscall.Signal
		rank   int
		want   string
	}{
		{syscall.SIGKILL, 1, "rank 1 has ended without a word: it was killed, or its machine has failed"},
		{syscall.SIGKILL, 0, "rank 0 has ended without a word: it was killed, or its machine has failed"},
		{syscall.SIGSTOP, 2, "rank 2 has been silent for 2s: it was stopped, or its machine or network hangs"},
		{syscall.SIGSTOP, 0, "rank 0 has been silent for 2s: it was stopped, or its machine or network hangs"},
	} {
		t.Run(fmt.Sprint(test.signal, test.rank), func(t *testing.T) {
			t.Parallel()
			l := port(t)
			address := l.Addr().String()
			l.Close()
			var all []*exec.Cmd
			var out [3]bytes.Buffer
			for rank := range out {
				c := exec.Command(os.Args[0])
				c.Env = append(os.Environ(), fmt.Sprintf("RENDEZVOUS_MEMBER=%d %d %s", rank, len(out), address))
				c.Stdout = &out[rank]
				if err := c.Start(); err != nil {
					t.Fatal(err)
				}
				defer c.Process.Kill()
				all = append(all, c)
			}
			time.Sleep(time.Second)
			all[test.rank].Process.Signal(test.signal)
			since := time.Now()
			for rank, c := range all {
				if rank == test.rank {
					continue
				}
				late := time.AfterFunc(20*time.Second, func() { c.Process.Kill() })
				c.Wait()
				late.Stop()
				if got := where.ReplaceAllString(out[rank].String(), ""); got != test.want+"\n" {
					t.Errorf("rank %d: %q after %v, expected %q", rank, got, time.Since(since), test.want)
				}
			}
			if test.signal == syscall.SIGSTOP {
				all[test.rank].Process.Signal(syscall.SIGCONT)
				all[test.rank].Wait()
				if got := out[test.rank].String(); !strings.HasPrefix(got, "the other ranks have ended without this one: ") {
					t.Errorf("the one that was stopped: %q", got)
				}
			}
		})
	}
}
