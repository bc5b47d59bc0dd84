package picture

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/gif"
	"image/png"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func grey(img image.Image, x, y int) uint8 {
	return color.GrayModel.Convert(img.At(x, y)).(color.Gray).Y
}

func TestGrid(t *testing.T) {
	nan := float32(math.NaN())
	m := Images{Pix: []float32{0, 1, 0.5, -3 /**/, 7, nan, 0.25, 1}, N: 2, H: 2, W: 2, C: 1}
	g := Grid(m, 0, 3)
	if g.Bounds() != image.Rect(0, 0, 2*7+1, 8) {
		t.Fatalf("size %v", g.Bounds())
	}
	for _, c := range []struct {
		x, y int
		want uint8
	}{{0, 0, gap}, {1, 1, 0}, {3, 3, 0}, {4, 1, 255}, {1, 4, 128}, {4, 6, 0}, {7, 3, gap}, {8, 1, 255}, {11, 1, 0},
		{8, 4, 64}, {13, 6, 255}, {14, 7, gap}} {
		if got := grey(g, c.x, c.y); got != c.want {
			t.Errorf("pixel (%d, %d) is %d, want %d", c.x, c.y, got, c.want)
		}
	}
	if s := AutoScale(28, 28); s < 2 {
		t.Errorf("28x28 is scaled by %d, want at least 2", s)
	}
	rgb := Grid(Images{Pix: []float32{1, 0.5, 0}, N: 1, H: 1, W: 1, C: 3}, 1, 1)
	if got := rgb.At(1, 1); got != (color.RGBA{255, 128, 0, 255}) {
		t.Errorf("RGB pixel is %v", got)
	}
	if got := rgb.At(0, 0); got != (color.RGBA{gap, gap, gap, 255}) {
		t.Errorf("gap is %v", got)
	}
	// Other channels stand side by side, in grey, eight of them at most.
	for _, c := range []int{2, 4, 5, 8, 10} {
		m := Images{N: 2, H: 3, W: 2, C: c}
		for i := range m.N * m.H * m.W * c {
			m.Pix = append(m.Pix, float32(i)/255)
		}
		tiles := min(c, 8)
		one, grid := Single(m, 1), Grid(m, 2, 1)
		if one.Bounds() != image.Rect(0, 0, 2*tiles, 3) || grid.Bounds() != image.Rect(0, 0, 2*(2*tiles+1)+1, 5) {
			t.Fatalf("%d channels are shown in %v and %v", c, one.Bounds(), grid.Bounds())
		}
		for k := range tiles {
			for y := range 3 {
				for x := range 2 {
					want := uint8(((3+y)*2+x)*c + k)
					if at := k*2 + x; grey(one, at, y) != want || grey(grid, 2*tiles+2+at, 1+y) != want {
						t.Errorf("channel %d of %d at (%d, %d) is %d and %d, expected %d", k, c, y, x, grey(one, at, y),
							grey(grid, 2*tiles+2+at, 1+y), want)
					}
				}
			}
		}
		if text := ChannelsText(c); !strings.Contains(text, fmt.Sprint(c, " channels in grey")) {
			t.Errorf("%d channels: %q", c, text)
		}
	}
	if ChannelsText(1)+ChannelsText(3) != "" {
		t.Error("grey or colours are told")
	}
	// a last row that is not full, and no image at all
	if got := Grid(Images{Pix: make([]float32, 3), N: 3, H: 1, W: 1, C: 1}, 2, 1).Bounds(); got != image.Rect(0, 0, 5, 5) {
		t.Errorf("three in two columns: %v", got)
	}
	Grid(Images{N: 0, H: 1, W: 1, C: 1}, 0, 0)
}

func TestWritePNG(t *testing.T) {
	dir := t.TempDir()
	m := Images{Pix: []float32{0, 0.2, 0.4, 0.6, 0.8, 1}, N: 1, H: 2, W: 3, C: 1}
	if err := WriteImages(filepath.Join(dir, "new"), m, 7); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "new", "00007.png"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []uint8{0, 51, 102, 153, 204, 255} {
		if g := grey(got, i%3, i/3); g != want {
			t.Errorf("pixel %d is %d, want %d", i, g, want)
		}
	}
}

