// The page as a file of the run folder, with the run inside.

package watch

import (
	"encoding/base64"
	"fmt"
	"os"

	"sigmaz/internal/atomicfile"
	"sigmaz/train"
)

const (
	reportPictures = 12      // previews in a report, spread over the run
	reportBytes    = 8 << 20 // of all of them
)

// writeReport writes the page and returns its path.
func writeReport(h *history) (path string, err error) {
	u, _ := h.since(&cursor{})
	u.Pictures = inline(spread(u.Pictures, reportPictures))
	page, err := document(fmt.Sprintf(`<meta http-equiv="Content-Security-Policy" content="%s">`, policy("'none'")), &u)
	if err != nil {
		return "", err
	}
	path = train.ReportPath(u.About.Folder)
	err = atomicfile.Write(path, func(f *os.File) error {
		_, err := f.Write(page)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("cannot write the report: %w; see that the run folder has room; the run itself is safe", err)
	}
	return path, nil
}

// spread chooses at most n, the first and the last among them.
func spread(all []shot, n int) []shot {
	if len(all) <= n {
		return all
	}
	some := make([]shot, n)
	for i := range some {
		some[i] = all[i*(len(all)-1)/(n-1)]
	}
	return some
}

// inline puts the pictures themselves in the place of their URLs, the last one first as long as there is room.
func inline(all []shot) (some []shot) {
	room := reportBytes
	for i := len(all) - 1; i >= 0; i-- {
		s := all[i]
		b, err := readFile(s.path)
		if err != nil || len(b) > room {
			continue
		}
		room -= len(b)
		s.URL = "data:image/png;base64," + base64.StdEncoding.EncodeToString(b)
		some = append([]shot{s}, some...)
	}
	return some
}
