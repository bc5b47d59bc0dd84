// Samples of classes: which classes are drawn, and how their scores are guided.

package samplecmd

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"sigmaz/cmd/internal/cli"
	"sigmaz/cmd/internal/modelfile"
	"sigmaz/cmd/internal/preview"
	"sigmaz/model"
	"sigmaz/sample"
)

// classOptions is what the command line says about classes.
type classOptions struct {
	class    string
	weight   float64
	interval string
}

// rowedClasses is the most classes that are drawn where nobody says which: a grid has a row for each.
const rowedClasses = 40

func (o *options) classFlags() []cli.Flag {
	c := &o.classes
	c.weight = 1
	return []cli.Flag{
		{Name: "class", Arg: "LIST", Help: "classes to draw, in turn, by name or number, with commas between; all, or none: without one",
			Value: &c.class, Default: "all, of more than 40 none"},
		{Name: "guidance", Arg: "W", Help: "weight of the class in s_u + W (s_c - s_u), at two evaluations a step; 1: the class alone, " +
			"0: no class", Value: &c.weight},
		{Name: "guidance-interval", Arg: "LO:HI", Help: "of -guidance: the sigmas at which it counts, such as 0.3:5; beyond, W is 1 at one " +
			"evaluation", Value: &c.interval, Default: "all"},
	}
}

// guidance reads the flags; nil: nothing is guided.
func (o *options) guidance() (*sample.Guidance, error) {
	c := &o.classes
	if !o.Given("guidance") && !o.Given("guidance-interval") {
		return nil, nil
	}
	g := &sample.Guidance{Weight: c.weight, High: math.Inf(1)}
	if o.Given("guidance-interval") {
		low, high, ok := strings.Cut(c.interval, ":")
		var err1, err2 error
		g.Low, err1 = strconv.ParseFloat(low, 64)
		g.High, err2 = strconv.ParseFloat(high, 64)
		switch {
		case !ok || err1 != nil || err2 != nil:
			return nil, cli.Usagef("-guidance-interval is %q: expected LO:HI in sigma, such as 0.3:5", c.interval)
		case !o.Given("guidance"):
			return nil, cli.Usagef("-guidance-interval says where -guidance counts: give -guidance W, or leave it out")
		}
	}
	if err := g.Check(); err != nil {
		return nil, cli.UsageOf(err)
	}
	if g.Weight == 1 {
		return nil, nil
	}
	return g, nil
}

// settleClasses chooses the classes and makes the plan guide them.
func (j *job) settleClasses() (err error) {
	o, net := j.options, j.cfg.Network
	g, err := o.guidance()
	if err != nil {
		return err
	}
	if net.Classes == 0 {
		if g != nil {
			return fmt.Errorf("-guidance is by the class of a sample, and %s holds %s, which was trained without classes: leave it out, "+
				"or train with -classes", j.in.Path, net.Net)
		}
		if !o.Given("class") {
			return nil
		}
	}
	text := o.classes.class
	if !o.Given("class") {
		if text = modelfile.AllClasses; net.Classes > rowedClasses && j.cfg.LeavesOut() > 0 {
			text = modelfile.NoClass
		}
	}
	if j.classes, err = j.in.Classes(text); err == nil && len(j.classes) > 1 && o.between.ends != "" {
		err = cli.Usagef("-interpolate goes between two samples of one class: name one with -class")
	}
	if err != nil || g == nil {
		return err
	}
	if j.plan.Objective() == model.Jacobian {
		return cli.Usagef("-guidance by a class and -method %s both guide the score: leave one of the two out", j.plan.Settings.Sampler)
	}
	if err := j.in.CheckNoClass("-guidance needs the score without a class, and"); err != nil {
		return err
	}
	for _, class := range j.classes {
		if int(class) == net.NoClass() {
			return fmt.Errorf("-guidance is towards a class, and -class is none: name classes, or leave one of the two out")
		}
	}
	if o.guide.denoise != "" {
		return cli.Usagef("-guidance is of drawn samples, and -denoise-image draws none: leave one of the two out")
	}
	if g.Weight == 0 && g.Low == 0 && math.IsInf(g.High, 1) { // one evaluation is enough
		j.classes = []uint32{uint32(net.NoClass())}
		return nil
	}
	j.mixed = g
	j.plan.Guide(*g)
	return nil
}

// className returns the name of sample k's class.
func (j *job) className(k int) string { return j.in.ClassName(j.classes[k%len(j.classes)]) }

// draws tells whether samples of a class are drawn, or of none, which stands for all.
func (j *job) draws(class uint32) bool {
	return slices.Contains(j.classes, class) || slices.Contains(j.classes, uint32(j.cfg.Network.NoClass()))
}

// saysClasses is the end of the line about what is drawn.
func (j *job) saysClasses() string {
	if len(j.classes) == 0 {
		return ""
	}
	text := strings.TrimPrefix(j.saysRows(0), " of ")
	if j.mixed != nil {
		text += ", " + j.mixed.String()
	}
	return "; " + text
}

// listClasses lists the names of the classes.
func (j *job) listClasses() string {
	const most = 20
	var names []string
	for k := range min(len(j.classes), most) {
		names = append(names, j.className(k))
	}
	text := cli.Line(strings.Join(names, ", "))
	if n := len(j.classes) - most; n > 0 {
		text += fmt.Sprintf(" and %d more", n)
	}
	return text
}

// saysRows says of which classes n samples in a grid are, or with n = 0 all samples.
func (j *job) saysRows(n int) string {
	switch {
	case len(j.classes) == 1 && int(j.classes[0]) == j.cfg.Network.NoClass():
		return " of no class"
	case preview.Rowed(n, len(j.classes)):
		return ", a row for each class: " + j.listClasses()
	case len(j.classes) == 1:
		return " of class " + j.className(0)
	case len(j.classes) > 1:
		return " of classes " + j.listClasses() + " in turn"
	}
	return ""
}

// sampleCount is how many samples are drawn where nobody says.
func (j *job) sampleCount() int {
	switch n := len(j.classes); {
	case j.vectors():
		return 2000
	case n > 1 && n <= rowedClasses:
		return 8 * n
	}
	return 64
}

// labelColumn is the name of the column of classes in a table of samples.
func (j *job) labelColumn() string {
	if label := j.cfg.Reading.Label; label != "" {
		if _, err := strconv.Atoi(label); err != nil {
			return label
		}
	}
	return "class"
}
