// Folders: which of the files in a folder are the data, and the list of all files below it.

package dataset

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// folderRule says when a file of a format is taken from a folder that was named, though other files may be beside it.
type folderRule struct {
	// dataSet is what several such files together are called, for a format whose data sets come as several files, for
	// training and for tests. "": one file is a data set.
	dataSet  string
	training string // a word in the names of the files for training
	several  bool   // a data set may have several files for training

	// promised tells whether a name in lower case promises this format. Such a file is taken even if its content has
	// no format that is read: its reader then says what is wrong with it, so that no damaged batch is passed over.
	promised func(name string) bool
	// doubt tells of a file whose content was taken for this format that it may well be something else. In a folder,
	// such a file is taken only if its name promises the format.
	doubt func(f *dataFile) bool
	// endings, unless nil, are those of the names of files that are taken. (Any text looks like a table.)
	endings []string
}

// alone is the rule for formats of which one file is a data set.
var alone = &folderRule{}

// chooseFiles finds the data in a folder. These are looked for, in this order:
//
//	1  the training files of a data set that comes as several files (IDX, CIFAR-10); if there are only files for tests,
//	   these
//	2  pictures, at any depth
//	3  one archive, array or table
//
// Of pictures, all files below the folder are returned, since only the content of each tells whether it is one. For
// data, the names of what is passed over are returned as well.
func chooseFiles(folder string) (data []string, pictures *fileList, passed []string, err error) {
	entries, err := os.ReadDir(folder) // sorted by name
	if err != nil {
		return nil, nil, nil, unreadable(folder, err)
	}
	inSets := map[*format][]string{}
	var single, others, folders []string
	for _, e := range entries {
		if hidden(e.Name()) {
			continue
		}
		path := filepath.Join(folder, e.Name())
		info, err := os.Stat(path) // follows links
		switch {
		case err == nil && info.IsDir():
			folders = append(folders, e.Name())
			continue
		case err != nil || !info.Mode().IsRegular() || namedPicture(path):
			others = append(others, e.Name())
			continue
		}
		switch format, err := formatInFolder(path); {
		case err != nil:
			return nil, nil, nil, err
		case format == nil:
			others = append(others, e.Name())
		case format.folder.dataSet != "":
			inSets[format] = append(inSets[format], path)
		default:
			single = append(single, path)
		}
	}

	rest := func(taken []string) (names []string) {
		for _, e := range entries {
			if !slices.Contains(taken, filepath.Join(folder, e.Name())) {
				names = append(names, e.Name())
			}
		}
		return names
	}
	if data, err := chooseTraining(folder, inSets); data != nil || err != nil {
		return data, nil, rest(data), err
	}
	below, err := listFolder(folder)
	if err != nil {
		return nil, nil, nil, err
	}
	for _, f := range below.files {
		holds, err := f.holdsPicture()
		if err != nil {
			return nil, nil, nil, err
		}
		if holds || namedPicture(f.name) {
			return nil, below, nil, nil
		}
	}
	for i, name := range others[:min(len(others), maxListed)] {
		others[i] = described(folder, name)
	}
	switch {
	case len(single) == 1:
		return single, nil, rest(single), nil
	case len(single) > 1:
		return nil, nil, nil, fmt.Errorf("%s: %s, found %d of the last (%s); name the one to use", folder, expectedInFolder,
			len(single), baseNames(single))
	case len(folders) > 0:
		return nil, nil, nil, fmt.Errorf("%s: %s, found none of these but the folders %s%s; name one of them, "+
			"or a folder with such files", folder, expectedInFolder, baseNames(folders), below.otherPictures())
	case len(others) > 0:
		return nil, nil, nil, fmt.Errorf("%s: %s, found only %s; name a folder with such files", folder, expectedInFolder,
			listNames(others))
	}
	return nil, nil, nil, fmt.Errorf("%s: %s, found an empty folder; copy the files into it", folder, expectedInFolder)
}

// described returns the name of a file that is not read, with what it is where that is worth a word.
func described(folder, name string) string {
	f, err := openFile(filepath.Join(folder, name))
	if err != nil {
		return name
	}
	f.close()
	if what := whatIs(name, f.head, f.size); what != "text" && f.format.refuse != nil && f.format != &formats[len(formats)-1] {
		return name + ": " + what
	}
	return name
}

// otherPictures says for people which pictures of encodings that are not read are in a folder, by its first files.
func (l *fileList) otherPictures() string {
	for _, f := range l.files[:min(len(l.files), 1000)] {
		if head, err := f.read(headBytes); err == nil {
			if what := whatIs(f.name, head, f.info.Size()); strings.HasPrefix(what, "a picture in") {
				return fmt.Sprintf(", in which %s is %s", f.name, what)
			}
		}
	}
	return ""
}

