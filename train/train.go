// The training loop (Song and Ermon 2019, section 4.2, and 2020). Each step draws a batch of images x and for each a
// noise level i, perturbs x~ = x + sigma_i z with z ~ N(0, I), and takes one step of Adam down the gradient of
//
//	mean over the batch of 0.5 sigma_i^p |s(x~, sigma_i) + z/sigma_i|^2
//
// after which the moving average of the weights follows. p = 2 (anneal-power) makes it 0.5 |sigma_i s + z|^2.

// Package train trains noise-conditional score networks: configuration and presets, the loop, and the run folder with
// its metrics, previews and checkpoints, from which a run goes on bit for bit as if it had never stopped.
package train

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sigmaz/kernels"
	"sigmaz/model"
	"sigmaz/model/checkpoint"
)

// Hooks are what the loop calls but does not know.
type Hooks struct {
	// Preview draws samples with the weights of a step, averaged where an average is kept, and writes a picture to path. The
	// picture may only depend on the weights, never on where the training is: noise is a function of seed and image, so
	// drawing samples does not disturb it. nil: no previews.
	Preview func(ctx context.Context, step uint64, weights []model.Named, path string) error
}

// Options are what a run needs beside its configuration.
type Options struct {
	Backend kernels.Backend
	Folder  string    // the run folder, from CreateFolder or of From
	From    *Stored   // the run to go on with; nil for a new one
	Out     io.Writer // for people: progress and what was written
	Hooks   Hooks
}

// Result is where a run ended.
type Result struct {
	Step       uint64
	Stopped    bool    // by the context, before the last step was done with
	Loss       float64 // over the last window; NaN if there was none
	Relative   float64 // the same relative to the loss of zero weights, D/2 for p = 2
	HeldOut    float64 // the last held-out loss; NaN if there was none
	Picture    string  // the last preview; "" if there was none
	Checkpoint string
	Elapsed    time.Duration
	ImagesPerS float64 // of the training itself, without previews and checkpoints
}

// Run trains with a resolved configuration and its data until the last step, or until ctx is done: then the step at hand
// is finished and saved. Errors are single sentences that say what is safe.
func Run(ctx context.Context, c *Config, d *Data, o Options) (*Result, error) {
	r, err := open(c, d, o)
	if err != nil {
		return nil, err
	}
	defer r.close()
	if r.step() > 0 { // what a stop kept from being done at the step where it came
		err = r.upkeep(ctx)
	}
	for err == nil && r.step() < c.Steps && ctx.Err() == nil {
		// Draw images and noise levels, perturb, score, loss, gradient, Adam, EMA: one program on the device.
		if err = r.trainer.Step(); err != nil {
			return nil, r.failed(&stepError{err})
		}
		// Read losses, log, evaluate, save and draw a preview, each when it is due.
		err = r.upkeep(ctx)
	}
	if err == nil {
		err = r.save()
	}
	if err != nil {
		return nil, r.failed(err)
	}
	return r.result(ctx), nil
}

// run is a run under way.
type run struct {
	c        *Config
	o        Options
	sigmas   model.Ladder
	trainer  *Trainer
	metrics  *os.File
	progress *progress
	win      *window
	records  []LossRecord

	// the last step at which each was done
	loggedAt, evaluatedAt, savedAt, previewedAt uint64
	saved                                       string // path of the last checkpoint, "" before the first

	// clocks: they change nothing but what is shown
	first    uint64        // step at which this process began
	start    time.Time     // when it did
	readAt   time.Time     // when losses were read last
	readStep uint64        // and at which step
	training time.Duration // spent on steps since the last line, without upkeep
	trained  uint64        // steps since the last line
	total    time.Duration // spent on steps in this process
	smooth   float64       // running mean of the loss, for the bar
	res      Result
	baseline float64 // loss of zero weights
}

// never is the step of what was not done yet.
const never = math.MaxUint64

// readEvery is how often losses are read back at least, so that progress shows and a loss that is not finite is found.
const readEvery = 500 * time.Millisecond

