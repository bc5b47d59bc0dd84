// The training loop (Song and Ermon 2019, section 4.2, and 2020). Each step draws a batch of images x and for each a
// noise level i, perturbs x~ = x + sigma_i z with z ~ N(0, I), and takes one step of Adam down the gradient of
//
//	mean over the batch of 0.5 sigma_i^p |s(x~, sigma_i) + z/sigma_i|^2
//
// after which the moving average of the weights follows. p = 2 (anneal-power) makes it 0.5 |sigma_i s + z|^2. Where sigma
// is drawn by a density, model/noise.go has its weight.

package train

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"time"

	"sigmaz/kernels"
	"sigmaz/model"
	"sigmaz/train/ranks"
)

// Hooks are what the loop calls but does not know.
type Hooks struct {
	// Preview draws samples with the weights of a step, averaged where an average is kept, and writes a picture to
	// path. The picture may only depend on the weights, never on where the training is: noise is a function of seed
	// and image, so drawing samples does not disturb it. nil: no previews.
	Preview func(ctx context.Context, step uint64, weights []model.Named, path string) error
	// Quality takes the measure that the configuration names of samples with the same weights. What holds of pictures
	// holds of it. nil: none is taken.
	Quality func(ctx context.Context, step uint64, weights []model.Named) (Quality, error)
}

