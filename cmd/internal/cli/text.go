// Text that stays what it is on a terminal: messages of one line, arguments that can be pasted into a shell.

package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"sigmaz/internal/setting"
	"sigmaz/internal/terminal"
)

// Line writes s on one line, see [terminal.Line].
func Line(s string) string { return terminal.Line(s) }

// Flags returns a message with a flag in the place of each setting's name, which packages that know no command line put
// between backquotes: `net` becomes -net.
func Flags(text string) string {
	return setting.Names(text, func(name string) string { return "-" + name })
}

// shorten leaves out the middle of a message that a name of thousands of characters makes too long to be read.
func shorten(s string) string {
	const most = 1200
	if r := []rune(s); len(r) > most {
		return string(r[:most/2]) + " ... " + string(r[len(r)-most/2:])
	}
	return s
}

// quoteArg puts an argument between quotes and cuts it where it is too long to be read.
func quoteArg(s string) string {
	const most = 100
	if utf8.RuneCountInString(s) > most {
		return strconv.Quote(string([]rune(s)[:most])) + "..."
	}
	return strconv.Quote(s)
}

// bare leaves an argument as it is where it is short and plain, and puts it between quotes otherwise.
func bare(s string) string {
	if len(s) <= 40 && Shell(s) == s {
		return s
	}
	return quoteArg(s)
}

// Shell writes an argument as it is typed in a POSIX shell: between quotes where it needs them.
func Shell(arg string) string {
	plain := func(r rune) bool {
		return r < utf8.RuneSelf && (unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("%+,-./:=@_", r)) ||
			os.PathSeparator == '\\' && r == '\\'
	}
	switch {
	case arg != "" && !strings.ContainsFunc(arg, func(r rune) bool { return !plain(r) }):
		return arg
	case Line(arg) != arg:
		return "$'" + strings.ReplaceAll(Line(strings.ReplaceAll(arg, `\`, `\\`)), "'", `\'`) + "'"
	}
	return "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
}

// CommandLine says how another command of sigmaz is started, the way this one was and on the same device.
func (c *Command) CommandLine(name string, d Device) string {
	self := os.Args[0]
	line, folder := Shell(self[:len(self)-len(filepath.Base(self))]+name), name // keeps "./", which filepath.Join drops
	if c.Program != "" {
		line, folder = Shell(self)+" "+name, c.Program+" "+name
	}
	// go run starts a program from a folder of the build or, the second time, of the build cache: HASH-d.
	dir := filepath.Base(filepath.Dir(self))
	if strings.Contains(self, "go-build") || len(dir) > 32 && strings.HasSuffix(dir, "-d") {
		line = "go run " + buildTags() + "./cmd/" + folder
	}
	if d.GPU {
		line += " -gpu"
		if d.N != 0 {
			line += fmt.Sprintf(" -device %d", d.N)
		}
	}
	return line
}

// buildTags returns the -tags flag that this program was built with and a space, "" for none.
func buildTags() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "-tags" {
				return "-tags " + s.Value + " "
			}
		}
	}
	return ""
}

// Bytes writes a size of memory in powers of 1,024.
func Bytes(v float64) string {
	switch {
	case v >= 1<<40:
		return fmt.Sprintf("%.2f TiB", v/(1<<40))
	case v >= 1<<30:
		return fmt.Sprintf("%.2f GiB", v/(1<<30))
	case v >= 1<<20:
		return fmt.Sprintf("%.1f MiB", v/(1<<20))
	}
	return fmt.Sprintf("%.1f KiB", v/(1<<10))
}
