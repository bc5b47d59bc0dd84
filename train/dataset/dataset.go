// A data set and how it is opened.

package dataset

import (
	"context"
	"errors"
	"fmt"

	"sigmaz/internal/setting"
	"sigmaz/kernels"
)

// Set is a data set: images as bytes, or vectors as float32.
type Set struct {
	kernels.Data
	Name   string  // what it is, for people: "fashion-mnist: IDX, 60000 images 28x28x1"
	Source string  // the specification that was given to Open
	Sum    string  // CRC-32C of the shape and the values, and of labels, in hexadecimal
	Scaler *Scaler // how vectors were standardised; nil: they were not
	Mapped bool    // the images lie in a mapped file, not in memory
	// Classes names the classes of the rows, whose labels are those of Data; nil where they are not asked for.
	Classes []string
	// Notes say for people, a line each, what was taken for what and what was passed over.
	Notes []string

	hashes []uint64 // of the rows as the file has them, where standardising has changed them; see Split
}

// Source says where data comes from and how it is read.
type Source struct {
	Spec string // a specification, as [Spec] describes it; "" means glyphs
	Seed uint64 // of data that is made
	Settings
	// Scaler, unless nil, standardises vectors as other data was, in place of the setting standardize.
	Scaler *Scaler
	// Cache is the folder for decoded images. "": the folder sigmaz in the user's cache folder; "none": none is kept.
	Cache string
	// Progress, unless nil, is told how many images of how many have been read. While files are still looked for, done
	// counts files and total is 0. It is called by one goroutine at a time.
	Progress func(done, total int)
	// Note, unless nil, receives what people should know, one line at a time.
	Note func(line string)
}

// Open opens the data that spec names, with no settings; see [Source.Open].
func Open(spec string, seed uint64) (*Set, error) {
	return Source{Spec: spec, Seed: seed}.Open(context.Background())
}

// Open reads or makes the data. Sizes that a header claims are checked against the size of the file before memory is
// taken for them. A setting that cannot be is a [*setting.Error]; any other error is one sentence that names the file.
// When ctx ends, Open fails with the error of ctx.
func (s Source) Open(ctx context.Context) (*Set, error) {
	set, err := (&opener{s, ctx}).open()
	var bad *setting.Error
	switch {
	case errors.As(err, &bad):
		return nil, bad
	case err != nil && ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, fmt.Errorf("dataset: %w", err)
	}
	set.Source = s.Spec
	if set.Sum == "" {
		set.Sum = labelling{set.Classes, set.Labels}.sum(checksum(&set.Data))
	}
	return set, nil
}

// opener is a Source at work.
type opener struct {
	Source
	ctx context.Context
}

func (o *opener) note(format string, a ...any) {
	if o.Note != nil {
		o.Note(fmt.Sprintf(format, a...))
	}
}

func (o *opener) reportProgress(done, total int) {
	if o.Progress != nil {
		o.Progress(done, total)
	}
}

func (o *opener) open() (*Set, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	spec, err := ParseSpec(o.Spec)
	if err != nil {
		return nil, err
	}
	if spec.Kind != Files {
		if err := o.refuseUnused(settingsOfMade(spec)); err != nil {
			return nil, err
		}
		if spec.Kind == Toy {
			return makeToy(spec.Toy, o.Seed, o.Classes)
		}
		return makeGlyphs(o.Seed, glyphCount, o.Classes)
	}
	in, err := openInputs(spec.Paths)
	if err != nil {
		return nil, err
	}
	defer in.close()
	if err := o.refuseUnused(in.settings); err != nil {
		return nil, err
	}
	var p *pixels
	switch in.kind {
	case kindVectors:
		set, err := o.readVectors(in)
		if err == nil {
			set.Notes = append(in.notes, set.Notes...)
		}
		return set, err
	case kindPictures:
		p, err = o.readPictures(in.collections)
	default:
		p, err = o.readImages(in.files)
	}
	if err != nil {
		return nil, err
	}
	set := &Set{Data: p.data(), Sum: p.Sum, Mapped: p.mapped, Notes: in.notes}
	if p.Note != "" {
		set.Notes = append(set.Notes, p.Note)
	}
	if p.Values.White == 0 { // from a cache file of an earlier version
		err := guarded(func() error { p.Values = values{float64(topByte(p.u8)), 255}; return nil })
		if err != nil {
			return nil, err
		}
	}
	if note := p.Values.note(); note != "" {
		set.Notes = append(set.Notes, note)
	}
	images := "images"
	if set.N == 1 {
		images = "image"
	}
	set.Name = fmt.Sprintf("%s: %s, %d %s %s", in.title, p.Kind, set.N, images, shape(&set.Data))
	if o.Labelled() {
		set.label(p.labelling)
	}
	return set, nil
}

// settingsOfMade lists the settings that made data has a use for.
func settingsOfMade(spec Spec) []string {
	if spec.Kind == Glyphs || toyClasses[spec.Toy] != nil {
		return []string{"classes"}
	}
	return nil
}

// shape is "28x28x1".
func shape(d *kernels.Data) string { return fmt.Sprintf("%dx%dx%d", d.H, d.W, d.C) }
