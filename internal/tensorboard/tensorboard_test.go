// Event files read back: byte by byte, and by TensorBoard itself.

package tensorboard

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"image"
	"image/png"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"sigmaz/internal/extras"
)

// field is a field of a message as the wire has it.
type field struct {
	number, wireType uint64
	v                uint64 // of a varint, 4 or 8 bytes
	bytes            []byte
}

// parse splits a message into its fields.
func parse(t *testing.T, b []byte) (all []field) {
	t.Helper()
	varint := func() uint64 {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			t.Fatalf("no varint at % x", b)
		}
		b = b[n:]
		return v
	}
	for len(b) > 0 {
		key := varint()
		f := field{number: key >> 3, wireType: key & 7}
		switch f.wireType {
		case 0:
			f.v = varint()
		case 1:
			f.v, b = binary.LittleEndian.Uint64(b), b[8:]
		case 2:
			n := varint()
			f.bytes, b = b[:n], b[n:]
		case 5:
			f.v, b = uint64(binary.LittleEndian.Uint32(b)), b[4:]
		default:
			t.Fatalf("wire type %d", f.wireType)
		}
		all = append(all, f)
	}
	return all
}

// records splits a file into the data of its records and checks their sums, bit by bit.
func records(t *testing.T, b []byte) (all [][]byte) {
	t.Helper()
	masked := func(b []byte) uint32 {
		c := ^uint32(0)
		for _, v := range b {
			c ^= uint32(v)
			for range 8 {
				c = c>>1 ^ crc32.Castagnoli*(c&1)
			}
		}
		c = ^c
		return (c>>15 | c<<17) + 0xa282ead8
	}
	for len(b) > 0 {
		n := binary.LittleEndian.Uint64(b)
		if sum := binary.LittleEndian.Uint32(b[8:]); sum != masked(b[:8]) {
			t.Fatalf("the length has the sum %08x", sum)
		}
		data := b[12 : 12+n]
		if sum := binary.LittleEndian.Uint32(b[12+n:]); sum != masked(data) {
			t.Fatalf("the data have the sum %08x", sum)
		}
		all, b = append(all, data), b[16+n:]
	}
	return all
}

func testPNG(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 7, 300))); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// A record, all its bytes: as TensorBoard 2.21's RecordWriter writes that event.
func TestRecordBytes(t *testing.T) {
	got := record(event(time.UnixMilli(1500), 7, fieldFileVersion, []byte("brain.Event:2")))
	const want = "1a00000000000000" + "129bd82d" + "09000000000000f83f" + "1007" + "1a0d627261696e2e4576656e743a32" + "da446486"
	if hex.EncodeToString(got) != want {
		t.Errorf("wrote %x\nexpected %s", got, want)
	}
}

