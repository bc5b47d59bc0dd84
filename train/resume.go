// Going on with a run. Every random number is a function of the seed, the step and a place in the batch, so a run that
// goes on needs the tensors of a checkpoint, its step and its configuration, and no generator state.

package train

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"sigmaz/internal/atomicfile"
	"sigmaz/internal/ownfile"
	"sigmaz/model/checkpoint"
)

// Stored is a run as its folder holds it.
type Stored struct {
	Folder     string
	Config     *Config
	Checkpoint *checkpoint.Checkpoint // nil when the run ended before its first one: it begins again at step 0
	Path       string                 // of Checkpoint
	computed   string                 // Config.Computed of whoever came this far
}

// FindFolder finds the folder of the run that path names: a run folder, the name of one in the folder runs, or one of
// a run's checkpoints, which is then returned too.
func FindFolder(path, runs string) (folder, checkpoint string, err error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) && filepath.Base(path) == path {
		if i, e := os.Stat(filepath.Join(runs, path)); e == nil {
			path, info, err = filepath.Join(runs, path), i, nil
		}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", "", fmt.Errorf("%s does not exist: expected a run folder, such as %s, to go on with%s",
			path, filepath.Join(runs, "glyphs-1"), LikeRun(path, runs))
	case err != nil:
		return "", "", fmt.Errorf("cannot open the run: %w", err)
	case info.IsDir():
		return path, "", nil
	}
	dir := filepath.Dir(path)
	if filepath.Base(dir) != checkpointsDir {
		return "", "", fmt.Errorf("%s is not in the folder %q of a run: give the run folder, or one of its "+
			"checkpoints", path, checkpointsDir)
	}
	return filepath.Dir(dir), path, nil
}

// Load reads the run that path names, as [FindFolder] takes it. Whoever goes on with the run takes its lock first.
func Load(path, runs string) (*Stored, error) {
	s := &Stored{}
	var err error
	if s.Folder, s.Path, err = FindFolder(path, runs); err != nil {
		return nil, err
	}
	if s.Path == "" {
		s.Path, err = Latest(s.Folder)
		if errors.Is(err, ErrNoCheckpoint) && IsRun(s.Folder) {
			s.Path, err = "", nil
		}
		if err != nil {
			return nil, err
		}
	}

	// The configuration is in two places. config.yaml may say more steps than the checkpoint's copy, after a run was
	// gone on with for more; what is fixed must be the same in both.
	file := filepath.Join(s.Folder, configFile)
	text, err := readStoredConfig(file)
	switch {
	case err == nil:
		if s.Config, err = ParseConfig(text); err == nil {
			err = s.Config.Validate()
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w; mend it, or delete it to go by the checkpoint's copy", file, err)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	case s.Path == "":
		return nil, fmt.Errorf("%s holds neither %s nor a checkpoint: there is nothing to go on with; start a "+
			"new run", s.Folder, configFile)
	}
	if s.Config != nil {
		s.computed = s.Config.Computed
	}
	if s.Path == "" {
		return s, nil
	}
	if s.Checkpoint, err = checkpoint.ReadCheckpoint(s.Path); err != nil {
		if earlier := previousCheckpoint(s.Folder, s.Path); earlier != "" {
			return nil, fmt.Errorf("%w: `resume` %s", err, earlier)
		}
		return nil, err
	}
	stored, err := ParseConfig(s.Checkpoint.Config)
	if err == nil {
		err = stored.Validate()
	}
	if err != nil {
		return nil, fmt.Errorf("%s: its configuration: %w; it may come from another version of sigmaz", s.Path, err)
	}
	s.computed = stored.Computed
	if s.Config == nil {
		s.Config = stored
	} else if diff := stored.Differs(s.Config); diff != "" {
		return nil, fmt.Errorf("%s and %s differ in %s: put the checkpoint's value back, or start a new run with "+
			"`config` %[2]s", s.Path, file, diff)
	}
	return s, nil
}

// Step returns the number of steps that the run has done.
func (s *Stored) Step() uint64 {
	if s.Checkpoint == nil {
		return 0
	}
	return s.Checkpoint.Step
}

// CheckSteps judges the steps that the run is to have in all. The error is a [*setting.Error].
func (s *Stored) CheckSteps(steps uint64) error { return checkSteps(steps, s.Folder, s.Step(), 0) }

// previousCheckpoint finds the newest checkpoint older than path; "" where there is none.
func previousCheckpoint(folder, path string) string {
	paths, _ := listCheckpoints(folder)
	older := ""
	for _, p := range paths {
		if p == path {
			return older
		}
		older = p
	}
	return ""
}

// asideExt is added to the names of what a run leaves behind that goes on from an earlier checkpoint than its last. The
// second time it is followed by -2, and so on.
const asideExt = ".aside"

// unusedAside returns asideExt with the first number that makes new names of all paths.
func unusedAside(paths ...string) string {
	for n := 1; ; n++ {
		ext := asideExt
		if n > 1 {
			ext = fmt.Sprintf("%s-%d", asideExt, n)
		}
		if !slices.ContainsFunc(paths, func(path string) bool { _, err := os.Lstat(path + ext); return err == nil }) {
			return ext
		}
	}
}

// copyMetrics keeps a copy of the metrics under a name with ext, if there are any.
func copyMetrics(metrics, ext string) error {
	from, err := ownfile.OpenPlain(metrics)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		defer from.Close()
		err = atomicfile.Write(metrics+ext, func(f *os.File) error { _, err := io.Copy(f, from); return err })
	}
	if err != nil {
		return fmt.Errorf("cannot keep a copy of the metrics: %w", err)
	}
	return nil
}

