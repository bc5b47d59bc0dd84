// Neighbours: images, each beside those of another set that are nearest to it.

package picture

import (
	"image"
	"image/color"
)

// Beside is an image of one set and groups of images of another.
type Beside struct {
	Image  int
	Groups [][]int
}

// Neighbours draws a row for each image: itself, and its groups with a space between them. heads name the image and the
// groups, above the columns; those of groups that no row has are left out.
func Neighbours(of, among Images, rows []Beside, heads []string) image.Image {
	const margin, line, space = 10, 26, 14
	side := image.Pt(tileSide, tileSide)
	if len(rows) > 0 {
		side = Tile(of, rows[0].Image).Bounds().Size()
	}
	most := make([]int, len(heads)) // images of each group, in its longest row
	most[0] = 1
	for _, r := range rows {
		for g, list := range r.Groups {
			most[1+g] = max(most[1+g], len(list))
		}
	}
	left := make([]int, len(heads))
	x := margin
	for g, n := range most {
		left[g] = x
		if n > 0 {
			x += n*(side.X+2) + space
		}
	}
	s := newSheet(max(x-space+margin, 200), line+len(rows)*(side.Y+2)+margin)
	for g, n := range most {
		if n > 0 {
			s.text(heads[g], left[g], 8, smallText, 0, color.Black)
		}
	}
	for i, r := range rows {
		y := line + i*(side.Y+2)
		s.picture(Tile(of, r.Image), left[0], y)
		for g, list := range r.Groups {
			for k, n := range list {
				s.picture(Tile(among, n), left[1+g]+k*(side.X+2), y)
			}
		}
	}
	return s.image()
}
