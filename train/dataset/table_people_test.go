// Tables as people have them: of other countries, machines and programs, with what is told of each.

package dataset

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"
)

// inUTF16 is text in UTF-16 without a byte order mark.
func inUTF16(text string, bigEndian bool) string {
	var b []byte
	for _, u := range utf16.Encode([]rune(text)) {
		if bigEndian {
			b = append(b, byte(u>>8), byte(u))
		} else {
			b = append(b, byte(u), byte(u>>8))
		}
	}
	return string(b)
}

func TestTablesOfPeople(t *testing.T) {
	const two = "1.5 -2;0.25 3000"
	const plain = "x,y\n1.5,-2\n0.25,3000\n"
	for name, c := range map[string]struct {
		text string
		set  Settings
		want string // the rows
		says string // in the note
		not  string // not in the note
	}{
		"decimal comma":                 {"x;y\n1,5;-2\n0,25;3000\n", Settings{}, two, "numbers with a decimal comma; the first line is the header (x, y)", ""},
		"decimal comma, no header":      {"1,5;-2,0\n0,25;3000,0\n", Settings{}, two, "decimal comma; no header", ""},
		"decimal comma, tabs":           {"x\ty\n1,5\t-2,0\n0,25\t3000,0\n", Settings{}, two, "decimal comma", ""},
		"decimal comma, spaces":         {"1,5   -2,0\n0,25 3000,0\n", Settings{}, two, "decimal comma", ""},
		"decimal comma, quoted":         {"x,y\n\"1,5\",-2\n\"0,25\",3000\n", Settings{}, two, "decimal comma", ""},
		"decimal comma, points between": {"x;y\n1,5;-2\n0,25;3.000\n", Settings{}, two, "decimal comma", ""},
		"decimal comma, exponent":       {"x;y\n15,0e-1;-2\n0,25;3E3\n", Settings{}, two, "decimal comma", ""},
		"thousands":                     {"x,y\n1.5,-2\n0.25,\"3,000\"\n", Settings{}, two, "commas between thousands", ""},
		"thousands, semicolons":         {"x;y\n1.5;-2\n0.25;3,000.0\n", Settings{}, two, "commas between thousands", ""},
		"millions":                      {"x;y\n1;1,234,567\n2;5\n", Settings{}, "1 1.234567e+06;2 5", "commas between thousands", ""},
		"apostrophes":                   {"x;y\n1.5;-2\n0.25;3'000\n", Settings{}, two, "header (x, y)", ""},
		"narrow spaces":                 {"x;y\n1,5;-2\n0,25;3\u202f000\n", Settings{}, two, "decimal comma", ""},
		"Latin-1":                       {"gr\xf6\xdfe,y\n1.5,-2\n0.25,3000\n", Settings{}, two, "text in Windows-1252; the first line is the header (größe, y)", ""},
		"Windows-1252":                  {"price in \x80,y\n1.5,-2\n0.25,3000\n", Settings{}, two, "header (price in €, y)", ""},
		"UTF-16 of Excel":               {"\xff\xfe" + inUTF16("x\ty\r\n1.5\t-2\r\n0.25\t3000\r\n", false), Settings{}, two, "text in UTF-16", ""},
		"UTF-16, big-endian":            {inUTF16("\ufeff"+plain, true), Settings{}, two, "text in UTF-16", ""},
		"UTF-16 without a mark":         {inUTF16(plain, false), Settings{}, two, "text in UTF-16", ""},
		"big-endian without a mark":     {inUTF16("größe,y\n1.5,-2\n0.25,3000\n", true), Settings{}, two, "header (größe, y)", ""},
		"CR":                            {"x,y\r1.5,-2\r0.25,3000\r", Settings{}, two, "header (x, y)", ""},
		"CR, no header, spaces":         {"1.5 -2\r0.25 3000", Settings{}, two, "no header", ""},
		"end mark of DOS":               {plain + "\x1a", Settings{}, two, "header", ""},
		"end marks after the last row":  {"1.5,-2\r\n0.25,3000\x1a\x1a", Settings{}, two, "no header", ""},
		"sep=":                          {"sep=|\n" + strings.ReplaceAll(plain, ",", "|"), Settings{}, two, "header (x, y)", ""},
		"comments before the header":    {"# by a logger\n# unit: m, kg, s\n" + plain, Settings{}, two, "the first line is the header (x, y); 2 other lines that begin with # passed over", ""},
		"comment before blank lines":    {"# made, today\n\n1.5,-2\n0.25,3000\n", Settings{}, two, "no header; 1 other lines", ""},
		"comments between rows":         {"1.5,-2\n# 7,8\n#9,\"1\n0.25,3000\n", Settings{}, two, "no header; 2 other lines that begin with #", ""},
		"row behind a mark, spaces":     {"#7 8\n1.5 -2\n  # 7 8\n0.25 3000 # the last\n", Settings{}, two, "no header; 2 other lines", ""},
		"names behind a mark":           {"# x y\n1.5 -2\n0.25 3000\n", Settings{}, two, "the comment before the first row is the header (x, y)", "passed over"},
		"names behind a mark, commas":   {"#x,y\n1.5,-2\n0.25,3000\n", Settings{}, two, "the comment before the first row is the header (x, y)", "passed over"},
		"colours are no comments":       {"#ff0000,1.5,-2\n#00ff00,0.25,3000\n", Settings{Columns: "2-3", Header: "no"}, two, "", "passed over"},
		"colours under a header":        {"colour,x,y\n#ff0000,1.5,-2\n#00ff00,0.25,3000\n", Settings{Columns: "x,y"}, two, "header (colour, x, y)", "passed over"},
		"more comments than rows":       {strings.Repeat("# licence, by the line\n", 30) + plain, Settings{}, two, "30 other lines", ""},
		"years as names":                {"2019,2020\n1.5,-2\n0.25,3000\n", Settings{}, "2019 2020;" + two, "no header: the first line (2019, 2020) is learned as a row; if these are names, say `header` yes", ""},
		"numbers from 0 as names":       {"0 1 2\n7 8 9\n", Settings{}, "0 1 2;7 8 9", "the first line (0, 1, 2) is learned as a row", ""},
		"years are names":               {"2019,2020\n1.5,-2\n0.25,3000\n", Settings{Header: "yes"}, two, "the first line is the header (2019, 2020)", ""},
		"index of pandas":               {",x\n0,5\n1,7\n2,6\n", Settings{}, "0 5;1 7;2 6", "column 1 (without a name) counts the rows and is learned like the others; `columns` 2 leaves it out", ""},
		"index without a header":        {"10;5;1\n11;7;1.5\n12;6;1\n", Settings{}, "10 5 1;11 7 1.5;12 6 1", "column 1 counts the rows and is learned like the others; `columns` 2-3 leaves", ""},
		"index with a name":             {"Unnamed: 0,x\n0,5\n1,7\n2,6\n", Settings{}, "0 5;1 7;2 6", "column 1 (Unnamed: 0) counts", ""},
		"index left out":                {",x,y\n0,1.5,-2\n1,0.25,3000\n", Settings{Columns: "2-3"}, two, "header", "counts"},
		"names of pandas":               {",0,1\n0,1.5,-2\n1,0.25,3000\n", Settings{Columns: "2-3"}, two, "header (, 0, 1)", ""},
		"no index":                      {"1,5\n2,7\n4,6\n", Settings{}, "1 5;2 7;4 6", "no header", "counts"},
	} {
		c.set.Standardize = "none"
		s, err := Source{Spec: filepath.Join(write(t, map[string][]byte{"t": []byte(c.text)}), "t"),
			Settings: c.set}.Open(context.Background())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var rows []string
		for i := range s.N {
			rows = append(rows, strings.Trim(fmt.Sprint(s.Floats(i)), "[]"))
		}
		if got := strings.Join(rows, ";"); got != c.want {
			t.Errorf("%s: %s", name, got)
		}
		if len(s.Notes) != 1 || !strings.Contains(s.Notes[0], c.says) || c.not != "" && strings.Contains(s.Notes[0], c.not) {
			t.Errorf("%s: it says %q", name, s.Notes)
		}
	}
}

