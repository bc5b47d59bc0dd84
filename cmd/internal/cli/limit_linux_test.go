package cli

import (
	"strings"
	"testing"
)

func TestPassOn(t *testing.T) {
	const stacks = "\ngoroutine 1 [running]:\nmain.main()\n\t/x/main.go:3\n"
	for text, want := range map[string]string{
		"runtime: out of memory: cannot allocate 4194304-byte block (0 in use)\nfatal error: out of memory\n":    "",
		"step 1\nstep 2\nfatal error: runtime: out of memory\n" + stacks:                                         "step 1\nstep 2\n",
		"fatal error: runtime: cannot allocate memory\n":                                                         "",
		"fatal error: failed to reserve page summary memory\n" + stacks:                                          "",
		"runtime/cgo: pthread_create failed: Resource temporarily unavailable\nSIGABRT: abort\n" + stacks:        "",
		"runtime: failed to create new OS thread (have 12 already; errno=11)\nfatal error: newosproc\n" + stacks: "",
		"runtime: mmap(0xc000000000, 67108864) returned 0x0, 12\nfatal error: runtime: cannot allocate memory\n": "",
		"train: training needs 5 GiB of memory, and the limit leaves 3: lower one of the two\n":                  "all",
		"panic: runtime error: index out of range [5] with length 3\n" + stacks:                                  "all",
		"warning: the pictures go without the data: runtime: out of memory\n":                                    "all",
		"no end": "all", "": "all",
	} {
		var out strings.Builder
		ended := passOn(strings.NewReader(text), &out)
		if want == "all" {
			want = text
		} else if !ended {
			t.Errorf("%q: not taken for the end of memory", text)
		}
		if out.String() != want || ended != (want != text) {
			t.Errorf("%q: passed on %q, ended %v", text, out.String(), ended)
		}
	}
}