// setAside keeps checkpoints of later steps, and the metrics with their lines, under other names: the run goes on from
// before them, and they would pass for its own.
func (r *run) setAside(folder string, step uint64) error {
	paths, err := listCheckpoints(folder)
	if err != nil {
		return err
	}
	var later []string
	for _, path := range paths {
		if s, ok := stepOf(filepath.Base(path), checkpointExt); ok && s > step {
			later = append(later, path)
		}
	}
	if len(later) == 0 {
		return nil
	}
	metrics := filepath.Join(folder, metricsFile)
	ext := unusedAside(append(later, metrics)...)
	if err := copyMetrics(metrics, ext); err != nil {
		return err
	}
	for _, path := range later {
		if err := os.Rename(path, path+ext); err != nil {
			return fmt.Errorf("cannot set a later checkpoint aside: %w", err)
		}
	}
	r.o.Events.report(SetAside{len(later), ext})
	return nil
}

// restore puts the trainer, the sums of losses and the metrics where the checkpoint was written.
func (r *run) restore(from *Stored) error {
	metrics := filepath.Join(from.Folder, metricsFile)
	step := from.Step()
	if err := from.CheckSteps(r.c.Steps); err != nil {
		return err
	}
	if r.leads() {
		if err := r.setAside(from.Folder, step); err != nil {
			return err
		}
	}
	if from.Checkpoint != nil {
		tensors, err := r.window.restore(from.Checkpoint.Tensors)
		if err == nil {
			err = r.trainer.Restore(step, tensors)
		}
		if err != nil {
			return fmt.Errorf("%s does not fit its configuration: %w; it may come from another version of sigmaz",
				from.Path, err)
		}
		r.saved, r.savedAt = from.Path, step
	}
	if !r.leads() {
		return nil
	}
	// A finished run that is resumed without more steps keeps the lines of its end.
	ext := unusedAside(metrics)
	cut, err := cutBack(metrics, step, step == r.c.Steps, func() error { return copyMetrics(metrics, ext) })
	if err != nil {
		return err
	}
	if cut.damaged > 0 {
		r.o.Events.report(Warning{fmt.Sprintf("%s had damaged lines (%d), which are left out from here on; a copy as it was "+
			"is %[1]s%[3]s", metrics, cut.damaged, ext)})
	}
	if cut.logged {
		r.loggedAt = step
	}
	if cut.windowEnds { // the checkpoint may be older than the line, which another run at this step wrote
		r.window.reset()
	}
	if cut.evaluated {
		r.evaluatedAt = step
	}
	if cut.measured {
		r.measuredAt = step
	}
	if path := r.picturePath(step); step > 0 {
		if _, err := os.Stat(path); err == nil {
			r.previewedAt, r.res.Picture = step, path
		}
	}
	return nil
}
