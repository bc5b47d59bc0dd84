// Package tensorboard writes the event files that TensorBoard reads: scalars and PNG pictures by step. Begin reading at
// [Create].
package tensorboard
