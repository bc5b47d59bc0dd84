// The page: one document with its styles and scripts inside, served while a run trains and written into its folder at its
// end. Served, it asks for the run and follows it; written, it holds the run and asks nobody.
//
// No other host is named in it, and its Content-Security-Policy lets it load nothing and run nothing but what it holds,
// which the policy names by hash.

package watch

import (
	"crypto/sha256"
	_ "embed" // the page's parts
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
)

var (
	//go:embed page/page.html
	pageHTML string
	//go:embed page/page.css
	pageCSS string
	//go:embed page/page.js
	pageJS string
	//go:embed page/uPlot.iife.min.js
	plotJS string
	//go:embed page/uPlot.min.css
	plotCSS string
	//go:embed page/uPlot.LICENSE
	plotLicense string
)

// policy returns the Content-Security-Policy. connect says what scripts may ask.
func policy(connect string) string {
	hash := func(s string) string {
		sum := sha256.Sum256([]byte(s))
		return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	return fmt.Sprintf("default-src 'none'; script-src %s %s; style-src %s %s; img-src 'self' data:; connect-src %s; "+
		"base-uri 'none'; form-action 'none'", hash(plotJS), hash(pageJS), hash(plotCSS), hash(pageCSS), connect)
}

// document returns the page. meta goes into its head, and data is an update that it holds, nil for none.
func document(meta string, data *update) ([]byte, error) {
	text := "null"
	if data != nil {
		b, err := json.Marshal(data) // with <, > and & escaped, so that no text ends the element
		if err != nil {
			return nil, err
		}
		text = string(b)
	}
	// Each part once: what one of them holds is not looked at for another.
	return []byte(strings.NewReplacer("{{meta}}", meta, "{{plot.css}}", plotCSS, "{{page.css}}", pageCSS,
		"{{license}}", strings.TrimSpace(plotLicense), "{{data}}", text, "{{plot.js}}", plotJS, "{{page.js}}", pageJS,
	).Replace(pageHTML)), nil
}