func open(c *Config, d *Data, o Options) (*run, error) {
	r := &run{c: c, o: o, loggedAt: never, evaluatedAt: never, savedAt: never, previewedAt: never}
	r.res = Result{Loss: math.NaN(), HeldOut: math.NaN()}
	tc, err := c.Trainer(d)
	if err != nil {
		return nil, err
	}
	r.sigmas = tc.Sigmas
	for _, s := range r.sigmas { // E 0.5 sigma^p |z/sigma|^2 = D/2 sigma^(p-2)
		r.baseline += 0.5 * float64(c.Network.D()) * math.Pow(float64(s), c.Loss.AnnealPower-2) / float64(len(r.sigmas))
	}
	r.win = newWindow(len(r.sigmas))
	if r.trainer, err = NewTrainer(o.Backend, tc); err != nil {
		return nil, err
	}
	if o.From == nil || o.From.Checkpoint == nil {
		err = r.initial()
	}
	if o.From != nil && err == nil {
		err = r.restore(o.From)
	}
	if err == nil {
		err = r.folder()
	}
	if err != nil {
		r.close()
		return nil, err
	}
	r.progress = newProgress(o.Out, c.Steps)
	r.first, r.readStep = r.step(), r.step()
	r.start, r.readAt = time.Now(), time.Now()
	return r, nil
}

// folder makes or completes the run folder and opens the metrics for appending.
func (r *run) folder() error {
	for _, dir := range []string{samplesDir, checkpointsDir} {
		if err := os.MkdirAll(filepath.Join(r.o.Folder, dir), 0o777); err != nil {
			return fmt.Errorf("cannot make the run folder: %w; choose a place that can be written with -runs", err)
		}
	}
	if err := writeFile(filepath.Join(r.o.Folder, configFile), []byte(r.c.YAML())); err != nil {
		return fmt.Errorf("cannot write the configuration: %w; see that the run folder can be written and has room", err)
	}
	f, err := os.OpenFile(filepath.Join(r.o.Folder, metricsFile), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o666)
	if err != nil {
		return fmt.Errorf("cannot open the metrics: %w; see that the run folder can be written and has room", err)
	}
	r.metrics = f
	return nil
}

func (r *run) close() {
	if r.progress != nil {
		r.progress.close()
	}
	if r.metrics != nil {
		r.metrics.Close()
	}
	// The trainer's memory belongs to the backend, which the caller closes.
}

func (r *run) step() uint64 { return r.trainer.StepsDone() }

// upkeep does what is due after a step. The order matters: a checkpoint comes after the lines of its step, so cutting
// the metrics back to a checkpoint keeps them; what a stop skips is done when the run goes on.
func (r *run) upkeep(ctx context.Context) error {
	step := r.step()
	last := step == r.c.Steps
	due := func(every, doneAt uint64) bool { return every > 0 && step%every == 0 && doneAt != step }
	log := due(r.c.LogEvery, r.loggedAt)
	evaluate := due(r.c.EvalEvery, r.evaluatedAt)
	save := due(r.c.CheckpointEvery, r.savedAt)
	preview := due(r.c.PreviewEvery, r.previewedAt)

	if !(log || evaluate || save || preview || last || step-r.readStep >= ringSteps || time.Since(r.readAt) >= readEvery) {
		return nil
	}
	if err := r.read(); err != nil {
		return err
	}
	if (log || last && r.loggedAt != step) && r.win.lossSteps > 0 {
		if err := r.log(!log); err != nil {
			return err
		}
	}
	if (evaluate || last && r.evaluatedAt != step && r.c.EvalEvery > 0) && r.c.HeldOut > 0 && ctx.Err() == nil {
		if err := r.evaluate(ctx, !evaluate); err != nil {
			return err
		}
	}
	if save || last {
		if err := r.save(); err != nil {
			return err
		}
	}
	if (preview || last && r.previewedAt != step) && r.c.PreviewN > 0 && r.o.Hooks.Preview != nil && ctx.Err() == nil {
		if err := r.preview(ctx); err != nil {
			return err
		}
	}
	r.readAt = time.Now() // what came after read does not count as training
	return nil
}

