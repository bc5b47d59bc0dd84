// Package watch shows a training to whoever looks at it from outside: as a page that follows it and is left in its folder,
// as numbers for Prometheus, as TensorBoard's event files. It takes what package train reports and the lines of
// metrics.jsonl, and changes nothing of the run. Begin reading at [Watch].
package watch
