package main

import (
	"strings"
	"testing"

	"sigmaz/sample/eval"
)

// The order asks for gaps of more than two standard errors by KID, or by coverage where KID tells nothing, and not of what
// learned other digits.
func TestInOrder(t *testing.T) {
	at := func(name string, class int, kid float64) row {
		return row{name: name, class: class, kid: eval.Estimate{Value: kid, SE: 0.003},
			rest: [3]eval.Estimate{{}, {}, {Value: 0.9 - float64(class)/10, SE: 0.01}}}
	}
	good := []row{at("real", held, 0), at("run", model, 0.02), at("near", model, 0.008), at("other", without, 0.5), at("blurred", spoilt, 0.1)}
	if err := inOrder(good); err != nil {
		t.Error(err)
	}
	same := at("same", model, 0.008)
	same.rest[coverage].Value = 0.89
	for name, r := range map[string]row{"real before same": same, "bad before blurred": at("bad", model, 0.2), "real before less": at("less", model, -0.1)} {
		if err := inOrder(append(good, r)); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