// Options are what a run needs beside its configuration.
type Options struct {
	Backend    kernels.Backend
	DataMemory DataMemory // where the data lies where the backend has memory of its own; "": AutoMemory
	Folder     string     // the run folder, from CreateFolder or of From
	From       *Stored    // the run to go on with; nil for a new one
	Events     Events     // takes progress and what was written; may be nil
	Hooks      Hooks
	Ranks      *ranks.Group // the processes that train the run together, see follow.go; nil: this one alone
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

// Run trains with a resolved configuration and its data until the last step, or until ctx is done: then the step at
// hand is finished and saved. Errors are single sentences that say what is safe.
func Run(ctx context.Context, c *Config, s *Splits, o Options) (*Result, error) {
	r, err := openRun(c, s, o)
	if err != nil {
		return nil, err
	}
	defer r.close()
	return r.train(ctx)
}

// train is the loop.
func (r *run) train(ctx context.Context) (_ *Result, err error) {
	if r.step() > 0 { // what a stop kept from being done at the step where it came
		err = r.doWhatIsDue(ctx)
	}
	for err == nil && r.step() < r.c.Steps {
		var stop bool
		if stop, err = r.stops(ctx); stop || err != nil {
			break
		}
		// Draw images and noise levels, perturb, score, loss, gradient, Adam, EMA: one program on the device.
		if err = r.advance(); err != nil {
			return nil, r.failed(&stepError{err})
		}
		// Read losses, log, evaluate, save and draw a preview, each when it is due.
		err = r.doWhatIsDue(ctx)
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
	c       *Config
	o       Options
	sigmas  model.Ladder
	trainer *Trainer
	metrics metrics // nil after an error
	window  *lossWindow
	records []LossRecord
	stopped bool // by the context, of this process or of another rank
	pace    pace

	// the last step at which each was done
	loggedAt, evaluatedAt, measuredAt, savedAt, previewedAt uint64
	saved                                                   string // path of the last checkpoint, "" before the first

	// clocks: they change nothing but what is shown
	first    uint64        // step at which this process began
	start    time.Time     // when it did
	readAt   time.Time     // when losses were read last
	readStep uint64        // and at which step
	training time.Duration // spent on steps since the last line, without what is done between them
	trained  uint64        // steps since the last line
	total    time.Duration // spent on steps in this process
	smooth   float64       // running mean of the loss, for Progress
	res      Result
	baseline float64 // loss of zero weights
	heldOut  float64 // held-out loss of zero weights
}

// never is the step of what was not done yet.
const never = math.MaxUint64

// readEvery is how often losses are read back at least, so that progress shows and a loss that is not finite is found.
const readEvery = 500 * time.Millisecond

func openRun(c *Config, s *Splits, o Options) (*run, error) {
	r := &run{c: c, o: o, loggedAt: never, evaluatedAt: never, measuredAt: never, savedAt: never, previewedAt: never}
	r.res = Result{Loss: math.NaN(), HeldOut: math.NaN()}
	tc, err := c.Trainer(s)
	if err != nil {
		return nil, err
	}
	tc.DataMemory, tc.Ranks = o.DataMemory, o.Ranks
	r.sigmas = tc.Sigmas
	for _, s := range r.sigmas { // E 0.5 sigma^p |z/sigma|^2 = D/2 sigma^(p-2)
		r.heldOut += 0.5 * float64(c.Network.D()) * math.Pow(float64(s), c.Loss.AnnealPower-2) / float64(len(r.sigmas))
	}
	r.baseline = r.heldOut
	if c.Noise.Continuous() {
		r.baseline = 0.5 * float64(c.Network.D()) * c.Noise.MeanWeight(c.Network)
	}
	if c.Loss.Likelihood {
		r.baseline *= c.Noise.MeanLikelihoodWeight(c.Network.SDE.On(r.sigmas))
	}
	if c.Loss.ReduceMean {
		r.baseline *= 2 / float64(c.Network.D())
	}
	r.baseline *= s.Train.There()
	if s.HeldOut != nil {
		r.heldOut *= s.HeldOut.There()
	}
	r.window = newLossWindow(c.Noise, c.Network.SDE, r.sigmas)
	if r.trainer, err = NewTrainer(o.Backend, tc); err != nil {
		return nil, err
	}
	if p := r.trainer.placement; p.Host {
		o.Events.report(DataOnHost{p})
	}
	if err = r.compareSettings(); err == nil && o.Ranks != nil {
		err = o.Ranks.Bind(o.Backend)
		r.trainer.follow()
	}
	if (o.From == nil || o.From.Checkpoint == nil) && err == nil {
		err = r.takeInitial()
	}
	if o.From != nil && err == nil {
		err = r.restore(o.From)
	}
	if err == nil {
		r.recordArithmetic()
		err = r.compareState()
	}
	if err == nil && r.leads() {
		err = r.openFolder()
	}
	if err != nil {
		r.close()
		return nil, err
	}
	o.Events.report(Training{r.step(), c.Steps})
	r.first, r.readStep = r.step(), r.step()
	r.start, r.readAt = time.Now(), time.Now()
	return r, nil
}

func (r *run) close() {
	if r.metrics != nil {
		r.metrics.Close()
	}
	if r.o.Ranks != nil {
		r.o.Ranks.Release()
	}
	// The trainer's memory belongs to the backend, which the caller closes.
}

func (r *run) step() uint64 { return r.trainer.StepsDone() }

// doWhatIsDue does what is due after a step. The order matters: a checkpoint comes after the lines of its step, so
// cutting the metrics back to a checkpoint keeps them; what a stop skips is done when the run goes on.
func (r *run) doWhatIsDue(ctx context.Context) error {
	step := r.step()
	last := step == r.c.Steps
	due := func(every, doneAt uint64) bool { return every > 0 && step%every == 0 && doneAt != step }
	log := due(r.c.LogEvery, r.loggedAt)
	evaluate := due(r.c.EvalEvery, r.evaluatedAt)
	save := due(r.c.CheckpointEvery, r.savedAt)
	measure := due(r.c.CheckpointEvery, r.measuredAt) && r.o.Hooks.Quality != nil
	preview := due(r.c.PreviewEvery, r.previewedAt)

	if !r.leads() {
		r.trainer.passOverLosses()
		if save || last {
			return r.save()
		}
		return nil
	}
	if !(log || evaluate || measure || save || preview || last || step-r.readStep >= ringSteps || time.Since(r.readAt) >= readEvery) {
		return nil
	}
	if err := r.readLosses(); err != nil {
		return err
	}
	if (log || last && r.loggedAt != step) && r.window.lossSteps > 0 {
		if err := r.log(!log); err != nil {
			return err
		}
	}
	if (evaluate || last && r.evaluatedAt != step && r.c.EvalEvery > 0) && r.c.HeldOut > 0 && ctx.Err() == nil {
		if err := r.evaluate(ctx, !evaluate); err != nil {
			return err
		}
	}
	if (measure || last && r.measuredAt != step) && r.o.Hooks.Quality != nil && ctx.Err() == nil {
		if err := r.measure(ctx, !measure); err != nil {
			return err
		}
	}
	if save || last {
		if err := r.save(); err != nil {
			return err
		}
	}
	if (preview || last && r.previewedAt != step) && r.c.PreviewN > 0 && r.o.Hooks.Preview != nil && ctx.Err() == nil {
		if err := r.drawPreview(ctx); err != nil {
			return err
		}
	}
	r.readAt = time.Now() // what came after readLosses does not count as training
	return nil
}

// readLosses takes in the losses of the steps since the last call. The sums are over steps in order, so when it is
// called makes no difference to them.
func (r *run) readLosses() (err error) {
	if r.records, err = r.trainer.Losses(r.records[:0]); err != nil {
		return err
	}
	for _, rec := range r.records {
		loss, err := r.window.add(rec)
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
		r.o.Events.report(r.progress())
		clear(r.pace.busy)
	}
	return nil
}

// rate returns the images per second since the last line.
func (r *run) rate() float64 {
	if r.training <= 0 {
		return 0
	}
	return float64(r.trained) * float64(r.c.Batch) / r.training.Seconds()
}

// progress returns how far the run is.
func (r *run) progress() Progress {
	step := r.step()
	perStep := float64(time.Since(r.start)) / float64(max(step-r.first, 1))
	p := Progress{Step: step, Steps: r.c.Steps, Loss: r.smooth, Relative: r.smooth / r.baseline, Unit: r.c.Unit(),
		ImagesPerS: r.rate(), Rows: r.c.Rows(), Left: time.Duration(perStep * float64(r.c.Steps-step))}
	if rank, waiting := r.pace.busy.slowest(); waiting >= uneven {
		p.Slowest, p.Waiting = rank, waiting
	}
	if r.training < readEvery && r.res.ImagesPerS > 0 {
		p.ImagesPerS = r.res.ImagesPerS // the last line's, as long as there is little to measure
	}
	return p
}

// log writes the window's line and begins a new window. end marks a line that was not due: the window goes on after it
// when the run is resumed with more steps.
func (r *run) log(end bool) error {
	line := lossLine{Step: r.step(), Loss: r.window.loss(), LossRelative: r.window.loss() / r.baseline,
		ImagesPerS: math.Round(10*r.rate()) / 10, Time: now(), End: end}
	if r.c.Noise.Continuous() {
		line.LossPerBin = r.window.levels()
	} else {
		line.LossPerLevel = r.window.levels()
	}
	if len(r.pace.line) > 1 {
		rank, waiting := r.pace.line.slowest()
		waiting = math.Round(1000*waiting) / 1000
		line.SlowestRank, line.Waiting = &rank, &waiting
	}
	clear(r.pace.line)
	if err := r.write(line); err != nil {
		return err
	}
	p := r.progress()
	p.Loss, p.Relative = line.Loss, line.LossRelative
	r.o.Events.report(Logged{p})
	r.res.Loss, r.res.Relative, r.res.ImagesPerS = line.Loss, line.LossRelative, line.ImagesPerS
	r.loggedAt, r.training, r.trained = line.Step, 0, 0
	if !end {
		r.window.reset()
	}
	return nil
}

// evaluate writes the held-out loss, (1/L) sum over all levels with a fixed z, of the averaged weights, or of the
// weights themselves without an average.
func (r *run) evaluate(ctx context.Context, end bool) error {
	r.o.Events.report(Evaluating{r.step()})
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
	line := evalLine{Step: r.step(), HeldOutLoss: full, HeldOutPerLevel: perLevel, Time: now(), End: end}
	if err := r.write(line); err != nil {
		return err
	}
	r.o.Events.report(HeldOut{r.step(), full, full / r.heldOut, r.c.HeldOutUnit()})
	r.res.HeldOut, r.evaluatedAt = full, r.step()
	return nil
}

// drawPreview draws samples with the averaged weights, or the weights themselves where there is no average.
func (r *run) drawPreview(ctx context.Context) error {
	r.o.Events.report(Drawing{r.step()})
	path := r.picturePath(r.step())
	weights, err := r.averaged()
	if err != nil {
		return err
	}
	if err := r.o.Hooks.Preview(ctx, r.step(), weights, path); err != nil {
		if ctx.Err() != nil {
			return nil // a stop: the resumed run draws it
		}
		return fmt.Errorf("cannot draw the preview %s: %w", path, err)
	}
	r.res.Picture, r.previewedAt = path, r.step()
	r.o.Events.report(Picture{r.step(), path})
	return nil
}

// averaged returns the averaged weights, or the weights themselves where there is no average, by their plain names.
func (r *run) averaged() ([]model.Named, error) {
	prefix := r.trainer.Averaged()
	weights, err := r.trainer.Named(prefix)
	for i := range weights {
		weights[i].Name = strings.TrimPrefix(weights[i].Name, prefix)
	}
	return weights, err
}

func (r *run) picturePath(step uint64) string {
	return filepath.Join(r.o.Folder, samplesDir, stepName(step)+previewExt)
}

func (r *run) result(ctx context.Context) *Result {
	res := r.res
	res.Step, res.Checkpoint, res.Elapsed = r.step(), r.saved, time.Since(r.start)
	missesPreview := r.c.PreviewN > 0 && r.o.Hooks.Preview != nil && r.previewedAt != res.Step
	missesQuality := r.o.Hooks.Quality != nil && r.measuredAt != res.Step
	res.Stopped = (r.stopped || ctx.Err() != nil) && (res.Step < r.c.Steps || missesPreview || missesQuality)
	if steps := res.Step - r.first; steps > 0 && r.total > 0 {
		res.ImagesPerS = float64(steps) * float64(r.c.Batch) / r.total.Seconds()
	}
	return &res
}