func TestWriteFileIsAtomic(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	if err := WriteFile(path, func(w io.Writer) error { _, err := io.WriteString(w, "old"); return err }); err != nil {
		t.Fatal(err)
	}
	err := WriteFile(path, func(w io.Writer) error {
		io.WriteString(w, strings.Repeat("new", 10000))
		return errors.New("x.npy is truncated")
	})
	if err == nil || err.Error() != "x.npy is truncated" {
		t.Errorf("error %v is not that of what was written", err)
	}
	if b, _ := os.ReadFile(path); string(b) != "old" {
		t.Errorf("file is %q after a failed write, want the old one", b)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("%d files are left, want 1", len(entries))
	}
	missing := filepath.Join(dir, "no", "file")
	if err := CheckWritable(missing); err == nil || !strings.Contains(err.Error(), missing) {
		t.Errorf("CheckWritable of a missing folder: %v", err)
	}
	if err := CheckWritable(dir); err == nil || !strings.Contains(err.Error(), "folder") {
		t.Errorf("CheckWritable of a folder: %v", err)
	}
	if err := CheckWritable(path); err != nil {
		t.Error(err)
	}
	if b, _ := os.ReadFile(path); string(b) != "old" {
		t.Error("CheckWritable changed the file")
	}
}

// What is no regular file is refused and stays what it is.
func TestWriteFileRefusesWhatIsNoRegularFile(t *testing.T) {
	dir := t.TempDir()
	folder, pipe := filepath.Join(dir, "folder"), filepath.Join(dir, "pipe")
	if err := os.Mkdir(folder, 0o777); err != nil {
		t.Fatal(err)
	}
	cases := map[string]string{folder: "a folder"}
	if mkfifo, err := exec.LookPath("mkfifo"); err != nil {
		t.Log("no mkfifo: pipes are not tested")
	} else if out, err := exec.Command(mkfifo, pipe).CombinedOutput(); err != nil {
		t.Fatalf("mkfifo: %v %s", err, out)
	} else {
		cases[pipe] = "a pipe"
	}
	for _, path := range []string{folder, pipe} {
		if what, ok := cases[path]; ok {
			if link := path + "-link"; os.Symlink(path, link) == nil {
				cases[link] = what
			}
		}
	}
	for path, what := range cases {
		before, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		for name, err := range map[string]error{
			"CheckWritable": CheckWritable(path),
			"WriteFile":     WriteFile(path, func(io.Writer) error { t.Error("write was called"); return nil }),
		} {
			if err == nil || !strings.Contains(err.Error(), path+": it is "+what) ||
				!strings.Contains(err.Error(), "choose the name of a new file") {
				t.Errorf("%s of %s: %v", name, what, err)
			}
		}
		if after, err := os.Lstat(path); err != nil || after.Mode() != before.Mode() || !os.SameFile(before, after) {
			t.Errorf("%s, %s, was replaced (%v)", path, what, err)
		}
	}
	if entries, _ := os.ReadDir(dir); len(entries) != len(cases) {
		t.Errorf("%d entries, want %d", len(entries), len(cases))
	}
}

