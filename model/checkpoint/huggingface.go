// Folders as Hugging Face's hub has them:
//
//	FOLDER/README.md            the model card, with a head in YAML
//	FOLDER/config.json          the network, its ladder and its sampling
//	FOLDER/model.safetensors    a state_dict, which holds the run's whole configuration in its metadata
//
// The last file is all that this program reads.

package checkpoint

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"sigmaz/internal/atomicfile"
	"sigmaz/model"
)

// The files of a folder.
const hubCard, hubConfig, hubWeights = "README.md", "config.json", "model.safetensors"

// isHub says whether a path is a folder in the form of the hub.
func isHub(path string) bool { return isFile(filepath.Join(path, hubWeights)) }

// IsModelFolder says whether a path is a folder with a model that [OpenWeights] opens, of diffusers or of the hub.
func IsModelFolder(path string) bool { return IsDiffusers(path) || isHub(path) }

// WriteHuggingFace writes the weights called prefix+NAME in set as a new folder for Hugging Face's hub. Nothing is left
// where it fails.
func WriteHuggingFace(folder string, f StateFile, set model.TensorSet, prefix string) error {
	config, err := f.hubConfig()
	if err != nil {
		return err
	}
	return inNewFolder(folder, func() error {
		for name, text := range map[string]string{hubCard: f.card(filepath.Base(folder)), hubConfig: config} {
			if err := atomicfile.Write(filepath.Join(folder, name), func(to *os.File) error {
				_, err := to.WriteString(text)
				return err
			}); err != nil {
				return err
			}
		}
		return atomicfile.Write(filepath.Join(folder, hubWeights), func(to *os.File) error {
			return WriteStateDict(to, f, set, prefix)
		})
	})
}

// inNewFolder makes a folder and fills it. It is removed where that fails.
func inNewFolder(folder string, fill func() error) error {
	if err := os.Mkdir(folder, 0o777); err != nil {
		return fmt.Errorf("cannot make the folder: %w; check that its folder exists and can be written", err)
	}
	if err := fill(); err != nil {
		os.RemoveAll(folder)
		return err
	}
	return nil
}

// hubConfig is the file of settings: the parts of the configuration that are the model's. Where its data lay is not.
func (f StateFile) hubConfig() (string, error) {
	var parts map[string]any
	if err := yaml.Unmarshal([]byte(f.Config), &parts); err != nil {
		return "", err
	}
	of := map[string]any{"model_type": "sigmaz"}
	if f.Stepped {
		of["step"] = f.Step
	}
	for _, part := range []string{"network", "sigma", "sampling"} {
		if v, ok := parts[part]; ok {
			of[part] = v
		}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(of)
	return b.String(), err
}

// card is the model card. Its licence is for the user to state.
func (f StateFile) card(name string) string {
	net := f.Network
	tags, task, data := []string{"score-based", "score-matching", net.Net}, "", fmt.Sprintf("vectors of %d values", net.D())
	if net.TakesImages() {
		task = "pipeline_tag: unconditional-image-generation\n"
		data = fmt.Sprintf("images of %d x %d x %d (height, width, channels)", net.Height, net.Width, net.Channels)
	}
	if net.SDE.Preserving() {
		tags = slices.Insert(tags, 2, net.SDE.Kind)
	}
	step := ""
	if f.Stepped {
		step = fmt.Sprintf(", at step %d", f.Step)
	}
	return "---\nlicense: other\nlibrary_name: sigmaz\n" + task + "tags:\n- " + strings.Join(tags, "\n- ") + "\n---\n\n" +
		"# " + name + "\n\n" +
		fmt.Sprintf("A score network, %s, for %s, with %d noise levels from sigma %g to %g%s.\n"+
			"Its score s(x, sigma) is an estimate of the gradient of the log density of the data with noise of deviation sigma.\n\n",
			net.Net, data, len(f.Sigmas), f.Begin, f.End, step) +
		"    sigmaz sample " + name + "\n    sigmaz score " + name + " -input x.npy -level 0 -o s.npy\n\n" +
		"`model.safetensors` is a PyTorch state_dict, with the whole configuration of the training in its metadata; `config.json` has\n" +
		"network, ladder and sampling.\n\n" +
		"Before you publish it: state the licence above, and here what it was trained on and what it is for.\n"
}
