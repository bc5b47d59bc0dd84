// Features: what images are compared as. To add a network, add a row to embeddings.

package evalcmd

import (
	"fmt"
	"strings"

	"sigmaz/cmd/internal/cli"
	"sigmaz/sample/eval"
)

// embedding makes features of images.
type embedding struct {
	name string
	// suits tells whether it is the usual one for images of these sides.
	suits func(h, w, c int) bool
	// open makes it ready for images of these sides. An error is a line about what is missing; weights is the value of
	// -weights.
	open func(h, w, c int, weights string) (network, error)
}

// network is an embedding at work.
type network interface {
	// Name is the embedding's, with what its features depend on: "digits".
	Name() string
	// MACs counts the multiply-adds of one image.
	MACs() int64
	// Features returns the features of images (n, h, w, c), values from 0 to 255.
	Features(w eval.Workers, images []byte) (eval.Rows, error)
}

// embeddings lists all, the first that suits first.
var embeddings = []embedding{
	{name: "pixels", suits: func(h, w, c int) bool { return true },
		open: func(h, w, c int, weights string) (network, error) { return pixels{h * w * c}, nil }},
}

const embeddingDefault = "pixels"

func embeddingNames() (names []string) {
	for _, e := range embeddings {
		names = append(names, e.name)
	}
	return names
}

// checkEmbedding finds what is wrong with the flags about features.
func (o *options) checkEmbedding() error { return nil }

// pixels are features that are the images themselves, in [0, 1].
type pixels struct{ d int }

func (p pixels) Name() string { return "pixels" }
func (p pixels) MACs() int64  { return 0 }

func (p pixels) Features(_ eval.Workers, images []byte) (eval.Rows, error) {
	s := set{n: len(images) / p.d, h: 1, w: 1, c: p.d, bytes: images}
	return s.rows(), nil
}

// chooseEmbedding returns the network that images are compared by, nil for vectors and for features that are given.
func (j *job) chooseEmbedding() (network, error) {
	s := j.reference
	if !s.images() {
		if j.embedding != "" {
			return nil, cli.Usagef("-embedding is of images, and REFERENCE is %s: leave it out", s.shape())
		}
		return nil, nil
	}
	for _, e := range embeddings {
		if e.name != j.embedding && (j.embedding != "" || !e.suits(s.h, s.w, s.c)) {
			continue
		}
		n, err := e.open(s.h, s.w, s.c, j.weights)
		if err != nil && j.embedding != "" {
			return nil, fmt.Errorf("-embedding %s: %w", e.name, err)
		}
		if err != nil {
			j.report.note(j.messages, "%s", strings.TrimSpace(err.Error()))
			return pixels{s.d()}, nil
		}
		return n, nil
	}
	return pixels{s.d()}, nil
}
