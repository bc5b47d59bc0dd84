// The end of values that a program keeps to itself.

package kernels

// Discard says that nobody reads these windows any more, until something is written to them. It does nothing. Where a
// kernel leaves several results in one pass (cuda_fuse.go), one that is discarded unread is not stored.
type Discard struct{ Windows []Buf }

func (o Discard) Name() string                    { return "discard" }
func (o Discard) Operands() (reads, writes []Buf) { return nil, o.Windows }
func (o Discard) Ref([]float32)                   {}

// withoutDiscards returns the operations that do something.
func withoutDiscards(ops []Op) (list []Op) {
	for _, op := range ops {
		if _, ok := op.(Discard); !ok {
			list = append(list, op)
		}
	}
	return list
}
