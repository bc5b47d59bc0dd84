// The folder that the tests keep their cache in.

package dataset

import (
	"os"
	"testing"
)

// TestMain keeps the tests out of the user's cache.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "sigmaz-cache")
	if err != nil {
		panic(err)
	}
	os.Setenv("XDG_CACHE_HOME", dir)
	os.Setenv("HOME", dir) // where the variable above has no meaning
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}
