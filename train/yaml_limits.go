// What keeps a configuration file from being anything but settings. YAML can hold far more than that: a few kilobytes
// of brackets, anchors or tags can take the parser gigabytes or minutes, so that they are looked for before it is
// called.

package train

import (
	"errors"
	"fmt"
	"io"
	"os"

	"sigmaz/internal/ownfile"

	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/token"
)

const (
	maxConfigBytes = 1 << 20 // of a configuration; one has some kilobytes
	maxConfigDepth = 8       // of mappings and lists in one another; a configuration has three
)

// ReadConfig reads a configuration file's text.
func ReadConfig(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("cannot read the configuration: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxConfigBytes+1)) // it may be a pipe or a device
	if err != nil {
		return "", fmt.Errorf("cannot read the configuration: %w", err)
	}
	return string(b), nil
}

// readStoredConfig is [ReadConfig] for a run folder's file, which is a plain one.
func readStoredConfig(path string) (string, error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return "", ownfile.NotPlain(path)
	}
	return ReadConfig(path)
}

// checkText refuses text that is no configuration by its size or by what YAML it uses.
func checkText(text string) error {
	if len(text) > maxConfigBytes {
		return errors.New("is larger than a configuration can be: expected settings in YAML, some kilobytes")
	}
	depth, entries, line := 0, 0, 0
	for _, t := range lexer.Tokenize(text) {
		what := ""
		at := t.Position
		if at.Line != line {
			line, entries = at.Line, 0
		}
		switch t.Type {
		case token.AnchorType:
			what = "an anchor"
		case token.AliasType:
			what = "an alias"
		case token.TagType:
			what = "a tag"
		case token.MergeKeyType:
			what = "a merge key"
		case token.MappingKeyType:
			what = "a complex key"
		case token.DirectiveType:
			what = "a directive"
		case token.SequenceStartType, token.MappingStartType:
			depth++
		case token.SequenceEndType, token.MappingEndType:
			depth--
		case token.SequenceEntryType:
			entries++
		}
		if depth > maxConfigDepth || entries > maxConfigDepth || at.IndentNum > 8*maxConfigDepth {
			what = "lists or mappings too deep in one another"
		}
		if what != "" {
			return fmt.Errorf("[%d:%d] holds %s: expected plain settings, such as steps: 3000 (in brackets: line "+
				"and column)", at.Line, at.Column, what)
		}
	}
	return nil
}
