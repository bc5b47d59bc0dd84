// What goes over a connection. Both ends begin with the 20 bytes of magic, rank 0 only after it has read the other's, so that a
// stranger who looks what listens here learns nothing. The one who came then says who it is, and is admitted or turned away. It
// is in with its first beat, since one who has waited too long for the answer leaves and comes again:
//
//	magic, 'h' + length + hello in JSON      from the one who comes
//	magic, 'w' + length + hello in JSON      it is admitted; or 'r' + length + refusal in JSON
//	'b', 'B' or '!'                          a beat, which says the state of who sends it: at once from the one that is admitted, then
//	                                         from both, about once a second
//	'p' + length + bytes                     what a rank has for all
//	'a' + length + length + bytes ...        what all have, from rank 0
//	'l' + length + loss in JSON              a rank is lost, and everybody ends
//	'q'                                      goodbye
//
// A length is four bytes, the lowest first. Nobody allocates more than a limit because a length says so.

package rendezvous

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
)

const (
	brand = "sigmaz rendezvous "
	magic = brand + "2\n" // other digits for another form of what follows
)

// kinds of frames.
const (
	kindHello   = 'h'
	kindWelcome = 'w'
	kindRefusal = 'r'
	kindBeat    = 'b' // Well
	kindWaits   = 'B' // Waits
	kindHangs   = '!' // Hangs
	kindPart    = 'p'
	kindAll     = 'a'
	kindLoss    = 'l'
	kindBye     = 'q'
)

// MaxMessage is how long what a rank has for all may be, in bytes.
const MaxMessage = 1 << 20

// maxWord limits what is said in JSON.
const maxWord = 8 << 10

// hello says who somebody is.
type hello struct {
	Rank, Size int
	Run        string // see Config.Run: its SHA-256
	Host       string
	Process    int
}

// refusal says why somebody is turned away, and whether to come again would be of use.
type refusal struct {
	Text  string
	Again bool
}

// loss is a rank that is lost and what became of it.
type loss struct {
	Rank int
	Text string // "rank 2 on HOST (process 7) ..."
}

// name is how sentences call somebody.
func (h hello) name() string {
	return fmt.Sprintf("rank %d on %s (process %d)", h.Rank, h.Host, h.Process)
}

// self says who this process is.
func self(c Config) hello {
	host, err := os.Hostname()
	if err != nil {
		host = "a host without a name"
	}
	return hello{Rank: c.Rank, Size: c.Size, Run: c.sum(), Host: host, Process: os.Getpid()}
}

// frame puts kind and length before a body.
func frame(kind byte, body []byte) []byte {
	b := append(make([]byte, 0, 5+len(body)), kind)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(body)))
	return append(b, body...)
}

// word is a frame in JSON.
func word(kind byte, v any) []byte {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // of a type above
	}
	return frame(kind, body)
}

// readBody reads what follows the kind of a frame that has a body.
func readBody(r io.Reader, limit int) ([]byte, error) {
	var n [4]byte
	if _, err := io.ReadFull(r, n[:]); err != nil {
		return nil, err
	}
	size := binary.LittleEndian.Uint32(n[:])
	if uint64(size) > uint64(limit) {
		return nil, fmt.Errorf("a message of %d bytes, expected at most %d", size, limit)
	}
	body := make([]byte, size)
	_, err := io.ReadFull(r, body)
	return body, err
}

// readWord reads a frame in JSON, whose kind was read.
func readWord(r io.Reader, v any) error {
	body, err := readBody(r, maxWord)
	if err != nil {
		return err
	}
	return json.Unmarshal(body, v)
}

// readKind reads what kind of frame comes.
func readKind(r io.Reader) (byte, error) {
	var kind [1]byte
	_, err := io.ReadFull(r, kind[:])
	return kind[0], err
}

var (
	errStranger = errors.New("another program")
	errVersion  = errors.New("another version of this program")
)

// readMagic finds out whether the other end is one of us. A stranger is known by its first byte that is wrong, however few it
// sends.
func readMagic(r io.Reader) error {
	var got [len(magic)]byte
	for i := range got {
		if _, err := io.ReadFull(r, got[i:i+1]); err != nil {
			return err
		}
		switch {
		case got[i] == magic[i]:
		case i < len(brand):
			return errStranger
		default:
			return errVersion
		}
	}
	return nil
}

// joinParts writes what all ranks have as one body, splitParts reads it.
func joinParts(parts [][]byte) (body []byte) {
	for _, p := range parts {
		body = append(binary.LittleEndian.AppendUint32(body, uint32(len(p))), p...)
	}
	return body
}

func splitParts(body []byte, size int) (parts [][]byte, err error) {
	for range size {
		if len(body) < 4 {
			return nil, io.ErrUnexpectedEOF
		}
		n := binary.LittleEndian.Uint32(body)
		if body = body[4:]; uint64(n) > uint64(len(body)) {
			return nil, io.ErrUnexpectedEOF
		}
		parts = append(parts, body[:n:n])
		body = body[n:]
	}
	if len(body) > 0 {
		return nil, fmt.Errorf("%d bytes too many", len(body))
	}
	return parts, nil
}

// timedOut says whether an error is a deadline's.
func timedOut(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}
