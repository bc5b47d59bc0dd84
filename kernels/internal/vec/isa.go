// The choice of the instruction set, made once when the program starts.

package vec

type instructionSet int

const (
	plainGo instructionSet = iota
	avx2
	avx512
)

var isaNames = [...]string{plainGo: "go", avx2: "avx2", avx512: "avx512"}

// best is the widest instruction set of this machine, isa the one in use.
var (
	best = detect()
	isa  = best
)

// ISA names the instruction set in use: "avx512", "avx2" or "go".
func ISA() string { return isaNames[isa] }

// Available lists the instruction sets of this machine, "go" first and the widest last.
func Available() []string { return append([]string(nil), isaNames[:best+1]...) }

// SetISA makes every block use one of [Available], for tests and benchmarks. It returns a function that restores the
// choice before. It must not be called while blocks run.
func SetISA(name string) (restore func()) {
	before := isa
	for i, n := range isaNames[:best+1] {
		if n == name {
			isa = instructionSet(i)
			return func() { isa = before }
		}
	}
	panic("vec: SetISA: " + name + " is not available")
}
