// Checkpoints of this program: everything that a run needs to go on or to be sampled from, as one safetensors file (see
// safetensors.go) with
//
//	"__metadata__": format, step, seed, config, order, checksum (all strings)
//
// The checksum is the SHA-256 of the whole file with its own 64 digits read as zeros, so a change of any byte, in the
// header too, is found. docs/checkpoint.md draws the format and reads it in Python.

package checkpoint

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/nlpodyssey/safetensors"

	"sigmaz/internal/atomicfile"
	"sigmaz/model"
)

// Checkpoint is a run at one step. The order of Tensors is kept: it is the order in which a network registers its
// parameters, and PyTorch's Adam numbers its moments by it.
type Checkpoint struct {
	Step, Seed uint64
	Config     string // the run's resolved configuration, YAML
	Tensors    []model.Named
}

// The prefixes of the tensors' names: param.NAME is a parameter by its name in PyTorch's state_dict, and so on.
const (
	ParamPrefix = "param."  // parameters
	EMAPrefix   = "ema."    // their moving average
	AdamMPrefix = "adam_m." // Adam's first moments
	AdamVPrefix = "adam_v." // Adam's second moments
)

// The keys of the metadata, and what stands there.
const (
	formatKey     = "format"
	stepKey       = "step"
	seedKey       = "seed"
	configKey     = "config"
	programKey    = "program" // of a state_dict, whose format is "pt": the program that wrote step and config
	orderKey      = "order"
	formatPrefix  = "sigmaz-"
	formatVersion = formatPrefix + "1"
	checksumKey   = "checksum"
	digits        = 2 * sha256.Size // of a checksum in hexadecimal
)

// noDigits stands in place of the checksum's digits while the checksum is computed.
var noDigits = strings.Repeat("0", digits)

// Write replaces the file at path by c as a whole; see [atomicfile.Write]. One process writes to a path at a time.
// Write holds a copy of one tensor at a time.
func (c *Checkpoint) Write(path string) error {
	views, meta, err := c.views()
	if err != nil {
		return fmt.Errorf("cannot write checkpoint %s: %w", path, err)
	}
	err = atomicfile.Write(path, func(f *os.File) error { return writeSafetensors(f, views, meta) })
	if err != nil {
		return fmt.Errorf("cannot write checkpoint: %w; see that the folder exists, can be written and has room", err)
	}
	return nil
}

// views checks c and returns its tensors as the library takes them, and the metadata with zeros as the checksum.
func (c *Checkpoint) views() (map[string]view, map[string]string, error) {
	if !utf8.ValidString(c.Config) {
		return nil, nil, errors.New("the configuration is not valid UTF-8")
	}
	names := make([]string, len(c.Tensors))
	views := make(map[string]view, len(c.Tensors))
	for i, nt := range c.Tensors {
		v, err := viewOf(nt)
		if err != nil {
			return nil, nil, err
		}
		if _, twice := views[nt.Name]; twice {
			return nil, nil, fmt.Errorf("there are two tensors named %q", nt.Name)
		}
		names[i], views[nt.Name] = nt.Name, v
	}
	order, err := json.Marshal(names)
	if err != nil {
		return nil, nil, err
	}
	return views, map[string]string{
		formatKey:   formatVersion,
		stepKey:     strconv.FormatUint(c.Step, 10),
		seedKey:     strconv.FormatUint(c.Seed, 10),
		configKey:   c.Config,
		orderKey:    string(order), // JSON objects have none, and the library sorts by dtype and name
		checksumKey: noDigits,
	}, nil
}

// writeSafetensors writes the file to f, with the checksum of what it wrote.
func writeSafetensors(f *os.File, views map[string]view, meta map[string]string) error {
	sum := sha256.New()
	buf := bufio.NewWriterSize(f, 1<<20)
	if err := safetensors.SerializeToWriter(views, meta, io.MultiWriter(buf, sum)); err != nil {
		return err
	}
	if err := buf.Flush(); err != nil {
		return err
	}
	// The digits in the file are still the zeros that they are read as: what was summed is what the reader will sum.
	var length [8]byte
	if _, err := f.ReadAt(length[:], 0); err != nil {
		return err
	}
	header := make([]byte, binary.LittleEndian.Uint64(length[:]))
	if _, err := f.ReadAt(header, 8); err != nil {
		return err
	}
	at, err := checksumAt(header, noDigits)
	if err != nil {
		return err
	}
	_, err = f.WriteAt([]byte(hex.EncodeToString(sum.Sum(nil))), 8+int64(at))
	return err
}

