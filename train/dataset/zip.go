// ZIP archives.

package dataset

import (
	"archive/zip"
	"context"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
)

// openZIP returns what is in a ZIP.
func openZIP(f *dataFile) (collection, error) {
	if f.packed.name != "" {
		return nil, fmt.Errorf("%s: expected a ZIP as it is, found one in %s; unpack it", f.path, f.packed.name)
	}
	return archive{f, visitZIP, scanZIP}, nil
}

// filesOfZIP lists the plain files and the links in a ZIP, which its own size must allow.
func filesOfZIP(f *dataFile) ([]*zip.File, error) {
	z, err := zip.NewReader(f.file, f.size)
	if err != nil {
		return nil, f.changedOr(fmt.Errorf("%s: expected a whole ZIP, found damage (%w); copy or download the file again",
			f.path, err))
	}
	var list []*zip.File
	claim := 0.0
	for _, m := range z.File {
		if link := m.Mode()&fs.ModeSymlink != 0; (m.Mode().IsRegular() || link) && !strings.HasSuffix(m.Name, "/") {
			list = append(list, m)
			if !hiddenPath(m.Name) {
				claim += float64(m.UncompressedSize64)
			}
		}
	}
	if claim > deflateRatio*float64(f.size) {
		return nil, fmt.Errorf("%s: expected %.0f bytes in it as its headers say, found a ZIP of %d bytes, "+
			"which cannot hold them; it is damaged or made to harm, choose another file", f.path, claim, f.size)
	}
	return list, nil
}

// scanZIP visits the files of a ZIP one after the other.
func scanZIP(f *dataFile, visit func(member) error) error {
	list, err := filesOfZIP(f)
	if err != nil {
		return err
	}
	for _, m := range list {
		if hiddenPath(m.Name) || !m.Mode().IsRegular() {
			continue
		}
		err := visit(member{path.Clean(m.Name), int64(m.UncompressedSize64), func() (io.Reader, error) {
			return openZIPMember(f, m, f.path+": "+m.Name)
		}})
		if err != nil {
			return err
		}
	}
	return nil
}

// visitZIP visits the files of a ZIP on all processors.
func visitZIP(ctx context.Context, f *dataFile, visit func(entry) error) error {
	list, err := filesOfZIP(f)
	if err != nil {
		return err
	}
	return inParallel(ctx, len(list), func(i int) error {
		m := list[i]
		e := entry{name: path.Clean(m.Name), path: f.path + ": " + m.Name, size: int64(m.UncompressedSize64), seq: i}
		e.read = func(limit int64) ([]byte, error) { return readZIPMember(f, m, e.path, limit) }
		switch {
		case hiddenPath(m.Name):
			e.hidden = true
		case m.Mode()&fs.ModeSymlink != 0:
			to, err := e.read(1 << 12) // where the link leads
			if err != nil {
				return err
			}
			e.link = linkTarget(e.name, string(to))
		}
		return visit(e)
	})
}

// readZIPMember unpacks the first limit bytes of a file in a ZIP, which errors call at.
func readZIPMember(f *dataFile, m *zip.File, at string, limit int64) ([]byte, error) {
	r, err := openZIPMember(f, m, at)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data, err := readUpTo(r, int64(m.UncompressedSize64), limit)
	if err != nil {
		return nil, damagedMember(f, at, err)
	}
	return data, nil
}

// openZIPMember begins to unpack a file in a ZIP, which errors call at.
func openZIPMember(f *dataFile, m *zip.File, at string) (io.ReadCloser, error) {
	switch {
	case m.Flags&1 != 0:
		return nil, fmt.Errorf("%s: expected a file without a password, found an encrypted one; "+
			"unpack the ZIP and give the folder", at)
	case m.Method != zip.Store && m.Method != zip.Deflate:
		return nil, fmt.Errorf("%s: expected a file stored or deflated, found compression method %d; "+
			"unpack the ZIP and give the folder", at, m.Method)
	}
	r, err := m.Open()
	if err != nil {
		return nil, damagedMember(f, at, err)
	}
	return r, nil
}

func damagedMember(f *dataFile, at string, err error) error {
	return f.changedOr(fmt.Errorf("%s: expected a whole file, found damage (%w); copy or download the ZIP again", at, err))
}
