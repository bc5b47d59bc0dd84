// Which memory is mapped from which file, and the guard of a goroutine that reads it.

package mapped

import (
	"fmt"
	"runtime/debug"
	"sync"
	"unsafe"
)

// Error is a fault in a mapped file.
type Error struct{ Path string }

func (e *Error) Error() string {
	return fmt.Sprintf("%s was in use and cannot be read any more: somebody cut it short, or its disk fails; see that it is "+
		"left alone, and start again, which makes it anew", e.Path)
}

// files are all mapped files. Nothing is ever unmapped.
var files struct {
	sync.Mutex
	list []file
}

type file struct {
	path        string
	first, last uintptr
}

// record notes what b is mapped from.
func record(path string, b []byte) {
	first := uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	files.Lock()
	defer files.Unlock()
	files.list = append(files.list, file{path, first, first + uintptr(len(b))})
}

// find returns the file that is mapped at an address.
func find(address uintptr) (path string, ok bool) {
	files.Lock()
	defer files.Unlock()
	for _, f := range files.list {
		if f.first <= address && address < f.last {
			return f.path, true
		}
	}
	return "", false
}

// Guard makes a fault of this goroutine in a mapped file an [*Error], which the function that it returns puts into
// *err. That function is to be deferred. An *Error that another goroutine met may be passed on by a panic. Any other
// panic goes on.
func Guard(err *error) func() {
	before := debug.SetPanicOnFault(true)
	return func() {
		debug.SetPanicOnFault(before)
		switch p := recover().(type) {
		case nil:
		case *Error:
			*err = p
		case interface{ Addr() uintptr }: // a runtime.Error of a fault has it
			path, ok := find(p.Addr())
			if !ok {
				panic(p)
			}
			*err = &Error{path}
		default:
			panic(p)
		}
	}
}
