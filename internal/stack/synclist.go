package stack

import (
	"path"
	"slices"
	"strings"
)

// syncLine is a line of a synclist that delivers files.
type syncLine struct {
	sources []string
	dest    string
}

// synclist follows the sources of the synclist at p. Its lines, as
// perl-xCAT/xCAT/DSHCLI.pm reads them:
//
//	SOURCE... -> DESTINATION
//	SOURCE... -> (NODERANGE) DESTINATION
//	MERGE: and APPEND: begin a section of such lines,
//	EXECUTE: and EXECUTEALWAYS: one of scripts to run on the node.
func (f *follower) synclist(c Column, from, p string) {
	var lines []syncLine
	var scripts []string
	section := ""
	from += ": " + p
	for line := range strings.Lines(string(f.content(from, p))) {
		line = strings.TrimRight(line, "\r\n")
		if strings.HasPrefix(line, "#") || strings.TrimSpace(line) == "" {
			continue
		}
		if s := sectionOf(line); s != "" {
			section = s
			continue
		}
		if section == "EXECUTE:" {
			scripts = append(scripts, strings.TrimSpace(line))
			continue
		}
		l, ok := parseSyncLine(line)
		if !ok {
			f.problem(from, "line %q: not SOURCE -> DESTINATION", line)
			continue
		}
		lines = append(lines, l)
		for _, source := range l.sources {
			f.source(c, from, source)
		}
	}
	// A script is named as the node sees it. One that the list delivers came
	// with its source; any other may lie here under the same name.
	for _, script := range scripts {
		if !slices.ContainsFunc(lines, func(l syncLine) bool { return l.delivers(script) }) {
			f.source(c, from, script)
		}
	}
}

// sectionOf returns the section a line begins, "" for any other line. Both
// EXECUTE sections are as one here.
func sectionOf(line string) string {
	switch {
	case strings.Contains(line, "EXECUTE:") || strings.Contains(line, "EXECUTEALWAYS:"):
		return "EXECUTE:"
	case strings.Contains(line, "APPEND:") || strings.Contains(line, "MERGE:"):
		return "MERGE:"
	}
	return ""
}

// parseSyncLine splits a line at its last arrow.
func parseSyncLine(line string) (syncLine, bool) {
	const arrow = " -> "
	i := strings.LastIndex(line, arrow)
	if i < 0 {
		return syncLine{}, false
	}
	dest := strings.TrimSpace(line[i+len(arrow):])
	if strings.HasPrefix(dest, "(") { // a noderange stands before the destination
		_, dest, _ = strings.Cut(dest, ")")
		dest = strings.TrimSpace(dest)
	}
	l := syncLine{sources: strings.Fields(line[:i]), dest: dest}
	return l, len(l.sources) > 0 && dest != ""
}

// delivers reports whether the line puts a file at p on the node.
func (l syncLine) delivers(p string) bool {
	if path.Clean(l.dest) == path.Clean(p) {
		return true
	}
	return path.Clean(l.dest) == path.Dir(p) && slices.ContainsFunc(l.sources, func(s string) bool {
		ok, err := path.Match(path.Base(s), path.Base(p))
		return ok && err == nil
	})
}

// source records one source of a synclist, which may be a glob.
func (f *follower) source(c Column, from, source string) {
	p, ok := f.resolve(c, from, source)
	if !ok {
		return
	}
	if _, err := patternComponents(p); err != nil {
		f.problem(from, "path %q: not a pattern that can be matched", source)
		return
	}
	f.add(p, Ref{Path: p, From: from, Kind: c.Sources})
}