// The number of a line is that of an editor, whatever is passed over before it.
func TestLinesOfTables(t *testing.T) {
	for name, text := range map[string]string{
		"comments": "# a\n# b\n\nx,y\n1,2\n3,1e999\n", "sep": "sep=,\n#\n\nx,y\n1,2\n3,1e999\n", "CR": "#\r\r\rx,y\r1,2\r3,1e999\r",
		"spaces": "# a\n\n#\nx y\n1 2\n3 1e999\n", "UTF-16": inUTF16("#\r\n\r\n\r\nx,y\r\n1,2\r\n3,1e999\r\n", false),
	} {
		_, err := Open(filepath.Join(write(t, map[string][]byte{"t": []byte(text)}), "t"), 1)
		if err == nil || !strings.Contains(err.Error(), "t: line 6, column 2 (y): expected a number, found \"1e999\"") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Text that unpacks to far more than a table takes, and rows without an end, end in a sentence before memory does.
func TestTablesThatHarm(t *testing.T) {
	defer func(old int64) { freeText = old }(freeText)
	freeText = 1 << 20
	for name, c := range map[string]struct {
		text []byte
		free bool // of the bound on what is unpacked
		want string
	}{
		"row":         {bytes.Repeat([]byte("1,"), maxRow/2+1), true, "t: line 1: expected rows of at most 16 MiB, found a longer one"},
		"digits":      {bytes.Repeat([]byte("1"), maxRow+1), true, "t: line 1: expected rows of at most 16 MiB"},
		"spaced":      {append([]byte("1 2\n"), bytes.Repeat([]byte("1 "), maxRow/2+1)...), true, "t: line 2: expected rows of at most 16 MiB"},
		"quoted":      {append([]byte("1,2\n3,\""), bytes.Repeat([]byte("1\n"), maxRow/2+1)...), true, "expected rows of at most 16 MiB"},
		"lines":       {bytes.Repeat([]byte("1\n"), 1<<19+10), false, "expected a table, found more text in gzip than 1032 times"},
		"blank lines": {append([]byte("1,2\n"), bytes.Repeat([]byte("\n"), 1<<20+10)...), false, "expected a table, found more text in gzip"},
	} {
		var b bytes.Buffer
		z, _ := gzip.NewWriterLevel(&b, gzip.BestCompression)
		z.Write(c.text)
		z.Close()
		// deflate shrinks to 1030:1 at most, so a file that is far smaller has to be pretended.
		f, err := openFile(filepath.Join(write(t, map[string][]byte{"t": b.Bytes()}), "t"))
		if err != nil {
			t.Fatal(err)
		}
		f.size = 40
		if c.free {
			freeText = 1 << 40
		} else {
			freeText = 1 << 20
		}
		err = readTable(f, Settings{}, &table{})
		f.close()
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v\nwant %s", name, err, c.want)
		}
	}
}
