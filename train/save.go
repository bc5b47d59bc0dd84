// What a run writes into its folder: configuration, lines of metrics, checkpoints; and what is safe when that fails.

package train

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"sigmaz/internal/ownfile"
	"sigmaz/model"
	"sigmaz/model/checkpoint"
)

// openFolder makes or completes the run folder and opens the metrics for appending.
func (r *run) openFolder() error {
	sweep(r.o.Folder)
	// The configuration comes first: from then on the folder holds a run that can be gone on with.
	if err := writeFile(filepath.Join(r.o.Folder, configFile), []byte(r.c.YAML())); err != nil {
		return fmt.Errorf("cannot write the configuration: %w; see that the run folder can be written and has "+
			"room", err)
	}
	for _, dir := range []string{samplesDir, checkpointsDir} {
		if err := os.MkdirAll(filepath.Join(r.o.Folder, dir), 0o777); err != nil {
			return fmt.Errorf("cannot make the run folder: %w; choose a place that can be written with `runs`", err)
		}
	}
	f, err := ownfile.Open(filepath.Join(r.o.Folder, metricsFile), os.O_WRONLY|os.O_CREATE|os.O_APPEND)
	if err != nil {
		return fmt.Errorf("cannot open the metrics: %w; see that the run folder can be written and has room", err)
	}
	r.metrics = f
	if r.saved == "" {
		return nil
	}
	// What a process was kept from that was stopped between a checkpoint and what follows it.
	if err := r.point(); err != nil {
		return err
	}
	return r.prune()
}

// metrics is the open file metrics.jsonl.
type metrics interface {
	io.WriteCloser
	Sync() error
}

// point makes the pointer name the last checkpoint.
func (r *run) point() error {
	path := filepath.Join(r.o.Folder, checkpointsDir, latestFile)
	if err := writeFile(path, []byte(filepath.Base(r.saved)+"\n")); err != nil {
		return &saveError{fmt.Errorf("cannot write the pointer to the latest checkpoint: %w; see that the run "+
			"folder has room", err)}
	}
	return nil
}

// write appends a line to metrics.jsonl.
func (r *run) write(line any) error {
	b, err := json.Marshal(line)
	if err != nil {
		return err
	}
	if _, err := r.metrics.Write(withCRC(b)); err != nil {
		r.metrics.Close()
		r.metrics = nil // save leaves it alone, so that at least the weights are kept
		return fmt.Errorf("cannot write the metrics: %w; see that the run folder has room", err)
	}
	r.o.Events.report(Wrote{b})
	return nil
}

func now() string { return time.Now().UTC().Format(time.RFC3339) }

// save writes a checkpoint, unless that step's is there. Every loss up to it has been read and is finite, and so is
// every number in it: a step whose loss is still finite can end in weights that are not.
func (r *run) save() error {
	step := r.step()
	if r.savedAt == step {
		return nil
	}
	if err := r.compareState(); err != nil {
		return err
	}
	if !r.leads() {
		r.savedAt = step
		return nil
	}
	if err := r.readLosses(); err != nil {
		return err
	}
	state, err := r.trainer.State()
	if err != nil {
		return err
	}
	if err := checkFinite(step, state); err != nil {
		return err
	}
	var unsynced error
	if r.metrics != nil { // on disk before the checkpoint that they belong to
		unsynced = r.metrics.Sync()
	}
	dir := filepath.Join(r.o.Folder, checkpointsDir)
	name := stepName(step) + checkpointExt
	cp := checkpoint.Checkpoint{Step: step, Seed: r.c.Seed, Config: r.c.YAML(),
		Tensors: append(state, r.window.tensors()...)}
	if err := cp.Write(filepath.Join(dir, name)); err != nil {
		return &saveError{err}
	}
	r.saved, r.savedAt = filepath.Join(dir, name), step
	if err := r.point(); err != nil {
		return err
	}
	r.o.Events.report(Saved{step, r.saved})
	if unsynced != nil { // the weights are kept first
		return &saveError{fmt.Errorf("cannot write the metrics: %w; see that the run folder has room", unsynced)}
	}
	return r.prune()
}

// prune removes the oldest checkpoints beyond those to keep.
func (r *run) prune() error {
	if r.c.KeepCheckpoints == 0 {
		return nil
	}
	paths, err := listCheckpoints(r.o.Folder)
	if err != nil {
		return err
	}
	for _, path := range paths[:max(0, len(paths)-r.c.KeepCheckpoints)] {
		if path == r.saved {
			continue
		}
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("cannot remove an old checkpoint: %w; `keep-checkpoints` 0 keeps all", err)
		}
	}
	return nil
}

// checkFinite looks for a number in the state that is NaN or infinite.
func checkFinite(step uint64, state []model.Named) error {
	for _, t := range state {
		values, _ := t.T.Data().([]float32)
		for _, v := range values {
			if v-v != 0 {
				return &NonFiniteError{step, t.Name, -1, 0, float64(v)}
			}
		}
	}
	return nil
}

// saveError is a checkpoint that could not be written: there is no use in trying once more.
type saveError struct{ err error }

func (e *saveError) Error() string { return e.err.Error() }
func (e *saveError) Unwrap() error { return e.err }

// stepError is a step that failed on its way: what it left of the weights is of no use.
type stepError struct{ err error }

func (e *stepError) Error() string { return "the step failed: " + e.err.Error() }
func (e *stepError) Unwrap() error { return e.err }

// failed completes the sentence of an error that ends a run with what is safe and what to do. Where the weights are
// sound it saves them first, unless other ranks would have to agree.
func (r *run) failed(err error) error {
	var notFinite *NonFiniteError
	var notSaved *saveError
	var halfStep *stepError
	isNotFinite := errors.As(err, &notFinite)
	if !r.leads() {
		return err
	}
	if r.o.Ranks == nil && !isNotFinite && !errors.As(err, &notSaved) && !errors.As(err, &halfStep) {
		r.save() // if this fails too, the checkpoint named below is the one before
	}
	where := "no checkpoint was written yet"
	if r.saved != "" {
		where = "the last good checkpoint is " + r.saved
	}
	switch {
	case isNotFinite:
		return fmt.Errorf("training stopped because %w; %s; start a new run with a lower `lr`", err, where)
	case r.saved != "":
		return fmt.Errorf("%w; %s, go on from it with `resume` %s", err, where, r.o.Folder)
	}
	return fmt.Errorf("%w; %s", err, where)
}