// read takes in the losses of the steps since the last call. The sums are over steps in order, so when it is called
// makes no difference to them.
func (r *run) read() (err error) {
	if r.records, err = r.trainer.Losses(r.records[:0]); err != nil {
		return err
	}
	for _, rec := range r.records {
		loss, err := r.win.add(rec, r.sigmas)
		if err != nil {
			return err
		}
		if r.smooth == 0 {
			r.smooth = loss
		}
		r.smooth += 0.05 * (loss - r.smooth)
	}
	now := time.Now()
	step := r.step()
	r.training += now.Sub(r.readAt)
	r.total += now.Sub(r.readAt)
	fresh := step > r.readStep
	r.trained += step - r.readStep
	r.readAt, r.readStep = now, step
	if fresh {
		r.progress.show(r.status())
	}
	return nil
}

// rate is images per second since the last line.
func (r *run) rate() float64 {
	if r.training <= 0 {
		return 0
	}
	return float64(r.trained) * float64(r.c.Batch) / r.training.Seconds()
}

func (r *run) status() status {
	step := r.step()
	perStep := float64(time.Since(r.start)) / float64(max(step-r.first, 1))
	s := status{step: step, steps: r.c.Steps, loss: r.smooth, relative: r.smooth / r.baseline, unit: r.c.Unit(),
		imagesPerS: r.rate(), left: time.Duration(perStep * float64(r.c.Steps-step))}
	if r.training < readEvery && r.res.ImagesPerS > 0 {
		s.imagesPerS = r.res.ImagesPerS // the last line's, as long as there is little to measure
	}
	return s
}

// log writes the window's line and begins a new window. end marks a line that was not due: the window goes on after it
// when the run is resumed with more steps.
func (r *run) log(end bool) error {
	line := lossLine{Step: r.step(), Loss: r.win.loss(), LossRelative: r.win.loss() / r.baseline, LossPerLevel: r.win.levels(),
		ImagesPerS: math.Round(10*r.rate()) / 10, Time: now(), End: end}
	if err := r.write(line); err != nil {
		return err
	}
	s := r.status()
	s.loss, s.relative = line.Loss, line.LossRelative
	r.progress.log(s)
	r.res.Loss, r.res.Relative, r.res.ImagesPerS = line.Loss, line.LossRelative, line.ImagesPerS
	r.loggedAt, r.training, r.trained = line.Step, 0, 0
	if !end {
		r.win.reset()
	}
	return nil
}

// evaluate writes the held-out loss, (1/L) sum over all levels with a fixed z, of the averaged weights (of the weights themselves without an average).
func (r *run) evaluate(ctx context.Context, end bool) error {
	r.progress.busy("held-out loss ...")
	full, perLevel, err := r.trainer.HeldOutLoss(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil // a stop: the resumed run evaluates
		}
		return err
	}
	for i, v := range append(perLevel[:len(perLevel):len(perLevel)], full) {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			level := min(i, len(perLevel)-1)
			return &NonFiniteError{r.step(), "held-out loss", level, float64(r.sigmas[level]), v}
		}
	}
	if err := r.write(evalLine{Step: r.step(), HeldOutLoss: full, HeldOutPerLevel: perLevel, Time: now(), End: end}); err != nil {
		return err
	}
	r.progress.line("step %d  held-out loss %s (%.3f of %s)", r.step(), digits3(full), full/r.baseline, r.c.Unit())
	r.res.HeldOut, r.evaluatedAt = full, r.step()
	return nil
}

