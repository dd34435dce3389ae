package hosttest

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"text/template"

	"github.com/xcrate/xcrate/testdata"
)

// fixtureEntry is one entry of a fixture: see the package comment.
type fixtureEntry struct {
	path   string
	mode   uint32
	owner  string // "USER:GROUP"
	target string // of a symlink
	body   string
}

// render executes fixture name of testdata/samplemn with data and returns the
// text.
func render(name string, funcs template.FuncMap, data any) (string, error) {
	text, err := testdata.SampleMN.ReadFile("samplemn/" + name)
	if err != nil {
		return "", err
	}
	t, err := template.New(name).Funcs(funcs).Option("missingkey=error").Parse(string(text))
	if err != nil {
		return "", fmt.Errorf("fixture: %w", err)
	}
	var out bytes.Buffer
	if err := t.Execute(&out, data); err != nil {
		return "", fmt.Errorf("fixture: %w", err)
	}
	return out.String(), nil
}

// parseFixture splits rendered text into its entries. Text before the first
// heading is a comment.
func parseFixture(name, text string) ([]fixtureEntry, error) {
	var all []fixtureEntry
	for line := range strings.Lines(text) {
		heading, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "-- ")
		if heading, ok = cutSuffixIf(ok, heading, " --"); !ok {
			if len(all) > 0 {
				all[len(all)-1].body += line
			}
			continue
		}
		e, err := parseHeading(heading)
		if err != nil {
			return nil, fmt.Errorf("fixture %s: heading %q: %w", name, heading, err)
		}
		all = append(all, e)
	}
	return all, nil
}

func cutSuffixIf(cond bool, s, suffix string) (string, bool) {
	if !cond {
		return s, false
	}
	return strings.CutSuffix(s, suffix)
}

func parseHeading(h string) (fixtureEntry, error) {
	if link, ok := strings.CutPrefix(h, "link "); ok {
		p, target, ok := strings.Cut(link, " -> ")
		if !ok {
			return fixtureEntry{}, fmt.Errorf("link without target")
		}
		return fixtureEntry{path: p, target: target}, nil
	}
	f := strings.SplitN(h, " ", 3)
	if len(f) != 3 {
		return fixtureEntry{}, fmt.Errorf("want MODE USER:GROUP PATH")
	}
	mode, err := strconv.ParseUint(f[0], 8, 12)
	return fixtureEntry{path: f[2], mode: uint32(mode), owner: f[1]}, err
}

// put makes every entry.
func (w *writer) put(entries []fixtureEntry) {
	for _, e := range entries {
		switch {
		case e.target != "":
			w.symlink(e.path, e.target)
		case strings.HasSuffix(e.path, "/"):
			w.dir(e.path, e.mode, e.owner)
		default:
			w.file(e.path, e.mode, e.owner, []byte(e.body))
		}
	}
}

// find returns the entry with path p.
func find(entries []fixtureEntry, p string) (fixtureEntry, error) {
	for _, e := range entries {
		if e.path == p {
			return e, nil
		}
	}
	return fixtureEntry{}, fmt.Errorf("fixture: no entry %q", p)
}