// checksumAt finds the place of the checksum's digits in a header. No other place can look like it: inside a JSON
// string a quotation mark is escaped, and a tensor's name is followed by an object.
func checksumAt(header []byte, digits string) (int, error) {
	key := []byte(`"` + checksumKey + `":"`)
	i := bytes.Index(header, append(key, digits+`"`...))
	if i < 0 {
		return 0, errors.New("the header does not hold its checksum as written")
	}
	return i + len(key), nil
}

// ReadCheckpoint reads a file that [Checkpoint.Write] wrote and checks every byte of it. It allocates no more than a
// small multiple of the file's size. An error about the content is a [*FileError].
func ReadCheckpoint(path string) (*Checkpoint, error) {
	f, size, err := open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return decodeCheckpoint(path, f, size)
}

// decodeCheckpoint reads a checkpoint from the size bytes of r; path is for errors.
func decodeCheckpoint(path string, r io.ReaderAt, size int64) (*Checkpoint, error) {
	h, err := readHeader(path, r, size)
	if err != nil {
		return nil, err
	}
	if err := h.check(); err != nil {
		return nil, err
	}
	sum, format := h.meta[checksumKey], h.meta[formatKey]
	if sum == "" && !strings.HasPrefix(format, formatPrefix) {
		return nil, h.error(ErrNotCheckpoint, "is a safetensors file but no checkpoint of sigmaz (its metadata has "+
			"no format %q): give a file from a run's checkpoints folder", formatVersion)
	}

	// Before the version, so that a flipped byte in it is called what it is: all versions keep this rule.
	at, err := checksumAt(h.raw, sum)
	if err != nil || len(sum) != digits {
		return nil, h.error(ErrDamaged, "is damaged (its checksum is missing or malformed): %s", h.again())
	}
	// hash.Hash never returns an error.
	hasher := sha256.New()
	hasher.Write(h.length[:])
	hasher.Write(h.raw[:at])
	io.WriteString(hasher, noDigits)
	hasher.Write(h.raw[at+digits:])
	tensors, err := h.tensors(r, hasher)
	if err != nil {
		return nil, err
	}
	if got := hex.EncodeToString(hasher.Sum(nil)); got != sum {
		return nil, h.error(ErrDamaged,
			"is damaged (checksum mismatch: it says %.12s..., its bytes give %.12s...): %s", sum, got, h.again())
	}
	if format != formatVersion {
		return nil, h.error(ErrVersion, "has format %q: this sigmaz reads %q; use the sigmaz that wrote it", format,
			formatVersion)
	}

	// From here on the bytes are as they were written, so what is wrong was written wrong.
	c := &Checkpoint{Config: h.meta[configKey]}
	for key, dst := range map[string]*uint64{stepKey: &c.Step, seedKey: &c.Seed} {
		if *dst, err = strconv.ParseUint(h.meta[key], 10, 64); err != nil {
			return nil, h.error(ErrNotCheckpoint,
				"has %s %q in its metadata: expected a decimal number of 64 bits; %s", key, h.meta[key], h.again())
		}
	}
	if c.Tensors, err = inOrder(tensors, h.meta[orderKey]); err != nil {
		return nil, h.error(ErrNotCheckpoint, "has tensors that are not those of its order list (%v): %s", err,
			h.again())
	}
	return c, nil
}

// inOrder returns tensors in the order of a JSON list of their names.
func inOrder(tensors []model.Named, list string) ([]model.Named, error) {
	var names []string
	if err := json.Unmarshal([]byte(list), &names); err != nil {
		return nil, err
	}
	if len(names) != len(tensors) {
		return nil, fmt.Errorf("%d names for %d tensors", len(names), len(tensors))
	}
	byName := make(map[string]model.Named, len(tensors))
	for _, nt := range tensors {
		byName[nt.Name] = nt
	}
	for i, name := range names {
		nt, ok := byName[name]
		if !ok {
			return nil, fmt.Errorf("no tensor %q, or twice", name)
		}
		delete(byName, name)
		tensors[i] = nt
	}
	return tensors, nil
}
