// Wrong calls about folders of diffusers.

package cmd_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func init() { wrongCalls = append(wrongCalls, wrongDiffusers...) }

// diffusersFolders puts a good folder of diffusers and bad ones in a folder "hub".
func diffusersFolders(t *testing.T, dir string) {
	t.Helper()
	good := os.DirFS(filepath.Join("..", "model", "checkpoint", "testdata", "diffusers", "skip"))
	for _, folder := range []struct{ name, old, new string }{
		{"good", "", ""},
		{"positional", `"fourier"`, `"positional"`},
		{"text", `"layers_per_block": 1`, `"layers_per_block": "one"`},
		{"cut", `}`, ``},
		{"deeper", `"layers_per_block": 1`, `"layers_per_block": 2`},
		{"empty", "", ""},
		{"sizeless", `"sample_size": 8`, `"sample_size": null`},
	} {
		at := filepath.Join(dir, "hub", folder.name)
		if err := os.CopyFS(at, good); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(at, "config.json")
		text, err := os.ReadFile(path)
		if err == nil {
			err = os.WriteFile(path, bytes.Replace(text, []byte(folder.old), []byte(folder.new), 1), 0o666)
		}
		if folder.name == "empty" {
			for _, ext := range []string{".bin", ".safetensors"} {
				if err == nil {
					err = os.Remove(filepath.Join(at, "diffusion_pytorch_model"+ext))
				}
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

var wrongDiffusers = []wrong{
	{args: "sample hub/good", code: 1, offender: "hub/good keeps no ladder", advice: "give -sigma-begin", prepare: diffusersFolders},
	{args: "sample hub/good -net ncsnv2", code: 1, offender: "hub/good: it holds network ncsnpp", advice: "leave -net out", prepare: diffusersFolders},
	{args: "sample hub/positional", code: 1, offender: "hub/positional/config.json describes a network", advice: "expected a UNet2DModel of Skip blocks", prepare: diffusersFolders},
	{args: "sample hub/text", code: 1, offender: "hub/text/config.json has a string as layers_per_block", advice: "expected", prepare: diffusersFolders},
	{args: "export hub/deeper -o a.safetensors", code: 1, offender: "has no tensor down_blocks.0.resnets.1", advice: "config.json asks for", prepare: diffusersFolders},
	{args: "score hub/empty -input x/images.npy -level 0 -o s.npy", code: 1, offender: "hub/empty holds no weights", advice: "expected diffusion_pytorch_model.safetensors", prepare: diffusersFolders},
	{args: "sample hub/sizeless", code: 1, offender: "hub/sizeless says nothing about the size", advice: "give -size HxW", prepare: diffusersFolders},
	{args: "train -init hub/cut -data data/tiny-images-idx3-ubyte", code: 1, offender: "hub/cut", advice: "expected", prepare: diffusersFolders},
	{args: "train -continue hub/good -data data/tiny-images-idx3-ubyte", code: 1, offender: "hub/good", advice: "-init", prepare: diffusersFolders},
	{args: "export runs/images -format diffusers -o new", code: 1, offender: "diffusers has no network for this one (it is network ncsn", advice: "write a state_dict instead"},
	{args: "export runs/images -format diffusers -o x", code: 1, offender: "-o: x exists already", advice: "choose another"},
	{args: "export runs/images -format diffusers -prefix module. -o new", code: 2, offender: "-prefix is for a state_dict", advice: "leave it out"},
	{args: "export runs/images -format diffusers -float16 -o new", code: 2, offender: "-float16 is for a state_dict", advice: "leave it out"},
	{args: "export runs/images -format diffusers -o -", code: 2, offender: "-o - is standard output", advice: "the name of a new one"},
	{args: "export runs/images -format onx -o a.safetensors", code: 2, offender: `-format is "onx"`, advice: "expected one of state_dict, onnx, diffusers, huggingface"},
	{args: "export hub/good -sigma-begin 50 -sigma-end 0.01 -levels 9 -format diffusers -o nowhere/new", code: 1, offender: "nowhere/new", advice: "check that its folder exists", prepare: diffusersFolders},
}