// formatInFolder returns the format as which a file is taken from a folder; nil: it is not taken. It fails only for
// what is no fault of the file.
func formatInFolder(path string) (*format, error) {
	f, err := openFile(path)
	if tooManyFiles(err) {
		return nil, err
	}
	if err == nil {
		f.close()
	}
	return formatByRule(path, f, err), nil
}

// formatByRule returns the format as which a file is taken from a folder or an archive; nil: it is not taken. f is of
// no use where err says that it could not be opened.
func formatByRule(path string, f *dataFile, err error) *format {
	name := strings.ToLower(filepath.Base(path))
	if err == nil {
		rule := f.format.folder
		switch {
		case rule == nil && f.format.refuse == nil: // a single picture
			return nil
		case f.within != "" && f.format.pictures != nil: // an archive in an archive
			return nil
		case rule == nil || rule.doubt != nil && rule.doubt(f): // as its name says
		case rule.endings == nil || slices.Contains(rule.endings, filepath.Ext(name)):
			return f.format
		default:
			return nil
		}
	}
	for i := range formats {
		if rule := formats[i].folder; rule != nil && rule.promised != nil && rule.promised(name) {
			return &formats[i]
		}
	}
	return nil
}

// chooseTraining returns the files for training of the one data set in inSets, nil if there is none.
func chooseTraining(folder string, inSets map[*format][]string) ([]string, error) {
	var found []string // for the error
	var paths []string
	var rule *folderRule
	for i := range formats { // not in the order of the map
		if all := inSets[&formats[i]]; len(all) > 0 {
			rule = formats[i].folder
			paths = preferTraining(all, rule.training)
			found = append(found, fmt.Sprintf("%s (%s)", rule.dataSet, baseNames(paths)))
		}
	}
	switch {
	case len(found) == 0:
		return nil, nil
	case len(found) > 1:
		return nil, fmt.Errorf("%s: expected one data set, found %s; name the files to use", folder,
			strings.Join(found, " and "))
	case rule.several:
		return paths, nil
	}
	// The same file is often there both plain and compressed.
	paths = slices.DeleteFunc(paths, func(p string) bool {
		plain, packed := strings.CutSuffix(p, ".gz")
		return packed && slices.Contains(paths, plain)
	})
	if len(paths) > 1 {
		return nil, fmt.Errorf("%s: expected one file of training images, found %d (%s); name the one to use", folder,
			len(paths), baseNames(paths))
	}
	return paths, nil
}

// preferTraining keeps the paths whose file names have the word of training files in them; where there are none, those
// that do not say that they are for tests; where there are none either, all.
func preferTraining(paths []string, word string) []string {
	has := func(path string, words ...string) bool {
		name := strings.ToLower(filepath.Base(path))
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(name, w) })
	}
	var training, notTest []string
	for _, p := range paths {
		switch {
		case has(p, word):
			training = append(training, p)
		case !has(p, "test", "t10k"):
			notTest = append(notTest, p)
		}
	}
	if len(training) > 0 {
		return training
	}
	if len(notTest) > 0 {
		return notTest
	}
	return paths
}

// baseNames lists the file names of paths as [listNames] does.
func baseNames(paths []string) string {
	names := make([]string, len(paths))
	for i, p := range paths {
		names[i] = filepath.Base(p)
	}
	return listNames(names)
}

// shortNames lists the file names of paths as [baseNames] does, each cut to a length that fits in a line.
func shortNames(paths []string) string {
	names := make([]string, len(paths))
	for i, p := range paths {
		names[i] = shorten(filepath.Base(p))
	}
	return listNames(names)
}

// listNames lists the first six names, with commas between.
func listNames(names []string) string {
	var list []string
	for i, n := range names {
		if i == 6 {
			list = append(list, fmt.Sprintf("and %d more", len(names)-i))
			break
		}
		list = append(list, strings.TrimSpace(n))
	}
	return strings.Join(list, ", ")
}

// systemFiles are what file managers, NAS and operating systems leave among data.
var systemFiles = []string{"__MACOSX", "Thumbs.db", "ehthumbs.db", "desktop.ini", "Icon\r", "$RECYCLE.BIN", "RECYCLER",
	"System Volume Information", "lost+found", "@eaDir", "@Recycle", "@tmp", "#recycle", "#snapshot"}

