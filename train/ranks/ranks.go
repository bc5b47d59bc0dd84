// What ranks say to each other.

package ranks

// Transport carries windows of memory between the ranks of a run. All ranks call the same methods in the same order, with
// the same cuts: cuts[i] to cuts[i+1] is what belongs to rank i, and there is one cut more than there are ranks. A call
// returns when its windows may be used again. It fails where a rank has ended, and then every later call does.
//
// Windows are the host's memory. A transport between devices would need, in their place, addresses in device memory and the
// stream on which the work before and after them is queued, and its calls would return before they are done.
type Transport interface {
	// Rank is the number of this process, from 0 on, and Size that of all.
	Rank() int
	Size() int
	// Exchange sends send[cuts[i]:cuts[i+1]] to each other rank i. What rank i sends comes to window i of recv, which has a
	// window of the own cut's length for every rank; the own window is left as it is.
	Exchange(send []float32, cuts []int, recv []float32) error
	// AllGather sends all[cuts[r]:cuts[r+1]] of this rank r to all, and fills the other windows with theirs.
	AllGather(all []float32, cuts []int) error
	// Close takes leave of the others: in order where failed is nil, and else so that their calls fail or their processes end.
	Close(failed error) error
}

// Group is a transport with a count of what it carries.
type Group struct {
	Transport
	Sent int64 // bytes that this rank sent to others
}

// Exchange is that of [Transport].
func (g *Group) Exchange(send []float32, cuts []int, recv []float32) error {
	r := g.Rank()
	g.Sent += 4 * int64(cuts[len(cuts)-1]-cuts[0]-(cuts[r+1]-cuts[r]))
	return g.Transport.Exchange(send, cuts, recv)
}

// AllGather is that of [Transport]. The own window counts once for each rank that gets it.
func (g *Group) AllGather(all []float32, cuts []int) error {
	r := g.Rank()
	g.Sent += 4 * int64(g.Size()-1) * int64(cuts[r+1]-cuts[r])
	return g.Transport.AllGather(all, cuts)
}

// Even cuts windows of n values for each of so many ranks.
func Even(n, size int) []int {
	cuts := make([]int, size+1)
	for i := range cuts {
		cuts[i] = i * n
	}
	return cuts
}
