// The classes that a network is told, by the names that its run has for them.

package modelfile

import (
	"encoding/csv"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"sigmaz/cmd/internal/cli"
	"sigmaz/internal/nearest"
	"sigmaz/train"
)

// The words of the flag -class that are no classes.
const (
	AllClasses = "all"
	NoClass    = "none"
)

// ClassNames returns the names of the network's classes.
func (f *File) ClassNames() []string {
	names := f.Config.ClassNames
	for i := len(names); i < f.Config.Network.Classes; i++ { // of a file that has none for them
		names = append(names, strconv.Itoa(i))
	}
	return names[:f.Config.Network.Classes]
}

// ClassName returns the name of a class, [NoClass] for none.
func (f *File) ClassName(class uint32) string {
	if int(class) == f.Config.Network.NoClass() {
		return NoClass
	}
	return f.ClassNames()[class]
}

// CheckNoClass returns why there is no score without a class, or nil. what begins the sentence.
func (f *File) CheckNoClass(what string) error {
	if f.Config.Network.Classes == 0 || f.Config.LeavesOut() > 0 {
		return nil
	}
	return fmt.Errorf("%s %s left no label out in training (label_dropout 0), so that its network has learned no score without "+
		"a class: train with -label-dropout %g", what, f.Path, train.UsualLabelDropout)
}

// Class reads the flag -class where it is one class, a name or a number, or none.
func (f *File) Class(text string) (uint32, error) {
	classes, err := f.classes(text, nil)
	if err == nil && len(classes) != 1 {
		err = cli.Usagef("-class is %q: expected one class for all rows", text)
	}
	if err != nil {
		return 0, err
	}
	return classes[0], nil
}

// Classes reads the flag -class where it may be several: names or numbers of classes with commas between, all or none.
func (f *File) Classes(text string) ([]uint32, error) { return f.classes(text, []string{AllClasses}) }

// classes reads the flag. many are words for several classes.
func (f *File) classes(text string, many []string) (classes []uint32, err error) {
	names, none := f.ClassNames(), uint32(f.Config.Network.NoClass())
	words := append(many, NoClass)
	if len(names) == 0 {
		return nil, fmt.Errorf("-class is for networks that are told classes, and %s holds %s, which was trained without: leave it "+
			"out, or train with -classes", f.Path, f.Config.Network.Net)
	}
	if i := slices.Index(names, text); i >= 0 { // a comma may be part of a name
		return []uint32{uint32(i)}, nil
	}
	if slices.Contains(many, text) {
		for i := range names {
			classes = append(classes, uint32(i))
		}
		return classes, nil
	}
	r := csv.NewReader(strings.NewReader(text))
	r.TrimLeadingSpace = true
	items, err := r.Read()
	if err != nil {
		return nil, cli.Usagef("-class is %q: expected names of classes with commas between, or %s", text,
			strings.Join(words, " or "))
	}
	numbered := !slices.ContainsFunc(names, func(name string) bool { _, err := strconv.Atoi(name); return err == nil })
	for _, item := range items {
		item = strings.TrimSpace(item)
		i := slices.Index(names, item)
		if n, err := strconv.Atoi(item); i < 0 && err == nil && numbered && n >= 0 && n < len(names) {
			i = n
		}
		switch {
		case i >= 0:
			classes = append(classes, uint32(i))
		case item == NoClass:
			if err := f.CheckNoClass("-class is none, and"); err != nil {
				return nil, err
			}
			classes = append(classes, none)
		default:
			known, number := cli.Line(strings.Join(names[:min(len(names), 20)], ", ")), ""
			if len(names) > 20 {
				known += fmt.Sprintf(" and %d more", len(names)-20)
			}
			if numbered {
				number = fmt.Sprintf(", a number from 0 to %d", len(names)-1)
			}
			return nil, fmt.Errorf("-class is %q: expected one of the classes of %s (%s)%s, or %s%s", item, f.Path, known, number,
				strings.Join(words, " or "), nearest.DidYouMean(item, append(words, names...)))
		}
	}
	return classes, nil
}
