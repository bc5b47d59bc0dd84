package extras

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Python returns an interpreter that can import the modules: $SIGMAZ_PYTHON, or python3. Without one it skips the
// test, or fails it where SIGMAZ_EXTRAS is "required".
func Python(t testing.TB, modules ...string) string {
	t.Helper()
	if !strings.HasPrefix(t.Name(), "TestExtras") {
		t.Fatalf("%s needs Python: expected a name that begins with TestExtras, which .ci/extras runs", t.Name())
	}
	python := os.Getenv("SIGMAZ_PYTHON")
	if python == "" {
		python = "python3"
	}
	out, err := exec.Command(python, "-c", "import "+strings.Join(modules, ", ")).CombinedOutput()
	if err != nil {
		missing(t, python, modules, err, out)
	}
	return python
}

// missing is the one place that decides between skipping and failing.
func missing(t testing.TB, python string, modules []string, err error, out []byte) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	say := t.Skipf
	if os.Getenv("SIGMAZ_EXTRAS") == "required" {
		say = t.Fatalf
	}
	say("%s cannot import %s: %v %s; run .ci/extras, or set SIGMAZ_PYTHON to an interpreter that can",
		python, strings.Join(modules, ", "), err, lines[len(lines)-1])
}
