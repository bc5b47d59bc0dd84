package terminal

import (
	"bytes"
	"testing"
)

func TestText(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{"step 5\tdone\n", "step 5\tdone\n"},
		{"pics/evil\x1b]0;pwned\a\x1b[31m.txt\n", `pics/evil\x1b]0;pwned\a\x1b[31m.txt` + "\n"},
		{"a\rb\x7f\u009b31m", `a\rb\x7f\u009b31m`}, // a carriage return, delete, and the escape of one character
		{"\u202etxt.exe", `\u202etxt.exe`},         // what turns the direction of writing
		{"é\xff\xc3", `é\xff`},                     // the last byte may be the first of a character
		{"größe σ 日本", "größe σ 日本"},
	} {
		for _, piece := range []int{1, 2, 3, 100} {
			var out bytes.Buffer
			w := Text(&out)
			for b := []byte(test.in); len(b) > 0; {
				n := min(piece, len(b))
				if k, err := w.Write(b[:n]); k != n || err != nil {
					t.Fatalf("wrote %d, %v", k, err)
				}
				b = b[n:]
			}
			if out.String() != test.want {
				t.Errorf("%q in pieces of %d became %q, expected %q", test.in, piece, out.String(), test.want)
			}
			if Raw(w) != &out || Raw(&out) != &out {
				t.Error("the writer below is another one")
			}
		}
	}
	if got := Line("two\nlines\t"); got != `two\nlines\t` {
		t.Errorf("one line is %q", got)
	}
}
