// The inputs: the files and folders that a specification names, opened and recognised.

package dataset

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// inputs are files of images or of vectors, or collections of pictures: all of one kind.
type inputs struct {
	title       string // a short name for all of it
	kind        kind
	files       []*dataFile  // of images or of vectors, in the order of the specification
	collections []collection // of pictures
	settings    []string     // the settings that any of it has a use for
	notes       []string     // for Set.Notes

	first string // the path that decided the kind
}

func (in *inputs) close() {
	for _, f := range in.files {
		f.close()
	}
}

// openInputs opens files and what is to be read of folders.
func openInputs(paths []string) (*inputs, error) {
	in := &inputs{title: title(paths)}
	if err := in.addAll(paths); err != nil {
		in.close()
		return nil, err
	}
	return in, nil
}

func (in *inputs) addAll(paths []string) error {
	var named fileList // pictures that were named one by one: together one collection, after the others
	for _, path := range paths {
		info, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nothingThere(path)
		case err != nil:
			return unreadable(path, err)
		case !info.IsDir():
			if err := in.addFile(path, &named); err != nil {
				return err
			}
			continue
		}
		chosen, pictures, passed, err := chooseFiles(path)
		if err != nil {
			return err
		}
		if len(passed) > 0 {
			in.notes = append(in.notes, fmt.Sprintf("taken from the folder: %s; passed over: %s", shortNames(chosen),
				shortNames(passed)))
		}
		if pictures != nil {
			in.collections = append(in.collections, pictures)
			if err := in.add(path, kindPictures, pictureSettings); err != nil {
				return err
			}
		}
		for _, path := range chosen {
			if err := in.addFile(path, &named); err != nil {
				return err
			}
		}
	}
	if len(named.files) > 0 {
		in.collections = append(in.collections, named)
	}
	return nil
}

// addFile opens a file. A single picture goes to named.
func (in *inputs) addFile(path string, named *fileList) error {
	f, err := openFile(path)
	if err != nil {
		return err
	}
	switch format := f.format; {
	case format.refuse != nil:
		f.close()
		return format.refuse(f)
	case format.pictures != nil:
		f.close() // a collection opens its file itself, twice
		c, err := format.pictures(f)
		if err != nil {
			return err
		}
		if a, ok := c.(archive); ok {
			chosen, passed, err := a.chooseMembers()
			if err != nil {
				return err
			}
			if len(chosen) > 0 {
				return in.addMembers(a, chosen, passed)
			}
		}
		if one, ok := c.(fileList); ok {
			named.files = append(named.files, one.files...)
		} else {
			in.collections = append(in.collections, c)
		}
	default:
		in.files = append(in.files, f)
	}
	return in.add(path, f.format.kind(), f.format.settings)
}

// addMembers opens files in an archive, of which others are passed over.
func (in *inputs) addMembers(a archive, chosen, passed []string) error {
	note := "taken from the " + a.format.name + ": " + shortNames(chosen)
	if len(passed) > 0 {
		note += "; passed over: " + shortNames(passed)
	}
	in.notes = append(in.notes, note)
	for _, name := range chosen {
		f, err := a.openMember(name)
		if err != nil {
			return err
		}
		in.files = append(in.files, f)
		if f.format.refuse != nil {
			return f.format.refuse(f)
		}
		if err := in.add(f.path, f.format.kind(), f.format.settings); err != nil {
			return err
		}
	}
	return nil
}

// add notes that data of a kind is at path, which must be the kind of all before it.
func (in *inputs) add(path string, k kind, settings []string) error {
	if in.first == "" {
		in.first, in.kind = path, k
	}
	in.settings = append(in.settings, settings...)
	if k != in.kind {
		return fmt.Errorf("%s: expected %s as in %s, found %s; name only files of one kind", path, in.kind, in.first, k)
	}
	return nil
}

// title is a short name for what is read: of a folder its name, of a file its name and that of the folder it is in.
func title(paths []string) string {
	path := paths[0]
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	name := filepath.Base(path)
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		name = filepath.Base(filepath.Dir(path)) + "/" + name
	}
	if len(paths) > 1 {
		name += fmt.Sprintf(" and %d more", len(paths)-1)
	}
	return name
}
