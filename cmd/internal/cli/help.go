// Help texts, wrapped to the width of what they are shown on.

package cli

import (
	"io"
	"strings"
	"unicode/utf8"

	"sigmaz/internal/terminal"
)

const (
	wide     = 64  // columns from which on flags and their help stand side by side
	readable = 100 // columns that a line has at most
)

// Help writes the help text to out, as wide as out is.
func (c *Command) Help(out io.Writer) error {
	_, err := io.WriteString(out, c.HelpText(terminal.Width(out)))
	return err
}

// HelpText returns the help text for a terminal of cols columns.
func (c *Command) HelpText(cols int) string {
	p := &page{cols: min(cols, readable)}
	usage := "usage: " + c.Title()
	if len(c.Groups) > 0 {
		usage += " [flags]"
	}
	for _, a := range c.Args {
		if a.Default != "" {
			usage += " [" + a.Name + "]"
			continue
		}
		usage += " " + a.Name
	}
	p.paragraph(0, 8, usage)
	p.blank()
	p.paragraph(0, 0, c.About)
	if len(c.Args) > 0 {
		p.blank()
		for _, a := range c.Args {
			help := a.Help
			if a.Default != "" {
				help += " [default " + a.Default + "]"
			}
			p.row(a.Name, help)
		}
	}
	if len(c.Examples) > 0 {
		p.heading("Examples")
	}
	for _, e := range c.Examples {
		p.paragraph(2, 10, strings.TrimSpace(c.Program+" "+e.Line))
		p.paragraph(6, 6, e.What)
	}
	for _, g := range c.Groups {
		p.heading(g.Name)
		if g.Note != "" {
			p.paragraph(2, 2, g.Note)
		}
		for _, f := range g.Flags {
			p.row(strings.TrimSpace("-"+f.Name+" "+f.Arg), f.text())
		}
	}
	for _, l := range c.Lists {
		p.heading(l.Name)
		for _, r := range l.Rows {
			p.row(r[0], r[1])
		}
	}
	var notes []string
	switch {
	case len(c.Groups) == 0:
	case len(c.Args) > 0:
		notes = []string{"Flags may stand before or after " + c.Args[0].Name + "; of a flag given twice the last one counts."}
	default:
		notes = []string{"Of a flag given twice the last one counts."}
	}
	for _, n := range append(notes, c.Notes...) {
		p.blank()
		p.paragraph(0, 0, n)
	}
	return p.String()
}

// Entry is a name with paragraphs about it.
type Entry struct {
	Name       string
	Paragraphs []string
}

// PrintEntries writes entries one below the other, wrapped to the width of out.
func PrintEntries(out io.Writer, entries []Entry) error {
	p := &page{cols: min(terminal.Width(out), readable)}
	for i, e := range entries {
		if i > 0 {
			p.blank()
		}
		p.paragraph(0, 2, e.Name)
		for _, text := range e.Paragraphs {
			p.paragraph(2, 4, text)
		}
	}
	_, err := io.WriteString(out, p.String())
	return err
}

// text returns the help of a flag with its unit and default.
func (f *Flag) text() string {
	if f.Default == Required {
		return f.Help + " [" + Required + "]"
	}
	def := f.Default
	if def == "" {
		def = Text(f.Value)
	}
	var notes []string
	number := def != "" && strings.Contains("0123456789", def[:1])
	if f.Unit != "" && !number {
		notes = append(notes, "in "+f.Unit)
	}
	switch {
	case isBool(valueOf(f.Value)) && def == "true":
		notes = append(notes, "default true; -"+f.Name+"=false turns it off")
	case isBool(valueOf(f.Value)) && def == "false":
		notes = append(notes, "default off")
	case number && f.Unit != "" && f.Default == "":
		notes = append(notes, "default "+def+" "+f.Unit)
	case def != "":
		notes = append(notes, "default "+def)
	}
	if len(notes) == 0 {
		return f.Help
	}
	note := "[" + strings.Join(notes, "; ") + "]"
	if len(note) <= 24 {
		note = strings.ReplaceAll(note, " ", unbroken)
	}
	return f.Help + " " + note
}

// unbroken stands for a space at which no line ends.
const unbroken = "\x00"

// page is text that is put together line by line.
type page struct {
	strings.Builder
	cols int
}

func (p *page) blank() { p.WriteByte('\n') }

func (p *page) heading(name string) {
	p.blank()
	p.paragraph(0, 0, name+":")
}

// paragraph wraps text; its first line is indented by first columns, the others by rest.
func (p *page) paragraph(first, rest int, text string) {
	p.WriteString(strings.Repeat(" ", first))
	p.flow(first, rest, text)
}

// flow writes words from column at on and ends the line.
func (p *page) flow(at, indent int, text string) {
	start := true
	for _, word := range strings.Fields(text) {
		n := utf8.RuneCountInString(word)
		switch {
		case start:
		case at+1+n > p.cols:
			p.WriteString("\n" + strings.Repeat(" ", indent))
			at = indent
		default:
			p.WriteByte(' ')
			at++
		}
		p.WriteString(strings.ReplaceAll(word, unbroken, " "))
		at += n
		start = false
	}
	p.WriteByte('\n')
}

// row is a name and its explanation, side by side where there is room.
func (p *page) row(name, text string) {
	const column = 24
	if p.cols < wide {
		p.paragraph(2, 4, name)
		p.paragraph(6, 6, text)
		return
	}
	left := "  " + name
	if n := utf8.RuneCountInString(left); n <= column-2 {
		left += strings.Repeat(" ", column-n)
	} else {
		left += "\n" + strings.Repeat(" ", column)
	}
	p.WriteString(left)
	p.flow(column, column, text)
}
