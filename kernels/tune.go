// What only benchmarks ask of a GPU: other ways to share out a convolution's work than the rule's, and the driver's copy.

package kernels

// Choice is a way to share out a convolution's work: the tile of a block, and the parts that a weight gradient's sum
// is cut into.
type Choice struct {
	Tile  string // "128x64_tf32"
	Parts int    // 1 where the sum is whole
}

// Tuner is a backend whose convolutions can be shared out otherwise than by its rule. Only benchmarks ask for that: the
// parts of a sum decide its bits.
type Tuner interface {
	// Choices lists the ways to share out a convolution, or the gradient of its input or its weights. The first is the
	// rule's.
	Choices(a Arena, op Op) ([]Choice, error)
	// CompileWith prepares one convolution to run on arena a in the given way.
	CompileWith(a Arena, op Op, c Choice) (Program, error)
}

// Copier is an arena in which the driver copies: the measure of what moves data.
type Copier interface {
	// Copy starts a copy of window from to window to, of the same size, that does not overlap it.
	Copy(to, from Buf) error
}
