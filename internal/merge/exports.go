package merge

import (
	"path"
	"slices"
	"strings"
)

// Exports merges exports(5) by path. What the host has stays in its place, what
// the snapshot has besides comes after. Of a path that both have, to other clients
// or with other options, the snapshot's lines take the place of the host's.
func Exports(host, snapshot []byte) Result {
	theirs := parseExports(snapshot)
	wanted, order := exportsByPath(theirs)
	here, _ := exportsByPath(parseExports(host))
	u := union{had: lineSet{}}
	var replaced, kept, added []string
	done := lineSet{}
	for _, e := range parseExports(host) {
		u.had.add(e.raw)
		lines := wanted[e.path]
		switch {
		case e.path == "" || len(lines) == 0 || sameExports(here[e.path], lines):
			if e.path != "" && len(lines) == 0 {
				kept = append(kept, e.path)
			}
			u.lines = append(u.lines, e.raw)
		case !done[e.path]:
			replaced = append(replaced, e.path)
			for _, l := range lines {
				u.lines = append(u.lines, l.raw)
			}
		}
		done.add(e.path)
	}
	for _, e := range theirs {
		switch {
		case e.path == "":
			u.other(e.raw)
		case len(here[e.path]) > 0:
			u.skip()
		default:
			u.add(e.raw)
		}
	}
	for _, p := range order {
		if len(here[p]) == 0 {
			added = append(added, p)
		}
	}
	var notes []string
	for _, n := range []struct {
		what  string
		paths []string
	}{{"added", added}, {"of this host, kept", kept}, {"had other clients or options here, and get those of the snapshot", replaced}} {
		if len(n.paths) > 0 {
			notes = append(notes, n.what+": "+list(n.paths))
		}
	}
	return Result{Content: joinLines(u.lines, host), Notes: notes}
}

// export is a line of exports(5) with those that continue it. One without a path
// is a comment, or nothing we know.
type export struct {
	raw     string
	path    string
	clients string // and their options, with single blanks between
}

func parseExports(b []byte) []export {
	var all []export
	lines := splitLines(b)
	for i := 0; i < len(lines); i++ {
		raw := lines[i]
		for strings.HasSuffix(lines[i], `\`) && !isText(raw) && i+1 < len(lines) {
			i++
			raw += "\n" + lines[i]
		}
		if strings.HasSuffix(raw, `\`) && !isText(raw) {
			raw += "\n" // or what comes to stand below would be part of it
		}
		all = append(all, parseExport(raw))
	}
	return all
}

func parseExport(raw string) export {
	e := export{raw: raw}
	if isText(raw) {
		return e
	}
	text, _, _ := strings.Cut(strings.ReplaceAll(raw, "\\\n", " "), " #")
	text = strings.Trim(text, blanks)
	p, rest := "", ""
	if quoted, ok := strings.CutPrefix(text, `"`); ok {
		if p, rest, ok = strings.Cut(quoted, `"`); !ok {
			return e
		}
	} else if i := strings.IndexAny(text, blanks); i >= 0 {
		p, rest = text[:i], text[i:]
	} else {
		p = text
	}
	p = unescape(p)
	if !strings.HasPrefix(p, "/") {
		return e
	}
	e.path, e.clients = path.Clean(p), strings.Join(strings.FieldsFunc(rest, isBlankRune), " ")
	return e
}

// unescape replaces "\040" and the like, as exports(5) has blanks in paths.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) && isOctal(s[i+1:i+4]) {
			b.WriteByte((s[i+1]-'0')<<6 | (s[i+2]-'0')<<3 | (s[i+3] - '0'))
			i += 3
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func isOctal(s string) bool {
	return s[0] <= '3' && !strings.ContainsFunc(s, func(r rune) bool { return r < '0' || r > '7' })
}

// exportsByPath groups all, and returns the paths in order.
func exportsByPath(all []export) (by map[string][]export, order []string) {
	by = map[string][]export{}
	for _, e := range all {
		if e.path == "" {
			continue
		}
		if len(by[e.path]) == 0 {
			order = append(order, e.path)
		}
		by[e.path] = append(by[e.path], e)
	}
	return by, order
}

func sameExports(a, b []export) bool {
	return slices.EqualFunc(a, b, func(x, y export) bool { return x.clients == y.clients })
}