func TestFile(t *testing.T) {
	dir := t.TempDir()
	if Exists(dir) {
		t.Error("an empty folder has event files")
	}
	now := time.Unix(1_700_000_000, 250_000_000)
	w, err := Create(dir, 1, now)
	if err != nil {
		t.Fatal(err)
	}
	picture := testPNG(t)
	if err := w.Scalars(300, now, Scalar{"loss/train", 1.5}, Scalar{"loss/level/017", -2}); err != nil {
		t.Fatal(err)
	}
	if err := w.PNG(300, now, "samples", picture); err != nil {
		t.Fatal(err)
	}
	if err := w.PNG(300, now, "samples", []byte("no picture")); err == nil {
		t.Error("wrote what is no picture")
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	names, _ := filepath.Glob(filepath.Join(dir, "*"))
	if len(names) != 1 || !strings.HasPrefix(filepath.Base(names[0]), "events.out.tfevents.1700000000.") || !Exists(dir) {
		t.Fatalf("files %v", names)
	}
	b, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	wall := field{1, 1, math.Float64bits(1_700_000_000.25), nil}
	var values []field
	for i, r := range records(t, b) {
		f := parse(t, r)
		switch i {
		case 0:
			if want := []field{wall, {3, 2, 0, []byte("brain.Event:2")}}; !reflect.DeepEqual(f, want) {
				t.Errorf("the first event is %v", f)
			}
		case 1:
			if want := []field{wall, {2, 0, 1, nil}, {7, 2, 0, []byte{8, 1}}}; !reflect.DeepEqual(f, want) {
				t.Errorf("the second event is %v", f)
			}
		default:
			if len(f) != 3 || !reflect.DeepEqual(f[:2], []field{wall, {2, 0, 300, nil}}) || f[2].number != 5 {
				t.Fatalf("event %d is %v", i, f)
			}
			values = append(values, parse(t, f[2].bytes)...)
		}
	}
	var all [][]field
	for _, v := range values {
		if v.number != 1 {
			t.Fatalf("a summary has %v", v)
		}
		all = append(all, parse(t, v.bytes))
	}
	want := [][]field{
		{{1, 2, 0, []byte("loss/train")}, {2, 5, uint64(math.Float32bits(1.5)), nil}},
		{{1, 2, 0, []byte("loss/level/017")}, {2, 5, uint64(math.Float32bits(-2)), nil}},
	}
	if len(all) != 3 || !reflect.DeepEqual(all[:2], want) {
		t.Fatalf("the values are %v", all)
	}
	if p := all[2]; len(p) != 2 || string(p[0].bytes) != "samples" || p[1].number != 4 ||
		!reflect.DeepEqual(parse(t, p[1].bytes), []field{{1, 0, 300, nil}, {2, 0, 7, nil}, {3, 0, 4, nil}, {4, 2, 0, picture}}) {
		t.Errorf("the picture is %v", p)
	}
}

// A file comes after all others, in one second and with the clock set back.
func TestNames(t *testing.T) {
	dir := t.TempDir()
	for _, at := range []int64{1_700_000_000, 1_700_000_000, 1_600_000_000} {
		w, err := Create(dir, 1, time.Unix(at, 0))
		if err != nil {
			t.Fatal(err)
		}
		w.Close()
	}
	names, _ := filepath.Glob(filepath.Join(dir, "*"))
	var seconds []string
	for _, n := range names {
		seconds = append(seconds, strings.Split(filepath.Base(n), ".")[3])
	}
	if !slices.Equal(seconds, []string{"1700000000", "1700000001", "1700000002"}) {
		t.Errorf("files %v", names)
	}
	if _, err := Create(filepath.Join(dir, "none"), 1, time.Now()); err == nil {
		t.Error("a file in no folder")
	}
}

// TensorBoard reads numbers and pictures, and after a resume from an earlier step what came later is gone.
func TestExtrasTensorBoard(t *testing.T) {
	python := extras.Python(t, "tensorboard")
	dir := t.TempDir()
	picture := testPNG(t)
	now := time.Now()
	for part, steps := range [][]uint64{{100, 200, 300}, {200, 300, 400}} {
		w, err := Create(dir, steps[0]-99, now)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range steps {
			v := float64(s) + float64(part)/2
			if err := w.Scalars(s, now, Scalar{"loss/train", v}, Scalar{"loss/level/017", 2 * v}); err != nil {
				t.Fatal(err)
			}
			if s == 200 {
				if err := w.PNG(s, now, "samples", picture); err != nil {
					t.Fatal(err)
				}
			}
		}
		if part == 0 { // it was killed in the middle of a record
			if _, err := w.file.Write(record([]byte("whatever"))[:15]); err != nil {
				t.Fatal(err)
			}
		}
		w.Close()
	}
	const program = `
import sys, json, logging
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
a = EventAccumulator(sys.argv[1], size_guidance={"scalars": 0, "images": 0})
a.Reload()
print(json.dumps({
    "scalars": {t: [[e.step, e.value] for e in a.Scalars(t)] for t in a.Tags()["scalars"]},
    "images": {t: [[e.step, e.width, e.height, e.encoded_image_string.hex()] for e in a.Images(t)] for t in a.Tags()["images"]}}))
`
	out, err := exec.Command(python, "-W", "ignore", "-c", program, dir).Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var got, want any
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	text := fmt.Sprintf(`{"scalars": {"loss/train": [[100,100],[200,200.5],[300,300.5],[400,400.5]],
		"loss/level/017": [[100,200],[200,401],[300,601],[400,801]]}, "images": {"samples": [[200,7,300,"%x"]]}}`, picture)
	if err := json.Unmarshal([]byte(text), &want); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("TensorBoard read\n%v\nexpected\n%v", got, want)
	}
}
