// The process of a run: what follows from its choice for noise and ladder, and whether the data suits it.

package train

import (
	"math"

	"sigmaz/internal/setting"
	"sigmaz/kernels"
	"sigmaz/model"
)

// settleProcess completes what the choice of a process says of the noise: sigma is that of a uniform time, or of the steps of a
// table, and the ends of the ladder are the process's own.
func (c *Config) settleProcess() {
	n := &c.Network
	if n.SDE.Preserving() && c.Noise.Density == "" {
		c.Noise.Density = model.UniformTime
	}
	if n.Parameterization == model.EDM && n.SigmaData == 0 {
		n.SigmaData = c.Noise.SigmaData
	}
	n.CompleteWrap(c.Noise.Density)
	if !n.SDE.Preserving() {
		return
	}
	c.Sigma.Spacing = model.GeometricSpacing
	begin, end := n.SDE.SamplingEnds()
	if n.SDE.Discrete {
		if c.Sigma.Levels == auto {
			c.Sigma.Levels = model.DefaultSteps
		}
		table := n.SDE.Table(c.Sigma.Levels)
		begin, end = table[len(table)-1], table[0]
	}
	c.Sigma.Begin, c.Sigma.End = SigmaEnd{Value: begin}, SigmaEnd{Value: end}
}

// validateProcess judges the process against the settings of noise and loss.
func (c *Config) validateProcess() error {
	n, sde := &c.Noise, c.Network.SDE
	discrete := !n.Continuous() && !(sde.Preserving() && n.Density == "")
	switch {
	case sde.Kind == model.SubVP && discrete:
		return setting.Errorf("noise", "is %s, and `sde` %s is not defined on a table of steps: leave it out", n.Density, sde.Kind)
	case sde.Preserving() && discrete && c.Sigma.Levels != auto && float64(c.Sigma.Levels) <= sde.Completed().BetaMax:
		return setting.Errorf("levels", "is %d: a table of `sde` %s needs more steps than `beta-max` %g; %d is usual",
			c.Sigma.Levels, sde.Kind, sde.Completed().BetaMax, model.DefaultSteps)
	case c.Loss.Likelihood && (discrete || n.Density == model.LogNormal):
		return setting.Errorf("likelihood-weighting", "is for noise at a uniform time: use `noise` %s, or leave it out",
			map[bool]string{true: model.UniformTime, false: model.LogUniform}[sde.Preserving()])
	case c.Loss.Likelihood && sde.Preserving() && n.Density == model.LogUniform:
		return setting.Errorf("likelihood-weighting", "is for noise at a uniform time, and `noise` %s is not that of `sde` %s: use "+
			"`noise` %s", n.Density, sde.Kind, model.UniformTime)
	}
	return nil
}

// checkCentred refuses vectors that a process which preserves the variance does not take to noise of unit size.
func (c *Config) checkCentred(d *kernels.Data) error {
	if !c.Network.SDE.Preserving() || d.U8 != nil || c.DataSum == "" {
		return nil
	}
	dims := d.D()
	sums := make([]float64, dims)
	for i := range d.N {
		for j, v := range d.Floats(i) {
			sums[j] += float64(v)
		}
	}
	mean := 0.0
	for _, s := range sums {
		mean += s * s / (float64(d.N) * float64(d.N)) / float64(dims)
	}
	mean = math.Sqrt(mean)
	if sd := deviation(d); mean > 0.5 || sd > 3 || sd < 1./3 {
		return setting.Errorf("sde", "is %s, which takes data around 0 of about unit size to noise, and this data has a mean of "+
			"%.3g and a deviation of %.3g: use `standardize` columns, or `sde` %s", c.Network.SDE.Kind, mean, sd, model.VE)
	}
	return nil
}
