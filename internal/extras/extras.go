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
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		missing(t, "%s cannot import %s: %v %s; run .ci/extras, or set SIGMAZ_PYTHON to an interpreter that can",
			python, strings.Join(modules, ", "), err, lines[len(lines)-1])
	}
	return python
}

// Chromium returns the browser: $SIGMAZ_CHROMIUM, or chromium. Without it it skips the test, or fails it where
// SIGMAZ_EXTRAS is "required".
func Chromium(t testing.TB) string {
	t.Helper()
	if !strings.HasPrefix(t.Name(), "TestExtras") {
		t.Fatalf("%s needs Chromium: expected a name that begins with TestExtras, which .ci/extras runs", t.Name())
	}
	name := os.Getenv("SIGMAZ_CHROMIUM")
	if name == "" {
		name = "chromium"
	}
	path, err := exec.LookPath(name)
	if err != nil {
		missing(t, "there is no browser: %v; run .ci/extras, or set SIGMAZ_CHROMIUM to Chromium or Chrome", err)
	}
	return path
}

// missing is the one place that decides between skipping and failing.
func missing(t testing.TB, format string, a ...any) {
	t.Helper()
	say := t.Skipf
	if os.Getenv("SIGMAZ_EXTRAS") == "required" {
		say = t.Fatalf
	}
	say(format, a...)
}
