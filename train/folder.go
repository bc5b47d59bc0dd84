// The run folder:
//
//	runs/NAME/config.yaml                              every resolved setting
//	runs/NAME/metrics.jsonl                            a line of JSON every log-every steps and for each held-out loss
//	runs/NAME/samples/step-0003000.png                 previews
//	runs/NAME/checkpoints/step-0003000.safetensors     see package checkpoint
//	runs/NAME/checkpoints/latest                       the file name of the newest checkpoint, for other programs
//	runs/NAME/report.html                              the page of the run, where it was asked for
//	runs/NAME/events.out.tfevents.*                    TensorBoard's event files, where they were asked for
//	runs/NAME/lock                                     while a process trains in it
//
// A file that is replaced is written under another name, synced and renamed, so at every moment it is whole. Whenever a
// process is stopped, the folder it leaves can be gone on with, once config.yaml is there, or else be begun again.

package train

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"sigmaz/internal/atomicfile"
	"sigmaz/internal/nearest"
	"sigmaz/internal/setting"
)

const (
	configFile     = "config.yaml"
	metricsFile    = "metrics.jsonl"
	samplesDir     = "samples"
	checkpointsDir = "checkpoints"
	latestFile     = "latest"
	reportFile     = "report.html"

	checkpointExt = ".safetensors"
	previewExt    = ".png"
)

// stepName returns the name of what is written after a step: step-0000500.
func stepName(step uint64) string { return fmt.Sprintf("step-%07d", step) }

// stepOf reads the step back from a file name.
func stepOf(name, ext string) (step uint64, ok bool) {
	digits, ok := strings.CutPrefix(strings.TrimSuffix(name, ext), "step-")
	if !ok || !strings.HasSuffix(name, ext) {
		return 0, false
	}
	step, err := strconv.ParseUint(digits, 10, 64)
	return step, err == nil
}

// ReportPath returns the path of the page that a run's folder holds of it.
func ReportPath(runDir string) string { return filepath.Join(runDir, reportFile) }

// Previews lists the pictures of samples in a run's folder by rising step.
func Previews(runDir string) []Picture {
	dir := filepath.Join(runDir, samplesDir)
	entries, _ := os.ReadDir(dir) // a folder that is not there holds none
	var all []Picture
	for _, e := range entries {
		if step, ok := stepOf(e.Name(), previewExt); ok && e.Type().IsRegular() {
			all = append(all, Picture{step, filepath.Join(dir, e.Name())})
		}
	}
	slices.SortFunc(all, func(a, b Picture) int { return cmp.Compare(a.Step, b.Step) })
	return all
}

// CreateFolder makes the folder of a new run, runs/name, and returns its path and its lock. With an empty name it
// takes the first unused one of base-1, base-2, ... A folder that exists is taken when it is empty or holds what a
// process left that was stopped before the run had begun, and refused otherwise.
func CreateFolder(runs, name, base string) (dir string, lock *Lock, err error) {
	var made []string
	for parent := filepath.Clean(runs); ; parent = filepath.Dir(parent) {
		if _, err := os.Lstat(parent); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		made = append(made, parent)
	}
	if err := os.MkdirAll(runs, 0o777); err != nil {
		return "", nil, fmt.Errorf("cannot make the folder for runs: %w; choose one that can be written with "+
			"`runs`", err)
	}
	if name != "" && (name != filepath.Base(name) || name == "." || name == ".." || os.IsPathSeparator(name[0])) {
		return "", nil, setting.Errorf("name", "is %q: expected the name of one folder; its place is set by "+
			"`runs`", name)
	}
	for i := 1; ; i++ {
		// Mkdir takes a name or finds it taken in one step, so two runs started together get two folders.
		dir = filepath.Join(runs, name)
		if name == "" {
			dir = filepath.Join(runs, fmt.Sprintf("%s-%d", base, i))
		}
		err := os.Mkdir(dir, 0o777)
		switch {
		case err == nil:
			made = append([]string{dir}, made...)
		case !errors.Is(err, fs.ErrExist):
			return "", nil, fmt.Errorf("cannot make the run folder: %w; choose another `name`, or a place that "+
				"can be written with `runs`", err)
		case name == "":
			continue
		default:
			if err := checkEmpty(dir); err != nil {
				return "", nil, err
			}
		}
		if lock, err = LockFolder(dir); err != nil {
			return "", nil, err
		}
		if err := checkEmpty(dir); err != nil { // somebody may have come and gone
			lock.Discard()
			return "", nil, err
		}
		lock.made = made
		return dir, lock, nil
	}
}

// checkEmpty refuses a folder that holds anything but what is left of a run that did not begin.
func checkEmpty(dir string) error {
	if _, err := os.ReadDir(dir); err != nil {
		return fmt.Errorf("%s: expected a folder for the run: %w; choose another `name`", dir, err)
	}
	switch {
	case unbegun(dir):
		return nil
	case IsRun(dir):
		return fmt.Errorf("%s already holds a run: go on with it by `resume` %[1]s, or choose another `name`", dir)
	}
	return fmt.Errorf("%s holds other files: choose another `name`, so that nothing of them is lost", dir)
}

// unbegun tells whether a folder holds nothing, or only what a process may leave that is stopped before config.yaml is
// there: folders of a run with nothing in them, temporary files, a lock's file.
func unbegun(dir string) bool {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	return !slices.ContainsFunc(entries, func(e fs.DirEntry) bool {
		path := filepath.Join(dir, e.Name())
		switch e.Name() {
		case lockFile:
			return !isLockFile(path)
		case metricsFile:
			info, err := e.Info()
			return err != nil || !info.Mode().IsRegular() || info.Size() > 0
		case samplesDir, checkpointsDir:
			inside, err := os.ReadDir(path)
			return err != nil || !e.IsDir() || slices.ContainsFunc(inside, func(e fs.DirEntry) bool { return !isLeftOver(e) })
		}
		return !isLeftOver(e)
	})
}

