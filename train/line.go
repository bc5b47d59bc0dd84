// The lines of metrics.jsonl for those who read them: a page, TensorBoard's event files.

package train

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"time"

	"sigmaz/internal/ownfile"
)

// Line is a line of metrics.jsonl: about training, with Loss, or about the held-out images, with HeldOutLoss.
type Line struct {
	Step uint64    `json:"step"`
	Time time.Time `json:"time"`

	Loss         *float64    `json:"loss"`
	LossRelative float64     `json:"loss_relative"`
	LossPerLevel *LevelMeans `json:"loss_per_level"`
	LossPerBin   *LevelMeans `json:"loss_per_bin"` // in its place where sigma is drawn by a density
	ImagesPerS   float64     `json:"images_per_s"`

	HeldOutLoss     *float64  `json:"held_out_loss"`
	HeldOutPerLevel []float64 `json:"held_out_per_level"`
}

// ParseLine reads a line of metrics.jsonl.
func ParseLine(line []byte) (*Line, error) {
	l := &Line{}
	if err := json.Unmarshal(line, l); err != nil {
		return nil, err
	}
	if l.Loss == nil && l.HeldOutLoss == nil {
		return nil, errors.New("expected loss or held_out_loss")
	}
	for _, m := range []*LevelMeans{l.LossPerLevel, l.LossPerBin} {
		if m != nil && (len(m.Count) != len(m.Loss) || len(m.Level)+len(m.LnSigma) != len(m.Loss)) {
			return nil, errors.New("the columns of a loss per level differ in length")
		}
	}
	return l, nil
}

// ReadMetrics calls yield with the lines of a run's metrics.jsonl in their order. Lines that fail their check or are no
// metrics are passed over, as a resumed run passes them over.
func ReadMetrics(runDir string, yield func(*Line)) error {
	f, err := ownfile.OpenPlain(filepath.Join(runDir, metricsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot read the metrics: %w", err)
	}
	defer f.Close()
	b := bufio.NewReaderSize(f, 1<<16)
	for {
		line, err := readLine(b)
		if err != nil && err != io.EOF {
			return fmt.Errorf("cannot read the metrics: %w", err)
		}
		if object, whole := bytes.CutSuffix(line, []byte("\n")); whole {
			has, right := checkCRC(object)
			if l, err := ParseLine(object); err == nil && (right || !has) {
				yield(l)
			}
		}
		if err == io.EOF {
			return nil
		}
	}
}