// write appends a line to metrics.jsonl.
func (r *run) write(line any) error {
	b, err := json.Marshal(line)
	if err != nil {
		return err
	}
	if _, err := r.metrics.Write(append(b, '\n')); err != nil {
		r.metrics.Close()
		r.metrics = nil // save leaves it alone, so that at least the weights are kept
		return fmt.Errorf("cannot write the metrics: %w; see that the run folder has room", err)
	}
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
	if err := r.read(); err != nil {
		return err
	}
	state, err := r.trainer.State()
	if err != nil {
		return err
	}
	if err := checkFinite(step, state); err != nil {
		return err
	}
	if r.metrics != nil { // on disk before the checkpoint that they belong to
		if err := r.metrics.Sync(); err != nil {
			return &saveError{fmt.Errorf("cannot write the metrics: %w; see that the run folder has room", err)}
		}
	}
	dir := filepath.Join(r.o.Folder, checkpointsDir)
	name := stepName(step) + checkpointExt
	cp := checkpoint.Checkpoint{Step: step, Seed: r.c.Seed, Config: r.c.YAML(), Tensors: append(state, r.win.tensors()...)}
	if err := cp.Write(filepath.Join(dir, name)); err != nil {
		return &saveError{err}
	}
	if err := writeFile(filepath.Join(dir, latestFile), []byte(name+"\n")); err != nil {
		return &saveError{fmt.Errorf("cannot write the pointer to the latest checkpoint: %w; see that the run folder has room", err)}
	}
	r.saved, r.savedAt = filepath.Join(dir, name), step
	return r.prune()
}

// prune removes the oldest checkpoints beyond those to keep.
func (r *run) prune() error {
	if r.c.KeepCheckpoints == 0 {
		return nil
	}
	paths, err := checkpoints(r.o.Folder)
	if err != nil {
		return err
	}
	for _, path := range paths[:max(0, len(paths)-r.c.KeepCheckpoints)] {
		if path == r.saved {
			continue
		}
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("cannot remove an old checkpoint: %w; -keep-checkpoints 0 keeps all", err)
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

// preview draws samples with the averaged weights, or the weights themselves where there is no average.
func (r *run) preview(ctx context.Context) error {
	r.progress.busy("preview ...")
	path := r.picture(r.step())
	prefix := r.trainer.Averaged()
	weights, err := r.trainer.Named(prefix)
	if err != nil {
		return err
	}
	for i := range weights {
		weights[i].Name = strings.TrimPrefix(weights[i].Name, prefix)
	}
	if err := r.o.Hooks.Preview(ctx, r.step(), weights, path); err != nil {
		if ctx.Err() != nil {
			return nil // a stop: the resumed run draws it
		}
		return fmt.Errorf("cannot draw the preview %s: %w", path, err)
	}
	r.res.Picture, r.previewedAt = path, r.step()
	r.progress.line("step %d  %s", r.step(), path)
	return nil
}

func (r *run) picture(step uint64) string {
	return filepath.Join(r.o.Folder, samplesDir, stepName(step)+".png")
}

func (r *run) result(ctx context.Context) *Result {
	res := r.res
	res.Step, res.Checkpoint, res.Elapsed = r.step(), r.saved, time.Since(r.start)
	res.Stopped = ctx.Err() != nil && (res.Step < r.c.Steps || r.c.PreviewN > 0 && r.o.Hooks.Preview != nil && r.previewedAt != res.Step)
	if steps := res.Step - r.first; steps > 0 && r.total > 0 {
		res.ImagesPerS = float64(steps) * float64(r.c.Batch) / r.total.Seconds()
	}
	return &res
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
// sound it saves them first.
func (r *run) failed(err error) error {
	var notFinite *NonFiniteError
	var notSaved *saveError
	var halfStep *stepError
	isNotFinite := errors.As(err, &notFinite)
	if !isNotFinite && !errors.As(err, &notSaved) && !errors.As(err, &halfStep) {
		r.save() // if this fails too, the checkpoint named below is the one before
	}
	where := "no checkpoint was written yet"
	if r.saved != "" {
		where = "the last good checkpoint is " + r.saved
	}
	switch {
	case isNotFinite:
		return fmt.Errorf("training stopped because %w; %s; start a new run with a lower -lr", err, where)
	case r.saved != "":
		return fmt.Errorf("%w; %s, go on from it with -resume %s", err, where, r.o.Folder)
	}
	return fmt.Errorf("%w; %s", err, where)
}