// hidden tells by its name that a file or folder is no data: those of the system, which begin with a dot, and a few
// more.
func hidden(name string) bool {
	return strings.HasPrefix(name, ".") ||
		slices.ContainsFunc(systemFiles, func(s string) bool { return strings.EqualFold(s, name) })
}

// fileList is plain files that may be pictures: those below a folder, or some that were named one by one.
type fileList struct {
	files  []foundFile
	in     string   // "folder"; "" for files that were named one by one
	hidden []string // names of files and folders that were passed over
}

// foundFile is a plain file, with what it was when it was found.
type foundFile struct {
	name, path string
	info       fs.FileInfo
}

func (l fileList) place() string { return l.in }

func (l fileList) identity() string {
	var b strings.Builder
	for _, f := range l.files {
		b.WriteString(fileIdentity(f.path, f.info))
	}
	return b.String()
}

func (l fileList) walk(ctx context.Context, visit func(entry) error) error {
	for _, name := range l.hidden {
		if err := visit(entry{name: name, hidden: true}); err != nil {
			return err
		}
	}
	return inParallel(ctx, len(l.files), func(i int) error {
		f := l.files[i]
		return visit(entry{name: f.name, path: f.path, size: f.info.Size(), seq: i, read: f.read})
	})
}

// holdsPicture tells whether a file is a picture by its content. It fails only for what is no fault of the file.
func (f foundFile) holdsPicture() (bool, error) {
	head, err := f.read(16)
	if tooManyFiles(err) {
		return false, err
	}
	return err == nil && encodingOf(head) != nil, nil
}

// read returns the first limit bytes of the file, which must still be what it was when it was found.
func (f foundFile) read(limit int64) ([]byte, error) {
	in, err := os.Open(f.path)
	if err != nil {
		return nil, unreadable(f.path, err)
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return nil, unreadable(f.path, err)
	}
	if err := sameFile(f.path, f.info, info); err != nil {
		return nil, err
	}
	data := make([]byte, min(limit, info.Size()))
	if _, err := io.ReadFull(in, data); err != nil {
		if info, statErr := in.Stat(); statErr == nil {
			if err := sameFile(f.path, f.info, info); err != nil {
				return nil, err
			}
		}
		return nil, unreadable(f.path, err)
	}
	if info, err = in.Stat(); err != nil {
		return nil, unreadable(f.path, err)
	}
	return data, sameFile(f.path, f.info, info)
}

// listFolder returns all plain files below a folder, in the order of their names. Hidden files are passed over. Links
// are followed; a link to a folder that has been listed already, such as to one that the link is in, is an error.
func listFolder(root string) (*fileList, error) {
	l := lister{fileList: fileList{in: "folder"}, seen: map[string]string{}}
	real, err := filepath.EvalSymlinks(root)
	if err != nil {
		return nil, unreadable(root, err)
	}
	err = l.add(root, "", real)
	return &l.fileList, err
}

// lister collects files, folder by folder.
type lister struct {
	fileList
	seen map[string]string // the real path of a folder, without links -> the path by which it was found
}

// add adds the files of the folder dir, whose path below the root is below and whose path without links is real.
func (l *lister) add(dir, below, real string) error {
	if before, ok := l.seen[real]; ok {
		why := "which is in the data already"
		if dir == before || strings.HasPrefix(dir, before+string(filepath.Separator)) {
			why = "which holds the link, without an end"
		}
		return fmt.Errorf("%s: expected each folder once, found a link to %s, %s; remove the link", dir, before, why)
	}
	l.seen[real] = dir
	entries, err := os.ReadDir(dir) // sorted by name
	if err != nil {
		return unreadable(dir, err)
	}
	for _, e := range entries {
		if hidden(e.Name()) {
			l.hidden = append(l.hidden, path.Join(below, e.Name()))
			continue
		}
		at, name, realAt := filepath.Join(dir, e.Name()), path.Join(below, e.Name()), filepath.Join(real, e.Name())
		info, err := os.Stat(at) // follows links
		link := e.Type()&fs.ModeSymlink != 0
		if err != nil {
			if link {
				return fmt.Errorf("%s: expected a file or folder, found a link that leads nowhere (%w); remove it", at,
					withoutPath(err))
			}
			return unreadable(at, err)
		}
		switch {
		case info.IsDir():
			if link {
				if realAt, err = filepath.EvalSymlinks(at); err != nil {
					return unreadable(at, err)
				}
			}
			if err := l.add(at, name, realAt); err != nil {
				return err
			}
		case info.Mode().IsRegular():
			l.files = append(l.files, foundFile{name, at, info})
		}
	}
	return nil
}
