// Where a run starts that does not start from weights drawn from its seed: another file's weights, or all that is
// needed to go on from there.

package train

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"

	"sigmaz/internal/ownfile"
	"sigmaz/model/checkpoint"
)

// takeInitial takes the weights of the file that the configuration names, if it names one.
//
// With init a new run starts: the raw weights of the file at step 0 with Adam's moments at zero, and the moving
// average from the file's, or from the weights where it has none. With continue the run goes on from the file's step
// with its moments.
func (r *run) takeInitial() error {
	path, goOn := r.c.Init, false
	if r.c.Continue != "" {
		path, goOn = r.c.Continue, true
	}
	if path == "" {
		return nil
	}
	w, err := checkpoint.OpenWeights(path)
	if err != nil {
		return err
	}
	defer w.Close()
	sum, err := fileSum(w.File)
	if err != nil {
		return err
	}
	if r.c.StartSum != "" && r.c.StartSum != sum {
		return fmt.Errorf("%s is not the file that this run was started from (SHA-256 %.12s..., expected %.12s...): put "+
			"that one back, or start a new run", path, sum, r.c.StartSum)
	}
	r.c.StartSum = sum
	ema, average := checkpoint.EMAPrefix, AverageFromAverage
	switch {
	case r.c.EMA.Rate == 0:
		average = NoAverage
	case !w.Has(checkpoint.EMAPrefix):
		ema, average = checkpoint.ParamPrefix, AverageFromWeights
	}
	kept := w.Ladder.Sigmas
	if level := r.sigmas.DiffersFrom(w.Ladder); kept != nil && level >= 0 {
		text := fmt.Sprintf("the ladder of %s (%d levels, sigma %.4g to %.4g) is not this run's (%d levels, %.4g "+
			"to %.4g)",
			path, len(kept), kept[0], kept[len(kept)-1], len(r.sigmas), r.sigmas.Begin(), r.sigmas.End())
		if goOn {
			return fmt.Errorf("%s: leave the settings of the ladder out, or start a new run from its weights "+
				"with `init`", text)
		}
		r.o.Events.report(Warning{text})
	}
	if !goOn {
		if err := r.trainer.Start(w, checkpoint.ParamPrefix, ema); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		r.o.Events.report(StartedFrom{Path: path, Kind: w.Kind, Step: w.Step, Stepped: w.Stepped, Average: average,
			PassedOver: w.PassedOver})
		return nil
	}
	if err := w.CheckAdam(); err != nil {
		return err
	}
	if err := checkSteps(r.c.Steps, path, w.Step, 1); err != nil {
		return err
	}
	if err := r.trainer.Continue(w.Step, w, ema); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	r.o.Events.report(StartedFrom{Path: path, Kind: w.Kind, Step: w.Step, Stepped: w.Stepped, GoesOn: true,
		Average: average, PassedOver: w.PassedOver})
	return nil
}

// fileSum returns the SHA-256 of a file in hexadecimal.
func fileSum(path string) (string, error) {
	f, err := ownfile.OpenPlain(path)
	if err == nil {
		defer f.Close()
		sum := sha256.New()
		if _, err = io.Copy(sum, f); err == nil {
			return hex.EncodeToString(sum.Sum(nil)), nil
		}
	}
	return "", fmt.Errorf("cannot read %s: %w; see that it stays while the run starts", path, err)
}
