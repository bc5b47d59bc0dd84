// Labels: the class of each row, for networks that are told it. They are read where the setting classes or label asks
// for them:
//
//	glyphs            the digit
//	toy:gaussians     which of the eight; toy:moons which of the two
//	IDX images        the file of labels beside them: train-images-idx3-ubyte has train-labels-idx1-ubyte
//	CIFAR-10          the byte before each image; names from batches.meta.txt beside the file, where it is there
//	CIFAR-100         the fine label, or with label "coarse" the coarse one; names from fine_label_names.txt or
//	                  coarse_label_names.txt
//	pictures          the folder that each is in: the first one below what all have in common
//	tables            the column label, which is then no column of the data
//
// Readers give every row the name of its class. The classes are the different names, in the order of their numbers if
// all are whole numbers, and else of their letters: so they do not depend on the order of the rows.

package dataset

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"sigmaz/internal/setting"
)

const (
	// maxClasses bounds the classes of a data set: their names are part of the configuration of a run.
	maxClasses = 10_000
	// maxClassName bounds a name, in bytes.
	maxClassName = 64
)

// Labelled tells whether labels are read.
func (s Settings) Labelled() bool { return s.Classes || s.Label != "" }

// labelling is the classes of rows.
type labelling struct {
	Classes []string `json:"classes"` // names
	Labels  []uint32 `json:"labels"`  // of each row, an index of Classes
}

// classify makes classes of names, one for each row. where says for an error what the names are of.
func classify(where string, names []string) (l labelling, err error) {
	number := map[string]uint32{}
	for _, name := range names {
		number[name] = 0
	}
	classes := slices.Collect(maps.Keys(number))
	slices.Sort(classes)
	switch n := len(classes); {
	case n < 2:
		return l, fmt.Errorf("%s: expected rows of at least two classes, found all of class %s; leave `classes` and `label` out",
			where, listNames(classes))
	case n > maxClasses:
		return l, fmt.Errorf("%s: expected at most %d classes, found %d different labels, such as %s; give labels that "+
			"repeat", where, maxClasses, n, listNames(classes[:3]))
	case n > 2 && 2*n > len(names):
		return l, fmt.Errorf("%s: expected labels that repeat, found %d different ones in %d rows, such as %s; give the "+
			"classes of the rows, not their names or values", where, n, len(names), listNames(classes[:3]))
	}
	whole := map[string]int{}
	for _, name := range classes {
		if len(name) > maxClassName {
			return l, fmt.Errorf("%s: expected names of classes of at most %d bytes, found %s with %d; give it a shorter one",
				where, maxClassName, shorten(name), len(name))
		}
		if v, err := strconv.Atoi(name); err == nil {
			whole[name] = v
		}
	}
	if len(whole) == len(classes) {
		slices.SortStableFunc(classes, func(a, b string) int { return cmp.Compare(whole[a], whole[b]) })
	}
	for i, name := range classes {
		number[name] = uint32(i)
	}
	l.Classes, l.Labels = classes, make([]uint32, len(names))
	for i, name := range names {
		l.Labels[i] = number[name]
	}
	return l, nil
}

// check judges labels of n rows that come from a file.
func (l labelling) check(n int) error {
	beyond := func(c uint32) bool { return int(c) >= len(l.Classes) }
	if len(l.Labels) != n || len(l.Classes) > maxClasses || slices.ContainsFunc(l.Labels, beyond) {
		return fmt.Errorf("%d labels of %d classes for %d rows", len(l.Labels), len(l.Classes), n)
	}
	return nil
}

// labelKey is the part that labels have in the key of a file of the cache.
func (s Settings) labelKey() string {
	if !s.Labelled() {
		return ""
	}
	return fmt.Sprintf("classes %s\n", s.Label)
}

// note says for people which classes there are, with their rows.
func (l labelling) note() string {
	count := make([]int, len(l.Classes))
	for _, c := range l.Labels {
		count[c]++
	}
	list := make([]string, len(l.Classes))
	for i, name := range l.Classes {
		list[i] = fmt.Sprintf("%s %d", name, count[i])
	}
	return fmt.Sprintf("%d classes: %s", len(list), listNames(list))
}

// label gives the set its labels.
func (s *Set) label(l labelling) {
	s.Classes, s.Labels = l.Classes, l.Labels
	s.Name += fmt.Sprintf(", %d classes", len(l.Classes))
	s.Notes = append(s.Notes, l.note())
}

