package versioncmd

import (
	"bytes"
	"errors"
	"regexp"
	"runtime/debug"
	"testing"

	"sigmaz/cmd/internal/cli"
)

func TestCompleted(t *testing.T) {
	stamped := &debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}, Settings: []debug.BuildSetting{
		{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.modified", Value: "false"}}}
	changed := &debug.BuildInfo{Main: debug.Module{Version: "(devel)"}, Settings: []debug.BuildSetting{
		{Key: "vcs.modified", Value: "true"}, {Key: "vcs.revision", Value: "abc"}}}
	for _, test := range []struct {
		told Build
		info *debug.BuildInfo
		want Build
	}{
		{Build{}, nil, Build{"unknown", "unknown"}},
		{Build{}, stamped, Build{"v1.2.3", "abc"}},
		{Build{}, changed, Build{"unknown", "abc, with changes"}},
		{Build{Commit: "def"}, changed, Build{"unknown", "def"}},
		{Build{"v2", "def"}, stamped, Build{"v2", "def"}},
		{Build{Commit: "unknown"}, nil, Build{"unknown", "unknown"}},
	} {
		if got := test.told.completed(test.info); got != test.want {
			t.Errorf("%v, %v: got %v, expected %v", test.told, test.info, got, test.want)
		}
	}
}

func TestOutput(t *testing.T) {
	var out, errs bytes.Buffer
	code := New(Build{Commit: "abc"}).Execute(t.Context(), nil, cli.Streams{Out: &out, Err: &errs})
	want := regexp.MustCompile(`\Asigmaz \S+\ncommit abc\ngo     go\S+ \w+/\w+\ntags   (nocuda|cuda)\nisa    (avx512|avx2|go)\n\z`)
	if code != 0 || errs.Len() > 0 || !want.MatchString(out.String()) {
		t.Errorf("code %d, %q, %q", code, &out, &errs)
	}
	if code := New(Build{}).Execute(t.Context(), []string{"extra"}, cli.Streams{Out: &out, Err: &errs}); code != 2 {
		t.Errorf("with an argument: code %d", code)
	}
	if code := New(Build{}).Execute(t.Context(), nil, cli.Streams{Out: full{}, Err: &errs}); code != 1 {
		t.Errorf("onto a full disk: code %d", code)
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left") }
