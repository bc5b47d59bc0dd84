// Package progress shows how far a command is: one display for reading data, training and sampling.
//
// On a terminal one line is kept up to date, a bar or a text, and lines that stay are printed above it. Elsewhere
// everything is a line, and what changes all the time is printed every 15 seconds at most.
//
//	d := progress.New(os.Stdout)
//	defer d.Close()
//	splits, err := c.Resolve(ctx, d.Event, epsilon) // training: d.Event takes what package train reports
//
//	d := progress.New(os.Stderr)
//	d.StartSampling(steps) // sampling: a number of steps
//	d.Sampled(1)
//
// Begin reading at [Display]. No other package draws on a terminal.
package progress