// idxLabels reads the labels of a file of n images, which lie in a file beside it.
func idxLabels(f *dataFile, n int) ([]string, error) {
	base := filepath.Base(f.path)
	if f.within != "" { // "a.zip: b/train-images-idx3-ubyte"
		base = filepath.Base(strings.TrimPrefix(f.path, f.stored+": "))
	}
	name := strings.NewReplacer("images", "labels", "idx3", "idx1", "idx4", "idx1").Replace(base)
	if name == base {
		return nil, fmt.Errorf("%s: expected a name with \"images\" in it, beside which the file of labels has the same name "+
			"with \"labels\"; rename both, or leave `classes` out", f.path)
	}
	l, err := f.firstBeside(name, strings.TrimSuffix(name, ".gz"), name+".gz")
	if err != nil {
		return nil, err
	}
	if l == nil {
		return nil, fmt.Errorf("%s: expected its labels in %s beside it, found no such file; copy it there, or leave "+
			"`classes` out", f.path, name)
	}
	defer l.close()
	h, ok := parseIDX(l)
	if !ok || h.n != 1 {
		return nil, fmt.Errorf("%s: expected IDX labels (magic 2049) for the images of %s, found other data; download it again",
			l.path, f.path)
	}
	if int64(h.dims[0]) != int64(n) {
		return nil, fmt.Errorf("%s: expected a label for each of the %d images of %s, found %d labels; give the labels of "+
			"these images", l.path, n, f.path, h.dims[0])
	}
	labels := make([]byte, n)
	if _, err = l.r.Discard(h.size); err == nil {
		_, err = io.ReadFull(l.r, labels)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: expected %.0f bytes for the %d labels of its header, found fewer; copy or download it again",
			l.path, h.whole(), n)
	}
	names := make([]string, n)
	for i, v := range labels {
		names[i] = byteNames[v]
	}
	return names, l.finish()
}

// byteNames are the names of classes that are bytes.
var byteNames = func() (names [256]string) {
	for i := range names {
		names[i] = strconv.Itoa(i)
	}
	return names
}()

// cifarNames returns what classes are called in a file beside a file of CIFAR; their numbers where there is none.
func cifarNames(f *dataFile, file string, n int) []string {
	l, err := f.firstBeside(file)
	if l == nil || err != nil {
		return byteNames[:n]
	}
	defer l.close()
	var names []string
	for lines := bufio.NewScanner(l.r); lines.Scan() && len(names) <= n; {
		if name := oneLine(lines.Text()); name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if len(names) != n {
		return byteNames[:n]
	}
	return names
}

// firstBeside opens the first file of some names that is there, in the folder or archive that f is in; nil: none is.
func (f *dataFile) firstBeside(names ...string) (*dataFile, error) {
	for _, name := range names {
		l, err := f.beside(name)
		if err == nil {
			return l, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return nil, nil
}

// folderLabels returns the class of every picture: the first folder in its path below what all pictures of its
// collection have in common.
func (g *gallery) folderLabels() ([]string, error) {
	var names []string
	for i := range g.parts {
		var found []surveyed
		for _, s := range g.found {
			if s.part == i {
				found = append(found, s)
			}
		}
		common := commonFolder(found)
		for _, s := range found {
			folder, _, ok := strings.Cut(strings.TrimPrefix(s.name, common), "/")
			if !ok {
				return nil, fmt.Errorf("%s: expected pictures in folders, one for each class, found this one in no folder of its "+
					"own class; move it into one, or leave `classes` out", s.path)
			}
			names = append(names, oneLine(folder))
		}
	}
	return names, nil
}

// labelColumn finds the column of classes in a table of some width by the setting label: a name, or a number from 1.
func labelColumn(label string, names []string, width int) (int, error) {
	return oneColumn("label", label, names, width)
}

// oneColumn finds the column that a setting names in a table of some width.
func oneColumn(key, name string, names []string, width int) (int, error) {
	columns, err := chooseColumns(key, `"`+strings.ReplaceAll(name, `"`, `""`)+`"`, names, width)
	if err != nil {
		return 0, err
	}
	if len(columns) != 1 {
		return 0, setting.Errorf(key, "is %q: expected one column, its name or its number", name)
	}
	return columns[0], nil
}