// A link stays and the file it names is written, beside which the temporary file is, there already or not.
func TestWriteFileFollowsLinks(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, filepath.FromSlash(name)) }
	for _, name := range []string{"links", "real/deep"} {
		if err := os.MkdirAll(in(name), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(in("real/old"), []byte("old"), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, l := range [][2]string{
		{in("real/old"), "links/absolute"},
		{filepath.Join("..", "real", "old"), "links/relative"},
		{"relative", "links/twice"},
		{filepath.Join("..", "real", "new"), "links/dangling"},
		{in("real/deep"), "links/folder"},
		{filepath.Join("..", "up"), "real/deep/up"}, // seen through links/folder: real/up, not links/up
		{"loop", "links/loop"},
		{filepath.Join("..", "no", "file"), "links/nowhere"},
	} {
		if err := os.Symlink(l[0], in(l[1])); err != nil {
			t.Skip("no symbolic links here: ", err)
		}
	}
	for _, c := range [][2]string{
		{"links/absolute", "real/old"}, {"links/relative", "real/old"}, {"links/twice", "real/old"},
		{"links/dangling", "real/new"}, {"links/folder/up", "real/up"}, {"links/folder/file", "real/deep/file"},
	} {
		link, target := in(c[0]), in(c[1])
		before, _ := os.Readlink(link)
		if err := CheckWritable(link); err != nil {
			t.Errorf("CheckWritable of %s: %v", c[0], err)
		}
		err := WriteFile(link, func(w io.Writer) error {
			if temps, _ := filepath.Glob(filepath.Join(filepath.Dir(target), "*.tmp")); len(temps) != 1 {
				t.Errorf("%s: temporary files beside the target: %v", c[0], temps)
			}
			_, err := io.WriteString(w, c[0])
			return err
		})
		if err != nil {
			t.Errorf("WriteFile to %s: %v", c[0], err)
		}
		if after, _ := os.Readlink(link); after != before {
			t.Errorf("link %s named %q and names %q now", c[0], before, after)
		}
		if info, err := os.Lstat(target); err != nil || !info.Mode().IsRegular() {
			t.Errorf("%s: %s is no regular file (%v)", c[0], c[1], err)
		}
		if b, _ := os.ReadFile(target); string(b) != c[0] {
			t.Errorf("%s: %s holds %q", c[0], c[1], b)
		}
	}
	for _, c := range [][2]string{{"links/loop", in("links/loop")}, {"links/nowhere", filepath.FromSlash("no/file")}} {
		if err := CheckWritable(in(c[0])); err == nil || !strings.Contains(err.Error(), c[1]) {
			t.Errorf("CheckWritable of %s: %v", c[0], err)
		}
	}
}

func TestWriteGIF(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.gif")
	for _, c := range []int{1, 3} {
		pix := make([]float32, 2*4*4*c)
		for i := range pix {
			pix[i] = float32(i) / float32(len(pix))
		}
		m := Images{Pix: pix, N: 2, H: 4, W: 4, C: c}
		frames := []image.Image{Grid(m, 0, 1), Grid(m, 0, 1), Grid(m, 0, 1)}
		if err := WriteGIF(path, frames, true); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		g, err := gif.DecodeAll(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		if len(g.Image) != 3 || g.Delay[2] <= g.Delay[1] || g.LoopCount != 0 {
			t.Errorf("%d frames, delays %v, loop count %d", len(g.Image), g.Delay, g.LoopCount)
		}
		if c == 1 {
			for x := range frames[0].Bounds().Dx() {
				if grey(g.Image[0], x, 1) != grey(frames[0], x, 1) {
					t.Fatalf("a grey frame lost its greys at %d", x)
				}
			}
		}
	}
}

func TestBox(t *testing.T) {
	b := BoxOf([]float32{0, 0, 4, 2, float32(math.NaN()), 1})
	if b.X != 2 || b.Y != 1 || math.Abs(b.Half-2.4) > 1e-12 {
		t.Errorf("box %+v", b)
	}
	if n := b.Outside([]float32{2, 1, 9, 1, float32(math.Inf(1)), 0, float32(math.NaN()), 0}); n != 3 {
		t.Errorf("%d outside, want 3", n)
	}
	l := Box{X: 1, Y: 0, Half: 1}.Lattice(2)
	for i, want := range []float32{0.5, -0.5, 1.5, -0.5, 0.5, 0.5, 1.5, 0.5} {
		if l[i] != want {
			t.Fatalf("lattice %v", l)
		}
	}
	if got := BoxOf(nil); got.Half <= 0 {
		t.Errorf("box of nothing %+v", got)
	}
	if got := BoxOf([]float32{3, 3}); got.Half <= 0 {
		t.Errorf("box of one point %+v", got)
	}
}

// Plots are for eyes; here only that they are drawn whatever the numbers, and that axes are equal.
func TestPlots(t *testing.T) {
	nan := float32(math.NaN())
	points := []float32{0, 0, 1, 1, 2, 0.5, nan, 1}
	if _, err := Scatter(points, []float32{9, 9, 0, 0}); err != nil {
		t.Error(err)
	}
	if _, err := Scatter(nil, points); err != nil {
		t.Error(err)
	}
	b := BoxOf(points)
	v := make([]float32, 2*9)
	v[0], v[2], v[4], v[5] = nan, 1e30, 1, -2
	for _, v := range [][]float32{v, make([]float32, 2*9)} {
		f := FieldPanel{Sigma: 0.5, Arrows: v, Noisy: points}
		if _, err := Fields(points, []FieldPanel{f, f}, b, 3); err != nil {
			t.Error(err)
		}
		img, err := TooLittleTooMuch(points, f, f, f, b, 3)
		if err != nil {
			t.Error(err)
		} else if s := img.Bounds(); s.Dx() < 2*s.Dy() || s.Dx() > 4*s.Dy() {
			t.Errorf("three square panels are %v", s)
		}
	}
}