// isDeadStart tells whether a folder is one that CreateFolder and openFolder made and nothing came of: empty folders
// can be anybody's.
func isDeadStart(dir string) bool {
	entries, _ := os.ReadDir(dir)
	return len(entries) > 0 && unbegun(dir)
}

// isLeftOver tells whether a file in a run folder is a temporary file that training made there, now or in an earlier
// version. Temporary files of other commands, which may be at work, and of other programs are not.
func isLeftOver(e fs.DirEntry) bool {
	of := atomicfile.TempOf(e.Name())
	if of == "" {
		of, _ = strings.CutSuffix(e.Name(), ".tmp")
	}
	if of == e.Name() || !e.Type().IsRegular() {
		return false
	}
	_, checkpoint := stepOf(of, checkpointExt)
	_, preview := stepOf(of, previewExt)
	return checkpoint || preview || of == configFile || of == latestFile || of == metricsFile || of == reportFile ||
		strings.HasPrefix(of, metricsFile+asideExt)
}

// sweep removes what processes left behind that were stopped while they wrote. Whoever calls it holds the folder's
// lock.
func sweep(dir string) {
	for _, dir := range []string{dir, filepath.Join(dir, samplesDir), filepath.Join(dir, checkpointsDir)} {
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			if isLeftOver(e) {
				os.Remove(filepath.Join(dir, e.Name())) // if it stays, it is in nobody's way
			}
		}
	}
}

// IsRun tells whether a folder holds a run.
func IsRun(dir string) bool {
	for _, name := range []string{configFile, metricsFile} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			return true
		}
	}
	checkpoints, _ := listCheckpoints(dir)
	return len(checkpoints) > 0
}

// Latest finds the path of a run's newest checkpoint, the one with the highest step. Without any it fails with
// [ErrNoCheckpoint]. Every checkpoint is whole: the pointer latest, which is written after it, may be behind.
func Latest(runDir string) (string, error) {
	names, err := listCheckpoints(runDir)
	if err != nil {
		return "", err
	}
	if len(names) == 0 {
		if isDeadStart(runDir) {
			return "", noCheckpoint(fmt.Sprintf("%s holds no checkpoint: the run was stopped before its first one, and before "+
				"there was anything to go on with; start it anew, with `name` %s, which takes this folder", runDir,
				filepath.Base(filepath.Clean(runDir))))
		}
		if !IsRun(runDir) {
			return "", noCheckpoint(fmt.Sprintf("%s is not a run folder: expected %s and %s in it; give the "+
				"folder that training printed", runDir, configFile, checkpointsDir))
		}
		return "", noCheckpoint(fmt.Sprintf("%s holds no checkpoint yet: the run ended before its first one; go "+
			"on with it by `resume`", runDir))
	}
	return names[len(names)-1], nil
}

// ErrNoCheckpoint is what [Latest] fails with, by errors.Is, when there is no checkpoint.
var ErrNoCheckpoint = errors.New("no checkpoint")

// noCheckpoint is that error in a sentence.
type noCheckpoint string

func (e noCheckpoint) Error() string        { return string(e) }
func (e noCheckpoint) Is(target error) bool { return target == ErrNoCheckpoint }

// CheckOutput refuses the name of an output file that would overwrite a part of a run.
func CheckOutput(path string) error {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil // it cannot be opened either
	}
	if real, err := filepath.EvalSymlinks(abs); err == nil {
		abs = real
	}
	run := filepath.Dir(abs)
	part := slices.Contains([]string{configFile, metricsFile, lockFile}, filepath.Base(abs))
	if filepath.Base(run) == checkpointsDir {
		run, part = filepath.Dir(run), true
	}
	if part && IsRun(run) {
		return fmt.Errorf("%s is part of the run %s, which would be lost: choose another name", path, run)
	}
	return nil
}

// LikeRun returns a hint for a path where nothing is, such as "; did you mean runs/glyphs-1?": the run folder with the
// nearest name, beside the path or in the folder runs. It returns "" where none is near.
func LikeRun(path, runs string) string {
	for _, dir := range []string{filepath.Dir(path), runs} {
		entries, _ := os.ReadDir(dir)
		var names []string
		for _, e := range entries {
			if IsRun(filepath.Join(dir, e.Name())) {
				names = append(names, e.Name())
			}
		}
		if near := nearest.Word(filepath.Base(path), names); near != "" {
			return "; did you mean " + filepath.Join(dir, near) + "?"
		}
	}
	return ""
}

// listCheckpoints lists the paths of a run's checkpoints by rising step.
func listCheckpoints(runDir string) ([]string, error) {
	dir := filepath.Join(runDir, checkpointsDir)
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cannot list the checkpoints: %w", err)
	}
	type file struct {
		step uint64
		path string
	}
	var files []file
	for _, e := range entries {
		if step, ok := stepOf(e.Name(), checkpointExt); ok && !e.IsDir() {
			files = append(files, file{step, filepath.Join(dir, e.Name())})
		}
	}
	slices.SortFunc(files, func(a, b file) int { return cmp.Compare(a.step, b.step) })
	paths := make([]string, len(files))
	for i, f := range files {
		paths[i] = f.path
	}
	return paths, nil
}

// writeFile replaces path as a whole.
func writeFile(path string, data []byte) error {
	return atomicfile.Write(path, func(f *os.File) error {
		_, err := f.Write(data)
		return err
	})
}
