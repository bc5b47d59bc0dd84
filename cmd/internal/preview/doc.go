// Package preview draws samples from a network and makes pictures of them: what the command sample and the previews of
// training have in common. Begin reading at [Sampler]; [Previewer] is for training.
package preview
