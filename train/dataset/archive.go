// Archives, which are read without being unpacked: what ZIP and TAR share.
//
// An archive of pictures is read twice, first the headers of its pictures and then the pictures, and must be the same
// file both times. One without pictures may hold what a folder may: the files of a data set, or one array or table.
// NumPy's NPZ is a ZIP of arrays.

package dataset

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// archive is a ZIP or TAR file.
type archive struct {
	*dataFile
	visitAll func(ctx context.Context, f *dataFile, visit func(entry) error) error
	// scan visits the files in it one after the other, without hidden ones, until a call fails.
	scan func(f *dataFile, visit func(member) error) error
}

// member is a file in an archive, while scan is at it.
type member struct {
	name string
	size int64
	open func() (io.Reader, error)
}

func (a archive) place() string { return a.format.name }

func (a archive) identity() string { return fileIdentity(a.path, a.info) }

// reopen opens the archive anew.
func (a archive) reopen() (*dataFile, error) {
	f, err := openFile(a.path)
	if err == nil {
		if err = sameFile(a.path, a.info, f.info); err != nil {
			f.close()
		}
	}
	return f, err
}

// walk opens the file anew and visits all that is in it.
func (a archive) walk(ctx context.Context, visit func(entry) error) error {
	f, err := a.reopen()
	if err != nil {
		return err
	}
	defer f.close()
	if err := a.visitAll(ctx, f, visit); err != nil {
		return err
	}
	return f.unchanged()
}

// errFound ends a scan early.
var errFound = errors.New("found")

// file opens a file in f, the archive.
func (a archive) file(f *dataFile, m member) (*dataFile, error) {
	r, err := m.open()
	if err != nil {
		return nil, err
	}
	d := &dataFile{path: a.path + ": " + m.name, within: a.format.name, stored: a.path, file: f.file, info: f.info,
		size: m.size, again: func() (*dataFile, error) { return a.openMember(m.name) },
		beside: func(name string) (*dataFile, error) { return a.openMember(path.Join(path.Dir(m.name), name)) }}
	return d, d.begin(r)
}

// openMember opens the file of a name, which then is at its start. To close it closes the archive.
func (a archive) openMember(name string) (*dataFile, error) {
	f, err := a.reopen()
	if err != nil {
		return nil, err
	}
	var d *dataFile
	err = a.scan(f, func(m member) (err error) {
		if m.name != name {
			return nil
		}
		if d, err = a.file(f, m); err != nil {
			return err
		}
		return errFound
	})
	if err != errFound {
		f.close()
		if err == nil {
			err = sameFile(a.path, a.info, f.info)
		}
		return nil, cmp.Or(err, error(&notInArchive{a.path, name}))
	}
	return d, nil
}

// notInArchive is the error for a file that is not in an archive.
type notInArchive struct{ path, name string }

func (e *notInArchive) Error() string {
	return fmt.Sprintf("%s: expected %s in it, as before; start again when it is complete", e.path, e.name)
}

func (e *notInArchive) Is(target error) bool { return target == fs.ErrNotExist }

// chooseMembers finds the data in an archive, as [chooseFiles] does in a folder. It returns no names for an archive of
// pictures, or of nothing that is read.
func (a archive) chooseMembers() (chosen, passed []string, err error) {
	f, err := a.reopen()
	if err != nil {
		return nil, nil, err
	}
	defer f.close()
	inSets := map[*format][]string{}
	var single, labels, texts, all []string
	err = a.scan(f, func(m member) error {
		all = append(all, m.name)
		if namedPicture(m.name) {
			return errFound
		}
		d, err := a.file(f, m)
		if err == nil && encodingOf(d.head) != nil {
			return errFound
		}
		switch format := formatByRule(m.name, d, err); {
		case format == nil && err == nil && isTable(d) && bytes.ContainsAny(d.head, "0123456789"):
			texts = append(texts, m.name)
		case format == nil:
		case format.folder.dataSet != "":
			inSets[format] = append(inSets[format], m.name)
		case err == nil && npyDims(d) == 1: // as labels are stored
			labels = append(labels, m.name)
		default:
			single = append(single, m.name)
		}
		return nil
	})
	if err == errFound {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	if found, todo := program(all); found != "" {
		return nil, nil, refusal(a.dataFile, found, todo)
	}
	chosen, err = chooseTraining(a.path, inSets)
	if err == nil && chosen == nil {
		if len(single) == 0 {
			single = labels // whose reader says what is wrong with them
		}
		if len(all) == 1 && len(texts) == 1 { // whatever its name ends in
			single = texts
		}
		if chosen = preferTraining(single, "train"); len(chosen) > 1 {
			err = fmt.Errorf("%s: expected one array or table in it, found %d (%s); give the one to learn as a file of its own",
				a.path, len(chosen), baseNames(chosen))
		}
	}
	for _, name := range all {
		if !slices.Contains(chosen, name) {
			passed = append(passed, name)
		}
	}
	return chosen, passed, err
}

// program tells by the names in an archive that it is a file of some program, and what to do then.
func program(names []string) (found, todo string) {
	for _, name := range names {
		base := path.Base(name)
		switch {
		case name == "xl/workbook.xml" || name == "xl/workbook.bin":
			return "a workbook of Excel (xlsx)", "save the sheet as CSV"
		case name == "word/document.xml" || name == "ppt/presentation.xml":
			return "a document of Word or PowerPoint", "save the numbers in it as CSV, the pictures as PNG"
		case name == "META-INF/manifest.xml" && slices.Contains(names, "mimetype"):
			return "a document of LibreOffice (ods, odt)", "save the sheet as CSV"
		case base == "data.pkl" && slices.ContainsFunc(names, func(n string) bool { return path.Base(n) == "version" }):
			return "a file of torch.save (.pth, .pt)", "weights are given with -init or -continue, tensors as NPY (numpy.save)"
		}
	}
	return "", ""
}

// belowRoot returns a path in an archive without what would lead out of it.
func belowRoot(name string) string { return strings.TrimPrefix(path.Clean("/"+name), "/") }

// linkTarget returns the path below the root that a symbolic link leads to; "." where it leads out of the archive.
func linkTarget(link, to string) string {
	if at := path.Join(path.Dir(link), to); !path.IsAbs(to) && at != ".." && !strings.HasPrefix(at, "../") {
		return at
	}
	return "."
}

// hiddenPath tells whether any part of a path in an archive is hidden.
func hiddenPath(name string) bool {
	for part := range strings.SplitSeq(strings.TrimPrefix(path.Clean("/"+strings.ReplaceAll(name, `\`, "/")), "/"), "/") {
		if hidden(part) {
			return true
		}
	}
	return false
}

// readUpTo reads size bytes, or limit if that is less. Memory grows with what is there, not with the size that a
// header claims. Where all is read, the end is read too, because there a ZIP compares its checksum.
func readUpTo(r io.Reader, size, limit int64) ([]byte, error) {
	if size > limit {
		r, size = io.LimitReader(r, limit), limit
	}
	data, err := io.ReadAll(r)
	if err == nil && int64(len(data)) < size {
		err = io.ErrUnexpectedEOF
	}
	return data, err
}
