// The header: a Python dict of three keys in any order, which NumPy itself reads with ast.literal_eval.

package npy

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// parseHeader parses the dict. Its errors are the end of a sentence that begins with "its NPY header".
func parseHeader(text string) (Header, error) {
	var h Header
	p := &parser{rest: text}
	seen := map[string]bool{}
	if !p.token("{") {
		return h, errors.New("is no Python dict: expected a file of numpy.save")
	}
	for !p.token("}") {
		key, ok := p.quoted()
		if !ok || !p.token(":") || seen[key] {
			return h, p.malformed()
		}
		seen[key] = true
		switch key {
		case "descr":
			if p.peek('[') {
				return h, errors.New("describes records of several fields: expected plain numbers; save one field")
			}
			if h.Descr, ok = p.quoted(); !ok {
				return h, p.malformed()
			}
		case "fortran_order":
			if h.Fortran = p.token("True"); !h.Fortran && !p.token("False") {
				return h, p.malformed()
			}
		case "shape":
			if h.Shape, ok = p.tuple(); !ok {
				return h, p.malformed()
			}
		default:
			return h, fmt.Errorf("has the key %q: expected descr, fortran_order and shape", key)
		}
		if !p.token(",") && !p.peek('}') {
			return h, p.malformed()
		}
	}
	for _, key := range []string{"descr", "fortran_order", "shape"} {
		if !seen[key] {
			return h, fmt.Errorf("has no %s: expected descr, fortran_order and shape", key)
		}
	}
	if p.skip(); p.rest != "" {
		return h, p.malformed()
	}
	if !known(h.Descr) {
		what := ""
		if strings.HasSuffix(h.Descr, "O") {
			what = ", Python objects, which are never read"
		}
		return h, fmt.Errorf("gives the data type %q%s: "+
			"expected float16, float32, float64, integers or bool; convert it with astype", h.Descr, what)
	}
	if len(h.Shape) > maxDims {
		return h, fmt.Errorf("gives %d dimensions: expected at most %d", len(h.Shape), maxDims)
	}
	n := 1
	for i, d := range h.Shape {
		// A zero makes the product 0, but the product of the others must not overflow either.
		if d > 0 && n > math.MaxInt/8/d {
			return h, fmt.Errorf("gives dimensions of %d and more: there are no arrays so large", h.Shape[i])
		}
		n *= max(d, 1)
	}
	return h, nil
}

// known reports whether values of the type are read: a byte order, which one-byte types may lack (|), a kind, and the
// bytes.
func known(descr string) bool {
	switch descr {
	case "|u1", "|i1", "|b1", "<u1", "<i1", "<b1", ">u1", ">i1", ">b1", "=u1", "=i1", "=b1":
		return true
	}
	if len(descr) != 3 || !strings.ContainsRune("<>=", rune(descr[0])) {
		return false
	}
	switch descr[1:] {
	case "f2", "f4", "f8", "i2", "i4", "i8", "u2", "u4", "u8":
		return true
	}
	return false
}

// parser takes Python literals off the front of a text.
type parser struct{ rest string }

func (p *parser) malformed() error {
	return fmt.Errorf("does not parse at %.20q: expected a file of numpy.save", p.rest)
}

func (p *parser) skip() { p.rest = strings.TrimLeft(p.rest, " \t\r\n") }

// peek reports whether c comes next.
func (p *parser) peek(c byte) bool {
	p.skip()
	return p.rest != "" && p.rest[0] == c
}

// token takes t, if it comes next.
func (p *parser) token(t string) (ok bool) {
	p.skip()
	p.rest, ok = strings.CutPrefix(p.rest, t)
	return ok
}

// quoted takes a string in single or double quotes. One with escapes is refused: no key or type has any.
func (p *parser) quoted() (s string, ok bool) {
	p.skip()
	if p.rest == "" || p.rest[0] != '\'' && p.rest[0] != '"' {
		return "", false
	}
	s, rest, ok := strings.Cut(p.rest[1:], p.rest[:1])
	if !ok || strings.ContainsRune(s, '\\') {
		return "", false
	}
	p.rest = rest
	return s, true
}

// tuple takes whole numbers in parentheses. Python 2 wrote long ones as 3L.
func (p *parser) tuple() (shape []int, ok bool) {
	if !p.token("(") {
		return nil, false
	}
	for !p.token(")") {
		p.skip()
		n := 0
		for n < len(p.rest) && p.rest[n] >= '0' && p.rest[n] <= '9' {
			n++
		}
		d, err := strconv.Atoi(p.rest[:n])
		if err != nil {
			return nil, false
		}
		shape, p.rest = append(shape, d), strings.TrimPrefix(p.rest[n:], "L")
		if !p.token(",") && !p.peek(')') {
			return nil, false
		}
	}
	return shape, true
}
